//! A function in training on a device.

use super::arguments::{Arguments, Steps, Turn};
use super::program::Plan;
use crate::array::{Array, count};
use crate::error::{Error, Result};
use crate::graph::Type;
use crate::optim::Turns;
use crate::runtime::{Buffer, Device, Program};
use crate::train::checkpoint::{Checkpoint, Position};
use crate::train::finite;
use crate::train::run::Compiled;
use crate::variables::{Variable, assigned, read_by_evaluation};
use std::collections::HashMap;
use std::fmt;

/// A function in training, see [`FunctionTrainer`](super::FunctionTrainer). The variables stay on the device.
pub struct FunctionRun<'a> {
    pub(super) plan: Plan<'a>,
    pub(super) device: Device,
    /// One for each part of a batch.
    replicas: Vec<Device>,
    seed: u64,
    /// The types of a whole batch.
    batch: Vec<Type>,
    /// How many results each objective has.
    results: Vec<usize>,
    variables: Vec<Variable>,
    /// The variables' values on each device, the same on all.
    state: Vec<Vec<Buffer>>,
    /// Steps done.
    step: u64,
    /// Training programs by their number of steps.
    programs: HashMap<usize, Program>,
    /// The programs that were compiled and not yet asked for.
    compiled: Vec<Compiled>,
    /// The batch of the last step, to tell usual infinities from new ones.
    last: Option<Vec<Array>>,
}

impl<'a> FunctionRun<'a> {
    pub(super) fn new(plan: Plan<'a>, device: &Device, batch: Vec<Type>, seed: u64) -> Result<Self> {
        for objective in &plan.objectives {
            objective.optimizer.check()?;
        }
        let (variables, results) = plan.declare()?;
        for objective in &plan.objectives {
            objective.optimizer.check_paths(&variables)?;
        }
        let replicas = (0..plan.replicas).map(|i| device.replica(i)).collect::<Result<Vec<_>>>()?;
        let mut run = Self {
            plan,
            device: device.clone(),
            replicas,
            seed,
            batch,
            results: results.iter().map(Vec::len).collect(),
            variables,
            state: Vec::new(),
            step: 0,
            programs: HashMap::new(),
            compiled: Vec::new(),
            last: None,
        };
        run.state = run.upload(&run.initial())?;
        Ok(run)
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

    /// One step on a batch. The results are those of the objectives in their order: the first of each is its loss
    /// before the step moved the parameters.
    ///
    /// # Errors
    /// When the arrays are not of the types of a batch, the program cannot be compiled, or the device fails. When a
    /// loss is not a finite number: [`Error::NotFinite`] names the step and the first operation with such a number,
    /// and the run is in its state before that step, so that it can go on with another batch.
    pub fn step(&mut self, batch: &[Array]) -> Result<Vec<Array>> {
        check_types(&self.batch, batch)?;
        let stacked = |array: &Array| array.clone().reshape(&[&[1], array.shape()].concat());
        let batches = batch.iter().map(stacked).collect::<Result<Vec<_>>>()?;
        let results = self.advance(1, &batches)?;
        results.into_iter().map(|array| array.row(0)).collect()
    }

    /// Several steps in one call of the device, which costs less than a call for each. Batches and results are stacked
    /// over the steps along a first axis. Each number of steps compiles a program of its own.
    ///
    /// # Errors
    /// As [`FunctionRun::step`]; of the steps, those before the one with the loss that is not finite are done.
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

    fn advance(&mut self, steps: usize, batches: &[Array]) -> Result<Vec<Array>> {
        self.compile(steps)?;
        let arguments = self.arguments(self.step, steps, batches)?;
        self.current()?;
        let Some(program) = self.programs.get(&steps) else {
            return Err(Error::value("steps", "a number of steps that was compiled", steps));
        };
        let lists: Vec<_> = arguments.iter().map(Arguments::list).collect();
        // If the call fails, the state is lost with it.
        let mut results = program.run_replicated(std::mem::take(&mut self.state), &lists)?;
        // The same on every device.
        let made = results.iter_mut().map(|results| results.split_off(self.variables.len())).next();
        results.iter_mut().for_each(|results| results.truncate(self.variables.len()));
        self.state = results;
        let made = made.iter().flatten().map(Buffer::download).collect::<Result<Vec<_>>>()?;

        if let Some((step, loss)) = self.first_bad(steps, &made) {
            self.step += step as u64;
            let batch = batches.iter().map(|array| array.row(step)).collect::<Result<Vec<_>>>()?;
            if let Some(before) = step.checked_sub(1) {
                self.last = Some(batches.iter().map(|array| array.row(before)).collect::<Result<Vec<_>>>()?);
            }
            return Err(self.explain(loss, &batch));
        }
        self.step += steps as u64;
        self.last = Some(batches.iter().map(|array| array.row(steps - 1)).collect::<Result<_>>()?);
        Ok(made)
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
            let function = self.plan.train(&self.variables, steps)?;
            let (donated, replicas) = (self.variables.len(), self.replicas.len());
            let program = Program::compile_replicated(&self.device, &function, donated, replicas)?;
            self.compiled.push(Compiled::new(format!("training, {steps} steps a call"), &program));
            self.programs.insert(steps, program);
        }
        Ok(())
    }

