//! The range of an array's values, or of a column's.

use crate::array::Array;
use crate::cli::text;
use rayon::prelude::*;
use serde_json::{Value, json};

/// The values of an array or a column.
pub(super) struct Range {
    pub least: f64,
    pub mean: f64,
    pub greatest: f64,
    pub not_finite: usize,
}

impl Range {
    /// Block by block on all cores, since all of an array's elements as f64 may be more than the memory.
    pub fn of_array(array: &Array) -> Self {
        let size = array.dtype().size();
        let block = |bytes: &[u8]| {
            let block = Array::from_bytes(array.dtype(), &[bytes.len() / size], bytes.to_vec());
            Block::of(&block.map(|block| block.to_f64()).unwrap_or_default())
        };
        let blocks: Vec<Block> = array.bytes().par_chunks(size << 14).map(block).collect();
        let finite: usize = blocks.iter().map(|block| block.finite).sum();
        Self {
            least: blocks.iter().map(|block| block.least).fold(f64::INFINITY, f64::min),
            mean: blocks.iter().map(|block| block.sum).sum::<f64>() / finite as f64,
            greatest: blocks.iter().map(|block| block.greatest).fold(f64::NEG_INFINITY, f64::max),
            not_finite: array.len() - finite,
        }
    }

    pub fn to_json(&self) -> Value {
        json!({
            "least": self.least, "mean": self.mean, "greatest": self.greatest, "not_finite": self.not_finite,
        })
    }
}

/// The finite ones of some values.
struct Block {
    least: f64,
    sum: f64,
    greatest: f64,
    finite: usize,
}

impl Block {
    fn of(values: &[f64]) -> Self {
        let mut block = Self { least: f64::INFINITY, sum: 0.0, greatest: f64::NEG_INFINITY, finite: 0 };
        for &value in values {
            if value.is_finite() {
                block.least = block.least.min(value);
                block.greatest = block.greatest.max(value);
                block.sum += value;
                block.finite += 1;
            }
        }
        block
    }
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.mean.is_nan() {
            f.write_str("none")?;
        } else {
            let [least, mean, greatest] = [self.least, self.mean, self.greatest].map(text::number);
            write!(f, "{least} to {greatest}, mean {mean}")?;
        }
        if self.not_finite > 0 { write!(f, ", {} not finite", self.not_finite) } else { Ok(()) }
    }
}
