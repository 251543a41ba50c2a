//! `neural runs`

use super::compare::{self, Row};
use super::text;
use crate::error::Error;
use crate::runs::Folder;
use crate::train::Monitor;
use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use std::cmp::Ordering;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// List, find, rename and delete runs
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  neural runs                                      those in the folder runs
  neural runs --by validation-accuracy             the best first
  neural runs best --by validation-accuracy        its path, for $(…) in other commands
  neural runs rename runs/guests-3 wide
  neural runs delete runs/guests-1 runs/guests-2 --yes"
)]
pub struct Runs {
    #[command(subcommand)]
    action: Option<Action>,

    #[command(flatten)]
    list: List,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show runs, as `neural runs` alone does
    List(List),
    /// Print the path of the best run
    Best(List),
    /// Give a run another name; it stays in the same folder
    Rename {
        /// The folder of the run
        run: PathBuf,
        /// Its new name
        name: String,
    },
    /// Remove runs with everything in their folders
    Delete {
        /// The folders of the runs
        #[arg(required = true, value_name = "RUN")]
        runs: Vec<PathBuf>,
        /// Do it; without this only what would be removed is shown
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, clap::Args)]
struct List {
    /// The folders that contain runs
    #[arg(default_value = "runs", value_name = "DIR")]
    folders: Vec<PathBuf>,

    /// Sort by this figure of the best epoch, the best first: validation-loss, loss, accuracy, or validation- and a figure.
    /// The figure that chose each run's best epoch if absent
    #[arg(long, value_name = "FIGURE")]
    by: Option<Monitor>,

    /// A JSON object a line
    #[arg(long)]
    json: bool,
}

/// A run in the list.
struct Listed {
    path: PathBuf,
    row: Row,
    /// The figure that it is listed by, and its value at the best epoch.
    monitor: Monitor,
    figure: Option<f64>,
    best: Option<u64>,
    is_finished: bool,
}

impl Runs {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        match &self.action {
            None => self.list.show(),
            Some(Action::List(list)) => list.show(),
            Some(Action::Best(list)) => list.best(),
            Some(Action::Rename { run, name }) => rename(run, name),
            Some(Action::Delete { runs, yes }) => delete(runs, *yes),
        }
    }
}

impl List {
    fn found(&self) -> anyhow::Result<Vec<Listed>> {
        let mut found = Vec::new();
        for folder in &self.folders {
            ensure!(folder.is_dir(), "there is no folder {}; neural train makes one", folder.display());
            for path in compare::all_runs_in(folder) {
                if let Ok(folder) = Folder::open(&path) {
                    found.push(self.of(&folder)?);
                }
            }
        }
        if self.by.is_some() {
            found.sort_by(better);
        }
        Ok(found)
    }

    fn of(&self, folder: &Folder) -> anyhow::Result<Listed> {
        let row = compare::read(folder).with_context(|| folder.path().display().to_string())?;
        let monitor = self.by.unwrap_or(row.monitor);
        let best = row.monitor.best(&row.epochs);
        let figure = best.and_then(|epoch| monitor.of(epoch));
        let best = best.map(|epoch| epoch.number);
        // The report is written at the end.
        let is_finished = folder.file("report.md").is_file();
        Ok(Listed { path: folder.path().to_path_buf(), row, monitor, figure, best, is_finished })
    }

    fn show(&self) -> anyhow::Result<ExitCode> {
        let found = self.found()?;
        let mut out = io::stdout().lock();
        if self.json {
            for one in &found {
                writeln!(out, "{}", one.json())?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        let mut lines =
            vec![["run", "state", "by", "best", "epoch", "epochs", "seconds"].map(String::from).to_vec()];
        lines.extend(found.iter().map(Listed::line));
        write!(out, "{}", text::table(&lines, 3))?;
        Ok(ExitCode::SUCCESS)
    }

    fn best(&self) -> anyhow::Result<ExitCode> {
        let mut found = self.found()?;
        found.retain(|one| one.figure.is_some_and(|figure| !figure.is_nan()));
        let Some(best) = found.iter().min_by(|a, b| better(a, b)) else {
            bail!("no run has such a figure; neural runs shows those that exist");
        };
        if let Some(other) = found.iter().find(|one| one.monitor != best.monitor) {
            bail!(
                "the runs chose their best epochs by {} and by {}, which do not compare: --by names one",
                best.monitor,
                other.monitor
            );
        }
        let mut out = io::stdout().lock();
        if self.json {
            writeln!(out, "{}", best.json())?;
        } else {
            writeln!(out, "{}", best.path.display())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Listed {
    fn seconds(&self) -> f64 {
        self.row.epochs.iter().map(|epoch| epoch.seconds).sum()
    }

    fn line(&self) -> Vec<String> {
        let epochs = self.row.epochs.len().to_string();
        let state = if self.is_finished { "finished" } else { "not finished" };
        let best = self.best.map_or_else(|| "-".to_string(), |epoch| epoch.to_string());
        let figure = self.figure.map_or_else(|| "-".to_string(), |figure| self.monitor.show(figure));
        let seconds = format!("{:.1}", self.seconds());
        vec![text::path(&self.path), state.into(), self.monitor.to_string(), figure, best, epochs, seconds]
    }

    fn json(&self) -> Value {
        json!({
            "run": self.path,
            "by": self.monitor.to_string(),
            "best": self.figure,
            "epoch": self.best,
            "epochs": self.row.epochs.len(),
            "is_finished": self.is_finished,
            "seconds": self.seconds(),
        })
    }
}

/// The better figure first, runs without one last.
fn better(a: &Listed, b: &Listed) -> Ordering {
    let of = |one: &Listed| one.figure.unwrap_or(f64::NAN);
    a.monitor.direction().compare(of(b), of(a))
}

fn rename(run: &Path, name: &str) -> anyhow::Result<ExitCode> {
    let folder = Folder::open(run)?;
    // Nobody trains in it.
    let lock = folder.lock()?;
    let is_name = !name.is_empty() && Path::new(name).file_name().is_some_and(|file| file == name);
    ensure!(is_name, "expected a name, got {name:?}: a run stays in its folder");
    let to = folder.path().with_file_name(name);
    ensure!(!to.exists(), "{} is there already", to.display());
    fs::rename(folder.path(), &to).map_err(|error| Error::io("rename", folder.path(), error))?;
    drop(lock);
    writeln!(io::stdout(), "{} is {} now", run.display(), to.display())?;
    Ok(ExitCode::SUCCESS)
}

fn delete(runs: &[PathBuf], yes: bool) -> anyhow::Result<ExitCode> {
    // Checks that no process trains any of the runs, before changing one.
    let folders: Vec<Folder> = runs.iter().map(Folder::open).collect::<crate::Result<_>>()?;
    let locks: Vec<_> = folders.iter().map(Folder::lock).collect::<crate::Result<_>>()?;
    let mut out = io::stdout().lock();
    for folder in &folders {
        let bytes = size(folder.path());
        let action = if yes { "removed" } else { "would remove" };
        if yes {
            fs::remove_dir_all(folder.path()).map_err(|error| Error::io("remove", folder.path(), error))?;
        }
        writeln!(out, "{action} {}, {:.1} MB", folder.path().display(), bytes as f64 / 1e6)?;
    }
    drop(locks);
    ensure!(yes, "nothing is removed without --yes");
    Ok(ExitCode::SUCCESS)
}

/// The bytes in a folder, as far as it is readable.
fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let of = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => size(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.map(of).sum()
}
