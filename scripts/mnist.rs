//! Digits with a convolutional network: small windows that slide over the image, in place of one weight a pixel.
//!
//! Batch norm keeps what goes from layer to layer at mean 0 and deviation 1, and dropout makes the network spread what
//! it knows: in training half of the outputs are left out at random.

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use neural::DType;
use neural::cli::{self, Options};
use neural::data::Scale;
use neural::nn::{self, Layer, Sequential};
use neural::optim;
use neural::train::{Event, Trainer};
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::process::ExitCode;

/// Recognises digits with a convolutional network
#[derive(Parser)]
#[command(after_help = "Examples:
  mnist                                           all 20 epochs: a long run on a CPU
  mnist --images 6000 --epochs 3                  a quick look
  mnist --data FOLDER                             any data set in the form of MNIST, such as Fashion-MNIST")]
struct Arguments {
    #[command(flatten)]
    options: Options,

    /// The learning rate of Adam
    #[arg(long, default_value_t = 1e-3, value_name = "RATE")]
    lr: f64,

    /// Images in a batch
    #[arg(long, default_value_t = 32, value_name = "N")]
    batch: usize,

    /// Passes over the training images
    #[arg(long, default_value_t = 20, value_name = "N")]
    epochs: u64,

    /// Train on the first N images only
    #[arg(long, value_name = "N")]
    images: Option<usize>,
}

fn main() -> ExitCode {
    cli::finish(run(&Arguments::parse()))
}

/// Two convolutions, two hidden layers, and an output for each digit.
fn model() -> Sequential {
    let block = |layer: Layer| [layer, nn::relu(), nn::batch_norm(), nn::dropout(0.5)];
    let convolutions = [block(nn::conv(16, &[3, 3])), block(nn::conv(32, &[3, 3]))].concat();
    let hidden = [block(nn::dense(512)), block(nn::dense(128))].concat();
    // The softmax is part of the loss.
    nn::sequential([convolutions, vec![nn::flatten()], hidden, vec![nn::dense(10)]].concat())
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let device = arguments.options.open_device()?;
    // Pixels from 0 to 1.
    let mut digits = arguments.options.mnist()?.scaled(Scale::Unit)?;
    digits.splits.train.truncate(arguments.images.unwrap_or(usize::MAX));
    let model = model();
    let mut out = io::stdout().lock();
    writeln!(out, "{}\n", model.summary(DType::F32, digits.sample_shape())?)?;

    let mut run = Trainer::new(model)
        .optimizer(optim::adam(arguments.lr))
        .batch_size(arguments.batch)
        .epochs(arguments.epochs)
        .seed(arguments.options.seed)
        .start(&device, &digits)?;

    // On a terminal only: in a file or a pipe the lines below say how far it is.
    let style = "epoch {prefix} {bar:30} {pos}/{len} batches, {msg}";
    let bar = ProgressBar::new(run.steps_per_epoch() as u64).with_style(ProgressStyle::with_template(style)?);
    // `fit` goes on until it is told to break off, here after each epoch.
    let one_epoch = |event: &Event| {
        match event {
            Event::Epoch(_) => return ControlFlow::Break(()),
            Event::Progress(progress) => {
                bar.set_prefix(progress.epoch.to_string());
                bar.set_message(format!(
                    "{:.0} images/s, loss {:.4}",
                    progress.samples_per_second, progress.loss
                ));
                bar.set_position(progress.step as u64);
            }
            Event::Compiled(_) => {}
        }
        ControlFlow::Continue(())
    };
    let percent = |accuracy: Option<f64>| 100.0 * accuracy.unwrap_or(0.0);
    while let Some(epoch) = run.fit(one_epoch)?.pop() {
        let (number, loss, train) = (epoch.number, epoch.loss, percent(epoch.accuracy));
        let val = percent(epoch.validation.and_then(|val| val.accuracy));
        let line = format!("Epoch {number} > Loss: {loss:.5}, Accuracy: {train:.2}% train, {val:.2}% val");
        bar.suspend(|| writeln!(out, "{line}"))?;
    }
    bar.finish_and_clear();
    let test = run.evaluate(&digits.splits.test)?;
    writeln!(out, "test > Loss: {:.5}, Accuracy: {:.2}%", test.loss(), percent(test.accuracy()))?;
    Ok(())
}
