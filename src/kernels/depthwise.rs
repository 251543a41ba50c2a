//! Convolutions in many small groups, depthwise ones among them, and their gradients: the output channels lie in the
//! lanes of a register, and are sums over the cells of the window and the channels of a group. The lanes' inputs are
//! laid out first, a plane for each channel of a group.

use super::lanes::{lanes, load, store};
use super::parts::{Sum, each_task, sum_over_images};
use super::product::{Line, lines, unrolled};
use super::reads::{Channels, Pattern, Reads, Way};
use super::sliding::Sliding;
use super::threads::Threads;
use pulp::{Arch, Simd, WithSimd};

/// Positions whose sums are under way at once.
const POSITIONS: usize = 6;
/// Taps of the filters' gradient whose sums are under way at once: the cells of a window of 3x3.
const TAPS: usize = 9;
/// At most this many positions are added up one after the other in f32, which loses digits; then the sums are added. A band has
/// the more of them the narrower a register is.
const SUMMED: usize = 256;
/// An image is processed in bands of about this many bytes, which stay in the cache of a core.
const BAND: usize = 192 << 10;
/// A part of the sum over images has at least this many positions.
const LEAST: usize = 1024;

/// Whether a group is too narrow for a separate product: its channels do not fill a register.
pub(super) fn pays(channels: &Channels) -> bool {
    channels.groups > 1 && channels.written < lanes()
}

/// Rows of an image.
struct Band {
    reads: Reads,
    patterns: Vec<Pattern>,
}

struct Layout {
    channels: Channels,
    bands: Vec<Band>,
    /// The numbers of an array that is read, and of one that is written.
    numbers: [usize; 2],
}

impl Layout {
    fn new(sizes: &Sliding, way: Way) -> Self {
        let (channels, reads) = (Channels::new(sizes, way), Reads::new(sizes, way));
        let [read, written] = channels.all();
        let numbers = [reads.read_pixels() * read, reads.written_pixels() * written];
        let pixel = channels.read * lanes() * size_of::<f32>();
        let band = |reads: Reads| Band { patterns: reads.patterns(), reads };
        Self { channels, bands: reads.bands((BAND / pixel).max(1)).into_iter().map(band).collect(), numbers }
    }

    /// The registers of all planes of the largest band.
    fn registers(&self) -> usize {
        let pixels = self.bands.iter().map(|band| band.reads.padded_pixels()).max();
        pixels.unwrap_or_default() * self.channels.read
    }

    /// The channels that each register of a pixel writes.
    fn blocks(&self, lanes: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let [_, all] = self.channels.all();
        (0..all).step_by(lanes).map(move |first| (first, lanes.min(all - first)))
    }

    /// The weights of the kernel for each block of channels: a register for each tap, which are a window for each channel
    /// of a group.
    fn weights(&self, kernel: &[f32], cells: usize) -> Vec<Line> {
        let Channels { read, written, .. } = self.channels;
        let lanes = lanes();
        let taps = read * cells;
        let mut all = lines(self.blocks(lanes).count() * taps * lanes);
        let weights: &mut [f32] = bytemuck::cast_slice_mut(&mut all);
        for (block, (first, count)) in weights.chunks_exact_mut(taps * lanes).zip(self.blocks(lanes)) {
            for (tap, register) in block.chunks_exact_mut(lanes).enumerate() {
                for (channel, weight) in (first..first + count).zip(register) {
                    let (group, channel) = (channel / written, channel % written);
                    *weight = kernel[self.channels.weight(tap % cells, group, tap / cells, channel)];
                }
            }
        }
        all
    }

    fn taps(&self, band: &Band, pattern: &Pattern, cells: usize) -> Taps {
        let plane = band.reads.padded_pixels();
        let of_plane = |channel: usize| {
            let place = move |&(cell, distance): &(usize, usize)| {
                (channel * cells + cell, channel * plane + distance)
            };
            pattern.cells.iter().map(place)
        };
        let all: Vec<_> = (0..self.channels.read).flat_map(of_plane).collect();
        Taps { farthest: all.iter().map(|tap| tap.1).max().unwrap_or_default(), all }
    }

