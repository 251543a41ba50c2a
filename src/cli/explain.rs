//! `neural explain`

use super::evaluate::{as_in_training, as_trained};
use super::text;
use super::train::check_place;
use super::trained::Trained;
use crate::array::Array;
use crate::data::{Dataset, LastBatch, Shuffle, Targets, epoch_order};
use crate::error::{Error, Result};
use crate::metric::{Errors, Truth, classes_of, log_loss, number, percent};
use crate::model::{Link, Predictor};
use anyhow::bail;
use serde_json::json;
use std::io::{self, Write};
use std::ops::Range;
use std::process::ExitCode;

/// Say which columns a model's answers hang on
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Permutation importance: the cells of a column are dealt out anew among the rows, which leaves the column as it is but
takes from each row what it knew by it. What the model then loses, the column was worth to it. Columns that say the same
share their worth: each can be replaced by the other. The figures are of this model, not of the world.

The rows are those of the test, or where there are none those of the validation, at most 5000 of them.

Examples:
  neural explain runs/guests-1
  neural explain runs/guests-1 --repeats 20 --json"
)]
pub struct Explain {
    #[command(flatten)]
    trained: Trained,

    /// How often each column is dealt out
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    repeats: u64,

    /// What the dealing depends on
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,

    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// Rows that are enough.
const MOST_ROWS: usize = 5000;

/// What a model is worth on some rows.
#[derive(Clone, Copy)]
struct Worth {
    /// The mean log loss of classes, the mean squared error of values.
    loss: f64,
    /// The accuracy of classes, R² of values.
    score: f64,
}

/// What a column is worth.
struct Importance {
    name: String,
    /// Means over the repeats, and the standard deviation of the second.
    loss: f64,
    score: f64,
    spread: f64,
}

impl Explain {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let folder = self.trained.folder()?;
        let model = self.trained.model()?;
        let recipe = folder.recipe()?;
        let description = &model.description;
        if description.columns.is_empty() || !description.others.is_none() {
            bail!(
                "{} is explained by columns, which only models of one table and one target have",
                folder.path().display()
            );
        }
        if description.link == Link::Identity && !description.classes.is_empty() {
            bail!(
                "the model gives scores and no probabilities of its classes: its loss is not known from them"
            );
        }
        let source = as_trained(recipe.data.clone(), description);
        check_place(&source.path)?;
        let data = as_in_training(&source, &recipe, description)?;
        let parts = ["test", "validation", "train"];
        let part = parts
            .iter()
            .find_map(|name| data.parts().find(|part| part.name == *name && !part.rows.is_empty()));
        let Some(part) = part else { bail!("the data has no rows") };
        let step = part.rows.len().div_ceil(MOST_ROWS).max(1);
        let rows: Vec<u32> = part.rows.iter().copied().step_by(step).collect();
        let device = self.trained.open_device()?;
        let predictor = model.compile(&device, rows.len())?;
        let samples = data.samples(&rows)?;
        let base = worth(&predictor, &samples, &data, &rows)?;
        let mut from = 0;
        let mut all = Vec::new();
        for column in &description.columns {
            let features = from..from + column.width();
            from = features.end;
            all.push(self.importance(&column.name, features, &predictor, &samples, &data, &rows, base)?);
        }
        all.sort_by(|a, b| b.loss.total_cmp(&a.loss));
        let (loss, score) = if data.targets.is_classes() { ("log-loss", "accuracy") } else { ("mse", "r2") };
        let mut out = io::stdout().lock();
        if self.json {
            let of = |one: &Importance| json!({ "column": one.name, loss: one.loss, score: one.score, "spread": one.spread });
            let columns: Vec<_> = all.iter().map(of).collect();
            let base = json!({ loss: base.loss, score: base.score });
            let object = json!({
                "run": folder.path(), "part": part.name, "rows": rows.len(), "repeats": self.repeats, "base": base, "columns": columns,
            });
            writeln!(out, "{object}")?;
            return Ok(ExitCode::SUCCESS);
        }
        let show = |value: f64| if score == "accuracy" { percent(value) } else { number(value) };
        writeln!(
            out,
            "{} {} rows: {loss} {}, {score} {}",
            rows.len(),
            part.name,
            number(base.loss),
            show(base.score)
        )?;
        let head = [
            "without".to_string(),
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

    #[expect(clippy::too_many_arguments, reason = "it is the body of a loop")]
    fn importance(
        &self,
        name: &str,
        features: Range<usize>,
        predictor: &Predictor,
        samples: &Array,
        data: &Dataset,
        rows: &[u32],
        base: Worth,
    ) -> Result<Importance> {
        let numbers: Vec<u32> = (0..rows.len() as u32).collect();
        let mut found = Vec::new();
        for repeat in 0..self.repeats {
            // Columns are dealt out alike, so that what they share shows alike.
            let shuffle = Shuffle { seed: self.seed, epoch: repeat };
            let order = epoch_order(&numbers, 1, LastBatch::Mask, Some(shuffle))?;
            let dealt = dealt(samples, &features, &order.rows)?;
            let now = worth(predictor, &dealt, data, rows)?;
            found.push(Worth { loss: now.loss - base.loss, score: base.score - now.score });
        }
        let mean = |of: fn(&Worth) -> f64| found.iter().map(of).sum::<f64>() / found.len() as f64;
        let (loss, score) = (mean(|one| one.loss), mean(|one| one.score));
        let variance = found.iter().map(|one| (one.score - score).powi(2)).sum::<f64>() / found.len() as f64;
        Ok(Importance { name: name.to_string(), loss, score, spread: variance.sqrt() })
    }
}

/// The samples `[rows, features]`, of which each has the features of another row.
fn dealt(samples: &Array, features: &Range<usize>, order: &[u32]) -> Result<Array> {
    let mut values = samples.to_vec::<f32>()?;
    let width = samples.shape()[1];
    let given = values.clone();
    for (row, from) in order.iter().enumerate() {
        let of = |row: usize| row * width + features.start..row * width + features.end;
        values[of(row)].copy_from_slice(&given[of(*from as usize)]);
    }
    Array::new(samples.shape(), values)
}

fn worth(predictor: &Predictor, samples: &Array, data: &Dataset, rows: &[u32]) -> Result<Worth> {
    let outputs = predictor.predict(samples)?;
    let width = outputs.shape().get(1).copied().unwrap_or(1);
    let outputs = outputs.to_f64();
    match &data.targets {
        Targets::Classes { labels, .. } => {
            let labels: Vec<i32> = rows.iter().map(|&row| labels[row as usize]).collect();
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
        Targets::Values(values) => {
            let all = values.to_f64();
            let of = |&row: &u32| all[row as usize * width..(row as usize + 1) * width].to_vec();
            let targets: Vec<f64> = rows.iter().flat_map(of).collect();
            let errors = Errors::of_each(&outputs, &targets, width);
            let mean = |of: fn(&Errors) -> f64| errors.iter().map(of).sum::<f64>() / errors.len() as f64;
            Ok(Worth { loss: mean(|one| one.squared), score: mean(|one| one.r2) })
        }
        _ => Err(Error::value("explain", "a class or values for each row", "another target")),
    }
}
