//! How the samples reach the device: all at once, or those of each call with it.

use super::arguments::Resident;
use super::targets;
use crate::array::Array;
use crate::data::{Dataset, InputView, Scaling};
use crate::error::Result;
use crate::runtime::{Buffer, Device};
use std::sync::Arc;

/// The data of a run, as its programs read it.
pub(super) struct Feed<'a> {
    device: Device,
    data: &'a Dataset,
    /// All rows, unless they are streamed.
    resident: Option<Resident<Arc<Buffer>>>,
    /// Mean and deviation of each input that is scaled.
    scaling: Vec<Option<[Arc<Buffer>; 2]>>,
}

/// What one call reads.
pub(super) struct Piece {
    pub rows: Resident<Arc<Buffer>>,
    /// Where its rows lie on the device, `[steps, batch]`.
    pub order: Arc<Buffer>,
}

impl<'a> Feed<'a> {
    pub fn new(device: &Device, data: &'a Dataset, is_streamed: bool) -> Result<Self> {
        let upload = |array: &Array| Ok(Arc::new(Buffer::upload(device, array)?));
        let scaling = |input: InputView| match input.scaling {
            none if none.is_none() => Ok(None),
            Scaling { mean, deviation } => Ok(Some([upload(mean)?, upload(deviation)?])),
        };
        let scaling = data.all_inputs().map(scaling).collect::<Result<_>>()?;
        let mut feed = Self { device: device.clone(), data, resident: None, scaling };
        if !is_streamed {
            feed.resident = Some(feed.upload(None)?);
        }
        Ok(feed)
    }

    /// Brings the rows of a call to the device; their numbers are `[steps, batch]`.
    pub fn piece(&self, rows: &[u32], shape: [usize; 2]) -> Result<Piece> {
        let order: Vec<i32> = match &self.resident {
            Some(_) => rows.iter().map(|&row| row as i32).collect(),
            None => (0..rows.len() as i32).collect(),
        };
        let order = Arc::new(Buffer::upload(&self.device, &Array::new(&shape, order)?)?);
        let rows = match &self.resident {
            Some(resident) => resident.clone(),
            None => self.upload(Some(rows))?,
        };
        Ok(Piece { rows, order })
    }

    /// All rows, or those of these numbers.
    fn upload(&self, rows: Option<&[u32]>) -> Result<Resident<Arc<Buffer>>> {
        let upload = |array: &Array| Ok(Arc::new(Buffer::upload(&self.device, array)?));
        let input = |input: InputView| match rows {
            Some(rows) => upload(&input.samples(rows)?),
            None => upload(input.values),
        };
        let inputs = self.data.all_inputs().map(input).collect::<Result<_>>()?;
        let mut stored = Vec::new();
        for target in self.data.all_targets() {
            stored.extend(targets::upload(target, rows)?.map(|array| upload(&array)).transpose()?);
        }
        Ok(Resident { inputs, targets: stored, scaling: self.scaling.clone() })
    }
}
