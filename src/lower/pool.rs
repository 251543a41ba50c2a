//! Pooling, composed of the cells of the window: XLA's own form, select-and-scatter for the gradient, is serial on
//! a CPU, not deterministic on a GPU, and not in the crate.

use super::conv::{cell_along, padded_shape, positions};
use super::{Lowering, XlaResult};
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
        let mut result = self.pad_window(input, window, dtype, nothing(kind))?;
        let mut shape = padded_shape(shape, window);
        for axis in 0..window.size.len() {
            let mut cells =
                (0..window.size[axis]).map(|cell| cell_along(&result, &shape, window, axis, cell));
            // A window has at least one cell.
            let first = cells.next().ok_or(xla::Error::EmptyLiteral)??;
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
        let padded = self.pad_window(input, window, dtype, nothing(Reduction::Max))?;
        let zero = dy.zeros_like()?;
        let mut left = dy.clone();
        let mut sum: Option<XlaOp> = None;
        for cell in cells(window) {
            let mut part = padded.clone();
            let mut part_shape = padded_shape(shape, window);
            for (axis, &at) in cell.iter().enumerate() {
                part = cell_along(&part, &part_shape, window, axis, at)?;
                part_shape[axis + 1] = positions(shape, window)[axis];
            }
            let hit = part.eq(y)?;
            let mut placed = hit.select(&left, &zero)?;
            left = hit.select(&zero, &left)?;
            for (axis, &at) in cell.iter().enumerate() {
                placed = self.place_along(&placed, shape, window, axis, at, dtype)?;
            }
            sum = Some(match sum {
                None => placed,
                Some(sum) => sum.add_(&placed)?,
            });
        }
        sum.ok_or(xla::Error::EmptyLiteral)
    }

    /// Every cell of a window gets its `dy`.
    pub(super) fn sum_pool_grad(
        &self,
        dy: &XlaOp,
        shape: &[usize],
        window: &Window,
        dtype: DType,
    ) -> XlaResult {
        let mut sum = dy.clone();
        for axis in 0..window.size.len() {
            let placed =
                (0..window.size[axis]).map(|cell| self.place_along(&sum, shape, window, axis, cell, dtype));
            sum = placed.reduce(|a, b| a?.add_(&b?)).unwrap_or_else(|| Ok(sum.clone()))?;
        }
        Ok(sum)
    }
}

/// The coordinates of the window's cells, row-major.
fn cells(window: &Window) -> Vec<Vec<usize>> {
    let mut cells = vec![Vec::new()];
    for &size in &window.size {
        cells = cells.iter().flat_map(|cell| (0..size).map(move |i| [&cell[..], &[i]].concat())).collect();
    }
    cells
}

/// What padding counts as: it must not change the result.
fn nothing(kind: Reduction) -> f64 {
    match kind {
        Reduction::Sum => 0.0,
        Reduction::Max => f64::NEG_INFINITY,
        Reduction::Min => f64::INFINITY,
    }
}
