//! The report of an evaluation, as tables and as JSON.

use crate::cli::{pictures, text};
use crate::data::table::shown;
use crate::metric::{
    Answers, Average, Confusion, Counts, Errors, Metric, average_precision, number, percent, roc_auc,
};
use crate::model::class_name;
use crate::plot::Matrix;
use crate::train::Evaluation;
use serde_json::{Value, json};

/// Classes up to here are written under each other; a model of more is read from `--json`.
const MOST_CLASSES: usize = 100;

/// Up to this many outputs have a line each, beside their targets.
const MOST_OUTPUTS: usize = 16;

/// The widest confusion matrix that is written as text.
const WIDEST: usize = 100;

/// A row that was taken for another class than its own.
pub(super) struct Mistake {
    pub row: u32,
    pub label: usize,
    pub predicted: usize,
    /// The model's figure for the class that it chose, after its link, and its text for people.
    pub figure: f64,
    pub shown: String,
}

impl Mistake {
    pub fn names(&self, names: &[String]) -> [String; 2] {
        let name = |class: usize| class_name(names, class);
        [self.label, self.predicted].map(name)
    }
}

/// The loss and all figures, a line each.
pub(super) fn figures(evaluation: &Evaluation) -> String {
    let mut lines = vec![vec!["loss".to_string(), number(evaluation.loss())]];
    let all = evaluation.all_figures();
    lines.extend(all.iter().map(|(metric, value)| vec![metric.to_string(), metric.show(value)]));
    text::table(&lines, 1).trim_end().to_string()
}

/// Notes beside the figures.
#[derive(Default)]
pub(super) struct Report {
    pub tables: Vec<String>,
    pub json: Vec<(&'static str, Value)>,
    /// The names of the classes, for people.
    pub names: Vec<String>,
    pub confusion: Option<Confusion>,
    pub mistakes: Vec<Mistake>,
    /// Each target with its output, where targets are values.
    pub pairs: Vec<(f64, f64)>,
}

impl Report {
    /// The picture of the confusion matrix, where targets are classes.
    pub fn matrix(&self, title: impl Into<String>) -> Option<Matrix> {
        self.confusion.as_ref().map(|confusion| pictures::matrix(title, &self.names, confusion))
    }

    /// The classes by name; `is_picture` tells whether the rows of mistakes are shown as pictures.
    pub fn of_classes(
        names: &[String],
        is_picture: bool,
        confusion: &Confusion,
        mistakes: Vec<Mistake>,
    ) -> Self {
        let classes = confusion.classes();
        let names = match names {
            [] => (0..classes).map(|class| class.to_string()).collect(),
            names => names.to_vec(),
        };
        let cut: Vec<String> = names.iter().map(|name| shown(name).into_owned()).collect();
        let mut lines = vec![["class", "rows", "precision", "recall", "f1"].map(String::from).to_vec()];
        let mut each = Vec::new();
        for ((name, cut), counts) in names.iter().zip(&cut).zip(confusion.counts()) {
            let (precision, recall, f1) = (counts.precision(), counts.recall(), counts.f1());
            let rows = counts.support();
            lines.push([cut.clone(), rows.to_string()].to_vec());
            lines.last_mut().into_iter().for_each(|line| line.extend([precision, recall, f1].map(percent)));
            each.push(
                json!({ "name": name, "rows": rows, "precision": precision, "recall": recall, "f1": f1 }),
            );
        }
        let counts: Vec<Vec<usize>> = (0..classes)
            .map(|class| (0..classes).map(|other| confusion.count(class, other)).collect())
            .collect();
        let mut matrix = vec![[&["true \\ predicted".to_string()], &cut[..]].concat()];
        for (name, counts) in cut.iter().zip(&counts) {
            matrix.push([name.clone()].into_iter().chain(counts.iter().map(ToString::to_string)).collect());
        }
        let matrix = text::table(&matrix, 1);

        let mut tables = Vec::new();
        if classes <= MOST_CLASSES {
            tables.push(text::table(&lines, 1));
        }
        if text::width(&matrix) <= WIDEST {
            tables.push(matrix);
        }
        if !is_picture && !mistakes.is_empty() {
            let mut lines = vec![["worst mistakes", "true", "predicted", "with"].map(String::from).to_vec()];
            for mistake in &mistakes {
                let [label, predicted] = mistake.names(&cut);
                lines.push(vec![format!("row {}", mistake.row), label, predicted, mistake.shown.clone()]);
            }
            tables.push(text::table(&lines, 3));
        }
        let worst: Vec<Value> = mistakes
            .iter()
            .map(|mistake| {
                let [label, predicted] = mistake.names(&names);
                json!({ "row": mistake.row, "label": label, "predicted": predicted, "figure": mistake.figure })
            })
            .collect();
        let json = vec![("classes", json!(each)), ("confusion", json!(counts)), ("mistakes", json!(worst))];
        Self { tables, json, names: cut, confusion: Some(confusion.clone()), mistakes, pairs: Vec::new() }
    }

