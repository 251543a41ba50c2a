//! Tiles of images, and their transforms laid out for products.

use super::lanes::{load, store};
use super::product::{Line, NARROW, lines};
use super::sliding::Sliding;
use super::transform::{Matrix, SIDE, Tile, empty, results, transform};
use pulp::Simd;
use std::marker::PhantomData;

/// Places of a transformed tile.
pub(super) const PLACES: usize = SIDE * SIDE;
/// About this many bytes of transformed tiles are processed at a time, to stay in the cache of a core.
const BLOCK: usize = 320 << 10;

/// The sizes of a convolution of stride 1.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub image: [usize; 3],
    pub result: [usize; 3],
    pub window: [usize; 2],
    pub padding: [isize; 2],
}

impl Sizes {
    pub fn of(conv: &Sliding) -> Self {
        let sizes = |values: [i64; 3]| values.map(|n| n as usize);
        Self {
            image: sizes(conv.image),
            result: sizes(conv.result),
            window: conv.window.map(|n| n as usize),
            padding: conv.padding.map(|n| n as isize),
        }
    }

    /// The results of a tile along each axis.
    pub fn step(&self) -> [usize; 2] {
        self.window.map(results)
    }

    /// How many tiles there are along each axis.
    pub fn tiles(&self) -> [usize; 2] {
        let [height, width] = self.step();
        [self.result[0].div_ceil(height), self.result[1].div_ceil(width)]
    }

    /// The inputs of the tiles in an image, where they overlap.
    pub fn read(&self) -> Side {
        let channels = [0, self.image[2]];
        Side { size: self.image, channels, padding: self.padding, extent: [SIDE; 2], step: self.step() }
    }

    /// The outputs of the tiles in a result.
    pub fn written(&self) -> Side {
        let channels = [0, self.result[2]];
        Side { size: self.result, channels, padding: [0; 2], extent: self.step(), step: self.step() }
    }
}

/// Where the tiles lie on images of height, width and channels.
#[derive(Clone, Copy)]
pub(super) struct Side {
    size: [usize; 3],
    /// The range of channels to process.
    channels: [usize; 2],
    padding: [isize; 2],
    extent: [usize; 2],
    step: [usize; 2],
}

/// A part of an image under a tile: where the tile begins, and which of its rows and columns are on the image.
pub(super) struct Overlap {
    corner: [isize; 2],
    rows: [usize; 2],
    columns: [usize; 2],
}

impl Side {
    /// Some of its channels.
    pub fn part(self, channels: [usize; 2]) -> Self {
        Self { channels, ..self }
    }

    pub fn channels(&self) -> usize {
        self.channels[1] - self.channels[0]
    }

    /// How many numbers an image has.
    pub fn numbers(&self) -> usize {
        self.size.iter().product()
    }

    pub fn overlap(&self, tile: [usize; 2]) -> Overlap {
        let corner = [0, 1].map(|i| (tile[i] * self.step[i]) as isize - self.padding[i]);
        let on = |i: usize| {
            let from = (-corner[i]).clamp(0, self.extent[i] as isize) as usize;
            let to = (self.size[i] as isize - corner[i]).clamp(from as isize, self.extent[i] as isize);
            [from, to as usize]
        };
        Overlap { corner, rows: on(0), columns: on(1) }
    }

    /// The numbers of a place of the tile from `channel` on, at most a register of them.
    #[inline(always)]
    pub fn at(
        &self,
        overlap: &Overlap,
        row: usize,
        column: usize,
        channel: usize,
        lanes: usize,
    ) -> [usize; 2] {
        let y = (overlap.corner[0] + row as isize) as usize;
        let x = (overlap.corner[1] + column as isize) as usize;
        let pixel = (y * self.size[1] + x) * self.size[2];
        let from = self.channels[0] + channel;
        [pixel + from, pixel + (from + lanes).min(self.channels[1])]
    }

    /// Fills the tile with the numbers of the channels from `channel` on, zero outside of the image.
    #[inline(always)]
    pub fn load<S: Simd>(
        &self,
        simd: S,
        image: &[f32],
        overlap: &Overlap,
        channel: usize,
        tile: &mut Tile<S>,
    ) {
        if [overlap.rows, overlap.columns] != self.extent.map(|extent| [0, extent]) {
            *tile = empty(simd);
        }
        for row in overlap.rows[0]..overlap.rows[1] {
            for column in overlap.columns[0]..overlap.columns[1] {
                let [from, to] = self.at(overlap, row, column, channel, S::F32_LANES);
                tile[row][column] = load(simd, &image[from..to]);
            }
        }
    }

