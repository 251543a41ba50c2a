//! Sums over rows less a row that is the same for all: the variance of a batch normalisation, and its gradients. The
//! terms are never written to memory.

use super::lanes::vectorized;
use super::parts::{Sum as SumOverImages, sum_over_images};
use super::product::lines;
use super::sum::Sum;
use super::threads::{Threads, each};
use super::{Kernel, length};
use std::ops::Range;

/// Rows that are added one after the other; more are added in halves.
const RUN: usize = 64;
/// Narrow rows are added several at a time, until they have this many numbers.
const WIDE: usize = 64;
/// A part of the sum has at least this many numbers.
const LEAST: usize = 1 << 18;

/// Has `run` add rows to `sum`, a few at a time.
fn add(rows: Range<usize>, sum: &mut [f32], run: &impl Fn(Range<usize>, &mut [f32])) {
    if rows.len() <= RUN {
        return run(rows, sum);
    }
    let middle = rows.start + rows.len() / 2;
    let mut second = vec![0.0; sum.len()];
    add(rows.start..middle, sum, run);
    add(middle..rows.end, &mut second, run);
    sum.iter_mut().zip(second).for_each(|(sum, x)| *sum += x);
}

/// The sum of some rows. `run` adds the rows in a range of numbers to a sum as long as the row that is subtracted: narrow
/// rows several side by side, and the rest one by one.
fn sum_rows(rows: Range<usize>, centre: &[f32], wide: &[f32], total: &mut [f32], run: &impl Run) {
    let width = centre.len();
    let together = wide.len() / width;
    let mut side_by_side = vec![0.0; wide.len()];
    add(0..rows.len() / together, &mut side_by_side, &|some, sum| {
        let begin = rows.start * width;
        run(begin + some.start * wide.len()..begin + some.end * wide.len(), wide, sum);
    });
    total.fill(0.0);
    run((rows.end - rows.len() % together) * width..rows.end * width, centre, total);
    for row in side_by_side.chunks_exact(width) {
        total.iter_mut().zip(row).for_each(|(total, x)| *total += x);
    }
}

trait Run: Fn(Range<usize>, &[f32], &mut [f32]) + Sync {}

impl<F: Fn(Range<usize>, &[f32], &mut [f32]) + Sync> Run for F {}

/// All sums.
fn sum(sizes: &Sum, centre: &[f32], result: &mut [f32], threads: &dyn Threads, run: impl Run) {
    let [outer, summed, width] = [sizes.outer, sizes.summed, sizes.inner].map(|n| n as usize);
    let wide = &centre.repeat((WIDE / width).max(1));
    if outer > 1 {
        let some = LEAST.div_ceil(summed * width);
        let parts = result.chunks_mut(some * width).enumerate();
        return each(threads, parts, |(part, sums)| {
            for (i, sum) in sums.chunks_exact_mut(width).enumerate() {
                let row = (part * some + i) * summed;
                sum_rows(row..row + summed, centre, wide, sum, &run);
            }
        });
    }
    let all = SumOverImages { images: summed, terms: width, least: LEAST };
    let sums = sum_over_images(&all, 1, threads, &|rows, _| {
        let mut sum = lines(width);
        sum_rows(rows, centre, wide, &mut bytemuck::cast_slice_mut(&mut sum)[..width], &run);
        sum
    });
    result.copy_from_slice(&bytemuck::cast_slice(&sums[0])[..width]);
}

/// How many numbers the arrays, the row that is subtracted, and the sums have.
fn lengths(&Sum { outer, summed, inner }: &Sum) -> Option<[usize; 3]> {
    let all = length(&[outer, summed, inner]).filter(|&all| all > 0)?;
    Some([all, inner as usize, (outer * inner) as usize])
}

/// `(a, b, c) -> Σ a (b - c)`
#[derive(Debug)]
pub struct CentredProduct;

impl Kernel<3> for CentredProduct {
    type Sizes = Sum;
    type Operand = f32;
    type Result = f32;

    fn lengths(sizes: &Sum) -> Option<([usize; 3], usize)> {
        let [all, width, sums] = lengths(sizes)?;
        Some(([all, all, width], sums))
    }

    fn compute(sizes: &Sum, [a, b, c]: [&[f32]; 3], result: &mut [f32], threads: &dyn Threads) {
        sum(sizes, c, result, threads, |part, c, sum| {
            vectorized(
                #[inline(always)]
                || {
                    let rows =
                        a[part.clone()].chunks_exact(c.len()).zip(b[part.clone()].chunks_exact(c.len()));
                    for (a, b) in rows {
                        let (sum, a, b) = (&mut sum[..c.len()], &a[..c.len()], &b[..c.len()]);
                        for i in 0..c.len() {
                            sum[i] += a[i] * (b[i] - c[i]);
                        }
                    }
                },
            );
        });
    }
}

/// `(b, c) -> Σ (b - c)²`
#[derive(Debug)]
pub struct CentredSquare;

impl Kernel<2> for CentredSquare {
    type Sizes = Sum;
    type Operand = f32;
    type Result = f32;

    fn lengths(sizes: &Sum) -> Option<([usize; 2], usize)> {
        let [all, width, sums] = lengths(sizes)?;
        Some(([all, width], sums))
    }

    fn compute(sizes: &Sum, [b, c]: [&[f32]; 2], result: &mut [f32], threads: &dyn Threads) {
        sum(sizes, c, result, threads, |part, c, sum| {
            vectorized(
                #[inline(always)]
                || {
                    for b in b[part.clone()].chunks_exact(c.len()) {
                        let (sum, b) = (&mut sum[..c.len()], &b[..c.len()]);
                        for i in 0..c.len() {
                            sum[i] += (b[i] - c[i]) * (b[i] - c[i]);
                        }
                    }
                },
            );
        });
    }
}
