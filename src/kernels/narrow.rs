//! Convolutions to few channels, which fill only a small part of a register. Each pixel that is read is multiplied by a
//! whole row of the window at once, whose cells lie side by side in the result, and the products are added up there.

use super::lanes::lanes;
use super::parts::each_task;
use super::product::{Line, NARROW, REGISTERS, ROWS, lines, product, unrolled};
use super::reads::{Channels, Way};
use super::sliding::Sliding;
use super::threads::Threads;
use pulp::{Arch, Simd, WithSimd};

/// The cost of adding a register to the result, in multiplications.
const ADDITION: usize = 4;

/// Where the products of a pixel go: pixel `i` times cell `t` of the window goes to place `i * stride + t * dilation -
/// padding`, along both axes.
struct Layout {
    channels: Channels,
    /// Height and width of the input and the output.
    read: [usize; 2],
    written: [usize; 2],
    window: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    padding: [i64; 2],
    /// Whether the cells are in the opposite order of the kernel's.
    mirrored: bool,
    /// The registers of a row of the window.
    registers: usize,
}

impl Layout {
    fn new(sizes: &Sliding, way: Way) -> Self {
        let channels = Channels::new(sizes, way);
        let [image, result] =
            [sizes.image, sizes.result].map(|[height, width, _]| [height as usize, width as usize]);
        let mirrored = matches!(way, Way::Forward);
        // Result `i` reads `i + t * dilation - padding`, so a pixel is read by `i - t * dilation + padding`.
        let padding = [0, 1].map(|axis| match way {
            Way::Forward => (sizes.window[axis] - 1) * sizes.dilation[axis] - sizes.padding[axis],
            Way::Backward => sizes.padding[axis],
        });
        let window = sizes.window.map(|n| n as usize);
        Self {
            registers: (window[1] * channels.written).div_ceil(lanes()),
            channels,
            read: if mirrored { image } else { result },
            written: if mirrored { result } else { image },
            window,
            stride: sizes.stride.map(|n| n as usize),
            dilation: sizes.dilation.map(|n| n as usize),
            padding,
            mirrored,
        }
    }

    /// The registers of the whole window.
    fn all_registers(&self) -> usize {
        self.window[0] * self.registers
    }

    /// The rows and registers of a product.
    fn product(&self) -> [usize; 2] {
        match self.all_registers() {
            n if n % REGISTERS == 0 => [ROWS, REGISTERS],
            n if n % 3 == 0 => [4, 3],
            _ => [NARROW, 1],
        }
    }

    /// The kernel as the products read it: for each of their panels a row of registers for each channel that is read.
    fn panels(&self, kernel: &[f32]) -> Vec<Line> {
        let (lanes, [_, at_once]) = (lanes(), self.product());
        let Channels { read, written, .. } = self.channels;
        let [height, width] = self.window;
        let mut all = lines(self.all_registers() * read * lanes);
        let panels: &mut [f32] = bytemuck::cast_slice_mut(&mut all);
        for row in 0..height {
            for number in 0..width * written {
                let (column, channel) = (number / written, number % written);
                let cell = row * width + column;
                let cell = if self.mirrored { height * width - 1 - cell } else { cell };
                let register = row * self.registers + number / lanes;
                let panel = register / at_once * at_once * read + register % at_once;
                for from in 0..read {
                    panels[(panel + from * at_once) * lanes + number % lanes] =
                        kernel[self.channels.weight(cell, 0, from, channel)];
                }
            }
        }
        all
    }

    /// The numbers of a row of the sums, which begin with the padding.
    fn row(&self) -> usize {
        (self.read[1] - 1) * self.stride[1] * self.channels.written + self.registers * lanes()
    }

    fn rows(&self) -> usize {
        (self.read[0] - 1) * self.stride[0] + (self.window[0] - 1) * self.dilation[0] + 1
    }

    /// Where the numbers of each pixel lie, and where its sums begin. Pixels that lie so close that their sums overlap
    /// do not follow each other: a processor waits for its own write before it reads a part of it.
    fn pixels(&self) -> Vec<(usize, usize)> {
        let (Channels { read, written, .. }, [height, width]) = (self.channels, self.read);
        let apart = (self.registers * lanes()).div_ceil(self.stride[1] * written);
        let pixel = |y: usize, x: usize| {
            let place = y * self.stride[0] * self.row() + x * self.stride[1] * written;
            ((y * width + x) * read, place)
        };
        let some = |first: usize| {
            (0..height).flat_map(move |y| (first..width).step_by(apart).map(move |x| pixel(y, x)))
        };
        (0..apart.min(width)).flat_map(some).collect()
    }

