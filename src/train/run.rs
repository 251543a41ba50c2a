//! A training run on a device: its state, and the programs that move it on.

use super::Trainer;
use super::evaluation::Evaluation;
use super::program::{Plan, is_model};
use crate::array::Array;
use crate::data::{Dataset, LastBatch, Order, Shuffle, Targets, epoch_order};
use crate::error::{Error, Result};
use crate::graph::{Function, flops};
use crate::lower::Target;
use crate::runtime::{Buffer, Device, Program};
use crate::variables::Variable;
use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

/// What one step did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The mean loss over the rows of the batch that count, before the step moved the parameters.
    pub loss: f32,
    /// How many of them were classified right; 0 where targets are values.
    pub right: u32,
    /// How many rows counted.
    pub rows: u32,
}

/// A program that was compiled.
#[derive(Clone, Debug)]
pub struct Compiled {
    pub what: String,
    pub time: Duration,
}

/// A model in training. Data and variables stay on the device; a call of [`Run::advance`] runs steps there.
pub struct Run<'a> {
    trainer: Trainer,
    plan: Plan,
    device: &'a Device,
    data: &'a Dataset,
    variables: Vec<Variable>,
    state: Vec<Buffer>,
    resident: Vec<Buffer>,
    seed: Buffer,
    /// Steps done since the beginning of the run.
    step: u64,
    /// The order of the current epoch.
    order: Order,
    order_epoch: u64,
    /// Training programs by their number of steps.
    programs: HashMap<usize, Program>,
    evaluation: Option<(usize, Program)>,
    compiled: Vec<Compiled>,
}

impl<'a> Run<'a> {
    pub(super) fn new(trainer: Trainer, device: &'a Device, data: &'a Dataset) -> Result<Self> {
        trainer.optimizer.check()?;
        let plan = trainer.plan(data);
        let variables = plan.declare()?;
        let upload = |array: &Array| Buffer::upload(device, array);
        let state = variables.iter().map(|v| upload(&v.initial(trainer.seed))).collect::<Result<Vec<_>>>()?;
        let targets = match &data.targets {
            Targets::Classes { labels, .. } => upload(&Array::vector(labels))?,
            Targets::Values(values) => upload(values)?,
        };
        let mut resident = vec![upload(&data.inputs)?, targets];
        if plan.scaling.is_some() {
            resident.extend([upload(&data.scaling.mean)?, upload(&data.scaling.deviation)?]);
        }
        let seed = upload(&Array::scalar(trainer.seed))?;
        let order = order(&trainer, data, 0)?;
        Ok(Self {
            trainer,
            plan,
            device,
            data,
            variables,
            state,
            resident,
            seed,
            step: 0,
            order,
            order_epoch: 0,
            programs: HashMap::new(),
            evaluation: None,
            compiled: Vec::new(),
        })
    }

    /// The programs that were compiled since the last call.
    pub fn take_compiled(&mut self) -> Vec<Compiled> {
        std::mem::take(&mut self.compiled)
    }

    pub fn trainer(&self) -> &Trainer {
        &self.trainer
    }

