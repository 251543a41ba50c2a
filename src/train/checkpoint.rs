//! The state of a run at one moment.

use crate::array::Array;
use crate::data::safetensors;
use crate::error::{Error, Result};
use crate::file;
use crate::variables::Variable;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The whole state of a run: a run restored from it continues as if there had been no break, bit for bit on a CPU.
///
/// ```
/// # use neural::{Array, data::{Dataset, Splits, Targets}, nn, runtime::Device, train::Trainer};
/// # let inputs = Array::new(&[4, 1], vec![-2f32, -1.0, 1.0, 2.0])?;
/// # let splits = Splits { train: vec![0, 1, 2, 3], ..Splits::default() };
/// # let data = Dataset::new(inputs, Targets::numbered(vec![0, 0, 1, 1])?, splits)?;
/// # let device = Device::cpu()?;
/// # let trainer = Trainer::new(nn::sequential([nn::dense(2)])).epochs(2);
/// let mut run = trainer.start(&device, &data)?;
/// let start = run.checkpoint()?;
/// run.advance(1)?;
/// run.restore(&start)?;
/// assert_eq!(run.step(), 0);
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Checkpoint {
    /// Epoch and step, from which the run continues.
    pub position: Position,
    /// All variables by name, in any order: parameters, running statistics, the optimizer's state.
    pub tensors: Vec<(String, Array)>,
}

/// The key of a run's position, as JSON, in a checkpoint's file.
pub(crate) const KEY: &str = "neural.checkpoint";

/// The part of that text that every checkpoint has.
#[derive(Serialize, Deserialize)]
struct Metadata {
    position: Position,
}

impl Checkpoint {
    /// Writes a safetensors file of the tensors, with the position in its metadata.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        file::write(path, &self.encode()?)
    }

    /// The contents of its file.
    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        let text = serde_json::to_string(&Metadata { position: self.position })
            .map_err(|e| Error::value("checkpoint", "a position that can be written", e))?;
        let tensors: Vec<_> = self.tensors.iter().map(|(name, array)| (name.as_str(), array)).collect();
        safetensors::encode(&tensors, Some((KEY, &text)))
    }

    /// # Errors
    /// When the file cannot be read, or is no checkpoint.
    pub fn read(path: &Path) -> Result<Self> {
        Self::decode(path, &file::read("read the checkpoint", path)?)
    }

    /// The checkpoint whose file, at `path`, has these contents.
    pub(super) fn decode(path: &Path, contents: &[u8]) -> Result<Self> {
        let foreign = |e: String| Error::format(path, format!("expected a checkpoint: {e}"));
        let text = safetensors::text(path, contents, KEY)?
            .ok_or_else(|| foreign(format!("there is no {KEY} in the file's metadata")))?;
        let Metadata { position } = serde_json::from_str(&text).map_err(|e| foreign(e.to_string()))?;
        Ok(Self { position, tensors: safetensors::all(path, contents)? })
    }

    /// The values of `variables`, in order. Other tensors are an error, except those whose names `is_needless` accepts.
    pub(crate) fn values(
        &self,
        variables: &[Variable],
        is_needless: impl Fn(&str) -> bool,
    ) -> Result<Vec<&Array>> {
        let unknown = |name: &str| variables.iter().all(|v| v.name != name) && !is_needless(name);
        if let Some((name, _)) = self.tensors.iter().find(|(name, _)| unknown(name)) {
            return Err(Error::shape("checkpoint", "the variables of this model and optimizer", name));
        }
        let value = |name: &str| self.tensors.iter().find(|(n, _)| n == name).map(|(_, array)| array);
        let checked = |variable: &Variable| match value(&variable.name) {
            Some(array) if array.shape() == variable.shape && array.dtype() == variable.dtype => Ok(array),
            other => {
                let expected = format!("{:?} {:?}", variable.dtype, variable.shape);
                let got =
                    other.map_or("no such variable".into(), |a| format!("{:?} {:?}", a.dtype(), a.shape()));
                Err(Error::shape(variable.name.clone(), expected, got).at("checkpoint of another model"))
            }
        };
        variables.iter().map(checked).collect()
    }
}

/// The position of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Position {
    /// Steps done since the beginning of the run.
    pub step: u64,
    /// How many steps run in one call of the device.
    pub steps_per_call: usize,
    /// Rows in a batch; 0 in a checkpoint from before this was kept.
    #[serde(default)]
    pub batch_size: usize,
    /// Steps in an epoch; 0 in a checkpoint from before this was kept.
    #[serde(default)]
    pub steps_per_epoch: usize,
    /// Running totals of the current epoch.
    pub so_far: SoFar,
}

/// Sums over the steps of an epoch that is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SoFar {
    /// The losses of its rows, each as often as the row weighs.
    pub loss: f64,
    /// The total weight of the rows; 0 in old checkpoints without the field, where every row weighed 1.
    #[serde(default)]
    pub weight: f64,
    /// Rows that were classified correctly.
    pub right: u64,
    /// The number of answers; 0 in old checkpoints without the field, where there was one a row.
    #[serde(default)]
    pub answers: u64,
    /// Rows seen.
    pub rows: u64,
    /// The seconds of training.
    pub seconds: f64,
}
