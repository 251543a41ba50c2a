//! Direct convolution and its two gradients: products that read one operand in place from the padded image, so
//! that no patches go through memory. Each group of channels is one product; groups too narrow to fill a register go to
//! [`depthwise`], and convolutions whose channels together are too narrow to [`narrow`].

use super::lanes::{lanes, store};
use super::layout::{Layout, Step};
use super::parts::{Sum, each_task, sum_over_images};
use super::product::{
    Columns, Line, NARROW, REGISTERS, ROWS, Scattered, Strided, lines, product, shape, unrolled,
};
use super::reads::{Channels, Way};
use super::sliding::Sliding;
use super::threads::{Threads, each};
use super::{Kernel, amx, depthwise, narrow};
use pulp::{Arch, Simd, WithSimd};
use std::ops::Range;

/// Positions whose numbers a filter's gradient keeps in the cache of a core.
const BLOCK: usize = 128;
/// A part of the sum over images has at least this many positions.
const LEAST: usize = 1024;
/// From this many filters of a group on, the images are padded once for the filters' gradient and gathered for each
/// piece: many panels of results read them, and the positions of an image are so far apart that they evict each other
/// from a cache.
const GATHERED: usize = 512;
/// The sum for the filters' gradient is cut into pieces of at most this many numbers of a patch.
const TAPS: usize = 144;

impl Layout {
    /// The rows and registers of a product.
    fn product(&self) -> [usize; 2] {
        shape(self.channels.written)
    }

    /// Whether the filters' gradient gathers its inputs from the images.
    fn gathers(&self) -> bool {
        self.channels.written >= GATHERED
    }

    /// The kernel as the products read it: for each step, group and block of columns a row for each tap.
    fn panels(&self, kernel: &[f32], threads: &dyn Threads) -> Vec<Line> {
        let Channels { groups, read, written, .. } = self.channels;
        let width = self.product()[1] * lanes();
        let blocks = written.div_ceil(width);
        let rows: usize = self.steps.iter().map(|step| step.taps.len()).sum();
        let mut all = lines(rows * groups * blocks * width);
        let mut left: &mut [f32] = bytemuck::cast_slice_mut(&mut all);
        let mut panels = Vec::new();
        for step in &self.steps {
            for i in 0..groups * blocks {
                let (panel, rest) = left.split_at_mut(step.taps.len() * width);
                left = rest;
                panels.push((step, i / blocks, i % blocks * width, panel));
            }
        }
        each(threads, panels.into_iter(), |(step, group, first, panel)| {
            let columns = first..written.min(first + width);
            let taps = step.cells.iter().flat_map(|cell| (0..read).map(move |channel| (*cell, channel)));
            for ((cell, channel), row) in taps.zip(panel.chunks_exact_mut(width)) {
                for (column, weight) in columns.clone().zip(row) {
                    *weight = kernel[self.channels.weight(cell, group, channel, column)];
                }
            }
        });
        all
    }
}

/// The slices of `numbers` for the rows of a product, which begin at the places `all` from the `first` on; rows beyond
/// the last repeat it.
fn rows<'a, const N: usize>(numbers: &'a [f32], all: &[usize], first: usize) -> [&'a [f32]; N] {
    std::array::from_fn(|i| &numbers[all[(first + i).min(all.len() - 1)]..])
}

/// Writes the valid rows of a product, at most `width` numbers of each, to the places of the result.
#[inline(always)]
fn write<S: Simd, const N: usize, const R: usize>(
    simd: S,
    sums: [[S::f32s; R]; N],
    result: &mut [f32],
    places: &[usize],
    first: usize,
    width: usize,
) {
    if width >= R * S::F32_LANES && places.len() >= N {
        unrolled!(i < N, {
            let place = &mut result[places[i] + first..][..R * S::F32_LANES];
            let place = S::as_mut_simd_f32s(place).0;
            unrolled!(j < R, { place[j] = sums[i][j] });
        });
    } else {
        // Apart, and from a copy, so that the sums above need not leave their registers.
        write_part(simd, &std::hint::black_box(sums), result, places, first, width);
    }
}

