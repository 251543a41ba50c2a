//! Sequences against their definition in f64, and their gradients against finite differences of it.

use super::*;
use crate::tests::{Scoped, close, numbers, run_on};

/// A sequence with all that goes into it, in f64.
struct Plain {
    sizes: Sequence,
    x: Vec<f64>,
    weight: Vec<f64>,
    bias: Vec<f64>,
    mask: Vec<f64>,
    state: Vec<f64>,
    cell: Vec<f64>,
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

impl Plain {
    fn new(sizes: Sequence) -> Self {
        let arrays = sizes.arrays().unwrap();
        let values = |count, seed| numbers(count, seed).into_iter().map(f64::from).collect::<Vec<_>>();
        let mut mask = values(arrays.mask, 5);
        mask.iter_mut().for_each(|real| *real = if *real < -0.3 { 0.0 } else { 1.0 });
        let [x, weight] = [values(arrays.gates, 1), values(arrays.weight, 2)];
        let [bias, state, cell] =
            [(arrays.bias, 3), (arrays.state, 4), (arrays.cell, 6)].map(|(n, s)| values(n, s));
        Self { sizes, x, weight, bias, mask, state, cell }
    }

    /// The states at all positions, `[length, batch, units]`, the last state, and the last cell.
    fn states(&self) -> [Vec<f64>; 3] {
        let Self { sizes, x, weight, bias, mask, .. } = self;
        let ([length, batch, units], gates) = (sizes.sizes(), sizes.gates as usize);
        let (mut state, mut cell) = (self.state.clone(), self.cell.clone());
        let mut all = vec![0.0; length * batch * units];
        for position in sizes.positions() {
            for row in (0..batch).filter(|row| mask.is_empty() || mask[position * batch + row] != 0.0) {
                let x = &x[(position * batch + row) * gates * units..][..gates * units];
                let before = state[row * units..(row + 1) * units].to_vec();
                let product = |i: usize| -> f64 {
                    weight[i * units..(i + 1) * units].iter().zip(&before).map(|(w, h)| w * h).sum()
                };
                for j in 0..units {
                    let sum = |gate: usize| {
                        let i = gate * units + j;
                        x[i] + bias[i] + product(i)
                    };
                    let h = &mut state[row * units + j];
                    if gates == 4 {
                        let c = &mut cell[row * units + j];
                        *c = sigmoid(sum(1)) * *c + sigmoid(sum(0)) * sum(2).tanh();
                        *h = sigmoid(sum(3)) * c.tanh();
                    } else {
                        let of_state = product(2 * units + j) + bias[3 * units + j];
                        let n = (x[2 * units + j] + bias[2 * units + j] + sigmoid(sum(0)) * of_state).tanh();
                        *h = n + sigmoid(sum(1)) * (*h - n);
                    }
                }
            }
            all[position * batch * units..][..batch * units].copy_from_slice(&state);
        }
        [all, state, cell]
    }

