//! The jobs that are measured.

use clap::{Args, ValueEnum};
use neural::data::{Dataset, Splits, Targets};
use neural::nn::{self, Conv, Layer, Sequential};
use neural::optim::{Optimizer, adam, sgd};
use neural::{Array, Result};

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub enum Job {
    /// 784-128 sigmoid-10
    Mlp,
    /// Two convolutions with pools, two dense layers
    Cnn,
    /// 32-128-64-5 with Adam
    Table,
}

#[derive(Args)]
pub struct Sizes {
    #[arg(long)]
    pub batch: Option<usize>,
    /// Units of the first dense layer, filters of the first convolution
    #[arg(long)]
    pub width: Option<usize>,
    /// Of both convolutions
    #[arg(long, default_value_t = 3)]
    pub kernel: usize,
    /// Of the first convolution
    #[arg(long, default_value_t = 1)]
    pub stride: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { batch: None, width: None, kernel: 3, stride: 1 }
    }
}

impl Job {
    pub fn batch(self, sizes: &Sizes) -> usize {
        sizes.batch.unwrap_or(if self == Job::Table { 512 } else { 256 })
    }

    pub fn model(self, sizes: &Sizes) -> Sequential {
        let width = sizes.width.unwrap_or(if self == Job::Cnn { 32 } else { 128 });
        let kernel = [sizes.kernel; 2];
        match self {
            Job::Mlp => nn::sequential([nn::flatten(), nn::dense(width), nn::sigmoid(), nn::dense(10)]),
            Job::Cnn => nn::sequential([
                Layer::Conv(Conv { stride: vec![sizes.stride; 2], ..Conv::new(width, &kernel) }),
                nn::relu(),
                nn::max_pool(&[2, 2]),
                nn::conv(2 * width, &kernel),
                nn::relu(),
                nn::max_pool(&[2, 2]),
                nn::flatten(),
                nn::dense(64),
                nn::relu(),
                nn::dense(10),
            ]),
            Job::Table => {
                let hidden = [nn::dense(width), nn::relu(), nn::dense(width / 2), nn::relu()];
                nn::sequential(hidden.into_iter().chain([nn::dense(5)]))
            }
        }
    }

    pub fn optimizer(self) -> Optimizer {
        match self {
            Job::Mlp => sgd(1.0),
            Job::Cnn => sgd(0.1),
            Job::Table => adam(0.001),
        }
    }

    /// Rows of noise of the job's shape, all for training.
    pub fn noise(self, rows: usize) -> Result<Dataset> {
        let byte = |i: usize| ((i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8;
        let inputs = match self {
            Job::Mlp | Job::Cnn => Array::new::<u8>(&[rows, 28, 28, 1], (0..rows * 784).map(byte).collect())?,
            Job::Table => {
                let values = (0..rows * 32).map(|i| f32::from(byte(i)) / 64.0 - 2.0);
                Array::new::<f32>(&[rows, 32], values.collect())?
            }
        };
        let classes = if self == Job::Table { 5 } else { 10 };
        let targets = Targets::numbered((0..rows).map(|i| (i % classes) as i32).collect())?;
        let train = (0..rows as u32).collect();
        let data = Dataset::new(inputs, targets, Splits { train, validation: Vec::new(), test: Vec::new() })?;
        if self == Job::Table { Ok(data) } else { data.standardized() }
    }
}
