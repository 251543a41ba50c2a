//! Convolution and pooling over channels-last tensors `[n, spatial…, channels]`.

use super::Tensor;
use super::op::{Op, Reduction, Window};
use crate::error::Result;

impl Tensor {
    /// Cross-correlation with a kernel `[window…, channels / groups, filters]`, what neural networks call a
    /// convolution: `[n, spatial…, channels] -> [n, positions…, filters]`.
    ///
    /// ```
    /// use neural::{DType, graph::{Graph, Window}};
    /// let graph = Graph::new();
    /// let images = graph.parameter(DType::F32, &[8, 28, 28, 1]);
    /// let kernel = graph.parameter(DType::F32, &[3, 3, 1, 16]);
    /// let window =
    ///     Window { size: vec![3, 3], stride: vec![1, 1], padding: vec![(0, 0); 2], dilation: vec![1, 1] };
    /// assert_eq!(images.conv(&kernel, window, 1)?.shape(), [8, 26, 26, 16]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When kernel, window and input do not fit each other.
    pub fn conv(&self, kernel: &Tensor, window: Window, groups: usize) -> Result<Tensor> {
        self.graph.apply(Op::Conv { window, groups }, &[self, kernel])
    }

    /// The maximum over each position of a window; padding never wins.
    ///
    /// ```
    /// use neural::{DType, graph::{Graph, Window}};
    /// let images = Graph::new().parameter(DType::F32, &[8, 28, 28, 1]);
    /// let window =
    ///     Window { size: vec![2, 2], stride: vec![2, 2], padding: vec![(0, 0); 2], dilation: vec![1, 1] };
    /// assert_eq!(images.max_pool(window)?.shape(), [8, 14, 14, 1]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the window does not fit.
    pub fn max_pool(&self, window: Window) -> Result<Tensor> {
        self.graph.apply(Op::Pool { kind: Reduction::Max, window }, &[self])
    }

    /// The sum over each position of a window.
    ///
    /// ```
    /// use neural::{DType, graph::{Graph, Window}};
    /// let series = Graph::new().parameter(DType::F32, &[8, 10, 3]);
    /// let window = Window { size: vec![4], stride: vec![2], padding: vec![(0, 0)], dilation: vec![1] };
    /// assert_eq!(series.sum_pool(window)?.shape(), [8, 4, 3]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the window does not fit.
    pub fn sum_pool(&self, window: Window) -> Result<Tensor> {
        self.graph.apply(Op::Pool { kind: Reduction::Sum, window }, &[self])
    }
}
