//! Rows of a table by their numbers, as f32 and scaled: the batch of a training step in one pass. XLA's CPU backend gathers
//! them on one thread, and takes another pass to convert and to scale them.

use super::Misfit;
use super::lanes::vectorized;
use super::threads::{Threads, each};
use std::borrow::Cow;

/// A thread computes this many numbers at a time at least, in whole rows.
const PIECE: usize = 1 << 13;
/// Means and deviations are repeated to this many at least, so that the inner loop is long.
const TILE: usize = 256;

/// Writes `(x - mean) / deviation` for each number x of some rows of a table, or x where there is no scaling. Mean and
/// deviation have the shape of a row's last axes and repeat along the others. Row numbers outside the table are clamped to
/// it.
///
/// # Errors
/// When the lengths do not fit each other. Nothing is written then.
pub fn take_rows<T: Copy + Into<f32> + Sync>(
    table: &[T],
    rows: &[i32],
    scaling: Option<[&[f32]; 2]>,
    result: &mut [f32],
    threads: &dyn Threads,
) -> Result<(), Misfit> {
    if result.is_empty() {
        return Ok(());
    }
    let width = result.len() / rows.len().max(1);
    let [period, other] = scaling.map_or([1; 2], |numbers| numbers.map(<[f32]>::len));
    let is_whole = |length: usize, unit: usize| length > 0 && unit > 0 && length.is_multiple_of(unit);
    let fits = is_whole(result.len(), rows.len()) && is_whole(table.len(), width);
    if !fits || !is_whole(width, period) || period != other {
        let got = [table.len(), rows.len(), period, other, result.len()];
        return Err(Misfit {
            expected: "[table, rows, means, deviations, result]".into(),
            got: format!("{got:?}"),
        });
    }
    let tile = period * TILE.div_ceil(period);
    let repeated = |numbers| match tile / period {
        1 => Cow::Borrowed(numbers),
        times => Cow::Owned(<[f32]>::repeat(numbers, times)),
    };
    let scaling = scaling.map(|numbers| numbers.map(repeated));
    let last = table.len() / width - 1;
    let row = |number: i32| &table[usize::try_from(number).unwrap_or(0).min(last) * width..][..width];
    let of_piece = PIECE.div_ceil(width);
    let pieces = result.chunks_mut(of_piece * width).zip(rows.chunks(of_piece));
    each(threads, pieces, |(result, rows)| {
        vectorized(
            #[inline(always)]
            || {
                for i in 0..rows.len() {
                    let (from, to) = (row(rows[i]), &mut result[i * width..][..width]);
                    let Some([mean, deviation]) = &scaling else {
                        for j in 0..width {
                            to[j] = from[j].into();
                        }
                        continue;
                    };
                    for first in (0..width).step_by(tile) {
                        let length = tile.min(width - first);
                        let (from, to) = (&from[first..][..length], &mut to[first..][..length]);
                        let (mean, deviation) = (&mean[..length], &deviation[..length]);
                        for j in 0..length {
                            let x: f32 = from[j].into();
                            to[j] = (x - mean[j]) / deviation[j];
                        }
                    }
                }
            },
        );
    });
    Ok(())
}
