//! Range, mean and variance of each feature over rows, on all cores.

use crate::array::{Array, DType, Element, count};
use crate::error::{Error, Result};
use bytemuck::Pod;
use rayon::prelude::*;

/// Rows that are looked at together. Sums of these blocks are added in their order: the same on any number of threads.
const ROWS: usize = 1 << 12;

/// Statistics of one feature over the rows.
pub(super) struct Moments {
    pub min: f64,
    pub max: f64,
    pub mean: f64,
    pub variance: f64,
}

impl Moments {
    /// Those of every feature over `rows`, which are not empty and lie within `inputs`.
    pub fn of(inputs: &Array, rows: &[u32]) -> Result<Vec<Self>> {
        let features = count(&inputs.shape()[1..]);
        match inputs.dtype() {
            DType::U8 => Ok(of_u8(features, rows, inputs.bytes())),
            DType::I32 => of_numbers(features, rows, &inputs.elements::<i32>()?),
            DType::F32 => of_numbers(features, rows, &inputs.elements::<f32>()?),
            DType::F64 => of_numbers(features, rows, &inputs.elements::<f64>()?),
            other => Err(Error::shape("scaling", "inputs of u8, i32, f32 or f64", other)),
        }
    }

    /// All features, which have equally many values, as one: the variance within them plus that between them.
    pub fn pooled(features: &[Moments]) -> Self {
        let average =
            |f: &dyn Fn(&Moments) -> f64| features.iter().map(f).sum::<f64>() / features.len() as f64;
        let mean = average(&|m| m.mean);
        Self {
            min: features.iter().map(|m| m.min).fold(f64::INFINITY, f64::min),
            max: features.iter().map(|m| m.max).fold(f64::NEG_INFINITY, f64::max),
            mean,
            variance: average(&|m| m.variance + (m.mean - mean).powi(2)),
        }
    }

    /// `divisor`, or 1 for a feature that never changes or hardly more than f32 can tell.
    pub fn nonzero(&self, divisor: f64) -> f64 {
        if self.min == self.max || (divisor as f32) < f32::MIN_POSITIVE { 1.0 } else { divisor }
    }
}

/// From the least to the greatest value of every feature over `rows`; `None` where a row is not in `inputs`, or they
/// are of another type than samples are.
pub(super) fn ranges(inputs: &Array, rows: &[u32]) -> Option<Vec<f64>> {
    let features = count(inputs.shape().get(1..)?);
    match inputs.dtype() {
        DType::U8 => ranges_of(features, rows, inputs.bytes()),
        DType::I32 => ranges_of(features, rows, &inputs.elements::<i32>().ok()?),
        DType::F32 => ranges_of(features, rows, &inputs.elements::<f32>().ok()?),
        _ => None,
    }
}

fn ranges_of<T: Element + PartialOrd + Send + Sync>(
    features: usize,
    rows: &[u32],
    values: &[T],
) -> Option<Vec<f64>> {
    let sample = |row: u32| values.get(row as usize * features..(row as usize + 1) * features);
    let of_block = |rows: &[u32]| {
        let mut least = sample(*rows.first()?)?.to_vec();
        let mut greatest = least.clone();
        for &row in rows {
            let values = sample(row)?;
            for (least, value) in least.iter_mut().zip(values) {
                *least = if value < least { *value } else { *least };
            }
            for (greatest, value) in greatest.iter_mut().zip(values) {
                *greatest = if value > greatest { *value } else { *greatest };
            }
        }
        Some((least, greatest))
    };
    let blocks: Vec<_> = rows.par_chunks(ROWS).map(of_block).collect::<Option<_>>()?;
    let range = |feature: usize| {
        let least = blocks.iter().map(|(least, _)| least[feature].to_f64()).fold(f64::INFINITY, f64::min);
        let greatest = blocks.iter().map(|(_, greatest)| greatest[feature].to_f64());
        greatest.fold(f64::NEG_INFINITY, f64::max) - least
    };
    Some((0..features).map(range).collect())
}

