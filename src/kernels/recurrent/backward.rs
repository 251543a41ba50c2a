//! The gradient of a sequence for the gates' inputs.

use super::{KEPT, Sequence, rows_of};
use crate::Kernel;
use crate::functions::tanh;
use crate::panels::Panels;
use crate::threads::{Threads, each};
use pulp::{Arch, Simd, WithSimd};
use std::ops::Range;

/// `(weight, states, mask, dys, d state, d cell) -> dx`: from the recurrent weight, the states that were kept, the
/// mask, the gradient for every state `[length, batch, units]` (nothing without [`each`](Sequence::each)) and those for
/// the last state and cell. The result is `[length, batch, gates, units]`.
#[derive(Debug)]
pub struct RecurrentGrad;

impl Kernel<6> for RecurrentGrad {
    type Sizes = Sequence;
    type Operand = f32;
    type Result = f32;

    fn lengths(sizes: &Sequence) -> Option<([usize; 6], usize)> {
        let arrays = sizes.arrays().filter(|_| sizes.keeps != 0)?;
        let dys = if sizes.each == 0 { 0 } else { arrays.gates / sizes.gates as usize };
        let operands = [arrays.weight, arrays.states, arrays.mask, dys, arrays.state, arrays.cell];
        Some((operands, arrays.gates))
    }

    fn compute(sizes: &Sequence, operands: [&[f32]; 6], result: &mut [f32], threads: &dyn Threads) {
        if result.is_empty() {
            return;
        }
        let ([_, batch, units], gates) = (sizes.sizes(), sizes.gates as usize);
        let weight = &Panels::new(operands[0], [gates * units, units], threads);
        let tasks = sizes.tasks(threads);
        let results = rows_of(result, batch, gates * units, &tasks);
        each(threads, tasks.into_iter().zip(results), |(rows, result)| {
            Arch::new().dispatch(Steps { sizes, operands, weight, rows, result });
        });
    }
}

/// Some rows back through all steps.
struct Steps<'a> {
    sizes: &'a Sequence,
    operands: [&'a [f32]; 6],
    weight: &'a Panels,
    rows: Range<usize>,
    /// The rows of each step.
    result: Vec<&'a mut [f32]>,
}

impl WithSimd for Steps<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { sizes, operands, weight, rows, mut result } = self;
        let [_, states, mask, dys, state_grad, cell_grad] = operands;
        let ([_, batch, units], gates) = (sizes.sizes(), sizes.gates as usize);
        let Some([hidden, cells, _]) = sizes.slabs() else { return };
        let (hidden, rest) = states.split_at(hidden * sizes.slab());
        let (cells, kept) = rest.split_at(cells * sizes.slab());
        let own = rows.start * units..rows.end * units;
        let mut dh = state_grad[own.clone()].to_vec();
        let mut dc = if sizes.is_lstm() { cell_grad[own].to_vec() } else { Vec::new() };
        // The gradient for the product of the state and the weight.
        let mut through = vec![0.0; rows.len() * gates * units];
        let mut room = weight.room(rows.len());
        let products: &mut [f32] = bytemuck::cast_slice_mut(&mut room);
        for position in sizes.positions().rev() {
            let [before, after] = sizes.around(position);
            for (i, row) in rows.clone().enumerate() {
                let at = position * batch + row;
                let dh = &mut dh[i * units..(i + 1) * units];
                if sizes.each != 0 {
                    dh.iter_mut().zip(&dys[at * units..][..units]).for_each(|(dh, dy)| *dh += dy);
                }
                let dx = &mut result[position][i * gates * units..][..gates * units];
                let through = &mut through[i * gates * units..][..gates * units];
                if sizes.masked != 0 && mask[at] == 0.0 {
                    dx.fill(0.0);
                    through.fill(0.0);
                    continue;
                }
                let kept = &kept[at * KEPT * units..][..KEPT * units];
                let one = |step: usize| (step * batch + row) * units..(step * batch + row + 1) * units;
                if sizes.is_lstm() {
                    let cells = [before, after].map(|step| &cells[one(step)]);
                    lstm(kept, cells, dh, &mut dc[i * units..(i + 1) * units], dx);
                    through.copy_from_slice(dx);
                } else {
                    gru(kept, &hidden[one(before)], dh, dx);
                    let (rest, new) = through.split_at_mut(2 * units);
                    rest.copy_from_slice(&dx[..2 * units]);
                    new.iter_mut().zip(&dx[2 * units..]).zip(kept).for_each(|((to, dn), r)| *to = dn * r);
                }
            }
            weight.multiply(simd, &through, rows.len(), products);
            for (dh, product) in dh.chunks_exact_mut(units).zip(products.chunks_exact(weight.row())) {
                dh.iter_mut().zip(product).for_each(|(dh, product)| *dh += product);
            }
        }
    }
}

/// One row: `dx` from the gradients for state and cell after the step, which become those before it, without the part
/// that comes through the product.
#[inline(always)]
fn lstm(kept: &[f32], [before, after]: [&[f32]; 2], dh: &mut [f32], dc: &mut [f32], dx: &mut [f32]) {
    let units = dh.len();
    let (before, after, dc) = (&before[..units], &after[..units], &mut dc[..units]);
    let [input, forget, new, output] = [0, 1, 2, 3].map(|i| &kept[i * units..(i + 1) * units]);
    let (di, rest) = dx.split_at_mut(units);
    let (df, rest) = rest.split_at_mut(units);
    let (dg, d_o) = rest.split_at_mut(units);
    let (dg, d_o) = (&mut dg[..units], &mut d_o[..units]);
    for j in 0..units {
        let (i, f, g, o) = (input[j], forget[j], new[j], output[j]);
        let active = tanh(after[j]);
        let d = dc[j] + dh[j] * o * (1.0 - active * active);
        d_o[j] = dh[j] * active * o * (1.0 - o);
        di[j] = d * g * i * (1.0 - i);
        df[j] = d * before[j] * f * (1.0 - f);
        dg[j] = d * i * (1.0 - g * g);
        dc[j] = d * f;
        dh[j] = 0.0;
    }
}

/// The same for a GRU.
#[inline(always)]
fn gru(kept: &[f32], before: &[f32], dh: &mut [f32], dx: &mut [f32]) {
    let units = dh.len();
    let before = &before[..units];
    let [reset, update, new, of_state] = [0, 1, 2, 3].map(|i| &kept[i * units..(i + 1) * units]);
    let (dr, rest) = dx.split_at_mut(units);
    let (dz, dn) = rest.split_at_mut(units);
    let dn = &mut dn[..units];
    for j in 0..units {
        let (r, z, n) = (reset[j], update[j], new[j]);
        let d = dh[j] * (1.0 - z) * (1.0 - n * n);
        dr[j] = d * of_state[j] * r * (1.0 - r);
        dz[j] = dh[j] * (before[j] - n) * z * (1.0 - z);
        dn[j] = d;
        dh[j] *= z;
    }
}
