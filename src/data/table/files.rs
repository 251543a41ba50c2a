//! Tables in several files: the files of a folder, matches of a pattern, or one for each part of the rows.

use super::layout::Layout;
use super::{Reading, Table, shown};
use crate::data::Format;
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::mem;
use std::path::{Path, PathBuf};

/// One of the files of a table, and the number of its first row.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub first: usize,
    pub path: PathBuf,
    /// Whether messages count its lines, or its rows.
    pub has_lines: bool,
}

/// Whether a path is a pattern such as `data/*.csv`: it has `*`, `?` or `[`, and no file has this name.
pub(crate) fn is_pattern(path: &Path) -> bool {
    path.to_string_lossy().contains(['*', '?', '[']) && !path.exists()
}

/// Whether there is anything at a path, or that fits a pattern.
pub(crate) fn is_there(path: &Path) -> bool {
    path.exists() || (is_pattern(path) && files(path).is_ok())
}

/// The files of a table, in the order of their names: the path itself, all tables in a folder except hidden ones and
/// names that begin with `_`, or all files that match a pattern.
///
/// # Errors
/// When there are none, or the folder cannot be read.
pub(crate) fn files(path: &Path) -> Result<Vec<PathBuf>> {
    let (mut files, lack) = if path.is_dir() {
        let entries = path.read_dir().map_err(|e| Error::io("read", path, e))?;
        let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let lack = "expected tables (.csv, .parquet and the like), got a folder that holds none";
        (files.filter(|file| is_table(file)).collect::<Vec<_>>(), lack)
    } else if is_pattern(path) {
        let refuse = |error: &dyn std::fmt::Display| Error::format(path, format!("no pattern: {error}"));
        let found = glob::glob(&path.to_string_lossy()).map_err(|e| refuse(&e))?;
        let files = found.map(|file| file.map_err(|e| refuse(&e))).collect::<Result<Vec<_>>>()?;
        (files, "expected files that fit the pattern, got none")
    } else {
        return Ok(vec![path.to_path_buf()]);
    };
    if files.is_empty() {
        return Err(Error::format(path, lack));
    }
    files.sort();
    Ok(files)
}

/// Whether a file in a folder of tables is one of them.
fn is_table(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    !name.starts_with(['.', '_']) && file.is_file() && Format::detect(file) == Some(Format::Table)
}

impl Table {
    /// [`Table::read_columns`] of the tables at several paths as one, whose rows follow each other. [`Table::ends`] has the
    /// number of rows up to the end of each.
    pub(crate) fn read_all(
        paths: &[&Path],
        layout: &Layout,
        choose: impl FnOnce(&[String]) -> Vec<Reading>,
    ) -> Result<Self> {
        let mut readings = BTreeMap::new();
        let mut choose = Some(choose);
        let mut whole: Option<Self> = None;
        let mut ends = Vec::new();
        for path in paths {
            for file in files(path)? {
                match &mut whole {
                    None => {
                        let first = |header: &[String]| {
                            let chosen = choose.take().map(|choose| choose(header)).unwrap_or_default();
                            readings.extend(header.iter().cloned().zip(chosen.iter().copied()));
                            chosen
                        };
                        whole = Some(Self::read_file(&file, layout, first)?);
                    }
                    Some(whole) => {
                        // The first line of each file is a header if it has the names of the first file's.
                        let layout = Layout { known: whole.header.clone(), ..layout.clone() };
                        let as_first = |header: &[String]| {
                            let reading = |name| readings.get(name).copied().unwrap_or(Reading::Skip);
                            header.iter().map(reading).collect()
                        };
                        let next = Self::read_file(&file, &layout, as_first)?;
                        whole.append_table(next)?;
                    }
                }
            }
            ends.push(whole.as_ref().map_or(0, Self::rows));
        }
        let mut whole = whole.ok_or_else(|| Error::value("path", "a table", "none"))?;
        whole.ends = ends;
        Ok(whole)
    }

    /// Adds the rows of another file, which has the same columns in any order.
    fn append_table(&mut self, mut other: Self) -> Result<()> {
        let lacking = |names: &[String], of: &[String]| {
            let lacking: Vec<String> = names
                .iter()
                .filter(|name| !of.contains(name))
                .map(|name| format!("\"{}\"", shown(name)))
                .collect();
            lacking.join(", ")
        };
        let (lacks, beside) = (lacking(&self.header, &other.header), lacking(&other.header, &self.header));
        let mut got = Vec::new();
        got.extend((!lacks.is_empty()).then(|| format!("a table without {lacks}")));
        got.extend((!beside.is_empty()).then(|| format!("{beside} beside them")));
        if !got.is_empty() {
            let first = self.parts.first().map_or(&self.path, |part| &part.path);
            let message = format!("expected the columns of {}, got {}", first.display(), got.join(" and "));
            return Err(Error::format(&other.path, message));
        }
        if self.parts.is_empty() {
            let has_lines = !self.lines.0.is_empty();
            self.parts.push(Part { first: 0, path: self.path.clone(), has_lines });
        }
        for (name, cells) in self.header.iter().zip(&mut self.cells) {
            // Both have the same names.
            let place = other.header.iter().position(|other| other == name).unwrap_or(0);
            cells.append(&mem::take(&mut other.cells[place]));
        }
        let has_lines = !other.lines.0.is_empty();
        self.parts.push(Part { first: self.rows, path: other.path, has_lines });
        if has_lines {
            self.lines.0.extend(other.lines.0.into_iter().map(|(row, line)| (self.rows + row, line)));
        } else {
            self.lines.0.push((self.rows, 0));
        }
        self.notes
            .extend(other.notes.into_iter().filter(|note| !self.notes.contains(note)).collect::<Vec<_>>());
        self.rows += other.rows;
        Ok(())
    }

    /// The file of a row, where there are several.
    pub(super) fn part(&self, row: usize) -> Option<&Part> {
        let known = self.parts.partition_point(|part| part.first <= row);
        self.parts[..known].last()
    }

    /// The number of rows up to the end of each of the paths that were read.
    pub(super) fn ends(&self) -> &[usize] {
        &self.ends
    }
}
