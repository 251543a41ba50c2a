//! The layout of a table: the delimiter of cells, and whether the first line holds the columns' names.

use super::number::plain;
use super::records::{Dialect, End};
use super::{is_missing, shown};
use crate::data::columns::{Decimal, Delimiter, Notation, Thousands};
use crate::error::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};

/// The layout of a table. A `None` is detected from the table itself.
///
/// ```
/// use neural::data::table::{Layout, Table};
/// let layout = Layout { header: Some(false), ..Layout::default() };
/// let table = Table::parse("t.csv".as_ref(), b"2000,2001\n1,2\n", &layout)?;
/// assert_eq!((table.header(), table.rows()), (&["column 1".to_string(), "column 2".into()][..], 2));
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// The character between cells; found out from the first lines if `None`.
    pub delimiter: Option<Delimiter>,
    /// Whether the first line holds the columns' names. Without names the columns are `column 1`, `column 2` and so on.
    pub header: Option<bool>,
    /// The decimal character of all numbers. Where it and `thousands` are `None`, a column is read in the one notation
    /// that fits all of its cells.
    pub decimal: Option<Decimal>,
    /// The character between groups of three digits.
    pub thousands: Option<Thousands>,
    /// Names of columns that are expected: a first line that holds all of them is a header.
    pub known: Vec<String>,
    /// The name of the table in a database.
    pub table: Option<String>,
    /// The SQL query that reads the rows of a database, in place of `table`.
    pub query: Option<String>,
}

impl Layout {
    /// Refuses the keys that apply to delimited text alone.
    pub(super) fn check_not_text(&self) -> Result<()> {
        let given = [
            ("delimiter", self.delimiter.is_some()),
            ("header", self.header.is_some()),
            ("decimal", self.decimal.is_some()),
            ("thousands", self.thousands.is_some()),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((key, _)) => Err(Error::value(*key, "a file of delimited text", "one of another form")),
            None => Ok(()),
        }
    }

    /// Refuses the keys that apply to databases alone.
    pub(super) fn check_no_database(&self) -> Result<()> {
        for (key, value) in [("table", &self.table), ("query", &self.query)] {
            if let Some(value) = value {
                return Err(Error::value(key, "a database", format!("{value:?} of a file of another form")));
            }
        }
        Ok(())
    }

    /// The notation of all numbers, if requested.
    pub(super) fn notation(&self) -> Option<Notation> {
        let asked = self.decimal.is_some() || self.thousands.is_some();
        asked.then(|| Notation {
            decimal: self.decimal.unwrap_or_default(),
            thousands: self.thousands,
            sign: None,
        })
    }
}

impl Delimiter {
    pub(super) fn byte(self) -> Option<u8> {
        match self {
            Delimiter::Comma => Some(b','),
            Delimiter::Semicolon => Some(b';'),
            Delimiter::Tab => Some(b'\t'),
            Delimiter::Pipe => Some(b'|'),
            Delimiter::Whitespace => None,
        }
    }

    /// The first delimiter that cuts the first lines into equally many cells, commas last, as they may be decimal ones;
    /// if there is none the one that the first line has most of; white space if it has none.
    pub(super) fn detect(text: &[u8], end: u8) -> Self {
        let all = [Delimiter::Tab, Delimiter::Semicolon, Delimiter::Pipe, Delimiter::Comma];
        let counts = all.map(|delimiter| (delimiter, counts(text, delimiter.byte(), end)));
        let first = |(_, counts): &(Self, Vec<usize>)| counts.first().copied().unwrap_or(0);
        let even =
            |counts: &&(Self, Vec<usize>)| first(counts) > 1 && counts.1.iter().all(|n| *n == counts.1[0]);
        let most = || counts.iter().filter(|one| first(one) > 1).max_by_key(|one| first(one));
        counts.iter().find(even).or_else(most).map_or(Delimiter::Whitespace, |(delimiter, _)| *delimiter)
    }
}

