//! Trains one of the jobs and prints the seconds of every epoch as a line of JSON.
//!
//! `cargo bench --bench step -- cnn --steps 8`; benches/compare runs it beside the peers.

mod jobs;

use clap::Parser;
use jobs::{Job, Sizes};
use neural::cli::DeviceArguments;
use neural::data::{self, Dataset, Splits, Targets};
use neural::train::{Event, Trainer};
use neural::{Array, Result};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

#[derive(Parser)]
struct Arguments {
    job: Job,
    /// The folder of the data
    #[arg(long, default_value = "data/mnist")]
    data: PathBuf,
    /// Rows of noise instead of those in the folder
    #[arg(long)]
    noise: Option<usize>,
    #[arg(long, default_value_t = 10)]
    epochs: u64,
    /// Steps in an epoch, instead of one pass over all rows
    #[arg(long)]
    steps: Option<usize>,
    #[command(flatten)]
    sizes: Sizes,
    /// Copies of the image, one beside the other
    #[arg(long, default_value_t = 1)]
    channels: usize,
    #[command(flatten)]
    device: DeviceArguments,
    /// bf16 inside the layers
    #[arg(long)]
    bf16: bool,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// Pictures of as many equal channels.
fn copied(data: Dataset, channels: usize) -> Result<Dataset> {
    let pixels = data.inputs.bytes().iter().flat_map(|&pixel| std::iter::repeat_n(pixel, channels)).collect();
    let inputs = Array::new::<u8>(&[data.rows(), 28, 28, channels], pixels)?;
    Ok(Dataset { inputs, ..data })
}

/// The files that benches/peers/job.py writes.
fn table(folder: &Path) -> Result<Dataset> {
    let read = |name: &str| data::npy::read(folder.join(name));
    let (train, test) = (read("train_inputs.npy")?, read("test_inputs.npy")?);
    let (count, rows) = (train.shape()[0], train.shape()[0] + test.shape()[0]);
    let bytes = [train.bytes(), test.bytes()].concat();
    let inputs = Array::from_bytes(train.dtype(), &[rows, train.shape()[1]], bytes)?;
    let labels = [read("train_labels.npy")?.to_vec()?, read("test_labels.npy")?.to_vec()?].concat();
    let (count, rows) = (count as u32, rows as u32);
    let splits =
        Splits { train: (0..count).collect(), validation: Vec::new(), test: (count..rows).collect() };
    Dataset::new(inputs, Targets::numbered(labels)?, splits)
}

fn main() -> Result<()> {
    let Arguments { job, data, noise, epochs, steps, sizes, channels, device, bf16, .. } = Arguments::parse();
    let device = device.open()?;
    let mut data = match (noise, job) {
        (Some(rows), _) => job.noise(rows)?,
        (None, Job::Table) => table(&data)?,
        (None, _) if channels == 1 => data::mnist(&data)?.standardized()?,
        (None, _) => copied(data::mnist(&data)?, channels)?.standardized()?,
    };
    let batch = job.batch(&sizes);
    if let Some(steps) = steps {
        data.splits.train.truncate(steps * batch);
    }
    let test = [std::mem::take(&mut data.splits.validation), std::mem::take(&mut data.splits.test)].concat();
    let trainer = Trainer::new(job.model(&sizes)).mixed_precision(bf16);
    let mut run =
        trainer.optimizer(job.optimizer()).batch_size(batch).epochs(epochs).start(&device, &data)?;
    let (mut compile, mut seconds) = (0.0, Vec::new());
    let mut started = Instant::now();
    run.fit(|event| {
        match event {
            Event::Compiled(program) => compile += program.time.as_secs_f64(),
            Event::Epoch(_) => {
                seconds.push(started.elapsed().as_secs_f64());
                started = Instant::now();
            }
            _ => {}
        }
        ControlFlow::Continue(())
    })?;
    let accuracy = if test.is_empty() { None } else { run.evaluate(&test)?.accuracy() };
    let said = serde_json::json!({
        "version": env!("CARGO_PKG_VERSION"),
        "epoch_s": seconds,
        "steps": run.steps_per_epoch(),
        "accuracy": accuracy,
        "compile_s": compile,
    });
    println!("{said}");
    Ok(())
}