#[inline(never)]
fn write_part<S: Simd, const N: usize, const R: usize>(
    simd: S,
    sums: &[[S::f32s; R]; N],
    result: &mut [f32],
    places: &[usize],
    first: usize,
    width: usize,
) {
    let width = width.min(R * S::F32_LANES);
    for (place, row) in places.iter().zip(sums) {
        for (place, &sum) in result[place + first..][..width].chunks_mut(S::F32_LANES).zip(row) {
            store(simd, place, sum);
        }
    }
}

/// The pass over some images, forward or backward.
struct Pass<'a> {
    layout: &'a Layout,
    panels: &'a [Line],
    from: &'a [f32],
    to: &'a mut [f32],
}

impl WithSimd for Pass<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.layout.product() {
            [_, 1] => self.multiply::<S, NARROW, 1>(simd),
            _ => self.multiply::<S, ROWS, REGISTERS>(simd),
        }
    }
}

impl Pass<'_> {
    #[inline(always)]
    fn multiply<S: Simd, const N: usize, const R: usize>(self, simd: S) {
        let Self { layout, panels, from, to } = self;
        let Layout { channels: Channels { groups, read, written, .. }, steps, together, .. } = layout;
        let (&groups, &read, &written, &together) = (groups, read, written, together);
        let [image, padded_image, result] = layout.numbers();
        let width = R * S::F32_LANES;
        let panels = S::as_simd_f32s(bytemuck::cast_slice(panels)).0;
        let mut padded = vec![0.0; together.min(from.len() / image) * padded_image];
        for (from, to) in from.chunks(together * image).zip(to.chunks_mut(together * result)) {
            let images = from.len() / image;
            layout.pad(from, &mut padded);
            let mut panels = panels;
            for Step { places, starts, taps, .. } in steps {
                let positions = places.len() / together * images;
                let (places, starts, columns) =
                    (&places[..positions], &starts[..positions], Columns::new(taps));
                for group in 0..groups {
                    let values = &padded[group * read..];
                    for first in (0..written).step_by(width) {
                        let panel;
                        (panel, panels) = panels.split_at(taps.len() * R);
                        for position in (0..positions).step_by(N) {
                            let a = Scattered { rows: rows::<N>(values, starts, position), columns };
                            let sums = product::<S, N, R>(simd, taps.len(), a, panel, R);
                            let places = &places[position..];
                            write(simd, sums, to, places, group * written + first, written - first);
                        }
                    }
                }
            }
        }
    }
}

/// The filters' gradient from some images, for some of the taps: for each group a row of whole registers a tap.
struct FilterGrad<'a> {
    layout: &'a Layout,
    taps: Range<usize>,
    /// With their padding if the layout [`gathers`](Layout::gathers).
    images: &'a [f32],
    results: &'a [f32],
}

impl WithSimd for FilterGrad<'_> {
    type Output = Vec<Line>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<Line> {
        match self.layout.product() {
            [_, 1] => self.multiply::<S, NARROW, 1>(simd),
            _ => self.multiply::<S, ROWS, REGISTERS>(simd),
        }
    }
}

/// A panel of the results of a group, `R` registers of its `written` numbers from the register `first` on: side by side, as
/// they are read once for each tap.
#[inline(always)]
fn gather<'a, S: Simd, const R: usize>(
    results: &[f32],
    all: usize,
    group: usize,
    [first, written]: [usize; 2],
    panel: &'a mut [Line],
) -> &'a [S::f32s] {
    let width = R * S::F32_LANES;
    let first = first * S::F32_LANES;
    let numbers = group * written + first..group * written + written.min(first + width);
    let panel = S::as_mut_simd_f32s(bytemuck::cast_slice_mut(panel)).0;
    for (row, to) in results.chunks_exact(all).zip(panel.chunks_exact_mut(R)) {
        let row = &row[numbers.clone()];
        match S::as_simd_f32s(row).0 {
            whole if whole.len() == R => unrolled!(j < R, { to[j] = whole[j] }),
            _ => bytemuck::cast_slice_mut(to)[..row.len()].copy_from_slice(row),
        }
    }
    panel
}

