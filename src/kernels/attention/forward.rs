//! The results of attention.

use super::matrix::Matrix;
use super::softmax::Softmax;
use super::{AttentionSizes, QUERIES, Scores, blocks};
use crate::Kernel;
use crate::threads::{Threads, each};
use pulp::{Arch, Simd, WithSimd};

/// `(queries, keys, values, mask) -> y`, where the mask `[batch, keys]` is 0 for keys that are hidden.
#[derive(Debug)]
pub struct Attention;

impl Kernel<4> for Attention {
    type Sizes = AttentionSizes;
    type Operand = f32;
    type Result = f32;

    fn lengths(sizes: &AttentionSizes) -> Option<([usize; 4], usize)> {
        let [queries, keys, mask] = sizes.lengths()?;
        Some(([queries, keys, keys, mask], queries))
    }

    fn compute(sizes: &AttentionSizes, operands: [&[f32]; 4], result: &mut [f32], threads: &dyn Threads) {
        let tasks = sizes.tasks().zip(sizes.rows_mut(result, sizes.queries));
        each(threads, tasks, |(task, result)| {
            Arch::new().dispatch(Forward { sizes, operands, task, result });
        });
    }
}

/// One head of one item.
struct Forward<'a> {
    sizes: &'a AttentionSizes,
    operands: [&'a [f32]; 4],
    task: [usize; 2],
    /// Its rows.
    result: Vec<&'a mut [f32]>,
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { sizes, operands: [queries, keys, values, mask], task, mut result } = self;
        let size = sizes.size();
        let queries = sizes.rows(queries, sizes.queries, task);
        let [keys, values] = [keys, values].map(|of| sizes.rows(of, sizes.keys, task));
        let scores_of = Scores::new(sizes, keys, sizes.mask(mask, task[0]));
        let values = Matrix::of(values, [sizes.keys as usize, size]);
        let mut scores = sizes.room();
        let [mut scaled, mut sums] = [(); 2].map(|()| Matrix::new([QUERIES, size]));
        for rows in blocks(0..result.len(), QUERIES) {
            scaled.copy(queries.clone().skip(rows.start), sizes.scale());
            let mut states = [Softmax::EMPTY; QUERIES];
            sums.fill(0.0);
            for keys in scores_of.blocks(&rows) {
                scores_of.write(simd, &scaled, &rows, &keys, &mut scores);
                let both = scores.rows_mut().zip(sums.rows_mut());
                for (state, (scores, sums)) in states[..rows.len()].iter_mut().zip(both) {
                    let factor = state.add(scores);
                    if keys.start > 0 {
                        for sum in sums {
                            *sum *= factor;
                        }
                    }
                }
                let shape = [rows.len(), keys.len()];
                sums.multiply::<S, true>(simd, 0, shape, scores.left(), values.right(keys.start));
            }
            for ((sums, state), result) in sums.rows().zip(states).zip(&mut result[rows]) {
                let (share, sums) = (1.0 / state.total, &sums[..result.len()]);
                for i in 0..result.len() {
                    result[i] = sums[i] * share;
                }
            }
        }
    }
}
