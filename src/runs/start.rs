//! Where a run begins in its folder: anew, or from a checkpoint, which is refused if it belongs to another run.

use super::history::lines;
use super::{Folder, History, Saved, Which};
use crate::data::{Dataset, Fingerprint};
use crate::error::{Error, Result};
use crate::model::Description;
use crate::runtime::Device;
use crate::train::{Epoch, Run};
use std::path::PathBuf;

/// The starting point of a run in its folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// From the last checkpoint; at the beginning where there are no results yet.
    #[default]
    Last,
    /// From a checkpoint; later epochs are repeated.
    From(Which),
    /// At the beginning; the run's results are removed.
    Anew,
}

impl<'a> Run<'a> {
    /// The run of a folder as its last checkpoint left it, on the data that [`Recipe::load`](crate::recipe::Recipe::load)
    /// reads. Nothing is written into the folder; [`Session`](super::Session) trains there.
    ///
    /// # Errors
    /// When the folder holds no run or no checkpoint, or the run was of another model or other data.
    pub fn load(folder: impl Into<PathBuf>, device: &Device, data: &'a Dataset) -> Result<Self> {
        let folder = Folder::open(folder)?;
        let mut run = folder.recipe()?.trainer().start(device, data)?;
        begin(&mut run, &folder, Start::From(Which::Last), &data.fingerprint())?;
        Ok(run)
    }
}

/// A run's history when it starts.
pub(super) struct Begun {
    pub epochs: Vec<Epoch>,
    /// Remarks for the user.
    pub notes: Vec<String>,
}

/// Restores the run to its start. Nothing is changed on the disk unless the run starts over.
pub(super) fn begin(run: &mut Run, folder: &Folder, start: Start, data: &Fingerprint) -> Result<Begun> {
    let which = match start {
        Start::Anew => {
            folder.clear()?;
            None
        }
        Start::From(which) => Some(which),
        Start::Last if folder.checkpoint_file(Which::Last).exists() => Some(Which::Last),
        Start::Last => {
            refuse_missing(folder)?;
            None
        }
    };
    let Some(which) = which else { return Ok(Begun { epochs: Vec::new(), notes: Vec::new() }) };
    let saved = read(folder, which)?;
    check(&saved, run, folder, which, data)?;
    let begun_anew = run.restore(&saved.checkpoint).map_err(|e| {
        let reason = format!("the checkpoint is not of this recipe: {e}");
        refused(folder.checkpoint_file(which), reason, ["put the recipe back".into()])
    })?;
    check_epochs(run, folder)?;
    let mut begun = behind(saved, run, folder);
    if !begun_anew.is_empty() {
        begun.notes.push(format!(
            "{} were frozen when the checkpoint was made, so it has no optimizer state for them: that starts anew",
            begun_anew.join(", ")
        ));
    }
    Ok(begun)
}

/// The error for a refused start, with the user's choices; starting over is always one.
fn refused(path: PathBuf, reason: String, choices: impl IntoIterator<Item = String>) -> Error {
    let anew = "start over with --restart, which removes the run's results".to_string();
    Error::Resume { path, reason, choices: choices.into_iter().chain([anew]).collect() }
}

/// The choices of continuing from one of the existing checkpoints.
fn others(folder: &Folder, without: Which) -> Vec<String> {
    let mut others = folder.checkpoints().unwrap_or_default();
    others.retain(|which| *which != without);
    others.iter().map(|which| format!("continue with --from {which}")).collect()
}

/// Without its last checkpoint a run with results would start over and overwrite them.
fn refuse_missing(folder: &Folder) -> Result<()> {
    let (epochs, others) = (History::read(folder)?.len(), others(folder, Which::Last));
    if epochs == 0 && others.is_empty() {
        return Ok(());
    }
    let reason = format!("the file is missing, though the run has a history of {epochs} epochs");
    Err(refused(folder.checkpoint_file(Which::Last), reason, others))
}

