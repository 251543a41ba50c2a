//! Functions that XLA's programs call on the built-in CPU, where XLA's own code is far slower than the cores allow.
//! They work on slices and know nothing of XLA; `lower::calls` of `neural` registers them with it.
//!
//! A result does not depend on the number of threads: where several threads add up numbers, the grouping of the terms
//! depends on the sizes alone.

#![warn(missing_docs)]
#![allow(
    clippy::inline_always,
    clippy::needless_range_loop,
    reason = "what is not inlined loses the instructions of its caller; places of tiles and matrices are named by their indices"
)]

#[cfg(all(target_arch = "x86_64", target_os = "linux", not(miri)))]
mod amx;
/// There is none here.
#[cfg(not(all(target_arch = "x86_64", target_os = "linux", not(miri))))]
mod amx {
    use crate::layout::Layout;
    use crate::threads::Threads;

    pub fn pays(_: [usize; 3]) -> bool {
        false
    }

    pub fn multiply(_: [usize; 3], _: [bool; 2], _: [&[f32]; 2], _: &mut [f32], _: &dyn Threads) -> bool {
        false
    }

    pub fn conv_pays(_: &Layout, _: usize) -> bool {
        false
    }

    pub fn conv_filter_grad_pays(_: &Layout, _: usize) -> bool {
        false
    }

    pub fn conv_pass(_: &Layout, _: usize, _: [&[f32]; 2], _: &mut [f32], _: &dyn Threads) -> bool {
        false
    }

    pub fn conv_filter_grad(_: &Layout, _: usize, _: [&[f32]; 2], _: &mut [f32], _: &dyn Threads) -> bool {
        false
    }
}
mod attention;
mod centred;
mod depthwise;
mod direct;
mod epilogue;
mod few_columns;
mod functions;
mod lanes;
mod last_axis;
mod layout;
mod matmul;
mod narrow;
mod panels;
mod parts;
pub mod philox;
mod pool;
mod product;
mod reads;
mod recurrent;
mod rows;
mod sliding;
mod sum;
mod threads;
mod tiles;
mod transform;
mod update;
mod winograd;

pub use attention::{Attention, AttentionGrad, AttentionSizes, HIDDEN as HIDDEN_SCORE};
pub use centred::{CentredProduct, CentredSquare};
pub use direct::{Direct, DirectFilterGrad, DirectInputGrad};
pub use epilogue::{Epilogue, MatmulEpilogue};
pub use last_axis::{ArgMax, LastAxis, LogSoftmax, LogSoftmaxGrad};
pub use matmul::{Matmul, Product};
pub use philox::Philox;
pub use pool::{MaxPool, MaxPoolGrad, SumPool, SumPoolGrad};
pub use recurrent::{RecurrentGrad, RecurrentStates, RecurrentWeightGrad, Sequence};
pub use rows::take_rows;
pub use sliding::Sliding;
pub use sum::{Sum, SumOver};
pub use threads::{Address, Threads};
pub use update::{Formula, Function, Group, Term, Update};
pub use winograd::{Winograd, WinogradFilterGrad, WinogradInputGrad, pays as winograd_pays};

use bytemuck::AnyBitPattern;
use std::fmt;

/// A function of `N` arrays whose sizes are known when a program is built.
pub trait Kernel<const N: usize> {
    /// The sizes, as a program passes them: a struct of `i64` alone.
    type Sizes: AnyBitPattern;
    /// The type of the operands' elements.
    type Operand: AnyBitPattern + Sync;
    /// The type of the result's elements.
    type Result: AnyBitPattern + Send;

    /// How many numbers each operand has, and the result; `None` for sizes that no arrays have.
    fn lengths(sizes: &Self::Sizes) -> Option<([usize; N], usize)>;

    /// Writes every number of the result. The slices have the [`lengths`](Self::lengths).
    fn compute(
        sizes: &Self::Sizes,
        operands: [&[Self::Operand]; N],
        result: &mut [Self::Result],
        threads: &dyn Threads,
    );

    /// # Errors
    /// When the slices do not have the lengths of the sizes.
    fn check(
        sizes: &Self::Sizes,
        operands: &[&[Self::Operand]; N],
        result: &[Self::Result],
    ) -> Result<(), Misfit> {
        let got = (operands.map(<[_]>::len), result.len());
        match Self::lengths(sizes) {
            Some(expected) if expected == got => Ok(()),
            expected => Err(Misfit { expected: format!("{expected:?}"), got: format!("{got:?}") }),
        }
    }

    /// # Errors
    /// As [`check`](Self::check). Nothing is computed then.
    fn run(
        sizes: &Self::Sizes,
        operands: [&[Self::Operand]; N],
        result: &mut [Self::Result],
        threads: &dyn Threads,
    ) -> Result<(), Misfit> {
        Self::check(sizes, &operands, result)?;
        Self::compute(sizes, operands, result, threads);
        Ok(())
    }
}

/// A kernel whose result consists of independent pieces, so that its caller need not wait for them.
pub trait Pieces<const N: usize>: Kernel<N> {
    /// How many there are, by the sizes alone.
    fn pieces(sizes: &Self::Sizes) -> usize;

    /// Whether waiting for [`compute`](Kernel::compute) pays, as it has a faster way that is not divided into such
    /// pieces.
    fn at_once(sizes: &Self::Sizes) -> bool;

    /// Computes the `i`-th piece.
    ///
    /// # Safety
    /// The operands and the memory at `result` have the [`lengths`](Kernel::lengths), nothing else uses that memory,
    /// and no two calls with the same `i` run at once.
    unsafe fn piece(
        sizes: &Self::Sizes,
        operands: [&[Self::Operand]; N],
        result: *mut Self::Result,
        i: usize,
    );
}

/// The error for slices that do not have the lengths of the sizes.
#[derive(Debug, PartialEq)]
pub struct Misfit {
    expected: String,
    got: String,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected operands and a result of {} numbers, got {}", self.expected, self.got)
    }
}

/// The product of the sizes of an array's axes, if there can be such an array of numbers of up to 8 bytes.
fn length(sizes: &[i64]) -> Option<usize> {
    let length =
        sizes.iter().try_fold(1, |length: usize, &size| length.checked_mul(size.try_into().ok()?))?;
    (length <= isize::MAX as usize / 8).then_some(length)
}

#[cfg(test)]
mod tests;