    /// What the program of `steps` steps from step `first` on reads on each device besides the variables.
    fn arguments(&self, first: u64, steps: usize, batches: &[Array]) -> Result<Vec<Arguments<Buffer>>> {
        let numbers: Vec<u64> = (first..first + steps as u64).collect();
        let turn = |objective: &super::Objective| {
            let optimizer = &objective.optimizer;
            let turns = Turns::without_epochs(optimizer.accumulate as u64);
            let rates: Vec<f32> =
                numbers.iter().map(|&step| optimizer.learning_rate.at(step) as f32).collect();
            let average = |average: crate::optim::Average| {
                let rate = |&step: &u64| average.rate(turns.update(step)) as f32;
                Array::vector(&numbers.iter().map(rate).collect::<Vec<_>>())
            };
            let is_last: Vec<i32> = numbers.iter().map(|&step| i32::from(turns.is_last(step))).collect();
            Turn {
                learning_rate: Array::vector(&rates),
                average_rate: optimizer.average.map(average),
                is_last: (optimizer.accumulate > 1).then(|| Array::vector(&is_last)),
            }
        };
        let on = |(index, device): (usize, &Device)| {
            let part = |array: &Array| part(array, index, self.replicas.len());
            let arguments = Arguments {
                replica: Array::scalar(index as i32),
                seed: Array::scalar(self.seed),
                steps: Steps {
                    number: Array::vector(&numbers),
                    turns: self.plan.objectives.iter().map(turn).collect(),
                    batch: batches.iter().map(part).collect::<Result<_>>()?,
                },
            };
            arguments.map(|array| Buffer::upload(device, array))
        };
        self.replicas.iter().enumerate().map(on).collect()
    }

    /// The error for a loss that is not finite in the next step, on `batch`.
    fn explain(&self, loss: f64, batch: &[Array]) -> Error {
        let advice = "try a smaller learning rate, clip_norm, or scaled data";
        let (place, advice) = match self.first_not_finite(batch) {
            Ok(place) => (place, advice.to_string()),
            Err(error) => (None, format!("{advice}; where it came up could not be found ({error})")),
        };
        Error::NotFinite { loss, step: self.step, epoch: None, place, advice }
    }

    /// Where a number first is not finite in the next step, on `batch`. Places where numbers are infinite with the
    /// first weights and a good batch too, as in a mask, are passed over.
    fn first_not_finite(&self, batch: &[Array]) -> Result<Option<String>> {
        let (function, places) = self.plan.trace(&self.variables)?;
        let program = Program::compile_replicated(&self.device, &function, 0, self.replicas.len())?;
        let flags = |state: &[Vec<Buffer>], step: u64, batch: &[Array]| -> Result<Vec<bool>> {
            let stacked = |array: &Array| array.clone().reshape(&[&[1], array.shape()].concat());
            let batch = batch.iter().map(stacked).collect::<Result<Vec<_>>>()?;
            let arguments = self.arguments(step, 1, &batch)?;
            let lists: Vec<Vec<&Buffer>> = state
                .iter()
                .zip(&arguments)
                .map(|(state, a)| state.iter().chain(a.list()).collect())
                .collect();
            let none = self.replicas.iter().map(|_| Vec::new()).collect();
            finite::on_all(&program.run_replicated(none, &lists)?)
        };
        let usual = match &self.last {
            Some(good) => flags(&self.upload(&self.initial())?, self.step.saturating_sub(1), good)?,
            None => vec![true; places.len()],
        };
        let now = flags(&self.state, self.step, batch)?;
        Ok(finite::first_lost(places, &usual, &now))
    }

