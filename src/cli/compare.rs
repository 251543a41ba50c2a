//! `neural compare`

use super::train::{Figure, figure_of};
use crate::runs::{Folder, History, Monitor, curves};
use crate::train::Epoch;
use anyhow::Context;
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Compare runs: what they reached, and in which keys their recipes differ
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
}

struct Row {
    name: String,
    keys: Vec<(String, String)>,
    monitor: Monitor,
    epochs: Vec<Epoch>,
}

impl Compare {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let rows = self.runs.iter().map(read).collect::<anyhow::Result<Vec<Row>>>()?;
        let mut out = io::stdout().lock();
        let longest = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0).max(3);
        let head = ["epochs", "best", "loss", "validation", "figure", "seconds"];
        writeln!(out, "{:<longest$}{}", "run", head.map(|name| format!("{name:>12}")).concat())?;
        for row in &rows {
            let seconds = row.epochs.iter().fold(0.0, |sum, epoch| sum + epoch.seconds);
            let best = row.monitor.best(&row.epochs);
            let validation = best.and_then(|epoch| epoch.validation.as_ref());
            let number = |value: Option<f64>| value.map_or_else(|| "-".into(), |value| format!("{value:.4}"));
            let cells = [
                row.epochs.len().to_string(),
                best.map_or_else(|| "-".into(), |epoch| epoch.number.to_string()),
                number(best.map(|epoch| epoch.loss)),
                number(validation.map(|score| score.loss)),
                validation.and_then(figure_of).map_or_else(|| "-".into(), Figure::shown),
                format!("{seconds:.2}"),
            ];
            writeln!(out, "{:<longest$}{}", row.name, cells.map(|cell| format!("{cell:>12}")).concat())?;
        }
        for (key, values) in differences(&rows) {
            writeln!(out, "\n{key}")?;
            for (row, value) in rows.iter().zip(values) {
                writeln!(out, "  {:<longest$}  {}", row.name, value.unwrap_or_else(|| "-".into()))?;
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

fn read(path: &PathBuf) -> anyhow::Result<Row> {
    let folder = Folder::open(path)?;
    let recipe = folder.recipe()?;
    let epochs = History::read(&folder)?;
    let has_validation = epochs.iter().any(|epoch| epoch.validation.is_some());
    let mut keys = Vec::new();
    let table: toml::Table = toml::from_str(&recipe.to_toml()?).context("the recipe")?;
    flatten("", &toml::Value::Table(table), &mut keys);
    // A seed of `neural train --repeat` lies in a folder of its group.
    let parent = path.parent().filter(|parent| parent.join("recipe.toml").is_file());
    let name = match parent.and_then(|parent| parent.file_name()) {
        Some(group) => format!("{}/{}", group.to_string_lossy(), folder.name()),
        None => folder.name(),
    };
    Ok(Row { name, keys, monitor: Monitor::chosen(recipe.train.monitor, has_validation), epochs })
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

/// The keys in which the recipes are not all alike, with their value in each.
fn differences(rows: &[Row]) -> Vec<(&str, Vec<Option<String>>)> {
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
