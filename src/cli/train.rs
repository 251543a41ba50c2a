//! `neural train`

mod group;
mod logs;
pub(super) mod progress;

use super::DeviceArguments;
#[cfg(feature = "dashboard")]
use super::dashboard::State;
use super::figures::{self, Scores, Spreads, by_part};
use super::interrupt;
use super::processes::{self, Sharing};
use super::recipe_options::RecipeOptions;
use super::screen::{Screen, Verbosity, seconds};
use super::splits::Told;
use crate::data::table::is_there;
use crate::data::{Dataset, Source, Task};
use crate::recipe::Recipe;
use crate::runs::{Ending, Folder, Session, Start, Which, check_settings};
use crate::runtime::Device;
use crate::train::{Epoch, Event, Monitor, Run};
use anyhow::{Context, bail};
use group::{Group, Kind};
use logs::Logs;
pub(super) use logs::Wanted;
use serde_json::json;
use std::collections::BTreeMap;
#[cfg(feature = "dashboard")]
use std::io::{self, IsTerminal};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// Train a model as a recipe says
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  neural train                                    digits with one hidden layer
  neural train --auto houses.csv --target price   with the recipe that neural init writes
  neural train my.toml --epochs 20 --lr 0.1
  neural train my.toml --set train.optimizer.adam.learning_rate=0.001
  neural train my.toml --repeat 5                 five seeds, their mean and spread
  neural train my.toml --folds 5                  cross-validation
  neural train --resume runs/my-1                 go on where it stopped
  neural train --resume runs/my-1 --from best     go on from the best epoch; those after it are done again

A run goes on only with the model, the batch size and the data that it began with, and never overwrites what it has
reached unless --from or --restart asks for that.")]
pub struct Train {
    #[command(flatten)]
    recipe: RecipeOptions,

    #[command(flatten)]
    device: DeviceArguments,

    #[command(flatten)]
    sharing: Sharing,

    /// The run's name; that of the recipe with the next free number if absent
    #[arg(long, value_name = "NAME", conflicts_with = "resume")]
    name: Option<String>,

    /// The folder that the run's folder is made in
    #[arg(long, default_value = "runs", value_name = "DIR")]
    runs: PathBuf,

    /// Go on with the run in this folder, or with the seeds that a --repeat has left; --epochs may add to it
    #[arg(long, value_name = "RUN", conflicts_with_all = ["recipe", "batch_size", "lr", "seed", "settings", "unset"])]
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

    /// Cross-validation: train once for each of N folds of the training rows, which validates, and show mean and spread.
    /// Takes the place of a validation fraction in the recipe
    #[arg(long, value_name = "N", conflicts_with_all = ["resume", "repeat"], value_parser = clap::value_parser!(u64).range(2..))]
    folds: Option<u64>,

    /// Show curves, figures and progress on the whole terminal while the run trains
    #[arg(long, conflicts_with_all = ["quiet", "verbose", "json"])]
    dashboard: bool,

    /// Write event files for TensorBoard into the run's folder too
    #[arg(long)]
    tensorboard: bool,

    /// Write the run into this folder of MLflow's runs too, such as mlruns; the experiment has the recipe's name
    #[arg(long, value_name = "DIR")]
    mlflow: Option<PathBuf>,

    #[command(flatten)]
    verbosity: Verbosity,
}

/// How many of the tensors without given weights are named.
const MOST_NAMES: usize = 6;

