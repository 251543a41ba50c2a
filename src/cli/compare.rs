//! `neural compare`

use super::text;
use crate::runs::{Folder, curves};
use crate::train::{Epoch, Monitor};
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Compare runs: their results, and the keys in which their recipes differ
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  neural compare runs/mnist-1 runs/mnist-2
  neural compare runs/* --plot losses.svg")]
pub struct Compare {
    /// The folders of the runs
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,

    /// Draw the losses of all of them, as SVG or PNG
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,

    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// A run's figures and its recipe's keys.
pub(super) struct Row {
    pub name: String,
    pub keys: Vec<(String, String)>,
    pub monitor: Monitor,
    pub epochs: Vec<Epoch>,
}

impl Compare {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let mut rows = Vec::new();
        for path in self.runs.iter().flat_map(|path| runs_in(path)) {
            match Folder::open(&path) {
                Ok(folder) => rows.push(read(&folder)?),
                Err(error) => eprintln!("skipped: {error}"),
            }
        }
        ensure!(!rows.is_empty(), "none of these is the folder of a run");
        let mut out = io::stdout().lock();
        let differences = differences(&rows);
        if self.json {
            writeln!(out, "{}", as_json(&rows, &differences))?;
        } else {
            write!(out, "{}", table(&rows))?;
            for (key, values) in differences {
                let of = |(row, value): (&Row, Option<String>)| {
                    vec![format!("  {}", row.name), value.unwrap_or_else(|| "-".into())]
                };
                let lines: Vec<_> = rows.iter().zip(values).map(of).collect();
                write!(out, "\n{key}\n{}", text::table(&lines, 2))?;
            }
        }
        if let Some(path) = &self.plot {
            let named: Vec<_> = rows.iter().map(|row| (row.name.clone(), &row.epochs[..])).collect();
            let chart = curves(&named).into_iter().next().map(|(_, chart)| chart);
            chart
                .context("none of the runs has done an epoch yet, so there is nothing to draw")?
                .save(path)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn as_json(rows: &[Row], differences: &[(&str, Vec<Option<String>>)]) -> Value {
    let run = |row: &Row| {
        let best = row.monitor.best(&row.epochs);
        json!({ "run": row.name, "by": row.monitor, "best": best, "epochs": row.epochs.len() })
    };
    let difference = |(key, values): &(&str, Vec<Option<String>>)| json!({ "key": key, "values": values });
    let runs: Vec<_> = rows.iter().map(run).collect();
    json!({ "runs": runs, "differences": differences.iter().map(difference).collect::<Vec<_>>() })
}

/// The runs of a group, as `--repeat`, `--folds` and `neural sweep` make one; otherwise the folder itself.
pub(super) fn runs_in(path: &Path) -> Vec<PathBuf> {
    let entries = path.read_dir().into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let mut runs: Vec<PathBuf> = entries.filter(|path| Folder::open(path).is_ok()).collect();
    runs.sort_by_cached_key(|path| in_order(path));
    if runs.is_empty() { vec![path.to_path_buf()] } else { runs }
}

/// The runs in a folder and in its groups. A group is a folder with a recipe, as a run is, and with runs in it.
pub(super) fn all_runs_in(path: &Path) -> impl Iterator<Item = PathBuf> {
    runs_in(path).into_iter().flat_map(|path| runs_in(&path))
}

/// Sorts by name, but numbers at its end by value: trial-2 before trial-10.
fn in_order(path: &Path) -> (String, u64) {
    let name = path.to_string_lossy();
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    (stem.to_string(), name[stem.len()..].parse().unwrap_or(0))
}

pub(super) fn read(folder: &Folder) -> anyhow::Result<Row> {
    let recipe = folder.recipe()?;
    let (monitor, epochs) = folder.monitored()?;
    let mut keys = Vec::new();
    let table: toml::Table = toml::from_str(&recipe.to_toml()?).context("the recipe")?;
    flatten("", &toml::Value::Table(table), &mut keys);
    // A run of a group is also named by its group.
    let parent = folder.path().parent().filter(|parent| parent.join("recipe.toml").is_file());
    let name = match parent.and_then(|parent| parent.file_name()) {
        Some(group) => format!("{}/{}", group.to_string_lossy(), folder.name()),
        None => folder.name(),
    };
    Ok(Row { name, keys, monitor, epochs })
}

/// The result of each run in its best epoch.
fn table(rows: &[Row]) -> String {
    let best: Vec<Option<&Epoch>> = rows.iter().map(|row| row.monitor.best(&row.epochs)).collect();
    let mut figures = vec![Monitor::Loss, Monitor::ValidationLoss];
    for score in best.iter().flatten().filter_map(|epoch| epoch.validation.as_ref()) {
        for figure in score.figures.iter().map(|(metric, _)| Monitor::Validation(metric)) {
            if !figures.contains(&figure) {
                figures.push(figure);
            }
        }
    }
    let mut head = ["run", "epochs", "best"].map(String::from).to_vec();
    head.extend(figures.iter().map(ToString::to_string));
    head.extend(["by", "seconds"].map(String::from));
    let mut lines = vec![head];
    for (row, best) in rows.iter().zip(best) {
        let seconds = row.epochs.iter().fold(0.0, |sum, epoch| sum + epoch.seconds);
        let number = best.map_or_else(|| "-".to_string(), |epoch| epoch.number.to_string());
        let mut line = vec![row.name.clone(), row.epochs.len().to_string(), number];
        let of = |figure: &Monitor| best.and_then(|epoch| figure.of(epoch)).unwrap_or(f64::NAN);
        line.extend(figures.iter().map(|figure| figure.show(of(figure))));
        line.extend([row.monitor.to_string(), format!("{seconds:.2}")]);
        lines.push(line);
    }
    text::table(&lines, 1)
}

/// The keys of a recipe with their values, tables taken apart.
fn flatten(prefix: &str, value: &toml::Value, keys: &mut Vec<(String, String)>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                let dot = if prefix.is_empty() { "" } else { "." };
                flatten(&format!("{prefix}{dot}{key}"), value, keys);
            }
        }
        value => keys.push((prefix.to_string(), value.to_string())),
    }
}

/// The keys in which the recipes differ, with their value in each.
pub(super) fn differences(rows: &[Row]) -> Vec<(&str, Vec<Option<String>>)> {
    let all: BTreeSet<&str> =
        rows.iter().flat_map(|row| row.keys.iter().map(|(key, _)| key.as_str())).collect();
    let values = |key: &str| -> Vec<Option<String>> {
        let of = |row: &Row| row.keys.iter().find(|(k, _)| k == key).map(|(_, value)| value.clone());
        rows.iter().map(of).collect()
    };
    all.into_iter()
        .map(|key| (key, values(key)))
        .filter(|(_, values)| values.iter().any(|value| *value != values[0]))
        .collect()
}
