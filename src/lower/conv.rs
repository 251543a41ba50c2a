//! Convolution and its two gradients, in the form that each kind of device runs well.
//!
//! A GPU has its own convolution kernels. XLA's CPU backend hands only some forms to a fast library, in the outermost
//! computation alone, and runs all others, including any inside a training loop, as naive loops. So on the built-in
//! CPU, an f32 convolution over one or two axes is a call of [`kernels`]: Winograd's where it needs fewer
//! multiplications, otherwise the direct form.
//!
//! All others on a CPU, with other types, three axes or behind a plugin, are one matrix product over patches: the cells
//! under each position of the window, side by side (`im2col`). Products are fast everywhere, and the gradients are
//! products over the same patches. Where a patch is only a few numbers, their sum is written out instead.

mod patches;

use super::window::{cell, cells, padded_shape, positions, total};
use super::{Lowering, Target, XlaResult, calls, dims, isolated};
use crate::array::{DType, count};
use crate::graph::Window;
use neural_kernels::{self as kernels, Sliding};
use patches::unpatch;
use xla::XlaOp;

/// A patch of no more numbers is summed by elementwise operations. The first convolution of the benchmark's network,
/// with patches of 9, took 0.7 ms as such a sum and 4.2 as a product; with 75 the two were equal.
const FEW: usize = 32;

/// The shapes of a convolution: input `[n, spatial…, channels]`, kernel `[window…, channels / groups, filters]`.
pub(super) struct Conv<'a> {
    /// The node of the input; the node of `dy` in the gradient for the input, which reads no patches.
    pub source: usize,
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

    fn channels(&self) -> usize {
        self.input[self.axes() + 1]
    }

    fn filters(&self) -> usize {
        self.kernel[self.axes() + 1]
    }

    /// How many rows the matrix of patches has: a position of an image is a row.
    fn rows(&self) -> usize {
        self.input[0] * count(&positions(self.input, self.window))
    }

    /// Whether every position is a pixel: the images are the matrix of patches.
    fn is_product(&self) -> bool {
        let Window { size, stride, padding, .. } = self.window;
        let plain = size.iter().chain(stride).all(|&n| n == 1) && padding.iter().all(|&n| n == (0, 0));
        plain && self.groups == 1
    }

    /// How many numbers a row has for each group.
    fn patch(&self) -> usize {
        count(&self.kernel[..=self.axes()])
    }

    /// The shape of rows of `width` numbers for each group, the groups first.
    fn grouped(&self, width: usize) -> [usize; 3] {
        [self.groups, self.rows(), width]
    }

    /// The result's gradient as `[groups, rows, filters / groups]`.
    fn by_group(&self, dy: &XlaOp) -> XlaResult {
        let shape = [self.rows(), self.groups, self.filters() / self.groups];
        dy.reshape(&dims(&shape))?.transpose(&[1, 0, 2])
    }
}

