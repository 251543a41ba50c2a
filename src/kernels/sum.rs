//! Sums along axes. XLA's CPU backend adds an axis of 32 or more in windows of 32, each round of them a kernel of its
//! own to compile and to wait for.

use super::{Kernel, length};
use bytemuck::{AnyBitPattern, Pod, Zeroable};
use pulp::Arch;
use rayon::prelude::*;
use std::marker::PhantomData;
use std::ops::AddAssign;
use std::slice;

/// The shape `[outer, summed, inner]` of what is summed over its middle axis, as a program passes it.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Sum {
    outer: i64,
    summed: i64,
    inner: i64,
}

/// The length from which XLA has several kernels for a sum.
const WINDOW: usize = 32;

impl Sum {
    /// The sum of an array of `shape` over its `axes`, if they lie side by side and are longer than XLA adds at once.
    pub fn of(shape: &[usize], axes: &[usize]) -> Option<Self> {
        let (first, last) = (*axes.iter().min()?, *axes.iter().max()?);
        let long = axes.iter().any(|&axis| shape[axis] >= WINDOW);
        if !long || last - first + 1 != axes.len() {
            return None;
        }
        let count = |part: &[usize]| part.iter().product::<usize>() as i64;
        Some(Self {
            outer: count(&shape[..first]),
            summed: count(&shape[first..=last]),
            inner: count(&shape[last + 1..]),
        })
    }
}

pub(crate) trait Number: AnyBitPattern + Default + AddAssign + Send + Sync {}

impl<T: AnyBitPattern + Default + AddAssign + Send + Sync> Number for T {}

/// So many numbers are added one after the other. More are added in halves, whose rounding errors grow with the
/// logarithm of their length, whatever the number of threads.
const RUN: usize = 64;
/// From so many numbers on, a second thread is worth being woken.
const PARALLEL: usize = 1 << 19;

/// One row after the other.
#[inline(always)]
fn add_run<T: Number>(rows: &[T], sum: &mut [T]) {
    for row in rows.chunks_exact(sum.len()) {
        for (sum, &x) in sum.iter_mut().zip(row) {
            *sum += x;
        }
    }
}

/// The same for numbers in a row, as many at a time as a register of any kind has.
#[inline(always)]
fn add_line<T: Number>(line: &[T], sum: &mut T) {
    let mut lanes = [T::default(); 16];
    let (chunks, rest) = line.as_chunks::<16>();
    for chunk in chunks {
        for i in 0..lanes.len() {
            lanes[i] += chunk[i];
        }
    }
    add_run(&lanes, slice::from_mut(sum));
    add_run(rest, slice::from_mut(sum));
}

/// Adds the rows of `rows`, each as long as `sum`, to it.
pub(super) fn add<T: Number>(rows: &[T], sum: &mut [T]) {
    let width = sum.len();
    let run = if width == 1 { RUN * 16 } else { RUN };
    if rows.len() <= run * width {
        return Arch::new().dispatch(
            #[inline(always)]
            || match sum {
                [sum] => add_line(rows, sum),
                _ => add_run(rows, sum),
            },
        );
    }
    let (first, second) = rows.split_at(rows.len() / width / 2 * width);
    let mut other = vec![T::default(); width];
    if rows.len() < PARALLEL {
        add(first, sum);
        add(second, &mut other);
    } else {
        rayon::join(|| add(first, sum), || add(second, &mut other));
    }
    add_run(&other, sum);
}

/// `x -> Σ x` over the middle axis of [`Sum`]'s shape.
pub(crate) struct SumOver<T>(PhantomData<T>);

impl<T: Number> Kernel<1> for SumOver<T> {
    type Sizes = Sum;
    type Operand = T;
    type Result = T;

    fn lengths(&Sum { outer, summed, inner }: &Sum) -> Option<([usize; 1], usize)> {
        Some(([length(&[outer, summed, inner])?], length(&[outer, inner])?))
    }

    fn compute(sizes: &Sum, [x]: [&[T]; 1], sums: &mut [T]) {
        sums.fill(T::default());
        if x.is_empty() {
            return;
        }
        let [summed, inner] = [sizes.summed, sizes.inner].map(|n| n as usize);
        if x.len() < PARALLEL {
            sums.chunks_exact_mut(inner)
                .zip(x.chunks_exact(summed * inner))
                .for_each(|(sum, rows)| add(rows, sum));
        } else {
            sums.par_chunks_exact_mut(inner)
                .zip(x.par_chunks_exact(summed * inner))
                .with_min_len((PARALLEL / 2 / (summed * inner)).max(1))
                .for_each(|(sum, rows)| add(rows, sum));
        }
    }
}
