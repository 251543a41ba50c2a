//! The state of a run at one moment.

use crate::array::Array;
use serde::{Deserialize, Serialize};

/// Everything that a run goes on from: a run that is given it back computes what it would have computed without the
/// break, bit for bit on a CPU.
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
pub struct Checkpoint {
    pub position: Position,
    /// All variables by name, in any order: parameters, running statistics, the optimizer's state.
    pub tensors: Vec<(String, Array)>,
}

/// Where in its course a run is.
///
/// ```
/// use neural::train::Position;
/// assert_eq!(Position::default().step, 0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
    /// What the epoch under way came to so far.
    pub so_far: SoFar,
}

/// Sums over the steps of an epoch that is under way.
///
/// ```
/// use neural::train::SoFar;
/// assert_eq!(SoFar::default().rows, 0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SoFar {
    /// The losses of its rows, each as often as the row weighs.
    pub loss: f64,
    /// What the rows weigh together; 0 in a checkpoint from before this was kept, when all weighed 1.
    #[serde(default)]
    pub weight: f64,
    /// Rows that were classified right.
    pub right: u64,
    pub rows: u64,
    /// Of training.
    pub seconds: f64,
}