    /// Each label's figures, and the rows whose labels are wrong with the largest log loss.
    pub fn of_labels(rows: &[u32], evaluation: &Evaluation, most: usize) -> Self {
        let (counts, areas, precisions) = evaluation.answers(|answers| match answers {
            Answers::Labels(labels) => {
                (labels.counts(), labels.ranked(roc_auc), labels.ranked(average_precision))
            }
            Answers::Classes(_) | Answers::Values { .. } => (Vec::new(), Vec::new(), Vec::new()),
        });
        let metrics = [
            Metric::Precision(Average::Macro),
            Metric::Recall(Average::Macro),
            Metric::F1(Average::Macro),
            Metric::RocAuc,
            Metric::AveragePrecision,
        ];
        let head = ["label", "rows", "precision", "recall", "f1", "roc-auc", "average-precision"];
        let mut lines = vec![head.map(String::from).to_vec()];
        let mut each = Vec::new();
        for (label, ((counts, area), precision)) in counts.iter().zip(areas).zip(precisions).enumerate() {
            let values = [Counts::precision, Counts::recall, Counts::f1].map(|figure| figure(counts));
            let values = [&values[..], &[area, precision]].concat();
            let shown = metrics.iter().zip(&values).map(|(metric, value)| metric.show(*value));
            lines.push([label.to_string(), counts.support().to_string()].into_iter().chain(shown).collect());
            let named =
                head[2..].iter().zip(&values).map(|(name, value)| ((*name).to_string(), json!(value)));
            let mut object: serde_json::Map<String, Value> = named.collect();
            object.insert("label".into(), json!(label));
            object.insert("rows".into(), json!(counts.support()));
            each.push(Value::Object(object));
        }

        let width = evaluation.width.max(1);
        let named = |of: &dyn Fn(usize) -> bool| {
            let names: Vec<String> =
                (0..width).filter(|label| of(*label)).map(|label| label.to_string()).collect();
            if names.is_empty() { "-".to_string() } else { names.join(" ") }
        };
        let mut wrong: Vec<(f64, Vec<String>, Value)> = Vec::new();
        let both =
            evaluation.probabilities().chunks_exact(width).zip(evaluation.targets().chunks_exact(width));
        for (&row, (probabilities, targets)) in rows.iter().zip(both) {
            let (there, said) = (
                |label: usize| targets[label] >= 0.5,
                |label: usize| probabilities[label] > evaluation.threshold(),
            );
            if (0..width).all(|label| there(label) == said(label)) {
                continue;
            }
            let of =
                |label: usize| if there(label) { probabilities[label] } else { 1.0 - probabilities[label] };
            let loss =
                (0..width).map(|label| -of(label).max(f64::MIN_POSITIVE).ln()).sum::<f64>() / width as f64;
            let line = vec![format!("row {row}"), named(&there), named(&said), number(loss)];
            wrong.push((loss, line, json!({ "row": row, "probabilities": probabilities, "log-loss": loss })));
        }
        wrong.sort_by(|(a, ..), (b, ..)| b.total_cmp(a));
        wrong.truncate(most);
        let mut tables = vec![text::table(&lines, 1)];
        if !wrong.is_empty() {
            let mut lines =
                vec![["worst mistakes", "true", "predicted", "log-loss"].map(String::from).to_vec()];
            lines.extend(wrong.iter().map(|(_, line, _)| line.clone()));
            tables.push(text::table(&lines, 3));
        }
        let worst: Vec<Value> = wrong.into_iter().map(|(.., object)| object).collect();
        Self { tables, json: vec![("labels", json!(each)), ("mistakes", json!(worst))], ..Self::default() }
    }

