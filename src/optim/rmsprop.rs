//! Gradients divided by a running root of their squares.

use super::rule::{Chain, decay, link};
use super::schedule::Schedule;
use super::sgd::Trace;
use super::transform::{State, Transform, Update, check_amount, check_part};
use crate::error::Result;
use crate::setters::setters;
use serde::{Deserialize, Serialize};

/// [`ScaleByRms`], then momentum if set. Weight decay is added to the gradient.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RmsProp {
    /// The factor on each update; 0.001 if absent.
    #[serde(alias = "lr")]
    pub learning_rate: Schedule,
    /// Decay of the running mean of squared gradients; 0.9 if absent.
    pub decay: f64,
    /// Added to the root; 1e-8 if absent.
    pub epsilon: f64,
    /// Decay of a momentum after it; 0 if absent, for none.
    pub momentum: f64,
    /// The factor on the weights; 0 if absent.
    pub weight_decay: f64,
}

setters! {
    RmsProp {
        learning_rate: impl Into<Schedule>,
        decay: f64,
        epsilon: f64,
        momentum: f64,
        weight_decay: f64,
    }
}

impl Default for RmsProp {
    fn default() -> Self {
        Self { learning_rate: 0.001.into(), decay: 0.9, epsilon: 1e-8, momentum: 0.0, weight_decay: 0.0 }
    }
}

impl RmsProp {
    pub(super) fn chain(&self) -> Chain {
        let Self { epsilon, momentum, weight_decay, .. } = *self;
        let mut chain = [decay(weight_decay), link(ScaleByRms { decay: self.decay, epsilon })].concat();
        if momentum != 0.0 {
            chain.extend(link(Trace { decay: momentum, nesterov: false }));
        }
        chain
    }
}

/// v ← decay · v + (1 - decay) g²; g / (√v + epsilon) (Tieleman and Hinton, 2012).
#[derive(Clone, Debug, PartialEq)]
pub struct ScaleByRms {
    /// Decay of the running mean of squared gradients, from 0 to below 1.
    pub decay: f64,
    /// Added to the root; at least 0.
    pub epsilon: f64,
}

impl Transform for ScaleByRms {
    fn update(&self, updates: &mut [Update], state: &mut State) -> Result<()> {
        state.each(updates, |update, own| {
            let g = &update.gradient;
            let v = own.average("square", &g.square()?, self.decay)?;
            g / (v.sqrt()? + self.epsilon)?
        })
    }

    fn check(&self) -> Result<()> {
        check_part("decay", self.decay)?;
        check_amount("epsilon", self.epsilon)
    }
}
