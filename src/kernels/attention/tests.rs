//! Attention and its gradients against their definition in f64.

use super::*;
use crate::tests::{Scoped, close, numbers, run_on};

/// `y` and the gradients for queries, keys and values, of arrays in f64.
fn plain(sizes: &AttentionSizes, [q, k, v, dy]: [&[f32]; 4], mask: &[f32]) -> [Vec<f64>; 4] {
    let &AttentionSizes { batch, queries, keys, heads, size, causal, .. } = sizes;
    let [batch, queries, keys, heads, size] = [batch, queries, keys, heads, size].map(|n| n as usize);
    let [mut y, mut dq, mut dk, mut dv] = [q.len(), q.len(), k.len(), v.len()].map(|n| vec![0f64; n]);
    let scale = 1.0 / (size as f64).sqrt();
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    for (item, head) in (0..batch).flat_map(|item| (0..heads).map(move |head| (item, head))) {
        let row = |count: usize, i: usize| {
            let from = ((item * count + i) * heads + head) * size;
            from..from + size
        };
        let hidden = |key: usize| !mask.is_empty() && mask[item * keys + key] == 0.0;
        for query in 0..queries {
            let own = row(queries, query);
            let scores: Vec<f64> = (0..keys)
                .map(|key| match () {
                    () if hidden(key) => -1e30,
                    () if causal != 0 && key > query => f64::NEG_INFINITY,
                    () => dot(&q[own.clone()], &k[row(keys, key)]) * scale,
                })
                .collect();
            let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let total: f64 = scores.iter().map(|score| (score - largest).exp()).sum();
            let weights: Vec<f64> = scores.iter().map(|score| (score - largest).exp() / total).collect();
            let grads: Vec<f64> = (0..keys).map(|key| dot(&dy[own.clone()], &v[row(keys, key)])).collect();
            let mean: f64 = weights.iter().zip(&grads).map(|(w, g)| w * g).sum();
            for key in 0..keys {
                let slope = if hidden(key) { 0.0 } else { weights[key] * (grads[key] - mean) * scale };
                for (at, other) in own.clone().zip(row(keys, key)) {
                    y[at] += weights[key] * f64::from(v[other]);
                    dv[other] += weights[key] * f64::from(dy[at]);
                    dq[at] += slope * f64::from(k[other]);
                    dk[other] += slope * f64::from(q[at]);
                }
            }
        }
    }
    [y, dq, dk, dv]
}

/// Queries, keys, values, a gradient and a mask that hides all keys of the first item and the first keys of the second.
fn operands(sizes: &AttentionSizes) -> [Vec<f32>; 5] {
    let [queries, keys, mask] = sizes.lengths().unwrap();
    let [q, k, v, dy] = [(queries, 1), (keys, 2), (keys, 3), (queries, 4)].map(|(n, seed)| numbers(n, seed));
    let mut mask = numbers(mask, 5);
    mask.iter_mut().for_each(|real| *real = if *real < -0.3 { 0.0 } else { 1.0 });
    let keys = sizes.keys as usize;
    mask.iter_mut().take(keys + keys.min(50)).for_each(|real| *real = 0.0);
    [q, k, v, dy, mask]
}

fn compute(sizes: &AttentionSizes, [q, k, v, dy, mask]: &[Vec<f32>; 5], threads: usize) -> [Vec<f32>; 2] {
    let threads = &Scoped(threads);
    let y = run_on::<4, Attention>(threads, sizes, [q, k, v, mask]);
    let grads = run_on::<6, AttentionGrad>(threads, sizes, [q, k, v, mask, &y, dy]);
    [y, grads]
}

#[test]
fn attention_and_its_gradients_are_those_of_the_definition() {
    let small = [[1, 1, 1, 1, 1], [2, 3, 5, 2, 3], [2, 7, 2, 1, 16], [0, 3, 3, 2, 5], [2, 0, 3, 2, 5]];
    // Several blocks of queries and of keys, none of them whole.
    let large = [[2, 131, 131, 1, 17], [1, 50, 1001, 2, 40], [2, 1000, 700, 1, 8]];
    let sizes = small.into_iter().chain(large).take(if cfg!(miri) { 3 } else { 8 });
    for [batch, queries, keys, heads, size] in sizes {
        for [causal, masked] in [[0, 0], [1, 0], [0, 1], [1, 1]] {
            let sizes = AttentionSizes { batch, queries, keys, heads, size, causal, masked };
            let operands = operands(&sizes);
            let [q, k, v, dy, mask] = operands.each_ref().map(|of| &of[..]);
            let [y, dq, dk, dv] = plain(&sizes, [q, k, v, dy], mask);
            let [got, grads] = compute(&sizes, &operands, 2);
            close(&got, &y, 1e-5, &sizes);
            close(&grads, &[dq, dk, dv].concat(), 2e-5, &sizes);
        }
    }
}

#[test]
fn a_score_that_is_no_number_makes_its_row_none() {
    let sizes = AttentionSizes { batch: 1, queries: 2, keys: 600, heads: 1, size: 1, causal: 0, masked: 0 };
    for (value, at) in [(f32::NAN, 550), (f32::INFINITY, 3)] {
        let mut operands = operands(&sizes);
        operands[1][at] = value;
        operands[0][0] = 1.0;
        let [y, _] = compute(&sizes, &operands, 1);
        assert!(y[0].is_nan(), "{value} at {at}: {y:?}");
    }
}

#[test]
#[cfg_attr(miri, ignore)]
fn attention_is_the_same_on_any_number_of_threads() {
    let sizes =
        AttentionSizes { batch: 3, queries: 100, keys: 520, heads: 3, size: 20, causal: 1, masked: 1 };
    let operands = operands(&sizes);
    let one = compute(&sizes, &operands, 1);
    for threads in [2, 3, 7] {
        assert!(compute(&sizes, &operands, threads) == one, "{threads} threads");
    }
}
