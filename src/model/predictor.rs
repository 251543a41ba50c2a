//! A model compiled once for many predictions.

use super::{Description, Model};
use crate::array::{Array, count};
use crate::error::Result;
use crate::runtime::{Buffer, Device, Program};
use crate::variables::Variable;

/// Rows that go through a model at once.
const MOST_ROWS: usize = 1000;

/// A model on a device, compiled for batches of one size, with its values uploaded.
///
/// ```
/// # use neural::{Array, DType, data::Scaling, model::{Description, Link, Model}, nn};
/// # let description = Description {
/// #     layers: nn::sequential([nn::dense(1)]),
/// #     link: Link::Identity,
/// #     sample: vec![2],
/// #     dtype: DType::F32,
/// #     scaling: Scaling::none(),
/// #     target_scaling: Scaling::none(),
/// #     target: String::new(),
/// #     columns: Vec::new(),
/// #     classes: Vec::new(),
/// # };
/// # let value = |name: &str| match name {
/// #     "0.weight" => Array::new(&[1, 2], vec![2f32, 3.0]).ok(),
/// #     _ => Some(Array::vector(&[1f32])),
/// # };
/// use neural::{model::Predictor, runtime::Device};
/// let (model, device) = (Model::new(description, value)?, Device::cpu()?);
/// let predictor = Predictor::new(&model, &device, 2)?;
/// for x in [10f32, 20.0] {
///     let answer = predictor.predict(&Array::new(&[1, 2], vec![x, 1.0])?)?;
///     assert_eq!(answer.to_vec::<f32>()?, [2.0 * x + 3.0 + 1.0]);
/// }
/// # Ok::<(), neural::Error>(())
/// ```
pub struct Predictor<'a> {
    model: &'a Model,
    device: &'a Device,
    program: Program,
    values: Vec<Buffer>,
    batch: usize,
    width: usize,
}

impl<'a> Predictor<'a> {
    /// Compiles the model for `batch` rows at a time, at most 1,000.
    ///
    /// ```
    /// # use neural::{Array, DType, data::Scaling, model::{Description, Link, Model}, nn};
    /// # let description = Description {
    /// #     layers: nn::sequential([nn::dense(1)]),
    /// #     link: Link::Identity,
    /// #     sample: vec![2],
    /// #     dtype: DType::F32,
    /// #     scaling: Scaling::none(),
    /// #     target_scaling: Scaling::none(),
    /// #     target: String::new(),
    /// #     columns: Vec::new(),
    /// #     classes: Vec::new(),
    /// # };
    /// # let value = |name: &str| match name {
    /// #     "0.weight" => Array::new(&[1, 2], vec![2f32, 3.0]).ok(),
    /// #     _ => Some(Array::vector(&[1f32])),
    /// # };
    /// use neural::{model::Predictor, runtime::Device};
    /// let model = Model::new(description, value)?;
    /// assert_eq!(Predictor::new(&model, &Device::cpu()?, 1_000_000)?.batch(), 1000);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the layers do not fit the samples, or the device fails.
    pub fn new(model: &'a Model, device: &'a Device, batch: usize) -> Result<Self> {
        let batch = batch.clamp(1, MOST_ROWS);
        let function = model.function(batch)?;
        let width = function.outputs()[0].shape()[1];
        let program = Program::compile(device, &function, 0)?;
        let upload = |(_, value): &(Variable, Array)| Buffer::upload(device, value);
        let values = model.variables.iter().map(upload).collect::<Result<_>>()?;
        Ok(Self { model, device, program, values, batch, width })
    }

    /// The number of rows that go through the model at once.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// As [`Model::predict`].
    ///
    /// # Errors
    /// As [`Model::predict`].
    pub fn predict(&self, samples: &Array) -> Result<Array> {
        let Description { sample, dtype, .. } = &self.model.description;
        let samples = self.model.description.samples(samples)?;
        let total = samples.shape()[0];
        let row = dtype.size() * count(sample);
        let mut outputs: Vec<f32> = Vec::with_capacity(total * self.width);
        for from in (0..total).step_by(self.batch) {
            let rows = self.batch.min(total - from);
            let mut bytes = samples.bytes()[from * row..(from + rows) * row].to_vec();
            // The last batch is filled with zeros, whose results are left out.
            bytes.resize(self.batch * row, 0);
            let x = Array::from_bytes(*dtype, &[&[self.batch], &sample[..]].concat(), bytes)?;
            let x = Buffer::upload(self.device, &x)?;
            let arguments: Vec<&Buffer> = self.values.iter().chain([&x]).collect();
            let results = self.program.run(Vec::new(), &arguments)?;
            outputs.extend(&results[0].download()?.to_vec::<f32>()?[..rows * self.width]);
        }
        Array::new(&[total, self.width], outputs)
    }
}
