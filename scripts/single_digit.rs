//! Is it a 5? One perceptron looks at an image and answers yes or no.
//!
//! It is the logistic regression of `police` over 784 columns, one for each pixel. Weights start from zero, so the run
//! is the same whatever the seed.

use clap::Parser;
use neural::cli::{self, Options, chapter, pictures};
use neural::data::Dataset;
use neural::loss;
use neural::nn::{self, Dense, Init};
use neural::optim;
use neural::train::Trainer;
use std::io::{self, Write};
use std::process::ExitCode;

/// Tells one digit from all others with one perceptron
#[derive(Parser)]
#[command(mut_arg("plot", |plot| plot.help("Save a picture, .svg or .png: the weight of each pixel")))]
struct Arguments {
    #[command(flatten)]
    options: Options,

    /// The digit to recognise
    #[arg(long, default_value_t = 5, value_name = "DIGIT", value_parser = clap::value_parser!(i32).range(0..10))]
    digit: i32,

    /// Steps of gradient descent, each over all training images
    #[arg(long, default_value_t = 100, value_name = "N")]
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
    // Two classes: 1 where the image is of the digit, 0 where it is of another.
    let digit = arguments.digit.to_string();
    let images = Dataset { targets: digits.targets.one_vs_rest(&digit)?, ..digits };

    let model = nn::sequential([nn::flatten(), Dense::new(1).initialized(Init::Zeros).into()]);
    let mut run = Trainer::new(model)
        .loss(loss::sigmoid_cross_entropy())
        .optimizer(optim::sgd(arguments.lr))
        .batch_size(images.splits.train.len())
        .shuffle(false)
        .seed(arguments.options.seed)
        .start(&device, &images)?;

    let mut out = io::stdout().lock();
    chapter::steps(&mut run, arguments.iterations, |iteration, loss| {
        let left = arguments.iterations - iteration;
        Ok(writeln!(out, "iteration, loss: {{{left}, {loss:?}}}")?)
    })?;
    let evaluation = run.evaluate(&chapter::held_out(&images))?;
    writeln!(out, "{}", chapter::success(&evaluation)?)?;
    if let Some(path) = &arguments.options.plot {
        let weights = &chapter::parameters(&run)?[0];
        pictures::weights("What speaks for the digit", weights, &images, &[digit])?.save(path)?;
    }
    Ok(())
}
