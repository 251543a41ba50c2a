//! Data sets: reading, splitting, scaling and ordering. Nothing here depends on graphs or devices.
//!
//! A [`Dataset`] is one array of samples; training, validation and test are lists of row numbers into it.
//! So the array is uploaded once, and one compiled program evaluates any part of it. Samples that do not fit into
//! memory are [`Rows`], which are read when needed.

mod advice;
pub mod cifar;
pub mod columns;
pub mod fingerprint;
mod format;
pub mod idx;
pub mod images;
pub mod npy;
pub mod order;
pub mod rows;
pub mod safetensors;
pub mod scaling;
pub mod source;
pub mod split;
#[cfg(feature = "tables")]
pub mod table;

mod bytes;
mod load;
mod moments;
mod named;
#[cfg(not(feature = "tables"))]
mod no_table;
mod numbers;
mod padding;
mod positions;
mod random;
mod read;
mod samples;
mod targets;
mod tensors;
mod text;
mod tokens;

pub use columns::Column;
pub use fingerprint::Fingerprint;
pub use format::Format;
pub use idx::mnist;
pub use load::Inputs;
pub use named::{Input, InputView, Target, TargetView};
pub use order::{Blocks, LastBatch, Order, Shuffle, balanced, block_order, epoch_order};
pub use padding::pad;
pub use positions::Ignored;
pub use rows::{ReadError, Rows, each_row, in_blocks, read_ahead, sequence};
pub use scaling::{Scale, Scaling};
pub use source::{Source, Task};
pub use split::{Origins, SplitOrder, Splits, Validation};
pub use targets::{TargetKind, Targets};
pub use tensors::Layout;

pub(crate) use named::gather;
pub(crate) use numbers::Numbers;
pub(crate) use padding::{check_inputs, may_be_padded, real_positions};
pub(crate) use read::Batch;
pub(crate) use samples::Samples;
pub(crate) use split::Parts;
use targets::MAX_CLASSES;
pub(crate) use tokens::{check_token_ids, check_token_ids_of, check_token_scaling, place, place_among};

use crate::array::{Array, DType};
use crate::error::{Error, Result};

/// Samples with their targets, and which of them are for training, validation and test.
///
/// ```
/// # use neural::{Array, data::{Dataset, Splits, Targets}};
/// # let splits = Splits { train: vec![0, 1], test: vec![2], ..Splits::default() };
/// # let inputs = Array::new(&[3, 2], vec![1f32, 2.0, 3.0, 4.0, 5.0, 6.0])?;
/// # let data = Dataset::new(inputs, Targets::numbered(vec![0, 1, 1])?, splits)?;
/// assert_eq!((data.rows(), data.sample_shape(), data.classes()), (3, &[2][..], Some(2)));
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// `[n, sample...]`, of 0 rows where these are read when they are needed: u8 or i32 (whole numbers as they were stored)
    /// or f32 (finite, but for the padding of sequences, see [`pad`]). A model that begins with an embedding reads them as token ids; every other begins with their
    /// conversion to f32.
    pub inputs: Array,
    /// The name of the inputs if there are others; `input` if empty.
    pub input: String,
    /// Inputs beside the first, see [`Dataset::with_input`].
    pub more_inputs: Vec<Input>,
    /// The targets, one entry a row.
    pub targets: Targets,
    /// Targets beside the first, see [`Dataset::with_target`].
    pub more_targets: Vec<Target>,
    /// Which rows train, validate and test.
    pub splits: Splits,
    /// The origin of each part's rows.
    pub origins: Origins,
    /// The columns that a table's features were made from; empty for data that was no table.
    pub columns: Vec<Column>,
    /// The name of the targets: a column or a tensor; empty if nothing names them.
    pub target: String,
    /// The model's first step: (input - mean) / deviation. `inputs` are not scaled.
    pub scaling: Scaling,
    /// The scaling of targets that are values: a model is trained on (value - mean) / deviation, and its outputs are
    /// scaled back. `targets` are not scaled.
    pub target_scaling: Scaling,
    /// Notes on the reading of the data, a sentence each: omissions and unknowns.
    pub notes: Vec<String>,
    /// Reads the inputs when needed, see [`Dataset::from_rows`]; `None` where they are in memory.
    pub reader: Option<rows::Reader>,
}

/// One part of a data set: its name, the numbers of its rows, and where they come from.
///
/// ```
/// let digits = neural::data::mnist("data/mnist")?;
/// assert!(digits.parts().any(|part| part.name == "test" && part.origin == "the test files"));
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Part<'a> {
    /// `train`, `validation` or `test`.
    pub name: &'static str,
    /// Indices of its rows.
    pub rows: &'a [u32],
    /// Empty for a data set that was put together in memory.
    pub origin: &'a str,
}

