//! The part of each column of a row, or each pixel of a picture, in an answer, by integrated gradients.

use super::occlusion::{channels, mean_color};
use super::pictures::Explained;
use super::values;
use super::{Baseline, Subject};
use crate::array::{Array, count};
use crate::cli::text;
use crate::error::Result;
use crate::model::{Attributor, Predictor};
use crate::plot::{Dots, Panels};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Integrated gradients from a baseline.
pub(super) struct Gradients<'a> {
    pub predictor: &'a Predictor,
    pub attributor: &'a Attributor,
    /// A sample without information.
    pub baseline: Vec<f64>,
}

/// A model's answer for a sample, and the parts of the sample's numbers in its figure.
pub(super) struct Attribution {
    pub answer: String,
    pub figure: f64,
    /// The figure of the same answer for the baseline.
    pub from: f64,
    pub parts: Vec<f64>,
}

impl Attribution {
    /// The part of the difference that the steps missed.
    pub fn gap(&self) -> f64 {
        (self.figure - self.from - self.parts.iter().sum::<f64>()).abs()
    }
}

/// The baseline as one sample: zeros, or the mean of the training rows, of pictures their mean colour.
pub(super) fn baseline(subject: &Subject, kind: Baseline) -> Result<Vec<f64>> {
    let size = count(&subject.description.sample);
    if kind == Baseline::Zero {
        return Ok(vec![0.0; size]);
    }
    if subject.description.columns.is_empty() {
        let color = mean_color(&subject.data, &subject.data.splits.train, subject.description.dtype)?;
        return Ok(color.into_iter().cycle().take(size).collect());
    }
    let train = &subject.data.splits.train;
    let step = train.len().div_ceil(super::MOST_ROWS).max(1);
    let rows: Vec<u32> = train.iter().copied().step_by(step).collect();
    let values = subject.data.samples(&rows)?.to_f64();
    let mut sums = vec![0.0; size];
    for row in values.chunks_exact(size) {
        sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
    }
    Ok(sums.into_iter().map(|sum| sum / rows.len() as f64).collect())
}

impl Gradients<'_> {
    /// Explains the answer for one sample `[1, sample…]`.
    pub fn explain(&self, subject: &Subject, sample: &Array) -> Result<Attribution> {
        let answers = &subject.answers;
        let outputs = self.predictor.predict(sample)?.to_f64();
        let figures = answers.figures(&outputs);
        let chosen = answers.class(&figures).unwrap_or(0);
        // The figure is the output itself, or of the first of two classes with one output 1 less that.
        let is_reversed = figures.len() > outputs.len() && chosen == 0;
        let weight = if is_reversed { -1.0 } else { 1.0 };
        let mut weights = vec![0.0; outputs.len()];
        weights[chosen.min(outputs.len() - 1)] = weight;
        let parts = self.attributor.attribute(&sample.to_f64(), &self.baseline, &weights)?;
        let baseline = Array::new(sample.shape(), self.baseline.iter().map(|v| *v as f32).collect())?;
        let from = self.predictor.predict(&baseline.cast(subject.description.dtype))?.to_f64();
        let from = answers.figures(&from)[chosen];
        Ok(Attribution { answer: answers.names[chosen].clone(), figure: figures[chosen], from, parts })
    }
}

impl Gradients<'_> {
    /// As [`Self::explain`], of a picture: the part of each pixel, over all its channels.
    pub fn picture(&self, subject: &Subject, sample: &Array) -> Result<Explained> {
        let Attribution { answer, figure, from, parts } = self.explain(subject, sample)?;
        let channels = channels(&subject.description.sample);
        let pixels = parts.chunks_exact(channels).map(|pixel| pixel.iter().sum()).collect();
        Ok(Explained { answer, figure, baseline: Some(from), pixels })
    }
}

