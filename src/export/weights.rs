//! Initial values of a model from another model's file.

use super::pytorch::turns;
use crate::array::Array;
use crate::data::safetensors;
use crate::error::{Error, Result};
use crate::file;
use crate::model::Description;
use crate::nn::Architecture;
use crate::optim::average_name;
use crate::train::CHECKPOINT_KEY;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// The tensors of a safetensors file that the model has variables for, by the variables' names. `rename` replaces
/// prefixes of the names in the file, the longest matching one first.
///
/// Kernels, and dense weights after a flatten, are in `PyTorch`'s order and are transposed, except in checkpoints of a
/// run. Axes of length 1 before all others, as in a table of positions `[1, length, features]`, make no difference.
///
/// # Errors
/// When the file is no safetensors file, none of its tensors has a variable, or one that has is of another shape.
pub fn weights(
    path: &Path,
    rename: &BTreeMap<String, String>,
    description: &Description,
) -> Result<Vec<(String, Array)>> {
    read(path, rename, description, None)
}

/// As [`weights`], from a file with the names of torchvision or timm, or of a run of this library. `rename` maps the
/// file's names to torchvision's or timm's. A last layer for another number of outputs is left out.
///
/// # Errors
/// As [`weights`].
pub fn weights_of(
    architecture: &Architecture,
    path: &Path,
    rename: &BTreeMap<String, String>,
    description: &Description,
) -> Result<Vec<(String, Array)>> {
    read(path, rename, description, Some(architecture))
}

fn read(
    path: &Path,
    rename: &BTreeMap<String, String>,
    description: &Description,
    architecture: Option<&Architecture>,
) -> Result<Vec<(String, Array)>> {
    let contents = file::read("read the weights", path)?;
    // The tensors of a run's checkpoint are in this library's own order.
    let is_own = safetensors::text(path, &contents, CHECKPOINT_KEY)?.is_some();
    let turns = if is_own { HashMap::new() } else { turns(description)? };
    let own_names = architecture.filter(|_| !is_own).map(Architecture::names).unwrap_or_default();
    let head = architecture.map(Architecture::head);
    let names = safetensors::names(path, &contents)?;
    let mut known: BTreeMap<String, &String> = BTreeMap::new();
    for name in &names {
        let renamed = renamed(&renamed(name, rename), &own_names);
        if let Some(other) = known.insert(renamed.clone(), name) {
            let message =
                format!("expected a tensor for {renamed}, got {other} and {name}; see model.rename");
            return Err(Error::format(path, message));
        }
    }
    let mut values = Vec::new();
    let variables = description.declare()?;
    for variable in &variables {
        // A run that keeps a moving average evaluates it.
        let average = average_name(&variable.name);
        let Some(name) = known.get(&average).or_else(|| known.get(&variable.name)) else { continue };
        let Some(value) = safetensors::decode(path, &contents, name)? else { continue };
        let value = match turns.get(&variable.name) {
            Some(turn) => turn.undo(&value)?,
            None => value,
        };
        let value = without_leading_ones(value, &variable.shape)?;
        if value.shape() != variable.shape {
            if head.as_ref().is_some_and(|head| variable.name.starts_with(head)) {
                continue;
            }
            let message = format!(
                "{name}: expected {:?} for {}, got {:?}; to begin it anew, let model.rename give the tensor a name that the \
                 model does not have",
                variable.shape,
                variable.name,
                value.shape()
            );
            return Err(Error::format(path, message));
        }
        values.push((variable.name.clone(), value.cast(variable.dtype)));
    }
    if values.is_empty() {
        let some = |names: &mut dyn Iterator<Item = &String>| {
            names.take(3).map(String::as_str).collect::<Vec<_>>().join(", ")
        };
        let there = some(&mut names.iter().filter(|name| !name.starts_with("optimizer.")));
        let wanted = match own_names.is_empty() {
            true => some(&mut variables.iter().map(|variable| &variable.name)),
            false => some(&mut own_names.keys()),
        };
        let message = format!(
            "expected tensors that the model has, such as {wanted}, got {there}, …; model.rename changes the beginnings \
             of names"
        );
        return Err(Error::format(path, message));
    }
    Ok(values)
}

/// `value` in `shape`, where the two differ in nothing but the number of axes of length 1 before all others.
fn without_leading_ones(value: Array, shape: &[usize]) -> Result<Array> {
    let own = |shape: &[usize]| shape.iter().skip_while(|&&length| length == 1).copied().collect::<Vec<_>>();
    match own(value.shape()) == own(shape) {
        true => value.reshape(shape),
        false => Ok(value),
    }
}

fn renamed(name: &str, rename: &BTreeMap<String, String>) -> String {
    let fitting =
        rename.iter().filter_map(|(from, to)| Some((from.len(), to, name.strip_prefix(from.as_str())?)));
    match fitting.max_by_key(|(length, ..)| *length) {
        Some((_, to, rest)) => format!("{to}{rest}"),
        None => name.to_string(),
    }
}
