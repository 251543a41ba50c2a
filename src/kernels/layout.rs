//! Where the numbers of a convolution lie: inputs in padded images, and outputs.

use super::reads::{Channels, Pattern, Reads, Way};
use super::sliding::Sliding;

/// Small images are processed together up to this many positions and `NUMBERS` numbers: otherwise the kernel would be
/// read again for each. A kernel of more than `NUMBERS` is read from memory, so more positions share it.
const TOGETHER: [usize; 2] = [64, 256];
const NUMBERS: usize = 1 << 18;

/// Where the numbers of a pattern lie: a tap at a position is at the sum of both places.
pub(super) struct Step {
    /// Places in the result, for each position of the images that are processed together.
    pub places: Vec<usize>,
    pub starts: Vec<usize>,
    /// For each number of a patch of a group.
    pub taps: Vec<usize>,
    pub cells: Vec<usize>,
}

pub(super) struct Layout {
    pub channels: Channels,
    pub reads: Reads,
    pub steps: Vec<Step>,
    pub together: usize,
}

impl Layout {
    pub fn new(sizes: &Sliding, way: Way) -> Self {
        let (channels, reads) = (Channels::new(sizes, way), Reads::new(sizes, way));
        let [read, written] = channels.all();
        let [padded, result] = [reads.padded_pixels() * read, reads.written_pixels() * written];
        let most = (NUMBERS / padded.max(1)).clamp(1, sizes.images as usize);
        let cells = sizes.window.iter().product::<i64>() as usize;
        let is_large = cells * channels.read * written > NUMBERS;
        let together = TOGETHER[usize::from(is_large)].div_ceil(reads.written_pixels()).min(most);
        let step = |Pattern { places, starts, cells }: Pattern| {
            let for_all = |of_one: &[usize], pixel: usize, image: usize| -> Vec<usize> {
                (0..together).flat_map(|i| of_one.iter().map(move |at| i * image + at * pixel)).collect()
            };
            let taps = cells
                .iter()
                .flat_map(|(_, distance)| (0..channels.read).map(move |channel| distance * read + channel));
            Step {
                places: for_all(&places, written, result),
                starts: for_all(&starts, read, padded),
                taps: taps.collect(),
                cells: cells.into_iter().map(|(cell, _)| cell).collect(),
            }
        };
        let steps = reads.patterns().into_iter().map(step).collect();
        Self { channels, reads, steps, together }
    }

    /// The numbers of an array that is read, of that with its padding, and of one that is written.
    pub fn numbers(&self) -> [usize; 3] {
        let [read, written] = self.channels.all();
        let Self { reads, .. } = self;
        [reads.read_pixels() * read, reads.padded_pixels() * read, reads.written_pixels() * written]
    }

    /// Copies each image into a padded one, whose padding is zero and stays so.
    pub fn pad(&self, images: &[f32], padded: &mut [f32]) {
        let [image, padded_image, _] = self.numbers();
        let [channels, _] = self.channels.all();
        for (image, padded) in images.chunks_exact(image).zip(padded.chunks_exact_mut(padded_image)) {
            for row in self.reads.rows() {
                let [from, to, length] = row.map(|pixels| pixels * channels);
                padded[to..to + length].copy_from_slice(&image[from..from + length]);
            }
        }
    }
}
