//! Values with which a model begins, from the file of another one.

use super::pytorch::turns;
use crate::array::Array;
use crate::data::safetensors;
use crate::error::{Error, Result};
use crate::file;
use crate::model::Description;
use crate::optim::average_name;
use crate::train::CHECKPOINT_KEY;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// Those tensors of a safetensors file that the model has variables for, by the variables' names. `rename` changes the
/// beginnings of the names in the file, the longest that fits first.
///
/// Kernels, and what follows a flatten, are in `PyTorch`'s order and are turned, except in checkpoints of a run.
///
/// # Errors
/// When the file is no safetensors file, none of its tensors has a variable, or one that has is of another shape.
pub fn weights(
    path: &Path,
    rename: &BTreeMap<String, String>,
    description: &Description,
) -> Result<Vec<(String, Array)>> {
    let contents = file::read("read the weights", path)?;
    // The tensors of a run's checkpoint are in this library's own order.
    let is_own = safetensors::text(path, &contents, CHECKPOINT_KEY)?.is_some();
    let turns = if is_own { HashMap::new() } else { turns(description)? };
    let names = safetensors::names(path, &contents)?;
    let mut known: BTreeMap<String, &String> = BTreeMap::new();
    for name in &names {
        let renamed = renamed(name, rename);
        if let Some(other) = known.insert(renamed.clone(), name) {
            let message =
                format!("expected a tensor for {renamed}, got {other} and {name}; see model.rename");
            return Err(Error::format(path, message));
        }
    }
    let mut values = Vec::new();
    let variables = description.declare()?;
    for variable in &variables {
        // What a run that keeps a moving average evaluates.
        let average = average_name(&variable.name);
        let Some(name) = known.get(&average).or_else(|| known.get(&variable.name)) else { continue };
        let Some(value) = safetensors::decode(path, &contents, name)? else { continue };
        let value = match turns.get(&variable.name) {
            Some(turn) => turn.undo(&value)?,
            None => value,
        };
        if value.shape() != variable.shape {
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
        let (there, wanted) = (
            some(&mut names.iter().filter(|name| !name.starts_with("optimizer."))),
            some(&mut variables.iter().map(|variable| &variable.name)),
        );
        let message = format!(
            "expected tensors that the model has, such as {wanted}, got {there}, …; model.rename changes the beginnings \
             of names"
        );
        return Err(Error::format(path, message));
    }
    Ok(values)
}

fn renamed(name: &str, rename: &BTreeMap<String, String>) -> String {
    let fitting =
        rename.iter().filter_map(|(from, to)| Some((from.len(), to, name.strip_prefix(from.as_str())?)));
    match fitting.max_by_key(|(length, ..)| *length) {
        Some((_, to, rest)) => format!("{to}{rest}"),
        None => name.to_string(),
    }
}
