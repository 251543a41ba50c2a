//! The state of a run: the values of its variables, their checkpoints, and the model with these values.

use super::processes::Command;
use super::{Run, model_values};
use crate::array::Array;
use crate::error::{Error, Result};
use crate::model::{Description, Model};
use crate::runtime::Buffer;
use crate::train::checkpoint::{Checkpoint, Position};
use crate::train::replica::State;
use crate::variables::{Role, Variable, assigned};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

impl Run<'_> {
    /// All variables of the run, in the order of [`Run::state`].
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// Gives a variable another value.
    ///
    /// ```
    /// # use neural::{Array, data::{Dataset, Splits, Targets}, nn, runtime::Device, train::Trainer};
    /// # let inputs = Array::new(&[4, 1], vec![-2f32, -1.0, 1.0, 2.0])?;
    /// # let splits = Splits { train: vec![0, 1, 2, 3], ..Splits::default() };
    /// # let data = Dataset::new(inputs, Targets::numbered(vec![0, 0, 1, 1])?, splits)?;
    /// # let device = Device::cpu()?;
    /// # let trainer = Trainer::new(nn::sequential([nn::dense(2)])).epochs(2);
    /// let mut run = trainer.start(&device, &data)?;
    /// run.set("0.bias", &Array::vector(&[1f32, -1.0]))?;
    /// assert!(run.set("9.bias", &Array::scalar(0f32)).is_err());
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When there is no such variable, or it is of another shape.
    pub fn set(&mut self, name: &str, value: &Array) -> Result<()> {
        self.assign(name, value)?;
        self.tell(&Command::Set(name.into()), || {
            let tensors = vec![(name.to_string(), value.clone())];
            Checkpoint { position: Position::default(), tensors }.encode().map(Some)
        })
    }

    /// As [`Run::set`], in this process alone.
    pub(in crate::train) fn assign(&mut self, name: &str, value: &Array) -> Result<()> {
        let (value, places) = assigned(&self.variables, name, value, self.step == 0)?;
        self.state.set(&self.replicas, &places, &value)
    }

    /// The values of all variables, in their order.
    ///
    /// # Errors
    /// When the device fails.
    pub fn state(&self) -> Result<Vec<Array>> {
        self.state.current()?.iter().map(Buffer::download).collect()
    }

    /// The state of the run, copied to the host. It is kept until the next checkpoint, see [`Run::proceed`].
    ///
    /// # Errors
    /// When the device fails.
    pub fn checkpoint(&mut self) -> Result<Arc<Checkpoint>> {
        let position = Position {
            step: self.step,
            steps_per_call: self.steps_per_call()?,
            batch_size: self.trainer.batch_size,
            steps_per_epoch: self.steps_per_epoch(),
            so_far: self.so_far,
        };
        let names = self.variables.iter().map(|v| v.name.clone());
        let checkpoint = Arc::new(Checkpoint { position, tensors: names.zip(self.state()?).collect() });
        self.remembered = Some((checkpoint.clone(), Instant::now()));
        Ok(checkpoint)
    }

    /// Restores the run's state at `checkpoint`.
    ///
    /// ```
    /// # use neural::{Array, data::{Dataset, Splits, Targets}, nn, runtime::Device, train::Trainer};
    /// # let inputs = Array::new(&[4, 1], vec![-2f32, -1.0, 1.0, 2.0])?;
    /// # let splits = Splits { train: vec![0, 1, 2, 3], ..Splits::default() };
    /// # let data = Dataset::new(inputs, Targets::numbered(vec![0, 0, 1, 1])?, splits)?;
    /// # let device = Device::cpu()?;
    /// # let trainer = Trainer::new(nn::sequential([nn::dense(2)])).epochs(2);
    /// let mut run = trainer.start(&device, &data)?;
    /// run.advance(1)?;
    /// let kept = run.checkpoint()?;
    /// let mut other = trainer.start(&device, &data)?;
    /// other.restore(&kept)?;
    /// assert_eq!((other.step(), other.state()?), (1, run.state()?));
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// For parameters that were frozen when the checkpoint was made and are trained now, it has no optimizer state,
    /// which begins as in a new run. Returns their names.
    ///
    /// # Errors
    /// When its variables do not match the run's, as it is a checkpoint of another model or optimizer; when its batches
    /// or epochs have another size, so that its step would mean another place.
    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<Vec<String>> {
        let Position { step, steps_per_call, batch_size, steps_per_epoch, so_far } = checkpoint.position;
        let sizes = [
            ("batch_size", batch_size, self.trainer.batch_size),
            ("steps an epoch", steps_per_epoch, self.steps_per_epoch()),
        ];
        if let Some((name, then, now)) = sizes.into_iter().find(|(_, then, now)| *then > 0 && then != now) {
            return Err(Error::value(name, format!("{then}, as the checkpoint was made with"), now));
        }
        let optimizer = &self.trainer.optimizer;
        // Parameters that were trained and are frozen now need no optimizer state.
        let is_needless = |name: &str| {
            parameter(name)
                .is_some_and(|of| optimizer.is_frozen(of) && self.variables.iter().any(|v| v.name == of))
        };
        let (whole, begun) = self.with_state(checkpoint);
        let values = whole.values(&self.variables, is_needless)?;
        self.state = State::upload(&self.replicas, values.iter().copied())?;
        self.step = step;
        self.so_far = so_far;
        if so_far.weight == 0.0 {
            self.so_far.weight = so_far.rows as f64;
        }
        if so_far.answers == 0 {
            self.so_far.answers = so_far.rows;
        }
        self.steps_per_call = Some(steps_per_call.clamp(1, self.steps_per_epoch()));
        self.tell(&Command::Restore, || checkpoint.encode().map(Some))?;
        Ok(begun.into_iter().collect())
    }

    /// The checkpoint with the state of parameters that were frozen when it was made, as in a new run, and their names.
    fn with_state<'c>(&self, checkpoint: &'c Checkpoint) -> (Cow<'c, Checkpoint>, BTreeSet<String>) {
        let tensors = &checkpoint.tensors;
        let value = |name: &str| tensors.iter().find(|(n, _)| n == name).map(|(_, array)| array);
        let mut begun = BTreeSet::new();
        let mut lacking = Vec::new();
        for variable in self.variables.iter().filter(|variable| value(&variable.name).is_none()) {
            let Some(of) = parameter(&variable.name) else { continue };
            let has_state = tensors.iter().any(|(name, _)| parameter(name) == Some(of));
            // State of this kind for other parameters distinguishes a frozen parameter from another optimizer.
            let kind = &variable.name[..variable.name.len() - of.len()];
            let is_kept = tensors.iter().any(|(name, _)| name.starts_with(kind));
            let (Some(now), false, true) = (value(of), has_state, is_kept) else { continue };
            // An average begins as its parameter is.
            let first = match variable.role {
                Role::Average => now.clone(),
                _ => variable.initial(self.trainer.seed),
            };
            lacking.push((variable.name.clone(), first));
            begun.insert(of.to_string());
        }
        let mut whole = Cow::Borrowed(checkpoint);
        if !lacking.is_empty() {
            whole.to_mut().tensors.extend(lacking);
        }
        (whole, begun)
    }

    /// The current model, or its moving average if kept.
    ///
    /// ```
    /// # use neural::{Array, data::{Dataset, Splits, Targets}, nn, runtime::Device, train::Trainer};
    /// # let inputs = Array::new(&[4, 1], vec![-2f32, -1.0, 1.0, 2.0])?;
    /// # let splits = Splits { train: vec![0, 1, 2, 3], ..Splits::default() };
    /// # let data = Dataset::new(inputs, Targets::numbered(vec![0, 0, 1, 1])?, splits)?;
    /// # let device = Device::cpu()?;
    /// # let trainer = Trainer::new(nn::sequential([nn::dense(2)])).epochs(2);
    /// let model = trainer.start(&device, &data)?.model()?;
    /// assert_eq!(model.predict(&device, &data.inputs)?.shape(), [4, 2]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the device fails.
    pub fn model(&self) -> Result<Model> {
        let values = model_values(&self.variables, self.state.current()?);
        let names: Vec<&str> =
            self.variables.iter().filter(|v| v.role.is_of_model()).map(|v| v.name.as_str()).collect();
        let values = values.into_iter().map(Buffer::download).collect::<Result<Vec<_>>>()?;
        let find = |name: &str| Some(values[names.iter().position(|n| *n == name)?].clone());
        Model::new(self.description(), find)
    }

    /// The description of the model, without its values.
    pub fn description(&self) -> Description {
        self.description.clone()
    }
}

/// The parameter that a variable of the optimizer belongs to: `0.weight` of `optimizer.momentum.0.weight`.
fn parameter(name: &str) -> Option<&str> {
    name.strip_prefix("optimizer.").unwrap_or(name).split_once('.').map(|(_, of)| of)
}
