//! Pools over channels-last images, and the way back: for each position of the window a few lines of channels, which a
//! core's cache holds, where XLA passes over the whole images for each cell of the window.

use super::lanes::{load, store};
use super::sliding::Sliding;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::ffi::c_void;
use std::ops::Range;
use std::slice;

/// What is done to an image: from its numbers `x` to those of the result `y`, or from `dy` to `dx`, which is zero at first.
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

/// Calls `one` with the cells of each position, for as many channels at a time as there are lanes: where these are in the
/// result, and by how much they are beyond the begin of a cell.
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
                    // What is not a number stays that.
                    let number = simd.equal_f32s(x, x);
                    largest = simd.select_f32s(simd.or_m32s(larger, simd.not_m32s(number)), x, largest);
                }
                store(simd, &mut y[result], largest);
            }),
            // To the first of the cells that has the largest number.
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

/// Runs the way that `way` makes for each image: of the result's part, and those of the operands.
///
/// # Safety
/// XLA calls with `N` operands of f32 and the sizes in one more; `of_image` says which have the size of an image, the
/// result first, and which that of a pool's result.
unsafe fn each_image<const N: usize>(
    out: *mut c_void,
    given: *const *const c_void,
    of_image: (bool, [bool; N]),
    way: impl for<'a> Fn(&'a mut [f32], [&'a [f32]; N]) -> Way<'a> + Sync,
) {
    // SAFETY: the caller's.
    unsafe {
        let pool = (*given.add(N)).cast::<Sliding>().read_unaligned();
        let numbers = |of_image: bool| {
            let size = if of_image { pool.image } else { pool.result };
            size.iter().product::<i64>() as usize
        };
        let images = pool.images as usize;
        let out = slice::from_raw_parts_mut(out.cast::<f32>(), images * numbers(of_image.0));
        let operands: [&[f32]; N] = std::array::from_fn(|i| {
            slice::from_raw_parts((*given.add(i)).cast(), images * numbers(of_image.1[i]))
        });
        if out.is_empty() {
            return;
        }
        let windows: Vec<Vec<usize>> = pool.positions().map(|at| pool.cells(at).collect()).collect();
        let channels = pool.channels();
        out.par_chunks_exact_mut(numbers(of_image.0)).enumerate().for_each(|(image, out)| {
            let operands = std::array::from_fn(|i| {
                let numbers = numbers(of_image.1[i]);
                &operands[i][image * numbers..(image + 1) * numbers]
            });
            Arch::new().dispatch(Image { windows: &windows, channels, way: way(out, operands) });
        });
    }
}

/// `x -> y`
pub(super) unsafe extern "C" fn max(out: *mut c_void, given: *const *const c_void) {
    // SAFETY: the program that calls has an operand and a result of these sizes.
    unsafe { each_image(out, given, (false, [true]), |y, [x]| Way::Max { x, y }) }
}

/// `(x, y, dy) -> dx`
pub(super) unsafe extern "C" fn max_grad(out: *mut c_void, given: *const *const c_void) {
    // SAFETY: the program that calls has operands and a result of these sizes.
    unsafe {
        each_image(out, given, (true, [true, false, false]), |dx, [x, y, dy]| {
            dx.fill(0.0);
            Way::MaxGrad { x, y, dy, dx }
        });
    }
}

/// `x -> y`
pub(super) unsafe extern "C" fn sum(out: *mut c_void, given: *const *const c_void) {
    // SAFETY: the program that calls has an operand and a result of these sizes.
    unsafe { each_image(out, given, (false, [true]), |y, [x]| Way::Sum { x, y }) }
}

/// `dy -> dx`
pub(super) unsafe extern "C" fn sum_grad(out: *mut c_void, given: *const *const c_void) {
    // SAFETY: the program that calls has operands and a result of these sizes.
    unsafe {
        each_image(out, given, (true, [false]), |dx, [dy]| {
            dx.fill(0.0);
            Way::SumGrad { dy, dx }
        });
    }
}
