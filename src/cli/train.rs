//! `neural train`

use super::DeviceArguments;
use super::interrupt;
use super::screen::{Screen, Verbosity, seconds};
use super::text;
use crate::data::Dataset;
use crate::recipe::Recipe;
use crate::runs::{Ending, Folder, Session};
use crate::runtime::Device;
use crate::tensorboard;
use crate::train::{Epoch, Event, Run, Score, Trainer};
use anyhow::Context;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// Train a model as a recipe says
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  neural train                                    digits with one hidden layer
  neural train my.toml --epochs 20 --lr 0.1
  neural train my.toml --set train.optimizer.adam.learning_rate=0.001
  neural train my.toml --repeat 5                 five seeds, their mean and spread
  neural train --resume runs/my-1                 go on where it stopped")]
pub struct Train {
    #[command(flatten)]
    recipe: RecipeOptions,

    #[command(flatten)]
    device: DeviceArguments,

    /// How many devices share each batch
    #[arg(long, default_value_t = 1, value_name = "N")]
    devices: usize,

    /// The run's name; that of the recipe with the next free number if absent
    #[arg(long, value_name = "NAME", conflicts_with = "resume")]
    name: Option<String>,

    /// The folder that the run's folder is made in
    #[arg(long, default_value = "runs", value_name = "DIR")]
    runs: PathBuf,

    /// Go on with the run in this folder; --epochs may add to it
    #[arg(long, value_name = "RUN", conflicts_with_all = ["recipe", "batch_size", "lr", "seed", "settings"])]
    resume: Option<PathBuf>,

    /// Train N times, with seeds that count up from the recipe's, and show mean and spread
    #[arg(long, value_name = "N", conflicts_with = "resume", value_parser = clap::value_parser!(u64).range(1..))]
    repeat: Option<u64>,

    /// Write event files for TensorBoard into the run's folder too
    #[arg(long)]
    tensorboard: bool,

    #[command(flatten)]
    verbosity: Verbosity,
}

/// A recipe and the keys that are replaced in it.
#[derive(Clone, Debug, clap::Args)]
pub struct RecipeOptions {
    /// The recipe, a TOML file; the digits of MNIST if absent
    recipe: Option<PathBuf>,

    /// Passes over the training rows
    #[arg(long, value_name = "N")]
    epochs: Option<u64>,

    /// Rows in a batch
    #[arg(long, value_name = "N")]
    batch_size: Option<usize>,

    /// A constant learning rate
    #[arg(long, value_name = "RATE")]
    lr: Option<f64>,

    /// The seed of everything that is random
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Replace a key of the recipe
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    settings: Vec<String>,
}

/// The recipe that is trained when none is given.
const DEFAULT: &str = include_str!("../../scripts/recipes/mnist.toml");

impl RecipeOptions {
    /// The recipe, with `more` settings after those of the command line.
    pub(super) fn read(&self, more: &[String]) -> anyhow::Result<Recipe> {
        let mut settings = self.settings.clone();
        let mut set = |key: &str, value: Option<String>| {
            settings.extend(value.map(|value| format!("train.{key}={value}")));
        };
        set("epochs", self.epochs.map(|v| v.to_string()));
        set("batch_size", self.batch_size.map(|v| v.to_string()));
        set("seed", self.seed.map(|v| v.to_string()));
        settings.extend_from_slice(more);
        let mut recipe = match &self.recipe {
            Some(path) => Recipe::read(path, &settings)?,
            None => Recipe::with_settings(DEFAULT, Path::new("the default recipe"), &settings)?,
        };
        if let Some(rate) = self.lr {
            recipe.train.optimizer = recipe.train.optimizer.with_learning_rate(rate);
        }
        Ok(recipe)
    }

    /// What a run of the recipe is called.
    pub(super) fn name(&self) -> String {
        let stem = self.recipe.as_deref().and_then(Path::file_stem);
        stem.map_or_else(|| "mnist".to_string(), |stem| stem.to_string_lossy().into_owned())
    }
}

