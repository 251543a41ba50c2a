//! A U-Net (Ronneberger, Fischer and Brox, 2015) classifies each pixel of a picture as ground, square or disc. Each level
//! halves the resolution of the level above it, and joins its own features with the upsampled result of the levels below.
//! A custom layer defines a level by the levels below it.

mod made;

use clap::Parser;
use neural::cli::{self, Training};
use neural::data::{Dataset, Ignored, Splits, Targets};
use neural::graph::Tensor;
use neural::metric::{Metric, classes_of, percent};
use neural::nn::{self, Context, Conv, Module};
use neural::train::{Epoch, Event, Trainer};
use neural::{Result, optim};
use std::io::{self, Write};
use std::process::ExitCode;

/// Learns which pixels are part of a square or a disc
#[derive(Parser)]
#[command(mut_arg("epochs", |epochs| epochs.default_value("30")))]
struct Arguments {
    #[command(flatten)]
    training: Training,
}

/// Levels with these numbers of filters, the finest first.
struct Levels(&'static [usize]);

impl Module for Levels {
    fn forward(&self, x: &Tensor, cx: &mut Context) -> Result<Tensor> {
        let Some((filters, below)) = self.0.split_first() else { return Ok(x.clone()) };
        let convolution = Conv::new(*filters, &[3, 3]).same().into();
        let block = nn::sequential([convolution, nn::batch_norm(), nn::relu()]);
        let fine = cx.part("down", "block", &block, x)?;
        if below.is_empty() {
            return Ok(fine);
        }
        let half = nn::max_pool(&[2, 2]).forward(&fine, cx)?;
        let deep = cx.part("below", "levels", &Levels(below), &half)?;
        let deep = nn::upsample(&[2, 2]).forward(&deep, cx)?;
        cx.part("up", "block", &block, &Tensor::concatenate(&[&fine, &deep], 3)?)
    }
}

/// Three classes of pixels, and the characters that show them.
const CLASSES: usize = 3;
const MARKS: [&str; CLASSES] = [" .", " #", " o"];

fn main() -> ExitCode {
    cli::finish(run(&Arguments::parse().training))
}

/// Pictures, and the class of each pixel; the edges, which are marked by 255, count in nothing.
fn shapes() -> Result<Dataset> {
    let [pictures, pixels] = made::arrays(made::shapes)?;
    let targets = Targets::at_positions(&pixels, Some(Ignored::Number(255)))?;
    let splits = Splits { train: (0..192).collect(), validation: (192..240).collect(), ..Splits::default() };
    Dataset::new(pictures, targets, splits)?.standardized()
}

fn run(training: &Training) -> anyhow::Result<()> {
    let device = training.device.open()?;
    let shapes = shapes()?;
    let network = nn::sequential([nn::custom("u-net", Levels(&[8, 16, 32])), nn::conv(CLASSES, &[1, 1])]);
    let mut run = Trainer::new(network)
        .optimizer(optim::adam(0.01))
        .batch_size(16)
        .epochs(training.epochs)
        .seed(training.seed)
        .metrics([Metric::MeanIou])
        .start(&device, &shapes)?;
    let mut out = io::stdout().lock();
    while let Some(event) = run.proceed()? {
        if let Event::Epoch(Epoch { number, loss, validation, .. }) = event {
            let iou = validation.and_then(|score| score.get(Metric::MeanIou)).unwrap_or(0.0);
            writeln!(out, "Epoch {number} > Loss: {loss:.5}, Mean IoU: {} val", percent(iou))?;
        }
    }

    let unseen = &shapes.splits.validation;
    let labels = run.evaluate(unseen)?.labels().to_vec();
    let ground = labels.iter().filter(|label| **label == 0).count() as f64 / labels.len() as f64;
    writeln!(out, "Ground everywhere > Mean IoU: {}", percent(ground / CLASSES as f64))?;
    // The predicted classes of the first picture, without its edges.
    let scores = run.model()?.predict(&device, &shapes.samples(&unseen[..1])?)?;
    let side = scores.shape()[2];
    for row in classes_of(&scores.to_f64(), CLASSES).chunks(side).skip(1).take(side - 2) {
        let marks = row[1..side - 1].iter().map(|class| MARKS[*class as usize]);
        writeln!(out, "{}", marks.collect::<String>())?;
    }
    Ok(())
}
