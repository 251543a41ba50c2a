//! A deep network on digits: four hidden layers, and the means to keep them trainable.
//!
//! Each layer is a dense one from He's first weights, batch norm, which brings its outputs back to mean 0 and deviation 1,
//! `relu`, whose slope does not fade, and a little dropout. Adam finds a step size for every weight.

use clap::Parser;
use neural::DType;
use neural::cli::{self, Options, Passes, chapter, pictures};
use neural::nn::{self, Dense, Init};
use neural::optim;
use neural::train::Trainer;
use std::io::{self, Write};
use std::process::ExitCode;

/// Recognises digits with a deep network of dense layers
#[derive(Parser)]
#[command(
    mut_arg("epochs", |epochs| epochs.default_value("5")),
    mut_arg("plot", |plot| plot.help("Save a picture, .svg or .png: accuracy over the epochs")),
    after_help = "Examples:
  deep --plot deep.svg
  deep --hidden 64 64 64 64 64 64 64 64           narrower and deeper
  deep --epochs 20 --dropout 0.4                  for those with more time"
)]
struct Arguments {
    #[command(flatten)]
    options: Options,

    /// Units of each hidden layer
    #[arg(long, num_args = 1.., default_values_t = [512, 256, 128, 64], value_name = "N")]
    hidden: Vec<usize>,

    /// The part of the units that each step leaves out
    #[arg(long, default_value_t = 0.2, value_name = "PART")]
    dropout: f64,

    /// The learning rate of Adam
    #[arg(long, default_value_t = 1e-3, value_name = "RATE")]
    lr: f64,

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
    let mut layers = vec![nn::flatten()];
    for &units in &arguments.hidden {
        let dense = Dense { init: Init::HeNormal, ..Dense::new(units) };
        layers.extend([dense.into(), nn::batch_norm(), nn::relu(), nn::dropout(arguments.dropout)]);
    }
    layers.push(nn::dense(10));
    let model = nn::sequential(layers);
    let mut out = io::stdout().lock();
    writeln!(out, "{}\n", model.summary(DType::F32, digits.sample_shape())?)?;

    let mut run = Trainer::new(model)
        .optimizer(optim::adam(arguments.lr))
        .batch_size(arguments.batch)
        .epochs(arguments.passes.epochs)
        .seed(arguments.options.seed)
        .start(&device, &digits)?;

    let history = chapter::train(&mut run, 1, &mut out)?;
    let test = run.evaluate(&digits.splits.test)?;
    writeln!(out, "{}", chapter::result("test", test.loss(), &test))?;
    if let Some(path) = &arguments.options.plot {
        pictures::accuracies("A deep network", &history).save(path)?;
    }
    Ok(())
}
