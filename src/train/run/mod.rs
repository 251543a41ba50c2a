//! A training run on a device: its state, and the programs that move it on.

mod batches;
mod processes;
mod programs;
mod state;
mod trace;

use batches::Batches;
use processes::Command;
pub use programs::Compiled;
pub(super) use trace::DATA;
use trace::Tracer;

use super::Trainer;
use super::checkpoint::{Checkpoint, SoFar};
use super::evaluation::Evaluation;
use super::evaluator::Evaluator;
use super::feed::Feed;
use super::head::Head;
use super::memory;
use super::metrics;
use super::monitor::Monitor;
use super::plan::Plan;
use super::program;
use super::replica::{Replica, State};
use super::score::{Evaluations, Score};
use crate::array::{Array, DType, count};
use crate::data::rows::Reader;
use crate::data::{Dataset, Order};
use crate::error::{Error, Result};
use crate::metric::{Metric, Task};
use crate::model::Description;
use crate::runtime::{Buffer, Device, Processes, Program};
use crate::variables::{Variable, read_by_evaluation};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The result of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Step {
    /// The mean loss over the rows of the batch that count, before the step moved the parameters.
    pub loss: f32,
    /// The total weight of the rows in the mean: their number, unless the loss has class weights.
    pub weight: f64,
    /// How many answers were correct; 0 where targets are values or there are several.
    pub right: u32,
    /// The number of answers: one a row, or one for each position that counts; 0 as for `right`.
    pub answers: u32,
    /// How many rows counted.
    pub rows: u32,
}

/// A model in training. Data and variables stay on the device; a call of [`Run::advance`] runs steps there.
///
/// ```
/// use neural::{Array, data::{Dataset, Splits, Targets}, nn, runtime::Device, train::Trainer};
/// let inputs = Array::new(&[4, 1], vec![-2f32, -1.0, 1.0, 2.0])?;
/// let splits = Splits { train: vec![0, 1, 2, 3], ..Splits::default() };
/// let data = Dataset::new(inputs, Targets::numbered(vec![0, 0, 1, 1])?, splits)?;
/// let device = Device::cpu()?;
/// let trainer = Trainer::new(nn::sequential([nn::dense(2)])).epochs(2);
/// let mut run = trainer.start(&device, &data)?;
/// let steps = run.advance(1)?;
/// assert_eq!((run.step(), steps[0].rows), (1, 4));
/// println!("{}", run.evaluate(&data.splits.train)?);
/// # Ok::<(), neural::Error>(())
/// ```
pub struct Run<'a> {
    trainer: Trainer,
    plan: Arc<Plan>,
    device: Device,
    data: &'a Dataset,
    evaluator: Evaluator<'a>,
    description: Description,
    /// The figures that each epoch reports.
    metrics: Vec<Metric>,
    variables: Vec<Variable>,
    state: State,
    replicas: Vec<Replica>,
    /// One for each replica.
    feeds: Vec<Arc<Feed<'a>>>,
    /// Steps done since the beginning of the run.
    step: u64,
    /// Running totals of the current epoch.
    pub(super) so_far: SoFar,
    /// The order of the current epoch.
    order: Order,
    order_epoch: u64,
    /// The batches on the devices: the last ones, or, where rows are streamed, the next ones.
    batches: Option<Arc<Batches>>,
    steps_per_call: Option<usize>,
    /// The other processes, of the first of several.
    others: Option<Processes>,
    /// Training programs by their number of steps.
    programs: HashMap<usize, Program>,
    tracer: Option<Tracer>,
    /// The compiled programs that were not yet reported.
    pub(super) compiled: VecDeque<Compiled>,
    /// The last checkpoint of this run, and its time.
    pub(super) remembered: Option<(Arc<Checkpoint>, Instant)>,
}

impl fmt::Debug for Run<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("trainer", &self.trainer)
            .field("device", &self.device)
            .field("step", &self.step)
            .finish_non_exhaustive()
    }
}

