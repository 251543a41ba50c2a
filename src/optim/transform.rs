//! The links of an optimizer's chain.

use crate::array::count;
use crate::error::Result;
use crate::graph::{DotDims, Tensor};
use crate::nn::Init;
use crate::variables::{Role, Variable, Variables};

/// A transformation of gradients. `g` is the gradient that comes in, `w` the parameter, `t` the number of the update
/// from 1.
///
/// ```
/// use neural::optim::{Transform, adam};
/// assert!(matches!(adam(0.1).rule.chain()[0], Transform::Adam { .. }));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Transform {
    /// Each element limited to ±this.
    ClipValue(f64),
    /// All gradients together scaled so that their norm √(Σ g²) is at most this (Pascanu et al., 2013).
    ClipNorm(f64),
    /// g + rate · w: the gradient of ½ rate Σ w². After a rescaling link it is the decoupled decay of AdamW
    /// (Loshchilov and Hutter, 2019).
    Decay(f64),
    /// g + rate · sign(w): the gradient of rate Σ |w|.
    DecayL1(f64),
    /// m ← decay · m + g; m, or with Nesterov g + decay · m (Sutskever et al., 2013, in the form of `PyTorch`).
    Trace { decay: f64, nesterov: bool },
    /// v ← decay · v + (1 - decay) g²; g / (√v + epsilon) (Tieleman and Hinton, 2012).
    RmsProp { decay: f64, epsilon: f64 },
    /// s ← s + g²; g / (√s + epsilon) (Duchi et al., 2011).
    Adagrad { epsilon: f64 },
    /// m ← β₁ m + (1 - β₁) g, v ← β₂ v + (1 - β₂) g², both divided by 1 - βᵗ;
    /// m̂ / (√(v̂ + `epsilon_root`) + epsilon) (Kingma and Ba, 2015).
    Adam { beta1: f64, beta2: f64, epsilon: f64, epsilon_root: f64 },
    /// sign(β₁ m + (1 - β₁) g), then m ← β₂ m + (1 - β₂) g (Chen et al., 2023).
    Lion { beta1: f64, beta2: f64 },
    /// m ← momentum · m + (1 - momentum) g, and for a matrix its nearest orthogonal one, by `steps` of the iteration
    /// of Newton and Schulz, times √max(1, rows / columns) (Jordan et al., 2024). The rows are a layer's outputs and
    /// the columns what each is computed from: a dense weight `[outputs, inputs]` as it is, a convolution's kernel
    /// `[height, width, inputs, outputs]` as `outputs x (height width inputs)`. Vectors are not changed.
    Muon { momentum: f64, nesterov: bool, steps: usize },
}

/// A parameter with its gradient on the way through the chain.
pub(super) struct Item<'a> {
    pub variable: &'a Variable,
    pub value: &'a Tensor,
    pub gradient: Tensor,
    /// By how much the parameter's group scales decay.
    pub decay: f64,
}

impl Transform {
    /// Transforms all gradients. The transform's own variables are named `<prefix>.<what>.<parameter>`.
    pub(super) fn apply(&self, items: &mut [Item], prefix: &str, state: &mut Variables) -> Result<()> {
        let t = match self {
            Transform::ClipNorm(limit) => return clip_norm(items, *limit),
            Transform::Adam { .. } => Some(next_update(prefix, state)?),
            _ => None,
        };
        for item in items {
            item.gradient = self.one(item, t.as_ref(), prefix, state)?;
        }
        Ok(())
    }

