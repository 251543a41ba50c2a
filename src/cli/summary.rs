//! `neural summary`

pub(super) mod drawing;

use super::text;
use crate::DType;
use crate::array::Array;
use crate::data::Dataset;
use crate::data::table::shown;
use crate::error::{Error, Result};
use crate::graph::flops;
use crate::model::{Description, Link, Model, Reads};
use crate::plot;
use crate::recipe::{Objective, Recipe};
use crate::runs::{Folder, Which};
use serde_json::json;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Show the layers, sizes and settings of a run or a recipe
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The operations are those of one row from input to output, two for each multiply-add; a training step does about three
times as many.

Examples:
  neural summary runs/mnist-1
  neural summary scripts/recipes/mnist_cnn.toml
  neural summary scripts/recipes/cifar10.toml --sample 32,32,3
  neural summary scripts/recipes/networks/unet.toml --plot unet.svg"
)]
pub struct Summary {
    /// The folder of a run, or a recipe
    #[arg(value_name = "RUN|RECIPE")]
    path: PathBuf,

    /// The shape of a sample, if the recipe's data is not available
    #[arg(long, value_delimiter = ',', value_name = "SIZES")]
    sample: Option<Vec<usize>>,

    /// One JSON object
    #[arg(long)]
    json: bool,

    /// Draw the model as a picture: its layers, shapes, parameters and joins
    #[arg(long, value_name = "FILE.svg|FILE.png", value_parser = plot::file)]
    plot: Option<PathBuf>,
}

impl Summary {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let folder = if self.path.is_dir() { Some(Folder::open(&self.path)?) } else { None };
        let recipe = match &folder {
            Some(folder) => folder.recipe()?,
            None => Recipe::read(&self.path, &[])?,
        };
        recipe.trainer().optimizer.check()?;
        let (description, data) = self.description(folder.as_ref(), &recipe)?;
        let mut layers = description.layers.summary(DType::F32, &description.sample_shapes())?;
        recipe.model.name_rows(&mut layers);
        // The graph needs only the variables' types.
        let variables =
            description.declare()?.into_iter().map(|v| (v, Array::zeros(DType::F32, &[0]))).collect();
        let work = flops(&Model::of(description.clone(), variables).function(1)?);
        if let Some(path) = &self.plot {
            drawing::of(&self.path, &description, &layers)?.save(path)?;
        }
        let monitored = folder.as_ref().map(Folder::monitored).transpose()?;
        let best = monitored.as_ref().and_then(|(monitor, epochs)| monitor.best(epochs));

        let mut out = io::stdout().lock();
        if self.json {
            let rows = data.as_ref().map(|data| {
                let splits = &data.splits;
                json!({ "train": splits.train.len(), "validation": splits.validation.len(), "test": splits.test.len() })
            });
            let layer = |row: &crate::nn::Row| {
                json!({
                    "path": row.path, "layer": row.kind, "name_in_files": row.name, "output": row.output[1..],
                    "parameters": row.parameters, "statistics": row.statistics,
                })
            };
            let object = json!({
                "layers": layers.rows.iter().map(layer).collect::<Vec<_>>(),
                "parameters": layers.parameters(),
                "statistics": layers.statistics(),
                "bytes": (layers.parameters() + layers.statistics()) * layers.dtype.size(),
                "flops_per_row": work,
                "sample": description.sample,
                "dtype": description.dtype,
                "classes": description.classes,
                "rows": rows,
                "recipe": recipe,
                "epochs_done": monitored.as_ref().map(|(_, epochs)| epochs.len()),
                "best": best,
            });
            writeln!(out, "{object}")?;
            return Ok(ExitCode::SUCCESS);
        }
        writeln!(out, "{layers}")?;
        let mut lines = vec![vec!["operations a row".to_string(), with_prefix(work)]];
        let mut line = |name: &str, text: String| lines.push(vec![name.to_string(), text]);
        line("sample", sample(&description));
        line("data", place(&recipe, data.as_ref()));
        for (name, loss) in losses(&recipe)? {
            line(&name, loss);
        }
        line("optimizer", as_written(&recipe.train.optimizer)?);
        line("training", training(&recipe, data.as_ref()));
        if let Some((_, epochs)) = &monitored {
            line("epochs done", format!("{} of {}", epochs.len(), recipe.train.epochs));
        }
        if let Some(best) = best {
            let mut text = format!("{}: loss {}", best.number, crate::metric::number(best.loss));
            if let Some(accuracy) = best.accuracy {
                text.push_str(&format!(", accuracy {}", text::percent(accuracy)));
            }
            if let Some(validation) = &best.validation {
                text.push_str(&format!("; validation: {validation}"));
            }
            if folder.as_ref().is_some_and(|folder| folder.which(None).is_err()) {
                text.push_str("; its checkpoint is missing");
            }
            line("best epoch", text);
        }
        write!(out, "\n{}", text::words(&lines))?;
        Ok(ExitCode::SUCCESS)
    }

    /// The model, and the data if it had to be read for that.
    fn description(
        &self,
        folder: Option<&Folder>,
        recipe: &Recipe,
    ) -> Result<(Description, Option<Dataset>)> {
        if let Some(folder) = folder {
            // All of a run's checkpoints describe the same model. A run that has just begun has none.
            let checkpoints = folder.checkpoints()?;
            let best = checkpoints.iter().find(|which| **which == Which::Best);
            if let Some(which) = best.or(checkpoints.last()) {
                return Ok((folder.checkpoint(*which)?.model()?.description, None));
            }
        }
        let trainer = recipe.trainer();
        if let Some(sample) = &self.sample {
            let (Some(layers), Some(loss)) = (trainer.model.layers(), &recipe.train.loss) else {
                return Err(Error::value(
                    "--sample",
                    "a recipe with a list of layers",
                    "one with named nodes",
                ));
            };
            let description = Description::new(layers, Link::of(loss), sample, DType::F32);
            return Ok((description, None));
        }
        let data = recipe.load()?;
        Ok((trainer.describe(&data)?, Some(data)))
    }
}

