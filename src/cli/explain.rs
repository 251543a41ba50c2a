//! `neural explain`

mod occlusion;

use super::evaluate::{as_in_training, as_trained, is_picture};
use super::text;
use super::train::check_place;
use super::trained::{Answers, Trained};
use crate::array::Array;
use crate::data::{Dataset, LastBatch, Shuffle, Targets, epoch_order};
use crate::error::{Error, Result};
use crate::metric::{Errors, Truth, classes_of, log_loss, number, percent};
use crate::model::{Description, Link, Predictor};
use crate::runs::Folder;
use anyhow::bail;
use occlusion::{Explained, Occlusion};
use serde_json::json;
use std::io::{self, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;

/// Show which columns, or which parts of pictures, a model's answers depend on
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Columns by permutation importance: the values of a column are shuffled among the rows, which keeps its distribution but breaks its link
to the target. How much worse the model then gets is the column's importance. Columns that carry the same information share
their importance, as the model can use either. The figures describe this model, not the world.

Pictures by occlusion: a patch in the mean colour covers one place after another. Where the probability of the answer falls, the
answer depends on what is covered. A sheet shows each picture, and beside it in vermilion what speaks for the answer, in blue
what speaks against it.

The rows are the test rows, without them the validation rows, and without these the training rows; at most 5000 of them.

Examples:
  neural explain runs/guests-1
  neural explain runs/guests-1 --repeats 20 --json
  neural explain runs/mnist-1                      writes runs/mnist-1/explain.png
  neural explain runs/mnist-1 --pictures 3 --patch 7 -o seven.svg"
)]
pub struct Explain {
    #[command(flatten)]
    trained: Trained,

    /// How often each column is shuffled
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    repeats: u64,

    /// The seed of the shuffles
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,

    /// How many pictures to explain, spread evenly over the rows
    #[arg(long, default_value_t = 12, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pictures: u16,

    /// The side of the patch that covers parts of pictures, in pixels; if absent, a seventh of the picture's
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u16).range(1..))]
    patch: Option<u16>,

    /// The sheet of pictures, in .png or .svg; if absent, explain.png in the run's folder
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// More rows than this are thinned out evenly.
const MOST_ROWS: usize = 5000;

/// Covered pictures that are computed at once.
const BATCH: usize = 128;

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

/// A model and the rows that it is measured on.
struct Measured {
    predictor: Predictor,
    data: Dataset,
    rows: Vec<u32>,
    /// `[rows, features]`
    samples: Array,
}

