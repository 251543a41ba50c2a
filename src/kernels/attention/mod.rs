//! Attention: `softmax(q kᵀ / √size) v` of each head, and its gradients, block by block: the scores of some queries
//! with some keys are computed in a core's cache and never written to memory. The softmax of a row is accumulated over
//! its blocks (Milakov and Gimelshein, 2018); the gradients recompute the scores (Dao et al., 2022).

mod backward;
mod forward;
mod matrix;
mod softmax;
#[cfg(test)]
mod tests;

pub use backward::AttentionGrad;
pub use forward::Attention;

use super::length;
use bytemuck::{Pod, Zeroable};
use matrix::{Matrix, ROWS_OF};
use pulp::Simd;
use std::ops::Range;

/// The sizes of an attention, as a program passes them: queries are `[batch, queries, heads, size]`, keys and values
/// `[batch, keys, heads, size]`.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct AttentionSizes {
    /// Sequences, attended to independently.
    pub batch: i64,
    /// Positions of the sequence that asks.
    pub queries: i64,
    /// Positions of the sequence that is attended to.
    pub keys: i64,
    /// Attentions side by side, each with its own features.
    pub heads: i64,
    /// Features of a head.
    pub size: i64,
    /// Whether a query sees only keys up to its own place.
    pub causal: i64,
    /// Whether there is a mask of keys.
    pub masked: i64,
}

/// Queries and keys of a block: its scores and their gradients fit into a core's second cache, with the keys and values.
const QUERIES: usize = 2 * ROWS_OF;
const KEYS: usize = 20 * ROWS_OF;

/// The score of a key that the mask hides. It is finite: a query that sees no key gets the mean of the hidden ones.
pub const HIDDEN: f32 = -1e30;

impl AttentionSizes {
    /// How many numbers queries, keys and mask have.
    fn lengths(&self) -> Option<[usize; 3]> {
        let &Self { batch, queries, keys, heads, size, masked, .. } = self;
        let mask = if masked == 0 { 0 } else { length(&[batch, keys])? };
        let lengths = [length(&[batch, queries, heads, size])?, length(&[batch, keys, heads, size])?, mask];
        (keys > 0 && heads > 0 && size > 0).then_some(lengths)
    }

    fn size(&self) -> usize {
        self.size as usize
    }

    /// The factor of the queries.
    fn scale(&self) -> f32 {
        1.0 / (self.size as f32).sqrt()
    }

    /// Room for the scores of a block.
    fn room(&self) -> Matrix {
        Matrix::new([QUERIES, KEYS.min(self.keys as usize)])
    }

    /// The heads of all items, each of which is a task.
    fn tasks(&self) -> impl Iterator<Item = [usize; 2]> + use<> {
        let heads = self.heads as usize;
        (0..self.batch as usize).flat_map(move |item| (0..heads).map(move |head| [item, head]))
    }

    /// The rows of one head in an array with `count` of them for each item.
    fn rows<'a>(
        &self,
        values: &'a [f32],
        count: i64,
        [item, head]: [usize; 2],
    ) -> impl Iterator<Item = &'a [f32]> + Clone + use<'a> {
        let [count, heads] = [count, self.heads].map(|n| n as usize);
        let rows = values.chunks_exact(self.size()).skip(item * count * heads + head);
        rows.step_by(heads).take(count)
    }

    /// The rows of each task in an array that is written.
    fn rows_mut<'a>(&self, values: &'a mut [f32], count: i64) -> Vec<Vec<&'a mut [f32]>> {
        let [batch, count, heads] = [self.batch, count, self.heads].map(|n| n as usize);
        let mut tasks: Vec<_> = (0..batch * heads).map(|_| Vec::with_capacity(count)).collect();
        for (i, row) in values.chunks_exact_mut(self.size()).enumerate() {
            tasks[i / (count * heads) * heads + i % heads].push(row);
        }
        tasks
    }

    fn mask<'a>(&self, mask: &'a [f32], item: usize) -> &'a [f32] {
        let keys = if self.masked == 0 { 0 } else { self.keys as usize };
        &mask[item * keys..(item + 1) * keys]
    }
}

/// `range` in blocks of at most `length`.
fn blocks(range: Range<usize>, length: usize) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    range.step_by(length).map(move |first| first..end.min(first + length))
}

/// Computes the scores of one head.
struct Scores<'a> {
    sizes: &'a AttentionSizes,
    /// `[size, keys]`
    keys: Matrix,
    /// 0 for keys that are hidden; empty if there is no mask.
    mask: &'a [f32],
    /// From here on every query of a causal attention sees a key.
    first: usize,
}

impl<'a> Scores<'a> {
    fn new(sizes: &'a AttentionSizes, keys: impl Iterator<Item = &'a [f32]>, mask: &'a [f32]) -> Self {
        let first = mask.iter().position(|real| *real != 0.0).unwrap_or(mask.len());
        Self { sizes, keys: Matrix::transposed(keys, [sizes.size(), sizes.keys as usize]), mask, first }
    }

    /// The blocks of the keys that some of the queries see.
    fn blocks(&self, queries: &Range<usize>) -> impl Iterator<Item = Range<usize>> + use<> {
        let keys = self.sizes.keys as usize;
        // A query that sees none gets the mean of all that the mask hides.
        let seen =
            if self.sizes.causal != 0 && queries.start >= self.first { keys.min(queries.end) } else { keys };
        blocks(0..seen, KEYS)
    }

    /// The scores of some queries, which are scaled, with some keys: -∞ for keys that a query does not see and up to the end
    /// of a row, so that each row is as long as `scores` are.
    #[inline(always)]
    fn write<S: Simd>(
        &self,
        simd: S,
        scaled: &Matrix,
        queries: &Range<usize>,
        keys: &Range<usize>,
        scores: &mut Matrix,
    ) {
        let shape = [queries.len(), self.sizes.size()];
        scores.set_columns(keys.len());
        scores.multiply::<S, false>(simd, 0, shape, scaled.left(), self.keys.right_columns(keys.clone()));
        for (query, row) in queries.clone().zip(scores.rows_mut()) {
            let seen = match self.sizes.causal {
                0 => keys.len(),
                _ => (query + 1).clamp(keys.start, keys.end) - keys.start,
            };
            row[seen..].fill(f32::NEG_INFINITY);
            self.hide(keys, row, HIDDEN);
        }
    }

    /// Puts `value` in the places of a row whose keys are hidden.
    #[inline(always)]
    fn hide(&self, keys: &Range<usize>, row: &mut [f32], value: f32) {
        let mask = self.mask.get(keys.clone()).unwrap_or_default();
        for (x, &real) in row.iter_mut().zip(mask) {
            *x = if real == 0.0 { value } else { *x };
        }
    }
}
