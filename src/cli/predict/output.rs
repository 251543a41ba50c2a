//! Predictions as text, CSV and JSON lines, written as they come.

use super::inputs::Place;
use crate::cli::text;
use crate::cli::trained::Answers;
use crate::data::table::shown;
use crate::error::{Error, Result};
use serde_json::{Map, Value, json};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// The form of what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// Columns for people
    Text,
    /// A table with all figures, separated by commas
    Csv,
    /// A JSON object a row
    Jsonl,
}

impl Format {
    /// What a file's name asks for.
    pub fn of_name(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_string_lossy().to_ascii_lowercase();
        match &*ending {
            "csv" => Some(Self::Csv),
            "jsonl" | "json" | "ndjson" => Some(Self::Jsonl),
            "txt" => Some(Self::Text),
            _ => None,
        }
    }
}

/// Where predictions go: standard output, or a file that is whole or not there.
pub(super) struct Writer<'a> {
    out: Box<dyn Write>,
    /// The file that is written and its name in the end.
    file: Option<(PathBuf, &'a Path)>,
    format: Format,
    /// How many of the likeliest classes are shown.
    top: usize,
    /// Of the form for people, whose columns are as wide as their widest cell.
    lines: Vec<Vec<String>>,
    /// How many of their columns hold words.
    left: usize,
    /// The name of the column of ids.
    id: Option<String>,
    has_header: bool,
}

impl<'a> Writer<'a> {
    pub fn new(path: Option<&'a Path>, format: Format, top: usize, id: Option<String>) -> Result<Self> {
        let mut file = None;
        let out: Box<dyn Write> = match path {
            None => Box::new(BufWriter::new(io::stdout())),
            Some(path) => {
                // A pipe or a device is no file to be replaced.
                let is_file = fs::metadata(path).map_or(true, |metadata| metadata.is_file());
                let mut place = path.to_path_buf();
                if is_file {
                    let name = path.file_name().unwrap_or_default().to_string_lossy();
                    place = path.with_file_name(format!(".{name}.{}", std::process::id()));
                    file = Some((place.clone(), path));
                }
                let created = match is_file {
                    true => File::create(&place),
                    false => File::options().write(true).open(&place),
                };
                Box::new(BufWriter::new(created.map_err(|e| Error::io("write", path, e))?))
            }
        };
        Ok(Self { out, file, format, top, lines: Vec::new(), left: 1, id, has_header: false })
    }

    /// Writes some rows: where each comes from, and the model's outputs `[rows, width]` of them.
    pub fn write(
        &mut self,
        answers: &Answers,
        places: &[Place],
        outputs: &[f64],
        width: usize,
    ) -> anyhow::Result<()> {
        let rows = places.iter().zip(outputs.chunks_exact(width.max(1)));
        let rows: Vec<Row> = rows.map(|(place, outputs)| Row::of(answers, place, outputs)).collect();
        if !self.has_header && places.iter().all(|place| place.id.is_none()) {
            self.id = None;
        }
        let id = self.id.as_deref();
        let is_first = !std::mem::replace(&mut self.has_header, true);
        match self.format {
            Format::Text => {
                if is_first {
                    let heads = heads(answers, id, self.top);
                    self.lines.push(heads);
                }
                self.left = if answers.is_class { 4 } else { 1 } + usize::from(id.is_some());
                let lines: Vec<_> = rows.iter().map(|row| row.cells(answers, id, self.top)).collect();
                self.lines.extend(lines);
                Ok(())
            }
            Format::Csv => {
                let mut table = csv::Writer::from_writer(Vec::new());
                if is_first {
                    table.write_record(header(answers, id))?;
                }
                rows.iter().try_for_each(|row| table.write_record(row.record(answers, id)))?;
                self.put(&table.into_inner()?)
            }
            Format::Jsonl => {
                let lines: String =
                    rows.iter().map(|row| row.object(answers, id).to_string() + "\n").collect();
                self.put(lines.as_bytes())
            }
        }
    }

    /// Brings the rest out, and a file to its place.
    pub fn finish(mut self) -> anyhow::Result<()> {
        let lines = std::mem::take(&mut self.lines);
        self.put(text::table(&lines, self.left).as_bytes())?;
        self.out.flush()?;
        if let Some((written, path)) = self.file.take() {
            fs::rename(&written, path).map_err(|e| Error::io("write", path, e))?;
        }
        Ok(())
    }

