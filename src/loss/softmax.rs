//! The cross-entropy of a softmax: one class of several.

use super::Outputs;
use super::compare::{Compare, Compared, Each, weights};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// Settings of the softmax cross-entropy, with the same meaning as in `PyTorch`.
///
/// ```
/// use neural::loss::{CrossEntropy, Loss};
/// let loss = Loss::SoftmaxCrossEntropy(CrossEntropy { label_smoothing: 0.1, ..CrossEntropy::default() });
/// assert_ne!(loss, neural::loss::softmax_cross_entropy());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CrossEntropy {
    /// This part of the target is spread evenly over all classes.
    pub label_smoothing: f64,
    /// A weight for each class; the mean is divided by the weights of the rows' classes. The weight of a row whose
    /// target is a distribution is the mean of the weights under it, so that a one-hot row weighs as its class does.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub class_weights: Vec<f64>,
}

impl Compare for CrossEntropy {
    fn outputs(&self) -> Outputs {
        Outputs::Classes
    }

    fn class_weights(&self) -> &[f64] {
        &self.class_weights
    }

    fn each(&self, compared: Compared) -> Result<Each> {
        if !(0.0..=1.0).contains(&self.label_smoothing) {
            return Err(Error::value("label_smoothing", "a part from 0 to 1", self.label_smoothing));
        }
        compared.check_choice()?;
        let (x, classes, axis) = (compared.outputs, compared.width(), compared.axis());
        let class = compared.one_hot_or_values()?;
        let mut target = class.clone();
        if self.label_smoothing > 0.0 {
            target = ((target * (1.0 - self.label_smoothing))? + self.label_smoothing / classes as f64)?;
        }
        let mut of_class = None;
        if !self.class_weights.is_empty() {
            let weights = weights("class_weights", &self.class_weights, classes, x)?;
            target = (target * &weights)?;
            of_class = Some((class * weights)?.sum(&[axis])?);
        }
        let losses = (target * x.log_softmax()?)?.sum(&[axis])?.neg()?;
        Ok(Each::Rows { losses, weights: of_class })
    }
}