/// Gathers the numbers of some taps at some positions, one position after another: in place, they would be read from a
/// slower cache for each panel of the results.
fn gather_taps(values: &[f32], starts: &[usize], taps: &[usize], width: usize, to: &mut Vec<f32>) {
    to.clear();
    for start in starts {
        let values = &values[*start..];
        to.extend(taps.iter().map(|tap| values[*tap]));
        to.resize(to.len() + width - taps.len(), 0.0);
    }
}

impl FilterGrad<'_> {
    #[inline(always)]
    fn multiply<S: Simd, const N: usize, const R: usize>(self, simd: S) -> Vec<Line> {
        let Self { layout, taps, images, results } = self;
        let Layout { channels: Channels { groups, read, written, .. }, steps, together, .. } = layout;
        let (&groups, &read, &written, &together) = (groups, read, written, together);
        let [image, padded_image, result] = layout.numbers();
        let all = groups * written;
        let registers = written.div_ceil(R * S::F32_LANES) * R;
        let rows_of_group = taps.len().next_multiple_of(N);
        let mut sum = lines(groups * rows_of_group * registers * S::F32_LANES);
        let c = S::as_mut_simd_f32s(bytemuck::cast_slice_mut(&mut sum)).0;
        let mut panel = lines(BLOCK * R * S::F32_LANES);
        let gathers = layout.gathers();
        let image = if gathers { padded_image } else { image };
        let room = if gathers { 0 } else { together.min(images.len() / image) * padded_image };
        let mut room = vec![0.0; room];
        // Forward, all places read the same cells, one place after the other.
        let Step { starts, taps: distances, .. } = &steps[0];
        let distances = &distances[taps];
        let mut patches = Vec::new();
        for (images, results) in images.chunks(together * image).zip(results.chunks(together * result)) {
            let padded = if gathers {
                images
            } else {
                layout.pad(images, &mut room);
                &room
            };
            for (starts, results) in starts.chunks(BLOCK).zip(results.chunks(BLOCK * all)) {
                let starts = &starts[..results.len() / all];
                let columns = Columns::new(starts);
                for group in 0..groups {
                    let values = &padded[group * read..];
                    if gathers {
                        gather_taps(values, starts, distances, rows_of_group, &mut patches);
                    }
                    for first in (0..registers).step_by(R) {
                        let b = gather::<S, R>(results, all, group, [first, written], &mut panel);
                        for tap in (0..distances.len()).step_by(N) {
                            let sums = if gathers {
                                let a = Strided { values: &patches[tap..], row: 1, column: rows_of_group };
                                product::<S, N, R>(simd, starts.len(), a, b, R)
                            } else {
                                let a = Scattered { rows: rows::<N>(values, distances, tap), columns };
                                product::<S, N, R>(simd, starts.len(), a, b, R)
                            };
                            unrolled!(i < N, {
                                let row = (group * rows_of_group + tap + i) * registers;
                                let c = &mut c[row + first..][..R];
                                unrolled!(j < R, { c[j] = simd.add_f32s(c[j], sums[i][j]) });
                            });
                        }
                    }
                }
            }
        }
        sum
    }
}

