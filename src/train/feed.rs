//! How the samples reach the device: all at once, or with the call that uses them.

mod ahead;

use super::arguments::Resident;
use super::{Goal, Trainer, targets};
use crate::array::Array;
use crate::data::rows::Reader;
use crate::data::{Dataset, InputView, Scaling, Targets, check_token_ids_of};
use crate::error::{Error, Result};
use crate::loss::Loss;
use crate::runtime::{Buffer, Device};
pub(super) use ahead::Ahead;
use std::sync::Arc;

/// The max bytes of rows that a call copies to the device, where they are not in memory; a single step may exceed them.
pub(super) const MOST_BYTES: usize = 1 << 26;

/// The data of a run, as its programs read it.
pub(super) struct Feed<'a> {
    device: Device,
    data: &'a Dataset,
    /// All rows, unless they are streamed.
    resident: Option<Resident<Arc<Buffer>>>,
    /// Mean and deviation of each input that is scaled.
    scaling: Vec<Option<[Arc<Buffer>; 2]>>,
    reading: Option<Reading>,
}

/// The state for rows that are read when needed.
struct Reading {
    ahead: Ahead,
    /// For each input whether it may be padded, and the number of token ids if it has them.
    inputs: Vec<(bool, Option<usize>)>,
    /// For each goal the name of its target, and its loss.
    losses: Vec<(String, Loss)>,
}

/// The inputs of one call.
pub(super) struct Piece {
    pub rows: Resident<Arc<Buffer>>,
    /// The places of its rows on the device, `[steps, batch]`.
    pub order: Arc<Buffer>,
}

impl<'a> Feed<'a> {
    /// A feed of the data that `trainer` trains on.
    pub fn new(device: &Device, data: &'a Dataset, is_streamed: bool, trainer: &Trainer) -> Result<Self> {
        let upload = |array: &Array| Ok(Arc::new(Buffer::upload(device, array)?));
        let scaling = |input: InputView| match input.scaling {
            none if none.is_none() => Ok(None),
            Scaling { mean, deviation } => Ok(Some([upload(mean)?, upload(deviation)?])),
        };
        let scaling = data.all_inputs().map(scaling).collect::<Result<_>>()?;
        let kind =
            |input: InputView| (trainer.model.is_masked(input.name), trainer.model.vocabulary(input.name));
        let loss = |goal: &Goal| -> Result<(String, Loss)> {
            Ok((goal.target_of(data)?.name.to_string(), goal.loss.clone()))
        };
        let reading = |reader: &Reader| -> Result<Reading> {
            let losses = trainer.goals().iter().map(loss).collect::<Result<_>>()?;
            let inputs = data.all_inputs().map(kind).collect();
            Ok(Reading { ahead: Ahead::new(reader.clone()), inputs, losses })
        };
        let reading = data.reader.as_ref().map(reading).transpose()?;
        let mut feed = Self { device: device.clone(), data, resident: None, scaling, reading };
        if !is_streamed {
            feed.resident = Some(feed.all()?);
        }
        Ok(feed)
    }

    /// Begins to read the rows of a later call, where they are not in memory, while the device and the caller continue.
    pub fn expect(&self, rows: &[u32]) {
        if let Some(reading) = &self.reading {
            reading.ahead.expect(rows);
        }
    }

    /// Copies the rows of a call to the device; their numbers are `[steps, batch]`.
    pub fn piece(&self, rows: &[u32], shape: [usize; 2]) -> Result<Piece> {
        let order: Vec<i32> = match &self.resident {
            Some(_) => rows.iter().map(|&row| row as i32).collect(),
            None => (0..rows.len() as i32).collect(),
        };
        let order = Arc::new(Buffer::upload(&self.device, &Array::new(&shape, order)?)?);
        let rows = match &self.resident {
            Some(resident) => resident.clone(),
            None => self.some(rows)?,
        };
        Ok(Piece { rows, order })
    }

    fn all(&self) -> Result<Resident<Arc<Buffer>>> {
        let inputs = self.data.all_inputs().map(|input| self.upload(input.values)).collect::<Result<_>>()?;
        let mut stored = Vec::new();
        for target in self.data.all_targets() {
            stored.extend(targets::all(target)?.map(|array| self.upload(&array)).transpose()?);
        }
        Ok(Resident { inputs, targets: stored, scaling: self.scaling.clone() })
    }

    fn some(&self, rows: &[u32]) -> Result<Resident<Arc<Buffer>>> {
        let batch = match &self.reading {
            None => self.data.read(rows)?,
            Some(reading) => {
                let batch = self.data.arrange(Some(reading.ahead.take(rows)?), rows)?;
                reading.check(self.data, rows, &batch.inputs)?;
                batch
            }
        };
        let inputs = batch.inputs.iter().map(|array| self.upload(array)).collect::<Result<_>>()?;
        let mut stored = Vec::new();
        for (target, values) in self.data.all_targets().zip(&batch.targets) {
            let Some(values) = values else { continue };
            if let (Some(reading), true, Targets::Values(_)) =
                (&self.reading, target.targets.is_read(), target.targets)
            {
                let mut losses = reading.losses.iter().filter(|(name, _)| name == target.name);
                losses.try_for_each(|(_, loss)| targets::check_values(loss, values, |i| rows[i]))?;
            }
            stored.push(self.upload(&targets::on_device(target, values)?)?);
        }
        Ok(Resident { inputs, targets: stored, scaling: self.scaling.clone() })
    }

    fn upload(&self, array: &Array) -> Result<Arc<Buffer>> {
        Ok(Arc::new(Buffer::upload(&self.device, array)?))
    }
}

impl Reading {
    /// The checks that values in memory get before a run begins.
    fn check(&self, data: &Dataset, rows: &[u32], inputs: &[Array]) -> Result<()> {
        for ((values, (is_masked, vocabulary)), input) in
            inputs.iter().zip(&self.inputs).zip(data.all_inputs())
        {
            if !is_masked && crate::data::real_positions(values).is_some() {
                let expected = "\"masking\" as the first layer of all that reads it, as some of its sequences are padded";
                return Err(Error::value(format!("input {}", input.name), expected, "another layer"));
            }
            if let Some(vocabulary) = vocabulary {
                check_token_ids_of(Some(rows), values, *vocabulary)?;
            }
        }
        Ok(())
    }
}
