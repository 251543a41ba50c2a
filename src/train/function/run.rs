//! A function in training on a device.

use super::plan::Plan;
use crate::array::{Array, count};
use crate::data::Blocks;
use crate::error::{Error, Result};
use crate::graph::Type;
use crate::optim::Turns;
use crate::runtime::{Buffer, Device, Program};
use crate::train::arguments::{Resident, Steps, Turn};
use crate::train::checkpoint::{Checkpoint, Position};
use crate::train::replica::{Given, Replica, State};
use crate::train::run::Compiled;
use crate::train::{finite, program};
use crate::variables::{Variable, assigned, read_by_evaluation};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// A function in training, see [`FunctionTrainer`](super::FunctionTrainer). The variables stay on the device.
pub struct FunctionRun<'a> {
    pub(super) plan: Plan<'a>,
    pub(super) device: Device,
    /// One replica for each part of a batch.
    replicas: Vec<Replica>,
    pub(super) seed: u64,
    pub(super) shuffle_blocks: Option<Blocks>,
    /// The types of a whole batch.
    pub(super) batch: Vec<Type>,
    /// How many results each objective has.
    results: Vec<usize>,
    variables: Vec<Variable>,
    pub(super) state: State,
    /// Steps done.
    pub(super) step: u64,
    /// Training programs by their number of steps.
    programs: HashMap<usize, Program>,
    /// The compiled programs that were not yet reported.
    compiled: Vec<Compiled>,
    /// The arguments of the last good step, to tell expected infinities from new ones.
    last: Option<Vec<Given>>,
}

impl<'a> FunctionRun<'a> {
    pub(super) fn new(plan: Plan<'a>, device: &Device, batch: Vec<Type>, seed: u64) -> Result<Self> {
        for objective in &plan.objectives {
            objective.optimizer.check()?;
        }
        let (variables, results) = program::declare(&plan)?;
        for objective in &plan.objectives {
            objective.optimizer.check_paths(&variables)?;
        }
        let replicas = Replica::all(device, plan.replicas, seed)?;
        let initial = initial(&variables, seed);
        Ok(Self {
            plan,
            device: device.clone(),
            state: State::upload(&replicas, &initial)?,
            replicas,
            seed,
            shuffle_blocks: None,
            batch,
            results,
            variables,
            step: 0,
            programs: HashMap::new(),
            compiled: Vec::new(),
            last: None,
        })
    }

    /// All variables: parameters, statistics, and the state of each optimizer.
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// Steps done since the beginning of the run.
    pub fn steps_done(&self) -> u64 {
        self.step
    }

    /// The programs that were compiled since the last call. There is one for [`FunctionRun::step`], and one for each
    /// number of steps that [`FunctionRun::steps`] was called with.
    pub fn take_compiled(&mut self) -> Vec<Compiled> {
        std::mem::take(&mut self.compiled)
    }

    /// Runs one step on a batch and returns the results of the objectives in order: the first of each is its loss
    /// before the step moved the parameters.
    ///
    /// # Errors
    /// When the arrays are not of the types of a batch, the program cannot be compiled, or the device fails. When a
    /// loss is not a finite number: [`Error::NotFinite`] names the step and the first operation with such a number,
    /// and the run is in its state before that step, so that it can go on with another batch.
    pub fn step(&mut self, batch: &[Array]) -> Result<Vec<Array>> {
        check_types(&self.batch, batch)?;
        let results = self.advance(1, batch)?;
        results.into_iter().map(|array| array.row(0)).collect()
    }

    /// Runs several steps in one call of the device, which costs less than a call for each. Batches and results are
    /// stacked over the steps along a first axis. Each number of steps compiles a separate program.
    ///
    /// # Errors
    /// As [`FunctionRun::step`]; the steps before the one whose loss is not finite are done.
    pub fn steps(&mut self, batches: &[Array]) -> Result<Vec<Array>> {
        let steps = batches.first().and_then(|array| array.shape().first()).copied().unwrap_or(0);
        if steps == 0 {
            let got = format!("{:?}", batches.iter().map(Array::shape).collect::<Vec<_>>());
            return Err(Error::shape("steps", "batches stacked along a first axis [steps, …]", got));
        }
        let stacked = |ty: &Type| Type::new(ty.dtype, &[&[steps], &ty.shape[..]].concat());
        check_types(&self.batch.iter().map(stacked).collect::<Vec<_>>(), batches)?;
        self.advance(steps, batches)
    }

    /// The mean of each result over several steps, such as the losses of an epoch: see [`FunctionRun::steps`].
    ///
    /// # Errors
    /// As [`FunctionRun::steps`].
    pub fn means(&mut self, batches: &[Array]) -> Result<Vec<f64>> {
        let mean = |values: &Array| values.values().sum::<f64>() / values.len() as f64;
        Ok(self.steps(batches)?.iter().map(mean).collect())
    }

