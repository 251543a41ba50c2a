//! Functions of the last axis: the logarithm of softmax with its gradient, and the place of the largest number. XLA's
//! CPU backend writes each as several kernels, compiled and started one after the other.

use super::functions::exp;
use super::lanes::vectorized;
use super::threads::{Threads, each};
use super::{Kernel, length, sum};
use bytemuck::{Pod, Zeroable};
use std::slice;

/// The rows of an array and their length, as a program passes them.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct LastAxis {
    rows: i64,
    length: i64,
}

impl LastAxis {
    /// The sizes for an array of `shape`; `None` without axes or with one of length 0.
    pub fn of(shape: &[usize]) -> Option<Self> {
        let (&length, outer) = shape.split_last()?;
        let rows = outer.iter().product::<usize>();
        (rows * length > 0).then_some(Self { rows: rows as i64, length: length as i64 })
    }

    /// How many numbers the array has, which is more than none.
    fn numbers(&self) -> Option<usize> {
        length(&[self.rows, self.length]).filter(|&numbers| numbers > 0)
    }
}

/// Numbers that are processed together: they stay in a core's cache from one pass to the next.
const BLOCK: usize = 4096;
/// From this many numbers on, a second thread is worth waking.
const PARALLEL: usize = 1 << 18;

/// The max of a row, with as many lanes at a time as the widest register has; NaN is skipped.
#[inline(always)]
fn largest(row: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let (chunks, rest) = row.as_chunks::<16>();
    let mut lanes = [f32::NEG_INFINITY; 16];
    for chunk in chunks {
        for i in 0..lanes.len() {
            lanes[i] = larger(lanes[i], chunk[i]);
        }
    }
    let of_chunks =
        if chunks.is_empty() { f32::NEG_INFINITY } else { lanes.into_iter().fold(lanes[0], larger) };
    rest.iter().copied().fold(of_chunks, larger)
}

#[inline(always)]
fn total(row: &[f32]) -> f32 {
    if row.len() < 16 {
        return row.iter().sum();
    }
    let mut total = 0.0;
    sum::add(row, slice::from_mut(&mut total));
    total
}

/// `x - m - ln Σ e^(x-m)` with the largest number m of each row.
#[inline(always)]
fn log_softmax_block(x: &[f32], out: &mut [f32], exps: &mut [f32], length: usize) {
    for (x, out) in x.chunks_exact(length).zip(out.chunks_exact_mut(length)) {
        let largest = largest(x);
        let out = &mut out[..x.len()];
        for i in 0..x.len() {
            out[i] = x[i] - largest;
        }
    }
    let (exps, out) = (&mut exps[..x.len()], &mut out[..x.len()]);
    for i in 0..x.len() {
        exps[i] = exp(out[i]);
    }
    for (exps, out) in exps.chunks_exact(length).zip(out.chunks_exact_mut(length)) {
        let log = total(exps).ln();
        for out in out {
            *out -= log;
        }
    }
}

/// `dy - e^y Σ dy`, from the result `y` and its gradient.
#[inline(always)]
fn gradient_rows(y: &[f32], dy: &[f32], out: &mut [f32], length: usize) {
    let out = &mut out[..y.len()];
    for i in 0..y.len() {
        out[i] = exp(y[i]);
    }
    for (dy, out) in dy.chunks_exact(length).zip(out.chunks_exact_mut(length)) {
        let total = total(dy);
        let out = &mut out[..dy.len()];
        for i in 0..dy.len() {
            out[i] = dy[i] - out[i] * total;
        }
    }
}

/// A call's operands and its result: some rows of each.
struct Part<'a, const N: usize, T> {
    operands: [&'a [f32]; N],
    /// `width` numbers for each row of `length`.
    result: &'a mut [T],
    length: usize,
    width: usize,
}

