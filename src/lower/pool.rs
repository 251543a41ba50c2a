//! Pooling: on the built-in CPU, of f32 over one or two axes, by [`calls`]; elsewhere composed of the cells of the
//! window, as XLA's own form of the gradient, select-and-scatter, is serial on a CPU, not deterministic on a GPU, and
//! not in the crate.

use super::window::{cell, cells, padded_shape, place, positions, total};
use super::{Lowering, Target, XlaResult, calls, isolated, malformed};
use crate::array::DType;
use crate::graph::{Reduction, Window};
use xla::XlaOp;

impl Lowering<'_> {
    pub(super) fn pool(
        &self,
        input: &XlaOp,
        shape: &[usize],
        kind: Reduction,
        window: &Window,
        dtype: DType,
    ) -> XlaResult {
        let function = match kind {
            Reduction::Max => Some(calls::MAX_POOL),
            Reduction::Sum => Some(calls::SUM_POOL),
            Reduction::Min => None,
        };
        if let Some((function, sizes)) =
            function.zip(self.sliding(shape, shape[shape.len() - 1], window, dtype))
        {
            let result = [&shape[..1], &positions(shape, window), &shape[shape.len() - 1..]].concat();
            return self.call(function, &[input], &sizes, dtype, &result);
        }
        let mut result = self.pad_window(input, window, dtype, nothing(kind))?;
        let mut shape = padded_shape(shape, window);
        for axis in 0..window.size.len() {
            let mut cells = (0..window.size[axis]).map(|at| cell(&result, &shape, window, &[(axis, at)]));
            // A window has at least one cell.
            let first = cells.next().ok_or_else(|| malformed("expected a window with a cell"))??;
            let pooled = cells.try_fold(first, |so_far, cell| match kind {
                Reduction::Sum => so_far.add_(&cell?),
                Reduction::Max => so_far.max(&cell?),
                Reduction::Min => so_far.min(&cell?),
            })?;
            shape[axis + 1] = (shape[axis + 1] - window.extent(axis)) / window.stride[axis] + 1;
            result = pooled;
        }
        Ok(result)
    }

    /// Each window hands its `dy` to the first of its cells that equals its maximum `y`.
    pub(super) fn max_pool_grad(
        &self,
        input: &XlaOp,
        y: &XlaOp,
        dy: &XlaOp,
        shape: &[usize],
        window: &Window,
        dtype: DType,
    ) -> XlaResult {
        if let Some(sizes) = self.sliding(shape, shape[shape.len() - 1], window, dtype) {
            return self.call(calls::MAX_POOL_GRAD, &[input, y, dy], &sizes, dtype, shape);
        }
        let padded = self.pad_window(input, window, dtype, nothing(Reduction::Max))?;
        let place_back = |[padded, y, dy]: [XlaOp; 3]| {
            let zero = dy.zeros_like()?;
            let mut left = dy;
            total(cells(window).iter().map(|at| {
                let hit = cell(&padded, &padded_shape(shape, window), window, at)?.eq(&y)?;
                let won = hit.select(&left, &zero)?;
                left = hit.select(&zero, &left)?;
                place(&won, shape, window, at, dtype)
            }))
        };
        match self.target {
            // Each number of y and dy is read by every cell, and would be computed for each of them.
            Target::Cpu | Target::CpuPlugin => isolated([&padded, y, dy], shape, dtype, place_back),
            Target::Gpu => place_back([padded, y.clone(), dy.clone()]),
        }
    }

    /// Every cell of a window gets its `dy`.
    pub(super) fn sum_pool_grad(
        &self,
        dy: &XlaOp,
        shape: &[usize],
        window: &Window,
        dtype: DType,
    ) -> XlaResult {
        if let Some(sizes) = self.sliding(shape, shape[shape.len() - 1], window, dtype) {
            return self.call(calls::SUM_POOL_GRAD, &[dy], &sizes, dtype, shape);
        }
        (0..window.size.len()).try_fold(dy.clone(), |dy, axis| {
            total((0..window.size[axis]).map(|at| place(&dy, shape, window, &[(axis, at)], dtype)))
        })
    }
}

/// The value of padding, which must not change the result.
fn nothing(kind: Reduction) -> f64 {
    match kind {
        Reduction::Sum => 0.0,
        Reduction::Max => f64::NEG_INFINITY,
        Reduction::Min => f64::INFINITY,
    }
}