/// The number of lines used to detect the delimiter.
const LINES: usize = 20;

/// The number of cells in each of the first records that are not blank.
fn counts(text: &[u8], delimiter: Option<u8>, end: u8) -> Vec<usize> {
    let dialect = Dialect { delimiter, end };
    let count = |record: &[u8]| {
        let mut count = 0;
        dialect.cells(record, |_| count += 1);
        count
    };
    records(text, dialect).filter(|record| !record.trim_ascii().is_empty()).take(LINES).map(count).collect()
}

/// The records of a text, with the last one even if nothing ends it.
pub(super) fn records(text: &[u8], dialect: Dialect) -> impl Iterator<Item = &[u8]> {
    let mut from = 0;
    std::iter::from_fn(move || {
        if from >= text.len() {
            return None;
        }
        let to = match dialect.record(text, from) {
            End::At(to) => to,
            End::Beyond | End::InQuotes(_) => text.len(),
        };
        let record = &text[from..to];
        from = to;
        Some(record)
    })
}

/// The number of rows used to detect a header.
const ROWS: usize = 1000;

/// Whether the first of `records` is a header, judged by the rows below it; an error says why they do not tell.
///
/// A name above numbers means that it is one. A number with a fraction, the same number twice, or a text that occurs
/// again in its column means that it is a row. Otherwise a text that does not occur again in a column of repeating
/// texts also means a header.
pub(super) fn is_header(records: &[Vec<String>], layout: &Layout) -> Result<bool, String> {
    let [first, rows @ ..] = records else { return Ok(true) };
    if let Some(header) = layout.header {
        return Ok(header);
    }
    if !layout.known.is_empty() && layout.known.iter().all(|name| first.contains(name)) {
        return Ok(true);
    }
    let is_numbered =
        |name: &String| name.strip_prefix("column ").is_some_and(|number| number.parse::<usize>().is_ok());
    if !layout.known.is_empty() && layout.known.iter().all(is_numbered) {
        return Ok(false);
    }
    if rows.is_empty() {
        return Ok(true);
    }
    let number = |cell: &str| {
        plain(cell.as_bytes()).or_else(|| layout.notation().and_then(|notation| notation.parse(cell)))
    };
    let like_number = |cell: &str| {
        cell.bytes().any(|byte| byte.is_ascii_digit()) && !cell.bytes().any(|byte| byte.is_ascii_alphabetic())
    };
    let (mut named, mut numbers, mut again, mut never_again) = (false, Vec::new(), false, false);
    for (column, cell) in first.iter().enumerate().filter(|(_, cell)| !is_missing(cell)) {
        let below: Vec<&str> = rows
            .iter()
            .take(ROWS)
            .filter_map(|row| Some(row.get(column)?.as_str()))
            .filter(|cell| !is_missing(cell))
            .collect();
        if below.is_empty() {
            continue;
        }
        match number(cell) {
            Some(number) => numbers.push(number),
            None if like_number(cell) => {}
            None if below.iter().all(|cell| like_number(cell) || number(cell).is_some()) => named = true,
            None => {
                let distinct: BTreeSet<&str> = below.iter().copied().collect();
                again |= distinct.contains(cell.as_str());
                never_again |= !distinct.contains(cell.as_str()) && distinct.len() * 2 <= below.len();
            }
        }
    }
    let mut counts = BTreeMap::new();
    numbers.iter().for_each(|number| *counts.entry(number.to_bits()).or_insert(0) += 1);
    let is_row = again
        || numbers.iter().any(|number| number.fract() != 0.0)
        || counts.values().any(|&count| count > 1);
    if named || is_row || (never_again && numbers.is_empty()) {
        return Ok(named || !is_row);
    }
    let line = first.iter().map(|cell| shown(cell)).collect::<Vec<_>>().join(", ");
    Err(format!(
        "expected to tell whether the first line ({}) holds the names of the columns, got nothing that says so; \
         set header = true if it does, or header = false if it is a row",
        shown(&line)
    ))
}
