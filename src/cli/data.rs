//! `neural data`

use super::evaluate::is_picture;
use super::splits::Told;
use super::text;
use crate::array::Array;
use crate::data::table::{ColumnKind, Kind, Missing, Sequence, Table, is_pattern, shown};
use crate::data::{Dataset, Format, Scale, Scaling, Source, npy, safetensors};
use crate::error::{Error, Result};
use crate::nn::Network;
use crate::plot::Grid;
use crate::recipe::{self, Recipe};
use rayon::prelude::*;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Show what a data set holds: shapes, ranges, missing values, classes, splits
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The format is told by the path unless --format names it: a folder of IDX files, a folder of pictures for each class,
the binary batches of CIFAR, a table (.csv, .tsv, .txt), NPY or NPZ, safetensors. --set gives keys of a recipe's section
[data].

Examples:
  neural data data/mnist --plot digits.png
  neural data data/pizza.txt --set target=Pizzas
  neural data houses.csv --set 'ignore=[\"id\"]' --set test_fraction=0.2
  neural data 'sales/*.csv' --set 'columns={comment=\"text\"}'
  neural data arrays.npz --set inputs=images --set target=labels
  neural data scripts/recipes/mnist.toml             as a recipe reads, splits and scales it"
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

/// Classes up to here are written under each other.
const MOST_CLASSES: usize = 50;

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
        let mut shown = Shown { is_json: self.json, ..Shown::default() };
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
                shown.say("no_data_set", json!(error.to_string()), format!("no data set by itself: {error}"));
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
    let unknown = || {
        let message = "expected data of a known form, got something that neither its name nor what it holds tells; \
                       name its form with --format";
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

/// What was found, for people and for programs.
#[derive(Default)]
struct Shown {
    text: String,
    object: Map<String, Value>,
    has_tensors: bool,
    is_json: bool,
}

impl Shown {
    fn say(&mut self, key: &str, value: Value, line: String) {
        self.object.insert(key.into(), value);
        self.text.push_str(&line);
        self.text.push('\n');
    }

    fn print(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.is_json {
            writeln!(out, "{}", Value::Object(self.object.clone()))
        } else {
            out.write_all(self.text.as_bytes())
        }
    }

    /// What each column of a table holds, and the kind that the source gives it.
    fn columns(&mut self, table: &Table, source: &Source) -> Result<()> {
        let mut lines =
            vec![["column", "holds", "missing", "different", "values"].map(String::from).to_vec()];
        let mut list = Vec::new();
        for column in table.summaries()? {
            let more = if column.is_more { "over " } else { "" };
            let distinct = format!("{more}{}", column.distinct);
            let range = |[least, mean, greatest]: [f64; 3]| Range { least, mean, greatest, not_finite: 0 };
            let (values, value) = match column.numbers.map(range) {
                Some(range) => (range.to_string(), range.to_json()),
                None if column.holds == "dates" => {
                    (column.texts.join(" to "), json!({ "first": column.texts[0], "last": column.texts[1] }))
                }
                None => {
                    let rest = if column.distinct > column.texts.len() { ", …" } else { "" };
                    (column.texts.join(", ") + rest, json!({ "names": column.distinct }))
                }
            };
            let name = shown(&column.name).into_owned();
            let kind = source.columns.get(&column.name).map(Kind::kind);
            let holds = kind.map_or_else(|| column.holds.to_string(), |kind| format!("{kind}, as set"));
            lines.push(vec![name, holds, column.missing.to_string(), distinct, values]);
            list.push(json!({
                "name": column.name, "holds": column.holds, "missing": column.missing, "distinct": column.distinct,
                "values": value, "kind": kind,
            }));
        }
        self.object.insert("columns".into(), json!(list));
        self.text.push_str(&format!("{} rows\n\n{}\n", table.rows(), text::words(&lines)));
        Ok(())
    }

    fn tensors(&mut self, tensors: &[(String, Array)]) {
        let mut lines = vec![["tensor", "type", "shape", "values"].map(String::from).to_vec()];
        let mut list = Vec::new();
        for (name, array) in tensors {
            let range = Range::of_array(array);
            let shape = format!("{:?}", array.shape());
            lines.push(vec![name.clone(), array.dtype().to_string(), shape, range.to_string()]);
            list.push(json!({
                "name": name, "dtype": array.dtype(), "shape": array.shape(), "values": range.to_json(),
            }));
        }
        self.has_tensors = !tensors.is_empty();
        self.object.insert("tensors".into(), json!(list));
        self.text.push_str(&format!("\n{}\n", text::words(&lines)));
    }

    fn data_set(&mut self, data: &Dataset, model: Option<&Network>) -> Result<()> {
        let (dtype, sample) = (data.inputs.dtype(), data.sample_shape());
        self.text.push_str(&format!("{} samples, {dtype} {}\n", data.rows(), text::samples(sample)));
        // Of a table's columns more is said already.
        if data.columns.is_empty() || self.is_json {
            let range = Range::of_array(&data.inputs);
            let scaling = Scaling::fit(&data.inputs, &data.splits.train, Scale::Standardize)?;
            let [mean, deviation] =
                [&scaling.mean, &scaling.deviation].map(|one| one.to_f64().first().copied());
            self.object.extend([
                ("rows".to_string(), json!(data.rows())),
                ("dtype".into(), json!(dtype)),
                ("sample".into(), json!(sample)),
                ("inputs".into(), range.to_json()),
                ("mean".into(), json!(mean)),
                ("deviation".into(), json!(deviation)),
            ]);
            let [least, greatest] = [range.least, range.greatest].map(text::number);
            let [mean, deviation] = [mean, deviation].map(|one| text::number(one.unwrap_or(f64::NAN)));
            self.text.push_str(&format!(
                "inputs {least} to {greatest}, over the training rows mean {mean}, deviation {deviation}\n"
            ));
        }
        for input in &data.more_inputs {
            let (dtype, sample) = (input.values.dtype(), text::samples(&input.values.shape()[1..]));
            self.text.push_str(&format!("beside them the input {}, {dtype} {sample}\n", shown(&input.name)));
        }
        for column in &data.columns {
            let name = shown(&column.name);
            match &column.kind {
                ColumnKind::Text(vocabulary) => self.text.push_str(&format!(
                    "{name}: {} different token ids, the vocabulary of its embedding\n",
                    vocabulary.size()
                )),
                ColumnKind::Sequence(Sequence { length, features }) => self.text.push_str(&format!(
                    "{name}: sequences of up to {length} positions, of {features} numbers each\n"
                )),
                _ => {}
            }
        }
        if let Some(values) = data.targets.values() {
            let range = Range::of_array(values);
            let width = values.shape().get(1).copied().unwrap_or(1);
            let many = if width == 1 { String::new() } else { format!("{width} ") };
            self.say("targets", range.to_json(), format!("{many}target values: {range}"));
        }
        self.splits(data, model);
        Ok(())
    }

    /// How many rows are for what, where they come from, and of which class.
    fn splits(&mut self, data: &Dataset, model: Option<&Network>) {
        let told = Told::of(data, model);
        let parts: Vec<_> = data.parts().collect();
        let counts: Vec<Vec<usize>> = parts.iter().map(|part| data.class_counts(part.rows)).collect();
        let line = |name: &str, numbers: &mut dyn Iterator<Item = usize>| {
            std::iter::once(name.to_string()).chain(numbers.map(|n| n.to_string())).collect::<Vec<_>>()
        };
        let mut lines = vec![vec![String::new()]];
        lines[0].extend(parts.iter().map(|part| part.name.to_string()));
        lines.push(line("rows", &mut parts.iter().map(|part| part.rows.len())));
        let names = data.targets.names();
        for (class, name) in names.iter().enumerate().take(MOST_CLASSES) {
            lines.push(line(
                &format!("class {}", shown(name)),
                &mut counts.iter().map(|counts| counts[class]),
            ));
        }
        self.text.push_str(&format!("\n{}\n", told.lines().join("\n")));
        self.text.push_str(&format!("\n{}", text::table(&lines, 1)));
        if names.len() > MOST_CLASSES {
            self.text.push_str(&format!("and {} classes more\n", names.len() - MOST_CLASSES));
        }
        self.object.extend(told.as_json().map(|(key, value)| (key.to_string(), value)));
        let class = |(class, name): (usize, &String)| {
            let of =
                parts.iter().zip(&counts).map(|(part, counts)| (part.name.to_string(), counts[class].into()));
            json!({ "name": name, "rows": Value::Object(of.collect()) })
        };
        if !names.is_empty() {
            self.object.insert("classes".into(), names.iter().enumerate().map(class).collect());
        }
    }
}

/// The values of an array or a column.
struct Range {
    least: f64,
    mean: f64,
    greatest: f64,
    not_finite: usize,
}

impl Range {
    /// Block by block on all cores, since all of an array's elements as f64 may be more than the memory.
    fn of_array(array: &Array) -> Self {
        let size = array.dtype().size();
        let block = |bytes: &[u8]| {
            let block = Array::from_bytes(array.dtype(), &[bytes.len() / size], bytes.to_vec());
            Block::of(&block.map(|block| block.to_f64()).unwrap_or_default())
        };
        let blocks: Vec<Block> = array.bytes().par_chunks(size << 14).map(block).collect();
        let finite: usize = blocks.iter().map(|block| block.finite).sum();
        Self {
            least: blocks.iter().map(|block| block.least).fold(f64::INFINITY, f64::min),
            mean: blocks.iter().map(|block| block.sum).sum::<f64>() / finite as f64,
            greatest: blocks.iter().map(|block| block.greatest).fold(f64::NEG_INFINITY, f64::max),
            not_finite: array.len() - finite,
        }
    }

    fn to_json(&self) -> Value {
        json!({
            "least": self.least, "mean": self.mean, "greatest": self.greatest, "not_finite": self.not_finite,
        })
    }
}

/// The finite ones of some values.
struct Block {
    least: f64,
    sum: f64,
    greatest: f64,
    finite: usize,
}

impl Block {
    fn of(values: &[f64]) -> Self {
        let mut block = Self { least: f64::INFINITY, sum: 0.0, greatest: f64::NEG_INFINITY, finite: 0 };
        for &value in values {
            if value.is_finite() {
                block.least = block.least.min(value);
                block.greatest = block.greatest.max(value);
                block.sum += value;
                block.finite += 1;
            }
        }
        block
    }
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.mean.is_nan() {
            f.write_str("none")?;
        } else {
            let [least, mean, greatest] = [self.least, self.mean, self.greatest].map(text::number);
            write!(f, "{least} to {greatest}, mean {mean}")?;
        }
        if self.not_finite > 0 { write!(f, ", {} not finite", self.not_finite) } else { Ok(()) }
    }
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

/// The first training rows of every class, as many of each, class after class.
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
