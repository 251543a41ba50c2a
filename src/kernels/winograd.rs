//! Winograd's convolution over channels-last images, and its gradients: for a window of 3x3 a quarter of the
//! multiplications of the direct form.
//!
//! The results are cut into tiles. The input of a tile is transformed to `SIDE` x `SIDE` numbers for each channel, the
//! filters likewise; for each of these places the channels of all tiles are multiplied by the channels of all filters,
//! as matrices; and the products are transformed to the results. The transforms are linear, so the gradients use the
//! transposed ones around products of the same sizes.

use super::Kernel;
use super::lanes::{lanes, load};
use super::parts::{Sum, each_task, sum_over_images};
use super::product::{Line, NARROW, REGISTERS, ROWS, Strided, lines, product, shape, unrolled};
use super::sliding::Sliding;
use super::threads::{Threads, each};
use super::tiles::{Block, PLACES, Side, Sizes, Tiles, tiles_at_once};
use super::transform::{Filter, Input, Matrix, Output, SIDE, SIZES, Tile, Transposed, empty, transform};
use pulp::{Arch, Simd, WithSimd};

/// More numbers of transformed filters than a core's cache holds come from memory for each task: that takes as long as this
/// many multiplications a number.
const CACHED: usize = 1 << 18;
const TRANSFORMED: usize = 64;

/// Whether this way can do the convolution.
fn possible(conv: &Sliding) -> bool {
    let plain = conv.stride == [1, 1] && conv.dilation == [1, 1] && conv.groups == 1;
    plain && conv.window.iter().all(|&size| SIZES.contains(&(size as usize)))
}

/// Whether it has clearly fewer operations than a product of matrices, and the cores have registers for it.
pub fn pays(conv: &Sliding) -> bool {
    if matches!(Arch::new(), Arch::Scalar) || !possible(conv) {
        return false;
    }
    let sizes = Sizes::of(conv);
    let [_, _, channels] = sizes.image;
    let [height, width, filters] = sizes.result;
    let tiles: usize = sizes.tiles().iter().product();
    let product = (height * width * sizes.window.iter().product::<usize>() * channels * filters) as f64;
    // A transform multiplies by a matrix along both axes.
    let transforms = (tiles * PLACES * 2 * SIDE * (channels + filters)) as f64;
    let products = (tiles * PLACES * channels * filters) as f64;
    // The filters are transformed once for all images.
    let numbers = PLACES * channels * filters;
    let of_filters =
        if numbers > CACHED { (TRANSFORMED * numbers) as f64 / conv.images.max(1) as f64 } else { 0.0 };
    channels.min(filters) >= 4 && transforms + products + of_filters < 0.8 * product
}

/// The filters, transformed, for the output channels from `first` on that a product computes at once: for each place a row
/// for each input channel.
struct Filters<'a> {
    sizes: Sizes,
    values: &'a [f32],
    /// For the gradient for the image, from the channels of a result to the channels of an image.
    back: bool,
    first: usize,
    registers: usize,
    to: &'a mut [f32],
}

impl WithSimd for Filters<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { sizes, values, back, first, registers, to } = self;
        let [channels, filters] = [sizes.image[2], sizes.result[2]];
        let (inputs, outputs) = if back { (filters, channels) } else { (channels, filters) };
        let to = S::as_mut_simd_f32s(to).0;
        for input in 0..inputs {
            for (register, begin) in (first..outputs).step_by(S::F32_LANES).take(registers).enumerate() {
                let end = (begin + S::F32_LANES).min(outputs);
                let tile = window_tile(simd, &sizes, |cell| {
                    let place =
                        |channel: usize, filter: usize| (cell * channels + channel) * filters + filter;
                    if back {
                        let mut numbers = [0.0; 64];
                        for (number, channel) in numbers.iter_mut().zip(begin..end) {
                            *number = values[place(channel, input)];
                        }
                        simd.partial_load_f32s(&numbers[..S::F32_LANES])
                    } else {
                        load(simd, &values[place(input, begin)..place(input, end)])
                    }
                });
                for (i, &numbers) in tile.as_flattened().iter().enumerate() {
                    to[(i * inputs + input) * registers + register] = numbers;
                }
            }
        }
    }
}

