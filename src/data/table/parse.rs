//! Parses rows of text into the cells of columns.

use super::block::Block;
use super::cells::Cells;
use super::decimal::Decimal;
use super::layout::{Layout, is_header, records};
use super::number::plain;
use super::records::{Dialect, End, trimmed};
use super::{Reading, json, shown};
use crate::data::columns::Notation;
use crate::error::{Error, Result};
use indexmap::IndexSet;
use memchr::{memchr, memchr_iter};
use std::collections::BTreeSet;
use std::path::Path;

/// The number of first records used to detect a header.
const SAMPLE: usize = 1001;

/// How rows become cells.
pub(super) struct Parser {
    dialect: Dialect,
    notation: Option<Notation>,
    is_json: bool,
    /// For each cell of a row, how it is read, and the place of its column.
    pub slots: Vec<(Reading, usize)>,
    /// The names of the columns that have any.
    pub names: Vec<String>,
    pub notes: Vec<String>,
}

/// The cells of some rows.
pub(super) struct Piece {
    pub cells: Vec<Cells>,
    pub rows: usize,
    /// Rows before which blank lines or breaks within cells come, with the lines that they begin at, from 0.
    pub lines: Vec<(usize, usize)>,
    /// Line breaks in all.
    pub breaks: usize,
    /// The error in the row after these, and the line it begins at.
    pub fault: Option<(usize, Fault)>,
}

pub(super) enum Fault {
    NotUtf8,
    /// The row has another number of cells than the header.
    Cells(usize),
    /// A line that is no object of values.
    Json(String),
}

impl Parser {
    /// A parser from the beginning of a table, with the position and the line of its first row.
    pub fn new(
        path: &Path,
        block: &Block,
        dialect: Dialect,
        layout: &Layout,
        choose: impl FnOnce(&[String]) -> Vec<Reading>,
    ) -> Result<(Self, usize, usize)> {
        let refuse = |message: String| Error::format(path, message);
        // The last record may be cut off where the block ends.
        let text = &block.bytes[..];
        let (mut at, mut breaks, mut begin) = (0, 0, None);
        let mut sample: Vec<Vec<String>> = Vec::new();
        for record in records(text, dialect).take(SAMPLE) {
            let to = at + record.len();
            let is_blank = record.trim_ascii().is_empty();
            if !is_blank && (to < text.len() || block.is_last || sample.is_empty()) {
                let mut cells = Vec::new();
                dialect.cells(record, |cell| cells.push(String::from_utf8_lossy(cell).into_owned()));
                sample.push(cells);
            }
            let before = (at, breaks + 1);
            breaks += memchr_iter(dialect.end, record).count();
            if sample.len() == 1 && begin.is_none() {
                if std::str::from_utf8(record).is_err() {
                    return Err(not_utf8(path, before.1));
                }
                begin = Some((before, (to, breaks + 1)));
            }
            at = to;
        }
        let Some((first, second)) = begin else {
            return Err(refuse("expected a header and at least one row below it, got no row".into()));
        };
        let mut notes = Vec::new();
        let has_header = is_header(&sample, layout).map_err(refuse)?;
        let (from, line) = if has_header { second } else { first };
        let mut names = std::mem::take(&mut sample[0]);
        if !has_header {
            names = (1..=names.len()).map(|i| format!("column {i}")).collect();
            notes.push(format!(
                "the first line holds no names but a row: the columns are column 1 to column {}",
                names.len()
            ));
        }
        let is_trailing =
            |row: &Vec<String>| row.len() < names.len() || row.last().is_some_and(String::is_empty);
        // A delimiter at the end of every line.
        if names.len() > 1
            && names.last().is_some_and(String::is_empty)
            && sample[1..].iter().all(is_trailing)
        {
            names.pop();
        }
        let nameless = |name: &str| name.is_empty() || name.starts_with("Unnamed: ");
        let mut seen = BTreeSet::new();
        for (i, name) in names.iter().enumerate() {
            if nameless(name) {
                notes.push(format!("column {} is left out, as it has no name", i + 1));
            } else if !seen.insert(name) {
                return Err(refuse(format!(
                    "expected every column in the header once, got \"{}\" twice",
                    shown(name)
                )));
            }
        }
        let named: Vec<String> = names.iter().filter(|name| !nameless(name)).cloned().collect();
        if named.is_empty() {
            return Err(refuse(
                "expected a header with the columns' names in the first line, got no name".into(),
            ));
        }
        let readings = choose(&named);
        let mut next = 0;
        let slot = |name: &String| {
            if nameless(name) {
                return (Reading::Skip, 0);
            }
            next += 1;
            (readings[next - 1], next - 1)
        };
        let slots = names.iter().map(slot).collect();
        let parser =
            Self { dialect, notation: layout.notation(), is_json: false, slots, names: named, notes };
        Ok((parser, from, line))
    }

