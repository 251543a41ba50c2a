//! Passes over a data set.

use super::FunctionRun;
use crate::array::Array;
use crate::data::rows::Reader;
use crate::data::{Batch, Dataset, LastBatch, Order, Shuffle, block_order, epoch_order};
use crate::error::{Error, Result};
use crate::train::feed::{Ahead, MOST_BYTES};
use crate::train::targets;

impl FunctionRun<'_> {
    /// Makes a pass over the training rows of `data` and returns the mean of each result over its steps. A batch
    /// consists of the inputs in stored order, then of the targets, as many as the function takes; rows that fill no
    /// batch are left out. The order of the rows is a function of the seed and the steps done, so a restored run
    /// continues like an uninterrupted one: from within a pass to its end. Rows of a sequential source keep their
    /// order.
    ///
    /// Rows that are read when they are needed come in calls of at most 64 MiB, each read while the device computes the one
    /// before it.
    ///
    /// ```
    /// use neural::{Array, DType, data::{Dataset, Splits, Targets}, graph::Type, nn::{self, Module}, runtime::Device};
    /// use neural::train::FunctionTrainer;
    /// let splits = Splits { train: (0..8).collect(), ..Splits::default() };
    /// let prices = Targets::Values(Array::full(DType::F32, &[8, 1], 3.0));
    /// let data = Dataset::new(Array::full(DType::F32, &[8, 2], 1.0), prices, splits)?;
    /// let batch = [2, 1].map(|width| Type::new(DType::F32, &[4, width]));
    /// let trainer = FunctionTrainer::new(&batch, |cx, batch| {
    ///     Ok(vec![(nn::dense(1).forward(&batch[0], cx)? - &batch[1])?.square()?.mean_all()?])
    /// });
    /// let mut run = trainer.start(&Device::cpu()?)?;
    /// let (first, second) = (run.pass(&data)?[0], run.pass(&data)?[0]);
    /// assert!(second < first && run.steps_done() == 4);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`FunctionRun::steps`], and when the training rows fill no batch or cannot be read: the run is then in its state
    /// before the step that needs them.
    pub fn pass(&mut self, data: &Dataset) -> Result<Vec<f64>> {
        let size = self.batch.first().and_then(|ty| ty.shape.first()).copied().unwrap_or(0);
        let rows = &data.splits.train;
        let Some(steps) = rows.len().checked_div(size).filter(|&steps| steps > 0) else {
            return Err(Error::value("rows", format!("a batch of {size} at least"), rows.len()));
        };
        let shuffle = Shuffle { seed: self.seed, epoch: self.step / steps as u64 };
        let is_shuffled = !data.reader.as_ref().is_some_and(Reader::is_sequential);
        if let (Some(blocks), false) = (self.shuffle_blocks, is_shuffled) {
            let expected = "none, as the rows come one after another";
            return Err(Error::value("shuffle_blocks", expected, format!("{blocks:?}")));
        }
        let order = match self.shuffle_blocks {
            None => epoch_order(rows, size, LastBatch::Drop, is_shuffled.then_some(shuffle))?,
            Some(blocks) => epoch_order(&block_order(rows, blocks, shuffle)?, size, LastBatch::Drop, None)?,
        };
        let done = (self.step % steps as u64) as usize;
        let calls = self.calls(&order, done, data.is_in_memory());
        let ahead = data.reader.clone().map(Ahead::new);
        let mut sums: Vec<f64> = Vec::new();
        for (i, rows) in calls.iter().enumerate() {
            let batch = match &ahead {
                None => data.read(rows)?,
                Some(ahead) => data.arrange(Some(ahead.take(rows)?), rows)?,
            };
            if let (Some(ahead), Some(next)) = (&ahead, calls.get(i + 1)) {
                ahead.expect(next);
            }
            let stacked = self.stacked(data, batch, rows.len() / size)?;
            let results = self.steps(&stacked)?;
            sums.resize(results.len(), 0.0);
            sums.iter_mut().zip(&results).for_each(|(sum, values)| *sum += values.values().sum::<f64>());
        }
        Ok(sums.into_iter().map(|sum| sum / (steps - done) as f64).collect())
    }

    /// The rows of each remaining call of a pass with `done` steps done: one call where the data is in memory,
    /// otherwise calls with as many steps as fit into memory. The number of steps divides the pass where it can, so
    /// that one program serves.
    fn calls(&self, order: &Order, done: usize, is_in_memory: bool) -> Vec<Vec<u32>> {
        let steps = order.steps();
        let size = order.rows.len() / steps.max(1);
        let bytes: usize = self.batch.iter().map(|ty| crate::array::count(&ty.shape) * ty.dtype.size()).sum();
        let most = (MOST_BYTES / bytes.max(1)).clamp(1, steps);
        let call = match is_in_memory {
            true => steps,
            false => (most.div_ceil(2)..=most).rev().find(|call| steps.is_multiple_of(*call)).unwrap_or(most),
        };
        let mut calls = Vec::new();
        let mut from = done;
        while from < steps {
            // Up to the places where a pass that began at its first step makes its calls.
            let to = ((from / call + 1) * call).min(steps);
            calls.push(order.rows[from * size..to * size].to_vec());
            from = to;
        }
        calls
    }

    /// A batch as the function takes it, of `steps` steps.
    fn stacked(&self, data: &Dataset, batch: Batch, steps: usize) -> Result<Vec<Array>> {
        let Batch { inputs, targets } = batch;
        let targets = data
            .all_targets()
            .zip(&targets)
            .filter_map(|(target, values)| values.as_ref().map(|values| targets::on_device(target, values)));
        let arrays = inputs.into_iter().map(Ok).chain(targets).take(self.batch.len());
        let stacked = arrays.map(|array| {
            let array = array?;
            let shape = [&[steps, array.shape()[0] / steps], &array.shape()[1..]].concat();
            array.reshape(&shape)
        });
        stacked.collect()
    }
}
