//! Convolution and pooling over channels-last tensors `[n, spatial…, channels]`.

use super::Tensor;
use super::op::{Op, Reduction, Window};
use crate::error::Result;

impl Tensor {
    /// Cross-correlation with a kernel `[window…, channels / groups, filters]`, what neural networks call a
    /// convolution: `[n, spatial…, channels] -> [n, positions…, filters]`.
    ///
    /// # Errors
    /// When kernel, window and input do not fit each other.
    pub fn conv(&self, kernel: &Tensor, window: Window, groups: usize) -> Result<Tensor> {
        self.graph.apply(Op::Conv { window, groups }, &[self, kernel])
    }

    /// The maximum over each position of a window; padding never wins.
    ///
    /// # Errors
    /// When the window does not fit.
    pub fn max_pool(&self, window: Window) -> Result<Tensor> {
        self.graph.apply(Op::Pool { kind: Reduction::Max, window }, &[self])
    }

    /// The sum over each position of a window.
    ///
    /// # Errors
    /// When the window does not fit.
    pub fn sum_pool(&self, window: Window) -> Result<Tensor> {
        self.graph.apply(Op::Pool { kind: Reduction::Sum, window }, &[self])
    }
}
