//! The loop over epochs.

use super::checkpoint::SoFar;
use super::run::{Compiled, DATA, Run};
use super::score::Score;
use crate::error::{Error, Result};
use crate::runtime::peak_memory;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// An event in a run.
///
/// ```
/// # use neural::{Array, data::{Dataset, Splits, Targets}, nn, runtime::Device, train::Trainer};
/// # let inputs = Array::new(&[4, 1], vec![-2f32, -1.0, 1.0, 2.0])?;
/// # let splits = Splits { train: vec![0, 1, 2, 3], ..Splits::default() };
/// # let data = Dataset::new(inputs, Targets::numbered(vec![0, 0, 1, 1])?, splits)?;
/// # let device = Device::cpu()?;
/// # let trainer = Trainer::new(nn::sequential([nn::dense(2)])).epochs(2);
/// use neural::train::Event;
/// let mut run = trainer.start(&device, &data)?;
/// assert!(matches!(run.proceed()?, Some(Event::Compiled(_))));
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A program was compiled, which takes a while and happens once for each shape.
    Compiled(Compiled),
    /// Some steps are done: a sign of life, several times a second on most models.
    Progress(Progress),
    /// An epoch is done and evaluated.
    Epoch(Epoch),
}

/// The progress of a run.
///
/// ```
/// # use neural::{Array, data::{Dataset, Splits, Targets}, nn, runtime::Device, train::Trainer};
/// # let inputs = Array::new(&[4, 1], vec![-2f32, -1.0, 1.0, 2.0])?;
/// # let splits = Splits { train: vec![0, 1, 2, 3], ..Splits::default() };
/// # let data = Dataset::new(inputs, Targets::numbered(vec![0, 0, 1, 1])?, splits)?;
/// # let device = Device::cpu()?;
/// # let trainer = Trainer::new(nn::sequential([nn::dense(2)])).epochs(2);
/// use neural::train::Event;
/// let mut run = trainer.start(&device, &data)?;
/// run.fit(|event| {
///     if let Event::Progress(progress) = event {
///         assert!(progress.step <= progress.steps);
///     }
///     std::ops::ControlFlow::Continue(())
/// })?;
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Progress {
    /// The current epoch, from 1.
    pub epoch: u64,
    /// Steps done in it.
    pub step: usize,
    /// Steps of the epoch.
    pub steps: usize,
    /// The mean loss of the epoch so far.
    pub loss: f64,
    /// Training rows a second, in this epoch so far.
    pub samples_per_second: f64,
    /// Steps a second, in this epoch so far.
    pub steps_per_second: f64,
}

/// The result of an epoch.
///
/// ```
/// # use neural::{Array, data::{Dataset, Splits, Targets}, nn, runtime::Device, train::Trainer};
/// # let inputs = Array::new(&[4, 1], vec![-2f32, -1.0, 1.0, 2.0])?;
/// # let splits = Splits { train: vec![0, 1, 2, 3], ..Splits::default() };
/// # let data = Dataset::new(inputs, Targets::numbered(vec![0, 0, 1, 1])?, splits)?;
/// # let device = Device::cpu()?;
/// # let trainer = Trainer::new(nn::sequential([nn::dense(2)])).epochs(2);
/// let history = trainer.start(&device, &data)?.fit(|_| std::ops::ControlFlow::Continue(()))?;
/// assert_eq!(history[1].number, 2);
/// assert!(history[1].loss < history[0].loss);
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// The number of the epoch, from 1.
    pub number: u64,
    /// The mean over the epoch's rows, each as its batch was trained on.
    pub loss: f64,
    /// The part of these rows that was classified correctly, where targets are classes.
    pub accuracy: Option<f64>,
    /// The model after the epoch on the validation rows, where there are any.
    pub validation: Option<Score>,
    /// The learning rate of its last step.
    pub learning_rate: f64,
    /// The seconds of training, without evaluation.
    pub seconds: f64,
    /// Training rows a second, over the whole epoch.
    pub samples_per_second: f64,
    /// The most memory that the process has held so far, in bytes; `None` where the system does not tell.
    #[serde(default)]
    pub peak_memory: Option<u64>,
}

/// The time after which the state is copied to the host, to have one to return to.
const REMEMBER_EVERY: Duration = Duration::from_secs(10);