    /// `batches` holds the batches of the steps one after another.
    fn advance(&mut self, steps: usize, batches: &[Array]) -> Result<Vec<Array>> {
        self.compile(steps)?;
        let arguments = self.arguments(self.step, steps, batches)?;
        let Some(program) = self.programs.get(&steps) else {
            return Err(Error::value("steps", "a number of steps that was compiled", steps));
        };
        let made = self.state.advance(program, &arguments)?;
        let made = made.iter().map(Buffer::download).collect::<Result<Vec<_>>>()?;
        let Some((place, loss)) = self.first_bad(steps, &made) else {
            // Only the last of several steps is kept: all their batches may take much of the device's memory.
            self.last = Some(if steps == 1 { arguments } else { self.one_step(steps - 1, batches)? });
            self.step += steps as u64;
            return Ok(made);
        };
        let bad = if steps == 1 { arguments } else { self.one_step(place, batches)? };
        if let Some(before) = place.checked_sub(1) {
            self.last = Some(self.one_step(before, batches)?);
        }
        self.step += place as u64;
        Err(self.explain(loss, &bad))
    }

    /// The first of `steps` steps with a loss that is not finite, and that loss.
    fn first_bad(&self, steps: usize, results: &[Array]) -> Option<(usize, f64)> {
        let mut place = 0;
        let losses: Vec<Vec<f64>> = self
            .results
            .iter()
            .map(|count| {
                let loss = results.get(place).map_or_else(Vec::new, Array::to_f64);
                place += count;
                loss
            })
            .collect();
        let of_step = |step: usize| losses.iter().filter_map(move |loss| loss.get(step).copied());
        (0..steps).find_map(|step| Some((step, of_step(step).find(|loss| !loss.is_finite())?)))
    }

    fn compile(&mut self, steps: usize) -> Result<()> {
        if !self.programs.contains_key(&steps) {
            let function = program::train(&self.plan, &self.variables, steps)?;
            let (donated, replicas) = (self.variables.len(), self.replicas.len());
            let program = Program::compile_replicated(&self.device, &function, donated, replicas)?;
            self.compiled.push(Compiled::new(format!("training, {steps} steps a call"), &program));
            self.programs.insert(steps, program);
        }
        Ok(())
    }

    /// The arguments of one step, at `place` among the next steps, whose `batches` are stacked.
    fn one_step(&self, place: usize, batches: &[Array]) -> Result<Vec<Given>> {
        let alone = |array: &Array| {
            let row = array.row(place)?;
            let shape = [&[1], row.shape()].concat();
            row.reshape(&shape)
        };
        let batch = batches.iter().map(alone).collect::<Result<Vec<_>>>()?;
        self.arguments(self.step + place as u64, 1, &batch)
    }

    /// The arguments on each device of a program of `steps` steps from step `first` on, without the variables.
    fn arguments(&self, first: u64, steps: usize, batches: &[Array]) -> Result<Vec<Given>> {
        let numbers = first..first + steps as u64;
        let turn = |objective: &super::Objective| {
            let optimizer = &objective.optimizer;
            Turn::values(optimizer, Turns::without_epochs(optimizer.accumulate as u64), numbers.clone())
        };
        let turns: Vec<Turn<Array>> = self.plan.objectives.iter().map(turn).collect();
        let on = |replica: &Replica| {
            let turns = turns.iter().map(|turn| turn.map(|array| replica.upload(array)));
            let part = |(array, ty): (&Array, &Type)| {
                let ty = Type::new(ty.dtype, &[&[steps], &ty.shape[..]].concat());
                let bytes = part(array, &ty, steps, replica.index, self.replicas.len());
                Ok(Arc::new(Buffer::from_bytes(&replica.device, &ty, &bytes)?))
            };
            Ok(Given {
                replica: replica.number.clone(),
                seed: replica.seed.clone(),
                number: replica.upload(&Array::scalar(first))?,
                resident: Resident::none(),
                steps: Steps {
                    turns: turns.collect::<Result<_>>()?,
                    batch: batches.iter().zip(&self.plan.part).map(part).collect::<Result<_>>()?,
                },
            })
        };
        self.replicas.iter().map(on).collect()
    }

    /// The error for a loss that is not finite in the next step, which reads `arguments`.
    fn explain(&self, loss: f64, arguments: &[Given]) -> Error {
        let advice = "try a smaller learning rate, clip_norm, or scaled data";
        let (place, advice) = match self.first_not_finite(arguments) {
            Ok(place) => (place, advice.to_string()),
            Err(error) => (None, format!("{advice}; where it came up could not be found ({error})")),
        };
        Error::NotFinite { loss, step: self.step, epoch: None, place, advice }
    }