impl Dataset {
    /// A data set that is not scaled.
    ///
    /// # Errors
    /// When `inputs` and `targets` do not fit together or hold nothing, a value is not finite, all rows are
    /// of one class, a label has no name, a row number is out of range, or there are no training rows.
    pub fn new(inputs: Array, targets: Targets, splits: Splits) -> Result<Self> {
        let rows = inputs.shape().first().copied().unwrap_or(0);
        let known = matches!(inputs.dtype(), DType::U8 | DType::I32 | DType::F32);
        if !known || inputs.shape().len() < 2 || inputs.is_empty() {
            return Err(Error::shape(
                "inputs",
                "u8, i32 or f32 [n, sample...] with no size of 0",
                format!("{inputs:?}"),
            ));
        }
        if u32::try_from(rows).is_err() {
            return Err(Error::shape("inputs", format!("at most {} rows", u32::MAX), rows));
        }
        if let Some(count) = targets.rows().filter(|count| *count != rows) {
            return Err(Error::shape("targets", format!("one for each of {rows} inputs"), count));
        }
        if matches!(targets, Targets::Next { .. }) {
            positions::check_sequences(&inputs)?;
        }
        check_inputs(None, &inputs).map_err(|e| e.at("inputs"))?;
        targets.check()?;
        splits.check(rows)?;
        let targets = targets.without_padding(&inputs)?;
        Ok(Self::of_checked(inputs, targets, splits))
    }

    fn of_checked(inputs: Array, targets: Targets, splits: Splits) -> Self {
        Self {
            inputs,
            targets,
            input: String::new(),
            more_inputs: Vec::new(),
            more_targets: Vec::new(),
            splits,
            origins: Origins::default(),
            columns: Vec::new(),
            target: String::new(),
            scaling: Scaling::none(),
            target_scaling: Scaling::none(),
            notes: Vec::new(),
            reader: None,
        }
    }

    /// The number of samples.
    pub fn rows(&self) -> usize {
        match &self.reader {
            Some(reader) => reader.count(),
            None => self.inputs.shape().first().copied().unwrap_or(0),
        }
    }

    /// The shape of one sample.
    pub fn sample_shape(&self) -> &[usize] {
        self.inputs.shape().get(1..).unwrap_or(&[])
    }

    /// The number of classes, of each row or position; `None` when the targets are values.
    pub fn classes(&self) -> Option<usize> {
        self.targets.is_classes().then(|| self.targets.names().len())
    }

    /// The names of a table's features, `[sample_shape()[0]]`; empty for data that was no table.
    pub fn feature_names(&self) -> Vec<String> {
        self.columns.iter().flat_map(Column::features).collect()
    }

    /// How many of `rows`, or of their positions, are of each class; empty when the targets are values, or are read when they
    /// are needed.
    pub fn class_counts(&self, rows: &[u32]) -> Vec<usize> {
        let mut counts = vec![0; self.classes().unwrap_or(0)];
        let mut add = |label: i32| {
            if let Some(count) = usize::try_from(label).ok().and_then(|i| counts.get_mut(i)) {
                *count += 1;
            }
        };
        match self.targets.labels() {
            Some(labels) => {
                rows.iter().filter_map(|&row| labels.get(row as usize)).for_each(|label| add(*label));
            }
            None if self.reader.is_some() => return Vec::new(),
            // Rows in memory always exist.
            None => self.labels_of(&self.targets, rows).ok().flatten().into_iter().flatten().for_each(add),
        }
        counts
    }