    fn one(&self, item: &Item, t: Option<&Tensor>, prefix: &str, state: &mut Variables) -> Result<Tensor> {
        let (g, w) = (&item.gradient, item.value);
        let mut slots = Slots { item, prefix, state };
        match self {
            Transform::ClipNorm(_) => Ok(g.clone()),
            Transform::ClipValue(limit) => g.clamp(-limit, *limit),
            Transform::Decay(_) | Transform::DecayL1(_) if item.decay == 0.0 => Ok(g.clone()),
            Transform::Decay(rate) => g + (w * (rate * item.decay))?,
            Transform::DecayL1(rate) => g + (w.sign()? * (rate * item.decay))?,
            Transform::Trace { decay, nesterov } => {
                let m = ((slots.get("momentum")? * *decay)? + g)?;
                slots.set("momentum", &m)?;
                if *nesterov { g + (m * *decay)? } else { Ok(m) }
            }
            Transform::RmsProp { decay, epsilon } => {
                let v = slots.average("square", &g.square()?, *decay)?;
                g / (v.sqrt()? + *epsilon)?
            }
            Transform::Adagrad { epsilon } => {
                let s = (slots.get("sum")? + g.square()?)?;
                slots.set("sum", &s)?;
                g / (s.sqrt()? + *epsilon)?
            }
            Transform::Adam { beta1, beta2, epsilon, epsilon_root } => {
                let m = slots.average("m", g, *beta1)?;
                let v = slots.average("v", &g.square()?, *beta2)?;
                let corrected = |average: Tensor, beta: f64| match t {
                    Some(t) => average / bias_correction(t, beta)?,
                    None => Ok(average),
                };
                let (m, v) = (corrected(m, *beta1)?, corrected(v, *beta2)?);
                let root = if *epsilon_root == 0.0 { v.sqrt()? } else { (v + *epsilon_root)?.sqrt()? };
                m / (root + *epsilon)?
            }
            Transform::Lion { beta1, beta2 } => {
                let direction = ((slots.get("m")? * *beta1)? + (g * (1.0 - beta1))?)?;
                slots.average("m", g, *beta2)?;
                direction.sign()
            }
            Transform::Muon { momentum, nesterov, steps } => {
                let m = slots.average("momentum", g, *momentum)?;
                let update = match nesterov {
                    true => ((g * (1.0 - momentum))? + (m * *momentum)?)?,
                    false => m,
                };
                orthogonalized(&update, *steps)
            }
        }
    }
}

/// The variables that a transform keeps for one parameter.
struct Slots<'a, 'b> {
    item: &'a Item<'b>,
    prefix: &'a str,
    state: &'a mut Variables,
}

impl Slots<'_, '_> {
    fn name(&self, what: &str) -> String {
        format!("{}.{what}.{}", self.prefix, self.item.variable.name)
    }

    /// Zeros at first.
    fn get(&mut self, what: &str) -> Result<Tensor> {
        let name = self.name(what);
        self.state.get(Role::Optimizer, &name, self.item.value.shape(), &Init::Zeros, (1, 1))
    }

    fn set(&mut self, what: &str, value: &Tensor) -> Result<()> {
        let name = self.name(what);
        self.state.set(&name, value.clone())
    }

    /// Moves an average: decay · old + (1 - decay) · new.
    fn average(&mut self, what: &str, new: &Tensor, decay: f64) -> Result<Tensor> {
        let average = ((self.get(what)? * decay)? + (new * (1.0 - decay))?)?;
        self.set(what, &average)?;
        Ok(average)
    }
}

/// The number of this update, from 1, for the transforms that ask.
fn next_update(prefix: &str, state: &mut Variables) -> Result<Tensor> {
    let name = format!("{prefix}.count");
    let t = (counter(state, &name)? + 1.0)?;
    state.set(&name, t.clone())?;
    Ok(t)
}

/// A scalar that counts from 0.
fn counter(state: &mut Variables, name: &str) -> Result<Tensor> {
    state.get(Role::Optimizer, name, &[], &Init::Zeros, (1, 1))
}

/// 1 - βᵗ = -(e^(t ln β) - 1), which is exact in f32 too where βᵗ is close to 1.
fn bias_correction(t: &Tensor, beta: f64) -> Result<Tensor> {
    (t * beta.ln())?.expm1()?.neg()
}

fn clip_norm(items: &mut [Item], limit: f64) -> Result<()> {
    let squares = items.iter().map(|item| item.gradient.square()?.sum_all()).collect::<Result<Vec<_>>>()?;
    let Some(sum) = squares.into_iter().map(Ok).reduce(|a: Result<Tensor>, b| a? + b?) else { return Ok(()) };
    let norm = sum?.sqrt()?;
    let limit = norm.full_like(limit)?;
    let scale = norm.gt(&limit)?.select(&(&limit / &norm)?, &norm.full_like(1.0)?)?;
    for item in items {
        item.gradient = (&item.gradient * &scale)?;
    }
    Ok(())
}

/// The orthogonal matrix near `x`, see [`Transform::Muon`]: x / ‖x‖, then `steps` times a x + (b x xᵀ + c (x xᵀ)²) x
/// with the coefficients of Jordan et al., which bring all singular values near 1. Vectors stay as they are.
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
