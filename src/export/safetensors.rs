//! A model's values with its description, in one file.

use super::pytorch::{Turn, turns};
use crate::array::Array;
use crate::data;
use crate::error::{Error, Result};
use crate::file;
use crate::model::{Description, Model};
use std::collections::HashMap;
use std::path::Path;

/// The model as a safetensors file, <https://huggingface.co/docs/safetensors>: from it [`from_safetensors`] makes the
/// same model, and `PyTorch`'s `load_state_dict` fills the same layers.
///
/// Tensors have the variables' names. Values are laid out as in `PyTorch`, which has channels after the batch: kernels
/// `[filters, channels, window…]`, and the inputs of a dense layer after a flatten channels first. The description is
/// the file's text under [`DESCRIPTION`](super::DESCRIPTION), and with it [`epoch`](Model::epoch).
///
/// ```
/// # use neural::{Array, DType, model::{Description, Link, Model}, nn};
/// # let description = Description::new(nn::sequential([nn::dense(1)]), Link::Identity, &[2], DType::F32);
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
/// When the order of features after a flatten would be ambiguous in `PyTorch`, or the description is larger than the
/// format allows.
pub fn safetensors(model: &Model) -> Result<Vec<u8>> {
    let turns = turns(&model.description)?;
    let values = model.variables.iter().map(|(variable, value)| match turns.get(&variable.name) {
        Some(turn) => turn.apply(value),
        None => Ok(value.clone()),
    });
    let values = values.collect::<Result<Vec<_>>>()?;
    let names = model.variables.iter().map(|(variable, _)| variable.name.as_str());
    let tensors: Vec<(&str, &Array)> = names.zip(&values).collect();
    let mut text = serde_json::to_value(&model.description).map_err(|e| super::unwritable(&e))?;
    text[ORDER] = CHANNELS_FIRST.into();
    if let Some(epoch) = model.epoch {
        text[EPOCH] = epoch.into();
    }
    data::safetensors::encode(&tensors, Some((super::DESCRIPTION, &text.to_string())))
}

/// Beside the description: the order in which a dense layer after a flatten takes its inputs. Files without it were
/// written by an earlier version, channels last.
const ORDER: &str = "flatten";
const CHANNELS_FIRST: &str = "channels-first";

/// Beside the description: [`Model::epoch`].
const EPOCH: &str = "epoch";

/// The model in the contents of a file that [`safetensors()`] made. `path` is for the error only.
///
/// # Errors
/// When the contents are not safetensors, or do not hold a model: the description is missing, or the tensors do not
/// match it.
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
    let mut text: serde_json::Value = serde_json::from_str(&text).map_err(|e| refused(e.to_string()))?;
    let mut beside = |key| text.as_object_mut().and_then(|fields| fields.remove(key));
    let (order, epoch) = (beside(ORDER), beside(EPOCH));
    let description: Description = serde_json::from_value(text).map_err(|e| refused(e.to_string()))?;
    let mut turns = turns(&description).map_err(|e| refused(e.to_string()))?;
    if order.is_none_or(|order| order != CHANNELS_FIRST) {
        turns.retain(|_, turn| *turn == Turn::Kernel);
    }
    let mut model = filled(path, contents, description, &turns)?;
    if let Some(epoch) = epoch {
        model.epoch = Some(epoch.as_u64().ok_or_else(|| refused(format!("expected an epoch, got {epoch}")))?);
    }
    Ok(model)
}

impl Model {
    /// A model from the tensors of a safetensors file that `PyTorch` wrote, the state of the same layers: kernels
    /// `[filters, channels, window…]`, and the inputs of a dense layer after a flatten channels first. Tensors that the
    /// model has no variable for are left out.
    ///
    /// # Errors
    /// When the file cannot be read, or a variable is missing in it or of another shape; when `PyTorch` programs differ in
    /// the order of features that a flatten of such a model makes.
    pub fn from_pytorch(description: Description, path: &Path) -> Result<Self> {
        let contents = file::read("read the weights", path)?;
        let turns = turns(&description)?;
        filled(path, &contents, description, &turns)
    }
}

/// A model of the tensors of a file, each turned from `PyTorch`'s order where it is among `turns`.
fn filled(
    path: &Path,
    contents: &[u8],
    description: Description,
    turns: &HashMap<String, Turn>,
) -> Result<Model> {
    let refused = |error: Error| Error::format(path, error.to_string());
    let mut values = HashMap::new();
    for variable in description.declare().map_err(refused)? {
        let name = variable.name;
        if let Some(value) = data::safetensors::decode(path, contents, &name)? {
            let turned = turns.get(&name).map(|turn| turn.undo(&value)).transpose()?;
            values.insert(name, turned.unwrap_or(value).cast(variable.dtype));
        }
    }
    Model::new(description, |name| values.get(name).cloned()).map_err(refused)
}