    /// Where a number is first not finite in the next step. Places where numbers are also infinite with the initial
    /// weights and the batch of a good step, as in a mask, are skipped.
    fn first_not_finite(&self, arguments: &[Given]) -> Result<Option<String>> {
        let (function, places) = program::trace(&self.plan, &self.variables, |all, index| {
            match all.steps.batch.iter().position(|place| *place == index) {
                Some(input) => format!("input {input} of the batch"),
                None => "the settings of the step".to_string(),
            }
        })?;
        let program = Program::compile_replicated(&self.device, &function, 0, self.replicas.len())?;
        let usual = match &self.last {
            Some(good) => {
                let first = State::upload(&self.replicas, &initial(&self.variables, self.seed))?;
                first.trace(&program, good, self.plan.replicas)?
            }
            None => vec![true; places.len()],
        };
        let now = self.state.trace(&program, arguments, self.plan.replicas)?;
        Ok(finite::first_lost(places, &usual, &now))
    }

    /// The names and values of all variables. Of a parameter with a moving average there are both.
    ///
    /// # Errors
    /// When the device fails, or has failed before.
    pub fn state(&self) -> Result<Vec<(String, Array)>> {
        let named = self.variables.iter().zip(self.state.current()?);
        named.map(|(variable, value)| Ok((variable.name.clone(), value.download()?))).collect()
    }

    /// The names and values of the variables that predictions read: parameters, or their averages if kept, and
    /// statistics.
    ///
    /// # Errors
    /// As [`FunctionRun::state`].
    pub fn model(&self) -> Result<Vec<(String, Array)>> {
        let state = self.state.current()?;
        let values = read_by_evaluation(&self.variables).map(|i| state[i].download());
        let model = self.variables.iter().filter(|v| v.role.is_of_model());
        model.zip(values).map(|(variable, value)| Ok((variable.name.clone(), value?))).collect()
    }

    /// Gives a variable another value; before the first step its moving average too.
    ///
    /// # Errors
    /// When there is no such variable, or it is of another shape.
    pub fn set(&mut self, name: &str, value: &Array) -> Result<()> {
        let (value, places) = assigned(&self.variables, name, value, self.step == 0)?;
        self.state.set(&self.replicas, &places, &value)
    }

    /// The state of the run, copied to the host. A run of the same function that is restored from it by
    /// [`FunctionRun::restore`] continues like this one, bit for bit on a CPU.
    ///
    /// # Errors
    /// As [`FunctionRun::state`].
    pub fn checkpoint(&self) -> Result<Checkpoint> {
        let position = Position { step: self.step, steps_per_call: 1, ..Position::default() };
        Ok(Checkpoint { position, tensors: self.state()? })
    }

    /// Restores the run's state at `checkpoint`.
    ///
    /// # Errors
    /// When the checkpoint's variables do not match the run's.
    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let values = checkpoint.values(&self.variables, |_| false)?;
        self.state = State::upload(&self.replicas, values)?;
        self.step = checkpoint.position.step;
        self.last = None;
        Ok(())
    }
}

impl fmt::Debug for FunctionRun<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FunctionRun")
            .field("objectives", &self.plan.objectives)
            .field("step", &self.step)
            .finish_non_exhaustive()
    }
}

/// The values that variables begin with.
fn initial(variables: &[Variable], seed: u64) -> Vec<Array> {
    variables.iter().map(|v| v.initial(seed)).collect()
}

/// Checks that `arrays` have these types.
pub(super) fn check_types(types: &[Type], arrays: &[Array]) -> Result<()> {
    if arrays.len() != types.len() {
        return Err(Error::shape("batch", format!("{} inputs", types.len()), arrays.len()));
    }
    for (i, (ty, array)) in types.iter().zip(arrays).enumerate() {
        let got = Type::new(array.dtype(), array.shape());
        if got != *ty {
            return Err(Error::shape(format!("input {i} of the batch"), ty, got));
        }
    }
    Ok(())
}

/// The part of stacked batches for device `index` of `devices`, whose steps together have the type `ty`: an equal part
/// of the rows of each; whole scalars.
fn part<'a>(batches: &'a Array, ty: &Type, steps: usize, index: usize, devices: usize) -> Cow<'a, [u8]> {
    let bytes = batches.bytes();
    let size = ty.dtype.size() * count(&ty.shape) / steps.max(1);
    if devices == 1 || bytes.len() == size * steps {
        return Cow::Borrowed(bytes);
    }
    (0..steps).flat_map(|step| &bytes[(step * devices + index) * size..][..size]).copied().collect()
}