impl Run<'_> {
    /// Continues to the next event: compiles, or runs the steps of one call, or ends an epoch. `None` after the last
    /// epoch.
    ///
    /// Between two events the run may be inspected, evaluated, or kept as a [`Checkpoint`](super::Checkpoint).
    ///
    /// ```
    /// # use neural::{Array, data::{Dataset, Splits, Targets}, nn, runtime::Device, train::Trainer};
    /// # let inputs = Array::new(&[4, 1], vec![-2f32, -1.0, 1.0, 2.0])?;
    /// # let splits = Splits { train: vec![0, 1, 2, 3], ..Splits::default() };
    /// # let data = Dataset::new(inputs, Targets::numbered(vec![0, 0, 1, 1])?, splits)?;
    /// # let device = Device::cpu()?;
    /// # let trainer = Trainer::new(nn::sequential([nn::dense(2)])).epochs(2);
    /// let mut run = trainer.start(&device, &data)?;
    /// while run.proceed()?.is_some() {}
    /// assert_eq!(run.epochs_reported(), 2);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the device fails, or the loss is no longer a finite number: the error names the step and where in the
    /// model the first such number came up, and the run is back in its state before that step.
    pub fn proceed(&mut self) -> Result<Option<Event>> {
        if let Some(compiled) = self.compiled.pop_front() {
            return Ok(Some(Event::Compiled(compiled)));
        }
        let validation = self.data().splits.validation.len();
        if self.owes_epoch() {
            if validation > 0 {
                self.compile_evaluation(validation)?;
            }
        } else if self.epoch() < self.trainer().epochs {
            let steps = self.steps_per_call()?.min(self.left_in_epoch());
            self.compile_training(steps)?;
        } else {
            return Ok(None);
        }
        match self.compiled.pop_front() {
            Some(compiled) => Ok(Some(Event::Compiled(compiled))),
            None if self.owes_epoch() => self.end_epoch().map(|epoch| Some(Event::Epoch(epoch))),
            None => self.train().map(|progress| Some(Event::Progress(progress))),
        }
    }

    /// Trains to the end of the last epoch, or until `observe` breaks; returns the finished epochs. An interrupted run
    /// continues when `fit` is called again.
    ///
    /// ```
    /// # use neural::{Array, data::{Dataset, Splits, Targets}, nn, runtime::Device, train::Trainer};
    /// # let inputs = Array::new(&[4, 1], vec![-2f32, -1.0, 1.0, 2.0])?;
    /// # let splits = Splits { train: vec![0, 1, 2, 3], ..Splits::default() };
    /// # let data = Dataset::new(inputs, Targets::numbered(vec![0, 0, 1, 1])?, splits)?;
    /// # let device = Device::cpu()?;
    /// # let trainer = Trainer::new(nn::sequential([nn::dense(2)])).epochs(2);
    /// let mut run = trainer.start(&device, &data)?;
    /// assert_eq!(run.fit(|_| std::ops::ControlFlow::Continue(()))?.len(), 2);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Run::proceed`].
    pub fn fit(&mut self, mut observe: impl FnMut(&Event) -> ControlFlow<()>) -> Result<Vec<Epoch>> {
        let mut history = Vec::new();
        while let Some(event) = self.proceed()? {
            let flow = observe(&event);
            if let Event::Epoch(epoch) = event {
                history.push(epoch);
            }
            if flow.is_break() {
                break;
            }
        }
        Ok(history)
    }

    /// Trains for one call of the device.
    fn train(&mut self) -> Result<Progress> {
        let steps = self.steps_per_call()?.min(self.left_in_epoch());
        if self.remembered.as_ref().is_none_or(|(_, since)| since.elapsed() > REMEMBER_EVERY) {
            self.checkpoint()?;
        }
        let (first, epoch, steps_per_epoch) = (self.step(), self.epoch() + 1, self.steps_per_epoch());
        let started = Instant::now();
        let done = self.advance(steps)?;
        if let Some((step, bad)) = (first..).zip(&done).find(|(_, step)| !step.loss.is_finite()) {
            return Err(self.explain(step, bad.loss));
        }
        self.add(&done, started.elapsed());
        let SoFar { loss, weight, rows, seconds, .. } = self.so_far;
        let step = (self.step() - (epoch - 1) * steps_per_epoch as u64) as usize;
        Ok(Progress {
            epoch,
            step,
            steps: steps_per_epoch,
            loss: loss / weight,
            samples_per_second: rows as f64 / seconds,
            steps_per_second: step as f64 / seconds,
        })
    }

    fn end_epoch(&mut self) -> Result<Epoch> {
        self.compare_processes()?;
        let validation = match &self.data().splits.validation[..] {
            [] => None,
            rows => Some(self.score(rows)?),
        };
        let SoFar { loss, weight, right, answers, rows, seconds } = std::mem::take(&mut self.so_far);
        let last = self.step().saturating_sub(1);
        Ok(Epoch {
            number: self.epoch(),
            loss: loss / weight,
            accuracy: self.is_of_classes().then(|| right as f64 / answers as f64),
            validation,
            learning_rate: self.trainer().optimizer.learning_rate.at(last),
            seconds,
            samples_per_second: rows as f64 / seconds,
            peak_memory: peak_memory(),
        })
    }

    /// The error for a loss that was not finite in step `step`. The run returns to its state before that step, which is
    /// run again with every operation checked.
    fn explain(&mut self, step: u64, loss: f32) -> Error {
        let place = self.first_not_finite(step);
        let advice = match &place {
            _ if self.weighs_nothing(step).unwrap_or_default() => {
                "every row of the batch is of a class with weight 0, so that their weighted mean is 0/0: give these classes a small weight, leave their rows out, or make batches larger"
            }
            Ok(Some(place)) if place == DATA => {
                "look there for values that are missing, infinite or very large"
            }
            _ => "try a smaller learning rate, clip_norm = 1.0, or scaled data",
        };
        let (place, advice) = match place {
            Ok(place) => (place, advice.to_string()),
            Err(error) => (None, format!("{advice}; where it came up could not be found ({error})")),
        };
        let epoch = Some(step / self.steps_per_epoch() as u64 + 1);
        Error::NotFinite { loss: loss.into(), step, epoch, place, advice }
    }
}
