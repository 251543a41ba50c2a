//! Tables: CSV, TSV, columns between white space, JSON lines, and with the features `arrow`, `parquet` and `sqlite`
//! Arrow (Feather) and Parquet files and SQLite databases.

#[cfg(feature = "arrow")]
mod arrow;
mod block;
mod cells;
#[cfg(feature = "arrow")]
mod claims;
mod columnar;
mod date;
mod decimal;
mod encode;
mod encoder;
mod files;
mod fit;
mod fit_kind;
mod guess;
mod holds;
mod inputs;
mod json;
mod layout;
mod list;
mod load;
mod number;
mod parse;
mod read;
mod records;
mod sequence;
mod sqlite;
mod summary;
mod target;
mod vocabulary;
mod zstd;

#[doc(inline)]
pub use super::columns::{
    BooleanKind, CategoryKind, Column, ColumnKind, Cycle, DateKind, DateOrder, Decimal, Delimiter, Kind,
    ListKind, Missing, MissingName, Notation, NumberKind, PictureKind, Sequence, SequenceKind, TextKind,
    Thousands, Tokens, Unknown, Vocabulary,
};
pub use encode::Encoded;
pub use fit::Features;
pub use layout::Layout;
pub use summary::Summary;

pub(crate) use files::{is_pattern, is_there};
pub(crate) use inputs::inputs_of;
pub(crate) use sqlite::begins as is_database;

use super::bytes;
use super::columns::MISSING;
use crate::error::{Error, Result};
pub(crate) use crate::named::shown;
use cells::{Cell, Cells};
use files::Part;
use std::borrow::Cow;
use std::collections::HashMap;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// How a column is read.
///
/// ```
/// # use neural::data::table::{Layout, Reading, Table};
/// let table = Table::parse_columns("t.csv".as_ref(), b"a,b\n007,1\n", &Layout::default(), |header| {
///     header.iter().map(|name| if name == "a" { Reading::Names } else { Reading::Skip }).collect()
/// })?;
/// assert_eq!(table.text(0, "a")?, "007");
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reading {
    /// Numbers are read as numbers, all else as texts.
    #[default]
    Values,
    /// Every cell is a text: 007 is not 7.
    Names,
    /// As names; a list in JSON stays in its text form.
    Lists,
    /// The column is left out: it has no rows.
    Skip,
}

impl Reading {
    /// Whether every cell is a text.
    fn is_text(self) -> bool {
        matches!(self, Self::Names | Self::Lists)
    }
}

/// A table as it was read, column after column: of each cell the number that it is, or its text.
///
/// ```
/// # use neural::data::table::{Layout, Table};
/// # let table = Table::parse("t.csv".as_ref(), b"a,c\n1,yes\n,no\n", &Layout::default())?;
/// assert_eq!((table.header().len(), table.rows()), (2, 2));
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Table {
    path: PathBuf,
    header: Vec<String>,
    /// The place of each name in `header`, once one has been looked for.
    places: OnceLock<HashMap<String, usize>>,
    cells: Vec<Cells>,
    rows: usize,
    lines: Lines,
    notes: Vec<String>,
    /// The notation of all numbers, if requested.
    notation: Option<Notation>,
    /// Its files, where there are several.
    parts: Vec<Part>,
    /// The number of rows up to the end of each path that was read, where there are several.
    ends: Vec<usize>,
}

impl Table {
    /// A table of these columns, without notes, lines or parts.
    fn of(path: &Path, header: Vec<String>, cells: Vec<Cells>, rows: usize) -> Self {
        Self {
            path: path.into(),
            header,
            places: OnceLock::new(),
            cells,
            rows,
            lines: Lines::default(),
            notes: Vec::new(),
            notation: None,
            parts: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// Reads a table on all cores, block after block, so that beside its cells little memory is needed.
    ///
    /// # Errors
    /// When the file cannot be read, is not UTF-8, has no rows, has two columns of the same name, leaves a quote open,
    /// or has a row with another number of cells than the header; and when it is unclear whether it has a header.
    pub fn read(path: impl AsRef<Path>, layout: &Layout) -> Result<Self> {
        Self::read_columns(path, layout, |header| vec![Reading::Values; header.len()])
    }

    /// [`Table::read`] with a choice of how each column is read, made when the header is known. The tables of a folder
    /// or that match a pattern such as `data/*.csv` are read as one, in the order of their names.
    ///
    /// ```
    /// use neural::data::table::{Layout, Reading, Table};
    /// let first = |header: &[String]| (0..header.len()).map(|i| if i == 0 { Reading::Values } else { Reading::Skip }).collect();
    /// let table = Table::read_columns("data/pizza.txt", &Layout::default(), first)?;
    /// assert!(table.text(0, &table.header()[0])?.parse::<f64>().is_ok());
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`Table::read`], and when one of several files has other columns than the first.
    pub fn read_columns(
        path: impl AsRef<Path>,
        layout: &Layout,
        choose: impl FnOnce(&[String]) -> Vec<Reading>,
    ) -> Result<Self> {
        Self::read_all(&[path.as_ref()], layout, choose)
    }

    fn read_file(
        path: &Path,
        layout: &Layout,
        choose: impl FnOnce(&[String]) -> Vec<Reading>,
    ) -> Result<Self> {
        let (mut file, length) = bytes::open_file(path)?;
        // A database is more than its file: the latest writes may be in files beside it.
        if sqlite::begins(file.fill_buf().map_err(|e| Error::io("read", path, e))?) {
            return sqlite::read(path, layout, choose);
        }
        read::read(path, file, Some(length), layout, choose)
    }

    /// Parses the contents of a table; `path` is for the errors only.
    ///
    /// ```
    /// use neural::data::table::{Features, Layout, Table};
    /// let table = Table::parse("pizza".as_ref(), b"guests,day,pizzas\n13,sat,33\n2,sun,16\n", &Layout::default())?;
    /// let columns = table.features("pizzas", &Features::default(), &[0, 1])?.0;
    /// assert_eq!(columns[1].features(), ["day=sat", "day=sun"]);
    /// assert_eq!(table.encode(&columns)?.to_vec::<f32>()?, [13.0, 1.0, 0.0, 2.0, 0.0, 1.0]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`Table::read`].
    pub fn parse(path: &Path, contents: &[u8], layout: &Layout) -> Result<Self> {
        Self::parse_columns(path, contents, layout, |header| vec![Reading::Values; header.len()])
    }

    /// [`Table::parse`] with a choice of how each column is read.
    ///
    /// ```
    /// use neural::data::table::{Layout, Reading, Table};
    /// let names = |header: &[String]| vec![Reading::Names; header.len()];
    /// let table = Table::parse_columns("t".as_ref(), b"zip\n01234\n", &Layout::default(), names)?;
    /// assert_eq!(table.text(0, "zip")?, "01234");
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`Table::read`].
    pub fn parse_columns(
        path: &Path,
        contents: &[u8],
        layout: &Layout,
        choose: impl FnOnce(&[String]) -> Vec<Reading>,
    ) -> Result<Self> {
        read::read(path, contents, Some(contents.len()), layout, choose)
    }

