//! Learning by heart, and remedies. With few images a network soon knows all of them, and then learns features that
//! only they share: in validation its loss turns and rises.
//!
//! The cures: L1 and L2 penalise large weights, dropout leaves out a part of the units in each step, and early
//! stopping takes the model of the epoch that was best in validation.

use clap::Parser;
use neural::cli::chapter::{self, Figures};
use neural::cli::{self, Options, Passes, pictures};
use neural::nn;
use neural::optim::{Optimizer, Sgd};
use neural::train::Trainer;
use std::io::{self, Write};
use std::process::ExitCode;

/// Trains a network on few images, with and without cures for overfitting
#[derive(Parser)]
#[command(
    mut_arg("epochs", |epochs| epochs.default_value("100")),
    mut_arg("images", |images| images.default_value("1000")),
    mut_arg("plot", |plot| plot.help("Save a picture, .svg or .png: the loss in validation with each cure")),
    after_help = "Examples:
  overfitting --plot cures.svg
  overfitting --l2 0.1 --dropout 0.8              stronger medicine
  overfitting --images 10000 --epochs 20          the best cure: more data"
)]
struct Arguments {
    #[command(flatten)]
    options: Options,

    /// What each weight costs, times its absolute value
    #[arg(long, default_value_t = 2e-3, value_name = "RATE")]
    l1: f64,

    /// What each weight costs, times half its square
    #[arg(long, default_value_t = 0.03, value_name = "RATE")]
    l2: f64,

    /// The part of the hidden units that each step leaves out
    #[arg(long, default_value_t = 0.5, value_name = "PART")]
    dropout: f64,

    /// Units of the hidden layer
    #[arg(long, default_value_t = 256, value_name = "N")]
    hidden: usize,

    /// The learning rate of gradient descent
    #[arg(long, default_value_t = 0.02, value_name = "RATE")]
    lr: f64,

    /// Images in a batch
    #[arg(long, default_value_t = 32, value_name = "N")]
    batch: usize,

    #[command(flatten)]
    passes: Passes,
}

fn main() -> ExitCode {
    cli::finish(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let device = arguments.options.open_device()?;
    let digits = arguments.passes.limit(arguments.options.mnist()?).standardized()?;
    let cures = [
        ("no cure", 0.0, 0.0, 0.0),
        ("L1", arguments.l1, 0.0, 0.0),
        ("L2", 0.0, arguments.l2, 0.0),
        ("dropout", 0.0, 0.0, arguments.dropout),
    ];
    let trainers =
        cures.map(|(name, l1, l2, dropout)| (name.to_string(), trainer(arguments, l1, l2, dropout)));
    let mut out = io::stdout().lock();
    let curves = chapter::compare(&device, &digits, trainers.into(), &mut out)?;

    let loss = Figures::validation_loss;
    let best = curves[0].1.iter().min_by(|a, b| loss(a).total_cmp(&loss(b)));
    if let Some(best) = best {
        writeln!(out, "no cure, but stopped after epoch {} > {best}", best.epoch)?;
    }
    writeln!(out, "Loss in validation:")?;
    for (name, history) in &curves {
        let last = history.last().map_or(f64::NAN, loss);
        let least = history.iter().map(loss).fold(f64::INFINITY, f64::min);
        writeln!(out, "  {name}: {least:.4} at best, {last:.4} in the end")?;
    }
    if let Some(path) = &arguments.options.plot {
        let stop: Vec<_> = best.iter().map(|best| (best.epoch as f64, loss(best))).collect();
        pictures::compared("Overfitting, and its cures", &curves, |f| (f.epoch as f64, loss(f)))
            .points("early stopping", &stop)
            .x_label("epoch")
            .y_label("loss in validation")
            .save(path)?;
    }
    Ok(())
}

fn trainer(arguments: &Arguments, l1: f64, l2: f64, dropout: f64) -> Trainer {
    let Arguments { options, hidden, lr, batch, passes, .. } = arguments;
    let model =
        nn::sequential([nn::flatten(), nn::dense(*hidden), nn::relu(), nn::dropout(dropout), nn::dense(10)]);
    // The gradient of half a square is the weight itself: L2 is weight decay.
    let sgd = Sgd { learning_rate: (*lr).into(), weight_decay: l2, ..Sgd::default() };
    Trainer::new(model)
        .optimizer(Optimizer { l1, ..sgd.into() })
        .batch_size(*batch)
        .epochs(passes.epochs)
        .seed(options.seed)
}
