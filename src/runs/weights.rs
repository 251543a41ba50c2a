//! Which of a run's weights a figure refers to.

use super::{Folder, Saved, Which};
use crate::error::Result;
use crate::train::Monitor;
use serde::Serialize;
use std::fmt;

/// The epoch after which a run had these weights, and the figure that chose it.
///
/// ```
/// use neural::runs::Weights;
/// use neural::train::Monitor;
/// let best = Weights { epoch: Some(7), by: Some(Monitor::ValidationLoss) };
/// assert_eq!(best.to_string(), "weights of epoch 7, the best by validation-loss");
/// assert_eq!(Weights { epoch: Some(9), by: Some(Monitor::Last) }.to_string(), "weights of epoch 9, the last");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Weights {
    /// The number of the epoch, from 1; `None` before the first epoch is done.
    pub epoch: Option<u64>,
    /// The figure that chose the epoch; `None` where the user named the epoch.
    pub by: Option<Monitor>,
}

impl Weights {
    /// The weights of `saved`, which [`Folder::chosen`] read for `which`.
    ///
    /// # Errors
    /// When the checkpoint of the best epoch is missing, or the run's recipe or history cannot be read.
    pub fn of(folder: &Folder, which: Option<Which>, saved: &Saved) -> Result<Self> {
        let which = folder.which(which)?;
        if let Which::Epoch(number) = which {
            return Ok(Self { epoch: Some(number), by: None });
        }
        let (monitor, epochs) = folder.monitored()?;
        let by = if which == Which::Last { Monitor::Last } else { monitor };
        let epoch = match saved.epochs {
            Some(_) => saved.epoch(),
            None => by.best(&epochs).map(|epoch| epoch.number),
        };
        Ok(Self { epoch, by: Some(by) })
    }
}

impl fmt::Display for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.epoch, self.by) {
            (None, _) => f.write_str("weights before the end of the first epoch"),
            (Some(epoch), None) => write!(f, "weights of epoch {epoch}"),
            (Some(epoch), Some(Monitor::Last)) => write!(f, "weights of epoch {epoch}, the last"),
            (Some(epoch), Some(by)) => write!(f, "weights of epoch {epoch}, the best by {by}"),
        }
    }
}
