//! Convolution and its two gradients, in the form that each kind of device runs well.
//!
//! A GPU has convolution kernels of its own. XLA's CPU backend hands only some forms to a fast library, in the
//! outermost computation alone, and runs all others, those inside a training loop among them, as naive loops. So
//! there a convolution is written as one matrix product over patches: the cells under each position of the window,
//! side by side (`im2col`). Products are fast everywhere, and the gradients are products over the same patches.

use super::{Lowering, Target, XlaResult, dims, element, slice};
use crate::array::{DType, count};
use crate::graph::Window;
use xla::XlaOp;

/// The shapes of a convolution: input `[n, spatial…, channels]`, kernel `[window…, channels / groups, filters]`.
pub(super) struct Conv<'a> {
    pub input: &'a [usize],
    pub kernel: &'a [usize],
    pub window: &'a Window,
    pub groups: usize,
    pub dtype: DType,
}

impl Conv<'_> {
    fn axes(&self) -> usize {
        self.window.size.len()
    }

    fn filters(&self) -> usize {
        self.kernel[self.axes() + 1]
    }

    /// How many rows the matrix of patches has: a position of an image is a row.
    fn rows(&self) -> usize {
        self.input[0] * count(&positions(self.input, self.window))
    }

    /// How many numbers a row has for each group.
    fn patch(&self) -> usize {
        count(&self.kernel[..=self.axes()])
    }
}

