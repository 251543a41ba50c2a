//! Where a run begins in its folder: anew, or from a checkpoint, which is refused where it is not of this run.

use super::history::lines;
use super::{Folder, History, Saved, Which};
use crate::data::Fingerprint;
use crate::error::{Error, Result};
use crate::model::Description;
use crate::train::{Epoch, Run};

/// Where a run begins in its folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// From the last checkpoint; at the beginning where the run has reached nothing yet.
    #[default]
    Last,
    /// From a checkpoint; what the run has reached after it is done again.
    From(Which),
    /// At the beginning; what the run has reached is removed.
    Anew,
}

/// What a run has behind it when it begins.
pub(super) struct Begun {
    pub epochs: Vec<Epoch>,
    /// What its user should know.
    pub notes: Vec<String>,
}

const RESTART: &str = "--restart begins anew and removes what the run has reached";

/// Puts the run where it goes on from. Nothing is changed on the disk unless the start is asked to be anew.
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
    let saved = folder.checkpoint(which).map_err(|e| with_choices(e, folder, which))?;
    check(&saved, run, folder, which, data)?;
    run.restore(&saved.checkpoint).map_err(|e| {
        let message = format!(
            "the checkpoint is not of this recipe: {e}; nothing is changed: put the recipe back, or {RESTART}"
        );
        Error::format(&folder.checkpoint_file(which), message)
    })?;
    check_epochs(run, folder)?;
    Ok(behind(saved, run, folder))
}

/// Without its last checkpoint a run that has reached something would begin anew and overwrite it.
fn refuse_missing(folder: &Folder) -> Result<()> {
    let (epochs, others) = (History::read(folder)?.len(), folder.checkpoints()?);
    if epochs == 0 && others.is_empty() {
        return Ok(());
    }
    let message = format!("there is none, though the run has a history of {epochs} epochs");
    Err(with_choices(Error::format(&folder.checkpoint_file(Which::Last), message), folder, Which::Last))
}

/// An error about a checkpoint, and what can be done without it.
fn with_choices(error: Error, folder: &Folder, without: Which) -> Error {
    let mut others = folder.checkpoints().unwrap_or_default();
    others.retain(|which| *which != without);
    let from: Vec<String> = others.iter().map(|which| format!("--from {which}")).collect();
    let choices = match &from[..] {
        [] => RESTART.to_string(),
        from => format!("{} goes on from there, {RESTART}", from.join(" or ")),
    };
    match error {
        Error::Format { path, message } => Error::Format { path, message: format!("{message}; {choices}") },
        other => other,
    }
}

/// Refuses a checkpoint of another model or other data.
fn check(saved: &Saved, run: &Run, folder: &Folder, which: Which, data: &Fingerprint) -> Result<()> {
    let refuse = |what: String| {
        let message = format!("{what}; nothing is changed: put it back, or {RESTART}");
        Err(Error::format(&folder.checkpoint_file(which), message))
    };
    let (then, now) = (&saved.description, run.description());
    if then.layers != now.layers || then.link != now.link {
        return refuse("the recipe has another model than the checkpoint was made with".into());
    }
    let mut changes = saved.data.as_ref().map_or_else(Vec::new, |then| then.changes(data));
    if changes.is_empty() {
        changes = described_changes(then, &now);
    }
    if !changes.is_empty() {
        let moved = "--data PATH names the place of the data that it began with";
        return refuse(format!("the data has changed since the run began: {} ({moved})", changes.join(", ")));
    }
    Ok(())
}

/// In what the data differs as the models know it.
fn described_changes(then: &Description, now: &Description) -> Vec<String> {
    let parts = [
        ("the form of its samples differs", then.sample == now.sample && then.dtype == now.dtype),
        ("its scaling differs", then.scaling == now.scaling),
        ("its columns differ", then.columns == now.columns),
        ("its classes differ", then.classes == now.classes),
    ];
    parts.iter().filter(|(_, same)| !same).map(|(what, _)| (*what).to_string()).collect()
}

/// Refuses a run that is to have fewer epochs than it has done.
fn check_epochs(run: &Run, folder: &Folder) -> Result<()> {
    let (asked, steps) = (run.trainer().epochs, run.steps_per_epoch() as u64);
    if run.step() <= asked.saturating_mul(steps) {
        return Ok(());
    }
    let done = run.step() as f64 / steps as f64;
    let message = format!(
        "{done} epochs are done, and {asked} were asked for; nothing is changed: ask for more, or {RESTART}"
    );
    Err(Error::format(folder.path(), message))
}

/// The epochs behind a run, and where they are from.
fn behind(saved: Saved, run: &Run, folder: &Folder) -> Begun {
    let done = run.epochs_reported();
    let mut notes = Vec::new();
    // A history that cannot be read is as good as none: its files are made anew.
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
            "the history lacks {lost} of the {done} epochs that are done; it goes on without them"
        ));
    }
    let (step, steps) = (run.step(), run.steps_per_epoch() as u64);
    if step == run.trainer().epochs * steps && run.epochs_reported() == run.trainer().epochs {
        notes.push(format!("all {done} epochs are done; --epochs with a larger number goes on"));
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
