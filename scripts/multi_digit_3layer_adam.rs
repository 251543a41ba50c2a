//! Digits with a hidden layer once more, now with the tools of a library: a table of the model, weights drawn
//! as Glorot and Bengio advise, and Adam, which gives each weight its own step size.
//!
//! The original used Axon. Its second epsilon, inside Adam's square root, is kept here.

use clap::Parser;
use neural::DType;
use neural::cli::{self, Options, Passes, chapter, pictures};
use neural::data::LastBatch;
use neural::nn;
use neural::optim::Adam;
use neural::train::Trainer;
use std::io::{self, Write};
use std::process::ExitCode;

/// Recognises digits with one hidden layer and Adam
#[derive(Parser)]
#[command(mut_arg("plot", |plot| plot.help("Save a picture, .svg or .png: accuracy over the epochs")))]
struct Arguments {
    #[command(flatten)]
    options: Options,

    /// Units of the hidden layer
    #[arg(long, default_value_t = 128, value_name = "N")]
    hidden: usize,

    /// The learning rate
    #[arg(long, default_value_t = 1e-3, value_name = "RATE")]
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
    // By default weights are Glorot-uniform and biases zero. The softmax is part of the loss.
    let model = nn::sequential([nn::flatten(), nn::dense(arguments.hidden), nn::sigmoid(), nn::dense(10)]);
    let mut out = io::stdout().lock();
    writeln!(out, "{}\n", model.summary(DType::F32, digits.sample_shape())?)?;

    let adam = Adam { learning_rate: arguments.lr.into(), epsilon_root: 1e-15, ..Adam::default() };
    let mut run = Trainer::new(model)
        .optimizer(adam)
        .batch_size(arguments.batch)
        .epochs(arguments.passes.epochs)
        .last_batch(LastBatch::Fill)
        .shuffle(false)
        .seed(arguments.options.seed)
        .start(&device, &digits)?;

    // The original counts epochs from 0.
    let history = chapter::train(&mut run, 0, &mut out)?;
    let test = run.evaluate(&digits.splits.test)?;
    writeln!(out, "{}", chapter::result("test", test.loss(), &test))?;
    if let Some(path) = &arguments.options.plot {
        pictures::accuracies("One hidden layer and Adam", &history).save(path)?;
    }
    Ok(())
}
