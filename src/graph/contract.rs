//! Products that sum over axes.

use super::Tensor;
use super::op::{DotDims, Op};
use crate::error::{Error, Result};

impl Tensor {
    /// The matrix product of the last two axes, `[…, n, k] x […, k, m] -> […, n, m]`; the axes before them are
    /// paired and must be equal, or absent on the right.
    ///
    /// ```
    /// use neural::{DType, graph::Graph};
    /// let graph = Graph::new();
    /// let [x, w] = [[4, 3], [3, 2]].map(|shape| graph.parameter(DType::F32, &shape));
    /// assert_eq!(x.matmul(&w)?.shape(), [4, 2]);
    /// assert!(w.matmul(&x).is_err());
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the shapes do not fit or the types differ.
    pub fn matmul(&self, other: &Tensor) -> Result<Tensor> {
        let (a, b) = (self.rank(), other.rank());
        if a < 2 || b < 2 || (b > 2 && a != b) {
            return Err(Error::shape(
                "matmul",
                "[…, n, k] and […, k, m]",
                format!("{} and {}", self.ty(), other.ty()),
            ));
        }
        let batch: Vec<_> = (0..b - 2).collect();
        self.dot(
            other,
            DotDims {
                lhs_contract: vec![a - 1],
                rhs_contract: vec![b - 2],
                lhs_batch: batch.clone(),
                rhs_batch: batch,
            },
        )
    }

    /// `x wᵀ` with a weight `[out, in]` over the last axis: `[…, in] -> […, out]`.
    ///
    /// ```
    /// use neural::{DType, graph::Graph};
    /// let graph = Graph::new();
    /// let [x, w] = [[4, 3], [2, 3]].map(|shape| graph.parameter(DType::F32, &shape));
    /// assert_eq!(x.linear(&w)?.shape(), [4, 2]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the last axis is not `in` long or the types differ.
    pub fn linear(&self, weight: &Tensor) -> Result<Tensor> {
        let last = self.last_axis("linear")?;
        self.dot(weight, DotDims { lhs_contract: vec![last], rhs_contract: vec![1], ..DotDims::default() })
    }

    /// The general product: see [`DotDims`].
    ///
    /// ```
    /// use neural::{DType, graph::{DotDims, Graph}};
    /// let graph = Graph::new();
    /// let [x, y] = [[5, 3], [5, 4]].map(|shape| graph.parameter(DType::F32, &shape));
    /// let dims = DotDims { lhs_contract: vec![0], rhs_contract: vec![0], ..DotDims::default() };
    /// assert_eq!(x.dot(&y, dims)?.shape(), [3, 4]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When paired axes differ in length or the types differ.
    pub fn dot(&self, other: &Tensor, dims: DotDims) -> Result<Tensor> {
        self.graph.apply(Op::Dot(dims), &[self, other])
    }
}
