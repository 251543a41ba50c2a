//! Digits with a hidden layer once more, now with what a library brings along: a table of the model, weights drawn
//! as Glorot and Bengio advise, and Adam, which gives each weight a step size of its own.
//!
//! The original wrote it with Axon. Its second epsilon, inside of Adam's square root, is kept here.

use clap::Parser;
use neural::DType;
use neural::cli::{self, Options};
use neural::data::LastBatch;
use neural::nn;
use neural::optim::Rule;
use neural::train::{Event, Trainer};
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::process::ExitCode;

/// Recognises digits with one hidden layer and Adam
#[derive(Parser)]
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
    // Weights are Glorot-uniform and biases zero where nothing else is said. The softmax is part of the loss.
    let model = nn::sequential([nn::flatten(), nn::dense(arguments.hidden), nn::sigmoid(), nn::dense(10)]);
    let mut out = io::stdout().lock();
    writeln!(out, "{}\n", model.summary(DType::F32, digits.sample_shape())?)?;

    let adam = Rule::Adam {
        learning_rate: arguments.lr.into(),
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
        epsilon_root: 1e-15,
        weight_decay: 0.0,
    };
    let mut run = Trainer::new(model)
        .optimizer(adam)
        .batch_size(arguments.batch)
        .epochs(arguments.epochs)
        .last_batch(LastBatch::Fill)
        .shuffle(false)
        .seed(arguments.options.seed)
        .start(&device, &digits)?;

    // `fit` goes on until it is told to break off, here after each epoch.
    let one_epoch = |event: &Event| match event {
        Event::Epoch(_) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let percent = |accuracy: Option<f64>| 100.0 * accuracy.unwrap_or(0.0);
    while let Some(epoch) = run.fit(one_epoch)?.pop() {
        let val = epoch.validation.and_then(|val| val.accuracy);
        writeln!(
            out,
            "Epoch {} > Loss: {:.5}, Accuracy: {:.2}% train, {:.2}% val",
            epoch.number - 1,
            epoch.loss,
            percent(epoch.accuracy),
            percent(val)
        )?;
    }
    let test = run.evaluate(&digits.splits.test)?;
    writeln!(out, "test > Loss: {:.5}, Accuracy: {:.2}%", test.loss(), percent(test.accuracy()))?;
    Ok(())
}
