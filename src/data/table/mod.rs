//! Delimited tables with a header: CSV, TSV, or columns between white space.

mod column;

pub use column::{Column, ColumnKind, Missing, TargetKind};

use super::bytes;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What stands for a missing value, in any case of letters.
const MISSING: [&str; 7] = ["", "?", "-", "na", "n/a", "nan", "null"];

/// What stands between two cells of a row.
///
/// ```
/// use neural::data::table::{Delimiter, Table};
/// let table = Table::parse("t".as_ref(), b"a|b\n1|2\n", Some(Delimiter::Pipe))?;
/// assert_eq!(table.header(), ["a", "b"]);
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delimiter {
    Comma,
    Semicolon,
    Tab,
    /// `|`
    Pipe,
    /// Any number of blanks and tabs. Here the first blank line ends the table, and notes may follow it.
    Whitespace,
}

impl Delimiter {
    fn byte(self) -> Option<u8> {
        match self {
            Delimiter::Comma => Some(b','),
            Delimiter::Semicolon => Some(b';'),
            Delimiter::Tab => Some(b'\t'),
            Delimiter::Pipe => Some(b'|'),
            Delimiter::Whitespace => None,
        }
    }

    /// The delimiter that the header has most of; white space when it has none of the others.
    fn detect(header: &str) -> Self {
        let mut best = (0, Delimiter::Whitespace);
        for delimiter in [Delimiter::Tab, Delimiter::Comma, Delimiter::Semicolon, Delimiter::Pipe] {
            let count = header.bytes().filter(|&b| Some(b) == delimiter.byte()).count();
            if count > best.0 {
                best = (count, delimiter);
            }
        }
        best.1
    }
}

/// A table as it was read: the text of every cell, and the line that each row starts at.
///
/// ```
/// # use neural::data::table::Table;
/// # let table = Table::parse("t.csv".as_ref(), b"a,c\n1,yes\n,no\n", None)?;
/// assert_eq!((table.header().len(), table.rows()), (2, 2));
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Table {
    path: PathBuf,
    header: Vec<String>,
    text: String,
    ends: Vec<usize>,
    lines: Vec<usize>,
}

impl Table {
    /// Reads a table; `None` detects the delimiter by the header.
    ///
    /// ```
    /// use neural::data::table::Table;
    /// assert!(Table::read("data/pizza.txt", None)?.rows() > 0);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the file cannot be read, is not UTF-8, has no rows, names two columns alike or one not at all, or
    /// has a row of another number of cells than the header.
    pub fn read(path: impl AsRef<Path>, delimiter: Option<Delimiter>) -> Result<Self> {
        let path = path.as_ref();
        Self::parse(path, &bytes::read_file(path)?, delimiter)
    }

    /// Parses the contents of a table; `path` is for the errors only.
    ///
    /// ```
    /// use neural::data::{Targets, table::{Missing, Table}};
    /// let table = Table::parse("pizza".as_ref(), b"guests,day,pizzas\n13,sat,33\n2,sun,16\n", None)?;
    /// let columns = table.features("pizzas", &[], &[], Missing::Refuse, &[0, 1])?;
    /// assert_eq!(columns[1].features(), ["day=sat", "day=sun"]);
    /// assert_eq!(table.encode(&columns)?.to_vec::<f32>()?, [13.0, 1.0, 0.0, 2.0, 0.0, 1.0]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`Table::read`].
    pub fn parse(path: &Path, contents: &[u8], delimiter: Option<Delimiter>) -> Result<Self> {
        let contents = contents.strip_prefix(b"\xef\xbb\xbf").unwrap_or(contents);
        let text = std::str::from_utf8(contents).map_err(|e| {
            let line = 1 + newlines(&contents[..e.valid_up_to()]);
            Error::format(
                path,
                format!("expected UTF-8, got other bytes in line {line}; save the file as UTF-8"),
            )
        })?;
        let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("");
        let delimiter = delimiter.unwrap_or_else(|| Delimiter::detect(first));

        let path = path.to_path_buf();
        let mut table =
            Self { path, header: Vec::new(), text: String::new(), ends: Vec::new(), lines: Vec::new() };
        match delimiter.byte() {
            Some(byte) => table.push_delimited(text, byte)?,
            None => table.push_spaced(text)?,
        }
        if table.lines.is_empty() {
            return Err(table.refuse("expected a header and at least one row below it, got no row".into()));
        }
        Ok(table)
    }

    fn push_delimited(&mut self, text: &str, delimiter: u8) -> Result<()> {
        let mut builder = csv::ReaderBuilder::new();
        builder.delimiter(delimiter).has_headers(false).flexible(true).trim(csv::Trim::All);
        let mut reader = builder.from_reader(text.as_bytes());
        let mut record = csv::StringRecord::new();
        let mut line = 1;
        let mut unread = text.as_bytes();
        loop {
            // The reader passes over blank lines before a record.
            let position = reader.position().byte() as usize;
            let read = position.saturating_sub(text.len() - unread.len()).min(unread.len());
            let blank = unread[read..].iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
            let (passed, rest) = unread.split_at(read + blank);
            line += newlines(passed);
            unread = rest;
            if !reader.read_record(&mut record).map_err(|e| self.refuse(e.to_string()))? {
                return Ok(());
            }
            self.push(line, record.iter())?;
        }
    }

    fn push_spaced(&mut self, text: &str) -> Result<()> {
        let mut ended = false;
        for (i, line) in text.lines().enumerate() {
            let cells = line.split_whitespace();
            let blank = line.trim().is_empty();
            if !ended && !blank {
                self.push(i + 1, cells)?;
            } else if ended && !blank && self.is_like_a_row(cells) {
                let message = format!(
                    "expected nothing like a row after the blank line that ends the table, got one in \
                     line {}; remove the blank line, or what follows it",
                    i + 1
                );
                return Err(self.refuse(message));
            }
            ended |= blank && !self.header.is_empty();
        }
        Ok(())
    }