/// A row, and the parts of its columns in the answer, the largest first.
pub(super) struct Row {
    number: u32,
    truth: String,
    attribution: Attribution,
    columns: Vec<(String, Value, f64)>,
}

pub(super) fn rows(subject: &Subject, gradients: &Gradients, chosen: &[u32]) -> Result<Vec<Row>> {
    let columns = subject.columns()?;
    let of = |&number: &u32| {
        let sample = subject.data.samples(&[number])?;
        let features = sample.to_vec::<f32>()?;
        let attribution = gradients.explain(subject, &sample)?;
        let part = |(name, place): &(String, std::ops::Range<usize>)| {
            let value = subject.column(name).map(|column| values::value(column, &features[place.clone()]));
            (name.clone(), value.unwrap_or_default(), attribution.parts[place.clone()].iter().sum())
        };
        let mut columns: Vec<(String, Value, f64)> = columns.iter().map(part).collect();
        columns.sort_by(|a, b| b.2.abs().total_cmp(&a.2.abs()));
        Ok(Row { number, truth: subject.truth(number), attribution, columns })
    };
    chosen.iter().map(of).collect()
}

impl Row {
    pub fn json(&self) -> Value {
        let Attribution { answer, figure, from, .. } = &self.attribution;
        let column = |(name, value, part): &(String, Value, f64)| json!({ "column": name, "value": value, "part": part });
        let columns: Vec<Value> = self.columns.iter().map(column).collect();
        json!({
            "row": self.number, "truth": self.truth, "answer": answer, "figure": figure, "baseline": from,
            "columns": columns,
        })
    }

    fn title(&self, subject: &Subject) -> String {
        let Attribution { answer, figure, from, .. } = &self.attribution;
        let [figure, from] = [figure, from].map(|figure| subject.answers.shown(*figure));
        let said = if subject.answers.is_class { format!("{answer} {figure}") } else { figure };
        format!("row {}: {said}, from {from} (target {})", self.number, self.truth)
    }
}

pub(super) fn text(subject: &Subject, rows: &[Row]) -> String {
    let mut out = String::new();
    for row in rows {
        let _ = writeln!(out, "{}", row.title(subject));
        let line = |(name, value, part): &(String, Value, f64)| {
            let sign = if *part < 0.0 { "-" } else { "+" };
            vec![name.clone(), values::shown(value), format!("{sign}{}", subject.answers.shown(part.abs()))]
        };
        let lines: Vec<Vec<String>> = row.columns.iter().map(line).collect();
        for line in text::table(&lines, 1).lines() {
            let _ = writeln!(out, "  {line}");
        }
        out.push('\n');
    }
    let gap = rows.iter().map(|row| row.attribution.gap()).fold(0.0, f64::max);
    out + &within(subject, gap)
}

/// How closely the parts add up to the differences.
pub(super) fn within(subject: &Subject, gap: f64) -> String {
    format!("the parts add up to the difference from the baseline within {}\n", subject.answers.shown(gap))
}

/// At most this many letters of a column's name and of its value, so that both have room beside a panel.
const MOST_LETTERS: usize = 20;

fn cut(text: &str) -> String {
    match text.char_indices().nth(MOST_LETTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_string(),
    }
}

/// Columns of a row that its panel shows.
const MOST_COLUMNS: usize = 12;

pub(super) fn picture(subject: &Subject, title: &str, rows: &[Row]) -> Panels {
    let panels = Panels::new(title, if rows.len() > 1 { 2 } else { 1 });
    rows.iter().fold(panels, |panels, row| {
        let dots = Dots::new(row.title(subject)).x_label(format!("adds to the {}", subject.answers.figure));
        let columns = row.columns.iter().take(MOST_COLUMNS);
        let name = |name: &str, value: &Value| format!("{} = {}", cut(name), cut(&values::shown(value)));
        panels.dots(columns.fold(dots, |dots, (column, value, part)| dots.row(name(column, value), &[*part])))
    })
}
