//! The values of some rows, from memory or from their reader.

use super::{Dataset, Scale, Scaling, Targets, gather, padding, place_among, positions};
use crate::array::{Array, DType};
use crate::error::{Error, Result};

/// Inputs and targets of some rows, as the data set has them.
pub(crate) struct Batch {
    /// `[rows, …]`, in the order of the data set's inputs.
    pub inputs: Vec<Array>,
    /// The values of each target, labels as i32; `None` for targets that are made of the inputs.
    pub targets: Vec<Option<Array>>,
}

impl Dataset {
    /// The values of some rows.
    ///
    /// # Errors
    /// When a row is out of range or cannot be read.
    pub(crate) fn read(&self, rows: &[u32]) -> Result<Batch> {
        match &self.reader {
            None => self.arrange(None, rows),
            Some(reader) => self.arrange(Some(reader.read(rows)?), rows),
        }
    }

    /// The same, with the reader's arrays for these rows where there is a reader.
    pub(crate) fn arrange(&self, read: Option<Vec<Array>>, rows: &[u32]) -> Result<Batch> {
        let missing = || Error::shape("rows", "an array for each input and target that is read", "fewer");
        let mut read = read.map(Vec::into_iter);
        let inputs = self.all_inputs().map(|input| match &mut read {
            None => gather(input.values, rows),
            Some(read) => {
                let array = read.next().ok_or_else(missing)?;
                match (array.dtype(), input.values.dtype()) {
                    (stored, taken) if stored == taken => Ok(array),
                    // In the form for a model that was trained on other data, see `Description::adapt`.
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
        let inputs = inputs.collect::<Result<Vec<_>>>()?;
        let targets = self.all_targets().map(|target| {
            let values = match &mut read {
                Some(read) if target.targets.is_read() => {
                    let values = read.next().ok_or_else(missing)?;
                    check_targets(target.targets, &values, rows)?;
                    Some(values)
                }
                _ => stored_values(target.targets, rows)?,
            };
            match (values, target.targets) {
                // Labels beside inputs in memory were relieved of padding when the data set was made.
                (Some(labels), Targets::Positions { .. }) if self.reader.is_some() => {
                    padding::labels_at_real(labels, &inputs[0]).map(Some)
                }
                (values, _) => Ok(values),
            }
        });
        let targets = targets.collect::<Result<_>>()?;
        Ok(Batch { inputs, targets })
    }

    /// The values of some rows of one of the targets; `None` where it is made of the inputs.
    ///
    /// # Errors
    /// When a row is out of range or cannot be read.
    pub(crate) fn values_of(&self, targets: &Targets, rows: &[u32]) -> Result<Option<Array>> {
        let Some(reader) = &self.reader else { return stored_values(targets, rows) };
        // The inputs tell which positions are padded.
        let is_of_padded =
            matches!(targets, Targets::Positions { .. }) && padding::may_be_padded(&self.inputs);
        if !targets.is_read() && !is_of_padded {
            return stored_values(targets, rows);
        }
        let Some(place) = self.all_targets().position(|target| std::ptr::eq(target.targets, targets)) else {
            return Ok(None);
        };
        // In pieces, as the inputs are read with them.
        let mut all: Option<(DType, Vec<usize>, Vec<u8>)> = None;
        for rows in rows.chunks(reader.piece()) {
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

    /// The scaling of target `place`, each output by itself, fitted to the training rows.
    pub(super) fn fit_target(&self, place: usize, scale: Scale) -> Result<Scaling> {
        let scale = scale.by_output();
        match self.all_targets().nth(place).map(|target| target.targets) {
            Some(_) if scale == Scale::None => Ok(Scaling::none()),
            Some(targets @ Targets::Values(values)) if targets.is_read() => {
                // A reader returns the inputs, then the targets that are read.
                let before = self.all_targets().take(place).filter(|target| target.targets.is_read());
                self.fit_read(1 + self.more_inputs.len() + before.count(), values, scale)
            }
            Some(Targets::Values(values) | Targets::Partial(values)) => {
                Scaling::of_targets(values, &self.splits.train, scale)
            }
            Some(Targets::Inputs) => {
                Err(Error::value("scale_target", "scale, as the targets are the inputs", "both"))
            }
            Some(_) => Err(Error::value("scale_target", "targets that are values", "classes")),
            None => Err(Error::value("target", "one of the data set", place)),
        }
    }

    /// The scaling of the read array at `place`, fitted to the training rows.
    pub(super) fn fit_read(&self, place: usize, like: &Array, scale: Scale) -> Result<Scaling> {
        let missing = || Error::value("rows", "an array that is read", place);
        let reader = self.reader.as_ref().ok_or_else(missing)?;
        let input = self.all_inputs().nth(place);
        let read = |rows: &[u32]| -> Result<Array> {
            let values = reader.read(rows)?.into_iter().nth(place).ok_or_else(missing)?;
            match &input {
                Some(input) if padding::real_positions(&values).is_some() => {
                    let expected = "no scaling of padded sequences that are read when needed; store them scaled and \
                                    set no scale, or hold them in memory";
                    let got = format!("{scale:?}").to_lowercase();
                    Err(Error::value(format!("input {}: scale", input.name), expected, got))
                }
                _ => Ok(values),
            }
        };
        Scaling::fit_read(like, &read, &self.splits.train, scale)
    }
}

/// Checks values of targets that were read; the error names the row of the data.
fn check_targets(targets: &Targets, values: &Array, rows: &[u32]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    if let Targets::Positions { names, .. } = targets {
        return positions::check(values, names, Some(rows));
    }
    match values.find(|value| !value.is_finite()) {
        Some((i, value)) => {
            let got = format!("{value} in {}", place_among(Some(rows), values.shape(), i));
            Err(Error::value("targets", "finite numbers of f32", got))
        }
        None => Ok(()),
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
