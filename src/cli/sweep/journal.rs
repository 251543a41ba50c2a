//! The state of a sweep: files in its folder, from which it resumes after a kill as if nothing had happened. The next
//! trial depends only on these files.

use super::halving::{Rungs, Standing};
use super::search::{self, Search};
use super::space::Over;
use crate::file;
use crate::metric::Direction;
use crate::recipe::Recipe;
use crate::runs::Folder;
use crate::train::{Epoch, Monitor, Score};
use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

/// The options of a sweep, as kept in `sweep.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Plan {
    pub search: Search,
    /// The settings of all trials, where they are known from the start.
    #[serde(default)]
    pub listed: Vec<Vec<String>>,
    #[serde(default)]
    pub over: Vec<Over>,
    pub seed: u64,
    pub trials: Option<usize>,
    pub hours: Option<f64>,
    pub prune: Option<Halving>,
}

/// Successive halving: the best of each rung are trained `reduction` times as long, the first rung from `least` epochs.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Halving {
    pub reduction: u64,
    pub least: u64,
}

/// A trial: its settings, and the result of each time that it was trained.
#[derive(Clone, Debug)]
pub(super) struct Trial {
    pub settings: Vec<String>,
    pub reached: Vec<Reached>,
}

/// The state of a trial at the end of a training.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Reached {
    pub ending: End,
    /// Epochs that are done.
    pub epochs: u64,
    pub best: Option<Epoch>,
    /// The figure that chose the best epoch.
    pub monitor: Monitor,
    /// The scores of a finished trial by part of the data, with the weights after the best epoch.
    pub scores: BTreeMap<String, Score>,
    /// The duration of this training.
    pub seconds: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum End {
    /// On its rung; it continues if it is among the best there.
    Paused,
    /// All epochs are done, or early stopping ended it.
    Finished,
    Failed,
}

/// The next training: which trial, and up to which epoch.
pub(super) struct Job {
    pub number: usize,
    /// The number of epochs to reach; `None` for all.
    pub epochs: Option<u64>,
}

/// A line of the journal.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    Drawn { trial: usize, settings: Vec<String> },
    Reached { trial: usize, reached: Reached },
}

/// A sweep that is under way.
pub(super) struct Journal {
    pub group: Folder,
    pub plan: Plan,
    pub trials: Vec<Trial>,
    base: Recipe,
    rungs: Rungs,
}

const PLAN: &str = "sweep.json";
const LINES: &str = "trials.jsonl";

/// The file of sweeps made before there was a journal: the settings of all trials.
const OLD_PLAN: &str = "trials.json";

/// The name of a trial, and of its folder.
pub(super) fn name(number: usize) -> String {
    format!("trial-{}", number + 1)
}

/// Whether a folder belongs to a sweep.
pub(in crate::cli) fn is_sweep(folder: &Folder) -> bool {
    [PLAN, OLD_PLAN].iter().any(|name| folder.file(name).is_file())
}

impl Plan {
    pub fn keep(&self, group: &Folder) -> anyhow::Result<()> {
        Ok(group.keep_text(PLAN, &serde_json::to_string_pretty(self)?)?)
    }

    fn read(group: &Folder) -> anyhow::Result<Self> {
        let read = |name: &str| match std::fs::read_to_string(group.file(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            text => text.map(Some).with_context(|| format!("cannot read {}", group.file(name).display())),
        };
        let damaged = |name: &str| format!("{} is damaged", group.file(name).display());
        if let Some(text) = read(PLAN)? {
            return serde_json::from_str(&text).with_context(|| damaged(PLAN));
        }
        let path = group.path().display();
        let text = read(OLD_PLAN)?
            .with_context(|| format!("{path} is not the folder of a sweep: there is no {PLAN} in it"))?;
        let listed = serde_json::from_str(&text).with_context(|| damaged(OLD_PLAN))?;
        let search = Search::Grid;
        Ok(Self { search, listed, over: Vec::new(), seed: 0, trials: None, hours: None, prune: None })
    }

    /// The planned number of trials; `None` where only time ends the sweep.
    fn count(&self) -> Option<usize> {
        if self.search == Search::Grid { Some(self.listed.len()) } else { self.trials }
    }
}

impl Journal {
    /// The sweep in a folder. A line that a kill cut off is dropped, and so are the results of a trial whose folder is
    /// gone.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let group = Folder::open(path)?;
        let plan = Plan::read(&group)?;
        let base = group.recipe()?;
        let rungs = plan.prune.map_or_else(Rungs::none, |Halving { reduction, least }| {
            Rungs::below(base.train.epochs, reduction, least)
        });
        let mut journal = Self { group, plan, trials: Vec::new(), base, rungs };
        let lines = match std::fs::read(journal.group.file(LINES)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            text => text.with_context(|| format!("cannot read {}", journal.group.file(LINES).display()))?,
        };
        for line in lines.split(|&byte| byte == b'\n').map_while(|line| serde_json::from_slice(line).ok()) {
            match line {
                Line::Drawn { trial, settings } if trial == journal.trials.len() => {
                    journal.trials.push(Trial { settings, reached: Vec::new() });
                }
                Line::Reached { trial, reached } if trial < journal.trials.len() => {
                    journal.trials[trial].reached.push(reached);
                }
                _ => break,
            }
        }
        for number in 0..journal.trials.len() {
            if !journal.path(number).exists() && !journal.trials[number].has(End::Failed) {
                journal.trials[number].reached.clear();
            }
        }
        Ok(journal)
    }