impl<'a> Run<'a> {
    pub(super) fn new(mut trainer: Trainer, device: &Device, data: &'a Dataset) -> Result<Self> {
        if device.processes().is_some_and(|processes| processes.count() > 1) {
            trainer.stream.get_or_insert(true);
        }
        trainer.optimizer.check()?;
        trainer.check(data)?;
        if trainer.devices == 0 || !trainer.batch_size.is_multiple_of(trainer.devices) {
            let expected = format!("a number by which the batch of {} can be divided", trainer.batch_size);
            return Err(Error::value("devices", expected, trainer.devices));
        }
        // Refuses a batch that no program can be made for.
        let order = batches::order(&trainer, data, 0)?;
        let plan = Arc::new(trainer.plan(data)?);
        let variables = program::declare(&*plan)?.0;
        trainer.optimizer.check_paths(&variables)?;
        let (_, summary, shapes) = trainer.model.declare(DType::F32, &data.sample_shapes())?;
        trainer.check_recompute(&summary)?;
        let description = trainer.describe(data)?;
        memory::check(&trainer, &plan, &variables, device, data)?;
        let replicas = Replica::all(device, trainer.devices, trainer.seed)?;
        if replicas.len() > 1 && data.reader.as_ref().is_some_and(Reader::is_sequential) {
            // The replicas would restart the sequence by turns, as each reads at another place.
            let expected = "1 in a process, as the rows come one after another";
            return Err(Error::value("devices", expected, replicas.len()));
        }
        let is_streamed = trainer.streams(data);
        let feed = |replica: &Replica| Ok(Arc::new(Feed::new(&replica.device, data, is_streamed, &trainer)?));
        let feeds = replicas.iter().map(feed).collect::<Result<Vec<_>>>()?;
        let of_model = variables.iter().filter(|variable| variable.role.is_of_model()).cloned().collect();
        let feed = feeds[0].clone();
        let evaluator = Evaluator::new(&trainer, device, data, plan.clone(), feed, (of_model, shapes))?
            .among(device.processes());
        let metrics = metrics::chosen(&trainer, evaluator.tasks())?;
        let initial: Vec<Array> = variables.iter().map(|v| v.initial(trainer.seed)).collect();
        let state = State::upload(&replicas, &initial)?;
        Ok(Self {
            trainer,
            plan,
            device: device.clone(),
            data,
            evaluator,
            description,
            metrics,
            variables,
            state,
            replicas,
            feeds,
            step: 0,
            so_far: SoFar::default(),
            order,
            order_epoch: 0,
            batches: None,
            steps_per_call: None,
            others: None,
            programs: HashMap::new(),
            tracer: None,
            compiled: VecDeque::new(),
            remembered: None,
        })
    }

    /// The settings of the run.
    pub fn trainer(&self) -> &Trainer {
        &self.trainer
    }