    /// Writes the tile to the image, or adds it where tiles overlap.
    #[inline(always)]
    pub fn write<S: Simd>(
        &self,
        simd: S,
        image: &mut [f32],
        overlap: &Overlap,
        channel: usize,
        tile: &Tile<S>,
    ) {
        for row in overlap.rows[0]..overlap.rows[1] {
            for column in overlap.columns[0]..overlap.columns[1] {
                let [from, to] = self.at(overlap, row, column, channel, S::F32_LANES);
                let place = &mut image[from..to];
                let mut value = tile[row][column];
                if self.overlaps() {
                    value = simd.add_f32s(load(simd, place), value);
                }
                store(simd, place, value);
            }
        }
    }

    /// Whether a tile extends into the next.
    fn overlaps(&self) -> bool {
        self.extent != self.step
    }
}

/// Transformed tiles of one side: for each place and tile, its channels in registers.
pub(super) struct Block<S: Simd> {
    side: Side,
    pub registers: usize,
    simd: PhantomData<S>,
}

impl<S: Simd> Block<S> {
    /// A block with registers for all channels, rounded up to a multiple of `at_once`, the registers of a product.
    pub fn new(side: Side, at_once: usize) -> Self {
        let registers = side.channels().div_ceil(S::F32_LANES).next_multiple_of(at_once);
        Self { side, registers, simd: PhantomData }
    }

    /// Memory for this many tiles, and for the padding that a product reads beyond the last.
    pub fn lines(&self, tiles: usize) -> Vec<Line> {
        lines((PLACES * tiles * self.registers + NARROW) * S::F32_LANES)
    }

    #[inline(always)]
    pub fn load<M: Matrix>(
        &self,
        simd: S,
        sizes: &Sizes,
        images: &[f32],
        tiles: &Tiles,
        block: &mut [S::f32s],
    ) {
        let place = tiles.rows() * self.registers;
        let mut numbers = empty(simd);
        for number in 0..tiles.count {
            let (image, tile) = tiles.at(number);
            let image = &images[image * self.side.numbers()..][..self.side.numbers()];
            let overlap = self.side.overlap(tile);
            for (register, channel) in (0..self.side.channels()).step_by(S::F32_LANES).enumerate() {
                self.side.load(simd, image, &overlap, channel, &mut numbers);
                transform::<S, M>(simd, sizes.window, self.side.extent, [SIDE; 2], &mut numbers);
                for i in 0..PLACES {
                    block[i * place + number * self.registers + register] = numbers[i / SIDE][i % SIDE];
                }
            }
        }
    }

    /// Writes the transformed tiles, beginning each image with zeros where tiles overlap.
    #[inline(always)]
    pub fn write<M: Matrix>(
        &self,
        simd: S,
        sizes: &Sizes,
        block: &[S::f32s],
        tiles: &Tiles,
        images: &mut [f32],
    ) {
        let place = tiles.rows() * self.registers;
        let mut numbers = empty(simd);
        for number in 0..tiles.count {
            let (image, tile) = tiles.at(number);
            let image = &mut images[image * self.side.numbers()..][..self.side.numbers()];
            if tile == [0, 0] && self.side.overlaps() {
                image.fill(0.0);
            }
            let overlap = self.side.overlap(tile);
            for (register, channel) in (0..self.side.channels()).step_by(S::F32_LANES).enumerate() {
                for i in 0..PLACES {
                    numbers[i / SIDE][i % SIDE] = block[i * place + number * self.registers + register];
                }
                transform::<S, M>(simd, sizes.window, [SIDE; 2], self.side.extent, &mut numbers);
                self.side.write(simd, image, &overlap, channel, &numbers);
            }
        }
    }
}

/// Tiles that are processed together, of consecutive images.
pub(super) struct Tiles {
    first: usize,
    pub count: usize,
    along: [usize; 2],
    /// The rows of a product.
    at_once: usize,
}

impl Tiles {
    /// The tiles of some images, at most `most` together; a product takes `at_once` of them.
    pub fn of(
        sizes: &Sizes,
        images: usize,
        most: usize,
        at_once: usize,
    ) -> impl Iterator<Item = Self> + use<> {
        let along = sizes.tiles();
        let all = images * along[0] * along[1];
        (0..all).step_by(most).map(move |first| Self { first, count: most.min(all - first), along, at_once })
    }

    /// How many rows the matrices of their numbers have.
    pub fn rows(&self) -> usize {
        self.count.next_multiple_of(self.at_once)
    }

    /// The image, and where the tile lies on it.
    pub fn at(&self, number: usize) -> (usize, [usize; 2]) {
        let tile = self.first + number;
        let [height, width] = self.along;
        (tile / (height * width), [tile / width % height, tile % width])
    }
}

/// How many tiles are processed together: a multiple of `rows`.
pub(super) fn tiles_at_once(registers: usize, lanes: usize, rows: usize) -> usize {
    let tile = PLACES * registers * lanes * size_of::<f32>();
    (BLOCK / tile / rows * rows).clamp(4 * rows, 16 * rows)
}
