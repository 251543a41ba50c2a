//! The sizes of a window that moves over images.

use super::length;
use bytemuck::{Pod, Zeroable};

/// The sizes of channels-last images under a window, and of results with a number for each of its positions, as a
/// program passes them.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct Sliding {
    /// The number of images, which is the batch.
    pub images: i64,
    /// Height, width and channels of an image.
    pub image: [i64; 3],
    /// Height, width and channels of a result.
    pub result: [i64; 3],
    /// Height and width of the window.
    pub window: [i64; 2],
    /// The distance between neighbouring positions of the window, down and across; at least 1.
    pub stride: [i64; 2],
    /// The distance between neighbouring cells of the window, down and across; at least 1.
    pub dilation: [i64; 2],
    /// The padding above and to the left; less than none leaves out a part of the image.
    pub padding: [i64; 2],
    /// A convolution's groups of channels, each with its own filters.
    pub groups: i64,
}

impl Sliding {
    /// How many numbers all images have, all results, and the filters of a convolution; `None` for sizes that no arrays
    /// have.
    pub fn lengths(&self) -> Option<[usize; 3]> {
        let Self { images, image, result, window, stride, dilation, padding, groups } = *self;
        let counts = [&stride[..], &dilation, &[groups]].concat();
        let whole = || image[2] % groups == 0 && result[2] % groups == 0;
        let images = |[height, width, channels]: [i64; 3]| length(&[images, height, width, channels]);
        // Bounds the reach of a window, which the computation of places relies on.
        for axis in 0..2 {
            let reach = (result[axis].checked_mul(stride[axis])?)
                .checked_add(window[axis].checked_mul(dilation[axis])?)?
                .checked_add(padding[axis].checked_abs()?)?;
            reach.checked_add(image[axis]).filter(|&reach| reach <= i64::from(i32::MAX))?;
        }
        if !counts.iter().all(|&n| n > 0) || !whole() {
            return None;
        }
        let filters = length(&[window[0], window[1], image[2] / groups, result[2]])?;
        Some([images(image)?, images(result)?, filters])
    }

    /// Channels of an image.
    pub fn channels(&self) -> usize {
        self.image[2] as usize
    }

    /// Channels of a result.
    pub fn filters(&self) -> usize {
        self.result[2] as usize
    }

    /// Where the channels of the window's cells begin at a position, without those on the padding, row by row.
    pub fn cells(&self, position: [i64; 2]) -> impl Iterator<Item = usize> {
        let Self { image, window, stride, dilation, padding, .. } = *self;
        let along = move |axis: usize| {
            let begin = position[axis] * stride[axis] - padding[axis];
            (0..window[axis])
                .map(move |cell| begin + cell * dilation[axis])
                .filter(move |place| (0..image[axis]).contains(place))
        };
        along(0).flat_map(move |y| along(1).map(move |x| ((y * image[1] + x) * image[2]) as usize))
    }

    /// The row and column of each position of the window, row by row.
    pub fn positions(&self) -> impl Iterator<Item = [i64; 2]> {
        let [height, width, _] = self.result;
        (0..height).flat_map(move |row| (0..width).map(move |column| [row, column]))
    }
}