/// Exact: sums of whole numbers, divided at the end.
fn of_u8(features: usize, rows: &[u32], inputs: &[u8]) -> Vec<Moments> {
    // 2^16 squares of u8 fit into a u32, and a vector register holds twice as many of these as of u64.
    let of_block = |rows: &[u32]| {
        let (mut sums, mut squares) = (vec![0u32; features], vec![0u32; features]);
        let (mut least, mut greatest) = (vec![u8::MAX; features], vec![u8::MIN; features]);
        for &row in rows {
            let values = &inputs[row as usize * features..][..features];
            sums.iter_mut().zip(values).for_each(|(sum, &x)| *sum += u32::from(x));
            squares.iter_mut().zip(values).for_each(|(sum, &x)| *sum += u32::from(x) * u32::from(x));
            least.iter_mut().zip(values).for_each(|(min, &x)| *min = (*min).min(x));
            greatest.iter_mut().zip(values).for_each(|(max, &x)| *max = (*max).max(x));
        }
        (sums, squares, least, greatest)
    };
    let mut sums = vec![0u64; features];
    let mut squares = vec![0u64; features];
    let mut least = vec![u8::MAX; features];
    let mut greatest = vec![u8::MIN; features];
    let blocks: Vec<_> = rows.par_chunks(ROWS).map(of_block).collect();
    for (block_sums, block_squares, block_least, block_greatest) in blocks {
        sums.iter_mut().zip(block_sums).for_each(|(sum, x)| *sum += u64::from(x));
        squares.iter_mut().zip(block_squares).for_each(|(sum, x)| *sum += u64::from(x));
        least.iter_mut().zip(block_least).for_each(|(min, x)| *min = (*min).min(x));
        greatest.iter_mut().zip(block_greatest).for_each(|(max, x)| *max = (*max).max(x));
    }
    let n = rows.len() as u128;
    let moments = |i: usize| {
        let (sum, square) = (u128::from(sums[i]), u128::from(squares[i]));
        Moments {
            min: f64::from(least[i]),
            max: f64::from(greatest[i]),
            mean: sum as f64 / n as f64,
            variance: (n * square - sum * sum) as f64 / (n * n) as f64,
        }
    };
    (0..features).map(moments).collect()
}

/// Two passes: the mean first, then the squared distances from it.
fn of_numbers<T: Element + Pod + Send + Sync>(
    features: usize,
    rows: &[u32],
    values: &[T],
) -> Result<Vec<Moments>> {
    let sample = |row: u32| &values[row as usize * features..][..features];
    let start = || Moments { min: f64::INFINITY, max: f64::NEG_INFINITY, mean: 0.0, variance: 0.0 };
    let of_block = |rows: &[u32]| {
        let mut block: Vec<Moments> = std::iter::repeat_with(start).take(features).collect();
        for &row in rows {
            for (m, x) in block.iter_mut().zip(sample(row)) {
                let x = x.to_f64();
                if !x.is_finite() {
                    return Err(Error::value("scaling", "finite values only", format!("{x} in row {row}")));
                }
                m.min = m.min.min(x);
                m.max = m.max.max(x);
                m.mean += x;
            }
        }
        Ok(block)
    };
    let n = rows.len() as f64;
    let blocks: Vec<_> = rows.par_chunks(ROWS).map(of_block).collect();
    let mut moments: Vec<Moments> = std::iter::repeat_with(start).take(features).collect();
    for block in blocks {
        for (m, of) in moments.iter_mut().zip(block?) {
            (m.min, m.max, m.mean) = (m.min.min(of.min), m.max.max(of.max), m.mean + of.mean);
        }
    }
    for m in &mut moments {
        m.mean = if m.min == m.max { m.min } else { m.mean / n };
    }
    let squares = |rows: &[u32]| {
        let mut squares = vec![0.0; features];
        for &row in rows {
            for ((square, m), x) in squares.iter_mut().zip(&moments).zip(sample(row)) {
                *square += (x.to_f64() - m.mean).powi(2);
            }
        }
        squares
    };
    let blocks: Vec<_> = rows.par_chunks(ROWS).map(squares).collect();
    for block in blocks {
        moments.iter_mut().zip(block).for_each(|(m, square)| m.variance += square);
    }
    moments.iter_mut().for_each(|m| m.variance /= n);
    Ok(moments)
}
