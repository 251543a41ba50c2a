use super::{Context, Layer, Module};
use crate::array::DType;
use crate::error::{Error, Result};
use crate::graph::Tensor;
use serde::{Deserialize, Serialize};

/// Dropout (Srivastava et al., 2014): in training each element is zero with probability `rate`, and the others are
/// divided by `1 - rate`; in evaluation it is the identity.
///
/// ```
/// use neural::{DType, nn::{Dropout, Layer, sequential}};
/// assert!(sequential([Layer::Dropout(Dropout { rate: 1.5 })]).summary(DType::F32, &[4]).is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dropout {
    /// The probability that an element becomes 0, from 0 to below 1.
    #[serde(alias = "p")]
    pub rate: f64,
}

impl Dropout {
    /// Whether everything passes through.
    pub(super) fn is_off(&self, cx: &Context) -> bool {
        !cx.is_training() || self.rate == 0.0
    }
}

impl Module for Dropout {
    fn forward(&self, x: &Tensor, cx: &mut Context) -> Result<Tensor> {
        if !(0.0..1.0).contains(&self.rate) {
            return Err(Error::value("rate", "a probability from 0 to below 1", self.rate));
        }
        if self.is_off(cx) {
            return Ok(x.clone());
        }
        let draw = cx.random()?.uniform(DType::F32, x.shape())?;
        let kept = draw.ge(&draw.full_like(self.rate)?)?;
        kept.select(&(x * (1.0 / (1.0 - self.rate)))?, &x.full_like(0.0)?)
    }
}

/// See [`Dropout`].
pub fn dropout(rate: f64) -> Layer {
    Layer::Dropout(Dropout { rate })
}
