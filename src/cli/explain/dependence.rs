//! Partial dependence (Friedman 2001): the mean answer over the rows if all of them had the same value in one column.

use super::Subject;
use super::values;
use crate::array::Array;
use crate::cli::text;
use crate::data::table::{Column, ColumnKind};
use crate::error::Result;
use crate::model::Predictor;
use crate::plot::{Chart, Dots, Panels};
use serde_json::{Value, json};
use std::ops::Range;

/// A column's values, and the mean figures of the answer for each.
pub(super) struct Dependence {
    column: Column,
    values: Vec<Value>,
    means: Vec<Vec<f64>>,
}

/// The names of the figures that are shown: of two classes the second alone.
pub(super) fn names(subject: &Subject) -> Vec<String> {
    let from = usize::from(subject.answers.is_class && subject.answers.names.len() == 2);
    subject.answers.names[from..].to_vec()
}

/// Measures each column over a grid of at most `most` values; the one that moves answers most comes first.
pub(super) fn measure(subject: &Subject, predictor: &Predictor, most: usize) -> Result<Vec<Dependence>> {
    let rows = subject.rows.len();
    let width = subject.samples.shape()[1];
    let given = subject.samples.to_vec::<f32>()?;
    let mut all = Vec::new();
    for (name, features) in subject.columns()? {
        let Some(column) = subject.column(&name) else { continue };
        let block = |row: usize| given[row * width + features.start..row * width + features.end].to_vec();
        let blocks: Vec<Vec<f32>> = (0..rows).map(block).collect();
        let grid = values::grid(column, &blocks, most);
        let means = grid
            .iter()
            .map(|value| mean(subject, predictor, &with(&given, width, &features, value)?))
            .collect::<Result<_>>()?;
        let values = grid.iter().map(|features| values::value(column, features)).collect();
        all.push(Dependence { column: column.clone(), values, means });
    }
    let range = |one: &Dependence| one.range(one.foremost());
    all.sort_by(|a, b| range(b).total_cmp(&range(a)));
    Ok(all)
}

/// The samples `[rows, width]` with the same features in all rows.
fn with(given: &[f32], width: usize, features: &Range<usize>, value: &[f32]) -> Result<Array> {
    let mut changed = given.to_vec();
    for row in changed.chunks_exact_mut(width) {
        row[features.clone()].copy_from_slice(value);
    }
    Array::new(&[given.len() / width, width], changed)
}

fn mean(subject: &Subject, predictor: &Predictor, samples: &Array) -> Result<Vec<f64>> {
    let outputs = predictor.predict(samples)?.to_f64();
    let mut sums = vec![0.0; names(subject).len()];
    for row in outputs.chunks_exact(subject.answers.width()) {
        let figures = subject.answers.figures(row);
        let from = figures.len() - sums.len();
        sums.iter_mut().zip(&figures[from..]).for_each(|(sum, figure)| *sum += figure);
    }
    let rows = samples.shape()[0] as f64;
    Ok(sums.into_iter().map(|sum| sum / rows).collect())
}

impl Dependence {
    pub fn json(&self) -> Value {
        json!({ "column": self.column.name, "values": self.values, "means": self.means })
    }

    /// The range of the mean of a figure.
    fn range(&self, figure: usize) -> f64 {
        let all = self.means.iter().map(|means| means[figure]);
        all.clone().fold(f64::NEG_INFINITY, f64::max) - all.fold(f64::INFINITY, f64::min)
    }

    /// The figure whose mean goes the furthest.
    fn foremost(&self) -> usize {
        let figures = 0..self.means.first().map_or(0, Vec::len);
        figures.max_by(|a, b| self.range(*a).total_cmp(&self.range(*b))).unwrap_or(0)
    }
}

/// A line for each column: its values with the min and max mean; among several classes, for the one that varies most.
pub(super) fn text(subject: &Subject, all: &[Dependence]) -> String {
    let names = names(subject);
    let is_one = names.len() == 1;
    let mut lines = vec![["column", "values", "of", "least", "greatest"].map(String::from).to_vec()];
    for one in all {
        let figure = one.foremost();
        let by_mean = |a: &usize, b: &usize| one.means[*a][figure].total_cmp(&one.means[*b][figure]);
        let at = |place: usize| {
            let mean = subject.answers.shown(one.means[place][figure]);
            format!("{mean} at {}", values::shown(&one.values[place]))
        };
        let places = 0..one.means.len();
        let ends = [places.clone().min_by(by_mean), places.rev().max_by(by_mean)];
        let [least, greatest] = ends.map(|place| place.map(at).unwrap_or_default());
        let count = one.values.len().to_string();
        lines.push(vec![one.column.name.clone(), count, names[figure].clone(), least, greatest]);
    }
    if is_one {
        lines.iter_mut().for_each(|line| drop(line.remove(2)));
    }
    let rows = subject.rows.len();
    format!("mean {} over {rows} {} rows\n\n{}", what(subject), subject.part, text::table(&lines, usize::MAX))
}

fn what(subject: &Subject) -> String {
    let answers = &subject.answers;
    match (answers.is_class, answers.names.len()) {
        (true, 2) => format!("probability of {}", answers.names[1]),
        (true, _) => "probability".into(),
        (false, _) => answers.target.clone(),
    }
}

/// A panel for each column: a curve over numbers, dots for all else.
pub(super) fn picture(subject: &Subject, title: &str, all: &[Dependence]) -> Panels {
    let mut names = names(subject);
    if names.len() == 1 {
        names = vec![String::new()];
    }
    let panels = Panels::new(title, if all.len() > 1 { 2 } else { 1 });
    // One scale for all, so that a column with little effect looks flat.
    let means: Vec<f64> = all.iter().flat_map(|one| one.means.iter().flatten()).copied().collect();
    all.iter().fold(panels, |panels, one| {
        let name = &one.column.name;
        if matches!(one.column.kind, ColumnKind::Number { .. }) {
            let chart = Chart::new(name).x_label(name).y_label(format!("mean {}", what(subject)));
            let chart = chart.y_room(&means);
            let line = |chart: Chart, (figure, series): (usize, &String)| {
                let points: Vec<_> = one
                    .values
                    .iter()
                    .zip(&one.means)
                    .map(|(value, means)| (value.as_f64().unwrap_or(f64::NAN), means[figure]))
                    .collect();
                chart.line(series.as_str(), &points)
            };
            return panels.chart(names.iter().enumerate().fold(chart, line));
        }
        let dots = Dots::new(name).x_label(format!("mean {}", what(subject))).series(&names);
        let rows = one.values.iter().zip(&one.means);
        panels.dots(rows.fold(dots, |dots, (value, means)| dots.row(values::shown(value), means)))
    })
}