/// All filters, transformed.
fn transformed(sizes: Sizes, values: &[f32], back: bool, threads: &dyn Threads) -> Vec<Line> {
    let [channels, filters] = [sizes.image[2], sizes.result[2]];
    let (inputs, outputs) = if back { (filters, channels) } else { (channels, filters) };
    let [_, registers] = shape(outputs);
    let width = registers * lanes();
    let group = PLACES * inputs * width;
    let mut all = lines(outputs.div_ceil(width) * group);
    let groups = bytemuck::cast_slice_mut::<_, f32>(&mut all).chunks_exact_mut(group).enumerate();
    each(threads, groups, |(i, to)| {
        Arch::new().dispatch(Filters { sizes, values, back, first: i * width, registers, to });
    });
    all
}

/// `G g G'` of the filters' numbers, which `numbers` returns for each cell of the window.
#[inline(always)]
fn window_tile<S: Simd>(simd: S, sizes: &Sizes, numbers: impl Fn(usize) -> S::f32s) -> Tile<S> {
    let mut tile = empty(simd);
    for row in 0..sizes.window[0] {
        for column in 0..sizes.window[1] {
            tile[row][column] = numbers(row * sizes.window[1] + column);
        }
    }
    transform::<S, Filter>(simd, sizes.window, sizes.window, [SIDE; 2], &mut tile);
    tile
}

/// Some images from one side to the other: forward, or back for the gradient for the image.
struct Images<'a> {
    sizes: Sizes,
    filters: &'a [Line],
    from: &'a [f32],
    to: &'a mut [f32],
    back: bool,
}

impl WithSimd for Images<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (read, written) = (self.sizes.read(), self.sizes.written());
        match (self.back, shape(if self.back { read } else { written }.channels())) {
            (false, [_, 1]) => self.multiply::<S, Input, Output, NARROW, 1>(simd, read, written),
            (false, _) => self.multiply::<S, Input, Output, ROWS, REGISTERS>(simd, read, written),
            (true, [_, 1]) => {
                self.multiply::<S, Transposed<Output>, Transposed<Input>, NARROW, 1>(simd, written, read);
            }
            (true, _) => {
                self.multiply::<S, Transposed<Output>, Transposed<Input>, ROWS, REGISTERS>(
                    simd, written, read,
                );
            }
        }
    }
}

impl Images<'_> {
    #[inline(always)]
    fn multiply<S: Simd, A: Matrix, B: Matrix, const N: usize, const R: usize>(
        self,
        simd: S,
        from: Side,
        to: Side,
    ) {
        let Self { sizes, filters, from: source, to: target, .. } = self;
        let (inputs, outputs) = (Block::<S>::new(from, 1), Block::<S>::new(to, R));
        let most = tiles_at_once(inputs.registers + outputs.registers, S::F32_LANES, N);
        let (mut a, mut c) = (inputs.lines(most), outputs.lines(most));
        let a = S::as_mut_simd_f32s(bytemuck::cast_slice_mut(&mut a)).0;
        let c = S::as_mut_simd_f32s(bytemuck::cast_slice_mut(&mut c)).0;
        let b = S::as_simd_f32s(bytemuck::cast_slice(filters)).0;
        let groups = outputs.registers / R;
        for tiles in Tiles::of(&sizes, source.len() / from.numbers(), most, N) {
            inputs.load::<A>(simd, &sizes, source, &tiles, a);
            for place in 0..PLACES {
                let a: &[f32] = bytemuck::cast_slice(&a[place * tiles.rows() * inputs.registers..]);
                let c = &mut c[place * tiles.rows() * outputs.registers..];
                for group in 0..groups {
                    let b = &b[(group * PLACES + place) * from.channels() * R..];
                    for row in (0..tiles.count).step_by(N) {
                        let a = Strided {
                            values: &a[row * inputs.registers * S::F32_LANES..],
                            row: inputs.registers * S::F32_LANES,
                            column: 1,
                        };
                        let c = &mut c[row * outputs.registers + group * R..];
                        let product = product::<S, N, R>(simd, from.channels(), a, b, R);
                        unrolled!(i < N, {
                            let c = &mut c[i * outputs.registers..][..R];
                            unrolled!(j < R, { c[j] = product[i][j] });
                        });
                    }
                }
            }
            outputs.write::<B>(simd, &sizes, c, &tiles, target);
        }
    }
}

/// The contribution of some images to some filters' gradient, before the last transform.
struct FilterGrad<'a> {
    sizes: Sizes,
    filters: [usize; 2],
    images: &'a [f32],
    results: &'a [f32],
}

