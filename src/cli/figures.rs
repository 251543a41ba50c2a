//! Tables of a run's figures.

use super::text;
use crate::metric::{Metric, number};
use crate::tensorboard;
use crate::train::{Epoch, Score};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// A model's figures on each part of the data that has rows: train, validation, test.
pub(super) type Scores = Vec<(&'static str, Score)>;

/// The scores as programs read them.
pub(super) fn by_part(scores: &Scores) -> BTreeMap<&'static str, &Score> {
    scores.iter().map(|(part, score)| (*part, score)).collect()
}

/// A line a part.
pub(super) fn table(scores: &Scores) -> String {
    let metrics: Vec<Metric> =
        scores.iter().take(1).flat_map(|(_, score)| score.figures.iter()).map(|(m, _)| m).collect();
    let head =
        ["", "rows", "loss"].map(String::from).into_iter().chain(metrics.iter().map(ToString::to_string));
    let mut lines = vec![head.collect::<Vec<_>>()];
    for (part, score) in scores {
        let mut line = vec![(*part).to_string(), score.rows.to_string(), number(score.loss)];
        line.extend(metrics.iter().map(|metric| metric.show(score.get(*metric).unwrap_or(f64::NAN))));
        lines.push(line);
    }
    text::table(&lines, 1)
}

/// An epoch's figures as TensorBoard shows them, which draws those with the same name before the slash as one.
pub(super) fn log(log: &mut tensorboard::Writer, epoch: &Epoch) -> crate::Result<()> {
    let mut scalar = |tag: &str, value: f64| log.scalar(tag, epoch.number, value);
    scalar("loss/train", epoch.loss)?;
    if let Some(accuracy) = epoch.accuracy {
        scalar("accuracy/train", accuracy)?;
    }
    if let Some(validation) = &epoch.validation {
        scalar("loss/validation", validation.loss)?;
        for (metric, value) in validation.figures.iter() {
            scalar(&format!("{metric}/validation"), value)?;
        }
    }
    scalar("learning_rate", epoch.learning_rate)?;
    scalar("samples_per_second", epoch.samples_per_second)?;
    log.flush()
}

/// The loss, or a figure.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quantity {
    Loss,
    Figure(Metric),
}

impl Quantity {
    fn of(self, score: &Score) -> Option<f64> {
        match self {
            Self::Loss => Some(score.loss),
            Self::Figure(metric) => score.get(metric),
        }
    }

    fn show(self, value: f64) -> String {
        match self {
            Self::Loss => number(value),
            Self::Figure(metric) => metric.show(value),
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loss => f.write_str("loss"),
            Self::Figure(metric) => metric.fmt(f),
        }
    }
}

/// How one quantity on one part of the data spreads over several runs.
struct Spread {
    part: &'static str,
    quantity: Quantity,
    values: Values,
}

#[derive(Clone, Copy, Serialize)]
struct Values {
    mean: f64,
    /// The sample deviation: these runs stand for all others.
    deviation: f64,
    least: f64,
    greatest: f64,
}

impl Values {
    fn of(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
        Self {
            mean,
            deviation: variance.sqrt(),
            least: values.iter().copied().fold(f64::INFINITY, f64::min),
            greatest: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        }
    }
}

/// How everything that several runs reached spreads.
pub(super) struct Spreads(Vec<Spread>);

impl Spreads {
    pub fn of(runs: &[&Scores]) -> Self {
        let mut spreads = Vec::new();
        for part in ["train", "validation", "test"] {
            let scores: Vec<&Score> = runs
                .iter()
                .flat_map(|run| run.iter())
                .filter(|(name, _)| *name == part)
                .map(|(_, score)| score)
                .collect();
            let metrics =
                scores.first().map(|score| score.figures.iter().map(|(metric, _)| Quantity::Figure(metric)));
            for quantity in
                metrics.into_iter().flat_map(|metrics| std::iter::once(Quantity::Loss).chain(metrics))
            {
                let values: Vec<f64> = scores.iter().filter_map(|score| quantity.of(score)).collect();
                spreads.push(Spread { part, quantity, values: Values::of(&values) });
            }
        }
        Self(spreads)
    }

    pub fn table(&self) -> String {
        let mut lines = vec![["", "", "mean", "deviation", "least", "greatest"].map(String::from).to_vec()];
        let mut before = "";
        for Spread { part, quantity, values } in &self.0 {
            let shown =
                [values.mean, values.deviation, values.least, values.greatest].map(|v| quantity.show(v));
            let part = if std::mem::replace(&mut before, part) == *part { "" } else { part };
            lines.push([vec![part.to_string(), quantity.to_string()], shown.to_vec()].concat());
        }
        text::table(&lines, 2)
    }

    /// The figures by part and name, as JSON for programs.
    pub fn json(&self) -> serde_json::Value {
        let mut parts: BTreeMap<&str, BTreeMap<String, Values>> = BTreeMap::new();
        for Spread { part, quantity, values } in &self.0 {
            parts.entry(part).or_default().insert(quantity.to_string(), *values);
        }
        serde_json::json!(parts)
    }
}
