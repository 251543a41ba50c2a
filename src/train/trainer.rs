//! The settings of a training run.

use super::augment::Augment;
use super::goal::Goal;
use super::plan::{self, Plan};
use super::run::Run;
use super::targets::stored;
use crate::array::{Array, DType};
use crate::data::{Blocks, Dataset, InputView, LastBatch};
use crate::error::{Error, Result};
use crate::graph::Type;
use crate::loss::{Loss, softmax_cross_entropy};
use crate::metric::Metric;
use crate::model::{Description, Trained};
use crate::nn::Network;
use crate::optim::{Optimizer, sgd};
use crate::runtime::Device;
use std::borrow::Cow;

/// The settings of a training run. Nothing happens before [`Trainer::start`].
///
/// ```
/// use neural::{nn, optim, train::Trainer};
/// let model = nn::sequential([nn::flatten(), nn::dense(10)]);
/// let trainer = Trainer::new(model).optimizer(optim::adam(1e-3)).batch_size(128).epochs(20);
/// assert_eq!((trainer.batch_size, trainer.epochs), (128, 20));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Trainer {
    /// The network.
    pub model: Network,
    /// The loss of its only output.
    pub loss: Loss,
    /// Values with which variables begin, by their names; the others begin at random.
    pub begin: Vec<(String, Array)>,
    /// The goals of several outputs, in place of `loss`.
    pub goals: Vec<Goal>,
    /// The update rule with its learning rate.
    pub optimizer: Optimizer,
    /// Rows a step; at least 1.
    pub batch_size: usize,
    /// Passes over the training rows.
    pub epochs: u64,
    /// How a last batch with fewer rows is treated.
    pub last_batch: LastBatch,
    /// Whether each epoch visits the rows in a new order.
    pub shuffle: bool,
    /// Shuffles by blocks of neighbouring rows in place of all rows together, see [`crate::data::block_order`].
    pub shuffle_blocks: Option<Blocks>,
    /// Whether each epoch visits every class equally often, see [`crate::data::balanced`].
    pub balance: bool,
    /// How pictures are changed before each step.
    pub augment: Vec<Augment>,
    /// Whether the rows of each call are copied to the device with it, because not all of them fit there. The next call's
    /// rows are copied while this one computes. If absent, only several processes do so, each with its own rows. Rows
    /// that are read when needed are always streamed.
    pub stream: Option<bool>,
    /// The seed of all randomness: initial weights, order, augmentation, dropout.
    pub seed: u64,
    /// Layers compute in bf16, and add up in f32. Variables, norms, softmax and losses stay f32.
    pub mixed_precision: bool,
    /// The paths of parts of the model, such as `3` or the name of a node, whose results are computed again for their
    /// gradients rather than kept: less memory for more arithmetic, see
    /// [`Graph::recomputed`](crate::graph::Graph::recomputed).
    pub recompute: Vec<String>,
    /// How many devices share each batch in equal parts. The result equals a single device's, to rounding.
    pub devices: usize,
    /// How many steps run in one call of the device; chosen by the size of a step if absent.
    pub steps_per_call: Option<usize>,
    /// The figures of the validation rows that each epoch is reported with; the task's usual ones if empty.
    pub metrics: Vec<Metric>,
    /// The probability above which the second of two classes, or a label, counts as predicted.
    pub threshold: f64,
}

impl Trainer {
    /// Softmax cross-entropy, gradient descent at a rate of 0.1, batches of 32, one epoch, shuffled, seed 1.
    pub fn new(model: impl Into<Network>) -> Self {
        Self {
            model: model.into(),
            loss: softmax_cross_entropy(),
            begin: Vec::new(),
            goals: Vec::new(),
            optimizer: sgd(0.1),
            batch_size: 32,
            epochs: 1,
            last_batch: LastBatch::Mask,
            shuffle: true,
            shuffle_blocks: None,
            balance: false,
            augment: Vec::new(),
            stream: None,
            seed: 1,
            mixed_precision: false,
            recompute: Vec::new(),
            devices: 1,
            steps_per_call: None,
            metrics: Vec::new(),
            threshold: 0.5,
        }
    }

