//! Is it a 5? One perceptron looks at an image and answers yes or no.
//!
//! It is the logistic regression of `police` over 784 columns, one for each pixel. Weights start from zero, so the run
//! is the same whatever the seed.

use anyhow::Context as _;
use clap::Parser;
use neural::Array;
use neural::cli::{self, Options};
use neural::data::{Dataset, Targets};
use neural::loss;
use neural::nn::{self, Dense, Init};
use neural::optim;
use neural::train::Trainer;
use std::io::{self, Write};
use std::process::ExitCode;

/// Tells one digit from all others with one perceptron
#[derive(Parser)]
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
    // 1 where the image is of the digit, 0 where it is of another.
    let labels = digits.targets.labels().context("the labels are no classes")?;
    let is_digit: Vec<i32> = labels.iter().map(|&label| i32::from(label == arguments.digit)).collect();
    let values = is_digit.iter().map(|&yes| yes as f32).collect();
    let targets = Targets::Values(Array::new(&[is_digit.len(), 1], values)?);
    let images = Dataset { targets, ..digits };

    let model = nn::sequential([nn::flatten(), Dense::new(1).initialized(Init::Zeros).into()]);
    let mut run = Trainer::new(model)
        .loss(loss::sigmoid_cross_entropy())
        .optimizer(optim::sgd(arguments.lr))
        .batch_size(images.splits.train.len())
        .shuffle(false)
        .seed(arguments.options.seed)
        .start(&device, &images)?;

    let mut out = io::stdout().lock();
    for left in (1..=arguments.iterations).rev() {
        let loss = run.advance(1)?[0].loss;
        writeln!(out, "iteration, loss: {{{left}, {loss:?}}}")?;
    }
    let all = [&images.splits.validation[..], &images.splits.test].concat();
    let predicted = run.evaluate(&all)?.predicted();
    let right = all.iter().zip(predicted).filter(|&(&row, yes)| is_digit[row as usize] == yes).count();
    let total = all.len();
    writeln!(out, "Success: {right}/{total} ({:.2}%)", 100.0 * right as f64 / total as f64)?;
    Ok(())
}
