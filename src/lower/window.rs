//! The cells under a window that moves over a channels-last image: reading one for all positions at once, and the
//! reverse, putting values back to where a cell reads.

use super::{Lowering, Target, XlaResult, element, malformed, slice};
use crate::array::DType;
use crate::graph::Window;
use neural_kernels::Sliding;
use xla::XlaOp;

impl Lowering<'_> {
    /// The input with the window's padding around it.
    pub(super) fn pad_window(&self, input: &XlaOp, window: &Window, dtype: DType, value: f64) -> XlaResult {
        if window.padding.iter().all(|&padding| padding == (0, 0)) {
            return Ok(input.clone());
        }
        let filler = self.builder.c0(value)?.convert(element(dtype).primitive_type())?;
        let mut config = vec![(0, 0, 0)];
        config.extend(window.padding.iter().map(|&(low, high)| (low as i64, high as i64, 0)));
        config.push((0, 0, 0));
        input.pad(&filler, &config)
    }

    /// The sizes of a window over images, or over rows as images of height 1, for the kernels; `channels` counts the
    /// channels of a result.
    pub(super) fn sliding(
        &self,
        input: &[usize],
        channels: usize,
        window: &Window,
        dtype: DType,
    ) -> Option<Sliding> {
        let axes = window.size.len();
        if self.target != Target::Cpu || dtype != DType::F32 || !(1..=2).contains(&axes) {
            return None;
        }
        let results = positions(input, window);
        let two = |of: &dyn Fn(usize) -> usize, other: i64| match axes {
            1 => [other, of(0) as i64],
            _ => [of(0) as i64, of(1) as i64],
        };
        let with = |[height, width]: [i64; 2], channels: usize| [height, width, channels as i64];
        Some(Sliding {
            images: input[0] as i64,
            image: with(two(&|i| input[i + 1], 1), input[axes + 1]),
            result: with(two(&|i| results[i], 1), channels),
            window: two(&|i| window.size[i], 1),
            stride: two(&|i| window.stride[i], 1),
            dilation: two(&|i| window.dilation[i], 1),
            padding: two(&|i| window.padding[i].0, 0),
            groups: 1,
        })
    }
}

/// The reverse of [`cell`]: a value for each position, at the places of the unpadded image that the cell reads,
/// and zeros between them.
pub(super) fn place(
    part: &XlaOp,
    image: &[usize],
    window: &Window,
    cell: &[(usize, usize)],
    dtype: DType,
) -> XlaResult {
    let positions = positions(image, window);
    let mut config = vec![(0, 0, 0); image.len()];
    for &(axis, at) in cell {
        // Cells on the padding, outside the image, are cut off.
        let begin = (at * window.dilation[axis]) as i64 - window.padding[axis].0 as i64;
        let length = ((positions[axis] - 1) * window.stride[axis] + 1) as i64;
        config[axis + 1] = (begin, image[axis + 1] as i64 - begin - length, window.stride[axis] as i64 - 1);
    }
    part.pad(&part.builder().zero(element(dtype))?, &config)
}

/// The coordinates of the window's cells, row-major, each as pairs of a spatial axis and the place along it.
pub(super) fn cells(window: &Window) -> Vec<Vec<(usize, usize)>> {
    let mut cells = vec![Vec::new()];
    for (axis, &size) in window.size.iter().enumerate() {
        let along = |cell: &Vec<_>, i| [&cell[..], &[(axis, i)]].concat();
        cells = cells.iter().flat_map(|cell| (0..size).map(move |i| along(cell, i))).collect();
    }
    cells
}

/// The values that a cell reads at every position of the window along the axes that `cell` names; `shape` is the shape
/// of `x`, padding included.
pub(super) fn cell(x: &XlaOp, shape: &[usize], window: &Window, cell: &[(usize, usize)]) -> XlaResult {
    let (mut start, mut limit, mut stride) = (vec![0; shape.len()], shape.to_vec(), vec![1; shape.len()]);
    for &(axis, at) in cell {
        let positions = (shape[axis + 1] - window.extent(axis)) / window.stride[axis] + 1;
        start[axis + 1] = at * window.dilation[axis];
        limit[axis + 1] = start[axis + 1] + (positions - 1) * window.stride[axis] + 1;
        stride[axis + 1] = window.stride[axis];
    }
    slice(x, &start, &limit, &stride)
}

/// The sum of the parts from the cells of a window; a window has at least one cell.
pub(super) fn total(parts: impl IntoIterator<Item = XlaResult>) -> XlaResult {
    let mut parts = parts.into_iter();
    let first = parts.next().ok_or_else(|| malformed("expected a window with a cell"))?;
    parts.try_fold(first?, |sum, part| sum.add_(&part?))
}

/// The number of positions of the window along each spatial axis.
pub(super) fn positions(shape: &[usize], window: &Window) -> Vec<usize> {
    // The shape rules have checked that the window fits.
    (0..window.size.len()).map(|i| window.positions(i, shape[i + 1]).unwrap_or_default()).collect()
}

pub(super) fn padded_shape(shape: &[usize], window: &Window) -> Vec<usize> {
    let mut padded = shape.to_vec();
    for (i, (low, high)) in window.padding.iter().enumerate() {
        padded[i + 1] += low + high;
    }
    padded
}
