//! Logs of a run for other programs: TensorBoard's event files and MLflow's runs.

use crate::cli::figures;
use crate::mlflow;
use crate::recipe::Recipe;
use crate::runs::{Ending, Folder, Session};
use crate::tensorboard;
use crate::train::{Epoch, Monitor};
use std::path::Path;
use toml::Value;

/// The requested logs of a run.
pub(super) struct Logs {
    tensorboard: Option<tensorboard::Writer>,
    mlflow: Option<mlflow::Writer>,
    /// The pending write, which every later write waits for: an error ends the run after the event that met it.
    pub failed: crate::Result<()>,
}

/// The logs to write.
#[derive(Clone, Copy, Default)]
pub(in crate::cli) struct Wanted<'a> {
    /// Whether event files are written into the run's folder.
    pub tensorboard: bool,
    /// The folder of MLflow's runs.
    pub mlflow: Option<&'a Path>,
}

impl Logs {
    /// The logs of a run that is about to begin or resume.
    pub fn begin(wanted: Wanted, recipe: &Recipe, session: &Session) -> crate::Result<Self> {
        let folder = session.folder().path();
        let tensorboard = if wanted.tensorboard { Some(tensorboard::Writer::create(folder)?) } else { None };
        let mut mlflow = match wanted.mlflow {
            Some(store) => Some(in_mlflow(store, session)?),
            None => None,
        };
        if let Some(log) = &mut mlflow {
            let table: toml::Table = toml::from_str(&recipe.to_toml()?)
                .map_err(|error| crate::Error::format(folder, error.to_string()))?;
            settings(log, "", &Value::Table(table))?;
            session.history().epochs().iter().try_for_each(|epoch| to_mlflow(log, epoch))?;
        }
        Ok(Self { tensorboard, mlflow, failed: Ok(()) })
    }

    pub fn epoch(&mut self, epoch: &Epoch) {
        let tensorboard = self.tensorboard.as_mut().map_or(Ok(()), |log| figures::log(log, epoch));
        let mut mlflow = || self.mlflow.as_mut().map_or(Ok(()), |log| to_mlflow(log, epoch));
        self.failed = tensorboard.and_then(|()| mlflow());
    }

    /// Records how the run ended; `None` after an error.
    pub fn end(mut self, ending: Option<Ending>) -> crate::Result<()> {
        let ending = match ending {
            Some(Ending::Finished | Ending::StoppedEarly) => mlflow::Ending::Finished,
            Some(Ending::Interrupted) => mlflow::Ending::Killed,
            None => mlflow::Ending::Failed,
        };
        let ended = self.mlflow.as_mut().map_or(Ok(()), |log| log.end(ending));
        self.failed.and(ended)
    }
}

/// The run in a folder of MLflow's. The experiment has the name of the recipe, as the run's folder has it.
fn in_mlflow(store: &Path, session: &Session) -> crate::Result<mlflow::Writer> {
    let folder = session.folder();
    let group = folder.path().parent().and_then(|parent| Folder::open(parent).ok());
    let name = match &group {
        Some(group) => format!("{}/{}", group.name(), folder.name()),
        None => folder.name(),
    };
    let of_all = group.as_ref().unwrap_or(folder).name();
    let experiment = match of_all.rsplit_once('-') {
        Some((recipe, number)) if number.parse::<u32>().is_ok() => recipe,
        _ => &of_all,
    };
    let goes_on = !session.history().epochs().is_empty();
    mlflow::Writer::open(store, &mlflow::Run { experiment, name: &name, files: folder.path(), goes_on })
}

/// An epoch's figures under their names in the history.
fn to_mlflow(log: &mut mlflow::Writer, epoch: &Epoch) -> crate::Result<()> {
    let mut metric = |name: &str, value: f64| log.metric(name, epoch.number, value);
    metric("loss", epoch.loss)?;
    if let Some(accuracy) = epoch.accuracy {
        metric("accuracy", accuracy)?;
    }
    if let Some(validation) = &epoch.validation {
        metric("validation-loss", validation.loss)?;
        for (figure, value) in validation.figures.iter() {
            metric(&Monitor::Validation(figure).to_string(), value)?;
        }
    }
    metric("learning_rate", epoch.learning_rate)?;
    metric("samples_per_second", epoch.samples_per_second)
}

/// The keys of the recipe as parameters, `train.optimizer.adam.learning_rate`.
fn settings(log: &mut mlflow::Writer, key: &str, value: &Value) -> crate::Result<()> {
    match value {
        Value::Table(table) => table.iter().try_for_each(|(name, value)| {
            let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
            settings(log, &key, value)
        }),
        Value::String(text) => log.param(&plain(key), text),
        value => log.param(&plain(key), &value.to_string()),
    }
}

/// A key as MLflow allows it, which names files after it: letters, digits, and `_ - . : /` and spaces.
fn plain(key: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-. ".contains(c);
    let key: String = key.chars().map(|c| if allowed(c) { c } else { '_' }).collect();
    key.trim_start_matches('.').to_string()
}
