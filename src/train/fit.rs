//! The loop over epochs.

use super::evaluation::Evaluation;
use super::run::{Compiled, Run};
use crate::error::{Error, Result};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// What happened in a run, as it happens.
#[derive(Debug)]
pub enum Event<'a> {
    /// A program was compiled, which takes a while and happens once for each shape.
    Compiled(Compiled),
    /// Some steps are done: a sign of life, several times a second on most models.
    Progress(Progress),
    /// An epoch is done and evaluated.
    Epoch(&'a Epoch),
}

/// How far a run is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// The epoch that is under way, from 1.
    pub epoch: u64,
    /// Steps done in it.
    pub step: usize,
    pub steps: usize,
    /// The mean loss of the epoch so far.
    pub loss: f64,
    pub samples_per_second: f64,
}

/// What an epoch came to.
#[derive(Clone, Debug)]
pub struct Epoch {
    /// From 1.
    pub number: u64,
    /// The mean over the epoch's rows, each as its batch was trained on.
    pub loss: f64,
    /// The part of those rows that was classified right, where targets are classes.
    pub accuracy: Option<f64>,
    /// The model after the epoch on the validation rows, where there are any.
    pub validation: Option<Evaluation>,
    /// Of training, without evaluation.
    pub duration: Duration,
}

impl Run<'_> {
    /// Trains to the end of the last epoch, or until `observe` breaks off; returns the epochs that were finished.
    ///
    /// # Errors
    /// When the device fails or the loss is no longer a finite number.
    pub fn fit(&mut self, mut observe: impl FnMut(&Event) -> ControlFlow<()>) -> Result<Vec<Epoch>> {
        let per_call = self.steps_per_call()?;
        let is_class = self.data().classes().is_some();
        let mut history = Vec::new();
        while self.epoch() < self.trainer().epochs {
            let number = self.epoch() + 1;
            let steps = self.steps_per_epoch();
            let (mut loss, mut right, mut rows) = (0.0, 0u64, 0u64);
            let mut duration = Duration::ZERO;
            while self.epoch() + 1 == number {
                let count = per_call.min(self.left_in_epoch());
                self.compile_training(count)?;
                if self.report_compiled(&mut observe).is_break() {
                    return Ok(history);
                }
                let started = Instant::now();
                let first = self.step();
                for (i, step) in self.advance(count)?.iter().enumerate() {
                    if !step.loss.is_finite() {
                        return Err(not_finite(first + i as u64, number, step.loss));
                    }
                    loss += f64::from(step.loss) * f64::from(step.rows);
                    right += u64::from(step.right);
                    rows += u64::from(step.rows);
                }
                duration += started.elapsed();
                let done = steps - if self.epoch() + 1 == number { self.left_in_epoch() } else { 0 };
                let progress = Progress {
                    epoch: number,
                    step: done,
                    steps,
                    loss: loss / rows as f64,
                    samples_per_second: rows as f64 / duration.as_secs_f64(),
                };
                if observe(&Event::Progress(progress)).is_break() {
                    return Ok(history);
                }
            }
            let validation = match &self.data().splits.validation[..] {
                [] => None,
                rows => Some(self.evaluate(rows)?),
            };
            let accuracy = is_class.then(|| right as f64 / rows as f64);
            let epoch = Epoch { number, loss: loss / rows as f64, accuracy, validation, duration };
            let flow = self.report_compiled(&mut observe);
            let stop = observe(&Event::Epoch(&epoch)).is_break() || flow.is_break();
            history.push(epoch);
            if stop {
                break;
            }
        }
        Ok(history)
    }

    fn report_compiled(&mut self, observe: &mut impl FnMut(&Event) -> ControlFlow<()>) -> ControlFlow<()> {
        self.take_compiled().into_iter().try_for_each(|compiled| observe(&Event::Compiled(compiled)))
    }
}

fn not_finite(step: u64, epoch: u64, loss: f32) -> Error {
    Error::NotFinite(format!(
        "the loss was {loss} in step {step} (epoch {epoch}): try a smaller learning rate, clip_norm = 1.0, or scaled data"
    ))
}
