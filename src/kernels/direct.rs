//! A convolution as it is defined, and its gradient for the filters: products of which one operand is read where it lies
//! in the image, so that no patches go through memory.

use super::Kernel;
use super::lanes::store;
use super::parts::{each_task, sum_over_images};
use super::product::{Columns, Line, REGISTERS, ROWS, Scattered, lines, product};
use super::sliding::Sliding;
use super::threads::Threads;
use pulp::{Arch, Simd, WithSimd};

/// So many positions are worked on at a time, whose numbers stay in the cache of a core.
const BLOCK: usize = 256;
/// A part of the sum over images has at least this many positions.
const LEAST: usize = 1024;

/// Where the numbers that a convolution reads lie in a padded image: that of a tap at a position is at the sum of both.
struct Layout {
    sizes: Sliding,
    /// Height and width of the padded image.
    padded: [i64; 2],
    /// For each position.
    starts: Vec<usize>,
    /// For each number of a patch.
    taps: Vec<usize>,
}

impl Layout {
    fn new(sizes: Sliding) -> Self {
        let Sliding { image, result, window, stride, dilation, .. } = sizes;
        let padded = [0, 1].map(|i| (result[i] - 1) * stride[i] + (window[i] - 1) * dilation[i] + 1);
        let place = |[y, x]: [i64; 2], scale: [i64; 2]| (y * scale[0] * padded[1] + x * scale[1]) * image[2];
        let starts = sizes.positions().map(|position| place(position, stride) as usize).collect();
        let cells = (0..window[0]).flat_map(|y| (0..window[1]).map(move |x| [y, x]));
        let taps = cells
            .flat_map(|cell| (0..image[2]).map(move |channel| (place(cell, dilation) + channel) as usize))
            .collect();
        Self { sizes, padded, starts, taps }
    }

    /// Numbers of an image, of a padded one, and of a result.
    fn numbers(&self) -> [usize; 3] {
        let [height, width] = self.padded;
        let padded = height * width * self.sizes.image[2];
        [self.sizes.image.iter().product(), padded, self.sizes.result.iter().product()].map(|n| n as usize)
    }

    /// Copies an image into a padded one, whose padding is zero and stays so.
    fn pad(&self, image: &[f32], padded: &mut [f32]) {
        let Sliding { image: [height, width, channels], padding, .. } = self.sizes;
        let [_, padded_width] = self.padded;
        // The columns that are on both: none, where the padding is wider than what is read.
        let from = padding[1].max(0);
        let to = (width + padding[1]).min(padded_width);
        if to <= from {
            return;
        }
        let length = ((to - from) * channels) as usize;
        for y in padding[0].max(0)..(height + padding[0]).min(self.padded[0]) {
            let source = (((y - padding[0]) * width + from - padding[1]) * channels) as usize;
            let target = ((y * padded_width + from) * channels) as usize;
            padded[target..target + length].copy_from_slice(&image[source..source + length]);
        }
    }

    /// The columns of a product that a group of registers has.
    fn groups<S: Simd>(&self) -> usize {
        self.sizes.filters().div_ceil(REGISTERS * S::F32_LANES)
    }
}

/// Some of `all` from `first` on for the rows of a product; what is beyond the last is like the last.
fn rows(all: &[usize], first: usize) -> [usize; ROWS] {
    std::array::from_fn(|i| all[(first + i).min(all.len() - 1)])
}

/// `rows` of `width` numbers in as many registers each as `groups` have: where they lie, or if they do not fill those,
/// copied to `room`.
#[inline(always)]
fn in_registers<'a, S: Simd>(
    rows: &'a [f32],
    width: usize,
    groups: usize,
    room: &'a mut [Line],
) -> &'a [S::f32s] {
    let length = groups * REGISTERS * S::F32_LANES;
    if width == length {
        return S::as_simd_f32s(rows).0;
    }
    let room: &mut [f32] = bytemuck::cast_slice_mut(room);
    for (row, to) in rows.chunks_exact(width).zip(room.chunks_exact_mut(length)) {
        to[..width].copy_from_slice(row);
    }
    S::as_simd_f32s(room).0
}

/// Writes the rows that are there of a product to the results of consecutive positions, from `filter` on.
#[inline(always)]
fn write<S: Simd>(
    simd: S,
    sums: [[S::f32s; REGISTERS]; ROWS],
    results: &mut [f32],
    filters: usize,
    filter: usize,
) {
    let width = REGISTERS * S::F32_LANES;
    if results.len() >= ROWS * filters && filter + width <= filters {
        for i in 0..ROWS {
            let place = &mut results[i * filters + filter..][..width];
            S::as_mut_simd_f32s(place).0.copy_from_slice(&sums[i]);
        }
    } else {
        // Apart, so that the numbers above need not leave their registers.
        write_part(simd, sums, results, filters, filter);
    }
}

#[inline(never)]
fn write_part<S: Simd>(
    simd: S,
    sums: [[S::f32s; REGISTERS]; ROWS],
    results: &mut [f32],
    filters: usize,
    filter: usize,
) {
    for (result, row) in results.chunks_exact_mut(filters).zip(&sums) {
        for (place, &sum) in result[filter..].chunks_mut(S::F32_LANES).zip(row) {
            store(simd, place, sum);
        }
    }
}

