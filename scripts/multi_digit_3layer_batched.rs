//! Digits with a hidden layer, trained in batches: the run that the original project's README shows.
//!
//! The data is standardized and the batches follow each other in the order of the file; the last one is filled up with
//! the first rows. The first 5,000 test images are "val", the last 5,000 "test". With `--raw --lr 0.01 --hidden 200
//! --every-batch` it is the original's first form: raw pixels, a line after every batch, accuracy over all 10,000.

use clap::Parser;
use neural::cli::{self, Options, Passes, chapter, pictures};
use neural::data::LastBatch;
use neural::nn::{self, Dense, Init};
use neural::optim;
use neural::train::Trainer;
use std::io::{self, Write};
use std::process::ExitCode;

/// Recognises digits with one hidden layer, in batches
#[derive(Parser)]
#[command(
    mut_arg("plot", |plot| {
        plot.help("Save a picture, .svg or .png: how often each digit of the test images was taken for each other")
    }),
    after_help = "Examples:
  multi_digit_3layer_batched                                      val 96.6 %, test 98.4 %
  multi_digit_3layer_batched --raw --lr 0.01 --hidden 200 --every-batch"
)]
struct Arguments {
    #[command(flatten)]
    options: Options,

    /// Units of the hidden layer
    #[arg(long, default_value_t = 128, value_name = "N")]
    hidden: usize,

    /// The learning rate
    #[arg(long, default_value_t = 1.0, value_name = "RATE")]
    lr: f64,

    /// Images in a batch
    #[arg(long, default_value_t = 256, value_name = "N")]
    batch: usize,

    #[command(flatten)]
    passes: Passes,

    /// Pixels as they are, from 0 to 255, instead of standardized
    #[arg(long)]
    raw: bool,

    /// A line after every batch, with the accuracy over all test images
    #[arg(long)]
    every_batch: bool,
}

fn main() -> ExitCode {
    cli::finish(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let device = arguments.options.open_device()?;
    let digits = arguments.passes.limit(arguments.options.mnist()?);
    let digits = if arguments.raw { digits } else { digits.standardized()? };
    let (val, test, both) = (&digits.splits.validation, &digits.splits.test, chapter::held_out(&digits));

    let layer = |units| Dense::new(units).initialized(Init::AugmentedNormal).into();
    let model = nn::sequential([nn::flatten(), layer(arguments.hidden), nn::sigmoid(), layer(10)]);
    let mut run = Trainer::new(model)
        .optimizer(optim::sgd(arguments.lr))
        .batch_size(arguments.batch)
        .last_batch(LastBatch::Fill)
        .shuffle(false)
        .seed(arguments.options.seed)
        .start(&device, &digits)?;

    let mut out = io::stdout().lock();
    for epoch in 1..=arguments.passes.epochs {
        while run.epoch() < epoch {
            // The loss is of the batch just trained on, the accuracy of the model after it.
            let batch = run.steps_per_epoch() - run.left_in_epoch();
            let reported = arguments.every_batch || (batch == 0 && epoch % 2 == 0);
            let steps = if reported { 1 } else { run.left_in_epoch() };
            let last = run.advance(steps)?[0];
            if reported {
                let rows = if arguments.every_batch { &both } else { val };
                let accuracy = 100.0 * run.evaluate(rows)?.accuracy().unwrap_or(0.0);
                writeln!(out, "{epoch}-{batch} > Loss: {}, Accuracy: {accuracy:.2}%", last.loss)?;
            }
        }
    }
    let loss = run.evaluate(&digits.splits.train)?.loss();
    let parts: &[(&str, &[u32])] =
        if arguments.every_batch { &[("_-_", &both)] } else { &[("_-val", val), ("_-test", test)] };
    for (name, rows) in parts {
        writeln!(out, "{}", chapter::result(name, loss, &run.evaluate(rows)?))?;
    }
    if let Some(path) = &arguments.options.plot {
        pictures::confusion("All test images", &digits, &run.evaluate(&both)?)?.save(path)?;
    }
    Ok(())
}
