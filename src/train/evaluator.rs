//! Evaluation on a device: one program for any rows of a data set and any values of a model.

mod calls;

use super::evaluation::{Evaluation, task};
use super::feed::{Feed, MOST_BYTES};
use super::plan::Plan;
use super::run::Compiled;
use super::score::{Evaluations, Named, Score};
use super::{Goal, Trainer};
use crate::array::{Array, DType, count};
use crate::data::{Dataset, LastBatch, Order, epoch_order};
use crate::error::{Error, Result};
use crate::graph::flops;
use crate::metric::{ErrorSums, Metric, TargetMeans, Task, error_figures};
use crate::model::Model;
use crate::runtime::{Buffer, Device, Processes, Program};
use crate::variables::Variable;
use std::fmt;
use std::sync::Arc;

/// The max number of values that a call returns; a single step may exceed it.
const MOST_OUTPUTS: usize = 1 << 22;

/// Measures models on the rows of a data set: their losses and figures. The program is compiled once, with the first
/// evaluation, and serves any rows and any values, such as all checkpoints of a run.
///
/// ```
/// # use neural::{Array, data::{Dataset, Splits, Targets}, nn, runtime::Device, train::Trainer};
/// # let inputs = Array::new(&[4, 1], vec![-2f32, -1.0, 1.0, 2.0])?;
/// # let splits = Splits { train: vec![0, 1, 2, 3], ..Splits::default() };
/// # let data = Dataset::new(inputs, Targets::numbered(vec![0, 0, 1, 1])?, splits)?;
/// # let device = Device::cpu()?;
/// # let trainer = Trainer::new(nn::sequential([nn::dense(2)])).optimizer(neural::optim::sgd(1.0));
/// let mut run = trainer.start(&device, &data)?;
/// let before = run.model()?;
/// run.advance(1)?;
/// let mut evaluator = trainer.evaluator(&device, &data)?;
/// let rows = &data.splits.train;
/// let [before, after] = [before, run.model()?].map(|model| evaluator.evaluate(&model, rows));
/// assert!(after?.loss() < before?.loss());
/// # Ok::<(), neural::Error>(())
/// ```
pub struct Evaluator<'a> {
    device: Device,
    data: &'a Dataset,
    plan: Arc<Plan>,
    feed: Arc<Feed<'a>>,
    /// The model's variables, in the order in which the program reads their values.
    variables: Vec<Variable>,
    goals: Vec<Goal>,
    /// The task of each goal.
    tasks: Vec<Task>,
    /// The shape of each of the model's outputs for a row.
    shapes: Vec<Vec<usize>>,
    threshold: f64,
    /// Rows of a step.
    batch: usize,
    /// The program, with its number of steps.
    program: Option<(usize, Program)>,
    processes: Option<Processes>,
}

impl fmt::Debug for Evaluator<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evaluator")
            .field("goals", &self.goals)
            .field("tasks", &self.tasks)
            .field("device", &self.device)
            .finish_non_exhaustive()
    }
}

impl Trainer {
    /// An evaluator, on rows of `data`, of models that are trained like this. The rows are uploaded as they are needed.
    ///
    /// # Errors
    /// When a setting is out of range, or the model does not fit the data.
    pub fn evaluator<'a>(&self, device: &Device, data: &'a Dataset) -> Result<Evaluator<'a>> {
        self.check(data)?;
        let plan = Plan { resident: None, ..self.plan(data)? };
        let feed = Feed::new(device, data, true, self)?;
        let (variables, _, shapes) = self.model.declare(DType::F32, &data.sample_shapes())?;
        Evaluator::new(self, device, data, Arc::new(plan), Arc::new(feed), (variables, shapes))
    }
}

