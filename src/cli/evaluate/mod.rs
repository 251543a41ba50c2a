//! `neural evaluate`

mod calibrate;
mod conformal;
mod pictures;
mod report;
mod several;
mod threshold;

use calibrate::{Calibrate, calibrate};
use conformal::Confidence;
use report::Report;
use threshold::Threshold;

use super::text;
use super::train::check_place;
use super::trained::Trained;
use crate::data::images::Form;
use crate::data::{Dataset, Format, Scale, Source, TargetKind, Validation};
use crate::error::{Error, Result};
use crate::metric::{Metric, Task, number};
use crate::model::{Description, Model, tempered};
use crate::recipe::Recipe;
use crate::runs::Weights;
use crate::train::Trainer;
use serde_json::json;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Measure a trained model: loss, accuracy, figures for each class, confusion matrix, worst mistakes
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Pictures of the confusion matrix and of the worst mistakes, or of the values against what the model says of them,
are left in the run's folder. Rows are numbered from 0, in the order in which the data is read.

Examples:
  neural evaluate runs/mnist-1
  neural evaluate runs/mnist-1 --split train
  neural evaluate runs/police-1 --threshold best-f1 --keep-threshold
  neural evaluate runs/police-1 --calibrate            probabilities that match how often answers are correct
  neural evaluate runs/police-1 --conformal 0.9        sets of classes that contain the correct one in 9 of 10 rows
  neural evaluate runs/mnist-1 --data drawn          a folder of pictures for each class
  neural evaluate runs/pizza-1 --data may.csv --plot may"
)]
pub struct Evaluate {
    #[command(flatten)]
    trained: Trained,

    /// Other data of the same kind instead of the recipe's: all of its rows, unless --split names a part
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,

    /// The part of the data; if absent the test rows, or where there are none the validation or the training rows
    #[arg(long, value_enum, value_name = "PART")]
    split: Option<Part>,

    /// The folder for the pictures, instead of the run's
    #[arg(long, value_name = "DIR")]
    plot: Option<PathBuf>,

    /// How many of the worst mistakes to show
    #[arg(long, default_value_t = 24, value_name = "N")]
    mistakes: usize,

    /// Take the second of two classes, or a label, where its probability is above this; best-f1 chooses it, on the
    /// validation rows if there are any. The run's own if absent, which is 0.5 until another is kept
    #[arg(long, value_name = "PART|best-f1")]
    threshold: Option<Threshold>,

    /// Keep the threshold with the run, for `neural predict` and later evaluations
    #[arg(long, requires = "threshold")]
    keep_threshold: bool,

    /// Divide the scores by the temperature with the least log loss, chosen on the validation rows if there are any, and
    /// keep it with the model: for predict, serve, export and later evaluations. --calibrate=off takes it away. Conformal
    /// margins hold for one temperature: a change removes them
    #[arg(long, value_enum, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "fit")]
    calibrate: Option<Calibrate>,

    /// Store margins so that predict and serve give a set of classes, or an interval, that contains the truth in this fraction
    /// of rows, such as 0.9. They are computed on the validation rows, or on the rows of --data; off removes them
    #[arg(long, value_name = "PART|off")]
    conformal: Option<Confidence>,

    /// One JSON object with all figures
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
enum Part {
    Train,
    Validation,
    Test,
    All,
}

impl Part {
    /// The name in [`Dataset::parts`].
    fn name(self) -> &'static str {
        match self {
            Part::Train => "train",
            Part::Validation => "validation",
            Part::Test => "test",
            Part::All => "all",
        }
    }

    fn rows(self) -> &'static str {
        match self {
            Part::Train => "training rows",
            Part::Validation => "validation rows",
            Part::Test => "test rows",
            Part::All => "rows",
        }
    }
}

impl Evaluate {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let folder = self.trained.folder()?;
        // A checkpoint that is read to be written back must not change in between.
        let is_kept = self.calibrate.is_some() || self.conformal.is_some();
        let _lock = is_kept.then(|| folder.lock()).transpose()?;
        let mut saved = self.trained.saved()?;
        let weights = Weights::of(&folder, self.trained.checkpoint.which(), &saved)?;
        let trained_on = saved.data.clone();
        let mut recipe = folder.recipe()?;
        let device = self.trained.open_device()?;
        let source = self.source(&recipe, &saved.description);
        if self.data.is_none() {
            check_place(&source.path)?;
        }
        let data = as_in_training(&source, &recipe, &saved.description)?;
        // Other data is meant to be other data.
        let trained_on = trained_on.filter(|_| self.data.is_none());
        let changes = trained_on.map_or_else(Vec::new, |then| then.changes(&data.fingerprint()));
        let (part, rows) = self.rows(&data)?;