    /// The loss that training minimises.
    #[must_use]
    pub fn loss(self, loss: Loss) -> Self {
        Self { loss, ..self }
    }

    /// How gradients become updates.
    #[must_use]
    pub fn optimizer(self, optimizer: impl Into<Optimizer>) -> Self {
        Self { optimizer: optimizer.into(), ..self }
    }

    /// The rows of each step.
    #[must_use]
    pub fn batch_size(self, batch_size: usize) -> Self {
        Self { batch_size, ..self }
    }

    /// The number of passes over the training rows.
    #[must_use]
    pub fn epochs(self, epochs: u64) -> Self {
        Self { epochs, ..self }
    }

    /// How the last batch of an epoch ends.
    #[must_use]
    pub fn last_batch(self, last_batch: LastBatch) -> Self {
        Self { last_batch, ..self }
    }

    /// See [`Trainer::shuffle`](field@Trainer::shuffle).
    #[must_use]
    pub fn shuffle(self, shuffle: bool) -> Self {
        Self { shuffle, ..self }
    }

    /// See [`Trainer::shuffle_blocks`](field@Trainer::shuffle_blocks).
    #[must_use]
    pub fn shuffle_blocks(self, blocks: Blocks) -> Self {
        Self { shuffle_blocks: Some(blocks), ..self }
    }

    /// See [`Trainer::balance`](field@Trainer::balance).
    #[must_use]
    pub fn balance(self, balance: bool) -> Self {
        Self { balance, ..self }
    }

    /// See [`Trainer::augment`](field@Trainer::augment).
    #[must_use]
    pub fn augment(self, augment: impl IntoIterator<Item = Augment>) -> Self {
        Self { augment: augment.into_iter().collect(), ..self }
    }

    /// See [`Trainer::stream`](field@Trainer::stream).
    #[must_use]
    pub fn stream(self, stream: bool) -> Self {
        Self { stream: Some(stream), ..self }
    }

    /// See [`Trainer::seed`](field@Trainer::seed).
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// See [`Trainer::devices`](field@Trainer::devices).
    #[must_use]
    pub fn devices(self, devices: usize) -> Self {
        Self { devices, ..self }
    }

    /// See [`Trainer::steps_per_call`](field@Trainer::steps_per_call).
    #[must_use]
    pub fn steps_per_call(self, steps: usize) -> Self {
        Self { steps_per_call: Some(steps), ..self }
    }

    /// Makes layers compute in bf16, see [`Trainer::mixed_precision`](field@Trainer::mixed_precision).
    #[must_use]
    pub fn mixed_precision(self, mixed_precision: bool) -> Self {
        Self { mixed_precision, ..self }
    }

    /// Computes parts of the model again for their gradients, see [`Trainer::recompute`](field@Trainer::recompute).
    #[must_use]
    pub fn recompute<P: Into<String>>(self, paths: impl IntoIterator<Item = P>) -> Self {
        Self { recompute: paths.into_iter().map(Into::into).collect(), ..self }
    }

    /// The probability above which the second of two classes, or a label, counts as predicted.
    #[must_use]
    pub fn threshold(self, threshold: f64) -> Self {
        Self { threshold, ..self }
    }

    /// Sets the initial values of variables by name, for example from [`export::weights`](crate::export::weights).
    #[must_use]
    pub fn begin(self, values: impl IntoIterator<Item = (String, Array)>) -> Self {
        Self { begin: values.into_iter().collect(), ..self }
    }

    /// The figures that each epoch is reported with.
    #[must_use]
    pub fn metrics(self, metrics: impl IntoIterator<Item = Metric>) -> Self {
        Self { metrics: metrics.into_iter().collect(), ..self }
    }