    /// Whether cells are as many as those of the first row, and numbers where those are.
    fn is_like_a_row<'a>(&self, cells: impl Iterator<Item = &'a str>) -> bool {
        let numbers = |cell: &str| cell.parse::<f64>().is_ok();
        let first = (0..self.header.len()).map(|column| numbers(self.cell(0, column)));
        self.rows() > 0 && cells.map(numbers).eq(first)
    }

    /// Takes the header first, then rows.
    fn push<'a>(&mut self, line: usize, cells: impl Iterator<Item = &'a str>) -> Result<()> {
        if self.header.is_empty() {
            self.header = cells.map(String::from).collect();
            return self.check_header();
        }
        let before = self.ends.len();
        for cell in cells {
            self.text.push_str(cell);
            self.ends.push(self.text.len());
        }
        self.lines.push(line);
        let (expected, got) = (self.header.len(), self.ends.len() - before);
        if expected != got {
            let message = format!("expected {expected} cells in line {line} as in the header, got {got}");
            return Err(self.refuse(message));
        }
        Ok(())
    }

    fn check_header(&self) -> Result<()> {
        let mut seen = BTreeSet::new();
        for (i, name) in self.header.iter().enumerate() {
            if name.is_empty() {
                return Err(self.refuse(format!(
                    "expected a name for every column in the header, got none for column {}",
                    i + 1
                )));
            }
            if !seen.insert(name) {
                return Err(
                    self.refuse(format!("expected every column in the header once, got \"{name}\" twice"))
                );
            }
        }
        if self.header.iter().all(|name| name.parse::<f64>().is_ok()) {
            let got = self.header.join(", ");
            return Err(self.refuse(format!(
                "expected the columns' names in the first line, got the numbers {got}; add a header"
            )));
        }
        Ok(())
    }

    fn refuse(&self, message: String) -> Error {
        Error::format(&self.path, message)
    }

    /// The names of the columns.
    ///
    /// ```
    /// # use neural::data::table::Table;
    /// # let table = Table::parse("t.csv".as_ref(), b"a,c\n1,yes\n,no\n", None)?;
    /// assert_eq!(table.header(), ["a", "c"]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// The number of rows.
    ///
    /// ```
    /// # use neural::data::table::Table;
    /// # let table = Table::parse("t.csv".as_ref(), b"a,c\n1,yes\n,no\n", None)?;
    /// assert_eq!(table.rows(), 2);
    /// # Ok::<(), neural::Error>(())
    /// ```
    pub fn rows(&self) -> usize {
        self.lines.len()
    }

    /// The text of a column's cells, row after row.
    ///
    /// ```
    /// # use neural::data::table::Table;
    /// # let table = Table::parse("t.csv".as_ref(), b"a,c\n1,yes\n,no\n", None)?;
    /// assert_eq!(table.column("c")?.collect::<Vec<_>>(), ["yes", "no"]);
    /// assert!(table.column("b").is_err());
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When there is no such column.
    pub fn column(&self, name: &str) -> Result<impl Iterator<Item = &str>> {
        Ok(self.cells(self.index(name)?))
    }

    fn cell(&self, row: usize, column: usize) -> &str {
        let i = row * self.header.len() + column;
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        &self.text[start..self.ends[i]]
    }

    fn cells(&self, column: usize) -> impl Iterator<Item = &str> {
        (0..self.rows()).map(move |row| self.cell(row, column))
    }

    fn index(&self, name: &str) -> Result<usize> {
        self.header.iter().position(|known| known == name).ok_or_else(|| {
            self.refuse(format!("expected a column \"{name}\", got {}", self.header.join(", ")))
        })
    }

    fn at(&self, row: usize, column: usize) -> String {
        format!("in line {}, column \"{}\"", self.lines[row], self.header[column])
    }

    /// The finite number in a cell; `None` where the value is missing.
    fn number(&self, row: usize, column: usize) -> Result<Option<f32>> {
        let cell = self.cell(row, column);
        if is_missing(cell) {
            return Ok(None);
        }
        match cell.parse::<f32>() {
            Ok(number) if number.is_finite() => Ok(Some(number)),
            Ok(_) => {
                let at = self.at(row, column);
                Err(self.refuse(format!("expected a finite number of f32 {at}, got \"{cell}\"")))
            }
            Err(_) => {
                let advice = if cell.replacen(',', ".", 1).parse::<f32>().is_ok() {
                    "write a point, not a comma, before the fraction".to_string()
                } else {
                    format!(
                        "correct it, or name \"{}\" in categorical if it holds names",
                        self.header[column]
                    )
                };
                let at = self.at(row, column);
                Err(self.refuse(format!("expected a number {at}, got \"{cell}\"; {advice}")))
            }
        }
    }

    fn missing(&self, row: usize, column: usize) -> Error {
        let (at, cell) = (self.at(row, column), self.cell(row, column));
        self.refuse(format!("expected a value {at}, got \"{cell}\"; set missing to fill it"))
    }
}

/// Whether a cell stands for a missing value, see [`Missing`].
///
/// ```
/// use neural::data::table::is_missing;
/// assert!(is_missing("NaN") && is_missing("?") && !is_missing("0"));
/// ```
pub fn is_missing(cell: &str) -> bool {
    MISSING.iter().any(|missing| cell.eq_ignore_ascii_case(missing))
}

#[allow(clippy::naive_bytecount, reason = "only counted for messages")]
fn newlines(text: &[u8]) -> usize {
    text.iter().filter(|&&b| b == b'\n').count()
}
