//! Where a convolution reads its image for each place of the result, and where its gradient for the image reads the
//! gradient for the result. Both are sums over cells of the window, which lie at fixed distances from where a place begins
//! to read in a padded array.

use super::sliding::Sliding;

/// Places along an axis that read the same cells of the window.
#[derive(Clone, Debug)]
struct Axis {
    count: usize,
    /// The first place, and the step to the next.
    place: [usize; 2],
    /// Where the first begins to read, and the step to where the next does.
    start: [usize; 2],
    /// The cells, and how far from the start each reads.
    cells: Vec<(usize, usize)>,
}

impl Axis {
    /// The end of its reads.
    fn end(&self) -> usize {
        let farthest = self.cells.iter().map(|&(_, distance)| distance).max().unwrap_or_default();
        self.start[0] + (self.count - 1) * self.start[1] + farthest + 1
    }

    /// `count` of its places from the `first` on, or all that remain.
    fn part(&self, first: usize, count: usize) -> Option<Self> {
        let at = |[begin, step]: [usize; 2]| [begin + first * step, step];
        let count = count.min(self.count.saturating_sub(first));
        (count > 0).then(|| Self { count, place: at(self.place), start: at(self.start), ..self.clone() })
    }
}

/// All places along an axis, and how much padding they read before the array.
#[derive(Clone, Debug)]
struct Along {
    axes: Vec<Axis>,
    padding: i64,
}

impl Along {
    /// The places of a result: every place reads the whole window.
    fn forward(sizes: &Sliding, axis: usize) -> Self {
        let [count, window, stride, dilation] =
            [sizes.result[axis], sizes.window[axis], sizes.stride[axis], sizes.dilation[axis]]
                .map(|n| n as usize);
        let cells = (0..window).map(|cell| (cell, cell * dilation)).collect();
        let axis_of_all = Axis { count, place: [0, 1], start: [0, stride], cells };
        Self { axes: vec![axis_of_all], padding: sizes.padding[axis] }
    }

    /// The places of an image: result `r` read cell `t` at `r * stride + t * dilation - padding`, so that only some
    /// cells of the window read a place, and the same ones for places a stride apart.
    fn backward(sizes: &Sliding, axis: usize) -> Self {
        let (size, padding) = (sizes.image[axis], sizes.padding[axis]);
        let (window, stride, dilation) = (sizes.window[axis], sizes.stride[axis], sizes.dilation[axis]);
        let first = padding.div_euclid(stride);
        let farthest = (window - 1) * dilation / stride;
        let alike = |place: i64| {
            let remainder = (place + padding).rem_euclid(stride);
            let cells = (0..window).filter(|cell| cell * dilation % stride == remainder);
            let pair = |begin: i64, step: i64| [begin as usize, step as usize];
            Axis {
                count: ((size - place + stride - 1) / stride) as usize,
                place: pair(place, stride),
                start: pair((place + padding).div_euclid(stride) - first, 1),
                cells: cells
                    .map(|cell| (cell as usize, (farthest - cell * dilation / stride) as usize))
                    .collect(),
            }
        };
        Self { axes: (0..stride.min(size)).map(alike).collect(), padding: farthest - first }
    }

    /// The same in parts, each of at most `count` places of every axis.
    fn parts(&self, count: usize) -> impl Iterator<Item = Self> {
        let all = self.axes.iter().map(|axis| axis.count).max().unwrap_or_default();
        (0..all).step_by(count).map(move |first| {
            let mut axes: Vec<_> = self.axes.iter().filter_map(|axis| axis.part(first, count)).collect();
            let begin = axes.iter().map(|axis| axis.start[0]).min().unwrap_or_default();
            axes.iter_mut().for_each(|axis| axis.start[0] -= begin);
            Self { axes, padding: self.padding - begin as i64 }
        })
    }

    fn end(&self) -> usize {
        self.axes.iter().map(Axis::end).max().unwrap_or_default()
    }
}

/// The direction of a convolution.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Way {
    /// Computes results from images.
    Forward,
    /// Computes the gradient for the images from the results' gradient.
    Backward,
}

/// The channels of a convolution in groups, and where its kernel has the weight for two of them.
#[derive(Clone, Copy)]
pub(super) struct Channels {
    pub groups: usize,
    /// Channels of a group that are summed over, and that are written.
    pub read: usize,
    pub written: usize,
    cell: usize,
    steps: [usize; 2],
    group: usize,
}

impl Channels {
    pub fn new(sizes: &Sliding, way: Way) -> Self {
        let (groups, filters) = (sizes.groups as usize, sizes.filters());
        let [channels, written] = [sizes.channels() / groups, filters / groups];
        let cell = channels * filters;
        let of = |read, written, steps| Self { groups, read, written, cell, steps, group: filters / groups };
        match way {
            Way::Forward => of(channels, written, [filters, 1]),
            Way::Backward => of(written, channels, [1, filters]),
        }
    }

