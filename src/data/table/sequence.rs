//! Cells that hold a number sequence, whose length varies by row.

use super::{Table, is_missing, shown};
use crate::array::Array;
use crate::data::Numbers;
use crate::data::columns::{ColumnKind, Sequence, SequenceKind};
use crate::error::{Error, Result};
use rayon::prelude::*;

/// The numbers of a cell, one position after another, and how many a position has; 0 of an empty sequence.
pub(super) fn parse(cell: &str) -> Option<(Vec<f32>, usize)> {
    let (numbers, features) = if cell.starts_with('[') {
        let read: Numbers = serde_json::from_str(cell).ok()?;
        match (&read.shape[..], read.uneven()) {
            ([_], _) => (read.values, 1),
            (&[_, features], None) if features > 0 => (read.values, features),
            _ => return None,
        }
    } else if is_missing(cell) {
        return None;
    } else {
        let parts = cell.split(|c: char| c.is_whitespace() || c == ';').filter(|part| !part.is_empty());
        (parts.map(str::parse).collect::<Result<Vec<f64>, _>>().ok()?, 1)
    };
    let features = if numbers.is_empty() { 0 } else { features };
    let numbers: Vec<f32> = numbers.into_iter().map(|number| number as f32).collect();
    numbers.iter().all(|number| number.is_finite()).then_some((numbers, features))
}

/// Refused rows, each with the reason.
type Refused = Vec<(usize, String)>;

impl Table {
    pub(super) fn sequence_kind(
        &self,
        column: usize,
        of: &SequenceKind,
        train: &[u32],
    ) -> Result<ColumnKind> {
        if of.length == Some(0) {
            return Err(Error::value("length", "a whole number above 0", 0));
        }
        let lengths = train.par_iter().filter_map(|&row| {
            let (numbers, features) = parse(&self.cell_text(row as usize, column))?;
            (features > 0).then(|| (numbers.len() / features, features))
        });
        // The longest, with the number of features that the first has.
        let longest = lengths
            .map(|(length, features)| (length, Some(features)))
            .reduce(|| (0, None), |(a, first), (b, features)| (a.max(b), first.or(features)));
        let (longest, Some(features)) = longest else {
            let row = train.first().map_or(0, |&row| row as usize);
            let (at, cell) = (self.at(row, column), shown(&self.cell_text(row, column)).into_owned());
            return Err(self
                .refuse(format!("expected a sequence of numbers, as in 1.5 2 3.25, {at}, got \"{cell}\"")));
        };
        Ok(ColumnKind::Sequence(Sequence { length: of.length.unwrap_or(longest), features }))
    }

    /// The sequences of a column, the rows whose cell holds none with the reason, and in how many rows one is longer.
    pub(super) fn sequences(
        &self,
        column: usize,
        Sequence { length, features }: Sequence,
    ) -> Result<(Array, Refused, usize)> {
        let stride = length.saturating_mul(features);
        let mut numbers = self.room(stride)?;
        numbers.resize(stride * self.rows, f32::NAN);
        let fill = |(row, place): (usize, &mut [f32])| {
            let cell = self.cell_text(row, column);
            let Some((sequence, _)) = parse(&cell).filter(|(_, found)| [0, features].contains(found)) else {
                let each = if features == 1 { String::new() } else { format!(" of {features} each") };
                let (at, cell) = (self.at(row, column), shown(&cell));
                return (
                    Some((row, format!("expected a sequence of numbers{each} {at}, got \"{cell}\""))),
                    false,
                );
            };
            let kept = sequence.len().min(stride);
            place[..kept].copy_from_slice(&sequence[..kept]);
            (None, sequence.len() > stride)
        };
        let rows: Vec<_> = numbers.par_chunks_mut(stride.max(1)).enumerate().map(fill).collect();
        let cut = rows.iter().filter(|(_, is_longer)| *is_longer).count();
        let refused = rows.into_iter().filter_map(|(refused, _)| refused).collect();
        Ok((Array::new(&[self.rows, length, features], numbers)?, refused, cut))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_read_in_each_way_that_sequences_are_written() {
        for cell in ["1.5 -2 3e2", "1.5;-2;3e2", " 1.5; -2 ;3e2;", "[1.5, -2, 3e2]"] {
            assert_eq!(parse(cell), Some((vec![1.5, -2.0, 300.0], 1)), "{cell}");
        }
        assert_eq!(parse("[[1, 2], [3, 4]]"), Some((vec![1.0, 2.0, 3.0, 4.0], 2)));
        assert_eq!((parse("[]"), parse("7")), (Some((vec![], 0)), Some((vec![7.0], 1))));
        for cell in
            ["", "NA", "1 a", "1,5 2", "[1, 2", "[1, null]", "[[1], [2, 3]]", "[[]]", "1 nan", "1e39", "{}"]
        {
            assert_eq!(parse(cell), None, "{cell}");
        }
    }
}
