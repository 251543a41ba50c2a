//! The states of a sequence.

use super::{KEPT, Sequence, rows_of};
use crate::Kernel;
use crate::functions::{sigmoid, tanh};
use crate::panels::Panels;
use crate::threads::{Threads, each};
use pulp::{Arch, Simd, WithSimd};
use std::ops::Range;

/// `(x, weight, bias, mask, state, cell) -> states`: from the inputs' contribution to the gates `[length, batch, gates,
/// units]`, the recurrent weight `[gates, units, units]`, the biases `[4, units]`, the mask `[length, batch]`, 0 at
/// padding (empty if there is none), and the first state and cell `[batch, units]` (no cell for a GRU). The result
/// consists of [slabs](Sequence::slabs).
#[derive(Debug)]
pub struct RecurrentStates;

impl Kernel<6> for RecurrentStates {
    type Sizes = Sequence;
    type Operand = f32;
    type Result = f32;

    fn lengths(sizes: &Sequence) -> Option<([usize; 6], usize)> {
        let arrays = sizes.arrays()?;
        let operands = [arrays.gates, arrays.weight, arrays.bias, arrays.mask, arrays.state, arrays.cell];
        Some((operands, arrays.states))
    }

    fn compute(sizes: &Sequence, operands: [&[f32]; 6], result: &mut [f32], threads: &dyn Threads) {
        let [_, weight, ..] = operands;
        let ([_, batch, units], Some([hidden, cells, _])) = (sizes.sizes(), sizes.slabs()) else { return };
        if result.is_empty() {
            return;
        }
        let gates = sizes.gates as usize;
        let weight = &Panels::transposed(weight, [gates * units, units], threads);
        let (hidden, rest) = result.split_at_mut(hidden * sizes.slab());
        let (cells, kept) = rest.split_at_mut(cells * sizes.slab());
        let tasks = sizes.tasks(threads);
        let hidden = rows_of(hidden, batch, units, &tasks).into_iter();
        let cells = rows_of(cells, batch, units, &tasks).into_iter();
        let kept = rows_of(kept, batch, KEPT * units, &tasks).into_iter();
        let outputs = hidden.zip(cells).zip(kept);
        each(threads, tasks.into_iter().zip(outputs), |(rows, ((hidden, cells), kept))| {
            Arch::new().dispatch(Steps { sizes, operands, weight, rows, hidden, cells, kept });
        });
    }
}

/// Some rows through all steps.
struct Steps<'a> {
    sizes: &'a Sequence,
    operands: [&'a [f32]; 6],
    weight: &'a Panels,
    rows: Range<usize>,
    /// The rows of each slab.
    hidden: Vec<&'a mut [f32]>,
    cells: Vec<&'a mut [f32]>,
    kept: Vec<&'a mut [f32]>,
}

impl WithSimd for Steps<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { sizes, operands, weight, rows, mut hidden, mut cells, mut kept } = self;
        let [x, _, bias, mask, state, cell] = operands;
        let ([length, batch, units], gates) = (sizes.sizes(), sizes.gates as usize);
        let own = rows.start * units..rows.end * units;
        let first = if sizes.back == 0 { 0 } else { length };
        hidden[first].copy_from_slice(&state[own.clone()]);
        let mut cell = if sizes.is_lstm() { cell[own].to_vec() } else { Vec::new() };
        if cells.len() > 1 {
            cells[first].copy_from_slice(&cell);
        }
        let mut room = weight.room(rows.len());
        let products: &mut [f32] = bytemuck::cast_slice_mut(&mut room);
        let mut not_kept = vec![0.0; KEPT * units];
        for position in sizes.positions() {
            let [before, after] = sizes.around(position);
            let Ok([state, next]) = hidden.get_disjoint_mut([before, after]) else { return };
            weight.multiply(simd, state, rows.len(), products);
            for (i, row) in rows.clone().enumerate() {
                let one = i * units..(i + 1) * units;
                let kept = match kept.get_mut(position) {
                    Some(kept) => &mut kept[i * KEPT * units..][..KEPT * units],
                    None => &mut not_kept[..],
                };
                if sizes.masked != 0 && mask[position * batch + row] == 0.0 {
                    kept.fill(0.0);
                    next[one.clone()].copy_from_slice(&state[one]);
                    continue;
                }
                let x = &x[(position * batch + row) * gates * units..][..gates * units];
                let product = &products[i * weight.row()..][..gates * units];
                if sizes.is_lstm() {
                    lstm(x, product, bias, kept, &mut cell[one.clone()], &mut next[one]);
                } else {
                    gru(x, product, bias, kept, &state[one.clone()], &mut next[one]);
                }
            }
            if cells.len() > 1 {
                cells[after].copy_from_slice(&cell);
            }
        }
        if let [last] = &mut cells[..] {
            last.copy_from_slice(&cell);
        }
    }
}

/// `c' = σ(f) c + σ(i) tanh(g)`, `h' = σ(o) tanh(c')`, for one row.
#[inline(always)]
fn lstm(x: &[f32], product: &[f32], bias: &[f32], kept: &mut [f32], cell: &mut [f32], next: &mut [f32]) {
    let units = next.len();
    for (((kept, x), product), bias) in kept.iter_mut().zip(x).zip(product).zip(bias) {
        *kept = x + product + bias;
    }
    let (input, rest) = kept.split_at_mut(units);
    let (forget, rest) = rest.split_at_mut(units);
    let (new, output) = rest.split_at_mut(units);
    input.iter_mut().for_each(|i| *i = sigmoid(*i));
    forget.iter_mut().for_each(|f| *f = sigmoid(*f));
    new.iter_mut().for_each(|g| *g = tanh(*g));
    output.iter_mut().for_each(|o| *o = sigmoid(*o));
    let (new, cell) = (&new[..units], &mut cell[..units]);
    for j in 0..units {
        cell[j] = forget[j] * cell[j] + input[j] * new[j];
        next[j] = output[j] * tanh(cell[j]);
    }
}

/// `n = tanh(x_n + σ(r) h_n)`, `h' = n + σ(z) (h - n)`, for one row.
#[inline(always)]
fn gru(x: &[f32], product: &[f32], bias: &[f32], kept: &mut [f32], state: &[f32], next: &mut [f32]) {
    let units = next.len();
    let (reset, rest) = kept.split_at_mut(units);
    let (update, rest) = rest.split_at_mut(units);
    let (new, of_state) = rest.split_at_mut(units);
    for (gate, i) in [(&mut *reset, 0), (&mut *update, 1)] {
        let [x, product, bias] = [x, product, bias].map(|of| &of[i * units..(i + 1) * units]);
        for j in 0..units {
            gate[j] = sigmoid(x[j] + product[j] + bias[j]);
        }
    }
    let (x, product) = (&x[2 * units..3 * units], &product[2 * units..3 * units]);
    let (bias, state_bias) = (&bias[2 * units..3 * units], &bias[3 * units..4 * units]);
    let (new, of_state, state) = (&mut new[..units], &mut of_state[..units], &state[..units]);
    for j in 0..units {
        of_state[j] = product[j] + state_bias[j];
        new[j] = tanh(x[j] + bias[j] + reset[j] * of_state[j]);
        next[j] = new[j] + update[j] * (state[j] - new[j]);
    }
}