    /// A reader of standard output that has gone away is known by the error as it is.
    fn put(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        match (self.out.write_all(bytes), &self.file) {
            (Err(e), Some((_, path))) => Err(Error::io("write", path, e).into()),
            (written, _) => Ok(written?),
        }
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        if let Some((written, _)) = &self.file {
            // What is half written is of no use.
            let _ = fs::remove_file(written);
        }
    }
}

/// What a model said of one row.
struct Row<'a> {
    place: &'a Place,
    figures: Vec<f64>,
    class: Option<usize>,
}

impl<'a> Row<'a> {
    fn of(answers: &Answers, place: &'a Place, outputs: &[f64]) -> Self {
        let figures = answers.figures(outputs);
        Self { place, class: answers.class(&figures), figures }
    }

    fn cells(&self, answers: &Answers, id: Option<&str>, top: usize) -> Vec<String> {
        let Place { input, number, is_one_of_many, .. } = self.place;
        let input = if *is_one_of_many { format!("{input}[{number}]") } else { input.clone() };
        let figure = |i: usize| answers.shown(self.figures[i]);
        let mut cells = vec![input];
        cells.extend(id.map(|_| shown(self.id()).into_owned()));
        let Some(class) = self.class else {
            cells.extend((0..self.figures.len()).map(figure));
            return cells;
        };
        let mut others: Vec<usize> = (0..self.figures.len()).filter(|i| *i != class).collect();
        others.sort_by(|a, b| self.figures[*b].total_cmp(&self.figures[*a]));
        let others = others.into_iter().take(top.saturating_sub(1));
        let others: Vec<String> = others.map(|i| format!("{} {}", answers.names[i], figure(i))).collect();
        cells.extend([answers.names[class].clone(), figure(class), others.join(", ")]);
        cells
    }

    fn id(&self) -> &str {
        self.place.id.as_deref().unwrap_or_default()
    }

    fn record(&self, answers: &Answers, id: Option<&str>) -> Vec<String> {
        let mut cells = vec![self.place.input.clone(), self.place.number.to_string()];
        cells.extend(id.map(|_| self.id().to_string()));
        cells.extend(self.class.map(|class| answers.names[class].clone()));
        cells.extend(self.figures.iter().map(ToString::to_string));
        cells
    }

    fn object(&self, answers: &Answers, id: Option<&str>) -> Value {
        let mut object = Map::new();
        object.insert("input".into(), self.place.input.as_str().into());
        object.insert("row".into(), self.place.number.into());
        if let Some(name) = id {
            object.insert(name.into(), self.id().into());
        }
        match (self.class, &self.figures[..]) {
            (Some(class), figures) => {
                object.insert(answers.target.clone(), answers.names[class].as_str().into());
                object.insert(answers.figure.into(), json!(figures[class]));
                let all = answers.names.iter().cloned().zip(figures.iter().map(|figure| json!(figure)));
                let many = if answers.figure == "score" { "scores" } else { "probabilities" };
                object.insert(many.into(), Value::Object(all.collect()));
            }
            (None, [one]) => {
                object.insert(answers.target.clone(), json!(one));
            }
            (None, several) => {
                object.insert(answers.target.clone(), json!(several));
            }
        }
        Value::Object(object)
    }
}

/// The heads of the columns for people.
fn heads(answers: &Answers, id: Option<&str>, top: usize) -> Vec<String> {
    let mut heads = vec!["input".to_string()];
    heads.extend(id.map(|id| shown(id).into_owned()));
    if answers.is_class {
        heads.extend([answers.target.clone(), answers.figure.into()]);
        if top > 1 {
            heads.push("then".into());
        }
    } else {
        heads.extend(answers.columns());
    }
    heads
}

/// The names of a table's columns: where the row comes from, the answer under the target's name, and all figures.
fn header(answers: &Answers, id: Option<&str>) -> Vec<String> {
    let mut header = vec!["input".to_string(), "row".into()];
    header.extend(id.map(String::from));
    if answers.is_class {
        header.push(answers.target.clone());
    }
    header.extend(answers.columns());
    header
}