    /// The data that the run trains on.
    pub fn data(&self) -> &'a Dataset {
        self.data
    }

    /// Steps done since the beginning of the run.
    pub fn step(&self) -> u64 {
        self.step
    }

    pub fn steps_per_epoch(&self) -> usize {
        self.order.steps()
    }

    /// The epoch, from 0, to which the next step belongs.
    pub fn epoch(&self) -> u64 {
        self.step / self.steps_per_epoch() as u64
    }

    /// The steps of the current epoch that are still to come, all of them at its beginning.
    pub fn left_in_epoch(&self) -> usize {
        self.steps_per_epoch() - (self.step % self.steps_per_epoch() as u64) as usize
    }

    /// How many steps to run in one call, so that a call takes a fraction of a second: a divisor of the epoch's
    /// steps where there is one of fitting size, so that one program serves.
    ///
    /// # Errors
    /// When the training program cannot be built.
    pub fn steps_per_call(&self) -> Result<usize> {
        let steps = self.steps_per_epoch();
        if let Some(wanted) = self.trainer.steps_per_call {
            return Ok(wanted.clamp(1, steps));
        }
        let work = flops(&self.train_function(1)?);
        // Less than was seen on small models, so that a call stays short on slower machines.
        let flops_per_second = match self.device.target() {
            Target::Cpu => 2e10 * std::thread::available_parallelism().map_or(1, usize::from) as f64,
            Target::Gpu => 1e13,
        };
        let most = ((0.4 * flops_per_second / work) as usize).clamp(1, steps);
        Ok((most.div_ceil(4)..=most).rev().find(|k| steps % k == 0).unwrap_or(most))
    }

    /// Runs `steps` training steps, at most those left in the epoch, in one call of the device.
    ///
    /// # Errors
    /// When the program cannot be compiled or the device fails.
    pub fn advance(&mut self, steps: usize) -> Result<Vec<Step>> {
        let epoch = self.epoch();
        if epoch != self.order_epoch {
            self.order = order(&self.trainer, self.data, epoch)?;
            self.order_epoch = epoch;
        }
        let steps = steps.min(self.left_in_epoch());
        let from = self.steps_per_epoch() - self.left_in_epoch();
        self.compile_training(steps)?;

        let (rows, valid) = batches(&self.order, self.trainer.batch_size, from..from + steps)?;
        let rates: Vec<f32> = (0..steps as u64)
            .map(|i| self.trainer.optimizer.rule.learning_rate().at(self.step + i) as f32)
            .collect();
        let mut arguments = vec![Array::scalar(self.step)];
        arguments.extend([rows, Array::vector(&rates)]);
        if self.masked() {
            arguments.push(Array::vector(&valid));
        }
        let uploaded =
            arguments.iter().map(|a| Buffer::upload(self.device, a)).collect::<Result<Vec<_>>>()?;
        let (first, steps_of) = uploaded.split_at(1);
        let rest: Vec<&Buffer> =
            [&self.seed, &first[0]].into_iter().chain(&self.resident).chain(steps_of).collect();

        let Some(program) = self.programs.get(&steps) else {
            return Err(Error::value("steps", "a number of steps that was compiled", steps));
        };
        // The state is on its way through the device from here; if the call fails the run is over.
        let mut results = program.run(std::mem::take(&mut self.state), &rest)?;
        let metrics = results.split_off(self.variables.len());
        self.state = results;
        let losses = metrics[0].download()?.to_vec::<f32>()?;
        let right = metrics[1].download()?.to_vec::<i32>()?;
        self.step += steps as u64;
        Ok(losses
            .into_iter()
            .zip(right)
            .zip(valid)
            .map(|((loss, right), rows)| Step { loss, right: right.max(0) as u32, rows: rows.max(0) as u32 })
            .collect())
    }

    /// Compiles the program for calls of `steps` steps, if that has not been done.
    ///
    /// # Errors
    /// When XLA refuses it.
    pub fn compile_training(&mut self, steps: usize) -> Result<()> {
        if !self.programs.contains_key(&steps) {
            let function = self.train_function(steps)?;
            let program = Program::compile(self.device, &function, self.variables.len())?;
            let what = format!("training, {steps} steps a call");
            self.compiled.push(Compiled { what, time: program.compile_time() });
            self.programs.insert(steps, program);
        }
        Ok(())
    }

    fn train_function(&self, steps: usize) -> Result<Function> {
        self.plan.train(&self.variables, steps, self.trainer.batch_size, self.masked())
    }

    /// Whether some batch holds rows that do not count.
    fn masked(&self) -> bool {
        let rows = self.data.splits.train.len();
        self.trainer.last_batch == LastBatch::Mask && rows % self.trainer.batch_size != 0
    }

    /// The model's outputs and loss for some rows of the data.
    ///
    /// # Errors
    /// When there are no rows, or the program cannot be compiled or run.
    pub fn evaluate(&mut self, rows: &[u32]) -> Result<Evaluation> {
        let batch = self.trainer.batch_size.clamp(100, 1000);
        let order = epoch_order(rows, batch, LastBatch::Mask, None)?;
        let model: Vec<Variable> = self.variables.iter().filter(|v| is_model(v)).cloned().collect();
        let (steps, program) = if let Some(compiled) = self.evaluation.take() {
            compiled
        } else {
            let work = flops(&self.plan.evaluate(&model, 1, batch)?);
            let most = ((2e10 / work) as usize).max(1);
            let steps = order.steps().min(most);
            let program = Program::compile(self.device, &self.plan.evaluate(&model, steps, batch)?, 0)?;
            let what = format!("evaluation, {batch} rows a step");
            self.compiled.push(Compiled { what, time: program.compile_time() });
            (steps, program)
        };
        let mut evaluation = Evaluation::new(self.data, rows);
        for from in (0..order.steps()).step_by(steps) {
            let to = (from + steps).min(order.steps());
            let (rows, mut valid) = padded_batches(&order, batch, from..to, steps)?;
            valid.resize(steps, 0);
            let order = Buffer::upload(self.device, &rows)?;
            let counts = Buffer::upload(self.device, &Array::vector(&valid))?;
            let weights = self.model_state();
            let arguments: Vec<&Buffer> =
                weights.into_iter().chain(&self.resident).chain([&order, &counts]).collect();
            let results = program.run(Vec::new(), &arguments)?;
            let [outputs, sums, divisors] = &results[..] else {
                return Err(Error::shape("evaluation", "three results", results.len()));
            };
            evaluation.add(&outputs.download()?, &sums.download()?, &divisors.download()?, &valid, batch)?;
        }
        self.evaluation = Some((steps, program));
        Ok(evaluation)
    }

    /// The buffers that evaluation reads: the model's, or their moving averages where those are kept.
    fn model_state(&self) -> Vec<&Buffer> {
        let find = |name: &str| self.variables.iter().position(|v| v.name == name);
        self.variables
            .iter()
            .enumerate()
            .filter(|(_, v)| is_model(v))
            .map(|(i, v)| &self.state[find(&format!("average.{}", v.name)).unwrap_or(i)])
            .collect()
    }

    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// Gives a variable another value.
    ///
    /// # Errors
    /// When there is no such variable, or it is of another shape.
    pub fn set(&mut self, name: &str, value: &Array) -> Result<()> {
        let Some(i) = self.variables.iter().position(|v| v.name == name) else {
            let names: Vec<_> = self.variables.iter().map(|v| v.name.as_str()).collect();
            return Err(Error::value("variable", format!("one of {}", names.join(", ")), name));
        };
        let variable = &self.variables[i];
        if value.shape() != variable.shape {
            return Err(Error::shape(name, format!("{:?}", variable.shape), format!("{:?}", value.shape())));
        }
        self.state[i] = Buffer::upload(self.device, &value.cast(variable.dtype))?;
        Ok(())
    }

    /// The values of all variables, in their order.
    ///
    /// # Errors
    /// When the device fails.
    pub fn state(&self) -> Result<Vec<Array>> {
        self.state.iter().map(Buffer::download).collect()
    }
}

/// The order of an epoch.
fn order(trainer: &Trainer, data: &Dataset, epoch: u64) -> Result<Order> {
    let shuffle = trainer.shuffle.then_some(Shuffle { seed: trainer.seed, epoch });
    epoch_order(&data.splits.train, trainer.batch_size, trainer.last_batch, shuffle)
}

/// The row numbers `[steps, batch]` of some steps, and how many rows of each count.
fn batches(order: &Order, batch: usize, steps: Range<usize>) -> Result<(Array, Vec<i32>)> {
    let count = steps.len();
    padded_batches(order, batch, steps, count)
}

/// The same with as many steps as `count`, those missing repeating the first row.
fn padded_batches(
    order: &Order,
    batch: usize,
    steps: Range<usize>,
    count: usize,
) -> Result<(Array, Vec<i32>)> {
    let numbers = order.rows[steps.start * batch..steps.end * batch].iter();
    let mut rows: Vec<i32> = numbers.map(|&row| row as i32).collect();
    rows.resize(count * batch, rows.first().copied().unwrap_or(0));
    let valid = order.valid[steps].iter().map(|&n| n as i32).collect();
    Ok((Array::new::<i32>(&[count, batch], rows)?, valid))
}
