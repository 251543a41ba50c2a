//! `neural sweep`

use super::DeviceArguments;
use super::figures::by_part;
use super::interrupt;
use super::message;
use super::recipe_options::RecipeOptions;
use super::screen::{Screen, Verbosity};
use super::text;
use super::train::{Loaded, Outcome, Output, Place, train};
use crate::metric::Metric;
use crate::recipe::Recipe;
use crate::runs::{Ending, Folder, check_settings};
use crate::runtime::Device;
use crate::train::Monitor;
use anyhow::{Context, bail, ensure};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

/// Train a recipe with several values of some of its keys, and rank what comes of it
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  neural sweep my.toml --over train.batch_size=64,256 --over train.optimizer.sgd.learning_rate=0.1,0.3,1
  neural sweep my.toml --over train.optimizer.adam.learning_rate=1e-4..1e-1 --random 20
  neural sweep --resume runs/my-sweep-1           go on with a sweep that was interrupted

A range A..B is drawn from at random, evenly on a logarithmic scale where both ends are above 0; whole numbers stay
whole. Without --random every combination of the listed values is trained.")]
pub struct Sweep {
    #[command(flatten)]
    recipe: RecipeOptions,

    /// A key and its values, or the range that they are drawn from
    #[arg(long, required_unless_present = "resume", value_name = "KEY=VALUES")]
    over: Vec<Over>,

    /// Draw N combinations at random instead of training all
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    random: Option<u64>,

    /// Go on with the sweep in this folder: with the trials that were interrupted or are missing
    #[arg(
        long,
        value_name = "SWEEP",
        conflicts_with_all = ["recipe", "epochs", "batch_size", "lr", "seed", "data", "settings", "over", "random"]
    )]
    resume: Option<PathBuf>,

    #[command(flatten)]
    device: DeviceArguments,

    /// The folder that the sweep's folder is made in
    #[arg(long, default_value = "runs", value_name = "DIR")]
    runs: PathBuf,

    #[command(flatten)]
    verbosity: Verbosity,
}

/// A key of the recipe, and what it may be.
#[derive(Clone, Debug)]
struct Over {
    key: String,
    values: Values,
}

#[derive(Clone, Debug)]
enum Values {
    List(Vec<String>),
    Range { from: f64, to: f64, whole: bool },
}

impl FromStr for Over {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (key, values) = text.split_once('=').context("expected KEY=VALUES")?;
        let key = key.trim().to_string();
        ensure!(!key.is_empty() && !values.trim().is_empty(), "expected KEY=VALUES");
        if let Some((from, to)) = values.split_once("..") {
            let whole = from.trim().parse::<i64>().is_ok() && to.trim().parse::<i64>().is_ok();
            let number =
                |text: &str| text.trim().parse::<f64>().with_context(|| format!("{text} is no number"));
            let (from, to) = (number(from)?, number(to)?);
            ensure!(from < to && from.is_finite() && to.is_finite(), "expected a range A..B with A below B");
            return Ok(Self { key, values: Values::Range { from, to, whole } });
        }
        // Values that hold commas themselves are told apart as TOML tells them apart.
        let listed = toml::from_str::<toml::Table>(&format!("values = [{values}]")).ok();
        let listed = listed.and_then(|table| table.get("values")?.as_array().cloned());
        let values = match listed {
            Some(list) => list.iter().map(ToString::to_string).collect(),
            None => values.split(',').map(|value| value.trim().to_string()).collect(),
        };
        Ok(Self { key, values: Values::List(values) })
    }
}

