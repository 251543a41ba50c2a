//! A learned vector at the head of a sequence, from which a classifier reads its class.

use super::{Context, Init};
use crate::array::DType;
use crate::error::{Error, Result};
use crate::graph::Tensor;

/// `[n, length, features]` with the same learned vector before each sequence: `[n, 1 + length, features]`, as in BERT
/// (Devlin et al., 2019) and the vision transformer (Dosovitskiy et al., 2021).
///
/// Variable: `token` `[features]`.
pub(super) fn class_token(x: &Tensor, cx: &mut Context) -> Result<Tensor> {
    let [n, _, features] = sequences("class-token", x)?;
    let token = cx.weight("token", &[features], &Init::Normal(0.02), (1, features))?;
    let first = token.reshape(&[1, 1, features])?.broadcast_to(&[n, 1, features])?;
    if let Some(real) = cx.positions_of(x)? {
        let always = real.graph().full(DType::Bool, &[n, 1], 1.0)?;
        cx.set_positions(Some(Tensor::concatenate(&[&always, &real], 1)?));
    }
    Tensor::concatenate(&[&first, x], 1)
}

/// The vector at the first position: `[n, length, features]` to `[n, features]`.
pub(super) fn first_position(x: &Tensor, cx: &mut Context) -> Result<Tensor> {
    let [n, _, features] = sequences("first-position", x)?;
    cx.set_positions(None);
    x.narrow(1, 0, 1)?.reshape(&[n, features])
}

fn sequences(layer: &str, x: &Tensor) -> Result<[usize; 3]> {
    match x.shape() {
        &[n, length, features] if length > 0 => Ok([n, length, features]),
        _ => Err(Error::shape(layer, "[batch, length, features]", x.ty())),
    }
}
