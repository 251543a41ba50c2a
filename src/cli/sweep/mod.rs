//! `neural sweep`

mod halving;
mod importance;
mod jobs;
mod journal;
mod parzen;
mod ranking;
mod search;
mod space;
mod trial;

pub(super) use importance::drawn;
pub(super) use journal::is_sweep;

use super::DeviceArguments;
use super::interrupt;
use super::processes::{self, Sharing};
use super::recipe_options::RecipeOptions;
use super::screen::{Screen, Verbosity};
use super::text;
use super::train::Loaded;
use crate::recipe::Recipe;
use crate::runs::{Folder, check_settings};
use crate::runtime::Device;
use anyhow::{Context, bail, ensure};
use jobs::Workers;
use journal::{Halving, Journal, Plan};
use ranking::Ranking;
use search::Search;
use serde_json::json;
use space::{Over, Values, combinations};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Train a recipe with several values of some of its keys, and rank the results
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  neural sweep my.toml --over train.batch_size=64,256 --over train.optimizer.sgd.learning_rate=0.1,0.3,1
  neural sweep my.toml --over train.optimizer.adam.learning_rate=1e-4..1e-1 --search tpe --trials 30
  neural sweep my.toml --over train.optimizer.adam.learning_rate=1e-4..1e-1 --search tpe --prune asha --hours 2
  neural sweep my.toml --over train.seed=1,2,3,4 --jobs 2
  neural sweep --resume runs/my-sweep-1           continue an interrupted sweep
  neural sweep --resume runs/my-sweep-1 --trials 60

A range A..B is drawn from, evenly on a logarithmic scale where both ends are above 0; whole numbers stay whole. Each trial
is a run in the sweep's folder. It keeps the best one's recipe as best.toml, the ranking as report.md.

With --prune asha every trial is trained for a few epochs, the best third of them three times as long, and so on up to
the recipe's epochs. A pruned trial keeps its checkpoint, and continues exactly from it if it is promoted later.

With --jobs N several trials train at a time, in processes that share the cores. Each trial has the result that it
has alone; with tpe and asha, the choice of trials depends on the order in which others end.")]
pub struct Sweep {
    #[command(flatten)]
    recipe: RecipeOptions,

    /// A key and its values, or the range that they are drawn from
    #[arg(long, required_unless_present = "resume", value_name = "KEY=VALUES")]
    over: Vec<Over>,

    /// How the values of trials are chosen
    #[arg(long, value_enum, default_value_t = Search::Grid, value_name = "HOW")]
    search: Search,

    /// Train N trials, with --search random or tpe
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    trials: Option<u64>,

    /// Train for H hours in all; --resume continues the trial that is interrupted
    #[arg(long, value_name = "H", value_parser = hours)]
    hours: Option<f64>,

    /// Stop trials early that do worse than others
    #[arg(long, value_enum, value_name = "HOW")]
    prune: Option<Prune>,

    /// Promote the best one in N trials, to N times as many epochs
    #[arg(long, default_value_t = 3, value_name = "N", requires = "prune", value_parser = clap::value_parser!(u64).range(2..))]
    reduction: u64,

    /// Train N trials at a time on a CPU, each on its part of the cores
    #[arg(
        long,
        default_value_t = 1,
        value_name = "N",
        conflicts_with_all = ["processes", "devices"],
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    jobs: u64,

    /// Train this trial of the sweep, from 0, and print what it reached: a process that --jobs has started
    #[arg(long, hide = true, requires = "resume")]
    trial: Option<usize>,

    /// The cores of such a process
    #[arg(long, hide = true, value_delimiter = ',', requires = "trial")]
    cores: Vec<usize>,

    /// The epoch after which it pauses
    #[arg(long, hide = true, requires = "trial")]
    pause: Option<u64>,

    /// The seconds after which it stops
    #[arg(long, hide = true, requires = "trial")]
    seconds: Option<f64>,

    /// The least epochs that each trial is trained for
    #[arg(long, default_value_t = 1, value_name = "N", requires = "prune", value_parser = clap::value_parser!(u64).range(1..))]
    min_epochs: u64,