impl Train {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        // Before there is a folder.
        #[cfg(not(feature = "dashboard"))]
        if self.dashboard {
            return no_dashboard();
        }
        self.sharing.run(&self.device, |device| self.train_on(device))
    }

    fn train_on(&self, device: &Device) -> anyhow::Result<ExitCode> {
        if let Some(path) = &self.resume {
            return self.resume(path, device);
        }
        let recipe = self.recipe.read(&[])?;
        if let Some(group) = self.group() {
            let mut loaded = Loaded::default();
            // Before there is a folder.
            let first = &group.runs(&recipe)[0].1;
            let data = loaded.data(first, device)?;
            let run = processes::start(first, device, data, self.sharing.count(device))?;
            check_settings(&run, &first.train)?;
            drop(run);
            let folder = self.folder(&recipe)?;
            group.write(&folder)?;
            return self.train_group(group, &folder, &recipe, device, loaded);
        }
        let mut loaded = Loaded::default();
        let data = loaded.data(&recipe, device)?;
        let place = || self.folder(&recipe).map(Place::new);
        Ok(train(&recipe, device, data, place, self.output(device), Until::default())?.exit_code())
    }

    /// The group of runs that is asked for.
    fn group(&self) -> Option<Group> {
        let seeds = self.repeat.map(|times| Group { kind: Kind::Seeds, times });
        seeds.or(self.folds.map(|times| Group { kind: Kind::Folds, times }))
    }

    fn output(&self, device: &Device) -> Output<'_> {
        let logs = Wanted { tensorboard: self.tensorboard, mlflow: self.mlflow.as_deref() };
        let Self { verbosity, dashboard, .. } = *self;
        Output { verbosity, dashboard, devices: self.sharing.count(device), logs }
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
        let group = Group::read(&folder)?;
        if let Some(group) = group.filter(|_| self.from.is_some() || self.restart) {
            let one = group.kind.of_one();
            bail!("{} is a group: --from and --restart are for one of its runs, {0}/{one}-N", path.display());
        }
        if super::sweep::is_sweep(&folder) {
            bail!("{} is a sweep: go on with neural sweep --resume {0}", path.display());
        }
        let mut recipe = folder.recipe()?;
        recipe.train.epochs = self.recipe.epochs.unwrap_or(recipe.train.epochs);
        if let Some(data) = &self.recipe.data {
            recipe.data.path.clone_from(data);
        }
        check_place(&recipe.data.path)?;
        if let Some(group) = group {
            return self.train_group(group, &folder, &recipe, device, Loaded::default());
        }
        let mut loaded = Loaded::default();
        let data = loaded.data(&recipe, device)?;
        let start = match self.from {
            _ if self.restart => Start::Anew,
            None => Start::Last,
            Some(which) => Start::From(which),
        };
        let place = || Ok(Place { folder, start, is_new: false });
        Ok(train(&recipe, device, data, place, self.output(device), Until::default())?.exit_code())
    }

    /// Trains the runs of a group, those that were begun from where they stopped, and shows how what they reached
    /// spreads.
    fn train_group(
        &self,
        group: Group,
        folder: &Folder,
        recipe: &Recipe,
        device: &Device,
        mut loaded: Loaded,
    ) -> anyhow::Result<ExitCode> {
        let _lock = folder.lock()?;
        folder.keep_recipe(recipe)?;
        let mut reached = Vec::new();
        for (name, recipe) in group.runs(recipe) {
            let data = loaded.data(&recipe, device)?;
            let place = || {
                let path = folder.file(&name);
                if !path.exists() {
                    return Ok(Place::new(Folder::create(path, &recipe)?));
                }
                let folder = Folder::open(path)?;
                Ok(Place { folder, start: Start::Last, is_new: false })
            };
            let trained = train(&recipe, device, data, place, self.output(device), Until::default())?;
            let interrupted = trained.ending == Ending::Interrupted;
            reached.push(trained);
            if interrupted {
                break;
            }
        }
        let spreads = Spreads::of(&reached.iter().map(|run| &run.scores).collect::<Vec<_>>());
        let table = spreads.table();
        folder.keep_text("report.md", &format!("```text\n{table}```\n"))?;
        let screen = Screen::new(self.verbosity, recipe.train.epochs);
        let kind = group.kind.of_several();
        screen.json("spread", json!({ "run": folder.path(), kind: reached.len(), "parts": spreads.json() }));
        screen.result(&format!("\n{} {kind}\n\n{}", reached.len(), table.trim_end()));
        if (reached.len() as u64) < group.times || reached.iter().any(|run| run.ending == Ending::Interrupted)
        {
            let path = folder.path().display();
            screen.line(&format!("the {kind} that are missing are trained by: neural train --resume {path}"));
        }
        Ok(reached.last().map_or(ExitCode::SUCCESS, Outcome::exit_code))
    }
}

/// The data set of the last recipe, read anew only where the next one wants another, or has a loss that takes other
/// targets.
#[derive(Default)]
pub(super) struct Loaded(Option<(Source, BTreeMap<String, Task>, Dataset)>);

impl Loaded {
    /// The recipe's data, which the other processes read too, where there are others.
    pub fn data(&mut self, recipe: &Recipe, device: &Device) -> crate::Result<&Dataset> {
        if !self.is_of(recipe) {
            processes::load(device, recipe)?;
        }
        self.read(recipe)
    }

    fn is_of(&self, recipe: &Recipe) -> bool {
        self.0.as_ref().is_some_and(|(source, tasks, _)| *source == recipe.data && *tasks == recipe.tasks())
    }

