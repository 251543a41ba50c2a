//! How many images before a step? The same network from the same first weights, trained with batches of several sizes.
//!
//! A large batch gives an exact gradient, but few steps in an epoch; small ones give many steps, each less exact, and
//! cost more time an image, because a processor is most efficient on large batches.

use clap::Parser;
use neural::cli::{self, Options, Passes, chapter, pictures};
use neural::nn;
use neural::optim;
use neural::train::Trainer;
use std::io::{self, Write};
use std::process::ExitCode;

/// Trains the same network with batches of several sizes
#[derive(Parser)]
#[command(
    mut_arg("images", |images| images.default_value("10000")),
    mut_arg("plot", |plot| plot.help("Save a picture, .svg or .png: the loss over the time for each size")),
    after_help = "Examples:
  batch_size --plot sizes.svg
  batch_size --batch 1 16 --images 2000
  batch_size --lr 1"
)]
struct Arguments {
    #[command(flatten)]
    options: Options,

    /// Images in a batch; a size above the number of images takes all of them
    #[arg(long, num_args = 1.., default_values_t = [8, 64, 512, 10_000], value_name = "N")]
    batch: Vec<usize>,

    /// The learning rate of plain gradient descent
    #[arg(long, default_value_t = 0.2, value_name = "RATE")]
    lr: f64,

    #[command(flatten)]
    passes: Passes,
}

fn main() -> ExitCode {
    cli::finish(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let device = arguments.options.open_device()?;
    let digits = arguments.passes.limit(arguments.options.mnist()?).standardized()?;
    let images = digits.splits.train.len();
    let trainer = |&size: &usize| {
        let size = size.min(images);
        let model = nn::sequential([nn::flatten(), nn::dense(128), nn::sigmoid(), nn::dense(10)]);
        let trainer = Trainer::new(model)
            .optimizer(optim::sgd(arguments.lr))
            .batch_size(size)
            .epochs(arguments.passes.epochs)
            .seed(arguments.options.seed);
        (format!("batches of {size}"), trainer)
    };
    let mut out = io::stdout().lock();
    let trainers = arguments.batch.iter().map(trainer).collect();
    let curves = chapter::compare(&device, &digits, trainers, &mut out)?;
    for ((name, history), &size) in curves.iter().zip(&arguments.batch) {
        let steps = images.div_ceil(size.min(images)) * history.len();
        let seconds = history.last().map_or(0.0, |last| last.seconds);
        writeln!(out, "{name}: {steps} steps in {seconds:.2} s")?;
    }
    if let Some(path) = &arguments.options.plot {
        pictures::compared("The same images, in small and in large batches", &curves, |f| {
            (f.seconds, f.loss)
        })
        .log_x()
        .x_label("seconds of training")
        .y_label("loss in training")
        .save(path)?;
    }
    Ok(())
}