/// 1234567 as `1.23 million`.
fn with_prefix(count: f64) -> String {
    let names = [(1e12, "trillion"), (1e9, "thousand million"), (1e6, "million"), (1e3, "thousand")];
    match names.into_iter().find(|(size, _)| count >= *size) {
        Some((size, name)) => format!("{:.2} {name}", count / size),
        None => format!("{count}"),
    }
}

fn sample(description: &Description) -> String {
    let inputs = description.reads();
    let one = |input: &Reads| format!("{} {}", input.dtype, text::shape(input.sample));
    let mut text = match &inputs[..] {
        [input] => one(input),
        several => several
            .iter()
            .map(|input| format!("{} {}", input.name, one(input)))
            .collect::<Vec<_>>()
            .join("; "),
    };
    if !description.columns.is_empty() {
        let names: Vec<_> = description.columns.iter().map(|column| shown(&column.name)).collect();
        text.push_str(&format!(" from {}", names.join(", ")));
    }
    match &description.classes[..] {
        [] => {}
        classes if classes.len() <= 20 => {
            let names: Vec<_> = classes.iter().map(|class| shown(class)).collect();
            text.push_str(&format!("; classes {}", names.join(", ")));
        }
        classes => text.push_str(&format!("; {} classes", classes.len())),
    }
    text
}

fn place(recipe: &Recipe, data: Option<&Dataset>) -> String {
    let mut text = recipe.data.path.display().to_string();
    if let Some(data) = data {
        let splits = &data.splits;
        let (train, validation, test) = (splits.train.len(), splits.validation.len(), splits.test.len());
        text.push_str(&format!(": {train} training, {validation} validation, {test} test rows"));
    }
    text
}

fn training(recipe: &Recipe, data: Option<&Dataset>) -> String {
    let train = &recipe.train;
    let rows = format!("batches of {} rows, seed {}", train.batch_size, train.seed);
    match data {
        Some(data) if train.batch_size > 0 => {
            let steps = data.splits.train.len().div_ceil(train.batch_size);
            format!("{} epochs of {steps} steps, {rows}", train.epochs)
        }
        _ => format!("{} epochs, {rows}", train.epochs),
    }
}

/// The loss, or the loss of each objective with its name.
fn losses(recipe: &Recipe) -> Result<Vec<(String, String)>> {
    if let Some(loss) = &recipe.train.loss {
        return Ok(vec![("loss".to_string(), as_written(loss)?)]);
    }
    let of = |(name, objective): (&String, &Objective)| {
        let Objective { from, loss, target, weight, .. } = objective;
        let mut text = format!("{} of {from}", as_written(loss)?);
        if !target.is_empty() {
            text.push_str(&format!(" against {target}"));
        }
        if *weight != 1.0 {
            text.push_str(&format!(", times {weight}"));
        }
        Ok((format!("objective {name}"), text))
    };
    recipe.train.objectives.iter().map(of).collect()
}

/// A choice in a recipe's notation, on one line.
fn as_written(choice: &impl serde::Serialize) -> Result<String> {
    let refuse = |e: toml::ser::Error| Error::value("recipe", "values that TOML can hold", e);
    Ok(toml::Value::try_from(choice).map_err(refuse)?.to_string())
}
