//! Which columns a model's answers depend on: how much worse the model is when a column's values are shuffled.

use super::Subject;
use crate::array::Array;
use crate::cli::text;
use crate::data::{LastBatch, Shuffle, Targets, epoch_order};
use crate::error::{Error, Result};
use crate::metric::{Errors, Truth, classes_of, log_loss, number, percent};
use crate::model::Predictor;
use crate::plot::Dots;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::ops::Range;

/// How often columns are shuffled, and from which seed.
#[derive(Clone, Copy)]
pub(super) struct Permutation {
    pub repeats: u64,
    pub seed: u64,
}

/// How good a model is on some rows.
#[derive(Clone, Copy)]
struct Worth {
    /// The mean log loss of classes, the mean squared error of values.
    loss: f64,
    /// The accuracy of classes, R² of values.
    score: f64,
}

/// How much worse a model gets when a column is shuffled.
struct Importance {
    name: String,
    /// Means over the repeats, and the standard deviation of the second.
    loss: f64,
    score: f64,
    spread: f64,
}

/// The effect of shuffling the columns.
pub(super) struct Importances {
    /// The names of loss and score.
    names: [&'static str; 2],
    base: Worth,
    /// The most important column first.
    columns: Vec<Importance>,
}

impl Permutation {
    /// Measures columns by their names and features.
    pub fn measure(self, subject: &Subject, predictor: &Predictor) -> Result<Importances> {
        let is_class = subject.data.targets.is_classes();
        let names = if is_class { ["log-loss", "accuracy"] } else { ["mse", "r2"] };
        let base = worth(subject, predictor, &subject.samples)?;
        let of = |(name, features): &(String, Range<usize>)| {
            self.importance(subject, predictor, name, features, base)
        };
        let mut columns: Vec<Importance> = subject.columns()?.iter().map(of).collect::<Result<_>>()?;
        columns.sort_by(|a, b| b.loss.total_cmp(&a.loss));
        Ok(Importances { names, base, columns })
    }

    fn importance(
        self,
        subject: &Subject,
        predictor: &Predictor,
        name: &str,
        features: &Range<usize>,
        base: Worth,
    ) -> Result<Importance> {
        let numbers: Vec<u32> = (0..subject.rows.len() as u32).collect();
        let mut found = Vec::new();
        for repeat in 0..self.repeats {
            // The same orders for every column, so that columns with the same values get the same figures.
            let shuffle = Shuffle { seed: self.seed, epoch: repeat };
            let order = epoch_order(&numbers, 1, LastBatch::Mask, Some(shuffle))?;
            let now = worth(subject, predictor, &shuffled(&subject.samples, features, &order.rows)?)?;
            found.push(Worth { loss: now.loss - base.loss, score: base.score - now.score });
        }
        let mean = |of: fn(&Worth) -> f64| found.iter().map(of).sum::<f64>() / found.len() as f64;
        let (loss, score) = (mean(|one| one.loss), mean(|one| one.score));
        let variance = found.iter().map(|one| (one.score - score).powi(2)).sum::<f64>() / found.len() as f64;
        Ok(Importance { name: name.to_string(), loss, score, spread: variance.sqrt() })
    }
}

/// The samples `[rows, features]` with the values of these features taken from the rows in `order`.
fn shuffled(samples: &Array, features: &Range<usize>, order: &[u32]) -> Result<Array> {
    let given = samples.to_vec::<f32>()?;
    let mut values = given.clone();
    let width = samples.shape()[1];
    for (row, from) in order.iter().enumerate() {
        let of = |row: usize| row * width + features.start..row * width + features.end;
        values[of(row)].copy_from_slice(&given[of(*from as usize)]);
    }
    Array::new(samples.shape(), values)
}

/// How good the model is with `samples` in place of the rows' own.
fn worth(subject: &Subject, predictor: &Predictor, samples: &Array) -> Result<Worth> {
    let outputs = predictor.predict(samples)?;
    let width = outputs.shape().get(1).copied().unwrap_or(1);
    let outputs = outputs.to_f64();
    match &subject.data.targets {
        Targets::Classes { labels, .. } => {
            let labels: Vec<i32> = subject.rows.iter().map(|&row| labels[row as usize]).collect();
            let (probabilities, width) = match width {
                1 => (outputs.iter().flat_map(|yes| [1.0 - yes, *yes]).collect(), 2),
                _ => (outputs, width),
            };
            let right = classes_of(&probabilities, width)
                .iter()
                .zip(&labels)
                .filter(|(said, label)| said == label)
                .count();
            let loss = log_loss(&probabilities, width, Truth::Labels(&labels));
            Ok(Worth { loss, score: right as f64 / labels.len() as f64 })
        }
        Targets::Values(values) | Targets::Partial(values) => {
            let all = values.to_f64();
            let of = |&row: &u32| all[row as usize * width..(row as usize + 1) * width].to_vec();
            let targets: Vec<f64> = subject.rows.iter().flat_map(of).collect();
            let errors = Errors::of_each(&outputs, &targets, width);
            let mean = |of: fn(&Errors) -> f64| errors.iter().map(of).sum::<f64>() / errors.len() as f64;
            Ok(Worth { loss: mean(|one| one.squared), score: mean(|one| one.r2) })
        }
        _ => Err(Error::value("explain", "a class or values for each row", "another target")),
    }
}

impl Importances {
    pub fn json(&self) -> (Value, Value) {
        let [loss, score] = self.names;
        let of = |one: &Importance| json!({ "column": one.name, loss: one.loss, score: one.score, "spread": one.spread });
        (json!({ loss: self.base.loss, score: self.base.score }), self.columns.iter().map(of).collect())
    }

    fn shown(&self, score: f64) -> String {
        if self.names[1] == "accuracy" { percent(score) } else { number(score) }
    }

    pub fn text(&self, part: &str, rows: usize) -> String {
        let ([loss, score], base) = (self.names, self.base);
        let mut out = String::new();
        let _ = writeln!(
            out,
            "{rows} {part} rows: {loss} {}, {score} {}\n",
            number(base.loss),
            self.shown(base.score)
        );
        let head = ["shuffled".into(), format!("{loss} rises by"), format!("{score} falls by"), "+-".into()];
        let mut lines = vec![head.to_vec()];
        for one in &self.columns {
            let (score, spread) = (self.shown(one.score), self.shown(one.spread));
            lines.push(vec![one.name.clone(), number(one.loss), score, spread]);
        }
        out + &text::table(&lines, 1)
    }

    pub fn picture(&self, title: &str) -> Dots {
        let dots =
            Dots::new(title).x_label(format!("{} rises by, where the column is shuffled", self.names[0]));
        self.columns.iter().fold(dots, |dots, one| dots.row(&one.name, &[one.loss]))
    }
}