    /// Continue the sweep in this folder: train the interrupted and missing trials
    #[arg(
        long,
        value_name = "SWEEP",
        conflicts_with_all = ["recipe", "epochs", "batch_size", "lr", "seed", "data", "settings", "unset", "over", "search", "prune"]
    )]
    resume: Option<PathBuf>,

    #[command(flatten)]
    device: DeviceArguments,

    #[command(flatten)]
    sharing: Sharing,

    /// The folder for the sweep's folder
    #[arg(long, default_value = "runs", value_name = "DIR")]
    runs: PathBuf,

    #[command(flatten)]
    verbosity: Verbosity,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Prune {
    /// Asynchronous successive halving (Li et al. 2020)
    Asha,
}

fn hours(text: &str) -> Result<f64, String> {
    let hours: f64 = text.parse().map_err(|_| "expected a number".to_string())?;
    let is_time = hours > 0.0 && hours.is_finite();
    if is_time { Ok(hours) } else { Err("expected a number above 0".into()) }
}

impl Sweep {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        if let (Some(trial), Some(path)) = (self.trial, &self.resume) {
            return self.work(trial, path);
        }
        self.sharing.run(&self.device, |device| self.train_all(device))
    }

    fn train_all(&self, device: &Device) -> anyhow::Result<ExitCode> {
        let workers = (self.jobs > 1).then(|| Workers::new(self.jobs as usize, device)).transpose()?;
        let mut loaded = Loaded::default();
        let path = match &self.resume {
            Some(path) => path.clone(),
            None => self.begin(device, &mut loaded)?,
        };
        let _lock = Folder::open(&path)?.lock()?;
        let mut journal = Journal::open(&path)?;
        journal.rewrite()?;
        if self.resume.is_some() {
            self.extend(&mut journal)?;
        }
        let screen = Screen::new(self.verbosity, 0);
        let began = Instant::now();
        // A time that is too far away to be represented never comes.
        let time = journal.plan.hours.and_then(|hours| {
            let left = (3600.0 * hours - journal.seconds() / self.jobs as f64).max(0.0);
            began.checked_add(Duration::try_from_secs_f64(left).ok()?)
        });
        let is_time_up = || time.is_some_and(|time| Instant::now() >= time);
        if let Some(workers) = workers {
            self.train_several(&mut journal, workers, time)?;
        } else {
            while !is_time_up() && !interrupt::asked() {
                let Some(job) = journal.next(&[])? else { break };
                let Some(reached) = self.train(&journal, &job, device, &mut loaded, time, &screen)? else {
                    break;
                };
                journal.reached(job.number, reached)?;
            }
        }
        let is_interrupted = interrupt::asked();
        if is_interrupted {
            screen.line(&format!(
                "the missing trials are trained by: neural sweep --resume {}",
                text::path(&path)
            ));
        } else if is_time_up() {
            screen.line(&format!(
                "the time is up; continue with: neural sweep --resume {} --hours H",
                text::path(&path)
            ));
        }
        let code = if is_interrupted { ExitCode::from(interrupt::EXIT_CODE) } else { ExitCode::SUCCESS };
        let ranking = Ranking::of(&journal);
        let Some(best) = ranking.trials.first() else {
            ensure!(is_interrupted, "no trial finished");
            return Ok(code);
        };
        let table = ranking.table();
        journal.group.keep_text("report.md", &table)?;
        let figure = ranking.by.show(ranking.by.of(best.best).unwrap_or(f64::NAN));
        let head = format!(
            "# The recipe of trial {}, the best of {}: {} {figure} after epoch {}.\n",
            best.number + 1,
            journal.trials.len(),
            ranking.by,
            best.best.number
        );
        journal.group.keep_text("best.toml", &(head + &journal.recipe(best.number)?.to_toml()?))?;
        let recipe = journal.group.file("best.toml");
        screen.json("ranking", json!({ "trials": ranking.json(), "recipe": recipe }));
        screen.line(&format!("\nthe best recipe is in {}", text::path(&recipe)));
        screen.result(&format!("\n{}", table.trim_end()));
        Ok(code)
    }

    /// Trains the trials of the sweep in several processes at a time.
    fn train_several(
        &self,
        journal: &mut Journal,
        mut workers: Workers,
        time: Option<Instant>,
    ) -> anyhow::Result<()> {
        let mut is_told = false;
        loop {
            let is_over = |time: Instant| Instant::now() >= time;
            while workers.has_room() && !time.is_some_and(is_over) && !interrupt::asked() {
                let Some(job) = journal.next(&workers.trials())? else { break };
                workers.start(&job, self.command(journal, &job, time)?)?;
            }
            if workers.is_idle() {
                return Ok(());
            }
            if interrupt::asked() && !is_told {
                workers.interrupt();
                is_told = true;
            }
            if let Some((trial, Some(reached))) = workers.wait()? {
                journal.reached(trial, reached)?;
            }
        }
    }

    /// Makes the folder of a new sweep.
    fn begin(&self, device: &Device, loaded: &mut Loaded) -> anyhow::Result<PathBuf> {
        let base = self.recipe.read(&[])?;
        let plan = self.plan(&base)?;
        // The recipes with each value are read before the first is trained, so that a wrong key shows at once.
        let first: Vec<String> = self.over.iter().map(|over| over.set(&over.ends()[0])).collect();
        let mut checked = plan.listed.clone();
        if checked.is_empty() {
            for (place, over) in self.over.iter().enumerate() {
                checked.extend(over.ends().into_iter().map(|end| {
                    let mut settings = first.clone();
                    settings[place] = over.set(&end);
                    settings
                }));
            }
        }
        checked.iter().try_for_each(|settings| self.recipe.read(settings).map(drop))?;
        let recipe = self.recipe.read(&first)?;
        let data = loaded.data(&recipe, device)?;
        // An error that keeps only this trial from starting is a result of the sweep.
        if let Ok(run) = processes::start(&recipe, device, data, self.sharing.count(device)) {
            check_settings(&run, &recipe.train)?;
        }
        let group = Folder::create_numbered(&self.runs, &format!("{}-sweep", self.recipe.name()), &base)?;
        plan.keep(&group)?;
        Ok(group.path().to_path_buf())
    }

    /// The plan from the command line.
    fn plan(&self, base: &Recipe) -> anyhow::Result<Plan> {
        let over = self.over.iter().map(|over| self.wherever(over)).collect::<anyhow::Result<Vec<_>>>()?;
        let listed = match (self.search, combinations(&over)) {
            (Search::Grid, None) => {
                let range = over.iter().find(|over| matches!(over.values, Values::Range { .. }));
                let key = range.map_or("", |over| &over.key);
                bail!("{key}: a range needs a search that draws: --search random or tpe, with --trials N");
            }
            (Search::Grid, Some(_)) if self.trials.is_some() => {
                bail!("--trials is for --search random and tpe; a grid trains every combination");
            }
            (Search::Grid, Some(all)) => all,
            (Search::Random | Search::Tpe, _) => {
                ensure!(
                    self.trials.is_some() || self.hours.is_some(),
                    "random and tpe searches have no end of their own: set --trials N or --hours H"
                );
                Vec::new()
            }
        };
        if self.prune.is_some() {
            let of_length = over.iter().find(|over| over.key == "train.epochs");
            ensure!(
                of_length.is_none(),
                "--prune chooses the epochs of each trial; drop --over train.epochs"
            );
        }
        Ok(Plan {
            search: self.search,
            listed,
            over,
            seed: base.train.seed,
            trials: self.trials.map(|trials| trials as usize),
            hours: self.hours,
            prune: self.prune.map(|_| Halving { reduction: self.reduction, least: self.min_epochs }),
        })
    }

    /// Paths of data as absolute ones, which stay valid wherever the sweep is resumed.
    fn wherever(&self, over: &Over) -> anyhow::Result<Over> {
        let (Values::List(values), "data.path") = (&over.values, &over.key[..]) else {
            return Ok(over.clone());
        };
        let absolute = |value: &String| {
            let path = self.recipe.read(&[over.set(value)])?.data.path;
            let path = std::path::absolute(path)?;
            let path = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
            Ok(toml::Value::String(path.into()).to_string())
        };
        let values = values.iter().map(absolute).collect::<anyhow::Result<_>>()?;
        Ok(Over { key: over.key.clone(), values: Values::List(values) })
    }

    /// More trials or more time for a resumed sweep.
    fn extend(&self, journal: &mut Journal) -> anyhow::Result<()> {
        if let Some(trials) = self.trials {
            ensure!(
                journal.plan.search != Search::Grid,
                "a grid trains every combination; --trials cannot add to it"
            );
            journal.plan.trials = Some(trials as usize);
        }
        journal.plan.hours = self.hours.or(journal.plan.hours);
        journal.plan.keep(&journal.group)
    }
}
