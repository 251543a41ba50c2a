//! The batches of the next steps, in the form that a run's programs read.

use super::Run;
use crate::array::Array;
use crate::data::{Dataset, Order, Shuffle, balanced, block_order, epoch_order};
use crate::error::{Error, Result};
use crate::optim::Turns;
use crate::train::Trainer;
use crate::train::arguments::{Steps, Turn};
use crate::train::feed::{Feed, Piece};
use crate::train::replica::{Given, Replica};
use std::sync::Arc;

/// The rows that some steps read.
pub(super) struct Batches {
    /// The number of the first step, or its place in the epoch where all epochs are alike.
    place: u64,
    /// How many rows of each step count.
    pub valid: Vec<u32>,
    /// One for each device.
    pieces: Vec<Piece>,
}

impl Run<'_> {
    /// The batches of `steps` steps from step `first` on, on the devices. The last ones are kept until others are
    /// requested.
    pub(super) fn batches(&mut self, first: u64, steps: usize) -> Result<Arc<Batches>> {
        let place = if self.trainer.is_reordered() { first } else { first % self.steps_per_epoch() as u64 };
        match &self.batches {
            Some(kept) if kept.place == place && kept.valid.len() == steps => Ok(kept.clone()),
            _ => {
                let order = self.rows(first, steps)?;
                let pieces = self.pieces(&order)?;
                let batches = Arc::new(Batches { place, valid: order.valid, pieces });
                self.batches = Some(batches.clone());
                Ok(batches)
            }
        }
    }

    /// Copies the rows of the next call to the devices and starts reading the rows of the call after it, within the
    /// epoch.
    pub(super) fn prepare(&mut self, steps: usize) -> Result<()> {
        let usual = self.steps_per_call.unwrap_or(steps);
        let left = self.left_in_epoch();
        if left == self.steps_per_epoch() {
            return Ok(());
        }
        let count = usual.min(left);
        self.batches(self.step, count)?;
        if left > count && !self.data.is_in_memory() {
            let order = self.rows(self.step + count as u64, usual.min(left - count))?;
            let replicas = self.replicas.iter().zip(&self.feeds);
            replicas.for_each(|(replica, feed)| feed.expect(&self.part(replica, &order)));
        }
        Ok(())
    }

    /// The rows of `steps` steps from step `first` on, over the ends of epochs.
    pub(super) fn rows(&mut self, first: u64, steps: usize) -> Result<Order> {
        let (batch, per_epoch) = (self.trainer.batch_size, self.steps_per_epoch() as u64);
        let mut next = Order { rows: Vec::with_capacity(steps * batch), valid: Vec::with_capacity(steps) };
        while next.steps() < steps {
            let step = first + next.steps() as u64;
            let order = self.order_of(step / per_epoch)?;
            let from = (step % per_epoch) as usize;
            let to = order.steps().min(from + steps - next.steps());
            next.rows.extend_from_slice(&order.rows[from * batch..to * batch]);
            next.valid.extend_from_slice(&order.valid[from..to]);
        }
        Ok(next)
    }

    /// The arguments of the next steps' program on each device, without the variables.
    pub(super) fn arguments(&self, batches: &Batches) -> Result<Vec<Given>> {
        let steps = batches.valid.len();
        let optimizer = &self.trainer.optimizer;
        let turns =
            Turns { every: optimizer.accumulate as u64, steps_per_epoch: self.steps_per_epoch() as u64 };
        let turn = Turn::values(optimizer, turns, self.step..self.step + steps as u64);
        let part = self.plan.part;
        let on = |(replica, Piece { rows, order }): (&Replica, &Piece)| -> Result<Given> {
            // How many of the rows that count, the first of the batch, are in the device's part.
            let before = replica.index * part;
            let counts = batches.valid.iter().map(|&n| (n as usize).saturating_sub(before).min(part) as i32);
            let mut batch = vec![order.clone()];
            if self.plan.is_masked {
                batch.push(replica.upload(&Array::vector(&counts.collect::<Vec<_>>()))?);
            }
            Ok(Given {
                replica: replica.number.clone(),
                seed: replica.seed.clone(),
                number: replica.upload(&Array::scalar(self.step))?,
                resident: rows.clone(),
                steps: Steps { turns: vec![turn.map(|array| replica.upload(array))?], batch },
            })
        };
        self.replicas.iter().zip(&batches.pieces).map(on).collect()
    }

    /// The rows of `next`, on each device its part of every batch.
    fn pieces(&self, next: &Order) -> Result<Vec<Piece>> {
        let piece = |(replica, feed): (&Replica, &Arc<Feed>)| {
            feed.piece(&self.part(replica, next), [next.steps(), self.plan.part])
        };
        self.replicas.iter().zip(&self.feeds).map(piece).collect()
    }

    /// The rows of one device in every batch.
    fn part(&self, replica: &Replica, order: &Order) -> Vec<u32> {
        let part = self.plan.part;
        let of = |batch: &[u32]| batch[replica.index * part..][..part].to_vec();
        order.rows.chunks_exact(self.trainer.batch_size).flat_map(of).collect()
    }

    /// The order of an epoch, kept until another's is requested.
    fn order_of(&mut self, epoch: u64) -> Result<&Order> {
        if self.trainer.is_reordered() && epoch != self.order_epoch {
            self.order = order(&self.trainer, self.data, epoch)?;
            self.order_epoch = epoch;
        }
        Ok(&self.order)
    }
}

/// The order of an epoch.
pub(super) fn order(trainer: &Trainer, data: &Dataset, epoch: u64) -> Result<Order> {
    let shuffle = Shuffle { seed: trainer.seed, epoch };
    if let Some(blocks) = trainer.shuffle_blocks {
        if trainer.balance || !trainer.shuffle {
            let other = if trainer.balance { "balance" } else { "shuffle = false" };
            return Err(Error::value("shuffle_blocks", format!("no {other} beside it"), "both"));
        }
        let rows = block_order(&data.splits.train, blocks, shuffle)?;
        return epoch_order(&rows, trainer.batch_size, trainer.last_batch, None);
    }
    let balanced = match (trainer.balance, data.targets.labels()) {
        (false, _) => None,
        (true, Some(labels)) => Some(balanced(&data.splits.train, labels, shuffle)?),
        (true, None) => return Err(Error::value("balance", "targets that are classes", "values")),
    };
    let rows = balanced.as_deref().unwrap_or(&data.splits.train);
    epoch_order(rows, trainer.batch_size, trainer.last_batch, trainer.shuffle.then_some(shuffle))
}
