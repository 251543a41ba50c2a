//! The common parts of the peers in Rust: the command line, the data, and the output.

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use flate2::read::GzDecoder;
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Instant;

#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub enum Job {
    Mlp,
    Cnn,
    Table,
}

#[derive(Parser)]
pub struct Arguments {
    pub job: Job,
    /// The folder of the data
    #[arg(long)]
    data: PathBuf,
    #[arg(long, default_value_t = 10)]
    epochs: usize,
    /// Steps in an epoch, instead of one pass over all rows
    #[arg(long)]
    steps: Option<usize>,
    #[arg(long)]
    batch: Option<usize>,
    /// Units of the first dense layer, filters of the first convolution
    #[arg(long)]
    width: Option<usize>,
}

impl Arguments {
    #[must_use]
    pub fn width(&self) -> usize {
        self.width.unwrap_or(if self.job == Job::Cnn { 32 } else { 128 })
    }

    /// How many of `rows` an epoch visits.
    fn rows(&self, rows: usize) -> usize {
        self.steps.map_or(rows, |steps| rows.min(steps * self.batch()))
    }

    fn batch(&self) -> usize {
        self.batch.unwrap_or(if self.job == Job::Table { 512 } else { 256 })
    }
}

/// Rows of `features` numbers, each with its class.
pub struct Rows {
    pub features: usize,
    pub inputs: Vec<f32>,
    pub labels: Vec<u32>,
}

impl Rows {
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }
}

pub struct Data {
    pub train: Rows,
    pub test: Rows,
}

impl Data {
    /// # Errors
    /// When a file cannot be read.
    pub fn read(arguments: &Arguments) -> Result<Self> {
        let folder = &arguments.data;
        if arguments.job == Job::Table {
            return Ok(Self { train: table(folder, "train")?, test: table(folder, "test")? });
        }
        let (mut train, mut test) = (digits(folder, "train")?, digits(folder, "t10k")?);
        let count = train.inputs.len() as f64;
        let mean = train.inputs.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
        let variance = train.inputs.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / count;
        for x in train.inputs.iter_mut().chain(&mut test.inputs) {
            *x = (*x - mean as f32) / variance.sqrt() as f32;
        }
        Ok(Self { train, test })
    }
}

/// The images and labels of a pair of MNIST's files.
fn digits(folder: &Path, part: &str) -> Result<Rows> {
    let contents = |name: String, header: usize| -> Result<Vec<u8>> {
        let path = folder.join(name);
        let mut bytes = Vec::new();
        let file = File::open(&path).with_context(|| path.display().to_string())?;
        GzDecoder::new(file).read_to_end(&mut bytes)?;
        Ok(bytes.split_off(header))
    };
    let inputs = contents(format!("{part}-images-idx3-ubyte.gz"), 16)?;
    let labels = contents(format!("{part}-labels-idx1-ubyte.gz"), 8)?;
    Ok(Rows {
        features: 784,
        inputs: inputs.into_iter().map(f32::from).collect(),
        labels: labels.into_iter().map(u32::from).collect(),
    })
}

/// The rows of a pair of NPY files, f32 and i32.
fn table(folder: &Path, part: &str) -> Result<Rows> {
    let contents = |name: &str| -> Result<Vec<[u8; 4]>> {
        let path = folder.join(format!("{part}_{name}.npy"));
        let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
        let header = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
        Ok(bytes[header..].as_chunks().0.to_vec())
    };
    let inputs: Vec<f32> = contents("inputs")?.into_iter().map(f32::from_le_bytes).collect();
    let labels: Vec<u32> = contents("labels")?.into_iter().map(u32::from_le_bytes).collect();
    Ok(Rows { features: inputs.len() / labels.len(), inputs, labels })
}

/// Trains `model` with a call of `step` for each batch; returns it with the seconds of each epoch.
///
/// # Errors
/// The errors of `step`.
pub fn epochs<M>(
    arguments: &Arguments,
    rows: usize,
    mut model: M,
    mut step: impl FnMut(M, &[u32]) -> Result<M>,
) -> Result<(M, Vec<f64>)> {
    let batch = arguments.batch();
    let mut order: Vec<u32> = (0..arguments.rows(rows) as u32).collect();
    let mut random = StdRng::seed_from_u64(1);
    let mut seconds = Vec::new();
    for _ in 0..arguments.epochs {
        let started = Instant::now();
        order.shuffle(&mut random);
        for rows in order.chunks(batch) {
            model = step(model, rows)?;
        }
        seconds.push(started.elapsed().as_secs_f64());
    }
    Ok((model, seconds))
}

/// Prints the line that benches/compare reads.
pub fn report(arguments: &Arguments, rows: usize, version: &str, seconds: &[f64], accuracy: f64) {
    let steps = arguments.rows(rows).div_ceil(arguments.batch());
    println!(
        "{}",
        serde_json::json!({ "version": version, "epoch_s": seconds, "steps": steps, "accuracy": accuracy })
    );
}
