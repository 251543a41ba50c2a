//! Adam, and AdamW.

use super::rule::{Chain, decay, link};
use super::schedule::Schedule;
use super::transform::{State, Transform, Update, check_amount, check_part};
use crate::error::Result;
use crate::graph::Tensor;
use crate::setters::setters;
use serde::{Deserialize, Serialize};

/// [`ScaleByAdam`]. Weight decay is added to the gradient.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Adam {
    /// The factor on each update; 0.001 if absent.
    #[serde(alias = "lr")]
    pub learning_rate: Schedule,
    /// Decay of the running mean of gradients; 0.9 if absent.
    pub beta1: f64,
    /// Decay of the running mean of their squares; 0.999 if absent.
    pub beta2: f64,
    /// Added to the root; 1e-8 if absent.
    pub epsilon: f64,
    /// Added below the root; 0 if absent.
    pub epsilon_root: f64,
    /// The factor on the weights; 0 if absent.
    pub weight_decay: f64,
}

setters! {
    Adam {
        learning_rate: impl Into<Schedule>,
        beta1: f64,
        beta2: f64,
        epsilon: f64,
        epsilon_root: f64,
        weight_decay: f64,
    }
}

/// Adam whose weight decay does not pass through the rescaling (Loshchilov and Hutter, 2019).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamW {
    /// The factor on each update and on the decay; 0.001 if absent.
    #[serde(alias = "lr")]
    pub learning_rate: Schedule,
    /// Decay of the running mean of gradients; 0.9 if absent.
    pub beta1: f64,
    /// Decay of the running mean of their squares; 0.999 if absent.
    pub beta2: f64,
    /// Added to the root; 1e-8 if absent.
    pub epsilon: f64,
    /// The factor on the weights; 0.01 if absent.
    pub weight_decay: f64,
}

setters! {
    AdamW {
        learning_rate: impl Into<Schedule>,
        beta1: f64,
        beta2: f64,
        epsilon: f64,
        weight_decay: f64,
    }
}

impl Default for Adam {
    fn default() -> Self {
        let ScaleByAdam { beta1, beta2, epsilon, epsilon_root } = ScaleByAdam::default();
        Self { learning_rate: 0.001.into(), beta1, beta2, epsilon, epsilon_root, weight_decay: 0.0 }
    }
}

impl Default for AdamW {
    fn default() -> Self {
        let ScaleByAdam { beta1, beta2, epsilon, .. } = ScaleByAdam::default();
        Self { learning_rate: 0.001.into(), beta1, beta2, epsilon, weight_decay: 0.01 }
    }
}

impl Adam {
    pub(super) fn chain(&self) -> Chain {
        let Self { beta1, beta2, epsilon, epsilon_root, weight_decay, .. } = *self;
        [decay(weight_decay), link(ScaleByAdam { beta1, beta2, epsilon, epsilon_root })].concat()
    }
}

impl AdamW {
    pub(super) fn chain(&self) -> Chain {
        let Self { beta1, beta2, epsilon, weight_decay, .. } = *self;
        [link(ScaleByAdam { beta1, beta2, epsilon, epsilon_root: 0.0 }), decay(weight_decay)].concat()
    }
}

/// m ← β₁ m + (1 - β₁) g, v ← β₂ v + (1 - β₂) g², both divided by 1 - βᵗ; m̂ / (√(v̂ + `epsilon_root`) + epsilon)
/// (Kingma and Ba, 2015).
#[derive(Clone, Debug, PartialEq)]
pub struct ScaleByAdam {
    /// Decay of the running mean of gradients, from 0 to below 1.
    pub beta1: f64,
    /// Decay of the running mean of their squares, from 0 to below 1.
    pub beta2: f64,
    /// Added to the root; at least 0.
    pub epsilon: f64,
    /// Added below the root; at least 0.
    pub epsilon_root: f64,
}

impl Default for ScaleByAdam {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, epsilon_root: 0.0 }
    }
}

impl Transform for ScaleByAdam {
    fn update(&self, updates: &mut [Update], state: &mut State) -> Result<()> {
        let Self { beta1, beta2, epsilon, epsilon_root } = *self;
        state.each(updates, |update, own| {
            let t = own.count()?;
            let g = &update.gradient;
            let m = own.average("m", g, beta1)?;
            let v = own.average("v", &g.square()?, beta2)?;
            let m = (m / bias_correction(&t, beta1)?)?;
            let v = (v / bias_correction(&t, beta2)?)?;
            let root = if epsilon_root == 0.0 { v.sqrt()? } else { (v + epsilon_root)?.sqrt()? };
            m / (root + epsilon)?
        })
    }

    fn check(&self) -> Result<()> {
        check_part("beta1", self.beta1)?;
        check_part("beta2", self.beta2)?;
        check_amount("epsilon", self.epsilon)?;
        check_amount("epsilon_root", self.epsilon_root)
    }
}

/// 1 - βᵗ = -(e^(t ln β) - 1), which is exact in f32 too where βᵗ is close to 1.
fn bias_correction(t: &Tensor, beta: f64) -> Result<Tensor> {
    (t * beta.ln())?.expm1()?.neg()
}