impl Lowering<'_> {
    pub(super) fn conv(&self, input: &XlaOp, kernel: &XlaOp, conv: &Conv) -> XlaResult {
        if self.target == Target::Gpu {
            let padding: Vec<_> =
                conv.window.padding.iter().map(|&(low, high)| (low as i64, high as i64)).collect();
            let channels = [conv.axes() as i64, conv.axes() as i64 + 1];
            let ones = vec![1; conv.axes()];
            return native(input, kernel, conv, &conv.window.stride, &padding, &ones, channels);
        }
        let positions = positions(conv.input, conv.window);
        let result_shape = [&[conv.input[0]], &positions[..], &[conv.filters()]].concat();
        if let Some(winograd) = self.winograd(conv) {
            return self.call(calls::WINOGRAD, &[input, kernel], &winograd, conv.dtype, &result_shape);
        }
        if let Some(sizes) = self.direct(conv) {
            return self.call(calls::CONV, &[input, kernel], &sizes, conv.dtype, &result_shape);
        }
        if conv.groups == 1 && conv.patch() <= FEW && !conv.is_product() {
            return self.conv_as_sum(input, kernel, conv);
        }
        let patches = self.patches(input, conv)?;
        let matrix = kernel_matrix(kernel, conv)?;
        let result = if conv.groups == 1 {
            let shapes = ([conv.rows(), conv.patch()], [conv.patch(), conv.filters()]);
            self.matmul((&patches, shapes.0), (&matrix, shapes.1), [1, 0], conv.dtype)?
        } else {
            let shapes =
                (conv.grouped(conv.patch()), [conv.groups, conv.patch(), conv.filters() / conv.groups]);
            // [groups, rows, filters / groups] -> [rows, groups, filters / groups]
            self.matmul((&patches, shapes.0), (&matrix, shapes.1), [2, 1], conv.dtype)?
                .transpose(&[1, 0, 2])?
        };
        result.reshape(&dims(&result_shape))
    }

    /// The gradient for the input, from `dy` and the kernel.
    pub(super) fn conv_input_grad(&self, dy: &XlaOp, kernel: &XlaOp, conv: &Conv) -> XlaResult {
        let Conv { window, groups, .. } = *conv;
        let (axes, filters) = (conv.axes(), conv.filters());
        if self.target == Target::Gpu {
            // The transposed convolution: dy spread out by the stride, with the kernel turned around. XLA recognises
            // cuDNN's backward pass in it by the reversal directly before it, so the axes are only named in another
            // order. It does not try with groups, whose channels must be moved.
            let spatial: Vec<_> = (0..axes as i64).collect();
            let turned = kernel.rev(&spatial)?;
            let (turned, from, to) = if groups == 1 {
                (turned, axes as i64 + 1, axes as i64)
            } else {
                let channels = conv.kernel[axes];
                let split = [&conv.kernel[..axes], &[channels, groups, filters / groups]].concat();
                let mut perm = spatial.clone();
                perm.extend([2, 1, 0].map(|i| (axes + i) as i64));
                let swapped = [&conv.kernel[..axes], &[filters / groups, groups * channels]].concat();
                let turned = turned.reshape(&dims(&split))?.transpose(&perm)?.reshape(&dims(&swapped))?;
                (turned, axes as i64, axes as i64 + 1)
            };
            let positions = positions(conv.input, window);
            let padding: Vec<_> = (0..axes)
                .map(|i| {
                    let spread = (positions[i] - 1) * window.stride[i] + 1;
                    let low = window.extent(i) as i64 - 1 - window.padding[i].0 as i64;
                    (low, (conv.input[i + 1] + window.extent(i) - 1) as i64 - spread as i64 - low)
                })
                .collect();
            return native(dy, &turned, conv, &vec![1; axes], &padding, &window.stride, [from, to]);
        }
        if let Some(winograd) = self.winograd(conv) {
            return self.call(calls::WINOGRAD_INPUT_GRAD, &[dy, kernel], &winograd, conv.dtype, conv.input);
        }
        if let Some(sizes) = self.direct(conv) {
            return self.call(calls::CONV_INPUT_GRAD, &[dy, kernel], &sizes, conv.dtype, conv.input);
        }
        let matrix = kernel_matrix(kernel, conv)?;
        let patches = if groups == 1 {
            let dy_shape = [conv.rows(), filters];
            let dy = dy.reshape(&dims(&dy_shape))?;
            self.matmul((&dy, dy_shape), (&matrix, [conv.patch(), filters]), [1, 1], conv.dtype)?
        } else {
            let dy_shape = conv.grouped(filters / groups);
            let dy = conv.by_group(dy)?;
            let matrix_shape = [groups, conv.patch(), filters / groups];
            // [groups, rows, patch]
            self.matmul((&dy, dy_shape), (&matrix, matrix_shape), [2, 2], conv.dtype)?
        };
        unpatch(&patches, conv)
    }

    /// The gradient for the kernel, from the input and `dy`.
    pub(super) fn conv_kernel_grad(&self, input: &XlaOp, dy: &XlaOp, conv: &Conv) -> XlaResult {
        let Conv { window, groups, .. } = *conv;
        let (axes, filters) = (conv.axes(), conv.filters());
        if self.target == Target::Gpu {
            // Channels take the place of the batch, and dy, spread out by the stride, takes the place of the kernel.
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
        if let Some(winograd) = self.winograd(conv) {
            return self.call(calls::WINOGRAD_FILTER_GRAD, &[input, dy], &winograd, conv.dtype, conv.kernel);
        }
        if let Some(sizes) = self.direct(conv) {
            return self.call(calls::CONV_FILTER_GRAD, &[input, dy], &sizes, conv.dtype, conv.kernel);
        }
        let patches = self.patches(input, conv)?;
        let matrix = if groups == 1 {
            let dy_shape = [conv.rows(), filters];
            let dy = dy.reshape(&dims(&dy_shape))?;
            self.matmul((&patches, [conv.rows(), conv.patch()]), (&dy, dy_shape), [0, 0], conv.dtype)?
        } else {
            let shapes = [conv.grouped(conv.patch()), conv.grouped(filters / groups)];
            let dy = conv.by_group(dy)?;
            // [groups, patch, filters / groups] -> [patch, groups, filters / groups]
            self.matmul((&patches, shapes[0]), (&dy, shapes[1]), [1, 1], conv.dtype)?.transpose(&[1, 0, 2])?
        };
        matrix.reshape(&dims(conv.kernel))
    }

    /// The convolution's sizes, if [`kernels`] can compute it.
    fn called(&self, conv: &Conv) -> Option<Sliding> {
        let sizes = self.sliding(conv.input, conv.filters(), conv.window, conv.dtype)?;
        Some(Sliding { groups: conv.groups as i64, ..sizes })
    }

    /// The sizes, if Winograd's convolution applies and has fewer operations than a product.
    fn winograd(&self, conv: &Conv) -> Option<Sliding> {
        self.called(conv).filter(kernels::winograd_pays)
    }

    /// The sizes, if the convolution is to be computed directly.
    fn direct(&self, conv: &Conv) -> Option<Sliding> {
        self.called(conv).filter(|_| !conv.is_product())
    }

    /// Σ over the cells and channels of a patch: the cell's values times the kernel's weights for it.
    fn conv_as_sum(&self, input: &XlaOp, kernel: &XlaOp, conv: &Conv) -> XlaResult {
        let padded = self.pad_window(input, conv.window, conv.dtype, 0.0)?;
        let shape = padded_shape(conv.input, conv.window);
        let last = conv.axes() + 1;
        let result = [&[conv.input[0]], &positions(conv.input, conv.window)[..], &[conv.filters()]].concat();
        let kept: Vec<i64> = (0..last as i64).collect();
        let patch = cells(conv.window)
            .into_iter()
            .flat_map(|at| (0..conv.channels()).map(move |channel| (at.clone(), channel as i64)));
        // On its own, or all that reads the result would compute the sum again.
        isolated([&padded, &kernel_matrix(kernel, conv)?], &result, conv.dtype, |[padded, weights]| {
            let result = dims(&result);
            total(patch.enumerate().map(|(row, (at, channel))| {
                let row = row as i64;
                let pixels = cell(&padded, &shape, conv.window, &at)?;
                let pixels =
                    pixels.slice_in_dim1(channel, channel + 1, last as i64)?.reshape(&result[..last])?;
                let weight = weights.slice_in_dim1(row, row + 1, 0)?.reshape(&result[last..])?;
                pixels
                    .broadcast_in_dim(&result, &kept)?
                    .mul_(&weight.broadcast_in_dim(&result, &[last as i64])?)
            }))
        })
    }
}

/// XLA's own convolution, channels last. `spread` puts zeros between the input's cells; `channels` are the kernel's axes of
/// the input's channels and of the result's.
fn native(
    input: &XlaOp,
    kernel: &XlaOp,
    conv: &Conv,
    stride: &[usize],
    padding: &[(i64, i64)],
    spread: &[usize],
    channels: [i64; 2],
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
        channels[0],
        channels[1],
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