    /// As [`Loaded::data`], in this process alone.
    pub fn read(&mut self, recipe: &Recipe) -> crate::Result<&Dataset> {
        if !self.is_of(recipe) {
            self.0 = None;
        }
        let (source, tasks) = (&recipe.data, recipe.tasks());
        match &mut self.0 {
            Some((_, _, data)) => Ok(data),
            empty => Ok(&empty.insert((source.clone(), tasks, recipe.load()?)).2),
        }
    }
}

/// That the data of a run is still where it was.
pub(super) fn check_place(data: &Path) -> anyhow::Result<()> {
    if !is_there(data) {
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
    /// Whether the folder has the recipe already; where it has not, it gets it once the run has begun.
    pub is_new: bool,
}

impl Place {
    /// The folder of a new run.
    pub fn new(folder: Folder) -> Self {
        Self { folder, start: Start::Last, is_new: true }
    }
}

/// What is told of a run while it trains, and where it does.
#[derive(Clone, Copy)]
pub(super) struct Output<'a> {
    pub verbosity: Verbosity,
    /// Whether a dashboard is shown while it trains.
    pub dashboard: bool,
    /// How many devices share each batch.
    pub devices: usize,
    pub logs: Wanted<'a>,
}

/// Where a run is left before its end, to be gone on with later.
#[derive(Clone, Copy, Default)]
pub(super) struct Until {
    /// After this many epochs.
    pub epochs: Option<u64>,
    pub time: Option<Instant>,
}

impl Until {
    fn is_reached(self, epochs: u64) -> bool {
        self.epochs.is_some_and(|most| epochs >= most) || self.time.is_some_and(|time| Instant::now() >= time)
    }
}

/// What a run came to.
pub(super) struct Outcome {
    pub ending: Ending,
    /// Epochs that are done.
    pub epochs: u64,
    /// Of the weights after the best epoch, where the run came to its end.
    pub scores: Scores,
    pub best: Option<Epoch>,
    /// By what it is the best.
    pub monitor: Monitor,
}

impl Outcome {
    fn exit_code(&self) -> ExitCode {
        match self.ending {
            Ending::Interrupted => ExitCode::from(interrupt::EXIT_CODE),
            Ending::Finished | Ending::StoppedEarly => ExitCode::SUCCESS,
        }
    }
}