    /// The names and values of all variables. Of a parameter with a moving average there are both.
    ///
    /// # Errors
    /// When the device fails, or has failed before.
    pub fn state(&self) -> Result<Vec<(String, Array)>> {
        let named = self.variables.iter().zip(self.current()?);
        named.map(|(variable, value)| Ok((variable.name.clone(), value.download()?))).collect()
    }

    /// The names and values of what predictions read: parameters, or their averages where these are kept, and
    /// statistics.
    ///
    /// # Errors
    /// As [`FunctionRun::state`].
    pub fn model(&self) -> Result<Vec<(String, Array)>> {
        let state = self.current()?;
        let values = read_by_evaluation(&self.variables).map(|i| state[i].download());
        let model = self.variables.iter().filter(|v| v.role.is_of_model());
        model.zip(values).map(|(variable, value)| Ok((variable.name.clone(), value?))).collect()
    }

    /// Gives a variable another value; before the first step its moving average too.
    ///
    /// # Errors
    /// When there is no such variable, or it is of another shape.
    pub fn set(&mut self, name: &str, value: &Array) -> Result<()> {
        self.current()?;
        let (value, places) = assigned(&self.variables, name, value, self.step == 0)?;
        for (state, device) in self.state.iter_mut().zip(&self.replicas) {
            for &place in &places {
                state[place] = Buffer::upload(device, &value)?;
            }
        }
        Ok(())
    }

    /// The state of the run, copied to the host. A run of the same function that is given it by
    /// [`FunctionRun::restore`] goes on as this one does, bit for bit on a CPU.
    ///
    /// # Errors
    /// As [`FunctionRun::state`].
    pub fn checkpoint(&self) -> Result<Checkpoint> {
        let position = Position { step: self.step, steps_per_call: 1, ..Position::default() };
        Ok(Checkpoint { position, tensors: self.state()? })
    }

    /// Puts the run where it was when `checkpoint` was made.
    ///
    /// # Errors
    /// When the checkpoint's variables are not those of this run.
    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let values: Vec<Array> =
            checkpoint.values(&self.variables, |_| false)?.into_iter().cloned().collect();
        self.state = self.upload(&values)?;
        self.step = checkpoint.position.step;
        self.last = None;
        Ok(())
    }

    fn initial(&self) -> Vec<Array> {
        self.variables.iter().map(|v| v.initial(self.seed)).collect()
    }

    /// The variables' values on each device.
    fn upload(&self, values: &[Array]) -> Result<Vec<Vec<Buffer>>> {
        let on = |device| values.iter().map(|array| Buffer::upload(device, array)).collect();
        self.replicas.iter().map(on).collect()
    }

    /// The variables' values as they are now.
    pub(super) fn current(&self) -> Result<&[Buffer]> {
        let lost = "one whose state was lost when the device failed; restore a checkpoint";
        self.state.first().map(Vec::as_slice).ok_or_else(|| Error::value("run", "one that can go on", lost))
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

/// That `arrays` are of these types.
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

/// Of batches `[steps, rows, …]` the `index`-th of `count` equal parts of the rows; scalars `[steps]` whole.
fn part(array: &Array, index: usize, parts: usize) -> Result<Array> {
    let &[steps, rows, ref rest @ ..] = array.shape() else { return Ok(array.clone()) };
    if parts == 1 {
        return Ok(array.clone());
    }
    let size = count(rest) * array.dtype().size() * rows / parts;
    let bytes = (0..steps).flat_map(|step| &array.bytes()[(step * parts + index) * size..][..size]);
    Array::from_bytes(array.dtype(), &[&[steps, rows / parts], rest].concat(), bytes.copied().collect())
}
