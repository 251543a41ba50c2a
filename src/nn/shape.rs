//! Layers that change only the shape.

use super::{Context, Layer, Module};
use crate::array::count;
use crate::error::{Error, Result};
use crate::graph::Tensor;
use serde::{Deserialize, Serialize};

/// Reshapes each sample, with its values in the same order. One length may be -1: it is computed from the others.
///
/// ```
/// use neural::{DType, nn};
/// let model = nn::sequential([nn::dense(7 * 7 * 16), nn::reshape(&[7, 7, -1])]);
/// assert_eq!(model.summary(DType::F32, &[10])?.rows[1].output, [1, 7, 7, 16]);
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reshape {
    /// The new shape without the batch.
    #[serde(alias = "target_shape")]
    pub shape: Vec<i64>,
}

impl Reshape {
    /// The lengths of a sample, by the number of its values.
    fn lengths(&self, values: usize) -> Option<Vec<usize>> {
        let open = self.shape.iter().filter(|&&length| length == -1).count();
        let known: Vec<_> = self.shape.iter().filter(|&&length| length != -1).copied().collect();
        let known: Vec<usize> = known.into_iter().map(|n| usize::try_from(n).ok()).collect::<Option<_>>()?;
        let product = known.iter().try_fold(1usize, |n, &length| n.checked_mul(length))?;
        let left = if open == 1 && product > 0 { values / product } else { 1 };
        let lengths: Vec<_> = self.shape.iter().map(|&n| usize::try_from(n).unwrap_or(left)).collect();
        (open <= 1 && product.checked_mul(left) == Some(values)).then_some(lengths)
    }
}

impl Module for Reshape {
    fn forward(&self, x: &Tensor, cx: &mut Context) -> Result<Tensor> {
        let sample = &x.shape()[1..];
        let Some(lengths) = self.lengths(count(sample)) else {
            let expected = format!("a shape of {} values, those of a sample {sample:?}", count(sample));
            return Err(Error::value("shape", expected, format!("{:?}", self.shape)));
        };
        cx.set_positions(None);
        x.reshape(&[&x.shape()[..1], &lengths].concat())
    }
}

/// The axes of each sample in another order, counted from 1, as the batch is axis 0.
///
/// ```
/// use neural::{DType, nn::{Layer, Permute, sequential}};
/// let model = sequential([Layer::Permute(Permute { axes: vec![3, 1, 2] })]);
/// assert_eq!(model.summary(DType::F32, &[28, 30, 3])?.rows[0].output, [1, 3, 28, 30]);
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permute {
    /// For each axis of the result, the axis of the input: each of 1, 2, … once.
    #[serde(alias = "dims")]
    pub axes: Vec<usize>,
}

impl Module for Permute {
    fn forward(&self, x: &Tensor, cx: &mut Context) -> Result<Tensor> {
        let mut sorted = self.axes.clone();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(1..x.rank()) {
            let expected = format!("each of the axes 1 to {} once", x.rank() - 1);
            return Err(Error::value("axes", expected, format!("{:?}", self.axes)));
        }
        cx.set_positions(None);
        x.transpose(&[&[0], &self.axes[..]].concat())
    }
}

/// A vector as a sequence that has it at every position: `[n, features] -> [n, times, features]`.
///
/// ```
/// use neural::{DType, nn::{Layer, Repeat, sequential}};
/// let model = sequential([Layer::Repeat(Repeat { times: 5 })]);
/// assert_eq!(model.summary(DType::F32, &[3])?.rows[0].output, [1, 5, 3]);
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repeat {
    /// The length of the sequence; at least 1.
    #[serde(alias = "n")]
    pub times: usize,
}

impl Module for Repeat {
    fn forward(&self, x: &Tensor, cx: &mut Context) -> Result<Tensor> {
        super::at_least_one("times", self.times)?;
        let &[n, features] = x.shape() else {
            return Err(Error::shape("repeat", "vectors [batch, features]", x.ty()));
        };
        cx.set_positions(None);
        x.broadcast_in(&[n, self.times, features], vec![0, 2])
    }
}

/// Cells that a [`Layer::Crop`] takes from both ends of each spatial axis, or that a [`Layer::Pad`] adds as zeros.
///
/// ```
/// use neural::{DType, nn::{Edges, Layer, sequential}};
/// let pad = Layer::Pad(Edges { cells: vec![(1, 2), (0, 3)] });
/// assert_eq!(sequential([pad]).summary(DType::F32, &[4, 5, 3])?.rows[0].output, [1, 7, 8, 3]);
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edges {
    /// The cells before and after, for each spatial axis.
    #[serde(alias = "padding", alias = "cropping")]
    pub cells: Vec<(usize, usize)>,
}

impl Edges {
    /// Zeros for the batch and the channels, and the cells between.
    fn around(&self, op: &str, x: &Tensor) -> Result<(Vec<usize>, Vec<usize>)> {
        if x.rank() < 3 || self.cells.len() != x.rank() - 2 {
            let expected = format!("[batch, {} spatial axes, channels]", self.cells.len());
            return Err(Error::shape(op, expected, x.ty()));
        }
        let side = |of: fn(&(usize, usize)) -> usize| -> Result<Vec<usize>> {
            let cells = || self.cells.iter().map(of);
            cells().filter(|&n| n > 0).try_for_each(|n| super::at_least_one("cells", n))?;
            Ok(std::iter::once(0).chain(cells()).chain([0]).collect())
        };
        Ok((side(|cells| cells.0)?, side(|cells| cells.1)?))
    }

    pub(super) fn crop(&self, x: &Tensor) -> Result<Tensor> {
        let (low, high) = self.around("crop", x)?;
        let limit = x.shape().iter().zip(&high).map(|(length, high)| length.checked_sub(*high));
        let limit: Option<Vec<_>> = limit.collect();
        let Some(limit) = limit.filter(|limit| low.iter().zip(limit).all(|(low, limit)| low < limit)) else {
            let expected = format!("cells that leave something of {:?}", &x.shape()[1..]);
            return Err(Error::value("crop", expected, format!("{:?}", self.cells)));
        };
        x.slice(&low, &limit, &vec![1; x.rank()])
    }

    pub(super) fn pad(&self, x: &Tensor) -> Result<Tensor> {
        let (low, high) = self.around("pad", x)?;
        x.pad(&low, &high, &vec![0; x.rank()])
    }
}

/// Flattens all axes but the batch into one.
pub fn flatten() -> Layer {
    Layer::Flatten
}

/// See [`Reshape`].
pub fn reshape(shape: &[i64]) -> Layer {
    Layer::Reshape(Reshape { shape: shape.to_vec() })
}
