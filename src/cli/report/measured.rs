//! The measurements of a run's model on rows of its data, for the page.

use super::columns;
use crate::array::{Array, DType};
use crate::cli::evaluate::{as_in_training, as_trained, is_picture};
use crate::cli::text::number;
use crate::cli::train::check_place;
use crate::data::table::{Table, shown};
use crate::data::{Dataset, Format, Source};
use crate::error::{Error, Result};
use crate::metric::{Task, cumulative, percent};
use crate::model::class_name;
use crate::runs::{Folder, Which};
use crate::runtime::Device;
use crate::train::{Evaluation, Trainer};
use anyhow::bail;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::ExtendedColorType;
use image::ImageEncoder;
use image::codecs::png::PngEncoder;
use serde_json::{Value, json};
use std::path::Path;

/// Points that a curve keeps.
const POINTS: usize = 400;

/// Pairs of target and output that are drawn.
const PAIRS: usize = 2000;

/// Classes up to here have curves and a place in the matrix.
const CLASSES: usize = 60;

/// Bins of calibration and of residuals.
const BINS: usize = 15;

/// Columns that are shown beside a mistake.
const COLUMNS: usize = 12;

pub(super) fn measure(
    folder: &Folder,
    which: Option<Which>,
    device: &Device,
    mistakes: usize,
) -> anyhow::Result<Value> {
    let (saved, recipe) = (folder.chosen(which)?, folder.recipe()?);
    let threshold = saved.threshold(recipe.train.threshold);
    let model = saved.model()?;
    if !model.description.others.outputs.is_empty() {
        bail!("the page shows models of one output; neural evaluate shows those of several");
    }
    let source = as_trained(recipe.data.clone(), &model.description);
    check_place(&source.path)?;
    let data = as_in_training(&source, &recipe, &model.description)?;
    // The test rows if there are any, otherwise the validation rows, otherwise the training rows.
    let Some(part) = data.parts().last() else { bail!("the data has no rows") };
    let rows = part.rows;
    let trainer = Trainer { model: model.description.layers.clone(), ..recipe.trainer() };
    let evaluation =
        trainer.evaluator(device, &data)?.evaluate_all(&model, rows)?.only()?.with_threshold(threshold);
    let figures: Vec<[String; 2]> = evaluation
        .all_figures()
        .iter()
        .map(|(metric, value)| [metric.to_string(), metric.show(value)])
        .collect();
    let mut measured = json!({
        "part": part.name,
        "rows": rows.len(),
        "origin": part.origin,
        "loss": evaluation.loss(),
        "figures": figures,
        "device": device.to_string(),
    });
    let shown = Shown::of(&source, &data);
    measured["cells"] = shown.table.as_ref().map(columns::cells).transpose()?.into();
    match evaluation.task() {
        Task::Classes { classes, probabilities } if classes <= CLASSES => {
            measured["classes"] = of_classes(&evaluation, data.targets.names(), probabilities);
            measured["mistakes"] = wrong(&evaluation, rows, data.targets.names(), &shown, mistakes)?;
        }
        Task::Values if evaluation.width == 1 && !evaluation.targets().is_empty() => {
            measured["values"] = of_values(&evaluation);
            measured["mistakes"] = far(&evaluation, rows, &shown, mistakes)?;
        }
        _ => {}
    }
    Ok(measured)
}

/// The confusion matrix, and where there are probabilities the points of the curves of each class.
fn of_classes(evaluation: &Evaluation, names: &[String], is_probable: bool) -> Value {
    let Some(confusion) = evaluation.confusion() else { return Value::Null };
    let classes = confusion.classes();
    let matrix: Vec<Vec<usize>> =
        (0..classes).map(|label| (0..classes).map(|other| confusion.count(label, other)).collect()).collect();
    let name = |class: usize| class_name(names, class);
    let mut object = json!({
        "names": (0..classes).map(name).collect::<Vec<_>>(),
        "matrix": matrix,
        "threshold": evaluation.has_threshold().then(|| evaluation.threshold()),
    });
    if is_probable {
        let probabilities = evaluation.probabilities();
        let width = probabilities.len() / evaluation.labels().len().max(1);
        let curve = |class: usize| {
            let scores: Vec<f64> = probabilities.iter().skip(class).step_by(width.max(1)).copied().collect();
            let positive: Vec<bool> =
                evaluation.labels().iter().map(|&label| label as usize == class).collect();
            thinned(&cumulative(&scores, &positive))
        };
        object["curves"] = (0..classes).map(curve).collect();
        object["calibration"] =
            calibration(probabilities, width, &evaluation.predicted(), evaluation.labels());
    }
    object
}

/// At most [`POINTS`] points of a curve, including its last: `[score, true positives, false positives]`.
fn thinned(points: &[(f64, usize, usize)]) -> Value {
    let step = points.len().div_ceil(POINTS).max(1);
    let is_kept = |i: usize| i.is_multiple_of(step) || i + 1 == points.len();
    let kept = points.iter().enumerate().filter(|(i, _)| is_kept(*i));
    kept.map(|(_, (score, tp, fp))| json!([score, tp, fp])).collect()
}

/// For each bin of the predicted class's probability: its mean, the share of correct answers, and the rows.
fn calibration(probabilities: &[f64], width: usize, predicted: &[i32], labels: &[i32]) -> Value {
    let mut bins = [(0.0, 0usize, 0usize); BINS];
    for ((row, &predicted), &label) in probabilities.chunks_exact(width.max(1)).zip(predicted).zip(labels) {
        let p = row.get(predicted as usize).copied().unwrap_or_default();
        let bin = &mut bins[((p * BINS as f64).ceil() as usize).clamp(1, BINS) - 1];
        *bin = (bin.0 + p, bin.1 + usize::from(predicted == label), bin.2 + 1);
    }
    let filled = bins.iter().filter(|bin| bin.2 > 0);
    filled.map(|&(sum, right, rows)| json!([sum / rows as f64, right as f64 / rows as f64, rows])).collect()
}