impl Over {
    fn draw(&self, random: &mut ChaCha8Rng) -> String {
        match &self.values {
            Values::List(values) => values[(random.next_u64() % values.len() as u64) as usize].clone(),
            Values::Range { from, to, whole } => {
                let part = (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
                let value =
                    if *from > 0.0 { from * (to / from).powf(part) } else { from + (to - from) * part };
                if *whole { value.round().to_string() } else { format!("{value:e}") }
            }
        }
    }
}

impl Sweep {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        interrupt::listen()?;
        let device = self.device.open()?;
        let mut loaded = Loaded::default();
        let Plan { group, trials } = match &self.resume {
            Some(path) => Plan::read(path)?,
            None => self.plan(&device, &mut loaded)?,
        };
        let _lock = group.lock()?;
        let mut ranked: Vec<(Vec<String>, Outcome)> = Vec::new();
        let mut interrupted = false;
        let screen = Screen::new(self.verbosity, 0);
        let output = Output { verbosity: self.verbosity, devices: 1, tensorboard: false };
        for (number, (trial, recipe)) in trials.into_iter().enumerate() {
            screen.result(&format!("\ntrial {}: {}", number + 1, trial.join(", ")));
            let data = loaded.data(&recipe)?;
            let path = group.file(&format!("trial-{}", number + 1));
            let place = || {
                let folder = if path.exists() { Folder::open(path)? } else { Folder::create(path, &recipe)? };
                Ok(Place::new(folder))
            };
            match train(&recipe, &device, data, place, output) {
                Ok(trained) if trained.ending == Ending::Interrupted => {
                    interrupted = true;
                    break;
                }
                Ok(trained) => ranked.push((trial, trained)),
                // A rate that is too high is a finding, not the end of the sweep.
                Err(error) => {
                    let _ = writeln!(io::stderr(), "trial {} failed: {}", number + 1, message(&error));
                }
            }
        }
        let by = ranked.first().map_or(Monitor::Loss, |(_, trained)| ranking(trained));
        ranked.sort_by(|(_, a), (_, b)| match (&a.best, &b.best) {
            (Some(a), Some(b)) => by.compare(b, a),
            (a, b) => b.is_some().cmp(&a.is_some()),
        });
        if interrupted {
            let group = group.path().display();
            screen
                .line(&format!("the trials that are missing are trained by: neural sweep --resume {group}"));
        }
        let code = if interrupted { ExitCode::from(interrupt::EXIT_CODE) } else { ExitCode::SUCCESS };
        if ranked.is_empty() {
            ensure!(interrupted, "no trial came to its end");
            return Ok(code);
        }
        let table = table(&ranked, by);
        group.keep_text("report.md", &table)?;
        screen.json("ranking", json!({ "trials": ranked.iter().map(object).collect::<Vec<_>>() }));
        screen.result(&format!("\n{}", table.trim_end()));
        Ok(code)
    }

    /// Makes the folder of a new sweep.
    fn plan(&self, device: &Device, loaded: &mut Loaded) -> anyhow::Result<Plan> {
        let base = self.recipe.read(&[])?;
        let settings = self.trials(base.train.seed)?;
        // All recipes are read before the first is trained, so that a wrong key shows at once.
        let recipes =
            settings.iter().map(|trial| self.recipe.read(trial)).collect::<anyhow::Result<Vec<_>>>()?;
        if let Some(first) = recipes.first() {
            let data = loaded.data(first)?;
            // What keeps this trial alone from starting is a finding of the sweep.
            if let Ok(run) = first.trainer().start(device, data) {
                check_settings(&run, &first.train)?;
            }
        }
        let group = Folder::create_numbered(&self.runs, &format!("{}-sweep", self.recipe.name()), &base)?;
        let kept = settings.iter().zip(&recipes).map(|(settings, recipe)| wherever(settings, recipe));
        let kept = kept.collect::<anyhow::Result<Vec<_>>>()?;
        group.keep_text(Plan::FILE, &serde_json::to_string(&kept)?)?;
        Ok(Plan { group, trials: settings.into_iter().zip(recipes).collect() })
    }

    /// The settings of each trial, as `--set` takes them.
    fn trials(&self, seed: u64) -> anyhow::Result<Vec<Vec<String>>> {
        let set = |over: &Over, value: &str| format!("{}={value}", over.key);
        if let Some(count) = self.random {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let mut draw = || self.over.iter().map(|over| set(over, &over.draw(&mut random))).collect();
            return Ok((0..count).map(|_| draw()).collect());
        }
        let mut trials = vec![Vec::new()];
        for over in &self.over {
            let Values::List(values) = &over.values else {
                bail!("{}: a range is drawn from; say with --random N how often", over.key);
            };
            trials = trials
                .iter()
                .flat_map(|trial: &Vec<String>| {
                    values.iter().map(|value| [&trial[..], &[set(over, value)]].concat())
                })
                .collect();
        }
        Ok(trials)
    }
}

/// A trial's settings with the place of its data as an absolute path, which holds wherever the sweep is gone on with.
fn wherever(settings: &[String], recipe: &Recipe) -> anyhow::Result<Vec<String>> {
    let one = |setting: &String| match setting.split_once('=') {
        Some(("data.path", _)) => {
            let path = std::path::absolute(&recipe.data.path)?;
            let path = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
            Ok(format!("data.path={}", toml::Value::String(path.into())))
        }
        _ => Ok(setting.clone()),
    };
    settings.iter().map(one).collect()
}

