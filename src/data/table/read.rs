//! Reading of text: block after block, the parts of a block on all cores, every cell parsed once.

use super::block::Block;
use super::cells::Cells;
use super::layout::{Delimiter, Layout, is_header, records};
use super::number::{Notation, plain};
use super::records::{Dialect, End};
use super::zstd::{self, Zstd};
use super::{Lines, Reading, Table, columnar, json, shown, sqlite};
use crate::data::bytes::GZIP;
use crate::error::{Error, Result};
use flate2::bufread::MultiGzDecoder;
use memchr::{memchr, memchr_iter};
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::io::{BufRead, Read};
use std::path::Path;

/// Records at the beginning by which a header is told.
const SAMPLE: usize = 1001;

/// Reads a table of any form, recognised by its first bytes; text may be compressed. `choose` says how each of the
/// named columns is read.
pub(super) fn read(
    path: &Path,
    mut input: impl BufRead,
    layout: &Layout,
    choose: impl FnOnce(&[String]) -> Vec<Reading>,
) -> Result<Table> {
    // One for each name, whatever `choose` gives.
    let choose = |names: &[String]| {
        let mut readings = choose(names);
        readings.resize(names.len(), Reading::default());
        readings
    };
    let start = input.fill_buf().map_err(|e| Error::io("read", path, e))?;
    if sqlite::begins(start) {
        return Err(Error::format(
            path,
            "expected a table, got a database, which is read from its file alone",
        ));
    }
    if start.starts_with(&GZIP) {
        read_text(path, MultiGzDecoder::new(input), layout, choose)
    } else if zstd::begins(start) {
        read_text(path, Zstd::new(input), layout, choose)
    } else if let Some(form) = columnar::Form::of(start) {
        columnar::read(path, form, input, layout, choose)
    } else {
        read_text(path, input, layout, choose)
    }
}

fn read_text(
    path: &Path,
    mut input: impl Read,
    layout: &Layout,
    choose: impl FnOnce(&[String]) -> Vec<Reading>,
) -> Result<Table> {
    layout.check_no_database()?;
    let mut block = Block::new(path);
    block.fill(&mut input)?;
    block.check_start()?;
    let end = if memchr(b'\n', &block.bytes).is_none() && memchr(b'\r', &block.bytes).is_some() {
        b'\r'
    } else {
        b'\n'
    };
    let is_json = json::begins(&block.bytes);
    if json::begins_list(&block.bytes) {
        let message = "expected a table or JSON lines (an object on each line), got one list of objects; jq -c '.[]' turns it \
                       into lines";
        return Err(Error::format(path, message));
    }
    let delimiter = match is_json {
        true => None,
        false => layout.delimiter.unwrap_or_else(|| Delimiter::detect(&block.bytes, end)).byte(),
    };
    let dialect = Dialect { delimiter, end };
    if delimiter.is_none() && !is_json {
        // Notes may follow, so the end of the table has to be found first.
        while !block.is_last {
            block.grow(&mut input)?;
        }
        block.cut_notes(dialect)?;
    }
    let (mut parser, from, line) = match is_json {
        true => Parser::of_json(path, &block, dialect, layout, choose)?,
        false => Parser::new(path, &block, dialect, layout, choose)?,
    };
    block.bytes.drain(..from);
    let mut table = Table {
        path: path.into(),
        header: parser.names.clone(),
        cells: vec![Cells::default(); parser.names.len()],
        rows: 0,
        lines: Lines::default(),
        notes: std::mem::take(&mut parser.notes),
        notation: layout.notation(),
        parts: Vec::new(),
        ends: Vec::new(),
    };
    let mut line = line;
    loop {
        let parts = block.parts(dialect, line)?;
        let Some(&whole) = parts.last() else {
            if block.is_last {
                break;
            }
            // A record that is longer than the block.
            block.grow(&mut input)?;
            continue;
        };
        let ranges: Vec<_> =
            std::iter::once(0).chain(parts.iter().copied()).zip(parts.iter().copied()).collect();
        let pieces: Vec<Piece> =
            ranges.into_par_iter().map(|(from, to)| parser.parse(&block.bytes[from..to])).collect();
        for piece in pieces {
            line = table.append(piece, line, parser.slots.len())?;
        }
        block.bytes.drain(..whole);
        if block.is_last && block.bytes.is_empty() {
            break;
        }
        block.fill(&mut input)?;
    }
    if table.rows == 0 {
        return Err(table.refuse("expected a header and at least one row below it, got no row"));
    }
    table.cells.iter_mut().for_each(Cells::shrink);
    Ok(table)
}

/// How rows become cells.
struct Parser {
    dialect: Dialect,
    notation: Option<Notation>,
    is_json: bool,
    /// For each cell of a row, how it is read, and the place of its column.
    slots: Vec<(Reading, usize)>,
    /// Of the columns that have any.
    names: Vec<String>,
    notes: Vec<String>,
}