        let validation = &data.splits.validation;
        let trainer = Trainer { model: saved.description.layers.clone(), ..recipe.trainer() };
        let mut evaluator = trainer.evaluator(&device, &data)?;
        let calibrated = match self.calibrate {
            None => saved.temperature.map(|temperature| format!("temperature {}", number(temperature))),
            Some(how) => {
                // Fitted on other rows than the measured ones, where there are any.
                let (rows, of) = match self.data.is_none() && !validation.is_empty() {
                    true => (validation, format!("the {} validation rows", validation.len())),
                    false => (&rows, format!("these {} {}", rows.len(), part.rows())),
                };
                let evaluate = |model: &Model| evaluator.evaluate_all(model, rows)?.only();
                let which = self.trained.checkpoint.which();
                Some(calibrate(how, &folder, which, &mut saved, &of, evaluate)?)
            }
        };
        let temperature = saved.temperature;
        let file = folder.checkpoint_file(folder.which(self.trained.checkpoint.which())?);
        let mut kept = saved.clone();
        let own = saved.threshold(recipe.train.threshold);
        let model = saved.model()?;
        let mut evaluate = |rows: &[u32]| evaluator.evaluate_all(&model, rows);
        if !model.description.others.outputs.is_empty() {
            if self.conformal.is_some() {
                let expected = "a model of one output";
                return Err(Error::value("--conformal", expected, "one of several").into());
            }
            let evaluations = evaluate(&rows)?;
            return several::show(self, &evaluations, &model, &folder, weights, (part, &rows), &changes);
        }
        let (evaluation, threshold) =
            self.evaluation(own, |rows| evaluate(rows)?.only(), &rows, validation)?;
        if let Some(asked) = self.conformal {
            kept.conformal = match asked {
                Confidence::Off => None,
                Confidence::Of(confidence) => {
                    let (rows, of) = match (&self.data, validation.is_empty()) {
                        (Some(path), _) => (&rows, format!("{} rows of {}", rows.len(), path.display())),
                        (None, false) => (validation, format!("{} validation rows", validation.len())),
                        (None, true) => {
                            let expected = "validation rows, which the model did not learn from, or --data with such rows";
                            return Err(Error::value("--conformal", expected, "neither").into());
                        }
                    };
                    Some(conformal::fit(confidence, &evaluate(rows)?.only()?, &of)?)
                }
            };
            kept.write(&file)?;
        }
        let widened = kept.conformal.as_ref().and_then(|conformal| conformal::said(conformal, &evaluation));
        if self.keep_threshold {
            // Among plain probabilities, see `Saved::threshold`.
            let kept = evaluation.threshold();
            recipe.train.threshold =
                temperature.map_or(kept, |temperature| tempered(kept, 1.0 / temperature));
            folder.keep_recipe(&recipe)?;
        }