impl<'a> Evaluator<'a> {
    /// The evaluator of a model that declares these variables and has outputs of these shapes for a row.
    pub(super) fn new(
        trainer: &Trainer,
        device: &Device,
        data: &'a Dataset,
        plan: Arc<Plan>,
        feed: Arc<Feed<'a>>,
        (variables, shapes): (Vec<Variable>, Vec<Vec<usize>>),
    ) -> Result<Self> {
        let goals = trainer.goals().into_owned();
        let task = |goal: &Goal, output: usize| -> Result<Task> {
            let width = shapes[output].last().copied().unwrap_or(1);
            Ok(task(goal.target_of(data)?.targets, &goal.loss, width))
        };
        let tasks = goals
            .iter()
            .zip(&plan.heads)
            .map(|(goal, head)| task(goal, head.output))
            .collect::<Result<_>>()?;
        Ok(Self {
            device: device.clone(),
            data,
            plan,
            feed,
            variables,
            goals,
            tasks,
            shapes,
            threshold: trainer.threshold,
            batch: trainer.batch_size.clamp(100, 1000),
            program: None,
            processes: None,
        })
    }

    /// Shares each evaluation with other processes, all of which must make the same ones; the first has the results.
    pub(super) fn among(self, processes: Option<Processes>) -> Self {
        Self { processes, ..self }
    }

    /// The task of each goal.
    pub fn tasks(&self) -> &[Task] {
        &self.tasks
    }

    /// The shape of each of the model's outputs for a row.
    pub(super) fn shapes(&self) -> &[Vec<usize>] {
        &self.shapes
    }

    /// Sets the device, or other settings of the same one, for a program that is not compiled yet.
    pub(super) fn set_device(&mut self, device: Device) {
        self.device = device;
    }

    /// The outputs and the loss of a model with one goal for some rows of the data.
    ///
    /// # Errors
    /// When there are no rows, the values belong to another model, there are several goals, or the program cannot be
    /// compiled or run.
    pub fn evaluate(&mut self, model: &Model, rows: &[u32]) -> Result<Evaluation> {
        self.check_single()?;
        self.evaluate_all(model, rows)?.only()
    }

    /// The outputs and losses of a model for some rows of the data, for each of its goals.
    ///
    /// # Errors
    /// As [`Evaluator::evaluate`].
    pub fn evaluate_all(&mut self, model: &Model, rows: &[u32]) -> Result<Evaluations> {
        let upload = |variable: &Variable| match model.value(&variable.name) {
            Some(value) if value.shape() == variable.shape && value.dtype() == variable.dtype => {
                Buffer::upload(&self.device, value)
            }
            other => {
                let expected = format!("{:?} {:?}", variable.dtype, variable.shape);
                let got = other.map_or("none".into(), |v| format!("{:?} {:?}", v.dtype(), v.shape()));
                Err(Error::shape(variable.name.clone(), expected, got + ", so another model's values"))
            }
        };
        let values = self.variables.iter().map(upload).collect::<Result<Vec<_>>>()?;
        self.measure(&values.iter().collect::<Vec<_>>(), rows)
    }

    /// Refuses several goals.
    pub(super) fn check_single(&self) -> Result<()> {
        match self.tasks.len() {
            1 => Ok(()),
            several => {
                let got = format!("{several}; see evaluate_all");
                Err(Error::value("evaluate", "a model with one objective", got))
            }
        }
    }

    pub(super) fn is_compiled(&self) -> bool {
        self.program.is_some()
    }

    /// Compiles the program for calls that suit `rows` rows, if there are any and no program yet; returns the
    /// compilation. A call is sized so that all devices that share a batch get one, and their processes can share an
    /// evaluation; a single process uses the same size and computes the same.
    pub(super) fn compile(&mut self, rows: usize) -> Result<Option<Compiled>> {
        if self.program.is_some() || rows == 0 {
            return Ok(None);
        }
        let (plan, batch) = (&self.plan, self.batch);
        let work = flops(&plan.evaluate(&self.variables, 1, batch)?);
        // For outputs as large as pictures, more steps a call cost more in memory than they save in calls.
        let numbers = self.shapes.iter().map(|shape| count(shape)).sum::<usize>() * batch;
        // Where all rows are on the device too: a run that streams them computes the same.
        let most = ((2e10 / work) as usize)
            .min(MOST_OUTPUTS / numbers.max(1))
            .min(MOST_BYTES / (plan.row_bytes() * batch).max(1));
        let steps = rows.div_ceil(batch * plan.replicas).clamp(1, most.max(1));
        let program = Program::compile(&self.device, &plan.evaluate(&self.variables, steps, batch)?, 0)?;
        let compiled = Compiled::new(format!("evaluation, {batch} rows a step"), &program);
        self.program = Some((steps, program));
        Ok(Some(compiled))
    }

