//! Code shared by the programs of several chapters: training epoch by epoch, comparing, and reporting the result.

use super::message;
use crate::array::Array;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::metric::Metric;
use crate::runtime::Device;
use crate::train::{Epoch, Evaluation, Event, Run, Score, Trainer};
use crate::variables::Role;
use indicatif::{ProgressBar, ProgressStyle};
use std::fmt;
use std::io::Write;
use std::ops::ControlFlow;

/// An epoch in numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// The number of the epoch, from 1.
    pub epoch: u64,
    /// The mean over the epoch's rows, each as its batch was trained on.
    pub loss: f64,
    /// The part of these rows that was classified correctly.
    pub accuracy: f64,
    /// Loss and accuracy of the model after the epoch on the validation rows, where there are any.
    pub validation: Option<(f64, f64)>,
    /// The seconds of training since the first epoch began, without evaluation.
    pub seconds: f64,
}

impl Figures {
    fn of(epoch: &Epoch, before: f64) -> Self {
        let figures = |val: &Score| (val.loss, val.get(Metric::Accuracy).unwrap_or(0.0));
        Self {
            epoch: epoch.number,
            loss: epoch.loss,
            accuracy: epoch.accuracy.unwrap_or(0.0),
            validation: epoch.validation.as_ref().map(figures),
            seconds: before + epoch.seconds,
        }
    }

    /// The loss on the validation rows; not a number where there are none.
    pub fn validation_loss(&self) -> f64 {
        self.validation.map_or(f64::NAN, |(loss, _)| loss)
    }
}

/// `Loss: 0.12345, Accuracy: 97.12% train, 96.50% val`
impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Loss: {:.5}, Accuracy: {:.2}% train", self.loss, 100.0 * self.accuracy)?;
        self.validation.map_or(Ok(()), |(_, accuracy)| write!(f, ", {:.2}% val", 100.0 * accuracy))
    }
}

/// Trains `count` steps, over the ends of epochs, and passes the loss of each to `report` with its number, from 0. A
/// call of the device takes as many steps as fit into a fraction of a second. On a terminal, but not in a file or pipe,
/// it shows progress.
///
/// # Errors
/// Any error of [`Run::advance`] and of `report`.
pub fn steps(
    run: &mut Run,
    count: u64,
    mut report: impl FnMut(u64, f32) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<f32>> {
    let style =
        ProgressStyle::with_template("{bar:30} {pos}/{len} steps, {elapsed} gone, {eta} to go, loss {msg}")?;
    let bar = ProgressBar::new(count).with_style(style);
    let per_call = run.steps_per_call_of(count as usize)?;
    let mut losses: Vec<f32> = Vec::new();
    while (losses.len() as u64) < count {
        let left = count as usize - losses.len();
        for step in run.advance(per_call.min(left))? {
            bar.suspend(|| report(losses.len() as u64, step.loss))?;
            losses.push(step.loss);
            bar.set_message(format!("{:.4}", step.loss));
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    Ok(losses)
}

/// Trains to the end of the last epoch and passes the figures of each to `report` as soon as they are known. On a
/// terminal, but not in a file or pipe, it shows the progress of the epoch.
///
/// # Errors
/// Any error of [`Run::fit`] and of `report`.
pub fn epochs(run: &mut Run, mut report: impl FnMut(Figures) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let style = ProgressStyle::with_template("epoch {prefix} {bar:30} {pos}/{len} batches, {msg}")?;
    let bar = ProgressBar::new(run.steps_per_epoch() as u64).with_style(style);
    let mut seconds = 0.0;
    let mut reported = Ok(());
    let trained = run.fit(|event| {
        match event {
            Event::Progress(progress) => {
                let (rows, loss) = (progress.samples_per_second, progress.loss);
                bar.set_prefix(progress.epoch.to_string());
                bar.set_message(format!("{rows:.0} rows/s, loss {loss:.4}"));
                bar.set_position(progress.step as u64);
            }
            Event::Epoch(epoch) => {
                let figures = Figures::of(epoch, seconds);
                seconds = figures.seconds;
                reported = bar.suspend(|| report(figures));
            }
            Event::Compiled(_) => {}
        }
        if reported.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    bar.finish_and_clear();
    trained?;
    reported
}

/// Trains to the end of the last epoch and prints a line for each, counting from `first`.
///
/// # Errors
/// Any error of [`epochs`], and when nothing can be printed.
pub fn train(run: &mut Run, first: u64, out: &mut impl Write) -> anyhow::Result<Vec<Figures>> {
    let mut history = Vec::new();
    epochs(run, |figures| {
        writeln!(out, "Epoch {} > {figures}", figures.epoch - 1 + first)?;
        history.push(figures);
        Ok(())
    })?;
    Ok(history)
}

/// One of several trainings, with the figures of its epochs.
pub type Curve = (String, Vec<Figures>);

/// Trains one model after another on the same data and prints a line for each: its name and its last epoch. One whose
/// loss is no longer a number ends there.
///
/// # Errors
/// Any error of [`epochs`], and when nothing can be printed.
pub fn compare(
    device: &Device,
    data: &Dataset,
    trainers: Vec<(String, Trainer)>,
    out: &mut impl Write,
) -> anyhow::Result<Vec<Curve>> {
    let width = trainers.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let mut curves = Vec::new();
    for (name, trainer) in trainers {
        let mut history = Vec::new();
        let trained = epochs(&mut trainer.start(device, data)?, |figures| {
            history.push(figures);
            Ok(())
        });
        match (trained, history.last()) {
            (Err(error), _) if matches!(error.downcast_ref(), Some(Error::NotFinite { .. })) => {
                writeln!(out, "{name:<width$} > {}", message(&error))?;
            }
            (Err(error), _) => return Err(error),
            (Ok(()), Some(last)) => writeln!(out, "{name:<width$} > {last}")?,
            (Ok(()), None) => {}
        }
        curves.push((name, history));
    }
    Ok(curves)
}

/// The line `test > Loss: 0.05012, Accuracy: 98.40%`.
pub fn result(name: &str, loss: f64, evaluation: &Evaluation) -> String {
    let accuracy = 100.0 * evaluation.accuracy().unwrap_or(0.0);
    format!("{name} > Loss: {loss:.5}, Accuracy: {accuracy:.2}%")
}

/// The line `Success: 9032/10000 (90.32%)`.
///
/// # Errors
/// When the targets are no classes.
pub fn success(evaluation: &Evaluation) -> Result<String> {
    let confusion = evaluation.confusion().ok_or_else(|| Error::value("targets", "classes", "values"))?;
    let (right, total) = (confusion.correct(), confusion.total());
    Ok(format!("Success: {right}/{total} ({:.2}%)", 100.0 * confusion.accuracy()))
}

/// The rows that are not for training: of MNIST all 10,000 test images.
pub fn held_out(data: &Dataset) -> Vec<u32> {
    [&data.splits.validation[..], &data.splits.test].concat()
}

/// The values of the trained parameters, layer by layer: for a dense layer the weight `[units, inputs]`, then the bias
/// `[units]`.
///
/// # Errors
/// When the device fails.
pub fn parameters(run: &Run) -> Result<Vec<Array>> {
    let all = run.variables().iter().zip(run.state()?);
    Ok(all.filter(|(variable, _)| variable.role == Role::Parameter).map(|(_, value)| value).collect())
}
