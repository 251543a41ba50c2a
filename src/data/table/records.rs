//! Records of delimited text and their cells, by RFC 4180: a cell in quotes may hold delimiters, line breaks and
//! doubled quotes. Blanks around cells are ignored.

use memchr::{memchr, memchr_iter};
use std::borrow::Cow;

const QUOTE: u8 = b'"';

/// Separators of cells and records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dialect {
    /// Any number of blanks and tabs if `None`; there are no quotes then.
    pub delimiter: Option<u8>,
    /// The end of a record: `\n`, or `\r` where a file has no other; a `\r` before a `\n` is a blank.
    pub end: u8,
}

/// Where a record ends.
pub(super) enum End {
    /// Before this byte, at which the next record begins.
    At(usize),
    /// Beyond the bytes read so far.
    Beyond,
    /// Beyond the bytes read so far, with a quote that opened at this byte and is not closed.
    InQuotes(usize),
}

impl Dialect {
    /// Whether there may be cells in quotes.
    pub fn has_quotes(self, text: &[u8]) -> bool {
        self.delimiter.is_some() && memchr(QUOTE, text).is_some()
    }

    /// The end of the record that begins at `from`.
    pub fn record(self, text: &[u8], from: usize) -> End {
        let line = memchr(self.end, &text[from..]).map(|length| from + length);
        let quoted =
            self.delimiter.is_some() && memchr(QUOTE, &text[from..line.unwrap_or(text.len())]).is_some();
        match line {
            _ if quoted => self.quoted_record(text, from),
            Some(end) => End::At(end + 1),
            None => End::Beyond,
        }
    }

    fn quoted_record(self, text: &[u8], from: usize) -> End {
        let mut at = from;
        loop {
            at += text[at..].iter().take_while(|&&byte| self.is_blank(byte)).count();
            if text.get(at) == Some(&QUOTE) {
                match closing(text, at + 1) {
                    Some(closing) => at = closing + 1,
                    None => return End::InQuotes(at),
                }
            }
            match text[at..].iter().position(|&byte| byte == self.end || Some(byte) == self.delimiter) {
                None => return End::Beyond,
                Some(length) if text[at + length] == self.end => return End::At(at + length + 1),
                Some(length) => at += length + 1,
            }
        }
    }

    /// A byte after which a cell in quotes may still begin.
    fn is_blank(self, byte: u8) -> bool {
        matches!(byte, b' ' | b'\t' | b'\r') && Some(byte) != self.delimiter && byte != self.end
    }

    /// Calls `each` with every cell of a whole record.
    pub fn cells(self, record: &[u8], mut each: impl FnMut(&[u8])) {
        let record = record.strip_suffix(&[self.end]).unwrap_or(record);
        let Some(delimiter) = self.delimiter else {
            record.split(u8::is_ascii_whitespace).filter(|cell| !cell.is_empty()).for_each(each);
            return;
        };
        if memchr(QUOTE, record).is_none() {
            let mut from = 0;
            for to in memchr_iter(delimiter, record) {
                each(trimmed(&record[from..to]));
                from = to + 1;
            }
            each(trimmed(&record[from..]));
            return;
        }
        let mut from = 0;
        loop {
            let (cell, to) = self.cell(record, from, delimiter);
            each(&cell);
            if to >= record.len() {
                return;
            }
            from = to + 1;
        }
    }

    /// The cell that begins at `from`, and where it ends.
    fn cell(self, record: &[u8], from: usize, delimiter: u8) -> (Cow<'_, [u8]>, usize) {
        let open = from + record[from..].iter().take_while(|&&byte| self.is_blank(byte)).count();
        let ends_at =
            |from: usize| memchr(delimiter, &record[from..]).map_or(record.len(), |length| from + length);
        let quoted = (record.get(open) == Some(&QUOTE)).then(|| closing(record, open + 1)).flatten();
        let Some(close) = quoted else {
            let to = ends_at(from);
            return (trimmed(&record[from..to]).into(), to);
        };
        let to = ends_at(close + 1);
        let (within, behind) = (&record[open + 1..close], trimmed(&record[close + 1..to]));
        if behind.is_empty() && memchr(QUOTE, within).is_none() {
            return (trimmed(within).into(), to);
        }
        // A doubled quote means one.
        let mut cell = Vec::with_capacity(within.len() + behind.len());
        let mut rest = within;
        while let Some(quote) = memchr(QUOTE, rest) {
            cell.extend_from_slice(&rest[..=quote]);
            rest = &rest[(quote + 2).min(rest.len())..];
        }
        cell.extend_from_slice(rest);
        cell.extend_from_slice(behind);
        (trimmed(&cell).to_vec().into(), to)
    }
}

/// The quote that closes the one before `from`.
fn closing(text: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += memchr(QUOTE, &text[at..])?;
        if text.get(at + 1) != Some(&QUOTE) {
            return Some(at);
        }
        at += 2;
    }
}

/// A cell without the blanks around it.
#[inline]
pub(super) fn trimmed(cell: &[u8]) -> &[u8] {
    match cell {
        [first, .., last] | [first @ last] if *first > b' ' && *last > b' ' => cell,
        _ => cell.trim_ascii(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMA: Dialect = Dialect { delimiter: Some(b','), end: b'\n' };

    fn cells(text: &str) -> Vec<String> {
        let mut cells = Vec::new();
        COMMA.cells(text.as_bytes(), |cell| cells.push(String::from_utf8_lossy(cell).into_owned()));
        cells
    }

    /// As read by Python's `csv.reader`, with `skipinitialspace` and each cell stripped.
    #[test]
    fn cells_in_quotes() {
        assert_eq!(cells("a, \"b,\"\"c\"\"\" ,\" d \"\r\n"), ["a", "b,\"c\"", "d"]);
        assert_eq!(cells("\"\",,\n"), ["", "", ""]);
        assert_eq!(cells("\"x\ny\",2"), ["x\ny", "2"]);
        assert_eq!(cells("5\" pipe,6\"\n"), ["5\" pipe", "6\""]);
        assert_eq!(cells("\"a\"b,c"), ["ab", "c"]);
        assert_eq!(cells("\"\"\"\",c"), ["\"", "c"]);
    }

    #[test]
    fn records_end_outside_of_quotes() {
        let end = |text: &str, from| match COMMA.record(text.as_bytes(), from) {
            End::At(end) => format!("at {end}"),
            End::Beyond => "beyond".into(),
            End::InQuotes(open) => format!("open {open}"),
        };
        assert_eq!(end("a,b\nc", 0), "at 4");
        assert_eq!(end("a,b\nc", 4), "beyond");
        assert_eq!(end("a,\"b\n\"\nc", 0), "at 7");
        assert_eq!(end("a,\"b\n\"\"\nc", 0), "open 2");
        assert_eq!(end("a\"b\nc\"", 0), "at 4");
        assert_eq!(end("a,\"b\"\" ,\n", 0), "open 2");
    }
}