    /// Copies data and initial weights to the device. The first of several processes calls it, and the others
    /// [`Trainer::follow`].
    ///
    /// # Errors
    /// When a setting is out of range, the model does not fit the data, the device lacks memory, or several processes
    /// do not begin with the same data and weights.
    pub fn start<'a>(&self, device: &Device, data: &'a Dataset) -> Result<Run<'a>> {
        match device.processes() {
            None => self.start_alone(device, data),
            Some(processes) if processes.is_first() => Run::lead(self.start_alone(device, data), processes),
            Some(_) => Err(Error::value("start", "the first of several processes", "another; see follow")),
        }
    }

    /// Called in every process but the first: follows the first process's [`Run`] until that is dropped. Returns at
    /// once where the first one could not start.
    ///
    /// # Errors
    /// Any error of its own part; when its data or initial weights differ from the first process's, or its weights
    /// differ after an epoch.
    pub fn follow(&self, device: &Device, data: &Dataset) -> Result<()> {
        match device.processes().filter(|processes| !processes.is_first()) {
            Some(processes) => Run::follow(self.start_alone(device, data), processes),
            None => Err(Error::value("follow", "one of several processes but the first", "the first")),
        }
    }

    fn start_alone<'a>(&self, device: &Device, data: &'a Dataset) -> Result<Run<'a>> {
        let mut run = Run::new(self.clone(), device, data)?;
        self.begin.iter().try_for_each(|(name, value)| run.assign(name, value))?;
        Ok(run)
    }

    /// Whether rows are copied to the device with each call: if set, or if they are not in memory.
    pub(super) fn streams(&self, data: &Dataset) -> bool {
        self.stream == Some(true) || !data.is_in_memory()
    }

    /// Whether each epoch visits its rows in a new order.
    pub(super) fn is_reordered(&self) -> bool {
        self.shuffle || self.balance
    }

    pub(super) fn plan(&self, data: &Dataset) -> Result<Plan> {
        let rows = data.splits.train.len();
        let is_whole = rows.is_multiple_of(self.batch_size.max(1));
        let ty = |array: &Array| Type::new(array.dtype(), array.shape());
        let input = |input: InputView| plan::Input {
            name: input.name.to_string(),
            sample: Type::new(input.values.dtype(), input.sample()),
            scaling: (!input.scaling.is_none()).then(|| ty(&input.scaling.mean)),
        };
        Ok(Plan {
            model: self.model.clone(),
            inputs: data.all_inputs().map(input).collect(),
            targets: data.all_targets().filter_map(|target| stored(target.targets)).collect(),
            heads: self.goals().iter().map(|goal| goal.head(self, data)).collect::<Result<_>>()?,
            optimizer: self.optimizer.clone(),
            augment: self.augment.clone(),
            recompute: self.recompute.clone(),
            compute: if self.mixed_precision { DType::BF16 } else { DType::F32 },
            resident: (!self.streams(data)).then(|| data.rows()),
            replicas: self.devices,
            part: self.batch_size / self.devices.max(1),
            is_masked: self.last_batch == LastBatch::Mask && !is_whole,
            is_repeated: rows <= self.batch_size && !self.is_reordered() && self.augment.is_empty(),
        })
    }

    /// The description of a model trained on this data.
    ///
    /// # Errors
    /// When a goal names a target that the data does not have.
    pub fn describe(&self, data: &Dataset) -> Result<Description> {
        let goals = self.goals();
        let mut trained: Vec<Trained> = Vec::new();
        for goal in goals.iter() {
            trained.push((&goal.name, &goal.output, &goal.loss, goal.target_of(data)?));
        }
        Description::of_goals(&self.model, &trained, data)
    }

    /// The goals; for a model with one output the goal of [`Trainer::loss`].
    pub(crate) fn goals(&self) -> Cow<'_, [Goal]> {
        if !self.goals.is_empty() {
            return Cow::Borrowed(&self.goals);
        }
        let outputs = self.model.outputs();
        let output = outputs.first().copied().unwrap_or_default();
        Cow::Owned(vec![Goal::new("", output, self.loss.clone(), "")])
    }

    /// Gives one of several outputs a loss and a target, see [`Goal`].
    #[must_use]
    pub fn goal(mut self, goal: Goal) -> Self {
        self.goals.push(goal);
        self
    }
}
