//! The state of a run at one moment.

use crate::array::Array;
use serde::{Deserialize, Serialize};

/// Everything that a run goes on from: a run that is given it back computes what it would have computed without the
/// break, bit for bit on a CPU.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    pub position: Position,
    /// All variables by name, in any order: parameters, running statistics, the optimizer's state.
    pub tensors: Vec<(String, Array)>,
}

/// Where in its course a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Steps done since the beginning of the run.
    pub step: u64,
    /// How many steps run in one call of the device.
    pub steps_per_call: usize,
    /// What the epoch under way came to so far.
    pub so_far: SoFar,
}

/// Sums over the steps of an epoch that is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SoFar {
    /// The losses of its rows.
    pub loss: f64,
    /// Rows that were classified right.
    pub right: u64,
    pub rows: u64,
    /// Of training.
    pub seconds: f64,
}
