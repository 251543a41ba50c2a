//! A trained model in the formats of other tools.
//!
//! | form | holds | read by |
//! |---|---|---|
//! | [`safetensors()`] | the values, named and laid out as in `PyTorch`, and the description | `PyTorch`, [`from_safetensors`] |
//! | [`onnx()`], [`onnx_int8`] | the whole model, for any number of samples, in f32 or in eight bits | onnxruntime and other engines |
//! | [`stablehlo`] | the whole model, for a fixed number of samples | JAX and other compilers |
//! | [`hlo()`] | the same, as XLA's own text | XLA |
//!
//! The whole model takes samples in stored form, `[batch, sample…]`, pictures as u8 with their channels last and token
//! ids as i32, and scales them itself; it returns `[batch, …, outputs]` in f32 after the link, like
//! [`Model::predict`](crate::model::Model). Models of nodes may have several inputs and outputs, which keep their
//! names. In ONNX, the model of a table takes its columns instead, and names its answer. An ONNX engine refuses token
//! ids that are not in the vocabulary; an XLA program clamps them, so check them before.

mod hlo;
mod layout;
#[cfg(feature = "onnx")]
mod onnx;
mod pytorch;
mod safetensors;
mod weights;

pub use self::hlo::{hlo, stablehlo};
#[cfg(feature = "onnx")]
pub use self::onnx::{OnnxInt8, OnnxOptions, onnx, onnx_int8};
pub use self::safetensors::{from_safetensors, safetensors};
pub use self::weights::{weights, weights_of};

/// Under this key safetensors and ONNX files hold the model's [`Description`](crate::model::Description) as JSON.
pub const DESCRIPTION: &str = "neural.model";

fn description(model: &crate::model::Model) -> crate::Result<String> {
    serde_json::to_string(&model.description).map_err(|e| unwritable(&e))
}

/// The name of an output in files.
fn output_name<'a>(answer: &crate::model::Answer<'a>) -> &'a str {
    if answer.name.is_empty() { "output" } else { answer.name }
}

fn unwritable(error: &serde_json::Error) -> crate::Error {
    crate::Error::value("model", "a description that JSON can hold", error)
}
