//! Digits without a hidden layer: ten perceptrons, one for each digit, trained on all images at once.
//!
//! Weights start from zero, so the run is the same whatever the seed: each loss can be checked against the original's.

use clap::Parser;
use neural::cli::{self, Options, chapter, pictures};
use neural::loss::{Loss, SigmoidCrossEntropy};
use neural::nn::{self, Dense, Init};
use neural::optim;
use neural::train::Trainer;
use std::io::{self, Write};
use std::process::ExitCode;

/// Recognises digits with ten perceptrons
#[derive(Parser)]
#[command(mut_arg("plot", |plot| plot.help("Save a picture, .svg or .png: the weights of each digit's pixels")))]
struct Arguments {
    #[command(flatten)]
    options: Options,

    /// Steps of gradient descent, each over all training images
    #[arg(long, default_value_t = 200, value_name = "N")]
    iterations: u64,

    /// The learning rate; small, as pixels go from 0 to 255
    #[arg(long, default_value_t = 1e-5, value_name = "RATE")]
    lr: f64,
}

fn main() -> ExitCode {
    cli::finish(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let device = arguments.options.open_device()?;
    let digits = arguments.options.mnist()?;
    let model = nn::sequential([nn::flatten(), Dense::new(10).initialized(Init::Zeros).into()]);
    // Each digit is a separate yes-or-no question; an image's loss is the sum over the ten.
    let loss = Loss::SigmoidCrossEntropy(SigmoidCrossEntropy { sum_outputs: true, ..Default::default() });
    let mut run = Trainer::new(model)
        .loss(loss)
        .optimizer(optim::sgd(arguments.lr))
        .batch_size(digits.splits.train.len())
        .shuffle(false)
        .seed(arguments.options.seed)
        .start(&device, &digits)?;

    let mut out = io::stdout().lock();
    chapter::steps(&mut run, arguments.iterations, |iteration, loss| {
        let left = arguments.iterations - iteration;
        Ok(writeln!(out, "iteration, loss: {{{left}, {loss:?}}}")?)
    })?;
    let evaluation = run.evaluate(&chapter::held_out(&digits))?;
    writeln!(out, "{}", chapter::success(&evaluation)?)?;
    if let Some(path) = &arguments.options.plot {
        let weights = &chapter::parameters(&run)?[0];
        let names: Vec<String> = (0..10).map(|digit| digit.to_string()).collect();
        pictures::weights("What speaks for each digit", weights, &digits, &names)?.columns(5).save(path)?;
    }
    Ok(())
}
