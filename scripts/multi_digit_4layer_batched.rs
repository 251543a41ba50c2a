//! Digits with two hidden layers, trained in batches: `multi_digit_3layer_batched`, one layer deeper.
//!
//! The data is standardized and the batches follow each other in the order of the file; the last one is filled up with
//! the first rows. The first 5,000 test images are "val", the last 5,000 "test".

use clap::Parser;
use neural::cli::{self, Options};
use neural::data::LastBatch;
use neural::nn::{self, Dense, Init};
use neural::optim;
use neural::train::Trainer;
use std::io::{self, Write};
use std::process::ExitCode;

/// Recognises digits with two hidden layers, in batches
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: Options,

    /// Units of the first and of the second hidden layer
    #[arg(long, default_values_t = [256, 64], num_args = 2, value_names = ["N", "N"])]
    hidden: Vec<usize>,

    /// The learning rate
    #[arg(long, default_value_t = 1.0, value_name = "RATE")]
    lr: f64,

    /// Images in a batch
    #[arg(long, default_value_t = 256, value_name = "N")]
    batch: usize,

    /// Passes over the training images
    #[arg(long, default_value_t = 10, value_name = "N")]
    epochs: u64,
}

fn main() -> ExitCode {
    cli::finish(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let device = arguments.options.open_device()?;
    let digits = arguments.options.mnist()?.standardized()?;
    let layer = |units| Dense::new(units).initialized(Init::AugmentedNormal).into();
    let mut layers = vec![nn::flatten()];
    for &units in &arguments.hidden {
        layers.extend([layer(units), nn::sigmoid()]);
    }
    layers.push(layer(10));
    let mut run = Trainer::new(nn::sequential(layers))
        .optimizer(optim::sgd(arguments.lr))
        .batch_size(arguments.batch)
        .last_batch(LastBatch::Fill)
        .shuffle(false)
        .seed(arguments.options.seed)
        .start(&device, &digits)?;

    let mut out = io::stdout().lock();
    let (val, test) = (&digits.splits.validation, &digits.splits.test);
    for epoch in 1..=arguments.epochs {
        // A look at the model after the first batch of every second epoch.
        if epoch % 2 == 0 {
            let first = run.advance(1)?[0];
            let accuracy = 100.0 * run.evaluate(val)?.accuracy().unwrap_or(0.0);
            writeln!(out, "{epoch}-0 > Loss: {}, Accuracy: {accuracy:.2}%", first.loss)?;
        }
        // The rest of the epoch is one call: its steps follow each other on the device.
        while run.epoch() < epoch {
            run.advance(run.left_in_epoch())?;
        }
    }
    let loss = run.evaluate(&digits.splits.train)?.loss();
    for (name, rows) in [("val", val), ("test", test)] {
        let accuracy = 100.0 * run.evaluate(rows)?.accuracy().unwrap_or(0.0);
        writeln!(out, "_-{name} > Loss: {loss:.5}, Accuracy: {accuracy:.2}%")?;
    }
    Ok(())
}