/// Targets beside outputs, and how the residuals spread.
fn of_values(evaluation: &Evaluation) -> Value {
    let pairs: Vec<[f64; 2]> = evaluation.known().map(|(_, target, output)| [target, output]).collect();
    let residuals: Vec<f64> = pairs.iter().map(|[target, output]| output - target).collect();
    let (least, most) = range(&residuals);
    let count = BINS * 2;
    let mut bins = vec![0usize; count];
    for residual in &residuals {
        let place = (residual - least) / (most - least) * count as f64;
        bins[(place.max(0.0) as usize).min(count - 1)] += 1;
    }
    let step = pairs.len().div_ceil(PAIRS).max(1);
    let kept: Vec<&[f64; 2]> = pairs.iter().step_by(step).collect();
    json!({ "pairs": kept, "of": pairs.len(), "least": least, "most": most, "bins": bins })
}

/// The min and max of the values.
fn range(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)))
}

/// The wrong answers, the most confident first.
fn wrong(
    evaluation: &Evaluation,
    rows: &[u32],
    names: &[String],
    shown: &Shown,
    most: usize,
) -> Result<Value> {
    let probabilities = evaluation.probabilities();
    let width = (probabilities.len() / rows.len().max(1)).max(1);
    let predicted = evaluation.predicted();
    let mut wrong: Vec<(f64, f64, u32, i32, i32)> = Vec::new();
    let answers = rows.iter().zip(probabilities.chunks_exact(width)).zip(&predicted).zip(evaluation.labels());
    for (((&row, figures), &predicted), &label) in answers {
        if predicted != label {
            let of = |class: i32| figures.get(class as usize).copied().unwrap_or_default();
            wrong.push((of(predicted) - of(label), of(predicted), row, label, predicted));
        }
    }
    wrong.sort_by(|a, b| b.0.total_cmp(&a.0));
    let total = wrong.len();
    let name = |class: i32| class_name(names, class as usize);
    let mut list = Vec::new();
    for (_, figure, row, label, predicted) in wrong.into_iter().take(most) {
        let mut object = json!({
            "row": row, "truth": name(label), "answer": name(predicted), "figure": percent(figure),
        });
        shown.add(row, &mut object)?;
        list.push(object);
    }
    Ok(json!({ "total": total, "list": list }))
}

/// The answers with the largest errors.
fn far(evaluation: &Evaluation, rows: &[u32], shown: &Shown, most: usize) -> Result<Value> {
    // Each position of a row by itself.
    let each = (evaluation.targets().len() / rows.len().max(1)).max(1);
    let of = |(i, target, output): (usize, f64, f64)| {
        Some(((target - output).abs(), *rows.get(i / each)?, target, output))
    };
    let mut all: Vec<(f64, u32, f64, f64)> = evaluation.known().filter_map(of).collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut list = Vec::new();
    for (error, row, target, output) in all.into_iter().take(most) {
        let mut object = json!({
            "row": row, "truth": number(target), "answer": number(output), "figure": number(error),
        });
        shown.add(row, &mut object)?;
        list.push(object);
    }
    Ok(json!({ "total": rows.len(), "list": list }))
}

/// A row as the page shows it.
struct Shown<'a> {
    data: &'a Dataset,
    table: Option<Table>,
}

impl<'a> Shown<'a> {
    fn of(source: &Source, data: &'a Dataset) -> Self {
        let table = match source.format {
            Format::Table => {
                source.read_table(&|_| None, None, true).ok().filter(|table| table.rows() == data.rows())
            }
            _ => None,
        };
        Self { data, table }
    }

    /// The row's picture, or its cells.
    fn add(&self, row: u32, object: &mut Value) -> Result<()> {
        if let Some(table) = &self.table {
            let names = self.data.columns.iter().map(|column| &column.name).take(COLUMNS);
            let cell = |name: &String| {
                let text = table.text(row as usize, name)?;
                Ok([name.clone(), shown(&text).into_owned()])
            };
            let cells = names.map(cell);
            object["cells"] = json!(cells.collect::<Result<Vec<_>>>()?);
        } else if is_picture(self.data.sample_shape()) {
            let sample = self.data.samples(&[row])?.reshape(self.data.sample_shape())?;
            object["picture"] = json!(format!("data:image/png;base64,{}", STANDARD.encode(png(&sample)?)));
        }
        Ok(())
    }
}

/// A sample `[height, width]` or `[height, width, 1 | 3]` as PNG; values other than u8 are stretched from min to max.
fn png(sample: &Array) -> Result<Vec<u8>> {
    let shape = sample.shape();
    let (height, width, channels) = (shape[0], shape[1], shape.get(2).copied().unwrap_or(1));
    let bytes = if sample.dtype() == DType::U8 {
        sample.bytes().to_vec()
    } else {
        let values = sample.to_f64();
        let (least, most) = range(&values);
        values
            .iter()
            .map(|value| ((value - least) / (most - least).max(f64::MIN_POSITIVE) * 255.0) as u8)
            .collect()
    };
    let color = if channels == 3 { ExtendedColorType::Rgb8 } else { ExtendedColorType::L8 };
    let mut png = Vec::new();
    PngEncoder::new(&mut png)
        .write_image(&bytes, width as u32, height as u32, color)
        .map_err(|error| Error::format(Path::new("a sample"), error.to_string()))?;
    Ok(png)
}
