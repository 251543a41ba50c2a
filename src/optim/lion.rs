//! Lion, which takes the signs of a momentum.

use super::rule::{Chain, decay, link};
use super::schedule::Schedule;
use super::transform::{State, Transform, Update, check_part};
use crate::error::Result;
use crate::setters::setters;
use serde::{Deserialize, Serialize};

/// [`ScaleByLion`]; weight decay is decoupled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lion {
    /// The size of each step; 0.0001 if absent.
    #[serde(alias = "lr")]
    pub learning_rate: Schedule,
    /// The momentum's part in the sign; 0.9 if absent.
    pub beta1: f64,
    /// Decay of the momentum; 0.99 if absent.
    pub beta2: f64,
    /// The factor on the weights; 0 if absent.
    pub weight_decay: f64,
}

setters! {
    Lion {
        learning_rate: impl Into<Schedule>,
        beta1: f64,
        beta2: f64,
        weight_decay: f64,
    }
}

impl Default for Lion {
    fn default() -> Self {
        Self { learning_rate: 0.0001.into(), beta1: 0.9, beta2: 0.99, weight_decay: 0.0 }
    }
}

impl Lion {
    pub(super) fn chain(&self) -> Chain {
        let Self { beta1, beta2, weight_decay, .. } = *self;
        [link(ScaleByLion { beta1, beta2 }), decay(weight_decay)].concat()
    }
}

/// sign(β₁ m + (1 - β₁) g), then m ← β₂ m + (1 - β₂) g (Chen et al., 2023).
#[derive(Clone, Debug, PartialEq)]
pub struct ScaleByLion {
    /// The momentum's part in the sign, from 0 to below 1.
    pub beta1: f64,
    /// Decay of the momentum, from 0 to below 1.
    pub beta2: f64,
}

impl Transform for ScaleByLion {
    fn update(&self, updates: &mut [Update], state: &mut State) -> Result<()> {
        state.each(updates, |update, own| {
            let g = &update.gradient;
            let direction = ((own.get("m")? * self.beta1)? + (g * (1.0 - self.beta1))?)?;
            own.average("m", g, self.beta2)?;
            direction.sign()
        })
    }

    fn check(&self) -> Result<()> {
        check_part("beta1", self.beta1)?;
        check_part("beta2", self.beta2)
    }
}