/// Trains in a folder, which is made when it is clear that the run can start; shows it, and leaves a report.
pub(super) fn train(
    recipe: &Recipe,
    device: &Device,
    data: &Dataset,
    place: impl FnOnce() -> anyhow::Result<Place>,
    output: Output<'_>,
    until: Until,
) -> anyhow::Result<Outcome> {
    let Output { verbosity, dashboard, devices, logs } = output;
    let started = Instant::now();
    let mut run = processes::start(recipe, device, data, devices)?;
    let trainer = run.trainer().clone();
    check_settings(&run, &recipe.train)?;
    let Place { folder, start, is_new } = place()?;
    let mut session = Session::start(&mut run, folder.clone(), start)?;
    if !is_new {
        folder.keep_recipe(recipe)?;
    }
    let screen = Screen::new(verbosity, trainer.epochs);
    let told = Told::of(data, Some(&trainer.model));
    let mut summary = trainer.model.summary(crate::DType::F32, &data.sample_shapes())?;
    recipe.model.name_rows(&mut summary);
    let mut start = json!({
        "run": folder.path(),
        "device": device.to_string(),
        "rows": data.splits.train.len(),
        "parameters": summary.parameters(),
        "notes": summary.notes,
        "epochs": trainer.epochs,
    });
    for (key, value) in told.as_json() {
        start[key] = value;
    }
    screen.json("start", start);
    screen.line(&format!(
        "{} training rows on {device}, run {}",
        data.splits.train.len(),
        folder.path().display()
    ));
    told.lines().iter().for_each(|line| screen.line(line));
    screen.line(&summary.to_string());

    if !trainer.begin.is_empty() {
        let variables = session.run().variables().iter().filter(|variable| variable.role.is_of_model());
        let names: Vec<&str> = variables.map(|variable| variable.name.as_str()).collect();
        let given = |name: &&str| trainer.begin.iter().any(|(given, _)| given == name);
        let anew: Vec<&str> = names.iter().copied().filter(|name| !given(name)).collect();
        let count = names.len() - anew.len();
        let mut text = format!("{count} of {} tensors of the model begin with given weights", names.len());
        if !anew.is_empty() {
            let more = if anew.len() > MOST_NAMES { ", …" } else { "" };
            text.push_str(&format!(", not {}{more}", anew[..anew.len().min(MOST_NAMES)].join(", ")));
        }
        screen.line(&text);
    }
    for note in session.notes() {
        screen.json("note", json!({ "text": note }));
        screen.line(note);
    }
    warn_of_outputs(session.run(), data, &screen);
    let mut logs = Logs::begin(logs, recipe, &session)?;
    if dashboard {
        open_dashboard(&screen, &mut session, device, trainer.epochs)?;
    }
    let mut epochs = session.run().epochs_reported();
    let traffic = processes::Meter::start(device, session.run());
    let mut beat = progress::Beat::new(&folder);
    let ending = if until.is_reached(epochs) {
        Ok(Ending::Interrupted)
    } else {
        session.train(|event| {
            screen.show(event);
            match event {
                Event::Epoch(epoch) => {
                    epochs = epoch.number;
                    logs.epoch(epoch);
                }
                Event::Progress(progress) => beat.show(progress),
                Event::Compiled(_) => {}
            }
            let is_over = logs.failed.is_err() || interrupt::asked() || until.is_reached(epochs);
            if is_over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    };
    screen.end();
    drop(beat);
    let logged = logs.end(ending.as_ref().ok().copied());
    let ending = ending.with_context(|| format!("run {}", folder.path().display()))?;
    logged?;
    if let Some(traffic) = traffic {
        traffic.show(session.run(), &screen);
    }
    let monitor = session.monitor();
    let best = session.best().cloned();
    if ending == Ending::Interrupted {
        if interrupt::asked() {
            screen.json("interrupted", json!({ "run": folder.path() }));
            screen
                .line(&format!("interrupted; go on with: neural train --resume {}", folder.path().display()));
        } else {
            screen.json("paused", json!({ "run": folder.path(), "epochs": epochs }));
            screen.line(&format!("paused after epoch {epochs}"));
        }
        return Ok(Outcome { ending, epochs, scores: Vec::new(), best, monitor });
    }
    if ending == Ending::StoppedEarly {
        screen.line(&format!("stopped early: {} got no better", session.monitor()));
    }
    let weights = session.restore_best()?;
    let scores = scores(session.run())?;
    let spent = started.elapsed().as_secs_f64();
    let table = format!("{}{weights}\n", figures::table(&scores));
    let parts = told.lines().join("\n");
    folder.keep_text("report.md", &report(&folder, device, &parts, &summary.to_string(), &table, spent))?;
    screen.json(
        "result",
        json!({ "run": folder.path(), "weights": weights, "scores": by_part(&scores), "seconds": spent }),
    );
    screen.result(&format!("\n{table}{} in all", seconds(spent)));
    Ok(Outcome { ending, epochs, scores, best, monitor })
}

/// Shows a dashboard where standard output is a terminal, and otherwise says why not.
#[cfg(feature = "dashboard")]
fn open_dashboard(screen: &Screen, session: &mut Session, device: &Device, most: u64) -> anyhow::Result<()> {
    if !io::stdout().is_terminal() {
        screen.line("no dashboard: standard output is not a terminal");
        return Ok(());
    }
    let title = format!("{} on {device}", session.folder().path().display());
    let state = State::new(title, session.monitor(), most, session.history().epochs());
    screen.open_dashboard(state)
}

#[cfg(not(feature = "dashboard"))]
fn open_dashboard(_: &Screen, _: &mut Session, _: &Device, _: u64) -> anyhow::Result<()> {
    no_dashboard()
}

#[cfg(not(feature = "dashboard"))]
fn no_dashboard<T>() -> anyhow::Result<T> {
    bail!("--dashboard needs a build with its feature: cargo build --release --features dashboard")
}

/// Outputs that no class has are learned never to speak, which is seldom what was meant.
fn warn_of_outputs(run: &Run, data: &Dataset, screen: &Screen) {
    let Some(outputs) = run.width() else { return };
    if let Some(classes) = data.classes().filter(|classes| outputs > (*classes).max(2)) {
        let text =
            format!("the model has {outputs} outputs for {classes} classes: the others are never right");
        screen.json("note", json!({ "text": text }));
        screen.line(&format!("note: {text}"));
    }
}

/// How good the model is on each part of the data.
fn scores(run: &mut Run) -> anyhow::Result<Scores> {
    let data = run.data();
    data.parts().map(|part| Ok((part.name, run.score(part.rows)?))).collect()
}

fn report(folder: &Folder, device: &Device, parts: &str, summary: &str, table: &str, spent: f64) -> String {
    format!(
        "# {}\n\nTrained on {device} in {}.\n\n```text\n{parts}\n\n{summary}\n\n{table}```\n",
        folder.name(),
        seconds(spent)
    )
}
