//! The section `[train]` of a recipe.

use super::Objective;
use crate::data::{Blocks, LastBatch};
use crate::loss::Loss;
use crate::metric::Metric;
use crate::optim::{Average, Group, Rule, paths};
use crate::train::{Augment, EarlyStopping, Monitor};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Declares [`Train`] from the table of its keys. The text before a key is its row in docs/recipes.md, and the
/// attributes after it control how it is read and written.
macro_rules! train {
    (
        $(#[$attribute:meta])*
        pub struct Train {
            $(
                $(#[doc = $doc:literal])+
                $key:ident: $Type:ty $(, #[$serde:meta])?;
            )+
        }
    ) => {
        $(#[$attribute])*
        pub struct Train {
            $(
                $(#[doc = $doc])+
                $(#[$serde])?
                pub $key: $Type,
            )+
        }

        impl Train {
            /// Each key with its documentation.
            #[cfg(test)]
            pub(super) const REFERENCE: &'static [(&'static str, &'static str)] =
                &[$((stringify!($key), concat!($($doc),+))),+];
        }
    };
}

train! {
    /// See [`Trainer`](crate::train::Trainer) and [`Optimizer`](crate::optim::Optimizer) for the meaning of the keys.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct Train {
        /// see below; absent where there are `objectives`. The cross-entropies and the hinge loss take the outputs of
        /// the last layer directly: a softmax or sigmoid at the end is refused
        loss: Option<Loss>, #[serde(default, skip_serializing_if = "Option::is_none")];
        /// in place of `loss`, a loss for each of several outputs, by the names of their figures: see Nodes above
        objectives: BTreeMap<String, Objective>, #[serde(default, skip_serializing_if = "BTreeMap::is_empty")];
        /// see below
        optimizer: Rule;
        /// rows in each step; 32 if absent
        batch_size: usize, #[serde(default = "batch_size")];
        /// passes over all training rows; 10 if absent
        epochs: u64, #[serde(default = "epochs")];
        /// how an epoch's last batch ends: `mask` (filled with rows that do not count), `fill` (with rows that count),
        /// `drop`
        last_batch: LastBatch, #[serde(default)];
        /// whether each epoch has an order of its own
        shuffle: bool, #[serde(default = "yes")];
        /// shuffles neighbouring rows together, for data that is expensive to read row by row: `{ rows = 256, window = 16 }`
        /// shuffles blocks of 256 rows, and then all rows of every 16 blocks; see Data larger than memory above
        shuffle_blocks: Option<Blocks>, #[serde(default, skip_serializing_if = "Option::is_none")];
        /// whether each epoch shows every class equally often
        balance: bool, #[serde(default)];
        /// how pictures are changed before each step: a list, see below
        augment: Vec<Augment>, #[serde(default, skip_serializing_if = "Vec::is_empty")];
        /// sends the rows of each call to the device with it, in place of all rows before the run. On if absent where
        /// several processes train, which each send their own rows only
        stream: Option<bool>, #[serde(default, skip_serializing_if = "Option::is_none")];
        /// determines all randomness of the run; 1 if absent
        seed: u64, #[serde(default = "seed")];
        /// the bound of each number of the gradient
        clip_value: Option<f64>, #[serde(default, skip_serializing_if = "Option::is_none")];
        /// the bound of the gradient's length
        clip_norm: Option<f64>, #[serde(default, skip_serializing_if = "Option::is_none")];
        /// decay towards zero by the sign of the weights
        l1: f64, #[serde(default)];
        /// the number of batches that share an update, made with the mean gradient of all their rows: 4 batches of 32
        /// train as one of 128. At the end of an epoch the remaining batches make an update of their own. Schedules
        /// count batches, not updates
        accumulate: usize, #[serde(default = "one")];
        /// keeps a moving average of the weights, which is evaluated and exported in their place: its decay, or `{
        /// decay = 0.999, debias = false }`. It moves with every update; `debias` (on if absent) leaves the random
        /// first weights out of it
        average: Option<Average>, #[serde(default, skip_serializing_if = "Option::is_none")];
        /// factors on `learning_rate` and `weight_decay` for the parts that `name`, a path as in `freeze`, matches; a
        /// `learning_rate` of 0 freezes it
        groups: Vec<Group>, #[serde(default, skip_serializing_if = "Vec::is_empty")];
        /// parts that are not trained, a list of paths: `"0"` or `0` is layer 0 with everything in it, `"0.weight"` one
        /// variable, `"bias"` every bias. They do not move at all, neither by decay nor in averages; a frozen batch
        /// norm normalises by its running statistics, which stay as they are
        freeze: Vec<String>, #[serde(default, deserialize_with = "paths", skip_serializing_if = "Vec::is_empty")];
        /// for how many epochs `freeze` holds; to the end if absent. Thawed parts begin with fresh moments, and their
        /// steps are counted from then on
        freeze_epochs: Option<u64>, #[serde(default, skip_serializing_if = "Option::is_none")];
        /// layers compute in bf16, see Mixed precision below
        mixed_precision: bool, #[serde(default)];
        /// the parts of the model whose intermediate results are computed again for the gradients instead of kept, a list
        /// of paths as `summary` shows them: `[3, "5.layers.0"]`, or the names of nodes. Less memory, more arithmetic,
        /// the same result
        recompute: Vec<String>, #[serde(default, deserialize_with = "paths", skip_serializing_if = "Vec::is_empty")];
        /// how many steps run in one call of the device; chosen by the size of a step if absent
        steps_per_call: Option<usize>, #[serde(default, skip_serializing_if = "Option::is_none")];
        /// the figures that each epoch and the closing table show besides the loss, such as `["accuracy", "f1-macro"]`:
        /// see Figures below
        metrics: Vec<Metric>, #[serde(default, skip_serializing_if = "Vec::is_empty")];
        /// the probability, before any calibration, above which the second of two classes, or a label, counts as
        /// predicted; 0.5 if absent
        threshold: f64, #[serde(default = "half", skip_serializing_if = "is_half")];
        /// the figure that chooses the best epoch: `validation-loss` (the default), `validation-` and a figure, as in
        /// `validation-roc-auc`; of the training rows `loss` (without validation rows) and `accuracy`; or `last`, for
        /// the last epoch. Of equal figures, the lower loss decides
        monitor: Option<Monitor>, #[serde(default, skip_serializing_if = "Option::is_none")];
        /// `{ patience = 5, min_delta = 0.0 }`
        early_stopping: Option<EarlyStopping>, #[serde(default, skip_serializing_if = "Option::is_none")];
        /// seconds between two checkpoints on disk, besides the one at the end; 10 if absent
        checkpoint_seconds: f64, #[serde(default = "checkpoint_seconds")];
        /// how many of the last epochs keep their states as `epoch-N.safetensors` besides `best` and `last`; 0 if absent
        keep_checkpoints: usize, #[serde(default)];
    }
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