impl Lowering<'_> {
    pub(super) fn conv(&self, input: &XlaOp, kernel: &XlaOp, conv: &Conv) -> XlaResult {
        if self.target == Target::Gpu {
            let padding: Vec<_> =
                conv.window.padding.iter().map(|&(low, high)| (low as i64, high as i64)).collect();
            return native(input, kernel, conv, &conv.window.stride, &padding, &vec![1; conv.axes()]);
        }
        let patches = self.patches(input, conv)?;
        let matrix = kernel_matrix(kernel, conv)?;
        let result = if conv.groups == 1 {
            patches.dot_general(&matrix, &[1], &[0], &[], &[])?
        } else {
            // [groups, rows, filters / groups] -> [rows, groups, filters / groups]
            patches.dot_general(&matrix, &[2], &[1], &[0], &[0])?.transpose(&[1, 0, 2])?
        };
        let positions = positions(conv.input, conv.window);
        result.reshape(&dims(&[&[conv.input[0]], &positions[..], &[conv.filters()]].concat()))
    }

    /// From `dy` and the kernel, the gradient for the input.
    pub(super) fn conv_input_grad(&self, dy: &XlaOp, kernel: &XlaOp, conv: &Conv) -> XlaResult {
        let Conv { window, groups, .. } = *conv;
        let (axes, filters) = (conv.axes(), conv.filters());
        if self.target == Target::Gpu {
            // The transposed convolution: dy spread out by the stride, with the kernel turned around.
            let spatial: Vec<_> = (0..axes as i64).collect();
            let channels = conv.kernel[axes];
            let split = [&conv.kernel[..axes], &[channels, groups, filters / groups]].concat();
            let mut perm = spatial.clone();
            perm.extend([2, 1, 0].map(|i| (axes + i) as i64));
            let swapped = [&conv.kernel[..axes], &[filters / groups, groups * channels]].concat();
            let turned =
                kernel.rev(&spatial)?.reshape(&dims(&split))?.transpose(&perm)?.reshape(&dims(&swapped))?;
            let positions = positions(conv.input, window);
            let padding: Vec<_> = (0..axes)
                .map(|i| {
                    let spread = (positions[i] - 1) * window.stride[i] + 1;
                    let low = window.extent(i) as i64 - 1 - window.padding[i].0 as i64;
                    (low, (conv.input[i + 1] + window.extent(i) - 1) as i64 - spread as i64 - low)
                })
                .collect();
            return native(dy, &turned, conv, &vec![1; axes], &padding, &window.stride);
        }
        let matrix = kernel_matrix(kernel, conv)?;
        let patches = if groups == 1 {
            dy.reshape(&dims(&[conv.rows(), filters]))?.dot_general(&matrix, &[1], &[1], &[], &[])?
        } else {
            let dy = dy.reshape(&dims(&[conv.rows(), groups, filters / groups]))?;
            // [groups, rows, patch]
            dy.dot_general(&matrix, &[2], &[2], &[1], &[0])?
        };
        self.unpatch(&patches, conv)
    }

    /// From the input and `dy`, the gradient for the kernel.
    pub(super) fn conv_kernel_grad(&self, input: &XlaOp, dy: &XlaOp, conv: &Conv) -> XlaResult {
        let Conv { window, groups, .. } = *conv;
        let (axes, filters) = (conv.axes(), conv.filters());
        if self.target == Target::Gpu {
            // Channels take the place of the batch, and dy, spread out by the stride, that of the kernel.
            let positions = positions(conv.input, window);
            let padding: Vec<_> = (0..axes)
                .map(|i| {
                    let spread = (positions[i] - 1) * window.stride[i] + 1;
                    let low = window.padding[i].0 as i64;
                    (low, (window.extent(i) + spread - 1) as i64 - conv.input[i + 1] as i64 - low)
                })
                .collect();
            let spatial: Vec<i64> = (1..=axes as i64).collect();
            let out_spatial: Vec<i64> = (0..axes as i64).collect();
            let last = axes as i64 + 1;
            let ones = vec![1; axes];
            let (stride, dilation) = (dims(&window.stride), dims(&window.dilation));
            return input.conv_general_dilated(
                dy,
                &dilation,
                &padding,
                &ones,
                &stride,
                last,
                0,
                &spatial,
                last - 1,
                last,
                &out_spatial,
                0,
                last,
                &spatial,
                1,
                groups as i64,
                false,
            );
        }
        let patches = self.patches(input, conv)?;
        let matrix = if groups == 1 {
            patches.dot_general(&dy.reshape(&dims(&[conv.rows(), filters]))?, &[0], &[0], &[], &[])?
        } else {
            let dy = dy.reshape(&dims(&[conv.rows(), groups, filters / groups]))?;
            // [groups, patch, filters / groups] -> [patch, groups, filters / groups]
            patches.dot_general(&dy, &[1], &[0], &[0], &[1])?.transpose(&[1, 0, 2])?
        };
        matrix.reshape(&dims(conv.kernel))
    }

    /// The cells under each position of the window: `[rows, patch]`, or one such matrix for each group.
    fn patches(&self, input: &XlaOp, conv: &Conv) -> XlaResult {
        let Conv { window, groups, .. } = *conv;
        let mut shape = padded_shape(conv.input, window);
        let mut patches = self.pad_window(input, window, conv.dtype, 0.0)?;
        // An axis after the other, from the last: few and ever longer pieces are put side by side. With all cells at once
        // a step of the benchmark's convolutional network took 85 ms instead of 73.
        for axis in (0..conv.axes()).rev() {
            let cells = (0..window.size[axis])
                .map(|cell| cell_along(&patches, &shape, window, axis, cell))
                .collect::<XlaResult<Vec<_>>>()?;
            shape[axis + 1] = positions(conv.input, window)[axis];
            patches = match &cells[..] {
                [first, rest @ ..] if !rest.is_empty() => {
                    first.concat_in_dim(rest, conv.axes() as i64 + 1)?
                }
                _ => cells[0].clone(),
            };
            shape[conv.axes() + 1] *= window.size[axis];
        }
        if groups == 1 {
            return patches.reshape(&dims(&[conv.rows(), conv.patch()]));
        }
        patches
            .reshape(&dims(&[conv.rows(), count(&window.size), groups, conv.kernel[conv.axes()]]))?
            .transpose(&[2, 0, 1, 3])?
            .reshape(&dims(&[groups, conv.rows(), conv.patch()]))
    }

    /// The reverse of `patches`: adds each cell back to where it came from.
    fn unpatch(&self, patches: &XlaOp, conv: &Conv) -> XlaResult {
        let Conv { window, groups, .. } = *conv;
        let axes = conv.axes();
        let patches = if groups == 1 {
            patches.clone()
        } else {
            let parts = [groups, conv.rows(), count(&window.size), conv.kernel[axes]];
            patches.reshape(&dims(&parts))?.transpose(&[1, 2, 0, 3])?
        };
        let mut width = count(&window.size) * conv.kernel[axes] * groups;
        let joined = [&[conv.input[0]], &positions(conv.input, window)[..], &[width]].concat();
        let mut sum = patches.reshape(&dims(&joined))?;
        for axis in 0..axes {
            width /= window.size[axis];
            let parts = (0..window.size[axis]).map(|cell| {
                let from = (cell * width) as i64;
                let part = sum.slice_in_dim1(from, from + width as i64, axes as i64 + 1)?;
                self.place_along(&part, conv.input, window, axis, cell, conv.dtype)
            });
            sum = parts.reduce(|a, b| a?.add_(&b?)).unwrap_or_else(|| Ok(sum.clone()))?;
        }
        Ok(sum)
    }

    /// Cell `cell` of the window along one axis, at the places of the unpadded image that it came from.
    pub(super) fn place_along(
        &self,
        part: &XlaOp,
        image: &[usize],
        window: &Window,
        axis: usize,
        cell: usize,
        dtype: DType,
    ) -> XlaResult {
        let positions = positions(image, window)[axis];
        // What lies outside of the image, on the padding, is cut off.
        let begin = (cell * window.dilation[axis]) as i64 - window.padding[axis].0 as i64;
        let length = ((positions - 1) * window.stride[axis] + 1) as i64;
        let mut config = vec![(0, 0, 0); image.len()];
        config[axis + 1] = (begin, image[axis + 1] as i64 - begin - length, window.stride[axis] as i64 - 1);
        part.pad(&self.builder.zero(element(dtype))?, &config)
    }

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
}