    /// The data that the run trains on.
    pub fn data(&self) -> &'a Dataset {
        self.data
    }

    /// How many numbers the model outputs for a row.
    pub fn outputs(&self) -> usize {
        self.evaluator.shapes().iter().map(|shape| count(shape)).sum()
    }

    /// How many numbers a model with one goal outputs for a row, or for each position of one.
    pub(crate) fn width(&self) -> Option<usize> {
        let [head] = &self.plan.heads[..] else { return None };
        self.evaluator.shapes()[head.output].last().copied()
    }

    /// The task of the model; of several goals, the first.
    pub fn task(&self) -> Task {
        self.tasks().first().copied().unwrap_or(Task::Values)
    }

    /// Whether each answer is a class, of a model with one goal.
    pub(super) fn is_of_classes(&self) -> bool {
        matches!(self.plan.heads[..], [Head { classes: 1.., .. }])
    }

    /// The task of each goal.
    pub fn tasks(&self) -> &[Task] {
        self.evaluator.tasks()
    }

    /// The figures that each epoch is reported with.
    pub fn metrics(&self) -> &[Metric] {
        &self.metrics
    }

    /// Whether an epoch can be chosen by this.
    pub fn has(&self, monitor: Monitor) -> bool {
        match monitor {
            Monitor::Validation(metric) => metrics::check(metric, &self.trainer, self.tasks()).is_ok(),
            Monitor::Accuracy => self.is_of_classes(),
            Monitor::Last | Monitor::Loss | Monitor::ValidationLoss => true,
        }
    }

    /// Adds this figure to the report of each epoch.
    ///
    /// # Errors
    /// When there is no such figure of the task.
    pub fn watch(&mut self, metric: Metric) -> Result<()> {
        metrics::check(metric, &self.trainer, self.tasks())?;
        if !self.metrics.contains(&metric) {
            self.metrics.push(metric);
        }
        Ok(())
    }

    /// Steps done since the beginning of the run.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// The number of batches of an epoch.
    pub fn steps_per_epoch(&self) -> usize {
        self.order.steps()
    }

    /// The epoch, from 0, to which the next step belongs.
    pub fn epoch(&self) -> u64 {
        self.step / self.steps_per_epoch() as u64
    }

    /// The epochs that were done and reported, see [`Event::Epoch`](super::Event::Epoch).
    pub fn epochs_reported(&self) -> u64 {
        self.epoch() - u64::from(self.owes_epoch())
    }

    /// Whether the steps of an epoch are done and it is not yet reported.
    pub(super) fn owes_epoch(&self) -> bool {
        self.left_in_epoch() == self.steps_per_epoch() && self.step > 0 && self.so_far.rows > 0
    }

    /// The steps of the current epoch that are still to come, all of them at its beginning.
    pub fn left_in_epoch(&self) -> usize {
        self.steps_per_epoch() - (self.step % self.steps_per_epoch() as u64) as usize
    }

    /// Runs `steps` training steps in one call of the device, over the ends of epochs.
    ///
    /// ```
    /// # use neural::{Array, data::{Dataset, Splits, Targets}, nn, runtime::Device, train::Trainer};
    /// # let inputs = Array::new(&[4, 1], vec![-2f32, -1.0, 1.0, 2.0])?;
    /// # let splits = Splits { train: vec![0, 1, 2, 3], ..Splits::default() };
    /// # let data = Dataset::new(inputs, Targets::numbered(vec![0, 0, 1, 1])?, splits)?;
    /// # let device = Device::cpu()?;
    /// # let trainer = Trainer::new(nn::sequential([nn::dense(2)])).epochs(2);
    /// let mut run = trainer.batch_size(2).start(&device, &data)?;
    /// assert_eq!(run.advance(5)?.len(), 5);
    /// assert_eq!((run.epoch(), run.left_in_epoch()), (2, 1));
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the program cannot be compiled or the device fails.
    pub fn advance(&mut self, steps: usize) -> Result<Vec<Step>> {
        self.compile_training(steps)?;
        // An error of reading rows must come before the other processes get the command.
        let batches = self.batches(self.step, steps)?;
        self.tell(&Command::Advance(steps), || Ok(None))?;
        let arguments = self.arguments(&batches)?;
        let Some(program) = self.programs.get(&steps) else {
            return Err(Error::value("steps", "a number of steps that was compiled", steps));
        };
        let metrics = self.state.advance(program, &arguments)?;
        self.step += steps as u64;
        if self.trainer.streams(self.data) {
            // While the device computes. A failed read is retried by the call that needs it, which returns the error.
            let _ = self.prepare(steps);
        }
        let [metrics] = &metrics[..] else {
            return Err(Error::shape("step", "a loss, a weight and a count", "other results"));
        };
        let metrics = metrics.download()?.to_vec::<f64>()?;
        let step = |(&[loss, weight, right, answers], &rows): (&[f64; 4], _)| Step {
            loss: loss as f32,
            weight,
            right: right as u32,
            answers: answers as u32,
            rows,
        };
        Ok(metrics.as_chunks().0.iter().zip(&batches.valid).map(step).collect())
    }

    /// The model's outputs and loss for some rows of the data, of a model with one goal.
    ///
    /// ```
    /// # use neural::{Array, data::{Dataset, Splits, Targets}, nn, runtime::Device, train::Trainer};
    /// # let inputs = Array::new(&[4, 1], vec![-2f32, -1.0, 1.0, 2.0])?;
    /// # let splits = Splits { train: vec![0, 1, 2, 3], ..Splits::default() };
    /// # let data = Dataset::new(inputs, Targets::numbered(vec![0, 0, 1, 1])?, splits)?;
    /// # let device = Device::cpu()?;
    /// # let trainer = Trainer::new(nn::sequential([nn::dense(2)])).epochs(2);
    /// let mut run = trainer.start(&device, &data)?;
    /// assert_eq!(run.evaluate(&[0, 3])?.labels(), [0, 1]);
    /// assert!(run.evaluate(&[]).is_err());
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When there are no rows, the model has several goals, or the program cannot be compiled or run.
    pub fn evaluate(&mut self, rows: &[u32]) -> Result<Evaluation> {
        self.evaluator.check_single()?;
        self.evaluate_all(rows)?.only()
    }

    /// The model's outputs and losses for some rows of the data, for each of its goals.
    ///
    /// # Errors
    /// When there are no rows, or the program cannot be compiled or run.
    pub fn evaluate_all(&mut self, rows: &[u32]) -> Result<Evaluations> {
        self.tell_evaluation(rows)?;
        let values = model_values(&self.variables, self.state.current()?);
        self.evaluator.measure(&values, rows)
    }

    /// The loss and the figures that epochs are reported with, for some rows of the data. Unlike [`Run::evaluate_all`] it
    /// keeps no outputs that it does not need.
    ///
    /// # Errors
    /// As [`Run::evaluate_all`].
    pub fn score(&mut self, rows: &[u32]) -> Result<Score> {
        self.tell_evaluation(rows)?;
        let values = model_values(&self.variables, self.state.current()?);
        self.evaluator.score(&values, rows, &self.metrics)
    }

    /// Compiles for an evaluation of these rows, and tells the other processes to take part.
    fn tell_evaluation(&mut self, rows: &[u32]) -> Result<()> {
        self.compile_evaluation(rows.len())?;
        if rows.is_empty() {
            return Ok(());
        }
        let rows = || Ok(Some(rows.iter().flat_map(|row| row.to_le_bytes()).collect()));
        self.tell(&Command::Evaluate, rows)
    }

    /// The part in an evaluation of a process that is not the first; the rows are as [`Command::Evaluate`] has them.
    fn evaluate_part(&mut self, rows: &[u8]) -> Result<()> {
        let rows: Vec<u32> = rows.as_chunks().0.iter().map(|row| u32::from_le_bytes(*row)).collect();
        let values = model_values(&self.variables, self.state.current()?);
        self.evaluator.run(&values, &rows, &mut 0, |_, _| Ok(()))
    }

    /// Whether all rows that count in step `step` are of classes whose weight is 0.
    pub(super) fn weighs_nothing(&mut self, step: u64) -> Result<bool> {
        let Order { rows, valid } = self.rows(step, 1)?;
        let (weights, labels) = (self.trainer.loss.class_weights(), self.data.targets.labels());
        let Some(labels) = labels.filter(|_| !weights.is_empty()) else { return Ok(false) };
        let weight = |row: &u32| weights.get(labels[*row as usize] as usize);
        Ok(rows.iter().zip(0..valid[0]).all(|(row, _)| weight(row) == Some(&0.0)))
    }

    /// Adds the results of steps to the epoch under way.
    pub(super) fn add(&mut self, steps: &[Step], time: Duration) {
        for step in steps {
            self.so_far.loss += f64::from(step.loss) * step.weight;
            self.so_far.weight += step.weight;
            self.so_far.right += u64::from(step.right);
            self.so_far.answers += u64::from(step.answers);
            self.so_far.rows += u64::from(step.rows);
        }
        self.so_far.seconds += time.as_secs_f64();
    }
}

/// The values that evaluation reads: the model's, or their moving averages where those are kept.
fn model_values<'v>(variables: &[Variable], values: &'v [Buffer]) -> Vec<&'v Buffer> {
    read_by_evaluation(variables).map(|i| &values[i]).collect()
}