    /// As [`Evaluator::evaluate_all`], with the variables' values on the device.
    pub(super) fn measure(&mut self, values: &[&Buffer], rows: &[u32]) -> Result<Evaluations> {
        self.compile(rows.len())?;
        let mut heard = 0;
        let measured = self.measure_from(values, rows, [0.0; 2], &mut heard);
        self.release(&measured, rows.len(), heard);
        measured
    }

    /// The loss and some figures for some rows of the data, with the variables' values on the device.
    ///
    /// Where the outputs are values and the figures sums over rows, only one call's outputs are kept: if they are
    /// pictures, the outputs of all rows may take many times the memory of the data.
    pub(super) fn score(&mut self, values: &[&Buffer], rows: &[u32], metrics: &[Metric]) -> Result<Score> {
        let is_sum = |metric: &Metric| {
            metric.output().is_none() && !matches!(metric, Metric::MedianAbsoluteError | Metric::Custom(_))
        };
        if rows.is_empty() || self.tasks != [Task::Values] || !metrics.iter().all(is_sum) {
            return Ok(self.measure(values, rows)?.score(metrics));
        }
        self.compile(rows.len())?;
        let mut heard = 0;
        let score = self.score_in_pieces(values, rows, metrics, &mut heard);
        self.release(&score, rows.len(), heard);
        score
    }

    /// [`Evaluator::score`] of values by sums over rows, with the compiled program.
    fn score_in_pieces(
        &self,
        values: &[&Buffer],
        rows: &[u32],
        metrics: &[Metric],
        heard: &mut usize,
    ) -> Result<Score> {
        // A call by each process.
        let processes = self.processes.map_or(1, |processes| processes.count());
        let pieces = || rows.chunks((processes * self.call_rows()).max(1));
        let (goal, shape) = (&self.goals[0], &self.shapes[self.plan.heads[0].output]);
        let mut means = TargetMeans::new(shape.last().copied().unwrap_or(1));
        for rows in pieces() {
            let truth = Evaluation::new(self.data, goal, Task::Values, shape, rows, [0.0; 2])?;
            means.add(truth.targets());
        }
        let (mut sums, mut loss) = (ErrorSums::new(means.means()), [0.0; 2]);
        for rows in pieces() {
            let evaluation = self.measure_from(values, rows, loss, heard)?.only()?;
            sums.add(&evaluation.outputs, evaluation.targets());
            loss = evaluation.sums();
        }
        let metrics: Vec<Metric> =
            metrics.iter().copied().filter(|metric| metric.is_of(Task::Values)).collect();
        let [sum, divisor] = loss;
        let figures = error_figures(&sums.errors(), &metrics);
        Ok(Score { rows: rows.len(), loss: goal.weight * (sum / divisor), figures })
    }

    /// How many rows a call takes; 0 before there is a program.
    fn call_rows(&self) -> usize {
        self.program.as_ref().map_or(0, |(steps, _)| steps * self.batch)
    }

    /// After an error in the first process, receives the other processes' results that it has not `heard`, as they
    /// block until then. All are then ready for the next command.
    fn release<T>(&self, result: &Result<T>, rows: usize, heard: usize) {
        let Some(processes) = self.processes.filter(|processes| processes.is_first() && result.is_err())
        else {
            return;
        };
        let rounds = rows.div_ceil((processes.count() * self.call_rows()).max(1));
        (heard..rounds).for_each(|_| drop(processes.gather(Vec::new())));
    }

