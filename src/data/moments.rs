//! Range, mean and variance of each feature over rows, on all cores.

use super::rows::PIECE;
use crate::array::{Array, DType, Element, count};
use crate::error::{Error, Result};
use bytemuck::Pod;
use rayon::prelude::*;

/// Rows that are processed together. Sums of these blocks are added in order: the same on any number of threads.
const ROWS: usize = 1 << 12;

/// Values `[n, sample...]`: in memory, or read when needed, with an array of 0 rows for their type.
pub(super) enum Values<'a> {
    Memory(&'a Array),
    Read(&'a Array, &'a Read<'a>),
}

/// Reads the values of some rows.
pub(super) type Read<'a> = dyn Fn(&[u32]) -> Result<Array> + 'a;

impl Values<'_> {
    fn like(&self) -> &Array {
        match self {
            Self::Memory(values) | Self::Read(values, _) => values,
        }
    }

    /// Adds the rows of each block to the result of `start`, in order, and gives the blocks to `merge` in order: the
    /// sums are the same wherever the values are.
    fn blocks<T: Element + Pod + Sync, B: Send>(
        &self,
        rows: &[u32],
        start: impl Fn() -> B + Sync,
        add: impl Fn(&mut B, u32, &[T]) -> Result<()> + Sync,
        mut merge: impl FnMut(B),
    ) -> Result<()> {
        let features = count(&self.like().shape()[1..]);
        match self {
            Self::Memory(values) => {
                let values = values.elements::<T>()?;
                let of_block = |rows: &[u32]| {
                    let mut block = start();
                    let sample = |row: u32| &values[row as usize * features..][..features];
                    rows.iter().try_for_each(|&row| add(&mut block, row, sample(row))).map(|()| block)
                };
                let blocks: Vec<_> = rows.par_chunks(ROWS).map(of_block).collect();
                blocks.into_iter().try_for_each(|block| block.map(&mut merge))
            }
            Self::Read(like, read) => rows.chunks(ROWS).try_for_each(|rows| {
                let mut block = start();
                let piece = (PIECE / (features * like.dtype().size()).max(1)).max(1);
                for rows in rows.chunks(piece) {
                    let values = read(rows)?;
                    let samples = values.elements::<T>()?;
                    let mut samples = rows.iter().zip(samples.chunks_exact(features));
                    samples.try_for_each(|(&row, sample)| add(&mut block, row, sample))?;
                }
                merge(block);
                Ok(())
            }),
        }
    }
}

/// Statistics of one feature over the rows.
pub(super) struct Moments {
    pub min: f64,
    pub max: f64,
    pub mean: f64,
    pub variance: f64,
}

impl Moments {
    /// The moments of every feature over `rows`, which are not empty and lie within the values.
    pub fn of(values: &Values, rows: &[u32]) -> Result<Vec<Self>> {
        let features = count(&values.like().shape()[1..]);
        match values.like().dtype() {
            DType::U8 => of_u8(features, rows, values),
            DType::I32 => of_numbers::<i32>(features, rows, values),
            DType::F32 => of_numbers::<f32>(features, rows, values),
            DType::F64 => of_numbers::<f64>(features, rows, values),
            other => Err(Error::shape("scaling", "inputs of u8, i32, f32 or f64", other)),
        }
    }

    /// All features, which have equally many values, as one: the variance within them plus the variance between them.
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

/// The difference of max and min of every feature over `rows`; `None` where a row is not in `inputs`, or their type is
/// not one of samples.
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
fn of_u8(features: usize, rows: &[u32], values: &Values) -> Result<Vec<Moments>> {
    type Block = (Vec<u32>, Vec<u32>, Vec<u8>, Vec<u8>);
    // 2^16 squares of u8 fit into a u32, and a vector register holds twice as many u32 as u64.
    let start =
        || (vec![0u32; features], vec![0u32; features], vec![u8::MAX; features], vec![u8::MIN; features]);
    let add = |(sums, squares, least, greatest): &mut Block, _: u32, values: &[u8]| {
        sums.iter_mut().zip(values).for_each(|(sum, &x)| *sum += u32::from(x));
        squares.iter_mut().zip(values).for_each(|(sum, &x)| *sum += u32::from(x) * u32::from(x));
        least.iter_mut().zip(values).for_each(|(min, &x)| *min = (*min).min(x));
        greatest.iter_mut().zip(values).for_each(|(max, &x)| *max = (*max).max(x));
        Ok(())
    };
    let mut sums = vec![0u64; features];
    let mut squares = vec![0u64; features];
    let mut least = vec![u8::MAX; features];
    let mut greatest = vec![u8::MIN; features];
    values.blocks(rows, start, add, |(block_sums, block_squares, block_least, block_greatest)| {
        sums.iter_mut().zip(block_sums).for_each(|(sum, x)| *sum += u64::from(x));
        squares.iter_mut().zip(block_squares).for_each(|(sum, x)| *sum += u64::from(x));
        least.iter_mut().zip(block_least).for_each(|(min, x)| *min = (*min).min(x));
        greatest.iter_mut().zip(block_greatest).for_each(|(max, x)| *max = (*max).max(x));
    })?;
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
    Ok((0..features).map(moments).collect())
}

/// Two passes: the mean first, then the squared distances from it.
fn of_numbers<T: Element + Pod + Send + Sync>(
    features: usize,
    rows: &[u32],
    values: &Values,
) -> Result<Vec<Moments>> {
    let start = || Moments { min: f64::INFINITY, max: f64::NEG_INFINITY, mean: 0.0, variance: 0.0 };
    let block = || std::iter::repeat_with(start).take(features).collect::<Vec<_>>();
    let add = |block: &mut Vec<Moments>, row: u32, values: &[T]| {
        for (m, x) in block.iter_mut().zip(values) {
            let x = x.to_f64();
            if !x.is_finite() {
                return Err(Error::value("scaling", "finite values only", format!("{x} in row {row}")));
            }
            m.min = m.min.min(x);
            m.max = m.max.max(x);
            m.mean += x;
        }
        Ok(())
    };
    let n = rows.len() as f64;
    let mut moments = block();
    values.blocks(rows, block, add, |block| {
        for (m, of) in moments.iter_mut().zip(block) {
            (m.min, m.max, m.mean) = (m.min.min(of.min), m.max.max(of.max), m.mean + of.mean);
        }
    })?;
    for m in &mut moments {
        m.mean = if m.min == m.max { m.min } else { m.mean / n };
    }
    let means: Vec<f64> = moments.iter().map(|m| m.mean).collect();
    let add = |squares: &mut Vec<f64>, _: u32, values: &[T]| {
        for ((square, mean), x) in squares.iter_mut().zip(&means).zip(values) {
            *square += (x.to_f64() - mean).powi(2);
        }
        Ok(())
    };
    values.blocks(
        rows,
        || vec![0.0; features],
        add,
        |block| {
            moments.iter_mut().zip(block).for_each(|(m, square)| m.variance += square);
        },
    )?;
    moments.iter_mut().for_each(|m| m.variance /= n);
    Ok(moments)
}
