//! Muon, which makes the momentum of matrices orthogonal.

use super::rule::{Chain, decay, link};
use super::schedule::Schedule;
use super::transform::{State, Transform, Update, check_part};
use crate::array::count;
use crate::error::{Error, Result};
use crate::graph::{DotDims, Tensor};
use crate::setters::setters;
use serde::{Deserialize, Serialize};

/// [`ScaleByMuon`]; parameters that are not matrices follow their momentum. Weight decay is decoupled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Muon {
    /// The factor on each update; 0.02 if absent.
    #[serde(alias = "lr")]
    pub learning_rate: Schedule,
    /// Decay of the momentum; 0.95 if absent.
    pub momentum: f64,
    /// Whether the update looks one step ahead (Nesterov); `true` if absent.
    pub nesterov: bool,
    /// Iterations of Newton and Schulz; 5 if absent.
    pub steps: usize,
    /// The factor on the weights; 0 if absent.
    pub weight_decay: f64,
}

setters! {
    Muon {
        learning_rate: impl Into<Schedule>,
        momentum: f64,
        nesterov: bool,
        steps: usize,
        weight_decay: f64,
    }
}

impl Default for Muon {
    fn default() -> Self {
        let ScaleByMuon { momentum, nesterov, steps } = ScaleByMuon::default();
        Self { learning_rate: 0.02.into(), momentum, nesterov, steps, weight_decay: 0.0 }
    }
}

impl Muon {
    pub(super) fn chain(&self) -> Chain {
        let Self { momentum, nesterov, steps, weight_decay, .. } = *self;
        [link(ScaleByMuon { momentum, nesterov, steps }), decay(weight_decay)].concat()
    }
}

/// m ← momentum · m + (1 - momentum) g, and for a matrix its nearest orthogonal one, by `steps` of the iteration
/// of Newton and Schulz, times √max(1, rows / columns) (Jordan et al., 2024). The rows are a layer's outputs and the
/// columns its inputs: a dense weight `[outputs, inputs]` as it is, a convolution's kernel `[height, width, inputs,
/// outputs]` as `outputs x (height width inputs)`. Vectors are not changed.
#[derive(Clone, Debug, PartialEq)]
pub struct ScaleByMuon {
    /// Decay of the momentum, from 0 to below 1.
    pub momentum: f64,
    /// Whether the update looks one step ahead (Nesterov).
    pub nesterov: bool,
    /// Iterations of Newton and Schulz.
    pub steps: usize,
}

impl Default for ScaleByMuon {
    fn default() -> Self {
        Self { momentum: 0.95, nesterov: true, steps: 5 }
    }
}

impl Transform for ScaleByMuon {
    fn update(&self, updates: &mut [Update], state: &mut State) -> Result<()> {
        let Self { momentum, nesterov, steps } = *self;
        state.each(updates, |update, own| {
            let g = &update.gradient;
            let m = own.average("momentum", g, momentum)?;
            let direction = match nesterov {
                true => ((g * (1.0 - momentum))? + (m * momentum)?)?,
                false => m,
            };
            orthogonalized(&direction, steps)
        })
    }

    fn check(&self) -> Result<()> {
        check_part("momentum", self.momentum)?;
        // Each is written out in the program.
        match (1..100).contains(&self.steps) {
            true => Ok(()),
            false => Err(Error::value("steps", "a number from 1 to 99", self.steps)),
        }
    }
}

/// The orthogonal matrix near `x`, see [`ScaleByMuon`]: x / ‖x‖, then `steps` times a x + (b x xᵀ + c (x xᵀ)²) x
/// with the coefficients of Jordan et al., which move all singular values close to 1. Vectors stay unchanged.
fn orthogonalized(x: &Tensor, steps: usize) -> Result<Tensor> {
    const A: f64 = 3.4445;
    const B: f64 = -4.775;
    const C: f64 = 2.0315;
    let (matrix, outputs) = match x.rank() {
        0 | 1 => return Ok(x.clone()),
        2 => (x.clone(), 0),
        // A convolution's kernel, whose last axis is its outputs.
        rank => (x.reshape(&[count(&x.shape()[..rank - 1]), x.shape()[rank - 1]])?, 1),
    };
    let (rows, columns) = (matrix.shape()[outputs], matrix.shape()[1 - outputs]);
    // The iteration is the same on the transposed matrix, and the least work where the shorter side comes first.
    let tall = matrix.shape()[0] > matrix.shape()[1];
    let mut y = if tall { matrix.t()? } else { matrix };
    let norm = y.square()?.sum_all()?.sqrt()?;
    y = (&y / norm.maximum(&norm.full_like(1e-7)?)?)?;
    for _ in 0..steps {
        let gram =
            y.dot(&y, DotDims { lhs_contract: vec![1], rhs_contract: vec![1], ..DotDims::default() })?;
        let mixed = ((&gram * B)? + (gram.matmul(&gram)? * C)?)?;
        y = ((&y * A)? + mixed.matmul(&y)?)?;
    }
    let y = if tall { y.t()? } else { y };
    y.reshape(x.shape())? * (rows as f64 / columns as f64).max(1.0).sqrt()
}
