//! Photographs with a convolutional network: ten kinds of things in 60,000 small pictures in colour.
//!
//! The network of `mnist` on three channels instead of one, with larger hidden layers.

use clap::Parser;
use neural::DType;
use neural::cli::{self, Options, Passes, chapter, pictures};
use neural::data::cifar::{self, Cifar};
use neural::data::{Dataset, Scale};
use neural::nn::{self, Layer, Sequential};
use neural::optim;
use neural::train::Trainer;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

/// Recognises what is in a small photograph with a convolutional network
#[derive(Parser)]
#[command(
    mut_arg("data", |data| {
        data.default_value("data/cifar-10-batches-bin").help("The folder of CIFAR-10's binary batches")
    }),
    mut_arg("epochs", |epochs| epochs.default_value("20")),
    mut_arg("plot", |plot| {
        plot.help("Save a picture, .svg or .png: how often each class of the test images was taken for each other")
    }),
    after_help = "The data is cifar-10-binary.tar.gz of https://www.cs.toronto.edu/~kriz/cifar.html, unpacked.

Examples:
  cifar10 --data FOLDER                           all 20 epochs: a long run on a CPU
  cifar10 --images 5000 --epochs 3                a quick look"
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

/// Two convolutions, two hidden layers, and an output for each class.
fn model() -> Sequential {
    let block = |layer: Layer| [layer, nn::relu(), nn::batch_norm(), nn::dropout(0.5)];
    let convolutions = [block(nn::conv(16, &[3, 3])), block(nn::conv(32, &[3, 3]))].concat();
    let hidden = [block(nn::dense(1000)), block(nn::dense(512))].concat();
    // The softmax is part of the loss.
    nn::sequential([convolutions, vec![nn::flatten()], hidden, vec![nn::dense(10)]].concat())
}

fn read(folder: &Path) -> anyhow::Result<Dataset> {
    anyhow::ensure!(
        folder.is_dir(),
        "there is no folder {}: get cifar-10-binary.tar.gz from https://www.cs.toronto.edu/~kriz/cifar.html, \
         unpack it, and name its folder with --data",
        folder.display()
    );
    Ok(cifar::read(folder, Cifar::Ten)?.halve_test())
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let device = arguments.options.open_device()?;
    // Pixels from 0 to 1.
    let photos = arguments.passes.limit(read(&arguments.options.data)?).scaled(Scale::Unit)?;
    let model = model();
    let mut out = io::stdout().lock();
    writeln!(out, "{}\n", model.summary(DType::F32, photos.sample_shape())?)?;

    let mut run = Trainer::new(model)
        .optimizer(optim::adam(arguments.lr))
        .batch_size(arguments.batch)
        .epochs(arguments.passes.epochs)
        .seed(arguments.options.seed)
        .start(&device, &photos)?;

    chapter::train(&mut run, 1, &mut out)?;
    let test = run.evaluate(&photos.splits.test)?;
    writeln!(out, "{}", chapter::result("test", test.loss(), &test))?;
    if let Some(path) = &arguments.options.plot {
        pictures::confusion("The test images", &photos, &test)?.save(path)?;
    }
    Ok(())
}