    /// The slope of Σ dys·states + d state·(last state) + d cell·(last cell) along each number that `part` selects.
    fn slopes(&mut self, part: fn(&mut Self) -> &mut Vec<f64>, grads: [&[f32]; 3]) -> Vec<f64> {
        const STEP: f64 = 1e-5;
        let total = |plain: &Self| -> f64 {
            let states = plain.states();
            let parts = states.iter().zip(grads);
            parts.flat_map(|(states, grads)| states.iter().zip(grads).map(|(s, g)| s * f64::from(*g))).sum()
        };
        (0..part(self).len())
            .map(|i| {
                let value = part(self)[i];
                let [above, below] = [STEP, -STEP].map(|step| {
                    part(self)[i] = value + step;
                    total(self)
                });
                part(self)[i] = value;
                (above - below) / (2.0 * STEP)
            })
            .collect()
    }
}

/// The results of the functions on some threads: the states, dx, and the gradients for weight and biases.
fn compute(plain: &Plain, grads: [&[f32]; 3], threads: usize) -> [Vec<f32>; 3] {
    let narrow = |values: &[f64]| values.iter().map(|x| *x as f32).collect::<Vec<_>>();
    let Plain { sizes, x, weight, bias, mask, state, cell } = plain;
    let [x, weight, bias, mask, state, cell] = [x, weight, bias, mask, state, cell].map(|of| narrow(of));
    let threads = &Scoped(threads);
    let states = run_on::<6, RecurrentStates>(threads, sizes, [&x, &weight, &bias, &mask, &state, &cell]);
    let [dys, dh, dc] = grads;
    let dx = run_on::<6, RecurrentGrad>(threads, sizes, [&weight, &states, &mask, dys, dh, dc]);
    let weights = run_on::<2, RecurrentWeightGrad>(threads, sizes, [&dx, &states]);
    [states, dx, weights]
}

fn sequences() -> Vec<Sequence> {
    let mut sequences = Vec::new();
    let all = [[3, 7, 5], [1, 1, 1], [2, 13, 3], [4, 2, 19], [0, 2, 3], [3, 0, 2]];
    // Each slope runs the whole sequence twice, which takes Miri minutes.
    let sizes = if cfg!(miri) { &[[2, 2, 1], [1, 1, 1]][..] } else { &all };
    for (i, &[length, batch, units]) in sizes.iter().enumerate() {
        for gates in [4, 3] {
            for [back, masked, each] in [[0, 0, 1], [1, 1, i as i64 % 2]] {
                sequences.push(Sequence { gates, length, batch, units, back, masked, keeps: 1, each });
            }
        }
    }
    sequences
}

#[test]
fn sequences_and_their_gradients_are_those_of_their_definition() {
    for sizes in sequences() {
        let mut plain = Plain::new(sizes);
        let [all, last, cell] = plain.states();
        let [dys, dh, dc] = [numbers(all.len(), 7), numbers(last.len(), 8), numbers(cell.len(), 9)];
        let dys = if sizes.each == 0 { Vec::new() } else { dys };
        let grads = [&dys[..], &dh, &dc];
        let [states, dx, weights] = compute(&plain, grads, 2);

        let slab = sizes.slab();
        let from = if sizes.back == 0 { slab } else { 0 };
        close(&states[from..from + all.len()], &all, 1e-5, &sizes);
        let arrays = sizes.arrays().unwrap();
        close(&dx, &plain.slopes(|plain| &mut plain.x, grads), 1e-4, &sizes);
        let (weight, bias) = weights.split_at(arrays.weight);
        close(weight, &plain.slopes(|plain| &mut plain.weight, grads), 1e-4, &sizes);
        let slopes = plain.slopes(|plain| &mut plain.bias, grads);
        close(&bias[..slopes.len()], &slopes, 1e-4, &sizes);

        // Where nothing is kept the states are the same, and the last cell comes after them.
        let brief = Plain { sizes: Sequence { keeps: 0, ..sizes }, ..plain };
        let narrow = |values: &[f64]| values.iter().map(|x| *x as f32).collect::<Vec<_>>();
        let inputs = [&brief.x, &brief.weight, &brief.bias, &brief.mask, &brief.state, &brief.cell];
        let inputs = inputs.map(|of| narrow(of));
        let got = run_on::<6, RecurrentStates>(&Scoped(1), &brief.sizes, inputs.each_ref().map(|of| &of[..]));
        let around = (sizes.length as usize + 1) * slab;
        assert!(got[..around] == states[..around], "{sizes:?}");
        close(&got[around..], &cell, 1e-5, &sizes);
    }
}

#[test]
#[cfg_attr(miri, ignore)]
fn sequences_are_the_same_on_any_number_of_threads() {
    for gates in [4, 3] {
        let sizes =
            Sequence { gates, length: 40, batch: 131, units: 37, back: 0, masked: 1, keeps: 1, each: 1 };
        let plain = Plain::new(sizes);
        let count = 40 * 131 * 37;
        let (dys, last) = (numbers(count, 1), numbers(131 * 37, 2));
        let cell = if gates == 4 { &last[..] } else { &[] };
        let one = compute(&plain, [&dys, &last, cell], 1);
        for threads in [2, 3, 7] {
            assert!(compute(&plain, [&dys, &last, cell], threads) == one, "{threads} threads");
        }
    }
}
