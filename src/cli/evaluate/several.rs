//! An evaluation of several outputs: one after another.

use super::report::{self, Report};
use super::{Evaluate, Part};
use crate::cli::text;
use crate::error::{Error, Result};
use crate::metric::{Metric, Task, number};
use crate::model::Model;
use crate::runs::{Folder, Weights};
use crate::train::Evaluations;
use serde_json::json;
use std::io::{self, Write};
use std::process::ExitCode;

pub(super) fn show(
    asked: &Evaluate,
    evaluations: &Evaluations,
    model: &Model,
    folder: &Folder,
    weights: Weights,
    (part, rows): (Part, &[u32]),
    changes: &[String],
) -> anyhow::Result<ExitCode> {
    if asked.threshold.is_some() {
        return Err(Error::value("--threshold", "a model with one output", "one with several").into());
    }
    let of = format!("{} {}", rows.len(), part.rows());
    let mut out = io::stdout().lock();
    let mut object = json!({
        "run": folder.path().to_string_lossy(),
        "rows": rows.len(),
        "split": part,
        "weights": weights,
        "data_changes": changes,
        "loss": evaluations.loss(),
    });
    if !asked.json {
        writeln!(out, "{}\n{weights}\n{of}", folder.path().display())?;
        if !changes.is_empty() {
            writeln!(out, "the data has changed since the model was trained: {}", changes.join(", "))?;
        }
        writeln!(out, "\nloss {}", number(evaluations.loss()))?;
    }
    let answers = model.description.answers();
    for (place, (name, evaluation)) in evaluations.iter().enumerate() {
        let names = answers.get(place).map_or(&[][..], |answer| answer.classes);
        let report = match evaluation.confusion() {
            Some(confusion) => Report::of_classes(names, false, &confusion, Vec::new()),
            None if evaluation.task() == Task::Labels => Report::of_labels(rows, evaluation, asked.mistakes),
            None => Report::of_values(rows, evaluation, asked.mistakes),
        };
        let picture = draw(asked, folder, name, &report)?;
        if asked.json {
            let metrics: Vec<Metric> = Metric::of(evaluation.task()).collect();
            object[name] = json!(evaluation.score(&metrics));
            for (key, value) in report.json {
                object[name][key] = value;
            }
            continue;
        }
        writeln!(out, "\n{name}\n{}", report::figures(evaluation))?;
        report.tables.iter().try_for_each(|table| write!(out, "\n{table}"))?;
        if let Some(path) = picture {
            writeln!(out, "\ndrew {}", text::path(&path))?;
        }
    }
    if asked.json {
        writeln!(out, "{object}")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The confusion matrix of an output, where it is of classes.
fn draw(
    asked: &Evaluate,
    folder: &Folder,
    name: &str,
    report: &Report,
) -> Result<Option<std::path::PathBuf>> {
    let Some(matrix) = report.matrix(format!("{}: {name}", folder.name())) else { return Ok(None) };
    let path = asked.pictures(folder)?.join(format!("confusion-{name}.svg"));
    matrix.save(&path)?;
    Ok(Some(path))
}
