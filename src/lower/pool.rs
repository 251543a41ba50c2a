//! Pooling, composed of the cells of the window: XLA's own form, select-and-scatter for the gradient, is serial on
//! a CPU, not deterministic on a GPU, and not in the crate.

use super::conv::{cells, padded_shape, positions};
use super::{Lowering, XlaResult, element};
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
        let mut cells = self.cells_of(input, shape, window, dtype, nothing(kind))?.into_iter();
        // A window has at least one cell.
        let first = cells.next().ok_or(xla::Error::EmptyLiteral)?;
        cells.try_fold(first, |result, cell| match kind {
            Reduction::Sum => result.add_(&cell),
            Reduction::Max => result.max(&cell),
            Reduction::Min => result.min(&cell),
        })
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
        let zero = dy.zeros_like()?;
        let mut left = dy.clone();
        let mut parts = Vec::new();
        for cell in self.cells_of(input, shape, window, dtype, nothing(Reduction::Max))? {
            let hit = cell.eq(y)?;
            parts.push(hit.select(&left, &zero));
            left = hit.select(&zero, &left)?;
        }
        self.scatter_cells(parts.into_iter(), &cells(window), shape, window, dtype)
    }

    pub(super) fn sum_pool_grad(
        &self,
        dy: &XlaOp,
        shape: &[usize],
        window: &Window,
        dtype: DType,
    ) -> XlaResult {
        let cells = cells(window);
        self.scatter_cells(cells.iter().map(|_| Ok(dy.clone())), &cells, shape, window, dtype)
    }

    fn cells_of(
        &self,
        input: &XlaOp,
        shape: &[usize],
        window: &Window,
        dtype: DType,
        filler: f64,
    ) -> XlaResult<Vec<XlaOp>> {
        let padded = self.pad_window(input, window, dtype, filler)?;
        let (padded_shape, positions) = (padded_shape(shape, window), positions(shape, window));
        debug_assert_eq!(padded.ty()?, element(dtype).primitive_type());
        cells(window).iter().map(|cell| self.cell(&padded, &padded_shape, window, cell, &positions)).collect()
    }
}

/// What padding counts as: it must not change the result.
fn nothing(kind: Reduction) -> f64 {
    match kind {
        Reduction::Sum => 0.0,
        Reduction::Max => f64::NEG_INFINITY,
        Reduction::Min => f64::INFINITY,
    }
}
