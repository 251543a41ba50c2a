//! Rows that are read when needed: files larger than memory, generators, anything that returns row `i`.

mod blocks;
mod each;
pub(super) mod files;
mod reader;
mod sequence;

pub use blocks::{InBlocks, in_blocks};
pub use each::{EachRow, each_row};
pub(super) use reader::PIECE;
pub use reader::Reader;
pub use sequence::{ReadAhead, Sequence, read_ahead, sequence};

use super::{Dataset, Splits, Targets};
use crate::array::{Array, DType};
use crate::error::{Error, Result};

/// Any error; this library's errors, I/O errors and strings convert to it by `?` and `into`.
pub type ReadError = Box<dyn std::error::Error + Send + Sync>;

/// Rows that are read when needed.
///
/// Training reads rows by their numbers, in the order of the epoch, for one call of the device at a time, on a separate
/// thread: while the device computes, the rows of the next call are read. An implementation may decode a call's rows on
/// several threads. The order is a function of seed and epoch, so a resumed run continues with the same rows;
/// [`Rows::read`] must return the same values whenever it is asked for the same row.
///
/// [`each_row`] implements it by a function of a row's number, [`in_blocks`] by a function that reads neighbouring rows
/// together, [`sequence`] by an iterator.
///
/// ```
/// use neural::{Array, data::{Dataset, ReadError, Rows, Splits, Targets}};
/// /// The numbers up to a million and their squares.
/// struct Squares;
/// impl Rows for Squares {
///     fn count(&self) -> usize {
///         1_000_000
///     }
///     fn read(&self, rows: &[u32]) -> Result<Vec<Array>, ReadError> {
///         let numbers = rows.iter().flat_map(|&row| [row as f32, (row as f32).powi(2)]).collect();
///         Ok(vec![Array::new(&[rows.len(), 2], numbers)?])
///     }
/// }
/// let is_even = Targets::numbered((0..1_000_000).map(|row| row % 2).collect())?;
/// let splits = Splits { train: (0..900_000).collect(), test: (900_000..1_000_000).collect(), ..Splits::default() };
/// let data = Dataset::from_rows(Squares, is_even, splits)?;
/// assert_eq!(data.samples(&[3, 1000])?.to_f64(), [3.0, 9.0, 1000.0, 1e6]);
/// # Ok::<(), neural::Error>(())
/// ```
pub trait Rows: Send + Sync {
    /// The number of rows; at most 2³² - 1.
    fn count(&self) -> usize;

    /// Arrays `[rows.len(), …]`, of which row `i` is row number `rows[i]` of the data: the inputs, u8, i32 or f32, and
    /// after them the targets that are not in memory. Each has one type and one shape of a row. A number may occur several
    /// times.
    ///
    /// # Errors
    /// When they cannot be read. The run ends with [`Error::Rows`], in its state before the step that needs these rows.
    fn read(&self, rows: &[u32]) -> Result<Vec<Array>, ReadError>;

    /// Whether rows can only be read in order. They are not shuffled then.
    fn is_sequential(&self) -> bool {
        false
    }
}

impl<R: Rows + ?Sized> Rows for Box<R> {
    fn count(&self) -> usize {
        (**self).count()
    }

    fn read(&self, rows: &[u32]) -> Result<Vec<Array>, ReadError> {
        (**self).read(rows)
    }

    fn is_sequential(&self) -> bool {
        (**self).is_sequential()
    }
}

/// The numbers of rows in ascending order, each once, and the place among them of each requested row: so each is read
/// once, neighbours together.
fn ascending(rows: &[u32]) -> (Vec<u32>, Vec<u32>) {
    let mut sorted = rows.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let places = rows.iter().map(|row| sorted.partition_point(|other| other < row) as u32).collect();
    (sorted, places)
}

