//! The gradients of attention.

use super::matrix::Matrix;
use super::softmax::Softmax;
use super::{AttentionSizes, QUERIES, Scores, blocks};
use crate::Kernel;
use crate::threads::{Threads, each};
use pulp::{Arch, Simd, WithSimd};

/// `(queries, keys, values, mask, y, dy) -> (d queries, d keys, d values)`, one after the other, from the operands of an
/// [`Attention`](super::Attention), its result, and the gradient for that.
#[derive(Debug)]
pub struct AttentionGrad;

impl Kernel<6> for AttentionGrad {
    type Sizes = AttentionSizes;
    type Operand = f32;
    type Result = f32;

    fn lengths(sizes: &AttentionSizes) -> Option<([usize; 6], usize)> {
        let [queries, keys, mask] = sizes.lengths()?;
        Some(([queries, keys, keys, mask, queries, queries], queries.checked_add(keys.checked_mul(2)?)?))
    }

    fn compute(sizes: &AttentionSizes, operands: [&[f32]; 6], result: &mut [f32], threads: &dyn Threads) {
        let (d_queries, rest) = result.split_at_mut(operands[0].len());
        let (d_keys, d_values) = rest.split_at_mut(operands[1].len());
        let d_queries = sizes.rows_mut(d_queries, sizes.queries);
        let [d_keys, d_values] = [d_keys, d_values].map(|of| sizes.rows_mut(of, sizes.keys));
        let results = d_queries.into_iter().zip(d_keys).zip(d_values);
        each(threads, sizes.tasks().zip(results), |(task, ((d_queries, d_keys), d_values))| {
            let results = [d_queries, d_keys, d_values];
            Arch::new().dispatch(Backward { sizes, operands, task, results });
        });
    }
}

/// One head of one item.
struct Backward<'a> {
    sizes: &'a AttentionSizes,
    operands: [&'a [f32]; 6],
    task: [usize; 2],
    /// The rows for queries, keys and values.
    results: [Vec<&'a mut [f32]>; 3],
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { sizes, operands, task, results } = self;
        let [queries, keys, values, mask, y, dy] = operands;
        let [mut d_queries, d_keys, d_values] = results;
        let (size, count, scale) = (sizes.size(), sizes.keys as usize, sizes.scale());
        let [queries, y, dy] = [queries, y, dy].map(|of| sizes.rows(of, sizes.queries, task));
        let [keys, values] = [keys, values].map(|of| sizes.rows(of, sizes.keys, task));
        let scores_of = Scores::new(sizes, keys.clone(), sizes.mask(mask, task[0]));
        let transposed_values = Matrix::transposed(values, [size, count]);
        let keys = Matrix::of(keys, [count, size]);
        let [mut for_keys, mut for_values] = [(); 2].map(|()| Matrix::new([count, size]));
        let [mut scores, mut slopes] = [(); 2].map(|()| sizes.room());
        let [mut scaled, mut dy_rows, mut for_queries] = [(); 3].map(|()| Matrix::new([QUERIES, size]));
        for rows in blocks(0..d_queries.len(), QUERIES) {
            scaled.copy(queries.clone().skip(rows.start), scale);
            dy_rows.copy(dy.clone().skip(rows.start), 1.0);
            let mut states = [Softmax::EMPTY; QUERIES];
            let states = &mut states[..rows.len()];
            for keys in scores_of.blocks(&rows) {
                scores_of.write(simd, &scaled, &rows, &keys, &mut scores);
                for (state, row) in states.iter_mut().zip(scores.rows_mut()) {
                    state.add(row);
                }
            }
            // Σ dy y, which is the mean of the weights' gradients by the weights.
            let mut means = [0.0; QUERIES];
            let pairs = y.clone().zip(dy.clone()).skip(rows.start);
            for (mean, (y, dy)) in means.iter_mut().zip(pairs) {
                *mean = dot(y, dy);
            }
            for_queries.fill(0.0);
            let several = scores_of.blocks(&rows).count() > 1;
            for part in scores_of.blocks(&rows) {
                if several {
                    scores_of.write(simd, &scaled, &rows, &part, &mut scores);
                }
                let shape = [rows.len(), size];
                slopes.set_columns(part.len());
                let columns = transposed_values.right_columns(part.clone());
                slopes.multiply::<S, false>(simd, 0, shape, dy_rows.left(), columns);
                let both = scores.rows_mut().zip(slopes.rows_mut());
                for ((state, mean), (weights, slopes)) in states.iter().zip(means).zip(both) {
                    if several {
                        state.exps(weights);
                    }
                    let (share, slopes) = (1.0 / state.total, &mut slopes[..weights.len()]);
                    for i in 0..weights.len() {
                        weights[i] *= share;
                        slopes[i] = weights[i] * (slopes[i] - mean);
                    }
                    scores_of.hide(&part, slopes, 0.0);
                }
                let (first, shape) = (part.start, [part.len(), rows.len()]);
                for_values.multiply::<S, true>(
                    simd,
                    first,
                    shape,
                    scores.left_transposed(),
                    dy_rows.right(0),
                );
                for_keys.multiply::<S, true>(simd, first, shape, slopes.left_transposed(), scaled.right(0));
                let shape = [rows.len(), part.len()];
                for_queries.multiply::<S, true>(simd, 0, shape, slopes.left(), keys.right(first));
            }
            for (to, from) in d_queries[rows].iter_mut().zip(for_queries.rows()) {
                let from = &from[..to.len()];
                for i in 0..to.len() {
                    to[i] = from[i] * scale;
                }
            }
        }
        for (results, of) in [(d_keys, for_keys), (d_values, for_values)] {
            results.into_iter().zip(of.rows()).for_each(|(to, from)| to.copy_from_slice(&from[..size]));
        }
    }
}

#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    let mut lanes = [0f32; 16];
    for (a, b) in a.iter().zip(b) {
        for i in 0..16 {
            lanes[i] += a[i] * b[i];
        }
    }
    lanes.into_iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>()
}
