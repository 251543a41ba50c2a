//! Passes over a data set.

use super::FunctionRun;
use crate::array::Array;
use crate::data::{Dataset, LastBatch, Shuffle, epoch_order};
use crate::error::{Error, Result};
use crate::train::targets;

impl FunctionRun<'_> {
    /// A pass over the training rows of `data`: the mean of each result over its steps. A batch is made of the inputs in
    /// their order as they are stored, and then of the targets, as many as the function takes; rows that fill no batch are
    /// left out. The order of the rows is a function of the seed and the steps done, so that a run that was restored goes on
    /// as one that was not.
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
    /// As [`FunctionRun::steps`], and when the training rows fill no batch.
    pub fn pass(&mut self, data: &Dataset) -> Result<Vec<f64>> {
        let size = self.batch.first().and_then(|ty| ty.shape.first()).copied().unwrap_or(0);
        let rows = &data.splits.train;
        let Some(steps) = rows.len().checked_div(size).filter(|&steps| steps > 0) else {
            return Err(Error::value("rows", format!("a batch of {size} at least"), rows.len()));
        };
        let shuffle = Shuffle { seed: self.seed, epoch: self.step / steps as u64 };
        let order = epoch_order(rows, size, LastBatch::Drop, Some(shuffle))?;
        let inputs = data.all_inputs().map(|input| input.samples(&order.rows).map(Some));
        let targets = data.all_targets().map(|target| targets::upload(target, Some(&order.rows)));
        let arrays = inputs.chain(targets).filter_map(Result::transpose).take(self.batch.len());
        let stacked = arrays.map(|array| {
            let array = array?;
            let shape = [&[steps, size], &array.shape()[1..]].concat();
            array.reshape(&shape)
        });
        self.means(&stacked.collect::<Result<Vec<Array>>>()?)
    }
}
