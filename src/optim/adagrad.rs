//! Gradients divided by the root of the sum of all their squares.

use super::rule::{Chain, decay, link};
use super::schedule::Schedule;
use super::transform::{State, Transform, Update, check_amount};
use crate::error::Result;
use crate::setters::setters;
use serde::{Deserialize, Serialize};

/// [`ScaleByAdagrad`]. Weight decay is added to the gradient.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Adagrad {
    /// The factor on each update; 0.01 if absent.
    #[serde(alias = "lr")]
    pub learning_rate: Schedule,
    /// Added to the root, so that nothing is divided by 0; 1e-10 if absent.
    pub epsilon: f64,
    /// The factor on the weights; 0 if absent.
    pub weight_decay: f64,
}

setters! {
    Adagrad {
        learning_rate: impl Into<Schedule>,
        epsilon: f64,
        weight_decay: f64,
    }
}

impl Default for Adagrad {
    fn default() -> Self {
        Self { learning_rate: 0.01.into(), epsilon: 1e-10, weight_decay: 0.0 }
    }
}

impl Adagrad {
    pub(super) fn chain(&self) -> Chain {
        let Self { epsilon, weight_decay, .. } = *self;
        [decay(weight_decay), link(ScaleByAdagrad { epsilon })].concat()
    }
}

/// s ← s + g²; g / (√s + epsilon) (Duchi et al., 2011).
#[derive(Clone, Debug, PartialEq)]
pub struct ScaleByAdagrad {
    /// Added to the root; at least 0.
    pub epsilon: f64,
}

impl Transform for ScaleByAdagrad {
    fn update(&self, updates: &mut [Update], state: &mut State) -> Result<()> {
        state.each(updates, |update, own| {
            let g = &update.gradient;
            let s = (own.get("sum")? + g.square()?)?;
            own.set("sum", &s)?;
            g / (s.sqrt()? + self.epsilon)?
        })
    }

    fn check(&self) -> Result<()> {
        check_amount("epsilon", self.epsilon)
    }
}
