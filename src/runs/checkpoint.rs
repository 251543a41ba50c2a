//! Checkpoints as safetensors files: a tensor for each variable, and as metadata the model's description and the run's
//! position.

use super::Folder;
use super::background::Job;
use super::history::{lines, parse};
use crate::array::Array;
use crate::data::{Fingerprint, safetensors};
use crate::error::{Error, Result};
use crate::file;
use crate::metric::Conformal;
use crate::model::{Description, Model, tempered};
use crate::optim::average_name;
use crate::train::{CHECKPOINT_KEY as KEY, Checkpoint, Epoch, Position};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A checkpoint with everything needed to continue from it: the model's description, the epochs so far, and the data's
/// fingerprint.
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
/// let saved = Saved {
///     checkpoint: run.checkpoint()?,
///     description: run.description(),
///     epochs: Some(Vec::new()),
///     data: Some(data.fingerprint()),
///     temperature: None,
///     conformal: None,
/// };
/// saved.write(&path)?;
/// let read = Saved::read(&path)?;
/// assert_eq!((&read.description, &read.data), (&saved.description, &saved.data));
/// assert_eq!(read.model()?.variables.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Saved {
    /// The state of training.
    pub checkpoint: Arc<Checkpoint>,
    /// The model, without its values.
    pub description: Description,
    /// The epochs up to the checkpoint; `None` in files from before they were kept.
    pub epochs: Option<Vec<Epoch>>,
    /// The fingerprint of the training data; `None` in old files without it.
    pub data: Option<Fingerprint>,
    /// The temperature that divides the model's scores, see [`Model::with_temperature`]. It belongs to these values: further
    /// training drops it.
    pub temperature: Option<f64>,
    /// The margins that widen the model's answers to hold the truth, see [`Conformal`]. They belong to these values and
    /// this temperature: further training or another temperature drops them.
    pub conformal: Option<Conformal>,
}

/// The epochs, as the lines of the history's file. They are a tensor of bytes, since metadata may not grow without
/// bound: readers of the format refuse more than 100 MB of it.
const EPOCHS: &str = "neural.history";

impl Model {
    /// Loads the model of a run, after its best epoch, or of one checkpoint.
    ///
    /// ```no_run
    /// use neural::{Array, DType, model::Model, runtime::Device};
    /// let model = Model::load("runs/mnist-1")?;
    /// let digits = Array::zeros(DType::U8, &[5, 28, 28]);
    /// println!("{:?}", model.predict(&Device::auto()?, &digits)?);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When `path` is neither the folder of a run with a checkpoint nor a checkpoint, or the file is damaged.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if path.is_dir() { Folder::open(path)?.model() } else { Saved::read(path)?.model() }
    }
}

#[derive(Serialize, Deserialize)]
struct Metadata<D> {
    model: D,
    position: Position,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<Fingerprint>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    conformal: Option<Conformal>,
}

impl Saved {
    /// # Errors
    /// When the file cannot be read, is damaged, or is not a checkpoint.
    pub fn read(path: &Path) -> Result<Self> {
        let contents = file::read("read the checkpoint", path)?;
        let damaged = |e: &dyn std::fmt::Display| {
            Error::format(path, format!("expected a checkpoint, got a damaged or foreign file: {e}"))
        };
        let text = safetensors::text(path, &contents, KEY)
            .map_err(|_| damaged(&"it was cut off, or is no safetensors file"))?;
        let text = text.ok_or_else(|| damaged(&"it does not describe its model"))?;
        let Metadata::<Description> { model, position, data, temperature, conformal } =
            serde_json::from_str(&text).map_err(|e| damaged(&e))?;
        let mut tensors = safetensors::all(path, &contents)?;
        let epochs = tensors.iter().position(|(name, _)| name == EPOCHS);
        let epochs = epochs.map(|place| parse(tensors.swap_remove(place).1.bytes()));
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        let checkpoint = Arc::new(Checkpoint { position, tensors });
        Ok(Self { checkpoint, description: model, epochs, data, temperature, conformal })
    }

    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        self.job(path.to_path_buf())?()
    }

    /// A job that writes the checkpoint, on any thread: everything but the tensors is prepared here.
    pub(super) fn job(&self, path: PathBuf) -> Result<Job> {
        let metadata = Metadata {
            model: &self.description,
            position: self.checkpoint.position,
            data: self.data.clone(),
            temperature: self.temperature,
            conformal: self.conformal.clone(),
        };
        let text = serde_json::to_string(&metadata)
            .map_err(|e| Error::format(&path, format!("the checkpoint cannot be written: {e}")))?;
        let epochs = self.epochs.as_ref().map(|epochs| lines(&path, epochs)).transpose()?;
        let epochs = epochs.map(|lines| Array::vector(lines.as_bytes()));
        let checkpoint = self.checkpoint.clone();
        Ok(Box::new(move || {
            let tensors = checkpoint.tensors.iter().map(|(name, array)| (name.as_str(), array));
            let tensors: Vec<_> = tensors.chain(epochs.iter().map(|array| (EPOCHS, array))).collect();
            file::write(&path, &safetensors::encode(&tensors, Some((KEY, &text)))?)
        }))
    }

    /// The last epoch that was done before the checkpoint; `None` before the first one, and in files from before the
    /// epochs were kept.
    pub fn epoch(&self) -> Option<u64> {
        self.epochs.as_ref()?.last().map(|epoch| epoch.number)
    }

    /// A threshold among the probabilities of this checkpoint's model. Runs keep their threshold among plain
    /// probabilities, before any temperature, since each checkpoint has its own temperature.
    pub fn threshold(&self, plain: f64) -> f64 {
        self.temperature.map_or(plain, |temperature| tempered(plain, temperature))
    }

    /// The model that was kept, or its moving average where one was, with its temperature.
    ///
    /// # Errors
    /// When the tensors do not match the described model, or it can have no temperature.
    pub fn model(self) -> Result<Model> {
        let Position { step, steps_per_epoch, .. } = self.checkpoint.position;
        // Within an epoch the weights are of none.
        let is_between = steps_per_epoch == 0 || step.is_multiple_of(steps_per_epoch as u64);
        let epoch = self.epoch().filter(|_| is_between);
        let tensors: HashMap<String, Array> =
            Arc::unwrap_or_clone(self.checkpoint).tensors.into_iter().collect();
        let find = |name: &str| tensors.get(&average_name(name)).or_else(|| tensors.get(name)).cloned();
        let mut model = Model::new(self.description, find)?;
        model.epoch = epoch;
        match self.temperature {
            Some(temperature) => model.with_temperature(temperature),
            None => Ok(model),
        }
    }
}
