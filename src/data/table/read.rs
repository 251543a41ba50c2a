//! Reads text block after block, the parts of a block on all cores, every cell parsed once.

use super::block::Block;
use super::cells::Cells;
use super::layout::Layout;
use super::parse::{Fault, Parser, Piece, not_utf8};
use super::records::Dialect;
use super::zstd::{self, Zstd};
use super::{Reading, Table, columnar, json, sqlite};
use crate::data::bytes::GZIP;
use crate::data::columns::Delimiter;
use crate::error::{Error, Result};
use flate2::bufread::MultiGzDecoder;
use memchr::memchr;
use rayon::prelude::*;
use std::io::{BufRead, Read};
use std::path::Path;

/// Reads a table of any format, recognised by its first bytes; text may be compressed. `choose` decides how each of the
/// named columns is read. `length` is the file's, if known.
pub(super) fn read(
    path: &Path,
    mut input: impl BufRead + Send,
    length: Option<usize>,
    layout: &Layout,
    choose: impl FnOnce(&[String]) -> Vec<Reading>,
) -> Result<Table> {
    // One for each name, whatever `choose` returns.
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
        read_text(path, MultiGzDecoder::new(input), None, layout, choose)
    } else if zstd::begins(start) {
        read_text(path, Zstd::new(input), None, layout, choose)
    } else if let Some(form) = columnar::Form::of(start) {
        columnar::read(path, form, input, layout, choose)
    } else {
        read_text(path, input, length, layout, choose)
    }
}

fn read_text(
    path: &Path,
    mut input: impl Read + Send,
    length: Option<usize>,
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
    let cells = vec![Cells::default(); parser.names.len()];
    let mut table = Table {
        notes: std::mem::take(&mut parser.notes),
        notation: layout.notation(),
        ..Table::of(path, parser.names.clone(), cells, 0)
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
        let pieces: Vec<Piece> = block.advance(&mut input, whole, |text| {
            ranges.into_par_iter().map(|(from, to)| parser.parse(&text[from..to])).collect()
        })?;
        if let (0, Some(length)) = (table.rows, length) {
            table.reserve(&pieces, length as f64 / whole as f64);
        }
        line = table.append(&pieces, line, parser.slots.len())?;
        if block.is_last && block.bytes.is_empty() {
            break;
        }
    }
    if table.rows == 0 {
        return Err(table.refuse("expected a header and at least one row below it, got no row"));
    }
    table.cells.iter_mut().for_each(Cells::shrink);
    Ok(table)
}

impl Table {
    /// Makes room for a table that is this many times as long as its first pieces.
    fn reserve(&mut self, pieces: &[Piece], times: f64) {
        let rows: usize = pieces.iter().map(|piece| piece.rows).sum();
        // Rows are not all of one length.
        let rows = (rows as f64 * times * 1.02) as usize + 1;
        let is_read = |column: usize| pieces.iter().any(|piece| piece.cells[column].len() > 0);
        let columns = self.cells.iter_mut().enumerate().filter(|(column, _)| is_read(*column));
        columns.for_each(|(_, cells)| cells.reserve(rows));
    }

    /// Adds rows whose first line is `line`, and returns the line that follows them.
    fn append(&mut self, pieces: &[Piece], mut line: usize, width: usize) -> Result<usize> {
        for piece in pieces {
            match &piece.fault {
                None => {}
                Some((at, Fault::NotUtf8)) => return Err(not_utf8(&self.path, line + at)),
                Some((at, Fault::Json(message))) => {
                    return Err(self.refuse(format!("line {}: {message}", line + at)));
                }
                Some((at, Fault::Cells(got))) => {
                    let line = line + at;
                    return Err(self.refuse(format!(
                        "expected {width} cells in line {line} as in the header, got {got}"
                    )));
                }
            }
            for (row, at) in &piece.lines {
                self.lines.push(self.rows + row, line + at);
            }
            self.rows += piece.rows;
            line += piece.breaks;
        }
        let append = |(column, cells): (usize, &mut Cells)| {
            pieces.iter().for_each(|piece| cells.append(&piece.cells[column]));
        };
        self.cells.par_iter_mut().enumerate().for_each(append);
        Ok(line)
    }
}
