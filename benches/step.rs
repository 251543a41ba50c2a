//! Milliseconds a training step of the two jobs that peers are measured on, as one line of JSON.
//!
//! `cargo bench --bench step -- cnn`; benches/compare runs it beside the peers.

use clap::{Parser, ValueEnum};
use neural::data::{Dataset, Splits, Targets};
use neural::nn::{self, Sequential};
use neural::optim::sgd;
use neural::runtime::{Device, DeviceSpec};
use neural::train::Trainer;
use neural::{Array, Result};
use std::time::Instant;

#[derive(Clone, Copy, ValueEnum)]
enum Job {
    /// 784-128 sigmoid-10
    Mlp,
    /// Two convolutions of 3 x 3 with pools, two dense layers
    Cnn,
}

#[derive(Parser)]
struct Arguments {
    job: Job,
    #[arg(long, default_value_t = 256)]
    batch: usize,
    /// Steps in one call of the device
    #[arg(long, default_value_t = 8)]
    steps: usize,
    /// Timed calls, after two that are not
    #[arg(long, default_value_t = 10)]
    calls: usize,
    /// Units of the hidden layer, filters of the first convolution
    #[arg(long)]
    width: Option<usize>,
    #[arg(long, default_value = "auto")]
    device: String,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn model(job: Job, width: Option<usize>) -> Sequential {
    match job {
        Job::Mlp => {
            nn::sequential([nn::flatten(), nn::dense(width.unwrap_or(128)), nn::sigmoid(), nn::dense(10)])
        }
        Job::Cnn => {
            let filters = width.unwrap_or(32);
            nn::sequential([
                nn::conv(filters, &[3, 3]),
                nn::relu(),
                nn::max_pool(&[2, 2]),
                nn::conv(2 * filters, &[3, 3]),
                nn::relu(),
                nn::max_pool(&[2, 2]),
                nn::flatten(),
                nn::dense(64),
                nn::relu(),
                nn::dense(10),
            ])
        }
    }
}

/// Images of noise in ten classes: speed does not depend on what is learned.
fn noise(rows: usize) -> Result<Dataset> {
    let pixels =
        (0..rows * 784).map(|i| ((i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
    let inputs = Array::new::<u8>(&[rows, 28, 28, 1], pixels)?;
    let targets = Targets::numbered((0..rows).map(|i| (i % 10) as i32).collect())?;
    let splits = Splits { train: (0..rows as u32).collect(), validation: Vec::new(), test: Vec::new() };
    Dataset::new(inputs, targets, splits)?.standardized()
}

fn main() -> Result<()> {
    let Arguments { job, batch, steps, calls, width, device, .. } = Arguments::parse();
    let device = Device::open(&device.parse::<DeviceSpec>()?)?;
    let data = noise(batch * steps)?;
    let mut run = Trainer::new(model(job, width))
        .optimizer(sgd(0.01))
        .batch_size(batch)
        .steps_per_call(steps)
        .start(&device, &data)?;
    run.compile_training(steps)?;
    let compile: f64 = run.take_compiled().iter().map(|compiled| compiled.time.as_secs_f64()).sum();
    let mut times = Vec::new();
    for call in 0..calls + 2 {
        let started = Instant::now();
        run.advance(steps)?;
        if call >= 2 {
            times.push(started.elapsed().as_secs_f64() * 1e3 / steps as f64);
        }
    }
    println!("{}", serde_json::json!({ "ms": times, "compile_s": compile }));
    Ok(())
}
