//! How the samples reach the device: all at once, or those of each call with it.

use super::targets;
use crate::array::Array;
use crate::data::Dataset;
use crate::error::Result;
use crate::runtime::{Buffer, Device};
use std::sync::Arc;

/// The data of a run, as its programs read it.
pub(super) struct Feed<'a> {
    device: Device,
    data: &'a Dataset,
    /// Inputs and targets of all rows, unless they are streamed.
    resident: Option<Rows>,
    /// Mean and deviation of each input that is scaled.
    scaling: Vec<Buffer>,
}

/// All inputs and stored targets of some rows on the device.
#[derive(Clone)]
struct Rows(Arc<[Buffer]>);

/// What one call reads.
pub(super) struct Piece {
    rows: Rows,
    /// Where its rows lie on the device, `[steps, batch]`.
    order: Buffer,
}

impl<'a> Feed<'a> {
    pub fn new(device: &Device, data: &'a Dataset, streamed: bool) -> Result<Self> {
        let resident = if streamed { None } else { Some(Rows::upload(device, data, None)?) };
        let scaled = data.all_inputs().filter(|input| !input.scaling.is_none());
        let scaling = scaled
            .flat_map(|input| [&input.scaling.mean, &input.scaling.deviation])
            .map(|array| Buffer::upload(device, array))
            .collect::<Result<_>>()?;
        Ok(Self { device: device.clone(), data, resident, scaling })
    }

    /// Brings the rows of a call to the device; their numbers are `[steps, batch]`.
    pub fn piece(&self, rows: &[u32], shape: [usize; 2]) -> Result<Piece> {
        let upload_order = |rows: Vec<i32>| Buffer::upload(&self.device, &Array::new(&shape, rows)?);
        if let Some(resident) = &self.resident {
            let order = upload_order(rows.iter().map(|&row| row as i32).collect())?;
            return Ok(Piece { rows: resident.clone(), order });
        }
        let order = upload_order((0..rows.len() as i32).collect())?;
        Ok(Piece { rows: Rows::upload(&self.device, self.data, Some(rows))?, order })
    }

    /// The arguments of a program between the variables and the row numbers.
    pub fn arguments<'b>(&'b self, piece: &'b Piece) -> impl Iterator<Item = &'b Buffer> {
        piece.rows.0.iter().chain(&self.scaling)
    }
}

impl Piece {
    pub fn order(&self) -> &Buffer {
        &self.order
    }
}

impl Rows {
    /// All rows, or those of these numbers.
    fn upload(device: &Device, data: &Dataset, rows: Option<&[u32]>) -> Result<Self> {
        let mut buffers = Vec::new();
        for input in data.all_inputs() {
            buffers.push(match rows {
                Some(rows) => Buffer::upload(device, &input.samples(rows)?)?,
                None => Buffer::upload(device, input.values)?,
            });
        }
        for target in data.all_targets() {
            if let Some(array) = targets::upload(target, rows)? {
                buffers.push(Buffer::upload(device, &array)?);
            }
        }
        Ok(Self(buffers.into()))
    }
}