impl Train {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        interrupt::listen()?;
        let device = self.device.open_several(self.devices)?;
        if let Some(path) = &self.resume {
            let folder = Folder::open(path)?;
            let mut recipe = folder.recipe()?;
            if let Some(epochs) = self.recipe.epochs {
                recipe.train.epochs = epochs;
                folder.keep_recipe(&recipe)?;
            }
            let data = recipe.data.load()?;
            let trainer = recipe.trainer().devices(self.devices);
            return Ok(train(trainer, &device, &data, || Ok(folder), self.output())?.exit_code());
        }
        let recipe = self.recipe.read(&[])?;
        let data = recipe.data.load()?;
        match self.repeat {
            None => {
                let trainer = recipe.trainer().devices(self.devices);
                Ok(train(trainer, &device, &data, || self.folder(&recipe), self.output())?.exit_code())
            }
            Some(times) => self.repeat(times, recipe, &device, &data),
        }
    }

    fn output(&self) -> Output {
        Output { verbosity: self.verbosity, tensorboard: self.tensorboard }
    }

    fn folder(&self, recipe: &Recipe) -> anyhow::Result<Folder> {
        Ok(match &self.name {
            Some(name) => Folder::create(self.runs.join(name), recipe)?,
            None => Folder::create_numbered(&self.runs, &self.recipe.name(), recipe)?,
        })
    }

    fn repeat(
        &self,
        times: u64,
        recipe: Recipe,
        device: &Device,
        data: &Dataset,
    ) -> anyhow::Result<ExitCode> {
        let group = self.folder(&recipe)?;
        let mut reached = Vec::new();
        for seed in (recipe.train.seed..).take(times as usize) {
            let mut recipe = recipe.clone();
            recipe.train.seed = seed;
            let folder = || Ok(Folder::create(group.file(&format!("seed-{seed}")), &recipe)?);
            let trainer = recipe.trainer().devices(self.devices);
            let trained = train(trainer, device, data, folder, self.output())?;
            let interrupted = trained.ending == Ending::Interrupted;
            reached.push(trained);
            if interrupted {
                break;
            }
        }
        let spread = spread(&reached);
        let summary = spread_table(&spread);
        group.keep_text("report.md", &summary)?;
        let screen = Screen::new(self.verbosity, recipe.train.epochs);
        let parts: BTreeMap<_, _> = spread.iter().map(|(part, _, spread)| (part, spread)).collect();
        screen.json("spread", json!({ "run": group.path(), "seeds": reached.len(), "parts": parts }))?;
        if !self.verbosity.json {
            write!(io::stdout(), "\n{} seeds\n\n{summary}", reached.len())?;
        }
        Ok(reached.last().map_or(ExitCode::SUCCESS, Outcome::exit_code))
    }
}

/// What is told of a run while it trains.
#[derive(Clone, Copy, Default)]
pub(super) struct Output {
    pub verbosity: Verbosity,
    /// Whether event files are written.
    pub tensorboard: bool,
}

/// What a run came to.
pub(super) struct Outcome {
    pub folder: Folder,
    pub ending: Ending,
    /// Of the parts of the data that there are: train, validation, test.
    pub scores: Vec<(&'static str, Score)>,
    /// The best epoch, and its figure: the smaller the better.
    pub best: Option<(Epoch, f64)>,
}

impl Outcome {
    /// What the run reached on a part of the data, if it came to its end and there is such a part.
    pub fn score(&self, part: &str) -> Option<&Score> {
        self.scores.iter().find(|(name, _)| *name == part).map(|(_, score)| score)
    }