impl Dataset {
    /// A data set whose inputs are read when needed. They are not scaled; [`Dataset::scaled`] reads the training rows
    /// once more to scale them.
    ///
    /// `targets` are in memory, or made of the inputs, or, where they are as large as the inputs, read with them:
    /// `Values` (f32) or `Positions` (i32) with an array of 0 rows stand for the array that [`Rows::read`] returns
    /// after the inputs.
    ///
    /// ```
    /// use neural::{Array, DType, data::{Dataset, Splits, Targets, each_row}};
    /// let noisy = each_row(1000, |row| {
    ///     let wave: Vec<f32> = (0..64).map(|i| (f64::from(row) + f64::from(i) / 10.0).sin() as f32).collect();
    ///     Ok(vec![Array::vector(&wave), Array::vector(&wave[..8])])
    /// });
    /// let splits = Splits { train: (0..1000).collect(), ..Splits::default() };
    /// let next = Targets::Values(Array::zeros(DType::F32, &[0, 8]));
    /// assert_eq!(Dataset::from_rows(noisy, next, splits)?.sample_shape(), [64]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the first row cannot be read or is invalid, targets do not fit, a row number is out of range, or there are
    /// no training rows.
    pub fn from_rows(rows: impl Rows + 'static, targets: Targets, splits: Splits) -> Result<Self> {
        Self::from_named_rows(rows, &["input"], targets, splits)
    }

    /// As [`Dataset::from_rows`], with several named inputs, in the order in which they are read.
    ///
    /// # Errors
    /// As [`Dataset::from_rows`].
    pub fn from_named_rows(
        rows: impl Rows + 'static,
        inputs: &[&str],
        targets: Targets,
        splits: Splits,
    ) -> Result<Self> {
        let reader = Reader::new(rows)?;
        let count = reader.count();
        let (names, targets_read) = (inputs, usize::from(targets.is_read()));
        let types = reader.types();
        let [first, more @ ..] = names else {
            return Err(Error::value("inputs", "the name of an input", "none"));
        };
        if let Some(name) = (1..names.len()).find(|&i| names[..i].contains(&names[i])) {
            return Err(Error::value("inputs", "names that differ", names[name]));
        }
        if types.len() != names.len() + targets_read {
            let expected = format!(
                "{} arrays, of {} inputs and {targets_read} targets",
                names.len() + targets_read,
                names.len()
            );
            return Err(Error::shape("rows", expected, types.len()));
        }
        for ((dtype, sample), name) in types.iter().zip(names) {
            let is_known = matches!(dtype, DType::U8 | DType::I32 | DType::F32);
            if !is_known || sample.is_empty() || sample.contains(&0) {
                let expected = "u8, i32 or f32 [n, sample...] with no size of 0";
                let got = format!("{dtype} {sample:?} a row");
                return Err(Error::shape(format!("input {name}"), expected, got));
            }
        }
        let none =
            |(dtype, sample): &(DType, Vec<usize>)| Array::zeros(*dtype, &[&[0], &sample[..]].concat());
        if targets_read > 0 {
            targets.check_read(&types[names.len()])?;
        } else if let Some(got) = targets.rows().filter(|rows| *rows != count) {
            return Err(Error::shape("targets", format!("one for each of {count} rows"), got));
        } else {
            targets.check()?;
        }
        let inputs = none(&types[0]);
        if matches!(targets, Targets::Next { .. }) {
            super::positions::check_sequences(&inputs)?;
        }
        splits.check(count)?;
        let input = |(ty, name): (&(DType, Vec<usize>), &&str)| super::Input {
            name: (*name).to_string(),
            values: none(ty),
            scaling: super::Scaling::none(),
        };
        let more_inputs = types[1..].iter().zip(more).map(input).collect();
        let input = if more.is_empty() && *first == "input" { String::new() } else { (*first).to_string() };
        Ok(Self { input, more_inputs, reader: Some(reader), ..Self::of_checked(inputs, targets, splits) })
    }

    /// Whether all values are in memory, and none are read when needed.
    pub fn is_in_memory(&self) -> bool {
        self.reader.is_none()
    }
}
