//! Digits with a convolutional network: small windows that slide over the image, instead of one weight a pixel.
//!
//! Batch norm keeps the values between layers at mean 0 and deviation 1, and dropout makes the network spread its
//! knowledge: in training half of the outputs are left out at random.

use clap::Parser;
use neural::DType;
use neural::cli::{self, Options, Passes, chapter, pictures};
use neural::data::Scale;
use neural::nn::{self, Layer, Sequential};
use neural::optim;
use neural::train::Trainer;
use std::io::{self, Write};
use std::process::ExitCode;

/// Recognises digits with a convolutional network
#[derive(Parser)]
#[command(
    mut_arg("epochs", |epochs| epochs.default_value("20")),
    mut_arg("plot", |plot| plot.help("Save a picture, .svg or .png: the test images that were misread")),
    after_help = "Examples:
  mnist                                           all 20 epochs: a long run on a CPU
  mnist --images 6000 --epochs 3                  a quick look
  mnist --data FOLDER                             any data set in the form of MNIST, such as Fashion-MNIST"
)]
struct Arguments {
    #[command(flatten)]
    options: Options,

    /// The learning rate of Adam
    #[arg(long, default_value_t = 1e-3, value_name = "RATE")]
    lr: f64,

    /// Images in a batch
    #[arg(long, default_value_t = 32, value_name = "N")]
    batch: usize,

    #[command(flatten)]
    passes: Passes,
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
    let digits = arguments.passes.limit(arguments.options.mnist()?).scaled(Scale::Unit)?;
    let model = model();
    let mut out = io::stdout().lock();
    writeln!(out, "{}\n", model.summary(DType::F32, digits.sample_shape())?)?;

    let mut run = Trainer::new(model)
        .optimizer(optim::adam(arguments.lr))
        .batch_size(arguments.batch)
        .epochs(arguments.passes.epochs)
        .seed(arguments.options.seed)
        .start(&device, &digits)?;

    chapter::train(&mut run, 1, &mut out)?;
    let rows = &digits.splits.test;
    let test = run.evaluate(rows)?;
    writeln!(out, "{}", chapter::result("test", test.loss(), &test))?;
    if let Some(path) = &arguments.options.plot {
        pictures::misread("The surest mistakes on the test images", &digits, rows, &test, 24)?.save(path)?;
    }
    Ok(())
}
