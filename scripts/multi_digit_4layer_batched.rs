//! Digits with two hidden layers, trained in batches: `multi_digit_3layer_batched`, one layer deeper.
//!
//! The data is standardized and the batches follow each other in the order of the file; the last one is filled up with
//! the first rows. The first 5,000 test images are "val", the last 5,000 "test".

use clap::Parser;
use neural::cli::{self, Options, Passes, chapter, pictures};
use neural::data::LastBatch;
use neural::nn::{self, Dense, Init};
use neural::optim;
use neural::train::Trainer;
use std::io::{self, Write};
use std::process::ExitCode;

/// Recognises digits with two hidden layers, in batches
#[derive(Parser)]
#[command(mut_arg("plot", |plot| plot.help("Save a picture, .svg or .png: the test images that were misread")))]
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

    #[command(flatten)]
    passes: Passes,
}

fn main() -> ExitCode {
    cli::finish(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let device = arguments.options.open_device()?;
    let digits = arguments.passes.limit(arguments.options.mnist()?).standardized()?;
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
    for epoch in 1..=arguments.passes.epochs {
        // The model is evaluated after the first batch of every second epoch.
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
    for (name, rows) in [("_-val", val), ("_-test", test)] {
        writeln!(out, "{}", chapter::result(name, loss, &run.evaluate(rows)?))?;
    }
    if let Some(path) = &arguments.options.plot {
        let rows = chapter::held_out(&digits);
        let title = "The surest mistakes on the test images";
        pictures::misread(title, &digits, &rows, &run.evaluate(&rows)?, 24)?.save(path)?;
    }
    Ok(())
}