impl<const N: usize, T: Send> Part<'_, N, T> {
    /// Has `f` compute the result, in parts by several threads where that is worth it.
    fn compute(self, threads: &dyn Threads, f: &(impl Fn(Part<'_, N, T>) + Sync)) {
        let Self { operands, result, length, width } = self;
        let rows = result.len() / width;
        if rows < 2 || rows * length < PARALLEL {
            return f(Self { operands, result, length, width });
        }
        let rows = rows.div_ceil(threads.count() * 4).max(PARALLEL / 2 / length).max(1);
        let parts = result.chunks_mut(rows * width).enumerate().map(|(i, result)| Part {
            operands: operands.map(|operand| {
                let from = i * rows * length;
                &operand[from..from + result.len() / width * length]
            }),
            result,
            length,
            width,
        });
        each(threads, parts, f);
    }
}

/// `x -> ln softmax(x)` along the last axis.
#[derive(Debug)]
pub struct LogSoftmax;

impl Kernel<1> for LogSoftmax {
    type Sizes = LastAxis;
    type Operand = f32;
    type Result = f32;

    fn lengths(sizes: &LastAxis) -> Option<([usize; 1], usize)> {
        let all = sizes.numbers()?;
        Some(([all], all))
    }

    fn compute(sizes: &LastAxis, operands: [&[f32]; 1], result: &mut [f32], threads: &dyn Threads) {
        let length = sizes.length as usize;
        Part { operands, result, length, width: length }.compute(threads, &|part: Part<'_, 1, f32>| {
            let Part { operands: [x], result, length, .. } = part;
            let block = length * (BLOCK / length).max(1);
            let mut exps = vec![0.0; block.min(x.len())];
            for (x, result) in x.chunks(block).zip(result.chunks_mut(block)) {
                vectorized(
                    #[inline(always)]
                    || log_softmax_block(x, result, &mut exps, length),
                );
            }
        });
    }
}

/// `(y, dy) -> dx` of [`LogSoftmax`].
#[derive(Debug)]
pub struct LogSoftmaxGrad;

impl Kernel<2> for LogSoftmaxGrad {
    type Sizes = LastAxis;
    type Operand = f32;
    type Result = f32;

    fn lengths(sizes: &LastAxis) -> Option<([usize; 2], usize)> {
        let all = sizes.numbers()?;
        Some(([all; 2], all))
    }

    fn compute(sizes: &LastAxis, operands: [&[f32]; 2], result: &mut [f32], threads: &dyn Threads) {
        let length = sizes.length as usize;
        Part { operands, result, length, width: length }.compute(threads, &|part: Part<'_, 2, f32>| {
            let Part { operands: [y, dy], result, length, .. } = part;
            vectorized(
                #[inline(always)]
                || gradient_rows(y, dy, result, length),
            );
        });
    }
}

/// `x -> i` of the largest number along the last axis, the first of equals.
#[derive(Debug)]
pub struct ArgMax;

impl Kernel<1> for ArgMax {
    type Sizes = LastAxis;
    type Operand = f32;
    type Result = i32;

    fn lengths(sizes: &LastAxis) -> Option<([usize; 1], usize)> {
        Some(([sizes.numbers()?], length(&[sizes.rows])?))
    }

    fn compute(sizes: &LastAxis, operands: [&[f32]; 1], result: &mut [i32], threads: &dyn Threads) {
        let length = sizes.length as usize;
        Part { operands, result, length, width: 1 }.compute(threads, &|part: Part<'_, 1, i32>| {
            let Part { operands: [x], result, length, .. } = part;
            for (row, place) in x.chunks_exact(length).zip(result) {
                // Without a branch, which a processor cannot predict.
                let (mut largest, mut number) = (0, row[0]);
                for (i, &x) in row.iter().enumerate() {
                    let larger = x > number;
                    largest = if larger { i } else { largest };
                    number = if larger { x } else { number };
                }
                *place = largest as i32;
            }
        });
    }
}
