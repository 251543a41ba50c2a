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

impl Lowering<'_> {
    #[allow(clippy::too_many_arguments)]
    pub(super) fn conv(
        &self,
        input: &XlaOp,
        kernel: &XlaOp,
        input_shape: &[usize],
        kernel_shape: &[usize],
        window: &Window,
        groups: usize,
        dtype: DType,
    ) -> XlaResult {
        if self.target == Target::Gpu {
            let padding: Vec<_> =
                window.padding.iter().map(|&(low, high)| (low as i64, high as i64)).collect();
            return self.native(input, kernel, &window.stride, &padding, None, &window.dilation, groups);
        }
        let axes = window.size.len();
        let patches = self.patches(input, input_shape, window, groups, dtype)?;
        let (matrix, filters) = (self.kernel_matrix(kernel, kernel_shape, groups)?, kernel_shape[axes + 1]);
        let positions = positions(input_shape, window);
        let result = if groups == 1 {
            patches.dot_general(&matrix, &[1], &[0], &[], &[])?
        } else {
            // [groups, rows, filters / groups] -> [rows, groups, filters / groups]
            patches.dot_general(&matrix, &[2], &[1], &[0], &[0])?.transpose(&[1, 0, 2])?
        };
        result.reshape(&dims(&[&[input_shape[0]], &positions[..], &[filters]].concat()))
    }

    /// From `dy` and the kernel, the gradient for the input.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn conv_input_grad(
        &self,
        dy: &XlaOp,
        kernel: &XlaOp,
        input_shape: &[usize],
        kernel_shape: &[usize],
        window: &Window,
        groups: usize,
        dtype: DType,
    ) -> XlaResult {
        let axes = window.size.len();
        let (channels, filters) = (kernel_shape[axes], kernel_shape[axes + 1]);
        let positions = positions(input_shape, window);
        if self.target == Target::Gpu {
            // The transposed convolution: dy spread out by the stride, with the kernel turned around.
            let spatial: Vec<_> = (0..axes as i64).collect();
            let split = [&kernel_shape[..axes], &[channels, groups, filters / groups]].concat();
            let mut perm = spatial.clone();
            perm.extend([2, 1, 0].map(|i| (axes + i) as i64));
            let swapped = [&kernel_shape[..axes], &[filters / groups, groups * channels]].concat();
            let turned =
                kernel.rev(&spatial)?.reshape(&dims(&split))?.transpose(&perm)?.reshape(&dims(&swapped))?;
            let padding: Vec<_> = (0..axes)
                .map(|i| {
                    let spread = (positions[i] - 1) * window.stride[i] + 1;
                    let low = window.extent(i) as i64 - 1 - window.padding[i].0 as i64;
                    (low, (input_shape[i + 1] + window.extent(i) - 1) as i64 - spread as i64 - low)
                })
                .collect();
            return self.native(
                dy,
                &turned,
                &vec![1; axes],
                &padding,
                Some(&window.stride),
                &window.dilation,
                groups,
            );
        }
        let rows = input_shape[0] * count(&positions);
        let matrix = self.kernel_matrix(kernel, kernel_shape, groups)?;
        let patches = if groups == 1 {
            dy.reshape(&dims(&[rows, filters]))?.dot_general(&matrix, &[1], &[1], &[], &[])?
        } else {
            let dy = dy.reshape(&dims(&[rows, groups, filters / groups]))?;
            // [groups, rows, cells * channels]
            dy.dot_general(&matrix, &[2], &[2], &[1], &[0])?
        };
        self.unpatch(&patches, input_shape, window, groups, dtype)
    }

    /// From the input and `dy`, the gradient for the kernel.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn conv_kernel_grad(
        &self,
        input: &XlaOp,
        dy: &XlaOp,
        input_shape: &[usize],
        kernel_shape: &[usize],
        window: &Window,
        groups: usize,
        dtype: DType,
    ) -> XlaResult {
        let axes = window.size.len();
        let filters = kernel_shape[axes + 1];
        let positions = positions(input_shape, window);
        if self.target == Target::Gpu {
            // Channels take the place of the batch, and dy, spread out by the stride, that of the kernel.
            let padding: Vec<_> = (0..axes)
                .map(|i| {
                    let spread = (positions[i] - 1) * window.stride[i] + 1;
                    let low = window.padding[i].0 as i64;
                    (low, (window.extent(i) + spread - 1) as i64 - input_shape[i + 1] as i64 - low)
                })
                .collect();
            let spatial: Vec<i64> = (1..=axes as i64).collect();
            let last = axes as i64 + 1;
            let out_spatial: Vec<i64> = (0..axes as i64).collect();
            return input.conv_general_dilated(
                dy,
                &dims(&window.dilation),
                &padding,
                &vec![1; axes],
                &dims(&window.stride),
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
        let rows = input_shape[0] * count(&positions);
        let patches = self.patches(input, input_shape, window, groups, dtype)?;
        let matrix = if groups == 1 {
            patches.dot_general(&dy.reshape(&dims(&[rows, filters]))?, &[0], &[0], &[], &[])?
        } else {
            let dy = dy.reshape(&dims(&[rows, groups, filters / groups]))?;
            // [groups, cells * channels, filters / groups] -> [cells * channels, groups, filters / groups]
            patches.dot_general(&dy, &[1], &[0], &[0], &[1])?.transpose(&[1, 0, 2])?
        };
        matrix.reshape(&dims(kernel_shape))
    }

    /// XLA's own convolution, channels last.
    #[allow(clippy::too_many_arguments)]
    fn native(
        &self,
        input: &XlaOp,
        kernel: &XlaOp,
        stride: &[usize],
        padding: &[(i64, i64)],
        spread: Option<&[usize]>,
        dilation: &[usize],
        groups: usize,
    ) -> XlaResult {
        let axes = stride.len() as i64;
        let spatial: Vec<i64> = (1..=axes).collect();
        let kernel_spatial: Vec<i64> = (0..axes).collect();
        let dense = vec![1; stride.len()];
        input.conv_general_dilated(
            kernel,
            &dims(stride),
            padding,
            &dims(spread.unwrap_or(&dense)),
            &dims(dilation),
            0,
            axes + 1,
            &spatial,
            0,
            axes + 1,
            &spatial,
            axes,
            axes + 1,
            &kernel_spatial,
            groups as i64,
            1,
            false,
        )
    }

    /// The kernel as a matrix `[cells * channels, filters]`, or one such for each group.
    fn kernel_matrix(&self, kernel: &XlaOp, shape: &[usize], groups: usize) -> XlaResult {
        let filters = shape[shape.len() - 1];
        let rows = count(shape) / filters;
        if groups == 1 {
            return kernel.reshape(&dims(&[rows, filters]));
        }
        kernel.reshape(&dims(&[rows, groups, filters / groups]))?.transpose(&[1, 0, 2])
    }

    /// The cells under each position of the window: `[rows, cells * channels]` with a row for each position of
    /// each image, or one such matrix for each group.
    fn patches(
        &self,
        input: &XlaOp,
        shape: &[usize],
        window: &Window,
        groups: usize,
        dtype: DType,
    ) -> XlaResult {
        let channels = shape[shape.len() - 1];
        let padded = self.pad_window(input, window, dtype, 0.0)?;
        let padded_shape = padded_shape(shape, window);
        let positions = positions(shape, window);
        let cells = cells(window)
            .iter()
            .map(|cell| self.cell(&padded, &padded_shape, window, cell, &positions))
            .collect::<XlaResult<Vec<_>>>()?;
        let rows = shape[0] * count(&positions);
        let last = shape.len() as i64 - 1;
        let joined = match &cells[..] {
            [one] => one.clone(),
            [first, rest @ ..] => first.concat_in_dim(rest, last)?,
            [] => unreachable!("a window has at least one cell"),
        };
        if groups == 1 {
            return joined.reshape(&dims(&[rows, cells.len() * channels]));
        }
        joined
            .reshape(&dims(&[rows, cells.len(), groups, channels / groups]))?
            .transpose(&[2, 0, 1, 3])?
            .reshape(&dims(&[groups, rows, cells.len() * channels / groups]))
    }

    /// The reverse of `patches`: adds each cell back to where it came from.
    fn unpatch(
        &self,
        patches: &XlaOp,
        shape: &[usize],
        window: &Window,
        groups: usize,
        dtype: DType,
    ) -> XlaResult {
        let (axes, channels) = (window.size.len(), shape[shape.len() - 1]);
        let positions = positions(shape, window);
        let cells = cells(window);
        let patches = if groups == 1 {
            patches.clone()
        } else {
            let rows = shape[0] * count(&positions);
            patches
                .reshape(&dims(&[groups, rows, cells.len(), channels / groups]))?
                .transpose(&[1, 2, 0, 3])?
        };
        let joined = [&[shape[0]], &positions[..], &[cells.len() * channels]].concat();
        let patches = patches.reshape(&dims(&joined))?;
        let parts = (0..cells.len()).map(|i| {
            let (from, to) = ((i * channels) as i64, ((i + 1) * channels) as i64);
            patches.slice_in_dim1(from, to, axes as i64 + 1)
        });
        self.scatter_cells(parts, &cells, shape, window, dtype)
    }

    /// The sum of parts `[n, positions…, c]`, each at the place of its cell of the window, without the padding.
    pub(super) fn scatter_cells(
        &self,
        parts: impl Iterator<Item = XlaResult>,
        cells: &[Vec<usize>],
        shape: &[usize],
        window: &Window,
        dtype: DType,
    ) -> XlaResult {
        let axes = window.size.len();
        let positions = positions(shape, window);
        let zero = self.builder.zero(element(dtype))?;
        let mut sum: Option<XlaOp> = None;
        for (part, cell) in parts.zip(cells) {
            let mut config = vec![(0, 0, 0)];
            for i in 0..axes {
                // Where the part begins and ends relative to the unpadded image; what lies outside is cut off.
                let begin = (cell[i] * window.dilation[i]) as i64 - window.padding[i].0 as i64;
                let length = ((positions[i] - 1) * window.stride[i] + 1) as i64;
                config.push((begin, shape[i + 1] as i64 - begin - length, window.stride[i] as i64 - 1));
            }
            config.push((0, 0, 0));
            let placed = part?.pad(&zero, &config)?;
            sum = Some(match sum {
                None => placed,
                Some(sum) => sum.add_(&placed)?,
            });
        }
        sum.map_or_else(|| zero.broadcast(&dims(shape)), Ok)
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

    /// One cell of every position of the window: `[n, positions…, c]`.
    pub(super) fn cell(
        &self,
        padded: &XlaOp,
        padded_shape: &[usize],
        window: &Window,
        cell: &[usize],
        positions: &[usize],
    ) -> XlaResult {
        let rank = padded_shape.len();
        let (mut start, mut limit, mut stride) = (vec![0; rank], padded_shape.to_vec(), vec![1; rank]);
        for i in 0..positions.len() {
            start[i + 1] = cell[i] * window.dilation[i];
            limit[i + 1] = start[i + 1] + (positions[i] - 1) * window.stride[i] + 1;
            stride[i + 1] = window.stride[i];
        }
        slice(padded, &start, &limit, &stride)
    }
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

/// The coordinates of the window's cells, row-major.
pub(super) fn cells(window: &Window) -> Vec<Vec<usize>> {
    let mut cells = vec![Vec::new()];
    for &size in &window.size {
        cells = cells.iter().flat_map(|cell| (0..size).map(move |i| [&cell[..], &[i]].concat())).collect();
    }
    cells
}