    /// The parts that have rows, in the order training, validation, test.
    ///
    /// ```
    /// # use neural::{Array, data::{Dataset, Splits, Targets}};
    /// # let splits = Splits { train: vec![0, 1], test: vec![2], ..Splits::default() };
    /// # let inputs = Array::new(&[3, 2], vec![1f32, 2.0, 3.0, 4.0, 5.0, 6.0])?;
    /// # let data = Dataset::new(inputs, Targets::numbered(vec![0, 1, 1])?, splits)?;
    /// assert_eq!(data.parts().map(|part| (part.name, part.rows.len())).collect::<Vec<_>>(), [("train", 2), ("test", 1)]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    pub fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let (splits, origins) = (&self.splits, &self.origins);
        let all = [
            Part { name: "train", rows: &splits.train, origin: &origins.train },
            Part { name: "validation", rows: &splits.validation, origin: &origins.validation },
            Part { name: "test", rows: &splits.test, origin: &origins.test },
        ];
        all.into_iter().filter(|part| !part.rows.is_empty())
    }

    /// Turns the first half of the test rows into validation rows, if there are none yet.
    ///
    /// ```
    /// let digits = neural::data::mnist("data/mnist")?.halve_test();
    /// assert_eq!((digits.splits.validation.len(), digits.splits.test.len()), (5000, 5000));
    /// # Ok::<(), neural::Error>(())
    /// ```
    #[must_use]
    pub fn halve_test(mut self) -> Self {
        if self.splits.validation.is_empty() {
            split::halve_test(&mut self.splits, &mut self.origins);
        }
        self
    }

    /// Fits the scaling to the training rows. The inputs stay as they are; the model scales them.
    ///
    /// ```
    /// # use neural::{Array, data::{Dataset, Splits, Targets}};
    /// # let splits = Splits { train: vec![0, 1], test: vec![2], ..Splits::default() };
    /// # let inputs = Array::new(&[3, 2], vec![1f32, 2.0, 3.0, 4.0, 5.0, 6.0])?;
    /// # let data = Dataset::new(inputs, Targets::numbered(vec![0, 1, 1])?, splits)?;
    /// use neural::data::Scale;
    /// assert_eq!(data.scaled(Scale::Unit)?.scaling.mean.to_f64(), [1.0, 2.0]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`Scaling::fit`].
    pub fn scaled(mut self, scale: Scale) -> Result<Self> {
        self.scaling = self.fit_input(0, scale)?;
        Ok(self)
    }

    /// Fits the scaling of targets that are values to the training rows, of each output by itself. Targets, predictions
    /// and figures stay in their unit: only the loss is of scaled targets.
    ///
    /// ```
    /// use neural::{Array, data::{Dataset, Scale, Splits, Targets}};
    /// let splits = Splits { train: vec![0, 1], test: vec![2], ..Splits::default() };
    /// let targets = Targets::Values(Array::new(&[3, 1], vec![100f64, 300.0, 9e9])?);
    /// let data = Dataset::new(Array::new(&[3, 1], vec![1f32, 2.0, 3.0])?, targets, splits)?;
    /// let scaled = data.scaled_target(Scale::Standardize)?;
    /// assert_eq!(scaled.target_scaling.mean.to_f64(), [200.0]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the targets are classes, and see [`Scaling::fit`].
    pub fn scaled_target(mut self, scale: Scale) -> Result<Self> {
        self.target_scaling = self.fit_target(0, scale)?;
        Ok(self)
    }

    /// [`Dataset::scaled`] by one mean and one deviation.
    ///
    /// # Errors
    /// See [`Scaling::fit`].
    pub fn standardized(self) -> Result<Self> {
        self.scaled(Scale::Standardize)
    }

    /// The samples of an epoch's batches, `[steps, batch, sample…]`, as
    /// [`FunctionRun::steps`](crate::train::FunctionRun::steps) takes them. Rows that fill no batch are left out.
    ///
    /// ```
    /// use neural::data::{Shuffle, mnist};
    /// let digits = mnist("data/mnist")?;
    /// let images = digits.batches(&digits.splits.test, 64, Some(Shuffle { seed: 1, epoch: 0 }))?;
    /// assert_eq!(images.shape(), [10_000 / 64, 64, 28, 28, 1]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When `batch` is 0, or a row is out of range.
    pub fn batches(&self, rows: &[u32], batch: usize, shuffle: Option<Shuffle>) -> Result<Array> {
        let order = epoch_order(rows, batch, LastBatch::Drop, shuffle)?;
        self.samples(&order.rows)?.reshape(&[&[order.steps(), batch], self.sample_shape()].concat())
    }

    /// The samples of some rows, `[rows, sample...]`.
    ///
    /// # Errors
    /// When a row is out of range.
    pub fn samples(&self, rows: &[u32]) -> Result<Array> {
        match &self.reader {
            None => gather(&self.inputs, rows),
            Some(_) => {
                self.read(rows)?.inputs.into_iter().next().ok_or_else(|| Error::value("input", "one", "none"))
            }
        }
    }

    /// The samples of some rows of each input, in the order of [`Dataset::all_inputs`], whether they are in memory or read.
    ///
    /// # Errors
    /// When a row is out of range or cannot be read.
    pub fn all_samples(&self, rows: &[u32]) -> Result<Vec<Array>> {
        Ok(self.read(rows)?.inputs)
    }
}
