//! Bounds of the gradient, and decay of the weights.

use super::transform::{State, Transform, Update, check_amount};
use crate::error::{Error, Result};
use crate::graph::Tensor;

/// Limits each element to ± this.
#[derive(Clone, Debug, PartialEq)]
pub struct ClipValue(pub f64);

/// Scales all gradients together so that their norm √(Σ g²) is at most this (Pascanu et al., 2013).
#[derive(Clone, Debug, PartialEq)]
pub struct ClipNorm(pub f64);

/// g + rate · w: the gradient of ½ rate Σ w². After a link that rescales it is the decoupled decay of AdamW
/// (Loshchilov and Hutter, 2019).
#[derive(Clone, Debug, PartialEq)]
pub struct WeightDecay(pub f64);

/// g + rate · sign(w): the gradient of rate Σ |w|.
#[derive(Clone, Debug, PartialEq)]
pub struct L1Decay(pub f64);

impl Transform for ClipValue {
    fn update(&self, updates: &mut [Update], state: &mut State) -> Result<()> {
        state.each(updates, |update, _| update.gradient.clamp(-self.0, self.0))
    }

    fn check(&self) -> Result<()> {
        check_limit("clip_value", self.0)
    }
}

impl Transform for ClipNorm {
    fn update(&self, updates: &mut [Update], _: &mut State) -> Result<()> {
        let squares = updates.iter().map(|update| update.gradient.square()?.sum_all());
        let Some(sum) = squares.reduce(|a, b| a? + b?) else { return Ok(()) };
        let norm = sum?.sqrt()?;
        let limit = norm.full_like(self.0)?;
        let scale = norm.gt(&limit)?.select(&(&limit / &norm)?, &norm.full_like(1.0)?)?;
        for update in updates {
            update.gradient = (&update.gradient * &scale)?;
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        check_limit("clip_norm", self.0)
    }
}

impl Transform for WeightDecay {
    fn update(&self, updates: &mut [Update], state: &mut State) -> Result<()> {
        decay(self.0, updates, state, |w| Ok(w.clone()))
    }

    fn check(&self) -> Result<()> {
        check_amount("weight_decay", self.0)
    }
}

impl Transform for L1Decay {
    fn update(&self, updates: &mut [Update], state: &mut State) -> Result<()> {
        decay(self.0, updates, state, Tensor::sign)
    }

    fn check(&self) -> Result<()> {
        check_amount("l1", self.0)
    }
}

/// g + rate · slope(w), by the factors of the parameters' groups.
fn decay(
    rate: f64,
    updates: &mut [Update],
    state: &mut State,
    slope: impl Fn(&Tensor) -> Result<Tensor>,
) -> Result<()> {
    state.each(updates, |update, _| match update.weight_decay {
        0.0 => Ok(update.gradient.clone()),
        factor => &update.gradient + (slope(update.value)? * (rate * factor))?,
    })
}

fn check_limit(name: &str, limit: f64) -> Result<()> {
    match limit.is_finite() && limit > 0.0 {
        true => Ok(()),
        false => Err(Error::value(name, "a finite number above 0", limit)),
    }
}
