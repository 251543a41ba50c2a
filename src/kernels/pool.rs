//! Pools over channels-last images, and their gradients: they read a few lines of channels for each position of the
//! window, which stay in a core's cache, where XLA makes a pass over the whole images for each cell of the window.

use super::Kernel;
use super::lanes::{load, store};
use super::parts::images_a_task;
use super::sliding::Sliding;
use super::threads::{Threads, each as share};
use pulp::{Arch, Simd, WithSimd};
use std::ops::Range;

/// The operation on an image: from its numbers `x` to the result `y`, or from `dy` to `dx`, which is zero at first.
enum Way<'a> {
    Max { x: &'a [f32], y: &'a mut [f32] },
    MaxGrad { x: &'a [f32], y: &'a [f32], dy: &'a [f32], dx: &'a mut [f32] },
    Sum { x: &'a [f32], y: &'a mut [f32] },
    SumGrad { dy: &'a [f32], dx: &'a mut [f32] },
}

struct Image<'a> {
    windows: &'a [Vec<usize>],
    channels: usize,
    way: Way<'a>,
}

/// Calls `one` with the cells of each position, for as many channels at a time as there are lanes: with the channels'
/// places in the result and in a cell.
#[inline(always)]
fn each(
    windows: &[Vec<usize>],
    channels: usize,
    lanes: usize,
    mut one: impl FnMut(&[usize], Range<usize>, Range<usize>),
) {
    for (position, cells) in windows.iter().enumerate() {
        for channel in (0..channels).step_by(lanes) {
            let end = (channel + lanes).min(channels);
            one(cells, position * channels + channel..position * channels + end, channel..end);
        }
    }
}

impl WithSimd for Image<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { windows, channels, way } = self;
        let zero = simd.splat_f32s(0.0);
        let place = |at: usize, channels: &Range<usize>| at + channels.start..at + channels.end;
        match way {
            Way::Max { x, y } => each(windows, channels, S::F32_LANES, |cells, result, channels| {
                let mut largest = simd.splat_f32s(f32::NEG_INFINITY);
                for &at in cells {
                    let x = load(simd, &x[place(at, &channels)]);
                    let larger = simd.greater_than_f32s(x, largest);
                    // NaN stays NaN.
                    let number = simd.equal_f32s(x, x);
                    largest = simd.select_f32s(simd.or_m32s(larger, simd.not_m32s(number)), x, largest);
                }
                store(simd, &mut y[result], largest);
            }),
            // The gradient goes to the first cell that holds the maximum.
            Way::MaxGrad { x, y, dy, dx } => {
                each(windows, channels, S::F32_LANES, |cells, result, channels| {
                    let y = load(simd, &y[result.clone()]);
                    let mut left = load(simd, &dy[result]);
                    for &at in cells {
                        let place = place(at, &channels);
                        let won = simd.equal_f32s(load(simd, &x[place.clone()]), y);
                        let dx = &mut dx[place];
                        let sum = simd.add_f32s(load(simd, dx), simd.select_f32s(won, left, zero));
                        store(simd, dx, sum);
                        left = simd.select_f32s(won, zero, left);
                    }
                });
            }
            Way::Sum { x, y } => each(windows, channels, S::F32_LANES, |cells, result, channels| {
                let sum = cells
                    .iter()
                    .fold(zero, |sum, &at| simd.add_f32s(sum, load(simd, &x[place(at, &channels)])));
                store(simd, &mut y[result], sum);
            }),
            Way::SumGrad { dy, dx } => each(windows, channels, S::F32_LANES, |cells, result, channels| {
                let dy = load(simd, &dy[result]);
                for &at in cells {
                    let dx = &mut dx[place(at, &channels)];
                    let sum = simd.add_f32s(load(simd, dx), dy);
                    store(simd, dx, sum);
                }
            }),
        }
    }
}