/// The cells of some rows.
struct Piece {
    cells: Vec<Cells>,
    rows: usize,
    /// Rows before which blank lines or breaks within cells come, with the lines that they begin at, from 0.
    lines: Vec<(usize, usize)>,
    /// Line breaks in all.
    breaks: usize,
    /// What is wrong with the row after these, and the line it begins at.
    fault: Option<(usize, Fault)>,
}

enum Fault {
    NotUtf8,
    /// Another number of cells than the header has.
    Cells(usize),
    /// A line that is no object of values.
    Json(String),
}

impl Parser {
    /// From the beginning of a table: where its rows begin, and in which line.
    fn new(
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

    /// As [`Parser::new`], for JSON lines: the columns are the keys of the first ones.
    fn of_json(
        path: &Path,
        block: &Block,
        dialect: Dialect,
        layout: &Layout,
        choose: impl FnOnce(&[String]) -> Vec<Reading>,
    ) -> Result<(Self, usize, usize)> {
        layout.check_not_text()?;
        let mut names: Vec<String> = Vec::new();
        let lines = records(&block.bytes, dialect).enumerate();
        for (line, record) in lines.filter(|(_, record)| !record.trim_ascii().is_empty()).take(SAMPLE) {
            match json::parse(record) {
                Ok(json::Row(row)) => {
                    for (key, _) in row {
                        if !names.iter().any(|name| *name == key) {
                            names.push(key.into_owned());
                        }
                    }
                }
                // The last one may be cut off where the block ends.
                Err(_) if !block.is_last && !record.ends_with(b"\n") => {}
                Err(message) => return Err(Error::format(path, format!("line {}: {message}", line + 1))),
            }
        }
        let slots = choose(&names).into_iter().zip(0..names.len()).collect();
        let parser = Self { dialect, notation: None, is_json: true, slots, names, notes: Vec::new() };
        Ok((parser, 0, 1))
    }

    fn parse(&self, text: &[u8]) -> Piece {
        let guess = text.len() / (self.slots.len() * 6).max(1);
        let cells = |column: usize| {
            let is_read =
                self.slots.iter().any(|(reading, slot)| *slot == column && *reading != Reading::Skip);
            Cells::with_capacity(if is_read { guess } else { 0 })
        };
        let mut piece = Piece {
            cells: (0..self.names.len()).map(cells).collect(),
            rows: 0,
            lines: vec![(0, 0)],
            breaks: 0,
            fault: None,
        };
        let has_quotes = self.dialect.delimiter.is_some() && memchr(b'"', text).is_some();
        let mut at = 0;
        // The line that the next row would begin at if each had one.
        let mut expected = 0;
        while at < text.len() {
            let end = match self.dialect.record(text, at) {
                End::At(end) => end,
                End::Beyond | End::InQuotes(_) => text.len(),
            };
            let record = &text[at..end];
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
            let row = match self.is_json {
                true => json::row(record, &self.names, &self.slots, &mut piece.cells).map_err(Fault::Json),
                false => self.row(record, &mut piece.cells),
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
        let (mut count, mut has_more, mut is_text) = (0, false, true);
        self.dialect.cells(record, |cell| {
            match self.slots.get(count) {
                Some(&(reading, column)) => is_text &= self.cell(reading, cell, &mut cells[column]),
                None => has_more |= count > self.slots.len() || !cell.is_empty(),
            }
            count += 1;
        });
        // The last cell may be that of a column without a name, which some lines end before.
        let may_lack = usize::from(
            count + 1 == self.slots.len() && self.slots.last().is_some_and(|slot| slot.0 == Reading::Skip),
        );
        if !is_text {
            return Err(Fault::NotUtf8);
        }
        if has_more || count + may_lack < self.slots.len() {
            return Err(Fault::Cells(count));
        }
        Ok(())
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
            cells.push_number(number, cell);
            return true;
        }
        match std::str::from_utf8(cell) {
            Ok(text) => cells.push_text(text),
            Err(_) => return false,
        }
        true
    }
}

fn not_utf8(path: &Path, line: usize) -> Error {
    Error::format(path, format!("expected UTF-8, got other bytes in line {line}; save the file as UTF-8"))
}

impl Table {
    /// Adds rows whose first line is `line`, and says which line follows them.
    fn append(&mut self, piece: Piece, line: usize, width: usize) -> Result<usize> {
        match piece.fault {
            None => {}
            Some((at, Fault::NotUtf8)) => return Err(not_utf8(&self.path, line + at)),
            Some((at, Fault::Json(message))) => {
                return Err(self.refuse(format!("line {}: {message}", line + at)));
            }
            Some((at, Fault::Cells(got))) => {
                let line = line + at;
                return Err(
                    self.refuse(format!("expected {width} cells in line {line} as in the header, got {got}"))
                );
            }
        }
        for (row, at) in piece.lines {
            self.lines.push(self.rows + row, line + at);
        }
        self.cells.iter_mut().zip(piece.cells).for_each(|(cells, more)| cells.append(more));
        self.rows += piece.rows;
        Ok(line + piece.breaks)
    }
}
