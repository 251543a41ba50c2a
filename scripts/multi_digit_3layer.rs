//! Digits with a hidden layer, trained on all images at once: 10,000 steps of gradient descent.

use clap::Parser;
use neural::cli::{self, Options, chapter, pictures};
use neural::nn::{self, Dense, Init};
use neural::optim;
use neural::train::Trainer;
use std::io::{self, Write};
use std::process::ExitCode;

/// Recognises digits with one hidden layer, over all training images in each step
#[derive(Parser)]
#[command(mut_arg("plot", |plot| plot.help("Save a picture, .svg or .png: the loss over the steps")))]
struct Arguments {
    #[command(flatten)]
    options: Options,

    /// Steps of gradient descent; 10,000 take the better part of an hour on two cores
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    iterations: u64,

    /// Units of the hidden layer
    #[arg(long, default_value_t = 200, value_name = "N")]
    hidden: usize,

    /// The learning rate; small, as pixels go from 0 to 255
    #[arg(long, default_value_t = 0.01, value_name = "RATE")]
    lr: f64,
}

fn main() -> ExitCode {
    cli::finish(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let device = arguments.options.open_device()?;
    let digits = arguments.options.mnist()?;
    let layer = |units| Dense::new(units).initialized(Init::AugmentedNormal).into();
    let model = nn::sequential([nn::flatten(), layer(arguments.hidden), nn::sigmoid(), layer(10)]);
    let mut run = Trainer::new(model)
        .optimizer(optim::sgd(arguments.lr))
        .batch_size(digits.splits.train.len())
        .shuffle(false)
        .seed(arguments.options.seed)
        .start(&device, &digits)?;

    let mut out = io::stdout().lock();
    let losses = chapter::steps(&mut run, arguments.iterations, |iteration, loss| {
        Ok(writeln!(out, "Iteration {iteration} => Loss: {loss}")?)
    })?;
    let evaluation = run.evaluate(&chapter::held_out(&digits))?;
    writeln!(out, "{}", chapter::success(&evaluation)?)?;
    if let Some(path) = &arguments.options.plot {
        pictures::losses("Steps over all training images", &losses).save(path)?;
    }
    Ok(())
}
