//! Activation functions, element by element, but for the two softmaxes.

use super::Layer;
use crate::error::{Error, Result};
use crate::graph::Tensor;
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_PI};

/// x above 0, `slope · x` below.
pub(super) fn leaky_relu(x: &Tensor, slope: f64) -> Result<Tensor> {
    x.gt(&x.scalar_like(0.0))?.select(x, &(x * slope)?)
}

/// x above 0, `scale · (eˣ - 1)` below (Clevert et al., 2016).
pub(super) fn elu(x: &Tensor, scale: f64) -> Result<Tensor> {
    let zero = x.scalar_like(0.0);
    let above = x.gt(&zero)?;
    // The branch that is not taken must not overflow, or its slope times zero would be NaN.
    let below = above.select(&zero, x)?;
    above.select(x, &(below.expm1()? * scale)?)
}

/// x Φ(x) with the normal distribution function Φ (Hendrycks and Gimpel, 2016).
pub(super) fn gelu(x: &Tensor) -> Result<Tensor> {
    ((x * FRAC_1_SQRT_2)?.erf()? + 1.0)? * (x * 0.5)?
}

/// The approximation `x/2 (1 + tanh(√(2/π) (x + 0.044715 x³)))` of [`gelu`].
pub(super) fn gelu_tanh(x: &Tensor) -> Result<Tensor> {
    let cubic = (x * ((x.square()? * 0.044_715)? + 1.0)?)?;
    ((cubic * FRAC_2_PI.sqrt())?.tanh()? + 1.0)? * (x * 0.5)?
}

/// x σ(x) (Elfwing et al., 2018), also called swish.
pub(super) fn silu(x: &Tensor) -> Result<Tensor> {
    x * x.logistic()?
}

/// The first half of the features times `activation` of the second half (Dauphin et al., 2017; Shazeer, 2020).
pub(super) fn gated(x: &Tensor, activation: fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let last = x.last_axis("gated linear unit")?;
    let features = x.shape()[last];
    if !features.is_multiple_of(2) {
        return Err(Error::shape(
            "gated linear unit",
            "an even number of features, values and gates",
            x.ty(),
        ));
    }
    x.narrow(last, 0, features / 2)? * activation(&x.narrow(last, features / 2, features)?)?
}

/// 1 / (1 + e⁻ˣ)
pub fn sigmoid() -> Layer {
    Layer::Sigmoid
}

/// The hyperbolic tangent.
pub fn tanh() -> Layer {
    Layer::Tanh
}

/// max(x, 0)
pub fn relu_layer() -> Layer {
    Layer::Relu
}