/// Computes results from images, or the gradient for the images from the results' gradient.
fn pass(sizes: &Sliding, way: Way, [from, kernel]: [&[f32]; 2], to: &mut [f32], threads: &dyn Threads) {
    if from.is_empty() || kernel.is_empty() || to.is_empty() {
        return to.fill(0.0);
    }
    if depthwise::pays(&Channels::new(sizes, way)) {
        return depthwise::pass(sizes, way, from, kernel, to, threads);
    }
    if narrow::pays(sizes, way) {
        return narrow::pass(sizes, way, from, kernel, to, threads);
    }
    let layout = &Layout::new(sizes, way);
    let images = sizes.images as usize;
    if amx::conv_pays(layout, images) && amx::conv_pass(layout, images, [from, kernel], to, threads) {
        return;
    }
    let panels = &layout.panels(kernel, threads);
    each_task(images, from, to, threads, |from, to| {
        Arch::new().dispatch(Pass { layout, panels, from, to });
    });
}

/// `(images, kernel) -> results`
#[derive(Debug)]
pub struct Direct;

impl Kernel<2> for Direct {
    type Sizes = Sliding;
    type Operand = f32;
    type Result = f32;

    fn lengths(sizes: &Sliding) -> Option<([usize; 2], usize)> {
        let [images, results, filters] = sizes.lengths()?;
        Some(([images, filters], results))
    }

    fn compute(sizes: &Sliding, operands: [&[f32]; 2], results: &mut [f32], threads: &dyn Threads) {
        pass(sizes, Way::Forward, operands, results, threads);
    }
}

/// `(gradient for the results, kernel) -> gradient for the images`
#[derive(Debug)]
pub struct DirectInputGrad;

impl Kernel<2> for DirectInputGrad {
    type Sizes = Sliding;
    type Operand = f32;
    type Result = f32;

    fn lengths(sizes: &Sliding) -> Option<([usize; 2], usize)> {
        let [images, results, filters] = sizes.lengths()?;
        Some(([results, filters], images))
    }

    fn compute(sizes: &Sliding, operands: [&[f32]; 2], images: &mut [f32], threads: &dyn Threads) {
        pass(sizes, Way::Backward, operands, images, threads);
    }
}

/// `(images, gradient for the results) -> gradient for the filters`
#[derive(Debug)]
pub struct DirectFilterGrad;

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
        if depthwise::pays(&Channels::new(sizes, Way::Forward)) {
            return depthwise::filter_grad(sizes, images, results, gradient, threads);
        }
        let layout = &Layout::new(sizes, Way::Forward);
        let operands = [images, results];
        let count = sizes.images as usize;
        if amx::conv_filter_grad_pays(layout, count)
            && amx::conv_filter_grad(layout, count, operands, gradient, threads)
        {
            return;
        }
        let [image, padded_image, result] = layout.numbers();
        let Channels { groups, read, written, .. } = layout.channels;
        let taps = layout.steps[0].taps.len();
        let pieces = taps.div_ceil(TAPS);
        let piece = |i: usize| taps * i / pieces..taps * (i + 1) / pieces;
        let mut padded = Vec::new();
        let (images, image) = if layout.gathers() {
            padded.resize(sizes.images as usize * padded_image, 0.0);
            each_task(sizes.images as usize, images, &mut padded, threads, |from, to| layout.pad(from, to));
            (&padded[..], padded_image)
        } else {
            (images, image)
        };
        let sum = Sum { images: sizes.images as usize, terms: layout.reads.written_pixels(), least: LEAST };
        let sums = sum_over_images(&sum, pieces, threads, &|part, i| {
            let images = &images[part.start * image..part.end * image];
            let results = &results[part.start * result..part.end * result];
            Arch::new().dispatch(FilterGrad { layout, taps: piece(i), images, results })
        });
        for (i, sum) in sums.iter().enumerate() {
            let (taps, sum) = (piece(i), bytemuck::cast_slice::<_, f32>(sum));
            let [rows, registers] = layout.product();
            let (rows, width) =
                (taps.len().next_multiple_of(rows), written.next_multiple_of(registers * lanes()));
            for tap in taps.clone() {
                for group in 0..groups {
                    let to = layout.channels.weight(tap / read, group, tap % read, 0);
                    let from = (group * rows + tap - taps.start) * width;
                    gradient[to..to + written].copy_from_slice(&sum[from..from + written]);
                }
            }
        }
    }
}
