//! Checkpoints as safetensors files: a tensor for each variable, and as metadata what the model is and where the run was.

use crate::array::Array;
use crate::data::safetensors;
use crate::error::{Error, Result};
use crate::file;
use crate::model::{Description, Model};
use crate::train::{Checkpoint, Position};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;

/// A checkpoint with the description of its model.
///
/// ```
/// # use neural::{Array, data::{Dataset, Splits, Targets}, nn, runtime::Device, train::Trainer};
/// # let inputs = Array::new(&[4, 1], vec![-2f32, -1.0, 1.0, 2.0])?;
/// # let splits = Splits { train: vec![0, 1, 2, 3], ..Splits::default() };
/// # let data = Dataset::new(inputs, Targets::numbered(vec![0, 0, 1, 1])?, splits)?;
/// # let device = Device::cpu()?;
/// # let trainer = Trainer::new(nn::sequential([nn::dense(2)])).epochs(2);
/// use neural::runs::Saved;
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("a.safetensors");
/// let mut run = trainer.start(&device, &data)?;
/// let saved = Saved { checkpoint: (*run.checkpoint()?).clone(), description: run.description() };
/// saved.write(&path)?;
/// assert_eq!(Saved::read(&path)?.description, saved.description);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Saved {
    pub checkpoint: Checkpoint,
    pub description: Description,
}

/// Under this key the file says, as JSON, what model it is of and where the run was.
const KEY: &str = "neural.checkpoint";

#[derive(Serialize, Deserialize)]
struct Metadata<D> {
    model: D,
    position: Position,
}

/// Writes a checkpoint's file.
pub(super) fn write(path: &Path, checkpoint: &Checkpoint, description: &Description) -> Result<()> {
    let metadata = Metadata { model: description, position: checkpoint.position };
    let text = serde_json::to_string(&metadata)
        .map_err(|e| Error::format(path, format!("the checkpoint cannot be written: {e}")))?;
    let tensors: Vec<(&str, &Array)> =
        checkpoint.tensors.iter().map(|(name, array)| (name.as_str(), array)).collect();
    file::write(path, &safetensors::encode(&tensors, Some((KEY, &text)))?)
}

impl Saved {
    /// ```
    /// assert!(neural::runs::Saved::read("Cargo.toml".as_ref()).is_err());
    /// ```
    ///
    /// # Errors
    /// When the file cannot be read, is damaged, or is not a checkpoint.
    pub fn read(path: &Path) -> Result<Self> {
        let contents = std::fs::read(path).map_err(|e| Error::io("read the checkpoint", path, e))?;
        let damaged = |e: &dyn std::fmt::Display| {
            Error::format(path, format!("expected a checkpoint, got a damaged or foreign file: {e}"))
        };
        let text = safetensors::text(path, &contents, KEY)
            .map_err(|_| damaged(&"it was cut off, or is no safetensors file"))?;
        let text = text.ok_or_else(|| damaged(&"it does not say of which model it is"))?;
        let Metadata::<Description> { model, position } =
            serde_json::from_str(&text).map_err(|e| damaged(&e))?;
        let mut tensors = Vec::new();
        for name in safetensors::names(path, &contents)? {
            if let Some(array) = safetensors::decode(path, &contents, &name)? {
                tensors.push((name, array));
            }
        }
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(Self { checkpoint: Checkpoint { position, tensors }, description: model })
    }

    /// ```
    /// # use neural::{Array, data::{Dataset, Splits, Targets}, nn, runtime::Device, train::Trainer};
    /// # let inputs = Array::new(&[4, 1], vec![-2f32, -1.0, 1.0, 2.0])?;
    /// # let splits = Splits { train: vec![0, 1, 2, 3], ..Splits::default() };
    /// # let data = Dataset::new(inputs, Targets::numbered(vec![0, 0, 1, 1])?, splits)?;
    /// # let device = Device::cpu()?;
    /// # let trainer = Trainer::new(nn::sequential([nn::dense(2)])).epochs(2);
    /// # use neural::runs::Saved;
    /// # let folder = tempfile::tempdir()?;
    /// # let mut run = trainer.start(&device, &data)?;
    /// # let saved = Saved { checkpoint: (*run.checkpoint()?).clone(), description: run.description() };
    /// saved.write(&folder.path().join("a.safetensors"))?;
    /// assert!(folder.path().join("a.safetensors").is_file());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        write(path, &self.checkpoint, &self.description)
    }

    /// The model that was kept, or its moving average where one was.
    ///
    /// ```
    /// # use neural::{Array, data::{Dataset, Splits, Targets}, nn, runtime::Device, train::Trainer};
    /// # let inputs = Array::new(&[4, 1], vec![-2f32, -1.0, 1.0, 2.0])?;
    /// # let splits = Splits { train: vec![0, 1, 2, 3], ..Splits::default() };
    /// # let data = Dataset::new(inputs, Targets::numbered(vec![0, 0, 1, 1])?, splits)?;
    /// # let device = Device::cpu()?;
    /// # let trainer = Trainer::new(nn::sequential([nn::dense(2)])).epochs(2);
    /// # use neural::runs::Saved;
    /// # let folder = tempfile::tempdir()?;
    /// # let mut run = trainer.start(&device, &data)?;
    /// # let saved = Saved { checkpoint: (*run.checkpoint()?).clone(), description: run.description() };
    /// assert_eq!(saved.model()?.variables.len(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When the tensors are not those of the described model.
    pub fn model(self) -> Result<Model> {
        let tensors: HashMap<String, Array> = self.checkpoint.tensors.into_iter().collect();
        let find =
            |name: &str| tensors.get(&format!("average.{name}")).or_else(|| tensors.get(name)).cloned();
        Model::new(self.description, find)
    }
}
