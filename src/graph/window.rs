//! Convolution and pooling over channels-last tensors `[n, spatial…, channels]`.

use super::Tensor;
use super::op::{Op, Reduction, Type, Window};
use crate::error::{Error, Result};

impl Tensor {
    /// Cross-correlation with a kernel `[window…, channels / groups, filters]`, known in neural networks as
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

    /// The transposed convolution `[n, positions…, filters] -> [n, spatial…, channels]` with a kernel
    /// `[window…, channels / groups, filters]`: the gradient of [`Tensor::conv`] for its input. Several spatial shapes
    /// have the same number of positions, so the shape is an argument.
    ///
    /// ```
    /// use neural::{DType, graph::{Graph, Window}};
    /// let graph = Graph::new();
    /// let (x, kernel) = (graph.parameter(DType::F32, &[8, 5, 16]), graph.parameter(DType::F32, &[3, 4, 16]));
    /// let window = Window { size: vec![3], stride: vec![2], padding: vec![(0, 0)], dilation: vec![1] };
    /// assert_eq!(x.conv_transpose(&kernel, window, 1, &[11])?.shape(), [8, 11, 4]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the convolution of the result's shape would not have this shape.
    pub fn conv_transpose(
        &self,
        kernel: &Tensor,
        window: Window,
        groups: usize,
        spatial: &[usize],
    ) -> Result<Tensor> {
        if kernel.rank() < 2 || self.rank() < 2 {
            return Err(Error::shape(
                "transposed convolution",
                "a kernel [window…, channels, filters]",
                kernel.ty(),
            ));
        }
        self.graph.check(|| "transposed convolution".into(), &[kernel])?;
        let channels = kernel.shape()[kernel.rank() - 2] * groups;
        let ty = Type::new(self.dtype(), &[&self.shape()[..1], spatial, &[channels]].concat());
        ty.check_size("transposed convolution")?;
        let back = Op::Conv { window: window.clone(), groups };
        let back = super::infer::infer(&back, &[&ty, kernel.ty()])?;
        if back != *self.ty() {
            return Err(Error::shape("transposed convolution", back, self.ty()));
        }
        Ok(self.graph.insert(Op::ConvInputGrad { window, groups }, &[self, kernel], ty))
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
        self.pool(Reduction::Max, window)
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
        self.pool(Reduction::Sum, window)
    }

    fn pool(&self, kind: Reduction, window: Window) -> Result<Tensor> {
        self.graph.apply(Op::Pool { kind, window }, &[self])
    }
}
