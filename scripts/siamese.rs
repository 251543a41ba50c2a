//! Do two images show the same digit? A siamese network maps each of the two to a point, with the same weights; a
//! contrastive loss (Hadsell, Chopra and LeCun, 2006) pulls the points of a digit together and pushes others apart.

use clap::Parser;
use neural::cli::{self, Options, Passes};
use neural::data::{Dataset, LastBatch, Shuffle, epoch_order};
use neural::graph::{Tensor, Type};
use neural::nn::{self, Context, Module};
use neural::train::FunctionTrainer;
use neural::{Array, DType, Result, optim};
use std::io::{self, Write};
use std::process::ExitCode;

/// Learns to tell whether two images show the same digit
#[derive(Parser)]
#[command(mut_arg("plot", |plot| plot.hide(true)))]
struct Arguments {
    #[command(flatten)]
    options: Options,

    #[command(flatten)]
    passes: Passes,

    /// Pairs in a batch
    #[arg(long, default_value_t = 64, value_name = "N")]
    batch: usize,
}

/// How far apart the points of two digits should be.
const MARGIN: f64 = 1.0;

fn main() -> ExitCode {
    cli::finish(run(&Arguments::parse()))
}

/// The distance between the points of two images `u8[pairs, 28, 28, 1]`, squared.
fn squared_distance(a: &Tensor, b: &Tensor, cx: &mut Context) -> Result<Tensor> {
    let network = nn::sequential([nn::flatten(), nn::dense(128), nn::relu(), nn::dense(16)]);
    let [a, b] = [a, b].map(|images| network.forward(&(images.convert(DType::F32)? / 255.0)?, cx));
    (a? - b?)?.square()?.sum(&[1])
}

/// d² of equal digits, max(0, margin - d)² of others.
fn contrastive(squared: &Tensor, same: &Tensor) -> Result<Tensor> {
    // The root has no slope at 0.
    let distance = (squared + 1e-12)?.sqrt()?;
    let zero = same.full_like(0.0)?;
    let missing = (distance.neg()? + MARGIN)?.maximum(&zero)?;
    same.gt(&zero)?.select(squared, &missing.square()?)?.mean_all()
}

/// Two images for each pair, and whether they show the same digit: about half of them do.
fn pairs(digits: &Dataset, rows: &[u32], batch: usize, shuffle: Shuffle) -> anyhow::Result<[Array; 3]> {
    let labels = digits.targets.labels().unwrap_or(&[]);
    let label = |row: u32| labels[row as usize];
    let order = epoch_order(rows, batch, LastBatch::Drop, Some(shuffle))?;
    // The next image of the same digit, and the image next in the order.
    let mut sorted = order.rows.clone();
    sorted.sort_by_key(|&row| label(row));
    let next = |list: &[u32]| -> std::collections::HashMap<u32, u32> {
        list.iter().copied().zip(list.iter().copied().cycle().skip(1)).collect()
    };
    let (alike, any) = (next(&sorted), next(&order.rows));
    let other = |(i, row): (usize, &u32)| if i % 2 == 0 { alike[row] } else { any[row] };
    let others: Vec<u32> = order.rows.iter().enumerate().map(other).collect();
    let same = order.rows.iter().zip(&others).map(|(&a, &b)| f32::from(label(a) == label(b)));
    let same = Array::new(&[order.steps(), batch], same.collect())?;
    let images = |rows: &[u32]| digits.samples(rows)?.reshape(&[order.steps(), batch, 28, 28, 1]);
    Ok([images(&order.rows)?, images(&others)?, same])
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Arguments { options, passes, batch } = arguments;
    let device = options.open_device()?;
    let digits = passes.limit(options.mnist()?);
    let images = Type::new(DType::U8, &[*batch, 28, 28, 1]);
    let types = [images.clone(), images, Type::new(DType::F32, &[*batch])];
    let mut run = FunctionTrainer::new(&types, |cx, inputs| {
        let squared = squared_distance(&inputs[0], &inputs[1], cx)?;
        Ok(vec![contrastive(&squared, &inputs[2])?])
    })
    .optimizer(optim::adam(1e-3))
    .seed(options.seed)
    .start(&device)?;
    let predictor =
        run.predictor(&types[..2], |cx, inputs| Ok(vec![squared_distance(&inputs[0], &inputs[1], cx)?]))?;

    let mut out = io::stdout().lock();
    for epoch in 0..passes.epochs {
        let shuffle = Shuffle { seed: options.seed, epoch };
        let loss = run.means(&pairs(&digits, &digits.splits.train, *batch, shuffle)?)?[0];
        writeln!(out, "Epoch {} > Loss: {loss:.5}", epoch + 1)?;
    }

    let [a, b, same] = pairs(&digits, &digits.splits.test, *batch, Shuffle { seed: options.seed, epoch: 0 })?;
    let squared = run.predict_each(&predictor, &[a, b])?[0].to_f64();
    let is_near = squared.iter().map(|squared| squared.sqrt() < MARGIN / 2.0);
    let right = is_near.zip(same.to_f64()).filter(|(near, same)| *near == (*same > 0.0)).count();
    let total = squared.len();
    writeln!(out, "test > {right} of {total} pairs right ({:.2}%)", 100.0 * right as f64 / total as f64)?;
    Ok(())
}
