//! Gradient descent, with momentum.

use super::rule::{Chain, decay, link};
use super::schedule::Schedule;
use super::transform::{State, Transform, Update, check_part};
use crate::error::{Error, Result};
use crate::setters::setters;
use serde::{Deserialize, Serialize};

/// w ← w - rate · g, with momentum (Polyak, 1964) and Nesterov's variant if set. Weight decay is added to the gradient.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sgd {
    /// The factor on each update; 0.01 if absent.
    #[serde(alias = "lr")]
    pub learning_rate: Schedule,
    /// Decay of the momentum; 0 if absent, for none.
    pub momentum: f64,
    /// Whether the update looks one step ahead (Nesterov); needs a momentum. `false` if absent.
    pub nesterov: bool,
    /// The factor on the weights; 0 if absent.
    pub weight_decay: f64,
}

setters! {
    Sgd {
        learning_rate: impl Into<Schedule>,
        momentum: f64,
        nesterov: bool,
        weight_decay: f64,
    }
}

impl Default for Sgd {
    fn default() -> Self {
        Self { learning_rate: 0.01.into(), momentum: 0.0, nesterov: false, weight_decay: 0.0 }
    }
}

impl Sgd {
    pub(super) fn chain(&self) -> Chain {
        let Self { momentum, nesterov, weight_decay, .. } = *self;
        let mut chain = decay(weight_decay);
        if momentum != 0.0 || nesterov {
            chain.extend(link(Trace { decay: momentum, nesterov }));
        }
        chain
    }
}

/// m ← decay · m + g; m, or with Nesterov g + decay · m (Sutskever et al., 2013, in the form of `PyTorch`).
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// Decay of the momentum, from 0 to below 1.
    pub decay: f64,
    /// Whether the update looks one step ahead.
    pub nesterov: bool,
}

impl Transform for Trace {
    fn update(&self, updates: &mut [Update], state: &mut State) -> Result<()> {
        state.each(updates, |update, own| {
            let g = &update.gradient;
            let m = ((own.get("momentum")? * self.decay)? + g)?;
            own.set("momentum", &m)?;
            if self.nesterov { g + (m * self.decay)? } else { Ok(m) }
        })
    }

    fn check(&self) -> Result<()> {
        check_part("momentum", self.decay)?;
        match self.nesterov && self.decay == 0.0 {
            true => Err(Error::value("nesterov", "a momentum above 0 with it", "momentum 0")),
            false => Ok(()),
        }
    }
}