    /// Lays out the inputs of the lanes for the channels from `first` on.
    #[inline(always)]
    fn lay_out<S: Simd>(
        &self,
        simd: S,
        reads: &Reads,
        image: &[f32],
        (first, count): (usize, usize),
        planes: &mut [S::f32s],
    ) {
        let Channels { read, written, .. } = self.channels;
        let [all, _] = self.channels.all();
        if read == 1 && written == 1 {
            for [from, to, length] in reads.rows() {
                let pixels = image[from * all..(from + length) * all].chunks_exact(all);
                for (pixel, place) in pixels.zip(&mut planes[to..to + length]) {
                    *place = load(simd, &pixel[first..first + count]);
                }
            }
            return;
        }
        // The lanes of a group read the same channel.
        let lanes_of = |group: usize| {
            let lanes = (group * written).max(first)..((group + 1) * written).min(first + count);
            let mut of_group = [0.0; 64];
            of_group[lanes.start - first..lanes.end - first].fill(1.0);
            let of_group = simd.partial_load_f32s(&of_group[..S::F32_LANES]);
            (group * read, simd.greater_than_f32s(of_group, simd.splat_f32s(0.0)))
        };
        let groups: Vec<_> = (first / written..(first + count).div_ceil(written)).map(lanes_of).collect();
        for [from, to, length] in reads.rows() {
            let pixels = &image[from * all..(from + length) * all];
            for channel in 0..read {
                let to = channel * reads.padded_pixels() + to;
                let planes = &mut planes[to..to + length];
                for i in 0..length {
                    let pixel = &pixels[i * all..][..all];
                    let mut numbers = simd.splat_f32s(0.0);
                    for &(channels, lanes) in &groups {
                        let number = simd.splat_f32s(pixel[channels + channel]);
                        numbers = simd.select_f32s(lanes, number, numbers);
                    }
                    planes[i] = numbers;
                }
            }
        }
    }
}

/// The taps of a pattern.
struct Taps {
    /// The index of each one's weight, and how far it reads from the start, in registers.
    all: Vec<(usize, usize)>,
    farthest: usize,
}

impl Taps {
    /// Checks that all reads from the starts are within bounds.
    #[inline(always)]
    fn check<T>(&self, planes: &[T], starts: &[usize]) {
        assert!(starts.iter().all(|start| start + self.farthest < planes.len()));
    }
}

/// The pass over some images, forward or backward.
struct Pass<'a> {
    layout: &'a Layout,
    weights: &'a [Line],
    cells: usize,
    from: &'a [f32],
    to: &'a mut [f32],
}

impl WithSimd for Pass<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { layout, weights, cells, from, to } = self;
        let [_, all] = layout.channels.all();
        let [read, written] = layout.numbers;
        let weights = S::as_simd_f32s(bytemuck::cast_slice(weights)).0;
        let mut room = lines(layout.registers() * S::F32_LANES);
        for band in &layout.bands {
            let planes = S::as_mut_simd_f32s(bytemuck::cast_slice_mut(&mut room)).0;
            planes.fill(simd.splat_f32s(0.0));
            let taps: Vec<_> =
                band.patterns.iter().map(|pattern| layout.taps(band, pattern, cells)).collect();
            for (from, to) in from.chunks_exact(read).zip(to.chunks_exact_mut(written)) {
                let blocks = layout.blocks(S::F32_LANES);
                let of_block = weights.chunks_exact(layout.channels.read * cells);
                for ((first, count), weights) in blocks.zip(of_block) {
                    layout.lay_out(simd, &band.reads, from, (first, count), planes);
                    for (pattern, taps) in band.patterns.iter().zip(&taps) {
                        let places = pattern.places.chunks(POSITIONS);
                        for (starts, places) in pattern.starts.chunks(POSITIONS).zip(places) {
                            let sums = sums(simd, planes, starts, weights, taps);
                            unrolled!(i < POSITIONS, {
                                if let Some(place) = places.get(i) {
                                    store(simd, &mut to[place * all + first..][..count], sums[i]);
                                }
                            });
                        }
                    }
                }
            }
        }
    }
}

/// The sums of inputs times weights at a few positions. Positions beyond the last repeat it.
#[inline(always)]
fn sums<S: Simd>(
    simd: S,
    planes: &[S::f32s],
    starts: &[usize],
    weights: &[S::f32s],
    taps: &Taps,
) -> [S::f32s; POSITIONS] {
    let starts: [usize; POSITIONS] = std::array::from_fn(|i| starts[i.min(starts.len() - 1)]);
    let mut sums = [simd.splat_f32s(0.0); POSITIONS];
    taps.check(planes, &starts);
    for &(weight, distance) in &taps.all {
        let weight = weights[weight];
        unrolled!(i < POSITIONS, {
            // SAFETY: checked above.
            let x = unsafe { *planes.get_unchecked(starts[i] + distance) };
            sums[i] = simd.mul_add_f32s(x, weight, sums[i]);
        });
    }
    sums
}

