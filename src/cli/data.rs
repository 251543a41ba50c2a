//! `neural data`

mod range;
mod shown;

use super::evaluate::is_picture;
use super::text;
use crate::array::Array;
use crate::data::table::{Missing, is_pattern};
use crate::data::{Dataset, Format, Source, npy, safetensors};
use crate::error::{Error, Result};
use crate::plot::Grid;
use crate::recipe::{self, Recipe};
use serde_json::json;
use shown::Shown;
pub(super) use shown::{distinct, values};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Show what a data set contains: shapes, ranges, missing values, classes, splits
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The path tells the format unless --format names it: a folder of IDX files, a folder of pictures for each class,
the binary batches of CIFAR, a table (.csv, .tsv, .txt), NPY or NPZ, safetensors. --set sets keys of a recipe's section
[data].

Examples:
  neural data data/mnist --plot digits.png
  neural data data/pizza.txt --set target=Pizzas
  neural data houses.csv --set 'ignore=[\"id\"]' --set test_fraction=0.2
  neural data 'sales/*.csv' --set 'columns={comment=\"text\"}'
  neural data arrays.npz --set inputs=images --set target=labels
  neural data scripts/recipes/mnist.toml             read, split and scaled as the recipe says"
)]
pub struct Data {
    /// The data, or a recipe (.toml)
    #[arg(value_name = "PATH|RECIPE")]
    path: PathBuf,

    /// idx, table, images, cifar10, cifar100, npy or safetensors
    #[arg(long, value_name = "FORMAT", value_parser = format)]
    format: Option<Format>,

    /// Set a key of the recipe's section [data]
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,

