//! The values of some rows, whether they lie in memory or are read.

use super::{Dataset, Scale, Scaling, Targets, gather};
use crate::array::{Array, DType};
use crate::error::{Error, Result};

/// Inputs and targets of some rows, as the data set has them.
pub(crate) struct Batch {
    /// `[rows, …]`, in the order of the data set's inputs.
    pub inputs: Vec<Array>,
    /// Of each target that has values of its own, labels as i32; `None` of those that are made of the inputs.
    pub targets: Vec<Option<Array>>,
}

/// Rows that are read at a time where only their targets are kept.
const PIECE: usize = 256;

impl Dataset {
    /// The values of some rows.
    ///
    /// # Errors
    /// When a row is not there or cannot be read.
    pub(crate) fn read(&self, rows: &[u32]) -> Result<Batch> {
        match &self.reader {
            None => self.arrange(None, rows),
            Some(reader) => self.arrange(Some(reader.read(rows)?), rows),
        }
    }

    /// The same of what the reader gave for these rows, where there is one.
    pub(crate) fn arrange(&self, read: Option<Vec<Array>>, rows: &[u32]) -> Result<Batch> {
        let missing = || Error::shape("rows", "an array for each input and target that is read", "fewer");
        let mut read = read.map(Vec::into_iter);
        let inputs = self.all_inputs().map(|input| match &mut read {
            None => gather(input.values, rows),
            Some(read) => {
                let array = read.next().ok_or_else(missing)?;
                match (array.dtype(), input.values.dtype()) {
                    (stored, taken) if stored == taken => Ok(array),
                    // As a model that was trained on other data takes them, see `Description::adapt`.
                    (DType::U8, taken @ (DType::I32 | DType::F32)) | (DType::I32, taken @ DType::F32) => {
                        Ok(array.cast(taken))
                    }
                    (stored, taken) => {
                        let expected = format!("{taken}, as the model takes");
                        Err(Error::shape(format!("input {}", input.name), expected, stored))
                    }
                }
            }
        });
        let inputs = inputs.collect::<Result<_>>()?;
        let targets = self.all_targets().map(|target| match &mut read {
            Some(read) if target.targets.is_read() => {
                let values = read.next().ok_or_else(missing)?;
                if let Targets::Positions { names, .. } = target.targets {
                    super::positions::check(&values, names)?;
                }
                Ok(Some(values))
            }
            _ => stored_values(target.targets, rows),
        });
        Ok(Batch { inputs, targets: targets.collect::<Result<_>>()? })
    }

    /// The values of some rows of one of the targets; `None` where it is made of the inputs.
    ///
    /// # Errors
    /// When a row is not there or cannot be read.
    pub(crate) fn values_of(&self, targets: &Targets, rows: &[u32]) -> Result<Option<Array>> {
        if !targets.is_read() {
            return stored_values(targets, rows);
        }
        let Some(place) = self.all_targets().position(|target| std::ptr::eq(target.targets, targets)) else {
            return Ok(None);
        };
        // In pieces, as the inputs are read with them.
        let mut all: Option<(DType, Vec<usize>, Vec<u8>)> = None;
        for rows in rows.chunks(PIECE) {
            let Some(values) = self.read(rows)?.targets.into_iter().nth(place).flatten() else {
                return Ok(None);
            };
            let (dtype, sample) = (values.dtype(), values.shape()[1..].to_vec());
            all.get_or_insert_with(|| (dtype, sample, Vec::new())).2.extend(values.into_bytes());
        }
        let array = |(dtype, sample, bytes): (_, Vec<usize>, _)| {
            Array::from_bytes(dtype, &[&[rows.len()], &sample[..]].concat(), bytes)
        };
        all.map(array).transpose()
    }

    /// The scaling of input `place`, fitted to the training rows.
    pub(super) fn fit_input(&self, place: usize, scale: Scale) -> Result<Scaling> {
        match (&self.reader, self.all_inputs().nth(place)) {
            (None, Some(input)) => Scaling::fit(input.values, &self.splits.train, scale),
            (Some(_), Some(input)) => self.fit_read(place, input.values, scale),
            (_, None) => Err(Error::value("input", "one of the data set", place)),
        }
    }

    /// The scaling of array `place` of those that are read, fitted to the training rows.
    pub(super) fn fit_read(&self, place: usize, like: &Array, scale: Scale) -> Result<Scaling> {
        let missing = || Error::value("rows", "an array that is read", place);
        let reader = self.reader.as_ref().ok_or_else(missing)?;
        let read = |rows: &[u32]| reader.read(rows)?.into_iter().nth(place).ok_or_else(missing);
        Scaling::fit_read(like, &read, &self.splits.train, scale)
    }
}

/// The values of some rows of targets that are in memory; `None` where they are made of the inputs.
fn stored_values(targets: &Targets, rows: &[u32]) -> Result<Option<Array>> {
    Ok(match targets {
        Targets::Classes { labels, .. } => {
            let label = |&row: &u32| {
                let label = labels.get(row as usize).copied();
                label.ok_or_else(|| Error::value("row", format!("a number below {}", labels.len()), row))
            };
            Some(Array::vector(&rows.iter().map(label).collect::<Result<Vec<_>>>()?))
        }
        Targets::Values(values) | Targets::Partial(values) | Targets::Positions { labels: values, .. } => {
            Some(gather(values, rows)?)
        }
        Targets::Inputs | Targets::Next { .. } => None,
    })
}
