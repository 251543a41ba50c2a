//! A data set's reader of rows, which checks them whenever they are read.

use super::Rows;
use crate::array::{Array, DType, count};
use crate::data::padding;
use crate::error::{Error, Result};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// The number of rows in the fingerprint of data that is read when needed: spread evenly, or the first ones of a
/// sequence.
const KNOWN_BY: usize = 256;

/// The bytes of rows that are read at a time, where they are scanned and not kept.
pub(in crate::data) const PIECE: usize = 1 << 24;

/// Rows, with the types that their arrays have.
#[derive(Clone)]
pub struct Reader {
    rows: Arc<dyn Rows>,
    count: usize,
    /// The types and shapes of a row of each array.
    types: Vec<(DType, Vec<usize>)>,
    /// Checksums of some rows of each array.
    checksums: Vec<u32>,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("count", &self.count)
            .field("types", &self.types)
            .finish_non_exhaustive()
    }
}

impl PartialEq for Reader {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.rows, &other.rows)
    }
}

impl Reader {
    pub(super) fn new(rows: impl Rows + 'static) -> Result<Self> {
        let count = rows.count();
        if count == 0 || u32::try_from(count).is_err() {
            return Err(Error::value("rows", format!("1 to {} rows", u32::MAX), count));
        }
        let mut reader = Self { rows: Arc::new(rows), count, types: Vec::new(), checksums: Vec::new() };
        let first = reader.arrays(&[0])?;
        reader.types =
            first.iter().map(|a| (a.dtype(), a.shape().get(1..).unwrap_or(&[]).to_vec())).collect();
        let some = KNOWN_BY.min(count);
        let apart = |i| if reader.is_sequential() { i } else { i * count / some };
        let known_by: Vec<u32> = (0..some).map(|i| apart(i) as u32).collect();
        reader.checksums = vec![0; reader.types.len()];
        for rows in known_by.chunks(reader.piece()) {
            let arrays = reader.read(rows)?;
            for (crc, array) in reader.checksums.iter_mut().zip(&arrays) {
                *crc = crc32c::crc32c_append(*crc, array.bytes());
            }
        }
        Ok(reader)
    }

    /// The number of rows in [`PIECE`] bytes, at least one.
    pub(in crate::data) fn piece(&self) -> usize {
        let row: usize = self.types.iter().map(|(dtype, sample)| count(sample) * dtype.size()).sum();
        (PIECE / row.max(1)).max(1)
    }

    /// The number of rows.
    pub fn count(&self) -> usize {
        self.count
    }

    /// See [`Rows::is_sequential`].
    pub fn is_sequential(&self) -> bool {
        self.rows.is_sequential()
    }

    /// The type and the shape of a row of each array.
    pub fn types(&self) -> &[(DType, Vec<usize>)] {
        &self.types
    }

    /// Checksums of some rows of each array.
    pub(in crate::data) fn checksums(&self) -> &[u32] {
        &self.checksums
    }

    /// Reads rows, and checks that they have the types of the first row, and that f32 numbers are finite, except for
    /// NaN as the padding of sequences.
    ///
    /// # Errors
    /// When they cannot be read or fail the checks.
    pub fn read(&self, rows: &[u32]) -> Result<Vec<Array>> {
        if let Some(row) = rows.iter().find(|&&row| row as usize >= self.count) {
            return Err(Error::value("row", format!("a number below {}", self.count), row));
        }
        if rows.is_empty() {
            let none =
                |(dtype, sample): &(DType, Vec<usize>)| Array::zeros(*dtype, &[&[0], &sample[..]].concat());
            return Ok(self.types.iter().map(none).collect());
        }
        let arrays = self.arrays(rows)?;
        if arrays.len() != self.types.len() {
            let expected = format!("{} arrays, as for the first row", self.types.len());
            return Err(Error::shape(named(rows), expected, arrays.len()));
        }
        for (array, (dtype, sample)) in arrays.iter().zip(&self.types) {
            let shape = [&[rows.len()], &sample[..]].concat();
            if array.dtype() != *dtype || array.shape() != shape {
                let expected = format!("{dtype}{shape:?}, as the first row is");
                return Err(Error::shape(
                    named(rows),
                    expected,
                    format!("{}{:?}", array.dtype(), array.shape()),
                ));
            }
            if let Some((index, value)) = padding::first_wrong(array)? {
                let width = (array.len() / rows.len()).max(1);
                let got = format!("{value} in row {}", rows[index / width]);
                return Err(Error::value("rows", "finite numbers of f32", got));
            }
        }
        Ok(arrays)
    }

    /// The arrays as they are read. A panic of the reader is an error of it.
    fn arrays(&self, rows: &[u32]) -> Result<Vec<Array>> {
        let failed = |cause| Error::Rows { rows: named(rows), cause };
        match catch_unwind(AssertUnwindSafe(|| self.rows.read(rows))) {
            Ok(read) => read.map_err(failed),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
                Err(failed(format!("the reader panicked: {text}").into()))
            }
        }
    }
}

/// Which rows, in words.
fn named(rows: &[u32]) -> String {
    match (rows.iter().min(), rows.iter().max()) {
        (Some(first), Some(last)) if first == last => format!("row {first}"),
        (Some(first), Some(last)) => format!("{} rows from {first} to {last}", rows.len()),
        _ => "no rows".to_string(),
    }
}
