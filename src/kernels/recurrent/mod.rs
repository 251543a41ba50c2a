//! Whole recurrent sequences: all steps of an LSTM or a GRU in one call, and their gradients. The rows of a batch are
//! independent, so a thread takes some of them through all steps and waits for no other; the recurrent weight stays in its
//! cache, and the activations are applied there.
//!
//! The gates lie in the order i, f, g, o (LSTM) or r, z, n (GRU), as in `graph::Cell`.

mod backward;
mod forward;
#[cfg(test)]
mod tests;
mod weights;

pub use backward::RecurrentGrad;
pub use forward::RecurrentStates;
pub use weights::RecurrentWeightGrad;

use super::length;
use super::product::ROWS;
use super::threads::Threads;
use bytemuck::{Pod, Zeroable};
use std::ops::Range;

/// The sizes of a sequence, as a program passes them.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct Sequence {
    /// 4 for an LSTM, 3 for a GRU.
    pub gates: i64,
    /// Steps.
    pub length: i64,
    /// Rows.
    pub batch: i64,
    /// Numbers of the state.
    pub units: i64,
    /// Whether the steps run from the last position to the first.
    pub back: i64,
    /// Whether positions may be padding, at which the state stays as it is.
    pub masked: i64,
    /// Whether the values that the gradients need are kept for every step.
    pub keeps: i64,
    /// Whether every state has a gradient, and not only the last one.
    pub each: i64,
}

/// Of each step, an LSTM keeps i, f, g and o; a GRU r, z, n and the state's part of n before r is applied. A GRU has four
/// biases too: of r, of z, and of the input's and the state's part of n.
const KEPT: usize = 4;

/// `states[t]` is the state before the step at position `t` (after it, if the steps run back).
impl Sequence {
    fn is_lstm(&self) -> bool {
        self.gates == 4
    }

    fn sizes(&self) -> [usize; 3] {
        [self.length, self.batch, self.units].map(|n| n as usize)
    }

    /// The size of the states of one step.
    fn slab(&self) -> usize {
        (self.batch * self.units) as usize
    }

    /// The slabs of `[batch, units]` numbers that [`RecurrentStates`] gives: the states around all steps; the cells of
    /// an LSTM around all steps, or after the last one if nothing is kept; the gates that are kept.
    pub fn slabs(&self) -> Option<[usize; 3]> {
        let length = usize::try_from(self.length).ok()?;
        let around = length.checked_add(1)?;
        let cells = match (self.is_lstm(), self.keeps) {
            (false, _) => 0,
            (true, 0) => 1,
            (true, _) => around,
        };
        let gates = if self.keeps == 0 { 0 } else { length.checked_mul(KEPT)? };
        Some([around, cells, gates])
    }

    /// The positions in the order of the steps.
    fn positions(&self) -> impl DoubleEndedIterator<Item = usize> + use<> {
        let (length, back) = (self.length as usize, self.back != 0);
        (0..length).map(move |step| if back { length - 1 - step } else { step })
    }

    /// Where the states before and after the step at a position are.
    fn around(&self, position: usize) -> [usize; 2] {
        if self.back == 0 { [position, position + 1] } else { [position + 1, position] }
    }

    /// How many numbers the arrays have: the gates' inputs, the recurrent weight, the biases, the mask, and a state.
    fn arrays(&self) -> Option<Arrays> {
        let &Self { gates, length: steps, batch, units, masked, .. } = self;
        if !matches!(gates, 3 | 4) {
            return None;
        }
        let all = self.slabs()?.iter().sum::<usize>();
        Some(Arrays {
            gates: length(&[steps, batch, gates, units])?,
            weight: length(&[gates, units, units])?,
            bias: length(&[KEPT as i64, units])?,
            mask: if masked == 0 { 0 } else { length(&[steps, batch])? },
            state: length(&[batch, units])?,
            cell: if gates == 4 { length(&[batch, units])? } else { 0 },
            states: length(&[all.try_into().ok()?, batch, units])?,
        })
    }

    /// The rows of each task: a multiple of the rows of a product, as few tasks as keep all threads busy, and no more
    /// rows than fit into a core's cache.
    fn tasks(&self, threads: &dyn Threads) -> Vec<Range<usize>> {
        const MOST: usize = 16 * ROWS;
        let batch = self.batch as usize;
        let rows = batch.div_ceil(threads.count()).next_multiple_of(ROWS).min(MOST);
        (0..batch).step_by(rows).map(|first| first..batch.min(first + rows)).collect()
    }
}

struct Arrays {
    gates: usize,
    weight: usize,
    bias: usize,
    mask: usize,
    state: usize,
    /// Like the state, if there are cells.
    cell: usize,
    states: usize,
}

/// Each task's rows of each of the slabs of `width` numbers a row.
fn rows_of<'a>(
    slabs: &'a mut [f32],
    batch: usize,
    width: usize,
    tasks: &[Range<usize>],
) -> Vec<Vec<&'a mut [f32]>> {
    let mut of_tasks: Vec<Vec<&mut [f32]>> = tasks.iter().map(|_| Vec::new()).collect();
    for mut slab in slabs.chunks_exact_mut(batch * width) {
        for (rows, task) in of_tasks.iter_mut().zip(tasks) {
            let (own, rest) = slab.split_at_mut(task.len() * width);
            rows.push(own);
            slab = rest;
        }
    }
    of_tasks
}