/// The filters' gradient from some images: for each block of channels a register for each tap.
struct FilterGrad<'a> {
    layout: &'a Layout,
    cells: usize,
    images: &'a [f32],
    results: &'a [f32],
}

impl WithSimd for FilterGrad<'_> {
    type Output = Vec<Line>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<Line> {
        let Self { layout, cells, images, results } = self;
        let [_, all] = layout.channels.all();
        let [read, written] = layout.numbers;
        let taps_of_block = layout.channels.read * cells;
        let mut sum = lines(layout.blocks(S::F32_LANES).count() * taps_of_block * S::F32_LANES);
        let mut room = lines(layout.registers() * S::F32_LANES);
        for band in &layout.bands {
            let planes = S::as_mut_simd_f32s(bytemuck::cast_slice_mut(&mut room)).0;
            planes.fill(simd.splat_f32s(0.0));
            // Forward, all places read the same cells.
            let pattern = &band.patterns[0];
            let taps = layout.taps(band, pattern, cells);
            for (image, result) in images.chunks_exact(read).zip(results.chunks_exact(written)) {
                let blocks = layout.blocks(S::F32_LANES);
                let sum = S::as_mut_simd_f32s(bytemuck::cast_slice_mut(&mut sum)).0;
                for ((first, count), sum) in blocks.zip(sum.chunks_exact_mut(taps_of_block)) {
                    layout.lay_out(simd, &band.reads, image, (first, count), planes);
                    taps.check(planes, &pattern.starts);
                    for taps in taps.all.chunks(TAPS) {
                        let distances: [usize; TAPS] = std::array::from_fn(|i| taps[i.min(taps.len() - 1)].1);
                        let places = pattern.places.chunks(SUMMED);
                        for (starts, places) in pattern.starts.chunks(SUMMED).zip(places) {
                            let mut sums = [simd.splat_f32s(0.0); TAPS];
                            for (start, place) in starts.iter().zip(places) {
                                let dy = load(simd, &result[place * all + first..][..count]);
                                unrolled!(i < TAPS, {
                                    // SAFETY: checked above.
                                    let x = unsafe { *planes.get_unchecked(start + distances[i]) };
                                    sums[i] = simd.mul_add_f32s(x, dy, sums[i]);
                                });
                            }
                            unrolled!(i < TAPS, {
                                if let Some(&(tap, _)) = taps.get(i) {
                                    sum[tap] = simd.add_f32s(sum[tap], sums[i]);
                                }
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
pub(super) fn pass(
    sizes: &Sliding,
    way: Way,
    from: &[f32],
    kernel: &[f32],
    to: &mut [f32],
    threads: &dyn Threads,
) {
    let layout = &Layout::new(sizes, way);
    let cells = (sizes.window[0] * sizes.window[1]) as usize;
    let weights = &layout.weights(kernel, cells);
    each_task(sizes.images as usize, from, to, threads, |from, to| {
        Arch::new().dispatch(Pass { layout, weights, cells, from, to });
    });
}

pub(super) fn filter_grad(
    sizes: &Sliding,
    images: &[f32],
    results: &[f32],
    gradient: &mut [f32],
    threads: &dyn Threads,
) {
    let layout = &Layout::new(sizes, Way::Forward);
    let cells = (sizes.window[0] * sizes.window[1]) as usize;
    let [image, result] = layout.numbers;
    let positions = (sizes.result[0] * sizes.result[1]) as usize;
    let sum = Sum { images: sizes.images as usize, terms: positions, least: LEAST };
    let sums = sum_over_images(&sum, 1, threads, &|part, _| {
        let images = &images[part.start * image..part.end * image];
        let results = &results[part.start * result..part.end * result];
        Arch::new().dispatch(FilterGrad { layout, cells, images, results })
    });
    let Channels { read, written, .. } = layout.channels;
    let sum: &[f32] = bytemuck::cast_slice(&sums[0]);
    let lanes = lanes();
    for (block, (first, count)) in sum.chunks_exact(read * cells * lanes).zip(layout.blocks(lanes)) {
        for (tap, register) in block.chunks_exact(lanes).enumerate() {
            for (channel, number) in (first..first + count).zip(register) {
                let (group, channel) = (channel / written, channel % written);
                gradient[layout.channels.weight(tap % cells, group, tap / cells, channel)] = *number;
            }
        }
    }
}