fn read(folder: &Folder, which: Which) -> Result<Saved> {
    let path = folder.checkpoint_file(which);
    if !path.exists() {
        return Err(refused(path, "there is no such checkpoint".into(), others(folder, which)));
    }
    folder.checkpoint(which).map_err(|error| match error {
        Error::Format { path, message } => refused(path, message, others(folder, which)),
        other => other,
    })
}

/// Refuses a checkpoint of another model or other data.
fn check(saved: &Saved, run: &Run, folder: &Folder, which: Which, data: &Fingerprint) -> Result<()> {
    let refuse = |reason: String, choice: &str| {
        Err(refused(folder.checkpoint_file(which), reason, [choice.to_string()]))
    };
    let (then, now) = (&saved.description, run.description());
    if then.layers != now.layers || then.link != now.link {
        let reason = "the recipe has another model than the checkpoint was made with";
        return refuse(reason.into(), "put the model back");
    }
    let mut changes = saved.data.as_ref().map_or_else(Vec::new, |then| then.changes(data));
    if changes.is_empty() {
        changes = described_changes(then, &now);
    }
    if !changes.is_empty() {
        let reason = format!("the data has changed since the run began: {}", changes.join(", "));
        return refuse(reason, "name the place of the data that it began with by --data PATH");
    }
    Ok(())
}

/// The differences of the data as far as the models' descriptions record it.
fn described_changes(then: &Description, now: &Description) -> Vec<String> {
    let parts = [
        ("the form of its samples differs", then.sample == now.sample && then.dtype == now.dtype),
        ("its scaling differs", then.scaling == now.scaling),
        ("its columns differ", then.columns == now.columns),
        ("its classes differ", then.classes == now.classes),
        ("its other inputs or targets differ", then.others == now.others),
    ];
    parts.iter().filter(|(_, same)| !same).map(|(what, _)| (*what).to_string()).collect()
}

/// Refuses a run that is to have fewer epochs than it has done.
fn check_epochs(run: &Run, folder: &Folder) -> Result<()> {
    let (asked, steps) = (run.trainer().epochs, run.steps_per_epoch() as u64);
    if run.step() <= asked.saturating_mul(steps) {
        return Ok(());
    }
    let done = (100.0 * run.step() as f64 / steps as f64).round() / 100.0;
    let reason = format!("{done} epochs are done, and {asked} were asked for");
    Err(refused(folder.path().to_path_buf(), reason, ["ask for more".into()]))
}

/// The epochs behind a run, and where they are from.
fn behind(saved: Saved, run: &Run, folder: &Folder) -> Begun {
    let done = run.epochs_reported();
    let mut notes = Vec::new();
    // A history that cannot be read counts as none: its files are rewritten.
    let mut filed = History::read(folder).unwrap_or_default();
    let dropped = filed.iter().filter(|epoch| epoch.number > done).count();
    filed.retain(|epoch| epoch.number <= done);
    filed.dedup_by_key(|epoch| epoch.number);
    let epochs = match saved.epochs {
        Some(epochs) => {
            // As text: NaN is not equal to itself.
            let text = |epochs: &[Epoch]| lines(folder.path(), epochs).ok();
            if text(&epochs) != text(&filed) {
                let held = filed.len();
                notes.push(format!(
                    "the history held {held} of {done} epochs unharmed; it was made anew from the checkpoint"
                ));
            }
            epochs
        }
        None => filed,
    };
    if (epochs.len() as u64) < done {
        let lost = done - epochs.len() as u64;
        notes.push(format!(
            "the history lacks {lost} of the {done} epochs that are done; it continues without them"
        ));
    }
    let (step, steps) = (run.step(), run.steps_per_epoch() as u64);
    if step == run.trainer().epochs * steps && run.epochs_reported() == run.trainer().epochs {
        notes.push(format!("all {done} epochs are done; a larger --epochs continues"));
    } else if step > 0 {
        let again = match dropped {
            0 => String::new(),
            1 => "; one epoch of the history is done again".into(),
            n => format!("; {n} epochs of the history are done again"),
        };
        notes.push(format!("going on in epoch {}, after {step} steps{again}", run.epoch() + 1));
    }
    Begun { epochs, notes }
}
