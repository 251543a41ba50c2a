//! One of the devices that share each batch of a run.

use super::Trainer;
use super::feed::{Feed, Piece};
use crate::array::Array;
use crate::data::Dataset;
use crate::error::Result;
use crate::runtime::{Buffer, Device};
use std::sync::Arc;

/// What a run has on one of its devices besides the state.
pub(super) struct Replica<'a> {
    pub device: Device,
    pub index: usize,
    /// The index as the program reads it.
    number: Buffer,
    seed: Buffer,
    pub feed: Arc<Feed<'a>>,
}

impl<'a> Replica<'a> {
    pub fn new(device: Device, index: usize, trainer: &Trainer, data: &'a Dataset) -> Result<Self> {
        let number = Buffer::upload(&device, &Array::scalar(index as i32))?;
        let seed = Buffer::upload(&device, &Array::scalar(trainer.seed))?;
        let feed = Arc::new(Feed::new(&device, data, trainer.stream)?);
        Ok(Self { device, index, number, seed, feed })
    }

    pub fn upload<'b>(&self, values: impl IntoIterator<Item = &'b Array>) -> Result<Vec<Buffer>> {
        values.into_iter().map(|array| Buffer::upload(&self.device, array)).collect()
    }
}

/// What a training program reads besides the variables and what is always there.
pub(super) struct Arguments {
    pub first: Buffer,
    pub piece: Piece,
    /// The values of each step, see [`Plan::train`](super::program::Plan::train).
    pub timed: Vec<Buffer>,
}

impl Arguments {
    /// In the order of [`Plan::train`](super::program::Plan::train).
    pub fn list<'b>(&'b self, replica: &'b Replica) -> Vec<&'b Buffer> {
        let steps = [self.piece.order()].into_iter().chain(&self.timed);
        let always = [&replica.number, &replica.seed, &self.first];
        always.into_iter().chain(replica.feed.arguments(&self.piece)).chain(steps).collect()
    }
}