    /// The folder of a trial.
    pub fn path(&self, number: usize) -> std::path::PathBuf {
        self.group.file(&name(number))
    }

    pub fn recipe(&self, number: usize) -> anyhow::Result<Recipe> {
        let text = self.base.to_toml()?;
        Ok(Recipe::with_settings(&text, &self.group.file("recipe.toml"), &self.trials[number].settings)?)
    }

    /// The seconds that trials were trained so far.
    pub fn seconds(&self) -> f64 {
        self.trials.iter().flat_map(|trial| &trial.reached).map(|reached| reached.seconds).sum()
    }

    /// The next job beside the trials under way: a trial that has not been trained yet, then a promoted one, then a new
    /// one.
    pub fn next(&mut self, under_way: &[usize]) -> anyhow::Result<Option<Job>> {
        let job = |number, rung| Some(Job { number, epochs: self.rungs.pause(rung) });
        let is_untrained =
            |number: &usize| self.trials[*number].reached.is_empty() && !under_way.contains(number);
        if let Some(number) = (0..self.trials.len()).find(is_untrained) {
            return Ok(job(number, 0));
        }
        let standings: Vec<Standing> = self.trials.iter().map(Trial::standing).collect();
        let is_last = self.plan.count().is_some_and(|count| self.trials.len() >= count);
        // A running trial may yet become the best.
        let is_end = is_last && under_way.is_empty();
        if let Some((number, rung)) = self.rungs.promotion(&standings, is_end, under_way) {
            return Ok(job(number, rung));
        }
        if is_last {
            return Ok(None);
        }
        let (trial, job) = (self.trials.len(), job(self.trials.len(), 0));
        let settings = match self.plan.search {
            Search::Grid => self.plan.listed[trial].clone(),
            search => search::draw(search, &self.plan.over, self.plan.seed, trial, &self.seen()),
        };
        self.add(&Line::Drawn { trial, settings: settings.clone() })?;
        self.trials.push(Trial { settings, reached: Vec::new() });
        Ok(job)
    }

    /// Records a trial's result.
    pub fn reached(&mut self, trial: usize, reached: Reached) -> anyhow::Result<()> {
        self.add(&Line::Reached { trial, reached: reached.clone() })?;
        self.trials[trial].reached.push(reached);
        Ok(())
    }

    /// The settings and values that a search is guided by: of the highest rung that has enough of them, since values
    /// after few epochs and after many do not compare. A trial that failed counts on every rung.
    fn seen(&self) -> Vec<(&[String], f64)> {
        let on = |rung: usize| -> Vec<(&[String], f64)> {
            let of = |trial: &Trial| trial.standing().at(rung);
            self.trials.iter().filter_map(|trial| Some((&trial.settings[..], of(trial)?))).collect()
        };
        let highest = self.trials.iter().map(|trial| trial.reached.len()).max().unwrap_or(0);
        (0..highest).rev().map(on).find(|seen| seen.len() >= search::FIRST).unwrap_or_else(|| on(0))
    }

    fn add(&self, line: &Line) -> anyhow::Result<()> {
        let path = self.group.file(LINES);
        let text = line.text()?;
        let file = OpenOptions::new().append(true).create(true).open(&path);
        let written = file.and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_data()
        });
        written.with_context(|| format!("cannot write {}", path.display()))
    }

    /// Rewrites the journal without the lines that [`Journal::open`] dropped.
    pub fn rewrite(&self) -> anyhow::Result<()> {
        let trials = || self.trials.iter().enumerate();
        let drawn = trials().map(|(trial, one)| Line::Drawn { trial, settings: one.settings.clone() });
        let reached = trials().flat_map(|(trial, one)| {
            one.reached.iter().map(move |reached| Line::Reached { trial, reached: reached.clone() })
        });
        let text: String = drawn.chain(reached).map(|line| line.text()).collect::<anyhow::Result<_>>()?;
        Ok(file::write(&self.group.file(LINES), text.as_bytes())?)
    }
}

impl Line {
    fn text(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string(self)? + "\n")
    }
}

impl Trial {
    pub fn has(&self, end: End) -> bool {
        self.reached.last().is_some_and(|reached| reached.ending == end)
    }

    fn standing(&self) -> Standing {
        Standing {
            values: self.reached.iter().map(Reached::value).collect(),
            is_over: self.has(End::Finished) || self.has(End::Failed),
        }
    }
}

impl Reached {
    /// The figure that ranks trials: the one that chose their best epochs, or the default where the last epoch counts.
    pub fn by(&self) -> Monitor {
        let has_validation = self.best.as_ref().is_some_and(|epoch| epoch.validation.is_some());
        let chosen = Some(self.monitor).filter(|monitor| *monitor != Monitor::Last);
        Monitor::chosen(chosen, has_validation)
    }

    /// The ranking figure, turned so that lower is better; infinite where there is none.
    pub fn value(&self) -> f64 {
        let by = self.by();
        let value = self.best.as_ref().filter(|_| self.ending != End::Failed).and_then(|epoch| by.of(epoch));
        let turned = value.map(|value| match by.direction() {
            Direction::Lower => value,
            Direction::Higher => -value,
        });
        turned.filter(|value| value.is_finite()).unwrap_or(f64::INFINITY)
    }
}
