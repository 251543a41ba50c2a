//! Sums along axes. XLA's CPU backend adds an axis of 32 or more in windows of 32, each round of them a separate kernel
//! to compile and to wait for.

use super::lanes::vectorized;
use super::threads::{Threads, each, map};
use super::{Kernel, length};
use bytemuck::{AnyBitPattern, Pod, Zeroable};
use std::marker::PhantomData;
use std::num::Wrapping;
use std::ops::AddAssign;
use std::slice;

/// The shape `[outer, summed, inner]` of an array summed over its middle axis, as a program passes it.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Sum {
    pub(super) outer: i64,
    pub(super) summed: i64,
    pub(super) inner: i64,
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

/// The longest run of numbers added one after the other. More are added in halves, whose rounding errors grow with the
/// logarithm of their length, whatever the number of threads.
const RUN: usize = 64;
/// From this many numbers on, a second thread is worth waking.
const PARALLEL: usize = 1 << 19;

/// One row after the other.
#[inline(always)]
fn add_run<T: Number>(rows: &[T], sum: &mut [T]) {
    for row in rows.chunks_exact(sum.len()) {
        let row = &row[..sum.len()];
        for i in 0..sum.len() {
            sum[i] += row[i];
        }
    }
}

/// The same for consecutive numbers, as many at a time as the widest register has.
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

/// How many numbers are added one after the other, in rows of `width`.
fn run(width: usize) -> usize {
    if width == 1 { RUN * 16 } else { RUN * width }
}

/// Divides rows that are not added one after the other.
fn halves<T>(rows: &[T], width: usize) -> (&[T], &[T]) {
    rows.split_at(rows.len() / width / 2 * width)
}

/// Adds the rows of `rows`, each as long as `sum`, to it.
pub(super) fn add<T: Number>(rows: &[T], sum: &mut [T]) {
    let width = sum.len();
    if rows.len() <= run(width) {
        return vectorized(
            #[inline(always)]
            || match sum {
                [sum] => add_line(rows, sum),
                _ => add_run(rows, sum),
            },
        );
    }
    let (first, second) = halves(rows, width);
    let mut other = vec![T::default(); width];
    add(first, sum);
    add(second, &mut other);
    add_run(&other, sum);
}

/// As [`add`] into zeros, with the halves of halves added by several threads.
pub(super) fn add_shared<T: Number>(rows: &[T], sum: &mut [T], threads: &dyn Threads) {
    let width = sum.len();
    let mut parts = vec![rows];
    // The last part is the longest, and the first the shortest.
    while parts[parts.len() - 1].len() >= PARALLEL && parts[0].len() > run(width) {
        parts = parts.into_iter().flat_map(|rows| <[_; 2]>::from(halves(rows, width))).collect();
    }
    let mut sums = map(threads, parts.len(), |i| {
        let mut sum = vec![T::default(); width];
        add(parts[i], &mut sum);
        sum
    });
    while sums.len() > 1 {
        sums = sums
            .chunks_exact_mut(2)
            .map(|pair| {
                let (first, second) = pair.split_at_mut(1);
                add_run(&second[0], &mut first[0]);
                std::mem::take(&mut first[0])
            })
            .collect();
    }
    sum.copy_from_slice(&sums[0]);
}

/// Adds the middle axis of [`Sum`]'s shape up.
fn sum<T: Number>(sizes: &Sum, x: &[T], sums: &mut [T], threads: &dyn Threads) {
    sums.fill(T::default());
    if x.is_empty() {
        return;
    }
    let [summed, inner] = [sizes.summed, sizes.inner].map(|n| n as usize);
    let numbers = summed * inner;
    let add_some = |x: &[T], sums: &mut [T]| {
        sums.chunks_exact_mut(inner).zip(x.chunks_exact(numbers)).for_each(|(sum, rows)| add(rows, sum));
    };
    if x.len() < PARALLEL {
        add_some(x, sums);
    } else if numbers < PARALLEL {
        let some = (PARALLEL / 2).div_ceil(numbers);
        let parts = x.chunks(some * numbers).zip(sums.chunks_mut(some * inner));
        each(threads, parts, |(x, sums)| add_some(x, sums));
    } else {
        for (sum, rows) in sums.chunks_exact_mut(inner).zip(x.chunks_exact(numbers)) {
            add_shared(rows, sum, threads);
        }
    }
}

/// `x -> Σ x` over the middle axis of [`Sum`]'s shape.
#[derive(Debug)]
pub struct SumOver<T>(PhantomData<T>);

/// Kernels for the types that are named, as generic ones would be compiled in the crate that uses them.
macro_rules! sums_over {
    ($($number:ty),*) => {$(
        impl Kernel<1> for SumOver<$number> {
            type Sizes = Sum;
            type Operand = $number;
            type Result = $number;

            fn lengths(&Sum { outer, summed, inner }: &Sum) -> Option<([usize; 1], usize)> {
                Some(([length(&[outer, summed, inner])?], length(&[outer, inner])?))
            }

            fn compute(sizes: &Sum, [x]: [&[$number]; 1], sums: &mut [$number], threads: &dyn Threads) {
                sum(sizes, x, sums, threads);
            }
        }
    )*};
}
sums_over!(f32, f64, Wrapping<i32>);