    /// As [`Evaluator::measure`], with the compiled program; each loss continues from `sums`. See [`Evaluator::run`].
    fn measure_from(
        &self,
        values: &[&Buffer],
        rows: &[u32],
        sums: [f64; 2],
        heard: &mut usize,
    ) -> Result<Evaluations> {
        let mut each = Vec::new();
        for ((goal, task), head) in self.goals.iter().zip(&self.tasks).zip(&self.plan.heads) {
            let evaluation = Evaluation::new(self.data, goal, *task, &self.shapes[head.output], rows, sums)?;
            let evaluation = evaluation.with_threshold(self.threshold);
            each.push(Named { name: goal.name.clone(), weight: goal.weight, evaluation });
        }
        self.run(values, rows, heard, |valid, results| {
            let Some((losses, outputs)) = results.split_last() else {
                return Err(Error::shape("evaluation", "outputs and losses", results.len()));
            };
            let losses = losses.to_vec::<f64>()?;
            for (i, (one, head)) in each.iter_mut().zip(&self.plan.heads).enumerate() {
                let of_step = losses.chunks_exact(2 * self.tasks.len());
                let losses: Vec<[f64; 2]> = of_step.map(|step| [step[2 * i], step[2 * i + 1]]).collect();
                one.evaluation.add(&outputs[head.output], &losses, valid)?;
            }
            Ok(())
        })?;
        each.iter_mut().for_each(|one| one.evaluation.finish());
        Ok(Evaluations { each })
    }

    /// Runs the program on some rows, and has `read` see of each call how many rows of its steps count, and the results. Of
    /// several processes each makes its part of the calls, and the first one sees all; `heard` counts how often it has heard
    /// the others.
    pub(super) fn run(
        &self,
        values: &[&Buffer],
        rows: &[u32],
        heard: &mut usize,
        mut read: impl FnMut(&[u32], &[Array]) -> Result<()>,
    ) -> Result<()> {
        let Some((steps, program)) = &self.program else {
            return Err(Error::value("evaluation", "a program that was compiled", "none"));
        };
        let order = epoch_order(rows, self.batch, LastBatch::Mask, None)?;
        // A single process takes one call at a time, so that only one call's results are held.
        let (rank, at_once) =
            self.processes.map_or((0, 1), |processes| (processes.rank(), processes.count()));
        let all = calls::calls(&order, *steps);
        for (i, calls) in all.chunks(at_once).enumerate() {
            let next = all.get((i + 1) * at_once + rank);
            let own = calls.get(rank).map(|own| self.call(program, values, own, next)).transpose();
            let results = match self.processes {
                Some(processes) => {
                    *heard += 1;
                    calls::gather(processes, own)?
                }
                None => own?.into_iter().collect(),
            };
            calls.iter().zip(&results).try_for_each(|(call, results)| read(&call.valid, results))?;
        }
        Ok(())
    }

    /// One call of the program, during which the rows of the next one are read.
    fn call(
        &self,
        program: &Program,
        values: &[&Buffer],
        call: &Order,
        next: Option<&Order>,
    ) -> Result<Vec<Array>> {
        let piece = self.feed.piece(&call.rows, [call.steps(), self.batch])?;
        if let Some(next) = next {
            self.feed.expect(&next.rows);
        }
        let valid: Vec<i32> = call.valid.iter().map(|&rows| rows as i32).collect();
        let valid = Buffer::upload(&self.device, &Array::vector(&valid))?;
        let mut arguments = values.to_vec();
        piece.rows.map(|buffer| {
            arguments.push(buffer);
            Ok(())
        })?;
        arguments.extend([&*piece.order, &valid]);
        program.run(Vec::new(), &arguments)?.iter().map(Buffer::download).collect()
    }
}
