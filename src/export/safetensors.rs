//! A model's values with its description, in one file.

use super::layout::{filters_first, filters_last};
use crate::array::Array;
use crate::data;
use crate::error::{Error, Result};
use crate::model::{Description, Model};
use crate::nn::{Layer, Sequential};
use std::collections::HashMap;
use std::path::Path;

/// The model as a safetensors file, <https://huggingface.co/docs/safetensors>: from it [`from_safetensors`] makes the
/// same model, and `PyTorch`'s `load_state_dict` fills the same layers.
///
/// Names are those of the variables. Kernels are laid out as in `PyTorch`, `[filters, channels, window…]`; a dense
/// layer after a flattening still takes its inputs in this library's order, channels last. The description is the
/// file's text under [`DESCRIPTION`](super::DESCRIPTION).
///
/// ```
/// # use neural::{Array, DType, data::Scaling, model::{Description, Link, Model}, nn};
/// # let description = Description {
/// #     layers: nn::sequential([nn::dense(1)]),
/// #     link: Link::Identity,
/// #     sample: vec![2],
/// #     dtype: DType::F32,
/// #     scaling: Scaling::none(),
/// #     columns: Vec::new(),
/// #     classes: Vec::new(),
/// # };
/// # let value = |name: &str| match name {
/// #     "0.weight" => Array::new(&[1, 2], vec![2f32, 3.0]).ok(),
/// #     _ => Some(Array::vector(&[1f32])),
/// # };
/// use neural::export;
/// let contents = export::safetensors(&Model::new(description, value)?)?;
/// assert_eq!(export::from_safetensors("m".as_ref(), &contents)?.variables.len(), 2);
/// # Ok::<(), neural::Error>(())
/// ```
///
/// # Errors
/// When the description is larger than the format allows.
pub fn safetensors(model: &Model) -> Result<Vec<u8>> {
    let kernels = kernels(&model.description.layers, "");
    let values = model.variables.iter().map(|(variable, value)| match kernels.contains(&variable.name) {
        true => filters_first(value),
        false => Ok(value.clone()),
    });
    let values = values.collect::<Result<Vec<_>>>()?;
    let names = model.variables.iter().map(|(variable, _)| variable.name.as_str());
    let tensors: Vec<(&str, &Array)> = names.zip(&values).collect();
    data::safetensors::encode(&tensors, Some((super::DESCRIPTION, &super::description(model)?)))
}

/// The model in the contents of a file that [`safetensors()`] made. `path` is for the error only.
///
/// ```
/// assert!(neural::export::from_safetensors("m".as_ref(), b"text").is_err());
/// ```
///
/// # Errors
/// When the contents are not safetensors, or not those of a model: without a description, or with other tensors than
/// it asks for.
pub fn from_safetensors(path: &Path, contents: &[u8]) -> Result<Model> {
    let refused = |got: String| {
        let key = super::DESCRIPTION;
        Error::format(
            path,
            format!("expected a model's description under {key}, got {got}; export the model again"),
        )
    };
    let text = data::safetensors::text(path, contents, super::DESCRIPTION)?
        .ok_or_else(|| refused("a file without one".into()))?;
    let description: Description = serde_json::from_str(&text).map_err(|e| refused(e.to_string()))?;
    let kernels = kernels(&description.layers, "");
    let variables = description.declare().map_err(|e| refused(e.to_string()))?;
    let mut values = HashMap::new();
    for name in variables.into_iter().map(|variable| variable.name) {
        if let Some(value) = data::safetensors::decode(path, contents, &name)? {
            let turn = kernels.contains(&name) && value.shape().len() > 2;
            values.insert(name, if turn { filters_last(&value)? } else { value });
        }
    }
    Model::new(description, |name| values.get(name).cloned())
        .map_err(|error| Error::format(path, error.to_string()))
}

/// The names of the convolutions' kernels among `layers`, whose names begin with `prefix`.
fn kernels(layers: &Sequential, prefix: &str) -> Vec<String> {
    let of_layer = |(i, layer): (usize, &Layer)| match layer {
        Layer::Conv(_) => vec![format!("{prefix}{i}.weight")],
        Layer::Residual(residual) => {
            let within = |layers, part| kernels(layers, &format!("{prefix}{i}.{part}."));
            [within(&residual.layers, "layers"), within(&residual.shortcut, "shortcut")].concat()
        }
        _ => Vec::new(),
    };
    layers.0.iter().enumerate().flat_map(of_layer).collect()
}
