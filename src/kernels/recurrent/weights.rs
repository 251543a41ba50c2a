//! The gradients of a sequence for its recurrent weight and its biases.

use super::{KEPT, Sequence};
use crate::matmul::{Matmul, Product};
use crate::threads::{Threads, each};
use crate::{Kernel, sum};

/// `(dx, states) -> (d weight, d bias)`, one after the other, from the result of
/// [`RecurrentGrad`](super::RecurrentGrad) and the kept states.
#[derive(Debug)]
pub struct RecurrentWeightGrad;

impl Kernel<2> for RecurrentWeightGrad {
    type Sizes = Sequence;
    type Operand = f32;
    type Result = f32;

    fn lengths(sizes: &Sequence) -> Option<([usize; 2], usize)> {
        let arrays = sizes.arrays().filter(|_| sizes.keeps != 0)?;
        Some(([arrays.gates, arrays.states], arrays.weight + arrays.bias))
    }

    fn compute(sizes: &Sequence, [dx, states]: [&[f32]; 2], result: &mut [f32], threads: &dyn Threads) {
        let ([length, batch, units], gates) = (sizes.sizes(), sizes.gates as usize);
        if dx.is_empty() {
            return result.fill(0.0);
        }
        let (rows, slab) = (length * batch, sizes.slab());
        // The states before the steps.
        let from = if sizes.back == 0 { 0 } else { slab };
        let before = &states[from..from + length * slab];
        let (weight, bias) = result.split_at_mut(gates * units * units);
        let product = Product::new([gates * units, rows, units], [true, false]);
        if sizes.is_lstm() {
            Matmul::compute(&product, [dx, before], weight, threads);
            return sum::add_shared(dx, bias, threads);
        }
        // The reset gate lies between the product and the last of the gates.
        let kept = &states[states.len() - rows * KEPT * units..];
        let mut through = dx.to_vec();
        let some = rows.div_ceil(threads.count() * 4);
        let parts = through.chunks_mut(some * gates * units).zip(kept.chunks(some * KEPT * units));
        each(threads, parts, |(through, kept)| {
            let rows = through.chunks_exact_mut(gates * units).zip(kept.chunks_exact(KEPT * units));
            for (through, kept) in rows {
                through[2 * units..].iter_mut().zip(kept).for_each(|(dn, r)| *dn *= r);
            }
        });
        Matmul::compute(&product, [&through, before], weight, threads);
        let mut all = vec![0.0; gates * units];
        sum::add_shared(&through, &mut all, threads);
        bias[3 * units..].copy_from_slice(&all[2 * units..]);
        sum::add_shared(dx, &mut bias[..3 * units], threads);
    }
}
