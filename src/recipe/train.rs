//! The section `[train]` of a recipe.

use super::Objective;
use crate::data::LastBatch;
use crate::loss::Loss;
use crate::metric::Metric;
use crate::optim::{Average, Group, Rule, paths};
use crate::train::{Augment, EarlyStopping, Monitor};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// See [`Trainer`](crate::train::Trainer) and [`Optimizer`](crate::optim::Optimizer) for the meaning of the keys.
///
/// ```
/// # let recipe = neural::recipe::Recipe::read("scripts/recipes/mnist.toml".as_ref(), &[])?;
/// assert_eq!((recipe.train.batch_size, recipe.train.seed), (256, 1));
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Train {
    /// Absent where there are `objectives`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<Loss>,
    /// What each output is trained to be, where there are several; by the names of their figures.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub objectives: BTreeMap<String, Objective>,
    pub optimizer: Rule,
    #[serde(default = "batch_size")]
    pub batch_size: usize,
    #[serde(default = "epochs")]
    pub epochs: u64,
    #[serde(default)]
    pub last_batch: LastBatch,
    #[serde(default = "yes")]
    pub shuffle: bool,
    #[serde(default)]
    pub balance: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub augment: Vec<Augment>,
    #[serde(default)]
    pub stream: bool,
    #[serde(default = "seed")]
    pub seed: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_value: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    #[serde(default)]
    pub l1: f64,
    #[serde(default = "one")]
    pub accumulate: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average: Option<Average>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Group>,
    /// The paths of what is not trained.
    #[serde(default, deserialize_with = "paths", skip_serializing_if = "Vec::is_empty")]
    pub freeze: Vec<String>,
    /// For how many epochs `freeze` holds; to the end if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freeze_epochs: Option<u64>,
    #[serde(default)]
    pub mixed_precision: bool,
    /// The paths of the parts of the model that are computed again for their gradients.
    #[serde(default, deserialize_with = "paths", skip_serializing_if = "Vec::is_empty")]
    pub recompute: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps_per_call: Option<usize>,
    /// The figures of the validation rows that each epoch is reported with; the task's usual ones if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
    /// The probability above which the second of two classes, or a label, counts as predicted: a plain one, before any
    /// temperature of a checkpoint, see [`Saved::threshold`](crate::runs::Saved::threshold).
    #[serde(default = "half", skip_serializing_if = "is_half")]
    pub threshold: f64,
    /// By what the best epoch is chosen; the validation loss, or without validation rows the loss, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitor: Option<Monitor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early_stopping: Option<EarlyStopping>,
    /// After so many seconds the state is kept on disk, and at the end in any case.
    #[serde(default = "checkpoint_seconds")]
    pub checkpoint_seconds: f64,
    /// After each epoch its state is kept as `epoch-N.safetensors`, and of these the last so many; 0 keeps none.
    #[serde(default)]
    pub keep_checkpoints: usize,
}

fn batch_size() -> usize {
    32
}

fn epochs() -> u64 {
    10
}

fn seed() -> u64 {
    1
}

fn checkpoint_seconds() -> f64 {
    10.0
}

fn one() -> usize {
    1
}

fn half() -> f64 {
    0.5
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_half(value: &f64) -> bool {
    *value == 0.5
}

fn yes() -> bool {
    true
}