impl Explain {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let folder = self.trained.folder()?;
        let model = self.trained.model()?;
        let recipe = folder.recipe()?;
        let description = &model.description;
        let is_of_pictures = description.columns.is_empty() && is_picture(&description.sample);
        if !description.others.is_none() || (description.columns.is_empty() && !is_of_pictures) {
            bail!(
                "expected a model of one table's columns or of pictures, and one target, got {}",
                folder.path().display()
            );
        }
        if let Some(column) = description.columns.iter().find(|column| column.is_input()) {
            bail!(
                "expected columns that are features, got texts, pictures or sequences in \"{}\"",
                column.name
            );
        }
        if description.link == Link::Identity && !description.classes.is_empty() {
            bail!("expected a model that gives probabilities of its classes, got one that gives scores");
        }
        let source = as_trained(recipe.data.clone(), description);
        check_place(&source.path)?;
        let data = as_in_training(&source, &recipe, description)?;
        // The test rows if there are any, otherwise the validation rows, otherwise the training rows.
        let Some(part) = data.parts().last() else { bail!("the data has no rows") };
        let part_name = part.name;
        let step = part.rows.len().div_ceil(MOST_ROWS).max(1);
        let rows: Vec<u32> = part.rows.iter().copied().step_by(step).collect();
        let device = self.trained.open_device()?;
        if is_of_pictures {
            let predictor = model.compile(&device, BATCH)?;
            return self.explain_pictures(&folder, description, &predictor, &data, &rows);
        }
        let predictor = model.compile(&device, rows.len())?;
        let samples = data.samples(&rows)?;
        let (loss, score) = if data.targets.is_classes() { ("log-loss", "accuracy") } else { ("mse", "r2") };
        let measured = Measured { predictor, data, rows, samples };
        let base = measured.worth(&measured.samples)?;
        let mut from = 0;
        let mut all = Vec::new();
        for column in &description.columns {
            let features = from..from + column.width();
            from = features.end;
            all.push(self.importance(&measured, &column.name, &features, base)?);
        }
        all.sort_by(|a, b| b.loss.total_cmp(&a.loss));
        let mut out = io::stdout().lock();
        if self.json {
            let of = |one: &Importance| json!({ "column": one.name, loss: one.loss, score: one.score, "spread": one.spread });
            let columns: Vec<_> = all.iter().map(of).collect();
            let base = json!({ loss: base.loss, score: base.score });
            let object = json!({
                "run": folder.path(), "part": part_name, "rows": measured.rows.len(), "repeats": self.repeats, "base": base, "columns": columns,
            });
            writeln!(out, "{object}")?;
            return Ok(ExitCode::SUCCESS);
        }
        let show = |value: f64| if score == "accuracy" { percent(value) } else { number(value) };
        writeln!(
            out,
            "{} {part_name} rows: {loss} {}, {score} {}",
            measured.rows.len(),
            number(base.loss),
            show(base.score)
        )?;
        let head = [
            "shuffled".to_string(),
            format!("{loss} rises by"),
            format!("{score} falls by"),
            "+-".to_string(),
        ];
        let mut lines = vec![head.to_vec()];
        for one in &all {
            lines.push(vec![one.name.clone(), number(one.loss), show(one.score), show(one.spread)]);
        }
        write!(out, "\n{}", text::table(&lines, 1))?;
        Ok(ExitCode::SUCCESS)
    }

    fn explain_pictures(
        &self,
        folder: &Folder,
        description: &Description,
        predictor: &Predictor,
        data: &Dataset,
        rows: &[u32],
    ) -> anyhow::Result<ExitCode> {
        let sample = &description.sample;
        let answers = Answers::described(description)?.swap_remove(0);
        if answers.is_at_positions || (!answers.is_class && answers.names.len() > 1) {
            bail!("expected a model of one answer a picture, got one of several");
        }
        let longest = sample[0].max(sample[1]);
        let side = self.patch.map_or(longest.div_ceil(7), usize::from).min(longest);
        let fill = occlusion::mean_color(data, rows, description.dtype)?;
        let occlusion = Occlusion { predictor, answers: &answers, side, fill };
        let step = (rows.len() / usize::from(self.pictures)).max(1);
        let rows: Vec<u32> = rows.iter().copied().step_by(step).take(usize::from(self.pictures)).collect();
        let samples = rows.iter().map(|&row| data.samples(&[row])).collect::<Result<Vec<_>>>()?;
        let explained: Vec<Explained> =
            samples.iter().map(|one| occlusion.explain(one)).collect::<Result<_>>()?;

        let values = data.targets.values().map(Array::to_f64).unwrap_or_default();
        let truth = |row: u32| match data.targets.class_of(row) {
            Some(name) => name.to_string(),
            None => values.get(row as usize).map_or_else(String::new, |value| number(*value)),
        };
        let mut pictures = Vec::new();
        for ((&row, one), picture) in rows.iter().zip(&explained).zip(&samples) {
            let figure = answers.shown(one.figure);
            let caption = match answers.is_class {
                true if one.answer == truth(row) => format!("{}: {figure}", one.answer),
                true => format!("{} for {}: {figure}", one.answer, truth(row)),
                false => format!("{figure} for {}", truth(row)),
            };
            pictures.push((picture.clone().reshape(sample)?, caption, one));
        }
        let path = self.output.clone().unwrap_or_else(|| folder.file("explain.png"));
        occlusion::sheet(&format!("What answers of {} depend on", folder.name()), &pictures).save(&path)?;
        let mut out = io::stdout().lock();
        if self.json {
            let width = sample[1];
            let of = |(row, one): (&u32, &Explained)| {
                let falls: Vec<&[f64]> = one.falls.chunks_exact(width).collect();
                json!({ "row": row, "truth": truth(*row), "answer": one.answer, "figure": one.figure, "falls": falls })
            };
            let all: Vec<_> = rows.iter().zip(&explained).map(of).collect();
            writeln!(
                out,
                "{}",
                json!({ "run": folder.path(), "patch": side, "picture": path, "pictures": all })
            )?;
        } else {
            writeln!(
                out,
                "patches of {side} x {side} pixels, in the mean colour; wrote {}",
                text::path(&path)
            )?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn importance(
        &self,
        measured: &Measured,
        name: &str,
        features: &Range<usize>,
        base: Worth,
    ) -> Result<Importance> {
        let numbers: Vec<u32> = (0..measured.rows.len() as u32).collect();
        let mut found = Vec::new();
        for repeat in 0..self.repeats {
            // In the same orders for every column, so that columns with the same values get the same figures.
            let shuffle = Shuffle { seed: self.seed, epoch: repeat };
            let order = epoch_order(&numbers, 1, LastBatch::Mask, Some(shuffle))?;
            let now = measured.worth(&shuffled(&measured.samples, features, &order.rows)?)?;
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

impl Measured {
    /// How good the model is with `samples` in place of the rows' own.
    fn worth(&self, samples: &Array) -> Result<Worth> {
        let outputs = self.predictor.predict(samples)?;
        let width = outputs.shape().get(1).copied().unwrap_or(1);
        let outputs = outputs.to_f64();
        match &self.data.targets {
            Targets::Classes { labels, .. } => {
                let labels: Vec<i32> = self.rows.iter().map(|&row| labels[row as usize]).collect();
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
                let targets: Vec<f64> = self.rows.iter().flat_map(of).collect();
                let errors = Errors::of_each(&outputs, &targets, width);
                let mean = |of: fn(&Errors) -> f64| errors.iter().map(of).sum::<f64>() / errors.len() as f64;
                Ok(Worth { loss: mean(|one| one.squared), score: mean(|one| one.r2) })
            }
            _ => Err(Error::value("explain", "a class or values for each row", "another target")),
        }
    }
}
