//! `neural train`

use super::DeviceArguments;
use super::interrupt;
use super::screen::{Screen, Verbosity, seconds};
use super::text;
use crate::data::Dataset;
use crate::recipe::Recipe;
use crate::runs::{Ending, Folder, Session, Start, Which};
use crate::runtime::Device;
use crate::tensorboard;
use crate::train::{Epoch, Event, Run, Score, Trainer};
use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::io;
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
  neural train --resume runs/my-1                 go on where it stopped
  neural train --resume runs/my-1 --from best     go on from the best epoch; those after it are done again

A run goes on only with the model, the batch size and the data that it began with, and never overwrites what it has
reached unless --from or --restart asks for that.")]
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

    /// Go on with the run in this folder, or with the seeds that a --repeat has left; --epochs may add to it
    #[arg(long, value_name = "RUN", conflicts_with_all = ["recipe", "batch_size", "lr", "seed", "settings"])]
    resume: Option<PathBuf>,

    /// Go on from this checkpoint: best, last or, where they are kept, epoch-N
    #[arg(long, value_name = "CHECKPOINT", requires = "resume")]
    from: Option<Which>,

    /// Begin the run in its folder anew, and remove what it has reached
    #[arg(long, requires = "resume", conflicts_with = "from")]
    restart: bool,

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

    /// Where the data is, in place of the recipe's
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,

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
        let mut recipe = if let Some(path) = &self.recipe {
            Recipe::read(path, &settings)?
        } else {
            settings.insert(0, "data.path=data/mnist".into());
            Recipe::with_settings(DEFAULT, Path::new("the default recipe"), &settings)?
        };
        if let Some(path) = &self.data {
            recipe.data.path.clone_from(path);
        }
        self.check_place(&recipe.data.path)?;
        if let Some(rate) = self.lr {
            recipe.train.optimizer = recipe.train.optimizer.with_learning_rate(rate);
        }
        Ok(recipe)
    }

    /// Refuses a path that is not there beside the recipe but in the current folder, where it may have been meant.
    fn check_place(&self, data: &Path) -> anyhow::Result<()> {
        let folder = self.recipe.as_deref().and_then(Path::parent).filter(|f| !f.as_os_str().is_empty());
        let written = folder.and_then(|folder| data.strip_prefix(folder).ok());
        match written {
            Some(written) if !data.exists() && written.exists() => bail!(
                "{} is not there: a recipe's paths are taken from its own folder; --data {} names that in this folder",
                data.display(),
                written.display()
            ),
            _ => Ok(()),
        }
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
            return self.resume(path, &device);
        }
        let recipe = self.recipe.read(&[])?;
        let data = recipe.data.load()?;
        match self.repeat {
            None => {
                let trainer = recipe.trainer().devices(self.devices);
                let place = || self.folder(&recipe).map(Place::new);
                Ok(train(trainer, &device, &data, place, self.output())?.exit_code())
            }
            Some(times) => {
                let group = self.folder(&recipe)?;
                Repeat { times }.write(&group)?;
                self.repeat(times, &group, &recipe, &device, &data)
            }
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

    /// Goes on with a run, or with the runs of a repeat.
    fn resume(&self, path: &Path, device: &Device) -> anyhow::Result<ExitCode> {
        let folder = Folder::open(path)?;
        // Before the data is read, which may take long.
        drop(folder.lock()?);
        let repeat = Repeat::read(&folder)?;
        if repeat.is_some() && (self.from.is_some() || self.restart) {
            bail!("{} is a repeat: --from and --restart are for one of its runs, {0}/seed-N", path.display());
        }
        if folder.file("trial-1").is_dir() {
            bail!("{} is a sweep: go on with one of its trials, {0}/trial-N", path.display());
        }
        let mut recipe = folder.recipe()?;
        recipe.train.epochs = self.recipe.epochs.unwrap_or(recipe.train.epochs);
        if let Some(data) = &self.recipe.data {
            recipe.data.path.clone_from(data);
        }
        check_place(&recipe.data.path)?;
        let data = recipe.data.load()?;
        if let Some(Repeat { times }) = repeat {
            return self.repeat(times, &folder, &recipe, device, &data);
        }
        let start = match self.from {
            _ if self.restart => Start::Anew,
            None => Start::Last,
            Some(which) => Start::From(which),
        };
        let trainer = recipe.trainer().devices(self.devices);
        let place = || Ok(Place { folder, start, recipe: Some(recipe) });
        Ok(train(trainer, device, &data, place, self.output())?.exit_code())
    }

    /// Trains with the seeds of a group, those that were begun from where they stopped.
    fn repeat(
        &self,
        times: u64,
        group: &Folder,
        recipe: &Recipe,
        device: &Device,
        data: &Dataset,
    ) -> anyhow::Result<ExitCode> {
        let _lock = group.lock()?;
        group.keep_recipe(recipe)?;
        let mut reached = Vec::new();
        for seed in (recipe.train.seed..).take(times as usize) {
            let mut recipe = recipe.clone();
            recipe.train.seed = seed;
            let trainer = recipe.trainer().devices(self.devices);
            let place = || {
                let path = group.file(&format!("seed-{seed}"));
                if !path.exists() {
                    return Ok(Place::new(Folder::create(path, &recipe)?));
                }
                let folder = Folder::open(path)?;
                Ok(Place { folder, start: Start::Last, recipe: Some(recipe) })
            };
            let trained = train(trainer, device, data, place, self.output())?;
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
        screen.json("spread", json!({ "run": group.path(), "seeds": reached.len(), "parts": parts }));
        screen.result(&format!("\n{} seeds\n\n{}", reached.len(), summary.trim_end()));
        if (reached.len() as u64) < times || reached.iter().any(|run| run.ending == Ending::Interrupted) {
            let group = group.path().display();
            screen.line(&format!("the seeds that are missing are trained by: neural train --resume {group}"));
        }
        Ok(reached.last().map_or(ExitCode::SUCCESS, Outcome::exit_code))
    }
}

/// How often a group of runs is trained, each with a seed of its own: what the group's folder says of it.
#[derive(Serialize, Deserialize)]
struct Repeat {
    times: u64,
}

impl Repeat {
    const FILE: &str = "repeat.json";

    fn write(&self, group: &Folder) -> anyhow::Result<()> {
        Ok(group.keep_text(Self::FILE, &serde_json::to_string(self)?)?)
    }

    /// `None` where the folder is that of a single run.
    fn read(folder: &Folder) -> anyhow::Result<Option<Self>> {
        let path = folder.file(Self::FILE);
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(serde_json::from_str(&text).with_context(|| path.display().to_string())?)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e).with_context(|| format!("cannot read {}", path.display())),
        }
    }
}

