//! Rows made one at a time.

use super::{ReadError, Rows};
use crate::array::Array;
use rayon::prelude::*;
use std::fmt::{self, Display};

/// Rows from a function of their numbers, see [`each_row`].
#[derive(Clone, Copy)]
pub struct EachRow<F> {
    count: usize,
    read: F,
}

impl<F> fmt::Debug for EachRow<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EachRow").field("count", &self.count).finish_non_exhaustive()
    }
}

/// Rows `0..count`, each from one call of `read`: its arrays, without an axis for the rows. The rows of a call are read
/// on all cores, in no order; any random numbers in `read` must be a function of the row's number, or they would differ
/// when a run is resumed.
///
/// ```
/// use neural::{Array, data::{Rows, each_row}};
/// let rows = each_row(10, |row| Ok(vec![Array::vector(&[row as f32, 0.5])]));
/// assert_eq!(rows.read(&[7, 2]).map_err(|e| e.to_string()), Ok(vec![Array::new(&[2, 2], vec![7f32, 0.5, 2.0, 0.5])?]));
/// # Ok::<(), neural::Error>(())
/// ```
pub fn each_row<F>(count: usize, read: F) -> EachRow<F>
where
    F: Fn(u32) -> Result<Vec<Array>, ReadError> + Send + Sync,
{
    EachRow { count, read }
}

impl<F> Rows for EachRow<F>
where
    F: Fn(u32) -> Result<Vec<Array>, ReadError> + Send + Sync,
{
    fn count(&self) -> usize {
        self.count
    }

    fn read(&self, rows: &[u32]) -> Result<Vec<Array>, ReadError> {
        let read = |&row: &u32| (self.read)(row).map_err(|error| in_row(row, error));
        // If several rows fail, the first requested one is named.
        let made: Vec<_> = rows.par_iter().map(read).collect();
        stack(rows, made)
    }
}

fn in_row(row: u32, error: impl Display) -> ReadError {
    format!("row {row}: {error}").into()
}

/// The arrays of rows, one below the other.
pub(super) fn stack(
    rows: &[u32],
    made: impl IntoIterator<Item = Result<Vec<Array>, ReadError>>,
) -> Result<Vec<Array>, ReadError> {
    let mut made = made.into_iter();
    let Some(first) = made.next().transpose()? else { return Ok(Vec::new()) };
    let types: Vec<_> = first.iter().map(|array| (array.dtype(), array.shape().to_vec())).collect();
    let mut bytes: Vec<Vec<u8>> = first.into_iter().map(Array::into_bytes).collect();
    for (arrays, &row) in made.zip(&rows[1..]) {
        let arrays = arrays?;
        let is_alike = arrays.len() == types.len()
            && arrays.iter().zip(&types).all(|(a, (dtype, shape))| a.dtype() == *dtype && a.shape() == shape);
        if !is_alike {
            let got: Vec<String> = arrays.iter().map(|a| format!("{}{:?}", a.dtype(), a.shape())).collect();
            let other: Vec<String> = types.iter().map(|(dtype, shape)| format!("{dtype}{shape:?}")).collect();
            let (other, got) = (other.join(", "), got.join(", "));
            return Err(in_row(row, format!("expected {other}, as row {} is, got {got}", rows[0])));
        }
        bytes.iter_mut().zip(arrays).for_each(|(all, one)| all.extend(one.into_bytes()));
    }
    let stacked = bytes.into_iter().zip(types).map(|(bytes, (dtype, shape))| {
        Array::from_bytes(dtype, &[&[rows.len()], &shape[..]].concat(), bytes)
    });
    Ok(stacked.collect::<Result<_, _>>()?)
}