    /// The names of the columns that have one.
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Notes on the reading, a sentence each: columns that were left out, a missing header.
    ///
    /// ```
    /// # use neural::data::table::{Layout, Table};
    /// let table = Table::parse("t.csv".as_ref(), b",a\n0,5\n1,7\n", &Layout::default())?;
    /// assert_eq!(table.notes(), ["column 1 is left out, as it has no name"]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The line of the file in which a row begins, from 1; in a file without lines, the row, from 0.
    ///
    /// ```
    /// # use neural::data::table::{Layout, Table};
    /// let table = Table::parse("t.csv".as_ref(), b"a,b\n1,x\n\n2,y\n", &Layout::default())?;
    /// assert_eq!((table.line(0), table.line(1)), (2, 4));
    /// # Ok::<(), neural::Error>(())
    /// ```
    pub fn line(&self, row: usize) -> usize {
        self.lines.of(row)
    }

    /// The text of a cell: as it was written, or where it was read as a number, that number.
    ///
    /// ```
    /// # use neural::data::table::{Layout, Table};
    /// # let table = Table::parse("t.csv".as_ref(), b"a,c\n1.50,yes\n,no\n", &Layout::default())?;
    /// assert_eq!((table.text(0, "c")?, table.text(0, "a")?), ("yes".into(), "1.5".into()));
    /// assert!(table.text(0, "b").is_err());
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When there is no such row or column, or the column was left out.
    pub fn text(&self, row: usize, column: &str) -> Result<Cow<'_, str>> {
        let column = self.read_index(column)?;
        if row >= self.rows {
            return Err(Error::value("row", format!("a number below {}", self.rows), row));
        }
        Ok(self.cell_text(row, column))
    }

    fn cell_text(&self, row: usize, column: usize) -> Cow<'_, str> {
        match self.cells[column].get(row) {
            Cell::Number(number) => number.to_string().into(),
            Cell::Text(place) => self.cells[column].text(place).into(),
        }
    }

    pub(crate) fn index(&self, name: &str) -> Result<usize> {
        let places = || self.header.iter().cloned().zip(0..).collect();
        self.places.get_or_init(places).get(name).copied().ok_or_else(|| {
            let all: Vec<_> = self.header.iter().map(|name| shown(name)).collect();
            self.refuse(format!("expected a column \"{}\", got {}", shown(name), all.join(", ")))
        })
    }

    /// The place of a column that was not left out.
    fn read_index(&self, name: &str) -> Result<usize> {
        let index = self.index(name)?;
        match self.cells[index].len() {
            0 => Err(Error::value(name, "a column that was read", "one that was left out")),
            _ => Ok(index),
        }
    }

    fn refuse(&self, message: impl Into<String>) -> Error {
        Error::format(&self.path, message)
    }

    /// The folder that a row's file is in.
    fn folder(&self, row: usize) -> &Path {
        let path = self.part(row).map_or(&self.path, |part| &part.path);
        path.parent().unwrap_or(Path::new(""))
    }

    fn at(&self, row: usize, column: usize) -> String {
        // Only text has lines.
        let part = self.part(row);
        let has_lines = part.map_or(!self.lines.0.is_empty(), |part| part.has_lines);
        let what = if has_lines { "line" } else { "row" };
        let of = part.map_or_else(String::new, |part| format!(" of {}", part.path.display()));
        format!("in {what} {}{of}, column \"{}\"", self.line(row), shown(&self.header[column]))
    }
}

/// Whether a cell is a missing value, see [`Missing`].
pub fn is_missing(cell: &str) -> bool {
    cell.len() <= 4 && MISSING.iter().any(|missing| cell.eq_ignore_ascii_case(missing))
}

/// The lines in which rows begin, kept only where a row does not follow the previous one directly.
#[derive(Clone, Debug, Default)]
struct Lines(Vec<(usize, usize)>);

impl Lines {
    /// Row `row`, which comes after all before, begins in `line`, and the rows after it in the lines after it.
    fn push(&mut self, row: usize, line: usize) {
        if self.0.is_empty() || self.of(row) != line {
            self.0.push((row, line));
        }
    }

    fn of(&self, row: usize) -> usize {
        let known = self.0.partition_point(|(first, _)| *first <= row);
        self.0[..known].last().map_or(row, |(first, line)| line + row - first)
    }
}