/// That the data of a run is still where it was.
pub(super) fn check_place(data: &Path) -> anyhow::Result<()> {
    if !data.exists() {
        bail!(
            "the run's data was {}, which is not there any more; --data PATH names its new place",
            data.display()
        );
    }
    Ok(())
}

/// Where a run is trained.
pub(super) struct Place {
    pub folder: Folder,
    pub start: Start,
    /// What becomes the folder's recipe, once the run has begun.
    pub recipe: Option<Recipe>,
}

impl Place {
    /// The folder of a new run.
    pub fn new(folder: Folder) -> Self {
        Self { folder, start: Start::Last, recipe: None }
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
    place: impl FnOnce() -> anyhow::Result<Place>,
    output: Output,
) -> anyhow::Result<Outcome> {
    let Output { verbosity, tensorboard } = output;
    let started = Instant::now();
    let mut run = trainer.start(device, data)?;
    let Place { folder, start, recipe } = place()?;
    let mut session = Session::start(&mut run, folder.clone(), start)?;
    if let Some(recipe) = recipe {
        folder.keep_recipe(&recipe)?;
    }
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
    );
    screen.line(&format!(
        "{} training rows on {device}, run {}",
        data.splits.train.len(),
        folder.path().display()
    ));
    screen.line(&summary.to_string());

    for note in session.notes() {
        screen.json("note", json!({ "text": note }));
        screen.line(note);
    }
    let mut log = if tensorboard { Some(tensorboard::Writer::create(folder.path())?) } else { None };
    let mut logged = Ok(());
    let ending = session.train(|event| {
        screen.show(event);
        if let (Some(log), Event::Epoch(epoch)) = (&mut log, event) {
            logged = note(log, epoch);
        }
        if logged.is_err() || interrupt::asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    screen.end();
    let ending = ending.with_context(|| format!("run {}", folder.path().display()))?;
    logged?;
    if ending == Ending::Interrupted {
        screen.json("interrupted", json!({ "run": folder.path() }));
        screen.line(&format!("interrupted; go on with: neural train --resume {}", folder.path().display()));
        return Ok(Outcome { folder, ending, scores: Vec::new(), best: None });
    }
    if ending == Ending::StoppedEarly {
        let best = session.best().map_or(0, |epoch| epoch.number);
        screen.line(&format!("stopped early: no progress since epoch {best}"));
    }
    let best = session.best().and_then(|epoch| Some((epoch.clone(), session.monitor().of(epoch)?)));
    let scores = scores(session.run())?;
    let spent = started.elapsed().as_secs_f64();
    let table = table(&scores, data);
    folder.keep_text("report.md", &report(&folder, device, &summary.to_string(), &table, spent))?;
    screen.json("result", json!({ "run": folder.path(), "scores": by_part(&scores), "seconds": spent }));
    screen.result(&format!("\n{table}{} in all", seconds(spent)));
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
