//! Losses of the distance between outputs and targets.

use super::compare::{Compare, Compared, Each};
use crate::error::Result;
use crate::graph::Tensor;
use serde::{Deserialize, Serialize};

/// Settings of Huber's loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Huber {
    /// The distance at which the square becomes a line; above 0, 1 if absent.
    pub delta: f64,
}

impl Default for Huber {
    fn default() -> Self {
        Self { delta: 1.0 }
    }
}

impl Compare for Huber {
    fn each(&self, compared: Compared) -> Result<Each> {
        each(compared, |distance| {
            let far = distance.abs()?;
            let near = far.le(&far.full_like(self.delta)?)?;
            near.select(&(distance.square()? * 0.5)?, &((far - 0.5 * self.delta)? * self.delta)?)
        })
    }
}

pub(super) struct Squared;

impl Compare for Squared {
    fn each(&self, compared: Compared) -> Result<Each> {
        each(compared, Tensor::square)
    }
}

pub(super) struct Absolute;

impl Compare for Absolute {
    fn each(&self, compared: Compared) -> Result<Each> {
        each(compared, Tensor::abs)
    }
}

/// `of(distance)` of each output.
fn each(compared: Compared, of: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Each> {
    Ok(Each::Outputs(of(&(compared.outputs - compared.values()?)?)?))
}