impl WithSimd for FilterGrad<'_> {
    type Output = Vec<Line>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<Line> {
        match shape(self.filters[1] - self.filters[0]) {
            [_, 1] => self.multiply::<S, NARROW, 1>(simd),
            _ => self.multiply::<S, ROWS, REGISTERS>(simd),
        }
    }
}

impl FilterGrad<'_> {
    #[inline(always)]
    fn multiply<S: Simd, const N: usize, const R: usize>(self, simd: S) -> Vec<Line> {
        let (read, written) = (self.sizes.read(), self.sizes.written().part(self.filters));
        let (inputs, outputs) = (Block::<S>::new(read, 1), Block::<S>::new(written, R));
        let most = tiles_at_once(inputs.registers + outputs.registers, S::F32_LANES, N);
        let (mut a, mut b) = (inputs.lines(most), outputs.lines(most));
        let a = S::as_mut_simd_f32s(bytemuck::cast_slice_mut(&mut a)).0;
        let b = S::as_mut_simd_f32s(bytemuck::cast_slice_mut(&mut b)).0;
        let rows = read.channels().next_multiple_of(N);
        let mut sum = lines(PLACES * rows * outputs.registers * S::F32_LANES);
        let c = S::as_mut_simd_f32s(bytemuck::cast_slice_mut(&mut sum)).0;
        for tiles in Tiles::of(&self.sizes, self.images.len() / read.numbers(), most, N) {
            inputs.load::<Input>(simd, &self.sizes, self.images, &tiles, a);
            outputs.load::<Transposed<Output>>(simd, &self.sizes, self.results, &tiles, b);
            for place in 0..PLACES {
                let a: &[f32] = bytemuck::cast_slice(&a[place * tiles.rows() * inputs.registers..]);
                let b = &b[place * tiles.rows() * outputs.registers..];
                for group in (0..outputs.registers).step_by(R) {
                    for row in (0..read.channels()).step_by(N) {
                        let a =
                            Strided { values: &a[row..], row: 1, column: inputs.registers * S::F32_LANES };
                        let c = &mut c[(place * rows + row) * outputs.registers + group..];
                        let product =
                            product::<S, N, R>(simd, tiles.count, a, &b[group..], outputs.registers);
                        unrolled!(i < N, {
                            let c = &mut c[i * outputs.registers..][..R];
                            unrolled!(j < R, { c[j] = simd.add_f32s(c[j], product[i][j]) });
                        });
                    }
                }
            }
        }
        sum
    }
}

/// The filters' gradient from the summed contributions of all images, for some of the channels.
struct Gradient<'a, 'b> {
    sizes: Sizes,
    /// One for each piece of the filters.
    sums: &'a [Vec<Line>],
    pieces: &'a [[usize; 2]],
    first: usize,
    /// For each channel from the first on a row of filters for each cell of the window.
    to: &'a mut [Vec<&'b mut [f32]>],
}

impl WithSimd for Gradient<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { sizes, sums, pieces, first, to } = self;
        let window = sizes.window;
        for (&[from, end], sum) in pieces.iter().zip(sums) {
            let sum = S::as_simd_f32s(bytemuck::cast_slice(sum)).0;
            let [rows, registers] = shape(end - from);
            let rows = sizes.image[2].next_multiple_of(rows);
            let registers = Block::<S>::new(sizes.written().part([from, end]), registers).registers;
            for (i, cells) in to.iter_mut().enumerate() {
                for (register, filter) in (from..end).step_by(S::F32_LANES).enumerate() {
                    let mut tile = empty(simd);
                    for place in 0..PLACES {
                        tile[place / SIDE][place % SIDE] =
                            sum[(place * rows + first + i) * registers + register];
                    }
                    transform::<S, Transposed<Filter>>(simd, window, [SIDE; 2], window, &mut tile);
                    let last = (filter + S::F32_LANES).min(end);
                    for (at, cell) in cells.iter_mut().enumerate() {
                        let numbers = tile[at / window[1]][at % window[1]];
                        simd.partial_store_f32s(&mut cell[filter..last], numbers);
                    }
                }
            }
        }
    }
}

/// A sum of more numbers than this is computed in pieces, each for some of the filters, as its images alone are too few
/// to share.
const PIECE: usize = 1 << 22;