    fn exit_code(&self) -> ExitCode {
        match self.ending {
            Ending::Interrupted => ExitCode::from(interrupt::EXIT_CODE),
            Ending::Finished | Ending::StoppedEarly => ExitCode::SUCCESS,
        }
    }
}

/// Trains in a folder, which is made when it is clear that the run can start; shows it, and leaves a report.
pub(super) fn train(
    trainer: Trainer,
    device: &Device,
    data: &Dataset,
    folder: impl FnOnce() -> anyhow::Result<Folder>,
    output: Output,
) -> anyhow::Result<Outcome> {
    let Output { verbosity, tensorboard } = output;
    let started = Instant::now();
    let mut run = trainer.start(device, data)?;
    let folder = folder()?;
    let screen = Screen::new(verbosity, trainer.epochs);
    let summary = trainer.model.summary(crate::DType::F32, data.sample_shape())?;
    screen.json(
        "start",
        json!({
            "run": folder.path(),
            "device": device.to_string(),
            "rows": data.splits.train.len(),
            "parameters": summary.parameters(),
            "epochs": trainer.epochs,
        }),
    )?;
    screen.line(&format!(
        "{} training rows on {device}, run {}",
        data.splits.train.len(),
        folder.path().display()
    ))?;
    screen.line(&summary.to_string())?;

    let mut session = Session::new(&mut run, folder.clone())?;
    if session.run().step() > 0 {
        let (epoch, step) = (session.run().epoch() + 1, session.run().step());
        screen.line(&format!("going on in epoch {epoch}, after {step} steps"))?;
    }
    let mut log = if tensorboard { Some(tensorboard::Writer::create(folder.path())?) } else { None };
    let mut shown = Ok(());
    let ending = session.train(|event| {
        shown = screen.show(event).map_err(anyhow::Error::from);
        if let (Some(log), Event::Epoch(epoch), Ok(())) = (&mut log, event, &shown) {
            shown = note(log, epoch).map_err(anyhow::Error::from);
        }
        if shown.is_err() || interrupt::asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    screen.end();
    let ending = ending.with_context(|| format!("run {}", folder.path().display()))?;
    shown?;
    if ending == Ending::Interrupted {
        screen.json("interrupted", json!({ "run": folder.path() }))?;
        screen
            .line(&format!("interrupted; go on with: neural train --resume {}", folder.path().display()))?;
        return Ok(Outcome { folder, ending, scores: Vec::new(), best: None });
    }
    if ending == Ending::StoppedEarly {
        let best = session.best().map_or(0, |epoch| epoch.number);
        screen.line(&format!("stopped early: no progress since epoch {best}"))?;
    }
    let best = session.best().and_then(|epoch| Some((epoch.clone(), session.monitor().of(epoch)?)));
    let scores = scores(session.run())?;
    let spent = started.elapsed().as_secs_f64();
    let table = table(&scores, data);
    folder.keep_text("report.md", &report(&folder, device, &summary.to_string(), &table, spent))?;
    screen.json("result", json!({ "run": folder.path(), "scores": by_part(&scores), "seconds": spent }))?;
    if !verbosity.json {
        let mut out = io::stdout().lock();
        writeln!(out, "\n{table}{} in all", seconds(spent))?;
    }
    Ok(Outcome { folder, ending, scores, best })
}

/// An epoch's figures as TensorBoard shows them.
fn note(log: &mut tensorboard::Writer, epoch: &Epoch) -> crate::Result<()> {
    let validation = epoch.validation.as_ref();
    let figures = [
        ("loss/train", Some(epoch.loss)),
        ("loss/validation", validation.map(|score| score.loss)),
        ("accuracy/train", epoch.accuracy),
        ("accuracy/validation", validation.and_then(|score| score.accuracy)),
        ("r2/validation", validation.and_then(|score| Some(score.errors?.r2))),
        ("learning_rate", Some(epoch.learning_rate)),
        ("samples_per_second", Some(epoch.samples_per_second)),
    ];
    for (tag, value) in figures {
        if let Some(value) = value {
            log.scalar(tag, epoch.number, value)?;
        }
    }
    log.flush()
}

/// How good the model is on each part of the data.
fn scores(run: &mut Run) -> anyhow::Result<Vec<(&'static str, Score)>> {
    let splits = &run.data().splits;
    let parts = [("train", &splits.train), ("validation", &splits.validation), ("test", &splits.test)];
    let mut scores = Vec::new();
    for (name, rows) in parts.into_iter().filter(|(_, rows)| !rows.is_empty()) {
        scores.push((name, run.evaluate(rows)?.score()));
    }
    Ok(scores)
}

/// The scores as programs read them.
pub(super) fn by_part<'a>(scores: &'a [(&str, Score)]) -> BTreeMap<&'a str, &'a Score> {
    scores.iter().map(|(part, score)| (*part, score)).collect()
}

/// The scores as a table.
fn table(scores: &[(&str, Score)], data: &Dataset) -> String {
    let figure = if data.classes().is_some() { "accuracy" } else { "R²" };
    let mut text = format!("{:<12}{:>8}{:>10}{figure:>12}\n", "", "rows", "loss");
    for (name, score) in scores {
        let figure = figure_of(score).map_or_else(String::new, Figure::shown);
        text.push_str(&format!("{name:<12}{:>8}{:>10.4}{figure:>12}\n", score.rows, score.loss));
    }
    text
}

/// The figure by which people speak of a model.
#[derive(Clone, Copy)]
pub(super) enum Figure {
    Accuracy(f64),
    R2(f64),
}

impl Figure {
    pub fn value(self) -> f64 {
        match self {
            Figure::Accuracy(value) | Figure::R2(value) => value,
        }
    }

    pub fn shown(self) -> String {
        match self {
            Figure::Accuracy(value) => text::percent(value),
            Figure::R2(value) => format!("{value:.4}"),
        }
    }

    fn with(self, value: f64) -> Self {
        match self {
            Figure::Accuracy(_) => Figure::Accuracy(value),
            Figure::R2(_) => Figure::R2(value),
        }
    }
}

pub(super) fn figure_of(score: &Score) -> Option<Figure> {
    score.accuracy.map(Figure::Accuracy).or(score.errors.map(|errors| Figure::R2(errors.r2)))
}

fn report(folder: &Folder, device: &Device, summary: &str, table: &str, spent: f64) -> String {
    format!(
        "# {}\n\nTrained on {device} in {}.\n\n```text\n{summary}\n\n{table}```\n",
        folder.name(),
        seconds(spent)
    )
}

/// What is told of several runs together.
#[derive(Serialize)]
struct Spread {
    mean: f64,
    /// Of the sample: the seeds stand for all others.
    deviation: f64,
    least: f64,
    greatest: f64,
}

impl Spread {
    fn of(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
        Self {
            mean,
            deviation: variance.sqrt(),
            least: values.iter().copied().fold(f64::INFINITY, f64::min),
            greatest: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        }
    }
}

/// The spread of the figure of each part of the data, and the figure's kind.
fn spread(reached: &[Outcome]) -> Vec<(&'static str, Figure, Spread)> {
    let of = |part: &'static str| {
        let figures: Vec<Figure> = reached.iter().filter_map(|run| figure_of(run.score(part)?)).collect();
        let values: Vec<f64> = figures.iter().map(|figure| figure.value()).collect();
        Some((part, *figures.first()?, Spread::of(&values)))
    };
    ["train", "validation", "test"].into_iter().filter_map(of).collect()
}

fn spread_table(spread: &[(&str, Figure, Spread)]) -> String {
    let mut text = format!("{:<12}{:>10}{:>12}{:>10}{:>10}\n", "", "mean", "deviation", "least", "greatest");
    for (part, kind, spread) in spread {
        let [mean, deviation, least, greatest] =
            [spread.mean, spread.deviation, spread.least, spread.greatest]
                .map(|value| kind.with(value).shown());
        text.push_str(&format!("{part:<12}{mean:>10}{deviation:>12}{least:>10}{greatest:>10}\n"));
    }
    text
}