    /// Draw samples of each class into this file, .png or .svg
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,

    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// A format by its name in recipes.
pub(super) fn format(name: &str) -> std::result::Result<Format, String> {
    toml::Value::String(name.into()).try_into().map_err(|e: toml::de::Error| e.message().to_string())
}

/// Pictures on the sheet.
const PICTURES: usize = 40;

impl Data {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let is_recipe = self.path.extension().is_some_and(|ending| ending == "toml");
        let (source, task, tasks, model) = if is_recipe {
            let recipe = self.of_recipe()?;
            let (task, tasks, model) = (recipe.task(), recipe.tasks(), recipe.trainer().model);
            (recipe.data, Some(task), tasks, Some(model))
        } else {
            (self.of_path()?, None, BTreeMap::new(), None)
        };
        let mut shown = Shown::new(self.json);
        shown.say(
            "path",
            json!(source.path.to_string_lossy()),
            format!("{} ({})", source.path.display(), name(source.format)),
        );
        source.check_keys()?;
        let task_of = |target: &str| tasks.get(target).copied().or(task);
        let table = match source.format {
            Format::Table => Some(source.read_table(&task_of, None, true)?),
            _ => None,
        };
        if let Some(table) = &table {
            shown.columns(table, &source)?;
        }
        if !is_recipe && matches!(source.format, Format::Npy | Format::Safetensors) {
            shown.tensors(&tensors(&source)?);
        }
        let is_seen = table.is_some() || shown.has_tensors;
        let loaded = match table {
            Some(table) => source.of_table(table, &task_of, None),
            None => source.load_tasks(&task_of),
        };
        let data = match loaded {
            Ok(data) => Some(data),
            // There is something to see all the same.
            Err(error) if !is_recipe && self.settings.is_empty() && is_seen && self.plot.is_none() => {
                shown.say(
                    "no_data_set",
                    json!(error.to_string()),
                    format!("not a data set as it is: {error}"),
                );
                None
            }
            Err(error) => {
                shown.is_json = false;
                shown.print()?;
                return Err(error.into());
            }
        };
        if let Some(data) = &data {
            shown.data_set(data, model.as_ref())?;
        }
        shown.print()?;
        if let (Some(path), Some(data)) = (&self.plot, &data) {
            sheet(&source.path, data)?.save(path)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn of_recipe(&self) -> Result<Recipe> {
        if self.format.is_some() {
            return Err(Error::value("--format", "none, as a recipe names it", "one"));
        }
        let settings: Vec<String> = self.settings.iter().map(|setting| format!("data.{setting}")).collect();
        Recipe::read(&self.path, &settings)
    }

    fn of_path(&self) -> Result<Source> {
        let mut source = detected(&self.path, self.format)?;
        if source.format == Format::Table {
            // Missing values are counted here, not refused.
            source.missing = Missing::Mean;
        }
        with_settings(source, &self.settings)
    }
}

/// The data at `path` in `format`, by default the one that its name and contents show.
pub(super) fn detected(path: &Path, format: Option<Format>) -> Result<Source> {
    if let (Err(error), false) = (std::fs::metadata(path), is_pattern(path)) {
        return Err(Error::io("read", path, error));
    }
    let is_empty = || path.read_dir().is_ok_and(|mut entries| entries.next().is_none());
    let unknown = || {
        if is_empty() {
            return Error::format(path, "expected a folder with data, got an empty one");
        }
        let message = "expected data of a known format, got data that neither its name nor its contents identify; \
                       name the format with --format";
        Error::format(path, message)
    };
    let format = format.or_else(|| Format::detect(path)).ok_or_else(unknown)?;
    Ok(Source::new(format, path))
}

/// The source with keys of the section `[data]` replaced.
pub(super) fn with_settings(source: Source, settings: &[String]) -> Result<Source> {
    if settings.is_empty() {
        return Ok(source);
    }
    recipe::source_with_settings(&source, settings)
}

fn name(format: Format) -> String {
    json!(format).as_str().unwrap_or_default().to_string()
}

/// The arrays that a file or a folder holds, by name.
fn tensors(source: &Source) -> Result<Vec<(String, Array)>> {
    let path = source.path.as_path();
    if source.format == Format::Safetensors {
        let mut file = safetensors::File::open(path)?;
        let names = file.names();
        let mut read = |name: String| Ok(file.array(&name)?.map(|array| (name, array)));
        return names.into_iter().filter_map(|name| read(name).transpose()).collect();
    }
    let is_array = |path: &Path| path.extension().is_some_and(|ending| ending == "npy");
    if path.is_dir() {
        let entries = path.read_dir().map_err(|e| Error::io("read", path, e))?;
        let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        files.retain(|file| is_array(file));
        files.sort();
        let stem = |file: &Path| file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        return files.iter().map(|file| Ok((stem(file), npy::read(file)?))).collect();
    }
    if is_array(path) {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        return Ok(vec![(name, npy::read(path)?)]);
    }
    let mut archive = npy::Archive::open(path)?;
    let names = archive.names();
    let mut read = |name: String| Ok(archive.array(&name)?.map(|array| (name, array)));
    names.into_iter().filter_map(|name| read(name).transpose()).collect()
}

/// Pictures of each class in turn, the first in the order of the data.
fn sheet(path: &Path, data: &Dataset) -> Result<Grid> {
    let shape = data.sample_shape();
    if !is_picture(shape) {
        let got = text::samples(shape);
        return Err(Error::value("--plot", "pictures, [n, height, width] with 1 or 3 channels", got));
    }
    let caption =
        |row: u32| data.targets.class_of(row).map_or_else(|| format!("row {row}"), ToString::to_string);
    let mut title = Grid::new(format!("{}: {} rows", path.display(), data.rows()));
    for row in first_of_each(data) {
        title = title.image(&data.samples(&[row])?.reshape(shape)?, caption(row));
    }
    Ok(title)
}

/// The first training rows of every class, equally many of each, class after class.
fn first_of_each(data: &Dataset) -> Vec<u32> {
    let Some(labels) = data.targets.labels() else {
        return data.splits.train.iter().take(PICTURES).copied().collect();
    };
    let classes = data.classes().unwrap_or(1).max(1);
    let each = (PICTURES / classes).max(1);
    let of = |class: usize| {
        let rows = data.splits.train.iter().filter(move |&&row| labels[row as usize] as usize == class);
        rows.take(each).copied()
    };
    (0..classes.min(PICTURES)).flat_map(of).collect()
}