/// The results of some images.
struct Conv<'a> {
    layout: &'a Layout,
    images: &'a [f32],
    kernel: &'a [f32],
    results: &'a mut [f32],
}

impl WithSimd for Conv<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { layout, images, kernel, results } = self;
        let Layout { sizes, starts, taps, .. } = layout;
        let [image_len, padded_len, result_len] = layout.numbers();
        let (filters, groups) = (sizes.filters(), layout.groups::<S>());
        let mut room = lines(taps.len() * groups * REGISTERS * S::F32_LANES);
        let weights = in_registers::<S>(kernel, filters, groups, &mut room);
        let columns = Columns::new(taps);
        let mut padded = vec![0.0; padded_len];
        for (image, result) in images.chunks_exact(image_len).zip(results.chunks_exact_mut(result_len)) {
            layout.pad(image, &mut padded);
            for group in 0..groups {
                let weights = &weights[group * REGISTERS..];
                for position in (0..starts.len()).step_by(ROWS) {
                    let a = Scattered { values: &padded, rows: rows(starts, position), columns };
                    let sums = product(simd, taps.len(), a, weights, groups * REGISTERS);
                    let filter = group * REGISTERS * S::F32_LANES;
                    write(simd, sums, &mut result[position * filters..], filters, filter);
                }
            }
        }
    }
}

/// What some images give of the filters' gradient: a row of whole groups for each tap.
struct FilterGrad<'a> {
    layout: &'a Layout,
    images: &'a [f32],
    results: &'a [f32],
}

impl WithSimd for FilterGrad<'_> {
    type Output = Vec<Line>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<Line> {
        let Self { layout, images, results } = self;
        let Layout { sizes, starts, taps, .. } = layout;
        let [image_len, padded_len, result_len] = layout.numbers();
        let (filters, groups) = (sizes.filters(), layout.groups::<S>());
        let registers = groups * REGISTERS;
        let mut sum = lines(taps.len().next_multiple_of(ROWS) * registers * S::F32_LANES);
        let c = S::as_mut_simd_f32s(bytemuck::cast_slice_mut(&mut sum)).0;
        let mut room = lines(BLOCK * registers * S::F32_LANES);
        let mut padded = vec![0.0; padded_len];
        for (image, result) in images.chunks_exact(image_len).zip(results.chunks_exact(result_len)) {
            layout.pad(image, &mut padded);
            for (starts, result) in starts.chunks(BLOCK).zip(result.chunks(BLOCK * filters)) {
                let b = in_registers::<S>(result, filters, groups, &mut room);
                let columns = Columns::new(starts);
                for tap in (0..taps.len()).step_by(ROWS) {
                    let a = Scattered { values: &padded, rows: rows(taps, tap), columns };
                    for group in (0..registers).step_by(REGISTERS) {
                        let sums = product(simd, starts.len(), a, &b[group..], registers);
                        for (i, row) in sums.iter().enumerate() {
                            for (j, &number) in row.iter().enumerate() {
                                let c = &mut c[(tap + i) * registers + group + j];
                                *c = simd.add_f32s(*c, number);
                            }
                        }
                    }
                }
            }
        }
        sum
    }
}

/// `(images, kernel) -> results`
pub(crate) struct Direct;

impl Kernel<2> for Direct {
    type Sizes = Sliding;
    type Operand = f32;
    type Result = f32;

    fn lengths(sizes: &Sliding) -> Option<([usize; 2], usize)> {
        let [images, results, filters] = sizes.lengths()?;
        Some(([images, filters], results))
    }

    fn compute(sizes: &Sliding, [images, kernel]: [&[f32]; 2], results: &mut [f32], threads: &dyn Threads) {
        if images.is_empty() || kernel.is_empty() || results.is_empty() {
            return results.fill(0.0);
        }
        let layout = &Layout::new(*sizes);
        each_task(sizes.images as usize, images, results, threads, |images, results| {
            Arch::new().dispatch(Conv { layout, images, kernel, results });
        });
    }
}

/// `(images, gradient for the results) -> gradient for the filters`
pub(crate) struct DirectFilterGrad;

impl Kernel<2> for DirectFilterGrad {
    type Sizes = Sliding;
    type Operand = f32;
    type Result = f32;

    fn lengths(sizes: &Sliding) -> Option<([usize; 2], usize)> {
        let [images, results, filters] = sizes.lengths()?;
        Some(([images, results], filters))
    }

    fn compute(sizes: &Sliding, [images, results]: [&[f32]; 2], gradient: &mut [f32], threads: &dyn Threads) {
        if images.is_empty() || results.is_empty() || gradient.is_empty() {
            return gradient.fill(0.0);
        }
        let layout = &Layout::new(*sizes);
        let [image, _, result] = layout.numbers();
        let sum = sum_over_images(sizes.images as usize, layout.starts.len(), LEAST, threads, &|part| {
            let images = &images[part.start * image..part.end * image];
            let results = &results[part.start * result..part.end * result];
            Arch::new().dispatch(FilterGrad { layout, images, results })
        });
        let sum: &[f32] = bytemuck::cast_slice(&sum);
        let width = sum.len() / layout.taps.len().next_multiple_of(ROWS);
        let filters = sizes.filters();
        for (gradient, sum) in gradient.chunks_exact_mut(filters).zip(sum.chunks_exact(width)) {
            gradient.copy_from_slice(&sum[..filters]);
        }
    }
}
