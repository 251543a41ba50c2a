//! How large a step? The same network from the same first weights, trained at one learning rate after another.
//!
//! Too small a rate makes little progress; a larger one arrives; too large a rate jumps across the goal and back.

use clap::Parser;
use neural::cli::{self, Options, Passes, chapter, pictures};
use neural::nn;
use neural::optim;
use neural::train::Trainer;
use std::io;
use std::process::ExitCode;

/// Trains the same network at several learning rates
#[derive(Parser)]
#[command(
    mut_arg("images", |images| images.default_value("10000")),
    mut_arg("plot", |plot| plot.help("Save a picture, .svg or .png: the loss over the epochs at each rate")),
    after_help = "Examples:
  learning_rate --plot rates.svg
  learning_rate --lr 0.5 1 2 4 --batch 32"
)]
struct Arguments {
    #[command(flatten)]
    options: Options,

    /// Learning rates of plain gradient descent
    #[arg(long, num_args = 1.., default_values_t = [0.01, 0.1, 1.0, 10.0], value_name = "RATE")]
    lr: Vec<f64>,

    /// Images in a batch
    #[arg(long, default_value_t = 128, value_name = "N")]
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
    let trainer = |rate: &f64| {
        let model = nn::sequential([nn::flatten(), nn::dense(128), nn::sigmoid(), nn::dense(10)]);
        let trainer = Trainer::new(model)
            .optimizer(optim::sgd(*rate))
            .batch_size(arguments.batch)
            .epochs(arguments.passes.epochs)
            .seed(arguments.options.seed);
        (format!("rate {rate}"), trainer)
    };
    let trainers = arguments.lr.iter().map(trainer).collect();
    let curves = chapter::compare(&device, &digits, trainers, &mut io::stdout().lock())?;
    if let Some(path) = &arguments.options.plot {
        pictures::compared("Too small, right, too large", &curves, |figures| {
            (figures.epoch as f64, figures.loss)
        })
        .x_label("epoch")
        .y_label("loss in training")
        .save(path)?;
    }
    Ok(())
}