    /// Where each register of the window is added, from where the sums of a pixel begin.
    fn distances(&self) -> Vec<usize> {
        let (row, lanes) = (self.dilation[0] * self.row(), lanes());
        let of_row = |y: usize| (0..self.registers).map(move |register| y * row + register * lanes);
        (0..self.window[0]).flat_map(of_row).collect()
    }

    /// Copies the result from the sums; places that no pixel reaches are zero.
    fn crop(&self, sums: &[f32], result: &mut [f32]) {
        let written = self.channels.written;
        let [height, width] = self.written.map(|n| n as i64);
        let [down, across] = self.padding;
        let end = (self.read[1] - 1) * self.stride[1] + self.window[1];
        let columns = (-across).clamp(0, width)..(end as i64 - across).clamp(0, width);
        result.fill(0.0);
        for y in (-down).clamp(0, height)..(self.rows() as i64 - down).clamp(0, height) {
            if columns.is_empty() {
                break;
            }
            let numbers = (columns.end - columns.start) as usize * written;
            let from = (y + down) as usize * self.row() + (columns.start + across) as usize * written;
            let to = (y * width + columns.start) as usize * written;
            result[to..to + numbers].copy_from_slice(&sums[from..from + numbers]);
        }
    }
}

/// Whether this takes clearly fewer multiplications of registers than a product for each place of the result.
pub(super) fn pays(sizes: &Sliding, way: Way) -> bool {
    let every_place = matches!(way, Way::Backward) || sizes.stride == [1, 1];
    if sizes.groups > 1 || sizes.dilation[1] > 1 || !every_place {
        return false;
    }
    let layout = Layout::new(sizes, way);
    let Channels { read, written, .. } = layout.channels;
    let places = layout.window[0] * layout.window[1] * written.div_ceil(lanes()) * read;
    4 * layout.all_registers() * (read + ADDITION) <= 3 * places
}

/// The pass over some images.
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
            [_, REGISTERS] => self.multiply::<S, ROWS, REGISTERS>(simd),
            [_, 3] => self.multiply::<S, 4, 3>(simd),
            _ => self.multiply::<S, NARROW, 1>(simd),
        }
    }
}

impl Pass<'_> {
    #[inline(always)]
    fn multiply<S: Simd, const N: usize, const R: usize>(self, simd: S) {
        let Self { layout, panels, from, to } = self;
        let Channels { read, written, .. } = layout.channels;
        let [image, result] =
            [layout.read[0] * layout.read[1] * read, layout.written[0] * layout.written[1] * written];
        let panels = S::as_simd_f32s(bytemuck::cast_slice(panels)).0;
        let (pixels, distances) = (layout.pixels(), layout.distances());
        let mut room = lines(layout.rows() * layout.row());
        let room: &mut [f32] = bytemuck::cast_slice_mut(&mut room);
        for (from, to) in from.chunks_exact(image).zip(to.chunks_exact_mut(result)) {
            room.fill(0.0);
            for pixels in pixels.chunks(N) {
                // Places beyond the last pixel repeat it.
                let a: [&[f32]; N] = std::array::from_fn(|i| &from[pixels[i.min(pixels.len() - 1)].0..]);
                for (panel, distances) in panels.chunks_exact(read * R).zip(distances.chunks_exact(R)) {
                    let products = product::<S, N, R>(simd, read, a, panel, R);
                    unrolled!(i < N, {
                        if let Some((_, place)) = pixels.get(i) {
                            unrolled!(j < R, {
                                let sum = &mut room[place + distances[j]..][..S::F32_LANES];
                                let sum = &mut S::as_mut_simd_f32s(sum).0[0];
                                *sum = simd.add_f32s(*sum, products[i][j]);
                            });
                        }
                    });
                }
            }
            layout.crop(room, to);
        }
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
    let panels = &layout.panels(kernel);
    each_task(sizes.images as usize, from, to, threads, |from, to| {
        Arch::new().dispatch(Pass { layout, panels, from, to });
    });
}