    /// Where the kernel `[window…, channels / groups, filters]` has the weight of a cell from a channel of a group to
    /// another.
    pub fn weight(&self, cell: usize, group: usize, read: usize, written: usize) -> usize {
        cell * self.cell + group * self.group + read * self.steps[0] + written * self.steps[1]
    }

    /// All input channels, and all output channels.
    pub fn all(&self) -> [usize; 2] {
        [self.read, self.written].map(|of_group| of_group * self.groups)
    }
}

/// Places that read the same cells of the window. Places, starts and distances are counted in pixels.
pub(super) struct Pattern {
    pub places: Vec<usize>,
    /// Where each begins to read in the padded array.
    pub starts: Vec<usize>,
    /// The cells, and how far from the start each reads.
    pub cells: Vec<(usize, usize)>,
}

/// Which numbers of a padded array are read, and for which places.
pub(super) struct Reads {
    along: [Along; 2],
    /// Height and width of the input and the output.
    read: [usize; 2],
    written: [usize; 2],
    /// Height and width of the array with its padding.
    padded: [usize; 2],
    window_width: usize,
}

impl Reads {
    pub fn new(sizes: &Sliding, way: Way) -> Self {
        let pixels = |size: [i64; 3]| [size[0] as usize, size[1] as usize];
        let (image, result) = (pixels(sizes.image), pixels(sizes.result));
        let (along, read, written) = match way {
            Way::Forward => ([0, 1].map(|axis| Along::forward(sizes, axis)), image, result),
            Way::Backward => ([0, 1].map(|axis| Along::backward(sizes, axis)), result, image),
        };
        let padded = [along[0].end(), along[1].end()];
        Self { along, read, written, padded, window_width: sizes.window[1] as usize }
    }

    /// The same in bands of rows, each with at most about `pixels` pixels of the padded array.
    pub fn bands(&self, pixels: usize) -> Vec<Self> {
        let [down, across] = &self.along;
        let rows = down.axes.iter().map(|axis| axis.count).max().unwrap_or_default();
        let bands = self.padded_pixels().div_ceil(pixels).clamp(1, rows.max(1));
        let band = |down: Along| Self {
            padded: [down.end(), self.padded[1]],
            along: [down, across.clone()],
            ..*self
        };
        down.parts(rows.div_ceil(bands).max(1)).map(band).collect()
    }

    pub fn padded_pixels(&self) -> usize {
        self.padded.iter().product()
    }

    pub fn read_pixels(&self) -> usize {
        self.read.iter().product()
    }

    pub fn written_pixels(&self) -> usize {
        self.written.iter().product()
    }

    /// The rows that lie in the padded array: where each begins in the array, where in the padded one, and how long it is.
    pub fn rows(&self) -> impl Iterator<Item = [usize; 3]> + use<> {
        let (read, padded, padding) = (self.read, self.padded, [0, 1].map(|axis| self.along[axis].padding));
        let overlap = move |axis: usize| {
            let end = (read[axis] as i64 + padding[axis]).min(padded[axis] as i64);
            padding[axis].max(0)..end
        };
        let across = overlap(1);
        let length = (across.end - across.start).max(0) as usize;
        let row = move |y: i64| {
            let from = (y - padding[0]) * read[1] as i64 + across.start - padding[1];
            [from as usize, (y * padded[1] as i64 + across.start) as usize, length]
        };
        overlap(0).filter(move |_| length > 0).map(row)
    }

    pub fn patterns(&self) -> Vec<Pattern> {
        let [down, across] = &self.along;
        let (width, padded_width) = (self.written[1], self.padded[1]);
        let product = |y: &Axis, x: &Axis| {
            let at = |[begin, step]: [usize; 2], i: usize| begin + i * step;
            let all = |of: fn(&Axis) -> [usize; 2], width: usize| {
                let (down, across, x_count) = (of(y), of(x), x.count);
                let row = move |i| (0..x_count).map(move |j| at(down, i) * width + at(across, j));
                (0..y.count).flat_map(row).collect()
            };
            let row = |&(cell, distance): &(usize, usize)| {
                let place = move |&(x_cell, x_distance): &(usize, usize)| {
                    (cell * self.window_width + x_cell, distance * padded_width + x_distance)
                };
                x.cells.iter().map(place)
            };
            Pattern {
                places: all(|axis| axis.place, width),
                starts: all(|axis| axis.start, padded_width),
                cells: y.cells.iter().flat_map(row).collect(),
            }
        };
        down.axes.iter().flat_map(|y| across.axes.iter().map(move |x| product(y, x))).collect()
    }
}