/// The lengths of images and results; `None` unless a pool has equally many channels in and out.
fn lengths(sizes: &Sliding) -> Option<[usize; 2]> {
    let [images, results, _] = sizes.lengths()?;
    (sizes.image[2] == sizes.result[2]).then_some([images, results])
}

/// Computes each image's part of `out` from its parts of the operands, by the [`Way`] that `way` builds from them.
fn each_image<const N: usize>(
    sizes: &Sliding,
    operands: [&[f32]; N],
    out: &mut [f32],
    threads: &dyn Threads,
    way: impl for<'a> Fn([&'a [f32]; N], &'a mut [f32]) -> Way<'a> + Sync,
) {
    if out.is_empty() {
        return;
    }
    let images = sizes.images as usize;
    let windows: &[Vec<usize>] = &sizes.positions().map(|at| sizes.cells(at).collect()).collect::<Vec<_>>();
    let channels = sizes.channels();
    let (task, numbers) = (images_a_task(images, threads), out.len() / images);
    share(threads, out.chunks_mut(task * numbers).enumerate(), |(i, out)| {
        for (image, out) in (i * task..).zip(out.chunks_exact_mut(numbers)) {
            let operands = operands.map(|operand| {
                let numbers = operand.len() / images;
                &operand[image * numbers..(image + 1) * numbers]
            });
            Arch::new().dispatch(Image { windows, channels, way: way(operands, out) });
        }
    });
}

/// `x -> y`
#[derive(Debug)]
pub struct MaxPool;

impl Kernel<1> for MaxPool {
    type Sizes = Sliding;
    type Operand = f32;
    type Result = f32;

    fn lengths(sizes: &Sliding) -> Option<([usize; 1], usize)> {
        let [images, results] = lengths(sizes)?;
        Some(([images], results))
    }

    fn compute(sizes: &Sliding, x: [&[f32]; 1], y: &mut [f32], threads: &dyn Threads) {
        each_image(sizes, x, y, threads, |[x], y| Way::Max { x, y });
    }
}

/// `(x, y, dy) -> dx`
#[derive(Debug)]
pub struct MaxPoolGrad;

impl Kernel<3> for MaxPoolGrad {
    type Sizes = Sliding;
    type Operand = f32;
    type Result = f32;

    fn lengths(sizes: &Sliding) -> Option<([usize; 3], usize)> {
        let [images, results] = lengths(sizes)?;
        Some(([images, results, results], images))
    }

    fn compute(sizes: &Sliding, given: [&[f32]; 3], dx: &mut [f32], threads: &dyn Threads) {
        dx.fill(0.0);
        each_image(sizes, given, dx, threads, |[x, y, dy], dx| Way::MaxGrad { x, y, dy, dx });
    }
}

/// `x -> y`
#[derive(Debug)]
pub struct SumPool;

impl Kernel<1> for SumPool {
    type Sizes = Sliding;
    type Operand = f32;
    type Result = f32;

    fn lengths(sizes: &Sliding) -> Option<([usize; 1], usize)> {
        let [images, results] = lengths(sizes)?;
        Some(([images], results))
    }

    fn compute(sizes: &Sliding, x: [&[f32]; 1], y: &mut [f32], threads: &dyn Threads) {
        each_image(sizes, x, y, threads, |[x], y| Way::Sum { x, y });
    }
}

/// `dy -> dx`
#[derive(Debug)]
pub struct SumPoolGrad;

impl Kernel<1> for SumPoolGrad {
    type Sizes = Sliding;
    type Operand = f32;
    type Result = f32;

    fn lengths(sizes: &Sliding) -> Option<([usize; 1], usize)> {
        let [images, results] = lengths(sizes)?;
        Some(([results], images))
    }

    fn compute(sizes: &Sliding, dy: [&[f32]; 1], dx: &mut [f32], threads: &dyn Threads) {
        dx.fill(0.0);
        each_image(sizes, dy, dx, threads, |[dy], dx| Way::SumGrad { dy, dx });
    }
}
