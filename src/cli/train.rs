//! `neural train`

mod group;
mod logs;
pub(super) mod progress;
mod run;

use super::DeviceArguments;
use super::figures::Spreads;
use super::processes::{self, Sharing};
use super::recipe_options::RecipeOptions;
use super::screen::{Screen, Verbosity};
use crate::data::table::is_there;
use crate::data::{Dataset, Source, Task};
use crate::recipe::Recipe;
use crate::runs::{Ending, Folder, Start, Which, check_settings};
use crate::runtime::Device;
use anyhow::bail;
use group::{Group, Kind};
pub(super) use logs::Wanted;
pub(super) use run::{Outcome, Output, Place, Until, train};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Train a model as a recipe says
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  neural train                                    digits with one hidden layer
  neural train --auto houses.csv --target price   with the recipe that neural init writes
  neural train my.toml --epochs 20 --lr 0.1
  neural train my.toml --set train.optimizer.adam.learning_rate=0.001
  neural train my.toml --repeat 5                 five seeds, their mean and spread
  neural train my.toml --folds 5                  cross-validation
  neural train --resume runs/my-1                 continue where it stopped
  neural train --resume runs/my-1 --from best     continue from the best epoch; later ones are repeated

A run continues only with the model, the batch size and the data that it began with, and never overwrites what it has
reached unless --from or --restart asks for that.")]
pub struct Train {
    #[command(flatten)]
    recipe: RecipeOptions,

    #[command(flatten)]
    device: DeviceArguments,

    #[command(flatten)]
    sharing: Sharing,

    /// The run's name; if absent, the recipe's name with the next free number
    #[arg(long, value_name = "NAME", conflicts_with = "resume")]
    name: Option<String>,

    /// The folder for the run's folder
    #[arg(long, default_value = "runs", value_name = "DIR")]
    runs: PathBuf,

    /// Continue the run in this folder, or the missing seeds of a --repeat; --epochs may add to it
    #[arg(long, value_name = "RUN", conflicts_with_all = ["recipe", "batch_size", "lr", "seed", "settings", "unset"])]
    resume: Option<PathBuf>,

    /// Continue from this checkpoint: best, last or, if they are kept, epoch-N
    #[arg(long, value_name = "CHECKPOINT", requires = "resume")]
    from: Option<Which>,

    /// Start the run in its folder over, and remove its results
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

impl Train {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        // Checked before there is a folder.
        #[cfg(not(feature = "dashboard"))]
        if self.dashboard {
            return run::no_dashboard();
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
            // Checked before there is a folder.
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

    /// The requested group of runs.
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

    /// Resumes a run, or the runs of a repeat.
    fn resume(&self, path: &Path, device: &Device) -> anyhow::Result<ExitCode> {
        let folder = Folder::open(path)?;
        // Checked before the data is read, which may take long.
        drop(folder.lock()?);
        let group = Group::read(&folder)?;
        if let Some(group) = group.filter(|_| self.from.is_some() || self.restart) {
            let one = group.kind.of_one();
            bail!("{} is a group: --from and --restart are for one of its runs, {0}/{one}-N", path.display());
        }
        if super::sweep::is_sweep(&folder) {
            bail!("{} is a sweep: continue it with neural sweep --resume {0}", path.display());
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

    /// Trains the runs of a group, resuming the ones that were begun, and shows the spread of their results.
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

/// The data set of the last recipe, read again only where the next recipe has another one, or a loss that takes other
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

/// Checks that the data of a run is still where it was.
pub(super) fn check_place(data: &Path) -> anyhow::Result<()> {
    if !is_there(data) {
        bail!(
            "the run's data was {}, which does not exist any more; --data PATH names its new place",
            data.display()
        );
    }
    Ok(())
}
