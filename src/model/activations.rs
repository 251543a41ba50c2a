//! The ranges of a model's intermediate values, for quantisation to eight bits.

use super::Model;
use super::predictor::batch_of;
use crate::array::{Array, DType};
use crate::error::{Error, Result};
use crate::graph::Function;
use crate::runtime::{Device, Program};
use std::collections::BTreeMap;

/// Rows that go through a model at once: the results of all its layers are in memory at the same time.
const MOST_ROWS: usize = 64;

/// The min and max over some samples at each place of a model, NaN where a value is NaN, see [`Model::activations`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Activations(BTreeMap<String, (f64, f64)>);

impl Activations {
    /// The range at a place: the name of a weight, such as `0.weight`, for the values that it is multiplied with, or
    /// the path of a layer, such as `0`, for its results.
    pub fn range(&self, place: &str) -> Option<(f64, f64)> {
        self.0.get(place).copied()
    }
}

impl Model {
    /// The ranges that the values within the model take on samples of each of its inputs, in the order of
    /// [`Description::reads`](super::Description::reads).
    ///
    /// ```
    /// # use neural::{Array, DType, model::{Description, Link, Model}, nn};
    /// let description = Description::new(nn::sequential([nn::dense(1)]), Link::Identity, &[1], DType::F32);
    /// # let value = |name: &str| Array::new(if name == "0.weight" { &[1, 1] } else { &[1] }, vec![3f32]).ok();
    /// let model = Model::new(description, value)?; // 3 x + 3
    /// let samples = Array::new(&[3, 1], vec![-1f32, 0.0, 2.0])?;
    /// let ranges = model.activations(&neural::runtime::Device::cpu()?, &[samples])?;
    /// assert_eq!((ranges.range("0.weight"), ranges.range("0")), (Some((-1.0, 2.0)), Some((0.0, 9.0))));
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When there is no sample, they do not fit the model, or the device fails.
    pub fn activations(&self, device: &Device, samples: &[Array]) -> Result<Activations> {
        let reads = self.description.reads();
        let rows = samples.first().and_then(|samples| samples.shape().first()).copied().unwrap_or(0);
        if rows == 0 || samples.len() != reads.len() || samples.iter().any(|x| x.shape()[0] != rows) {
            let expected = format!("as many rows, at least one, of each of {} inputs", reads.len());
            return Err(Error::shape("samples", expected, format!("{} arrays, {rows} rows", samples.len())));
        }
        let samples =
            reads.iter().zip(samples).map(|(read, x)| read.samples(x)).collect::<Result<Vec<_>>>()?;
        let batch = batch_of(rows).min(MOST_ROWS);
        let (graph, _, observed) = self.build(batch, true)?;
        let (mut places, mut ends) = (Vec::new(), Vec::new());
        for (place, x) in observed.into_iter().filter(|(_, x)| x.dtype() == DType::F32) {
            let all: Vec<usize> = (0..x.rank()).collect();
            ends.extend([x.min(&all)?, x.max(&all)?]);
            places.push(place);
        }
        let program = Program::compile(device, &Function::new(&graph, ends), 0)?;
        let values: Vec<Array> = self.variables.iter().map(|(_, value)| value.clone()).collect();
        let mut found: BTreeMap<String, (f64, f64)> = BTreeMap::new();
        for from in (0..rows).step_by(batch) {
            // The last batch is filled up with a row again, which widens no range.
            let chosen: Vec<u32> = (from..from + batch).map(|row| row.min(rows - 1) as u32).collect();
            let mut arguments = values.clone();
            for x in &samples {
                arguments.push(crate::data::gather(x, &chosen)?);
            }
            let ends = program.call(device, &arguments)?;
            for (place, ends) in places.iter().zip(ends.chunks_exact(2)) {
                let [low, high] = [0, 1].map(|i| ends[i].to_f64()[0]);
                let (least, most) = found.entry(place.clone()).or_insert((low, high));
                // Unlike `f64::min`, which leaves NaN out.
                let is_nan = least.is_nan() || low.is_nan();
                (*least, *most) =
                    if is_nan { (f64::NAN, f64::NAN) } else { (least.min(low), most.max(high)) };
            }
        }
        Ok(Activations(found))
    }
}
