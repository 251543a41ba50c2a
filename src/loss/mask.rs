//! Which rows and positions of a batch count.

use crate::array::{DType, count};
use crate::error::{Error, Result};
use crate::graph::Tensor;

/// The weight of each row of a batch, each position in its rows, or each output at a position.
///
/// ```
/// use neural::{DType, graph::Graph, loss::{Loss, Mask}};
/// let graph = Graph::new();
/// let (scores, tags) = (graph.parameter(DType::F32, &[8, 20, 3]), graph.parameter(DType::I32, &[8, 20]));
/// let filled = graph.parameter(DType::I32, &[]);
/// // The first rows of the batch, and of these the positions with a tag.
/// let mask = Mask::first(&filled, 8)?.and(&Mask::labelled(&tags)?)?;
/// assert_eq!(mask.counts()?.shape(), [8, 20]);
/// assert_eq!(Loss::Hinge.mean(&scores, &tags, Some(&mask))?.rank(), 0);
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Debug)]
pub struct Mask {
    /// `[n]`, `[n, positions…]`, or of each output `[n, positions…, outputs]`.
    weights: Tensor,
    /// The sum of the weights, f64.
    sum: Tensor,
}

impl Mask {
    /// A mask with a weight for each row, `[n]`, for each position, `[n, positions…]`, or for each output, of the
    /// outputs' own shape; 0 leaves one out.
    ///
    /// # Errors
    /// When the weights are `bool`.
    pub fn weights(weights: &Tensor) -> Result<Self> {
        Ok(Self { weights: weights.clone(), sum: weights.convert(DType::F64)?.sum_all()? })
    }

    /// Counts only the first `count` (an i32 scalar) of `rows` rows.
    ///
    /// # Errors
    /// When the count is not an i32 scalar.
    pub fn first(count: &Tensor, rows: usize) -> Result<Self> {
        let weights = count.graph().iota(DType::I32, &[rows], 0)?.lt(count)?.convert(DType::F32)?;
        Ok(Self { weights, sum: count.convert(DType::F64)? })
    }

    /// Counts the rows or positions whose class is not negative: a negative one means no class, as in padding.
    ///
    /// # Errors
    /// When the labels are not numbers.
    pub fn labelled(labels: &Tensor) -> Result<Self> {
        Self::weights(&labels.ge(&labels.scalar_like(0.0))?.convert(DType::F32)?)
    }

    /// Counts the outputs whose target is a number: NaN means no target, for example after the end of a series.
    ///
    /// # Errors
    /// When the targets are not floats.
    pub fn known(targets: &Tensor) -> Result<Self> {
        Self::weights(&targets.is_finite()?.convert(DType::F32)?)
    }

    /// Counts the elements that both masks count: one of the two may be by rows and the other by positions.
    ///
    /// # Errors
    /// When the two have different rows.
    pub fn and(&self, other: &Self) -> Result<Self> {
        let (few, many) = match self.weights.rank() <= other.weights.rank() {
            true => (self, other),
            false => (other, self),
        };
        Self::weights(&few.weigh(&many.weights)?)
    }

    /// Which rows or positions count at all, `bool` of the mask's shape.
    ///
    /// # Errors
    /// When the weights are `bool`.
    pub fn counts(&self) -> Result<Tensor> {
        self.weights.gt(&self.weights.scalar_like(0.0))
    }

    /// The sum of all weights, an f64 scalar.
    pub fn sum(&self) -> Tensor {
        self.sum.clone()
    }

    /// `values` `[n, …]` as much as each counts; all that belong to one weight share it.
    pub(super) fn weigh(&self, values: &Tensor) -> Result<Tensor> {
        let shape = self.weights.shape();
        if values.shape().get(..shape.len()) != Some(shape) {
            let expected =
                format!("a mask of rows [{}] or of positions", values.shape().first().unwrap_or(&0));
            return Err(Error::shape("mask", expected, self.weights.ty()));
        }
        let weights = self.weights.convert(values.dtype())?;
        if shape.len() == values.rank() {
            return values * weights;
        }
        values * weights.broadcast_in(values.shape(), (0..shape.len()).collect())?
    }

    /// The weight of each of these outputs `[n, …, outputs]`, where the mask has one for each.
    pub(super) fn of_outputs(&self, outputs: &Tensor) -> Option<&Tensor> {
        (self.weights.shape() == outputs.shape()).then_some(&self.weights)
    }

    /// A mask of outputs as a mask of the rows or positions whose outputs all count.
    pub(super) fn whole(&self) -> Result<Self> {
        Self::weights(&self.weights.min(&[self.weights.rank() - 1])?)
    }

    /// `targets` with 0 where they do not count: a NaN there would stay NaN times a weight of 0.
    pub(super) fn fill(&self, targets: &Tensor) -> Result<Tensor> {
        self.counts()?.select(targets, &targets.scalar_like(0.0))
    }

    /// The total weight of values of this shape, f64.
    pub(super) fn total(&self, shape: &[usize]) -> Result<Tensor> {
        match count(shape.get(self.weights.rank()..).unwrap_or(&[])) {
            1 => Ok(self.sum.clone()),
            positions => &self.sum * positions as f64,
        }
    }
}
