//! Predictions as text, CSV and JSON lines, written as they come.

use super::answered::{Said, put_answers};
use super::inputs::Place;
use crate::array::Array;
use crate::cli::text;
use crate::cli::trained::Answers;
use crate::data::table::shown;
use crate::error::{Error, Result};
use crate::file;
use rayon::prelude::*;
use serde::ser::{SerializeMap, Serializer};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Rows that one core writes.
const PART: usize = 128;

/// The format of the output.
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
    /// The format for a file's extension.
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

/// The destination of predictions: standard output, or a file that is whole or absent.
pub(super) struct Writer<'a> {
    out: Box<dyn Write>,
    /// The file that is written and its name in the end.
    file: Option<(PathBuf, &'a Path)>,
    format: Format,
    /// How many of the likeliest classes are shown.
    top: usize,
    /// The lines of the text format, whose columns are as wide as their widest cell.
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
                    place = file::beside(path);
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

    /// Writes some rows: the origin of each, and each of the model's answers for them, `[rows, …]`.
    pub fn write(&mut self, answers: &[Answers], places: &[Place], outputs: &[Array]) -> anyhow::Result<()> {
        let outputs: Vec<(usize, Vec<f64>)> =
            outputs.iter().map(|all| (all.len() / places.len().max(1), all.to_f64())).collect();
        let row = |(i, place)| {
            let of = |(answers, (width, all)): (&Answers, &(usize, Vec<f64>))| {
                Said::of(answers, &all[i * width..(i + 1) * width])
            };
            Row { place, said: answers.iter().zip(&outputs).map(of).collect() }
        };
        let rows: Vec<Row> = places.par_iter().enumerate().map(row).collect();
        if !self.has_header && places.iter().all(|place| place.id.is_none()) {
            self.id = None;
        }
        let id = self.id.clone();
        let id = id.as_deref();
        let is_first = !std::mem::replace(&mut self.has_header, true);
        match self.format {
            Format::Text => {
                if is_first {
                    let heads = heads(answers, id, self.top);
                    self.lines.push(heads);
                }
                let is_class = matches!(answers, [one] if one.is_class);
                self.left = if is_class { 5 } else { 1 } + usize::from(id.is_some());
                let lines: Vec<_> = rows.iter().map(|row| row.cells(answers, id, self.top)).collect();
                self.lines.extend(lines);
                Ok(())
            }
            Format::Csv => {
                if is_first {
                    let mut head = csv::Writer::from_writer(Vec::new());
                    head.write_record(header(answers, id))?;
                    self.put(&head.into_inner()?)?;
                }
                self.put_parts(&rows, &|rows| {
                    let mut table = csv::Writer::from_writer(Vec::new());
                    rows.iter().try_for_each(|row| table.write_record(row.record(answers, id)))?;
                    Ok(table.into_inner()?)
                })
            }
            Format::Jsonl => self.put_parts(&rows, &|rows| {
                let mut lines = Vec::new();
                rows.iter().try_for_each(|row| row.write_json(answers, id, &mut lines))?;
                Ok(lines)
            }),
        }
    }

    /// Writes the rest, and moves a file into place.
    pub fn finish(mut self) -> anyhow::Result<()> {
        let lines = std::mem::take(&mut self.lines);
        self.put(text::table(&lines, self.left).as_bytes())?;
        self.out.flush()?;
        if let Some((written, path)) = self.file.take() {
            fs::rename(&written, path).map_err(|e| Error::io("write", path, e))?;
        }
        Ok(())
    }

    /// Writes rows as text, which is formatted in parts on all cores.
    fn put_parts(
        &mut self,
        rows: &[Row],
        text: &(dyn Fn(&[Row]) -> anyhow::Result<Vec<u8>> + Sync),
    ) -> anyhow::Result<()> {
        let texts: Vec<_> = rows.par_chunks(PART).map(text).collect();
        texts.into_iter().try_for_each(|text| self.put(&text?))
    }

    /// The error is passed on unchanged, as it tells that the reader of standard output has gone.
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
            // A half-written file is of no use.
            let _ = fs::remove_file(written);
        }
    }
}

/// A model's answers for one row.
struct Row<'a> {
    place: &'a Place,
    said: Vec<Said>,
}

impl Row<'_> {
    fn cells(&self, answers: &[Answers], id: Option<&str>, top: usize) -> Vec<String> {
        let Place { input, number, is_one_of_many, .. } = self.place;
        let input = if *is_one_of_many { format!("{input}[{number}]") } else { input.clone() };
        let mut cells = vec![input];
        cells.extend(id.map(|_| shown(self.id()).into_owned()));
        cells.extend(self.said.iter().zip(answers).flat_map(|(said, answers)| said.cells(answers, top)));
        cells
    }

    fn id(&self) -> &str {
        self.place.id.as_deref().unwrap_or_default()
    }

    fn record(&self, answers: &[Answers], id: Option<&str>) -> Vec<String> {
        let mut cells = vec![self.place.input.clone(), self.place.number.to_string()];
        cells.extend(id.map(|_| self.id().to_string()));
        cells.extend(self.said.iter().zip(answers).flat_map(|(said, answers)| said.record(answers)));
        cells
    }

    /// Adds a line with a JSON object.
    fn write_json(
        &self,
        answers: &[Answers],
        id: Option<&str>,
        lines: &mut Vec<u8>,
    ) -> serde_json::Result<()> {
        let mut json = serde_json::Serializer::new(&mut *lines);
        let mut object = json.serialize_map(None)?;
        object.serialize_entry("input", &self.place.input)?;
        object.serialize_entry("row", &self.place.number)?;
        if let Some(name) = id {
            object.serialize_entry(name, self.id())?;
        }
        put_answers(&self.said, answers, &mut object)?;
        SerializeMap::end(object)?;
        lines.push(b'\n');
        Ok(())
    }
}

/// The heads of the columns for people.
fn heads(answers: &[Answers], id: Option<&str>, top: usize) -> Vec<String> {
    let mut heads = vec!["input".to_string()];
    heads.extend(id.map(String::from));
    for answers in answers {
        if answers.is_at_positions {
            heads.push(answers.target.clone());
        } else if answers.is_class {
            heads.extend([answers.target.clone(), answers.figure.into()]);
            if top > 1 {
                heads.push("then".into());
            }
        } else {
            heads.extend(answers.columns());
        }
        heads.extend(answers.widened_columns());
    }
    heads.iter().map(|head| shown(head).into_owned()).collect()
}

/// The names of a table's columns: the row's origin, the answer under the target's name, and all figures.
fn header(answers: &[Answers], id: Option<&str>) -> Vec<String> {
    let mut header = vec!["input".to_string(), "row".into()];
    header.extend(id.map(String::from));
    for answers in answers {
        if answers.is_class {
            header.push(answers.target.clone());
        }
        if !answers.is_at_positions {
            header.extend(answers.columns());
        }
        header.extend(answers.widened_columns());
    }
    header
}