    /// As [`Parser::new`], for JSON lines: the columns are the keys of the first lines.
    pub fn of_json(
        path: &Path,
        block: &Block,
        dialect: Dialect,
        layout: &Layout,
        choose: impl FnOnce(&[String]) -> Vec<Reading>,
    ) -> Result<(Self, usize, usize)> {
        layout.check_not_text()?;
        let mut names: IndexSet<String> = IndexSet::new();
        let lines = records(&block.bytes, dialect).enumerate();
        for (line, record) in lines.filter(|(_, record)| !record.trim_ascii().is_empty()).take(SAMPLE) {
            match json::parse(record) {
                Ok(json::Row(row)) => {
                    for (key, _) in row {
                        names.insert(key.into_owned());
                    }
                }
                // The last one may be cut off where the block ends.
                Err(_) if !block.is_last && !record.ends_with(b"\n") => {}
                Err(message) => return Err(Error::format(path, format!("line {}: {message}", line + 1))),
            }
        }
        let names: Vec<String> = names.into_iter().collect();
        let slots = choose(&names).into_iter().zip(0..).collect();
        let parser = Self { dialect, notation: None, is_json: true, slots, names, notes: Vec::new() };
        Ok((parser, 0, 1))
    }

    pub fn parse(&self, text: &[u8]) -> Piece {
        let guess = text.len() / (self.slots.len() * 6).max(1);
        let mut capacities = vec![0; self.names.len()];
        for (_, slot) in self.slots.iter().filter(|(reading, _)| *reading != Reading::Skip) {
            capacities[*slot] = guess;
        }
        let mut piece = Piece {
            cells: capacities.into_iter().map(Cells::with_capacity).collect(),
            rows: 0,
            lines: vec![(0, 0)],
            breaks: 0,
            fault: None,
        };
        let has_quotes = self.dialect.has_quotes(text);
        let mut at = 0;
        // The line that the next row would begin at if each had one.
        let mut expected = 0;
        while at < text.len() {
            let end = match has_quotes {
                true => match self.dialect.record(text, at) {
                    End::At(end) => end,
                    End::Beyond | End::InQuotes(_) => text.len(),
                },
                false => memchr(self.dialect.end, &text[at..]).map_or(text.len(), |length| at + length + 1),
            };
            let (record, rest) = (&text[at..end], &text[at..]);
            at = end;
            let line = piece.breaks;
            piece.breaks += if has_quotes { memchr_iter(self.dialect.end, record).count() } else { 1 };
            if self.is_blank(record) {
                continue;
            }
            if line != expected {
                piece.lines.push((piece.rows, line));
            }
            expected = line + 1;
            let row = match self.dialect.delimiter {
                _ if self.is_json => {
                    json::row(record, &self.names, &self.slots, &mut piece.cells).map_err(Fault::Json)
                }
                Some(delimiter) if !has_quotes => self.plain_row(record, rest, delimiter, &mut piece.cells),
                _ => self.row(record, &mut piece.cells),
            };
            if let Err(fault) = row {
                piece.fault = Some((line, fault));
                return piece;
            }
            piece.rows += 1;
        }
        piece
    }

    fn is_blank(&self, record: &[u8]) -> bool {
        record.first().is_none_or(|&byte| byte <= b' ')
            && record.trim_ascii().is_empty()
            && match self.dialect.delimiter {
                // Blanks may be cells.
                Some(b'\t') => self.slots.len() == 1 || memchr(b'\t', record).is_none(),
                _ => true,
            }
    }

    fn row(&self, record: &[u8], cells: &mut [Cells]) -> Result<(), Fault> {
        let mut row = Row { parser: self, cells, count: 0, has_more: false, is_text: true };
        self.dialect.cells(record, |cell| row.cell(cell));
        row.end()
    }