/// The trials of a sweep, each with its settings and its recipe, and the folder in which theirs are.
struct Plan {
    group: Folder,
    trials: Vec<(Vec<String>, Recipe)>,
}

impl Plan {
    /// The settings of all trials, as JSON.
    const FILE: &str = "trials.json";

    /// That of a sweep that was begun.
    fn read(path: &Path) -> anyhow::Result<Self> {
        let group = Folder::open(path)?;
        let file = group.file(Self::FILE);
        let text = std::fs::read_to_string(&file).with_context(|| {
            format!("{} is not the folder of a sweep: cannot read {}", path.display(), Self::FILE)
        })?;
        let settings: Vec<Vec<String>> =
            serde_json::from_str(&text).with_context(|| file.display().to_string())?;
        let base = group.recipe()?.to_toml()?;
        let recipe = |trial: Vec<String>| {
            let recipe = Recipe::with_settings(&base, &group.file("recipe.toml"), &trial)?;
            Ok((trial, recipe))
        };
        let trials = settings.into_iter().map(recipe).collect::<anyhow::Result<_>>()?;
        Ok(Self { group, trials })
    }
}

/// A trial for programs, which know its rank by its place.
fn object((settings, trained): &(Vec<String>, Outcome)) -> Value {
    json!({
        "run": trained.folder.path(),
        "settings": settings,
        "best": trained.best,
        "monitor": trained.monitor,
        "scores": by_part(&trained.scores),
    })
}

/// By what trials are ranked: what chose their best epochs, or the usual figure where the last one counts.
fn ranking(trained: &Outcome) -> Monitor {
    let has_validation = trained.best.as_ref().is_some_and(|epoch| epoch.validation.is_some());
    let chosen = Some(trained.monitor).filter(|monitor| *monitor != Monitor::Last);
    Monitor::chosen(chosen, has_validation)
}

/// The trials, the best first, with the figure that ranks them before all others.
fn table(ranked: &[(Vec<String>, Outcome)], by: Monitor) -> String {
    let mut figures = vec![by, Monitor::Loss, Monitor::ValidationLoss];
    let mut test: Vec<Metric> = Vec::new();
    for (_, trained) in ranked {
        let validation = trained.best.iter().flat_map(|epoch| &epoch.validation);
        figures.extend(
            validation.flat_map(|score| score.figures.iter()).map(|(metric, _)| Monitor::Validation(metric)),
        );
        test.extend(
            trained
                .score("test")
                .into_iter()
                .flat_map(|score| score.figures.iter())
                .map(|(metric, _)| metric),
        );
    }
    let has = |figure: &Monitor| {
        ranked
            .iter()
            .any(|(_, trained)| trained.best.as_ref().is_some_and(|epoch| figure.of(epoch).is_some()))
    };
    figures.retain(has);
    let (figures, test) = (without_repeats(figures), without_repeats(test));

    let mut head = vec!["rank".to_string(), "trial".into(), "epoch".into()];
    head.extend(figures.iter().map(ToString::to_string));
    head.extend(test.iter().map(|metric| format!("test-{metric}")));
    head.push("settings".into());
    let mut lines = vec![head];
    for (rank, (settings, trained)) in ranked.iter().enumerate() {
        let best = trained.best.as_ref();
        let of = |figure: &Monitor| best.and_then(|epoch| figure.of(epoch)).unwrap_or(f64::NAN);
        let of_test =
            |metric: &Metric| trained.score("test").and_then(|s| s.get(*metric)).unwrap_or(f64::NAN);
        let mut line = vec![(rank + 1).to_string(), trained.folder.name()];
        line.push(best.map_or_else(|| "-".into(), |epoch| epoch.number.to_string()));
        line.extend(figures.iter().map(|figure| figure.show(of(figure))));
        line.extend(test.iter().map(|metric| metric.show(of_test(metric))));
        line.push(settings.join(", "));
        lines.push(line);
    }
    text::markdown(&lines, lines[0].len())
}

fn without_repeats<T: PartialEq>(list: Vec<T>) -> Vec<T> {
    let mut kept = Vec::new();
    for one in list {
        if !kept.contains(&one) {
            kept.push(one);
        }
    }
    kept
}
