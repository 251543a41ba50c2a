//! Figures without their outputs, and the evaluations of several outputs together.

use super::Evaluation;
use crate::error::{Error, Result};
use crate::metric::{Figures, Metric};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// How good a model is on some rows.
///
/// ```
/// use neural::metric::{Figures, Metric};
/// use neural::train::Score;
/// let score = Score { rows: 4, loss: 0.25, figures: Figures(vec![(Metric::Accuracy, 0.75)]) };
/// assert_eq!(score.to_string(), "loss 0.2500, accuracy 75.00%");
/// assert_eq!(serde_json::to_string(&score)?, r#"{"rows":4,"loss":0.25,"accuracy":0.75}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The number of rows.
    pub rows: usize,
    /// The mean loss; NaN where none of the rows counts, or where it is not finite.
    #[serde(deserialize_with = "number_or_null")]
    pub loss: f64,
    /// The figures by name.
    #[serde(flatten)]
    pub figures: Figures,
}

/// JSON has no NaN: it is written as `null`.
fn number_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

impl Score {
    /// The value of a figure, if it is among these.
    pub fn get(&self, metric: Metric) -> Option<f64> {
        self.figures.get(metric)
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "loss {}", crate::metric::number(self.loss))?;
        if self.figures.0.is_empty() { Ok(()) } else { write!(f, ", {}", self.figures) }
    }
}

/// A model's evaluations on the same rows, one for each of its goals, and their total loss.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Evaluations {
    pub(super) each: Vec<Named>,
}

/// The evaluation of one goal.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub name: String,
    pub weight: f64,
    pub evaluation: Evaluation,
}

impl Evaluations {
    /// The sum of the goals' mean losses, each times its weight.
    pub fn loss(&self) -> f64 {
        match &self.each[..] {
            [one] if one.weight == 1.0 => one.evaluation.loss(),
            several => several.iter().map(|one| one.weight * one.evaluation.loss()).sum(),
        }
    }

    /// The number of rows that were evaluated.
    pub fn rows(&self) -> usize {
        self.each.first().map_or(0, |one| one.evaluation.rows())
    }

    /// Each goal's evaluation, with its name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Evaluation)> {
        self.each.iter().map(|one| (one.name.as_str(), &one.evaluation))
    }

    /// The only evaluation, of a model with one goal.
    ///
    /// # Errors
    /// When there are several.
    pub fn only(mut self) -> Result<Evaluation> {
        match (self.each.pop(), self.each.len()) {
            (Some(one), 0) => Ok(one.evaluation),
            (_, more) => Err(Error::value("evaluation", "a model with one objective", more + 1)),
        }
    }

    /// The loss and some figures; for several goals, figures from [`Metric::of_output`].
    pub fn score(&self, metrics: &[Metric]) -> Score {
        if let [one] = &self.each[..]
            && metrics.iter().all(|metric| metric.output().is_none())
        {
            return Score { loss: self.loss(), ..one.evaluation.score(metrics) };
        }
        let mut figures: Vec<(Metric, f64)> = Vec::new();
        for one in &self.each {
            let of_one = metrics.iter().filter_map(|metric| match metric.output() {
                Some((output, of)) if output == one.name => Some((*metric, of)),
                _ => None,
            });
            let (named, plain): (Vec<Metric>, Vec<Metric>) = of_one.unzip();
            let values = one.evaluation.figures(&plain);
            figures.extend(named.into_iter().zip(plain).map(|(named, plain)| match plain {
                Metric::Loss => (named, one.evaluation.loss()),
                plain => (named, values.get(plain).unwrap_or(f64::NAN)),
            }));
        }
        let place = |metric: &Metric| metrics.iter().position(|known| known == metric);
        figures.sort_by_key(|(metric, _)| place(metric));
        Score { rows: self.rows(), loss: self.loss(), figures: Figures(figures) }
    }
}