    /// A row without quotes at the beginning of `rest`. A number is parsed in place, and its cell ends where it ends.
    fn plain_row(&self, record: &[u8], rest: &[u8], delimiter: u8, cells: &mut [Cells]) -> Result<(), Fault> {
        let record = record.strip_suffix(&[self.dialect.end]).unwrap_or(record);
        let record = record.strip_suffix(b"\r").unwrap_or(record);
        let mut row = Row { parser: self, cells, count: 0, has_more: false, is_text: true };
        let mut at = 0;
        loop {
            let number = match self.slots.get(row.count) {
                Some((Reading::Values, _)) if self.notation.is_none() => Decimal::at_start(&rest[at..]),
                _ => None,
            };
            let is_end = |end: usize| end == record.len() || record.get(end) == Some(&delimiter);
            at = match number {
                Some(decimal) if is_end(at + decimal.length) => {
                    row.number(&decimal);
                    at + decimal.length
                }
                _ => {
                    let to = memchr(delimiter, &record[at..]).map_or(record.len(), |length| at + length);
                    row.cell(trimmed(&record[at..to]));
                    to
                }
            };
            if at == record.len() {
                return row.end();
            }
            at += 1;
        }
    }

    /// Whether the cell is UTF-8.
    fn cell(&self, reading: Reading, cell: &[u8], cells: &mut Cells) -> bool {
        let is_number = match (reading, self.notation) {
            (Reading::Skip, _) => return true,
            (Reading::Names | Reading::Lists, _) => None,
            (Reading::Values, None) => plain(cell),
            (Reading::Values, Some(notation)) => {
                std::str::from_utf8(cell).ok().and_then(|text| notation.parse(text))
            }
        };
        if let Some(number) = is_number {
            cells.push_number(number, cell.contains(&b'.'));
            return true;
        }
        match std::str::from_utf8(cell) {
            Ok(text) => cells.push_text(text),
            Err(_) => return false,
        }
        true
    }
}

/// A row while it is parsed into the cells of columns.
struct Row<'a> {
    parser: &'a Parser,
    cells: &'a mut [Cells],
    /// Cells so far.
    count: usize,
    /// Whether there are more than columns.
    has_more: bool,
    /// Whether all are UTF-8.
    is_text: bool,
}

impl Row<'_> {
    fn cell(&mut self, cell: &[u8]) {
        let slots = &self.parser.slots;
        match slots.get(self.count) {
            Some(&(reading, column)) => {
                self.is_text &= self.parser.cell(reading, cell, &mut self.cells[column]);
            }
            None => self.has_more |= self.count > slots.len() || !cell.is_empty(),
        }
        self.count += 1;
    }

    /// A cell whose column takes numbers.
    #[inline]
    fn number(&mut self, decimal: &Decimal) {
        let (_, column) = self.parser.slots[self.count];
        self.cells[column].push_number(decimal.number, decimal.has_point);
        self.count += 1;
    }

    fn end(self) -> Result<(), Fault> {
        let slots = &self.parser.slots;
        // The last cell may belong to a column without a name, which some lines lack.
        let may_lack = usize::from(
            self.count + 1 == slots.len() && slots.last().is_some_and(|slot| slot.0 == Reading::Skip),
        );
        if !self.is_text {
            return Err(Fault::NotUtf8);
        }
        if self.has_more || self.count + may_lack < slots.len() {
            return Err(Fault::Cells(self.count));
        }
        Ok(())
    }
}

pub(super) fn not_utf8(path: &Path, line: usize) -> Error {
    Error::format(path, format!("expected UTF-8, got other bytes in line {line}; save the file as UTF-8"))
}

#[cfg(test)]
mod tests {
    use crate::data::table::{Layout, Table};
    use proptest::prelude::*;

    proptest! {
        /// Cells without quotes take another way than those in quotes.
        #[test]
        fn cells_are_the_same_in_quotes(
            rows in proptest::collection::vec(
                proptest::array::uniform3("-?[0-9]{1,3}(\\.[0-9]{0,7})?|1e3| 2 |\\+4|007|x|-|1\\.5kg|2024-01-31|ä"),
                1..40,
            ),
            end in prop_oneof![Just("\n"), Just("\r\n"), Just("\n\n")],
        ) {
            let table = |quote: &str| {
                let cell = |cell: &String| format!("{quote}{cell}{quote}");
                let rows = rows.iter().map(|row| row.iter().map(cell).collect::<Vec<_>>().join(",") + end);
                let text = format!("a,b,c{end}{}", rows.collect::<String>());
                Table::parse("t.csv".as_ref(), text.as_bytes(), &Layout { header: Some(true), ..Layout::default() })
            };
            let (bare, quoted) = (table("").unwrap(), table("\"").unwrap());
            for row in 0..rows.len() {
                for column in ["a", "b", "c"] {
                    prop_assert_eq!(bare.text(row, column).unwrap(), quoted.text(row, column).unwrap());
                }
                prop_assert_eq!(bare.line(row), quoted.line(row));
            }
        }
    }
}
