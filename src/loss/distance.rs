//! Losses of the distance between outputs and targets.

use super::compare::{Compared, Each};
use crate::error::Result;
use crate::graph::Tensor;
use serde::{Deserialize, Serialize};

/// Settings of Huber's loss.
///
/// ```
/// assert_eq!(neural::loss::Huber::default().delta, 1.0);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Huber {
    pub delta: f64,
}

impl Default for Huber {
    fn default() -> Self {
        Self { delta: 1.0 }
    }
}

impl Huber {
    pub(super) fn each(&self, compared: Compared) -> Result<Each> {
        mean(compared, |distance| {
            let far = distance.abs()?;
            let near = far.le(&far.full_like(self.delta)?)?;
            near.select(&(distance.square()? * 0.5)?, &((far - 0.5 * self.delta)? * self.delta)?)
        })
    }
}

pub(super) fn squared(compared: Compared) -> Result<Each> {
    mean(compared, Tensor::square)
}

pub(super) fn absolute(compared: Compared) -> Result<Each> {
    mean(compared, Tensor::abs)
}

/// The mean over the outputs of what `of` makes of their distances.
fn mean(compared: Compared, of: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Each> {
    let distance = (compared.outputs - compared.values()?)?;
    Ok(Each { losses: of(&distance)?.mean(&[compared.axis()])?, weights: None })
}