/// The pieces of the filters: the first of each, and the first that is not of it.
fn pieces(sizes: &Sizes) -> Vec<[usize; 2]> {
    let [channels, filters] = [sizes.image[2], sizes.result[2]];
    let count = (PLACES * channels * filters / PIECE).max(1);
    let [_, registers] = shape(filters);
    let size = filters.div_ceil(count).next_multiple_of(registers * lanes());
    (0..filters).step_by(size).map(|from| [from, (from + size).min(filters)]).collect()
}

/// How many channels' gradient a thread takes from the sums at a time.
const CHANNELS: usize = 16;

/// A part of the sum over images has at least this many tiles.
const LEAST: usize = 128;

/// `(images, filters) -> results`
#[derive(Debug)]
pub struct Winograd;

impl Kernel<2> for Winograd {
    type Sizes = Sliding;
    type Operand = f32;
    type Result = f32;

    fn lengths(sizes: &Sliding) -> Option<([usize; 2], usize)> {
        let [images, results, filters] = lengths(sizes)?;
        Some(([images, filters], results))
    }

    fn compute(sizes: &Sliding, [images, filters]: [&[f32]; 2], results: &mut [f32], threads: &dyn Threads) {
        convolve(sizes, images, filters, results, false, threads);
    }
}

/// `(gradient for the results, filters) -> gradient for the images`
#[derive(Debug)]
pub struct WinogradInputGrad;

impl Kernel<2> for WinogradInputGrad {
    type Sizes = Sliding;
    type Operand = f32;
    type Result = f32;

    fn lengths(sizes: &Sliding) -> Option<([usize; 2], usize)> {
        let [images, results, filters] = lengths(sizes)?;
        Some(([results, filters], images))
    }

    fn compute(sizes: &Sliding, [results, filters]: [&[f32]; 2], images: &mut [f32], threads: &dyn Threads) {
        convolve(sizes, results, filters, images, true, threads);
    }
}

/// `(images, gradient for the results) -> gradient for the filters`
#[derive(Debug)]
pub struct WinogradFilterGrad;

impl Kernel<2> for WinogradFilterGrad {
    type Sizes = Sliding;
    type Operand = f32;
    type Result = f32;

    fn lengths(sizes: &Sliding) -> Option<([usize; 2], usize)> {
        let [images, results, filters] = lengths(sizes)?;
        Some(([images, results], filters))
    }

    fn compute(conv: &Sliding, [images, results]: [&[f32]; 2], gradient: &mut [f32], threads: &dyn Threads) {
        if images.is_empty() || results.is_empty() || gradient.is_empty() {
            return gradient.fill(0.0);
        }
        let sizes = Sizes::of(conv);
        let [image, result] = [sizes.read().numbers(), sizes.written().numbers()];
        let tiles = sizes.tiles().iter().product();
        let sum = Sum { images: conv.images as usize, terms: tiles, least: LEAST };
        let pieces = &pieces(&sizes);
        let sums = &sum_over_images(&sum, pieces.len(), threads, &|part, piece| {
            let images = &images[part.start * image..part.end * image];
            let results = &results[part.start * result..part.end * result];
            Arch::new().dispatch(FilterGrad { sizes, filters: pieces[piece], images, results })
        });
        let [channels, filters] = [sizes.image[2], sizes.result[2]];
        let mut rows: Vec<Vec<&mut [f32]>> = (0..channels).map(|_| Vec::new()).collect();
        for (i, row) in gradient.chunks_exact_mut(filters).enumerate() {
            rows[i % channels].push(row);
        }
        each(threads, rows.chunks_mut(CHANNELS).enumerate(), |(i, to)| {
            Arch::new().dispatch(Gradient { sizes, sums, pieces, first: i * CHANNELS, to });
        });
    }
}

/// The lengths of image, kernel and result; `None` where this form does not apply.
fn lengths(sizes: &Sliding) -> Option<[usize; 3]> {
    possible(sizes).then(|| sizes.lengths()).flatten()
}

/// Computes results from images, or with `back` the gradient for the images from the results' gradient.
fn convolve(conv: &Sliding, from: &[f32], values: &[f32], to: &mut [f32], back: bool, threads: &dyn Threads) {
    if from.is_empty() || values.is_empty() || to.is_empty() {
        return to.fill(0.0);
    }
    let sizes = Sizes::of(conv);
    let filters = &transformed(sizes, values, back, threads);
    each_task(conv.images as usize, from, to, threads, |from, to| {
        Arch::new().dispatch(Images { sizes, filters, from, to, back });
    });
}