    /// Each output's figures, where there are several, and the largest errors.
    pub fn of_values(rows: &[u32], evaluation: &Evaluation, most: usize) -> Self {
        let (width, targets) = (evaluation.width.max(1), evaluation.targets());
        let mut tables = Vec::new();
        let metrics = [Metric::Rmse, Metric::Mae, Metric::MedianAbsoluteError, Metric::R2];
        let mut lines = vec![vec!["output".to_string()]];
        lines[0].extend(metrics.iter().map(ToString::to_string));
        let mut each = Vec::new();
        for (output, errors) in Errors::of_each(&evaluation.outputs, targets, width).iter().enumerate() {
            let values = [errors.root_mean_square(), errors.absolute, errors.median, errors.r2];
            let shown = metrics.iter().zip(values).map(|(metric, value)| metric.show(value));
            lines.push(std::iter::once(output.to_string()).chain(shown).collect());
            let named = metrics.iter().zip(values).map(|(metric, value)| (metric.to_string(), json!(value)));
            each.push(Value::Object(named.collect()));
        }
        if (2..=MOST_OUTPUTS).contains(&width) {
            tables.push(text::table(&lines, 1));
        }

        let mut apart: Vec<(f64, u32, &[f64], &[f64])> = Vec::new();
        // The count of a row's numbers, several times the width where it has several positions.
        let width = (targets.len() / rows.len().max(1)).max(1);
        let both = evaluation.outputs.chunks_exact(width).zip(targets.chunks_exact(width));
        for (&row, (outputs, targets)) in rows.iter().zip(both) {
            let known = targets.iter().zip(outputs).filter(|(t, _)| !t.is_nan());
            let distances: Vec<f64> = known.map(|(t, y)| (t - y).abs()).collect();
            if !distances.is_empty() {
                apart.push((distances.iter().sum::<f64>() / distances.len() as f64, row, targets, outputs));
            }
        }
        apart.sort_by(|(a, ..), (b, ..)| b.total_cmp(a));
        apart.truncate(most);
        let numbers = |values: &[f64]| values.iter().map(|v| text::number(*v)).collect::<Vec<_>>().join(" ");
        let mut lines = vec![["largest errors", "target", "output", "error"].map(String::from).to_vec()];
        let mut worst = Vec::new();
        for (error, row, targets, outputs) in apart {
            if width > MOST_OUTPUTS {
                lines.push(vec![format!("row {row}"), "-".into(), "-".into(), text::number(error)]);
                worst.push(json!({ "row": row, "error": error }));
                continue;
            }
            lines.push(vec![format!("row {row}"), numbers(targets), numbers(outputs), text::number(error)]);
            worst.push(json!({ "row": row, "target": targets, "output": outputs, "error": error }));
        }
        if !worst.is_empty() {
            tables.push(text::table(&lines, 1));
        }
        let json = vec![("outputs", json!(each)), ("largest_errors", json!(worst))];
        let is_narrow = width <= MOST_OUTPUTS;
        let pairs = evaluation.known().filter(|_| is_narrow).map(|(_, target, output)| (target, output));
        let pairs = pairs.collect();
        Self { tables, json, pairs, ..Self::default() }
    }
}
