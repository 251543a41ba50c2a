//! `neural evaluate --conformal`

use crate::error::{Error, Result};
use crate::metric::{Conformal, Task, percent};
use crate::train::Evaluation;
use std::str::FromStr;

/// Which sets or intervals to keep with a checkpoint.
#[derive(Clone, Copy, Debug)]
pub(super) enum Confidence {
    /// Margins that hold the truth in this part of the rows.
    Of(f64),
    /// No margins.
    Off,
}

impl FromStr for Confidence {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text.parse::<f64>() {
            _ if text == "off" => Ok(Self::Off),
            Ok(part) if part > 0.0 && part < 1.0 => Ok(Self::Of(part)),
            _ => Err("expected a number between 0 and 1, such as 0.9, or off".to_string()),
        }
    }
}

/// Chooses the margins on some rows, which `of` names.
pub(super) fn fit(confidence: f64, evaluation: &Evaluation, of: &str) -> Result<Conformal> {
    let found = match evaluation.task() {
        Task::Classes { classes, probabilities: true } => {
            Conformal::of_classes(evaluation.probabilities(), classes, evaluation.labels(), confidence)
        }
        Task::Values => {
            let (outputs, targets) = (&evaluation.outputs, evaluation.targets());
            Conformal::of_values(outputs, targets, evaluation.width, confidence)
        }
        _ => {
            let expected = "a model of one class a row with its probabilities, or of values";
            return Err(Error::value("--conformal", expected, "another"));
        }
    };
    found.ok_or_else(|| {
        let is_finite = evaluation.outputs.iter().all(|output| output.is_finite())
            && !evaluation.targets().iter().any(|target| target.is_infinite());
        if !is_finite {
            let expected = "outputs and targets that are finite numbers in enough of the rows";
            return Error::value("--conformal", expected, format!("others in {of}"));
        }
        let expected =
            format!("at least {} rows for {}", Conformal::least_rows(confidence), percent(confidence));
        Error::value("--conformal", expected, of)
    })
}

/// The share of rows whose set or interval contains the truth, and the average size of sets, as a line for people.
pub(super) fn said(conformal: &Conformal, evaluation: &Evaluation) -> Option<String> {
    let name = format!("conformal {}", percent(conformal.confidence));
    match evaluation.task() {
        Task::Classes { classes, .. } => {
            let rows = evaluation.probabilities().chunks_exact(classes);
            let sets: Vec<Vec<usize>> = rows.map(|row| conformal.set(row)).collect();
            let labels = evaluation.labels();
            let right =
                sets.iter().zip(labels).filter(|(set, label)| set.contains(&(**label as usize))).count();
            let size = sets.iter().map(Vec::len).sum::<usize>() as f64 / sets.len().max(1) as f64;
            let part = percent(right as f64 / sets.len().max(1) as f64);
            Some(format!("{name}: sets of {size:.2} classes on average; {part} contain the correct class"))
        }
        Task::Values => {
            let width = evaluation.width.max(1);
            let is_within = |&(i, target, output): &(usize, f64, f64)| {
                let [low, high] = conformal.interval(i % width, output);
                (low..=high).contains(&target)
            };
            let (within, all) = (evaluation.known().filter(is_within).count(), evaluation.known().count());
            let margins: Vec<String> =
                conformal.margins.iter().map(|margin| crate::metric::number(*margin)).collect();
            let part = percent(within as f64 / all.max(1) as f64);
            Some(format!("{name}: intervals of +-{}; {part} contain the target", margins.join(", ")))
        }
        _ => None,
    }
}
