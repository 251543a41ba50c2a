//! Sums, means and extremes along axes, and functions built on them.

use super::Tensor;
use super::op::{Op, Reduction};
use crate::array::count;
use crate::error::{Error, Result};

impl Tensor {
    /// The sum over the axes `dims`, which disappear.
    ///
    /// ```
    /// use neural::{DType, graph::Graph};
    /// let x = Graph::new().parameter(DType::F32, &[2, 3]);
    /// assert_eq!(x.sum(&[1])?.shape(), [2]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When an axis does not exist.
    pub fn sum(&self, dims: &[usize]) -> Result<Tensor> {
        self.reduce(Reduction::Sum, dims)
    }

    /// The sum of all elements, a scalar.
    ///
    /// # Errors
    /// When the elements are `bool`.
    pub fn sum_all(&self) -> Result<Tensor> {
        self.sum(&(0..self.rank()).collect::<Vec<_>>())
    }

    /// The largest element along the axes `dims`; equal ones share the gradient.
    ///
    /// # Errors
    /// When an axis does not exist.
    pub fn max(&self, dims: &[usize]) -> Result<Tensor> {
        self.reduce(Reduction::Max, dims)
    }

    /// The smallest element along the axes `dims`; equal ones share the gradient.
    ///
    /// # Errors
    /// When an axis does not exist.
    pub fn min(&self, dims: &[usize]) -> Result<Tensor> {
        self.reduce(Reduction::Min, dims)
    }

    fn reduce(&self, kind: Reduction, dims: &[usize]) -> Result<Tensor> {
        if dims.is_empty() {
            return Ok(self.clone());
        }
        self.graph.apply(Op::Reduce { kind, dims: dims.to_vec() }, &[self])
    }

    /// The arithmetic mean over the axes `dims`, which disappear. Of bf16 it is computed in f32 and rounded once.
    ///
    /// # Errors
    /// When an axis does not exist or the elements are not floating-point.
    pub fn mean(&self, dims: &[usize]) -> Result<Tensor> {
        if !self.dtype().is_float() {
            return Err(Error::shape("mean", "a floating-point tensor", self.ty()));
        }
        let sum = self.convert(self.dtype().accumulator())?.sum(dims)?;
        let n = count(self.shape()) / count(sum.shape()).max(1);
        (sum / n as f64)?.convert(self.dtype())
    }

    /// The mean of all elements, a scalar.
    ///
    /// # Errors
    /// When the elements are not floating-point.
    pub fn mean_all(&self) -> Result<Tensor> {
        self.mean(&(0..self.rank()).collect::<Vec<_>>())
    }

    /// The sum of all elements up to and including each, along axis `dim`.
    ///
    /// ```
    /// use neural::{DType, graph::Graph};
    /// let x = Graph::new().parameter(DType::F32, &[2, 3]);
    /// assert_eq!(x.cumulative_sum(1)?.shape(), [2, 3]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the axis does not exist.
    pub fn cumulative_sum(&self, dim: usize) -> Result<Tensor> {
        self.graph.apply(Op::CumulativeSum { dim, reverse: false }, &[self])
    }

    /// The position (i32) of the largest element along `dim`, the first of equals.
    ///
    /// ```
    /// use neural::{DType, graph::Graph};
    /// let x = Graph::new().parameter(DType::F32, &[2, 3]);
    /// assert_eq!(x.argmax(1)?.ty().to_string(), "i32[2]");
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the axis does not exist.
    pub fn argmax(&self, dim: usize) -> Result<Tensor> {
        self.graph.apply(Op::ArgMax { dim }, &[self])
    }

    /// ln softmax(x) along the last axis: x - m - ln Σ e^(x-m) with m = max x, so that nothing overflows.
    ///
    /// # Errors
    /// When there is no axis, or the elements are not floating-point.
    pub fn log_softmax(&self) -> Result<Tensor> {
        self.graph.apply(Op::LogSoftmax, &[self])
    }

    /// e^(x-m) / Σ e^(x-m) along the last axis, with m = max x. Of bf16 it is computed in f32 and rounded once.
    ///
    /// # Errors
    /// When there is no axis, or the elements are not floating-point.
    pub fn softmax(&self) -> Result<Tensor> {
        let last = self.last_axis("softmax")?;
        let x = self.convert(self.dtype().accumulator())?;
        let exp = (&x - x.max(&[last])?.stop_gradient()?.unsqueeze(last)?)?.exp()?;
        let sum = exp.sum(&[last])?.unsqueeze(last)?;
        (exp / sum)?.convert(self.dtype())
    }

    pub(crate) fn last_axis(&self, op: &str) -> Result<usize> {
        self.rank().checked_sub(1).ok_or_else(|| Error::shape(op, "at least one axis", self.ty()))
    }
}