/// XLA's own convolution, channels last. `spread` puts zeros between the input's cells.
fn native(
    input: &XlaOp,
    kernel: &XlaOp,
    conv: &Conv,
    stride: &[usize],
    padding: &[(i64, i64)],
    spread: &[usize],
) -> XlaResult {
    let axes = conv.axes() as i64;
    let spatial: Vec<i64> = (1..=axes).collect();
    let kernel_spatial: Vec<i64> = (0..axes).collect();
    let (stride, spread, dilation) = (dims(stride), dims(spread), dims(&conv.window.dilation));
    let last = axes + 1;
    input.conv_general_dilated(
        kernel,
        &stride,
        padding,
        &spread,
        &dilation,
        0,
        last,
        &spatial,
        0,
        last,
        &spatial,
        axes,
        last,
        &kernel_spatial,
        conv.groups as i64,
        1,
        false,
    )
}

/// The kernel as a matrix `[patch, filters]`, or one such for each group.
fn kernel_matrix(kernel: &XlaOp, conv: &Conv) -> XlaResult {
    let (patch, filters) = (conv.patch(), conv.filters());
    if conv.groups == 1 {
        return kernel.reshape(&dims(&[patch, filters]));
    }
    kernel.reshape(&dims(&[patch, conv.groups, filters / conv.groups]))?.transpose(&[1, 0, 2])
}

/// Cell `cell` of the window along one axis, for every position along it.
pub(super) fn cell_along(x: &XlaOp, shape: &[usize], window: &Window, axis: usize, cell: usize) -> XlaResult {
    let (mut start, mut limit, mut stride) = (vec![0; shape.len()], shape.to_vec(), vec![1; shape.len()]);
    let positions = (shape[axis + 1] - window.extent(axis)) / window.stride[axis] + 1;
    start[axis + 1] = cell * window.dilation[axis];
    limit[axis + 1] = start[axis + 1] + (positions - 1) * window.stride[axis] + 1;
    stride[axis + 1] = window.stride[axis];
    slice(x, &start, &limit, &stride)
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
