//! How the samples reach the device: all at once, or those of each call with it.

use crate::array::{Array, count};
use crate::data::{Dataset, Targets};
use crate::error::Result;
use crate::runtime::{Buffer, Device};
use std::rc::Rc;

/// The data of a run, as its programs read it.
pub(super) struct Feed<'a> {
    device: Device,
    data: &'a Dataset,
    /// Inputs and targets of all rows, unless they are streamed.
    resident: Option<Rows>,
    /// Mean and deviation, if inputs are scaled.
    scaling: Vec<Buffer>,
}

/// Inputs and targets of some rows on the device.
#[derive(Clone)]
struct Rows(Rc<[Buffer; 2]>);

/// What one call reads.
pub(super) struct Piece {
    rows: Rows,
    /// Where its rows lie on the device, `[steps, batch]`.
    order: Buffer,
}

impl<'a> Feed<'a> {
    pub fn new(device: &Device, data: &'a Dataset, streamed: bool) -> Result<Self> {
        let resident = match streamed {
            true => None,
            false => Some(Rows::upload(device, &data.inputs, &targets(data)?)?),
        };
        let scaling = match data.scaling.is_none() {
            true => Vec::new(),
            false => [&data.scaling.mean, &data.scaling.deviation]
                .into_iter()
                .map(|array| Buffer::upload(device, array))
                .collect::<Result<_>>()?,
        };
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
        let inputs = self.data.samples(rows)?;
        let targets = match &self.data.targets {
            Targets::Classes { labels, .. } => {
                Array::vector(&rows.iter().map(|&row| labels[row as usize]).collect::<Vec<_>>())
            }
            Targets::Values(values) => self.data.target_scaling.apply(&gather(values, rows)?)?,
        };
        Ok(Piece { rows: Rows::upload(&self.device, &inputs, &targets)?, order })
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
    fn upload(device: &Device, inputs: &Array, targets: &Array) -> Result<Self> {
        Ok(Self(Rc::new([Buffer::upload(device, inputs)?, Buffer::upload(device, targets)?])))
    }
}

fn targets(data: &Dataset) -> Result<Array> {
    match &data.targets {
        Targets::Classes { labels, .. } => Ok(Array::vector(labels)),
        Targets::Values(values) => data.target_scaling.apply(values),
    }
}

/// Rows of values `[n, k]`; the numbers were checked when the data set was made.
fn gather(values: &Array, rows: &[u32]) -> Result<Array> {
    let width = count(&values.shape()[1..]) * values.dtype().size();
    let bytes = rows.iter().flat_map(|&row| &values.bytes()[row as usize * width..][..width]);
    Array::from_bytes(
        values.dtype(),
        &[&[rows.len()], &values.shape()[1..]].concat(),
        bytes.copied().collect(),
    )
}
