//! Photographs with a convolutional network: ten kinds of things in 60,000 small pictures in colour.
//!
//! The network of `mnist` on three channels instead of one, with larger hidden layers.

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use neural::DType;
use neural::cli::{self, Options};
use neural::data::cifar::{self, Cifar};
use neural::data::{Dataset, Scale};
use neural::nn::{self, Layer, Sequential};
use neural::optim;
use neural::train::{Event, Trainer};
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;

/// Recognises what is in a small photograph with a convolutional network
#[derive(Parser)]
#[command(
    mut_arg("data", |data| {
        data.default_value("data/cifar-10-batches-bin").help("The folder of CIFAR-10's binary batches")
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

    /// Pictures in a batch
    #[arg(long, default_value_t = 32, value_name = "N")]
    batch: usize,

    /// Passes over the training pictures
    #[arg(long, default_value_t = 20, value_name = "N")]
    epochs: u64,

    /// Train on the first N pictures only
    #[arg(long, value_name = "N")]
    images: Option<usize>,
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
    // Pixels from 0 to 1.
    Ok(cifar::read(folder, Cifar::Ten)?.scaled(Scale::Unit)?)
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let device = arguments.options.open_device()?;
    let mut pictures = read(&arguments.options.data)?;
    pictures.splits.train.truncate(arguments.images.unwrap_or(usize::MAX));
    let model = model();
    let mut out = io::stdout().lock();
    writeln!(out, "{}\n", model.summary(DType::F32, pictures.sample_shape())?)?;

    let mut run = Trainer::new(model)
        .optimizer(optim::adam(arguments.lr))
        .batch_size(arguments.batch)
        .epochs(arguments.epochs)
        .seed(arguments.options.seed)
        .start(&device, &pictures)?;

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
                    "{:.0} pictures/s, loss {:.4}",
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
    let test = run.evaluate(&pictures.splits.test)?;
    writeln!(out, "test > Loss: {:.5}, Accuracy: {:.2}%", test.loss(), percent(test.accuracy()))?;
    Ok(())
}
