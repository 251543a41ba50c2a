//! `neural report`

mod columns;
mod measured;

use super::DeviceArguments;
use super::compare::{self, Row};
use super::page;
use super::summary::drawing;
use super::text;
use super::trained::CheckpointArguments;
use crate::DType;
use crate::error::{Error, Result};
use crate::model::Description;
use crate::recipe::Recipe;
use crate::runs::{Folder, Weights};
use crate::runtime::Device;
use anyhow::ensure;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Write a page about runs: curves, figures, confusion matrix, thresholds, worst mistakes, the columns of the data, the
/// model drawn, recipes and how they differ
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The page is one HTML file with everything inside: it loads nothing from a network and can be sent by mail.
The model of each run's best epoch is measured on the test rows, or without them on the validation rows; where the data is
gone, the page shows what the run's folder holds.

Examples:
  neural report runs/mnist-1                       writes runs/mnist-1/report.html
  neural report runs/mnist-1 runs/mnist-2 -o both.html
  neural report runs/guests-1 --no-evaluation      only what the folder holds, at once
  neural report runs/guests-sweep-1 --no-evaluation
                                                   how the values of a sweep's keys and what its trials reached go together"
)]
pub struct Report {
    /// The folders of the runs
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,

    #[command(flatten)]
    checkpoint: CheckpointArguments,

    /// The page; if absent report.html, in the folder that is given, in the current folder for several
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Do not measure the models again
    #[arg(long)]
    no_evaluation: bool,

    /// How many of the worst mistakes to show
    #[arg(long, default_value_t = 24, value_name = "N")]
    mistakes: usize,

    #[command(flatten)]
    device: DeviceArguments,
}

/// A page of more runs has the folders that they are in as its title.
const MOST_NAMES: usize = 3;

const SCRIPT: &str = include_str!("report.js");

impl Report {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let mut found = Vec::new();
        let sweeps: Vec<Value> = self
            .runs
            .iter()
            .filter_map(|path| super::sweep::drawn(path).transpose())
            .collect::<anyhow::Result<_>>()?;
        for path in self.runs.iter().flat_map(|path| compare::runs_in(path)) {
            match Folder::open(&path) {
                Ok(folder) => found.push((compare::read(&folder)?, folder)),
                Err(error) if self.runs.len() > 1 => eprintln!("skipped: {error}"),
                Err(error) => return Err(error.into()),
            }
        }
        ensure!(!found.is_empty(), "none of these is the folder of a run");
        let device = if self.no_evaluation { None } else { Some(self.device.open()?) };
        let (rows, folders): (Vec<Row>, Vec<Folder>) = found.into_iter().unzip();
        let runs = rows.iter().zip(&folders).map(|(row, folder)| self.of_run(row, folder, device.as_ref()));
        let runs: Vec<Value> = runs.collect::<anyhow::Result<_>>()?;
        let differences: Vec<Value> = compare::differences(&rows)
            .into_iter()
            .map(|(key, values)| json!({ "key": key, "values": values }))
            .collect();
        let mut names: Vec<String> = rows.iter().map(|row| row.name.clone()).collect();
        if names.len() > MOST_NAMES {
            names = self.runs.iter().map(|path| text::path(path)).collect();
        }
        let data = json!({ "runs": runs, "sweeps": sweeps, "differences": differences, "version": env!("CARGO_PKG_VERSION") });
        let output = match (&self.output, &self.runs[..]) {
            (Some(path), _) => path.clone(),
            (None, [folder]) => folder.join("report.html"),
            (None, _) => PathBuf::from("report.html"),
        };
        let page = page::of(&names.join(", "), SCRIPT, &data, page::Reach::Nothing);
        std::fs::write(&output, page).map_err(|error| Error::io("write the page", &output, error))?;
        writeln!(io::stdout(), "wrote {}", text::path(&output))?;
        Ok(ExitCode::SUCCESS)
    }

    /// A run as the page shows it.
    fn of_run(&self, row: &Row, folder: &Folder, device: Option<&Device>) -> anyhow::Result<Value> {
        let recipe = folder.recipe()?;
        let best = row.monitor.best(&row.epochs).map(|epoch| epoch.number);
        let kept = std::fs::read_to_string(folder.file("report.md")).ok();
        let which = self.checkpoint.which();
        let chosen = folder.chosen(which).and_then(|saved| {
            let weights = Weights::of(folder, which, &saved)?;
            Ok((weights.to_string(), saved.description))
        });
        // The page works without a checkpoint; where the run is measured, its figures say why it cannot be read.
        let (weights, described) = chosen.ok().unzip();
        let measured = match device {
            None => Value::Null,
            Some(device) => match measured::measure(folder, which, device, self.mistakes) {
                Ok(measured) => measured,
                // The rest of the page works without it.
                Err(error) => {
                    let reason = super::message(&error);
                    eprintln!("note: {} is not measured: {reason}", folder.path().display());
                    json!({ "reason": reason })
                }
            },
        };
        let drawn = described.as_ref().and_then(|described| drawn(folder, &recipe, described).ok());
        let summary = kept.as_deref().and_then(|text| text.split("```text\n").nth(1)?.split("\n```").next());
        Ok(json!({
            "name": row.name,
            "epochs": row.epochs,
            "best": best,
            "monitor": row.monitor.to_string(),
            "weights": weights.unwrap_or_default(),
            "recipe": recipe.to_toml()?,
            "trained": kept.as_deref().and_then(trained),
            "columns": described.as_ref().map(columns::of),
            "drawn": drawn,
            "summary": summary,
            "measured": measured,
        }))
    }
}

/// The model as a picture, an SVG in an address of its own.
fn drawn(folder: &Folder, recipe: &Recipe, description: &Description) -> Result<String> {
    let mut layers = description.layers.summary(DType::F32, &description.sample_shapes())?;
    recipe.model.name_rows(&mut layers);
    let svg = drawing::of(folder.path(), description, &layers)?.svg()?;
    Ok(format!("data:image/svg+xml;base64,{}", STANDARD.encode(svg)))
}

/// The device of a run and its seconds, from its report.
fn trained(kept: &str) -> Option<&str> {
    kept.lines().find_map(|line| line.strip_prefix("Trained ")?.strip_suffix('.'))
}