        let of = format!("{} {} of {}", rows.len(), part.rows(), text::path(&source.path));
        let title = format!("{}: {of}", folder.name());
        let report = match evaluation.confusion() {
            Some(confusion) => {
                let mistakes = match evaluation.is_at_positions() {
                    true => Vec::new(),
                    false => self.mistakes(&device, &model, &data, &rows, &evaluation)?,
                };
                let is_picture = is_picture(data.sample_shape());
                Report::of_classes(data.targets.names(), is_picture, &confusion, mistakes)
            }
            None if evaluation.task() == Task::Labels => Report::of_labels(&rows, &evaluation, self.mistakes),
            None => Report::of_values(&rows, &evaluation, self.mistakes),
        };
        let mut out = io::stdout().lock();
        if !self.json {
            writeln!(out, "{}", folder.path().display())?;
            writeln!(out, "{weights}")?;
            match data.parts().find(|one| one.name == part.name()) {
                Some(one) if !one.origin.is_empty() => writeln!(out, "{of}: {}", one.origin)?,
                _ => writeln!(out, "{of}")?,
            }
            if !changes.is_empty() {
                writeln!(out, "the data has changed since the model was trained: {}", changes.join(", "))?;
            }
            data.notes.iter().try_for_each(|note| writeln!(out, "note: {note}"))?;
            for line in calibrated.iter().chain(&threshold).chain(&widened) {
                writeln!(out, "{line}")?;
            }
            writeln!(out, "\n{}", report::figures(&evaluation))?;
            for table in &report.tables {
                write!(out, "\n{table}")?;
            }
        }
        let pictures = self.draw(&folder, &data, &title, &report)?;
        if self.json {
            let mut object = json!(evaluation.score(&Metric::of(evaluation.task()).collect::<Vec<_>>()));
            object["weights"] = json!(weights);
            if threshold.is_some() {
                object["threshold"] = json!(evaluation.threshold());
            }
            if temperature.is_some() {
                object["temperature"] = json!(temperature);
            }
            if let Some(conformal) = &kept.conformal {
                object["conformal"] = json!(conformal);
            }
            object["run"] = json!(folder.path().to_string_lossy());
            object["data"] = json!(source.path.to_string_lossy());
            object["split"] = json!(part);
            object["data_changes"] = json!(changes);
            let origin = data.parts().find(|one| one.name == part.name()).map(|one| one.origin);
            object["origin"] = json!(origin.unwrap_or("all rows"));
            object["notes"] = json!(data.notes);
            object["pictures"] = pictures.iter().map(|path| json!(path.to_string_lossy())).collect();
            for (key, value) in report.json {
                object[key] = value;
            }
            writeln!(out, "{object}")?;
        } else if !pictures.is_empty() {
            writeln!(out)?;
            pictures.iter().try_for_each(|path| writeln!(out, "drew {}", path.display()))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The source of the rows, with the training data's settings.
    fn source(&self, recipe: &Recipe, description: &Description) -> Source {
        let mut source = recipe.data.clone();
        if let Some(path) = &self.data {
            match Format::detect(path) {
                Some(format) if format != source.format => source = Source::new(format, path),
                _ => {
                    source.path.clone_from(path);
                    source.test = None;
                    source.validation = source.validation.filter(|one| *one == Validation::HalfOfTest);
                }
            }
            if self.split.is_none() {
                source = source.undivided();
            }
        }
        as_trained(source, description)
    }

    /// The rows to measure with, and of which part they are.
    fn rows(&self, data: &Dataset) -> Result<(Part, Vec<u32>)> {
        let rows = |part| match part {
            Part::Train => data.splits.train.clone(),
            Part::Validation => data.splits.validation.clone(),
            Part::Test => data.splits.test.clone(),
            Part::All => (0..data.rows() as u32).collect(),
        };
        let part = match self.split {
            Some(part) => part,
            None if self.data.is_some() => Part::All,
            None => {
                let parts = [Part::Test, Part::Validation];
                parts.into_iter().find(|part| !rows(*part).is_empty()).unwrap_or(Part::Train)
            }
        };
        let rows = rows(part);
        if rows.is_empty() {
            let got = format!("no {}", part.rows());
            return Err(Error::value("--split", "a part of the data that has rows", got));
        }
        Ok((part, rows))
    }
}

/// The source with the model's form of pictures and kind of target, and without scaling.
pub(super) fn as_trained(mut source: Source, description: &Description) -> Source {
    if source.format == Format::Images {
        let form = Form::of_sample(&description.sample).unwrap_or_default();
        (source.size, source.color) = (form.size, form.color);
    }
    let has_kinds = matches!(source.format, Format::Table | Format::Npy | Format::Safetensors);
    // Several targets get their tasks from their losses.
    if has_kinds && description.others.outputs.is_empty() {
        let is_class = !description.classes.is_empty();
        source.target_kind = Some(if is_class { TargetKind::Class } else { TargetKind::Value });
    }
    // The model has its own.
    (source.scale, source.scale_target) = (Scale::None, Scale::None);
    source
}

/// The data in the form of the model's training: the same features of the same columns, the same classes, the same
/// scaling.
pub(super) fn as_in_training(source: &Source, recipe: &Recipe, description: &Description) -> Result<Dataset> {
    let tasks = recipe.tasks();
    let several = |target: &str| tasks.get(target).copied().filter(|_| !source.targets.is_empty());
    let data = source.load_tasks_with(&description.columns, &several)?;
    description.adapt(data).map_err(|error| Error::format(&source.path, error.to_string()))
}

/// Whether samples of this shape can be shown.
pub(super) fn is_picture(shape: &[usize]) -> bool {
    matches!(shape, [_, _] | [_, _, 1 | 3])
}
