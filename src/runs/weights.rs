//! Which of a run's weights something is said of.

use super::{Folder, History, Which};
use crate::error::Result;
use crate::train::Monitor;
use serde::Serialize;
use std::fmt;

/// The epoch after which a run had these weights, and by what it was chosen.
///
/// ```
/// use neural::runs::Weights;
/// use neural::train::Monitor;
/// let best = Weights { epoch: Some(7), by: Monitor::ValidationLoss };
/// assert_eq!(best.to_string(), "weights of epoch 7, the best by validation-loss");
/// assert_eq!(Weights { epoch: Some(9), by: Monitor::Last }.to_string(), "weights of epoch 9, the last");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Weights {
    /// From 1; `None` before the first epoch is done.
    pub epoch: Option<u64>,
    /// By what the epoch was chosen.
    pub by: Monitor,
}

impl Weights {
    /// Those that [`Folder::model`] reads, or those at the end of the run.
    ///
    /// # Errors
    /// When the run's recipe or history cannot be read.
    pub fn of(folder: &Folder, at_the_end: bool) -> Result<Self> {
        let epochs = History::read(folder)?;
        let by = if at_the_end || !folder.checkpoint_file(Which::Best).is_file() {
            Monitor::Last
        } else {
            let has_validation = epochs.iter().any(|epoch| epoch.validation.is_some());
            Monitor::chosen(folder.recipe()?.train.monitor, has_validation)
        };
        Ok(Self { epoch: by.best(&epochs).map(|epoch| epoch.number), by })
    }
}

impl fmt::Display for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.epoch, self.by) {
            (None, _) => f.write_str("weights before the end of the first epoch"),
            (Some(epoch), Monitor::Last) => write!(f, "weights of epoch {epoch}, the last"),
            (Some(epoch), by) => write!(f, "weights of epoch {epoch}, the best by {by}"),
        }
    }
}
