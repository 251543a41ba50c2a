//! Custom losses.

use super::compare::{Compare, Compared, Each};
use super::{Mask, Outputs};
use crate::error::Result;
use crate::graph::Tensor;
use crate::named::Object;
use std::sync::Arc;

/// A loss as any function of a model's outputs `[n, …, outputs]` and its targets, classes or values. A closure that
/// returns the loss of each row or position implements it.
pub trait LossFunction {
    /// The loss of each row, `[n]`, or of each position, `[n, …]`.
    ///
    /// # Errors
    /// When outputs and targets do not fit each other.
    fn each(&self, outputs: &Tensor, targets: &Tensor) -> Result<Tensor>;

    /// How the outputs are read, which decides predictions and figures; by default as values of the targets' kind.
    fn outputs(&self) -> Outputs {
        Outputs::Values
    }

    /// The sum of the losses that count and the divisor for their mean, both f64 scalars; sums of several batches add
    /// up. Under a mask of outputs a row or position counts where all of its outputs do.
    ///
    /// # Errors
    /// As [`LossFunction::each`], and when the mask does not fit.
    fn sums(&self, outputs: &Tensor, targets: &Tensor, mask: Option<&Mask>) -> Result<(Tensor, Tensor)> {
        let Some(mask) = mask.filter(|mask| mask.of_outputs(outputs).is_some()) else {
            return Each::Rows { losses: self.each(outputs, targets)?, weights: None }.sums(mask);
        };
        let losses = self.each(outputs, &mask.fill(targets)?)?;
        Each::Rows { losses, weights: None }.sums(Some(&mask.whole()?))
    }
}

impl<F: Fn(&Tensor, &Tensor) -> Result<Tensor>> LossFunction for F {
    fn each(&self, outputs: &Tensor, targets: &Tensor) -> Result<Tensor> {
        self(outputs, targets)
    }
}

/// A named [`LossFunction`]; equal to another only where both are the same object.
#[derive(Clone, Debug, PartialEq)]
pub struct Custom(Object<dyn LossFunction + Send + Sync>);

impl Custom {
    pub(super) fn new(name: &str, function: impl LossFunction + Send + Sync + 'static) -> Self {
        Self(Object { name: name.to_string(), value: Arc::new(function) })
    }
}

impl Compare for Custom {
    fn each(&self, compared: Compared) -> Result<Each> {
        Ok(Each::Rows { losses: self.0.value.each(compared.outputs, compared.targets)?, weights: None })
    }

    fn outputs(&self) -> Outputs {
        self.0.value.outputs()
    }

    fn sums(&self, outputs: &Tensor, targets: &Tensor, mask: Option<&Mask>) -> Result<(Tensor, Tensor)> {
        self.0.value.sums(outputs, targets, mask)
    }
}
