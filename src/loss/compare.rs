//! Outputs compared with their targets, the common part of all losses.

use super::{Mask, Outputs};
use crate::array::{Array, DType, count};
use crate::error::{Error, Result};
use crate::graph::Tensor;

/// How a loss is computed. Each loss has a file with this, and a line in the table of losses.
pub(super) trait Compare {
    /// See [`super::Loss::outputs`].
    fn outputs(&self) -> Outputs {
        Outputs::Values
    }

    /// The loss of each row or position.
    fn each(&self, compared: Compared) -> Result<Each>;

    /// See [`super::Loss::sums`].
    fn sums(&self, outputs: &Tensor, targets: &Tensor, mask: Option<&Mask>) -> Result<(Tensor, Tensor)> {
        let outputs = &outputs.convert(outputs.dtype().accumulator())?;
        let filled = mask.filter(|mask| mask.of_outputs(outputs).is_some());
        let filled = filled.map(|mask| mask.fill(targets)).transpose()?;
        self.each(Compared::new(outputs, filled.as_ref().unwrap_or(targets))?)?.sums(mask)
    }

    fn class_weights(&self) -> &[f64] {
        &[]
    }

    fn positive_weight(&self) -> &[f64] {
        &[]
    }
}

/// Outputs `[n, …, outputs]` and their targets: classes, i32 `[n, …]`, or values of the outputs' own shape.
#[derive(Clone, Copy)]
pub(super) struct Compared<'a> {
    pub outputs: &'a Tensor,
    pub targets: &'a Tensor,
}

/// The elements of the mean.
pub(super) enum Each {
    /// The loss of each output, `[n, …, outputs]`; the loss of a row or position is their mean.
    Outputs(Tensor),
    /// The loss of each row, `[n]`, or position, `[n, …]`, times its weight in the mean where that is not 1.
    Rows { losses: Tensor, weights: Option<Tensor> },
}

impl<'a> Compared<'a> {
    pub fn new(outputs: &'a Tensor, targets: &'a Tensor) -> Result<Self> {
        if outputs.rank() < 2 {
            return Err(Error::shape("loss", "outputs [n, outputs] or [n, …, outputs]", outputs.ty()));
        }
        Ok(Self { outputs, targets })
    }

    /// The axis of the outputs.
    pub fn axis(&self) -> usize {
        self.outputs.rank() - 1
    }

    /// How many outputs a row or position has.
    pub fn width(&self) -> usize {
        self.outputs.shape()[self.axis()]
    }

    pub fn is_class(&self) -> bool {
        self.targets.dtype() == DType::I32 && self.targets.shape() == &self.outputs.shape()[..self.axis()]
    }

    pub fn check_choice(&self) -> Result<()> {
        match self.width() {
            0 | 1 => Err(Error::shape("loss", "at least two outputs to choose among", self.outputs.ty())),
            _ => Ok(()),
        }
    }

    /// Classes as rows of zeros with a single one.
    pub fn one_hot(&self) -> Result<Tensor> {
        let x = self.outputs;
        match self.is_class() {
            // A single output answers yes or no: its target is the class itself.
            true if self.width() == 1 => self.targets.convert(x.dtype())?.reshape(x.shape()),
            true => self.targets.one_hot(self.width(), x.dtype()),
            false => {
                let expected = format!("classes, i32{:?}", &x.shape()[..self.axis()]);
                Err(Error::shape("loss", expected, self.targets.ty()))
            }
        }
    }

    pub fn values(&self) -> Result<Tensor> {
        if self.targets.shape() == self.outputs.shape() {
            return self.targets.convert(self.outputs.dtype());
        }
        let expected = format!("a target for each of the outputs {}", self.outputs.ty());
        Err(Error::shape("loss", expected, self.targets.ty()))
    }

    pub fn one_hot_or_values(&self) -> Result<Tensor> {
        if self.is_class() { self.one_hot() } else { self.values() }
    }
}

impl Each {
    /// The sum of the losses and the divisor for their mean, both f64.
    pub fn sums(self, mask: Option<&Mask>) -> Result<(Tensor, Tensor)> {
        // A CPU adds one after the other: over many rows f32 would lose digits.
        let sum = |t: Tensor| t.convert(DType::F64)?.sum_all();
        let (losses, weights, mask) = match self {
            Self::Rows { losses, weights } => (losses, weights, mask),
            Self::Outputs(losses) => {
                let axis = [losses.rank() - 1];
                match mask.and_then(|mask| mask.of_outputs(&losses)) {
                    Some(weights) => {
                        let weights = weights.convert(losses.dtype())?;
                        ((losses * &weights)?.mean(&axis)?, Some(weights.mean(&axis)?), None)
                    }
                    None => (losses.mean(&axis)?, None, mask),
                }
            }
        };
        let shape = losses.shape();
        let weight = match (mask, weights) {
            (None, None) => losses.graph().scalar(count(shape) as f64),
            (None, Some(weights)) => sum(weights)?,
            (Some(mask), None) => mask.total(shape)?,
            (Some(mask), Some(weights)) => sum(mask.weigh(&weights)?)?,
        };
        let losses = match mask {
            Some(mask) => mask.weigh(&losses)?,
            None => losses,
        };
        Ok((sum(losses)?, weight))
    }
}

/// Numbers of a setting, one for each of the outputs `x`.
pub(super) fn weights(name: &str, numbers: &[f64], outputs: usize, x: &Tensor) -> Result<Tensor> {
    if numbers.len() != outputs {
        return Err(Error::value(name, format!("{outputs} numbers, one for each output"), numbers.len()));
    }
    Ok(x.graph().constant(Array::vector(numbers).cast(x.dtype())))
}
