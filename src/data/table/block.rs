//! Text that was read from a file and is not parsed yet.

use super::layout::records;
use super::number::plain;
use super::records::{Dialect, End};
use super::shown;
use crate::error::{Error, Result};
use memchr::{memchr, memchr_iter, memrchr};
use std::io::Read;
use std::path::Path;

/// Bytes that are read at a time: enough for all cores, few beside a large table.
const SIZE: usize = 8 << 20;

/// A part of a block that is worth a thread.
const PART: usize = 1 << 16;

/// Text that was read and is not parsed yet.
pub(super) struct Block<'a> {
    path: &'a Path,
    pub bytes: Vec<u8>,
    pub is_last: bool,
    /// How many bytes it is to hold.
    wanted: usize,
    /// Room for the block after this.
    next: Vec<u8>,
}

impl<'a> Block<'a> {
    pub fn new(path: &'a Path) -> Self {
        Self { path, bytes: Vec::new(), is_last: false, wanted: SIZE, next: Vec::new() }
    }

    /// Reads as much again as it was to hold.
    pub fn grow(&mut self, input: &mut impl Read) -> Result<()> {
        self.wanted *= 2;
        self.fill(input)
    }

    pub fn fill(&mut self, input: &mut impl Read) -> Result<()> {
        let lacking = self.wanted.saturating_sub(self.bytes.len());
        let read =
            read_up_to(lacking, input, &mut self.bytes).map_err(|e| Error::io("read", self.path, e))?;
        self.is_last = read < lacking;
        Ok(())
    }

    /// Passes the first `whole` bytes to `parse`, and meanwhile reads the bytes after the rest.
    pub fn advance<T: Send>(
        &mut self,
        input: &mut (impl Read + Send),
        whole: usize,
        parse: impl FnOnce(&[u8]) -> T + Send,
    ) -> Result<T> {
        let (text, rest) = self.bytes.split_at(whole);
        let next = &mut self.next;
        next.clear();
        next.extend_from_slice(rest);
        let lacking = if self.is_last { 0 } else { self.wanted.saturating_sub(rest.len()) };
        let (parsed, read) = rayon::join(|| parse(text), || read_up_to(lacking, input, next));
        let read = read.map_err(|e| Error::io("read", self.path, e))?;
        self.is_last |= read < lacking;
        std::mem::swap(&mut self.bytes, &mut self.next);
        Ok(parsed)
    }

    /// Skips a byte order mark, and refuses contents that are not UTF-8.
    pub fn check_start(&mut self) -> Result<()> {
        if self.bytes.starts_with(b"\xef\xbb\xbf") {
            self.bytes.drain(..3);
        }
        let of = match &self.bytes[..] {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "UTF-16",
            [b'P', b'K', 3, 4, ..] => "a workbook or an archive",
            bytes if bytes.iter().take(1000).any(|&byte| byte == 0) => "binary data",
            _ => return Ok(()),
        };
        Err(Error::format(
            self.path,
            format!("expected a table as text of UTF-8, got {of}; save it as CSV in UTF-8"),
        ))
    }

    /// Cuts off everything after the first blank line after the header.
    pub fn cut_notes(&mut self, dialect: Dialect) -> Result<()> {
        let blank = |record: &[u8]| record.trim_ascii().is_empty();
        let (mut at, mut line, mut rows, mut table_end) = (0, 0, Vec::new(), None);
        for record in records(&self.bytes, dialect) {
            line += 1;
            match (blank(record), table_end) {
                (false, None) if rows.len() < 2 => rows.push(kinds(record, dialect)),
                (true, None) if !rows.is_empty() => table_end = Some(at),
                (false, Some(_)) if rows.len() == 2 && kinds(record, dialect) == rows[1] => {
                    let message = format!(
                        "expected nothing like a row after the blank line that ends the table, got one in line {line}; \
                         remove the blank line, or what follows it"
                    );
                    return Err(Error::format(self.path, message));
                }
                _ => {}
            }
            at += record.len();
        }
        self.bytes.truncate(table_end.unwrap_or(at));
        Ok(())
    }

    /// The ends of parts that hold whole records, a few for each thread, as none is to wait for another.
    pub fn parts(&self, dialect: Dialect, line: usize) -> Result<Vec<usize>> {
        let text = &self.bytes[..];
        let size = (text.len() / (4 * rayon::current_num_threads())).max(PART);
        let mut ends = Vec::new();
        if !dialect.has_quotes(text) {
            let whole = memrchr(dialect.end, text).map_or(0, |end| end + 1);
            let mut from = size;
            while from < whole {
                let end = memchr(dialect.end, &text[from..whole]).map_or(whole, |length| from + length + 1);
                ends.push(end);
                from = end + size;
            }
            ends.extend((ends.last() != Some(&whole) && whole > 0).then_some(whole));
            if self.is_last && whole < text.len() {
                ends.push(text.len());
            }
            return Ok(ends);
        }
        let mut at = 0;
        let mut wanted = size;
        while at < text.len() {
            match dialect.record(text, at) {
                End::At(end) => at = end,
                End::Beyond if self.is_last => at = text.len(),
                End::Beyond => break,
                End::InQuotes(open) if self.is_last => {
                    let line = line + memchr_iter(dialect.end, &text[..open]).count();
                    let rest = String::from_utf8_lossy(&text[open..]);
                    let message = format!(
                        "expected a quote that closes the one in line {line}, got none up to the end of the file: {}; \
                         close it, or double it if it belongs to the text",
                        shown(&rest)
                    );
                    return Err(Error::format(self.path, message));
                }
                End::InQuotes(_) => break,
            }
            if at >= wanted {
                ends.push(at);
                wanted = at + size;
            }
        }
        ends.extend((at > 0 && ends.last() != Some(&at)).then_some(at));
        Ok(ends)
    }
}

/// Reads at most `bytes`, fewer only where the input ends.
fn read_up_to(bytes: usize, input: &mut impl Read, to: &mut Vec<u8>) -> std::io::Result<usize> {
    to.reserve(bytes);
    input.take(bytes as u64).read_to_end(to)
}

/// For each cell whether it is a number.
fn kinds(record: &[u8], dialect: Dialect) -> Vec<bool> {
    let mut kinds = Vec::new();
    dialect.cells(record, |cell| kinds.push(plain(cell).is_some()));
    kinds
}
