//! A model compiled once for many predictions.

use super::{Description, Model};
use crate::array::{Array, count};
use crate::error::{Error, Result};
use crate::runtime::{Buffer, Device, Program};
use crate::variables::Variable;

/// Rows that go through a model at once.
const MOST_ROWS: usize = 1000;

/// A model on a device, compiled for some rows at a time, with its values uploaded; see [`Model::compile`].
///
/// ```
/// # use neural::{Array, DType, model::{Description, Link, Model}, nn};
/// # let description = Description::new(nn::sequential([nn::dense(1)]), Link::Identity, &[2], DType::F32);
/// # let value = |name: &str| match name {
/// #     "0.weight" => Array::new(&[1, 2], vec![2f32, 3.0]).ok(),
/// #     _ => Some(Array::vector(&[1f32])),
/// # };
/// use neural::runtime::Device;
/// let predictor = Model::new(description, value)?.compile(&Device::cpu()?, 2)?;
/// for rows in [1, 2, 5] {
///     let answers = predictor.predict(&Array::full(DType::F32, &[rows, 2], 10.0))?;
///     assert_eq!(answers.to_vec::<f32>()?, vec![2.0 * 10.0 + 3.0 * 10.0 + 1.0; rows]);
/// }
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Debug)]
pub struct Predictor {
    description: Description,
    device: Device,
    program: Program,
    values: Vec<Buffer>,
    batch: usize,
    /// Of each answer for a row.
    shapes: Vec<Vec<usize>>,
}

impl Model {
    /// Compiles the model for `rows` rows at a time, at most 1,000, and brings its values to the device. Compiling takes
    /// a while; predictions of the [`Predictor`] then take what the computation takes.
    ///
    /// # Errors
    /// When the layers do not fit the samples, or the device fails.
    pub fn compile(&self, device: &Device, rows: usize) -> Result<Predictor> {
        let batch = rows.clamp(1, MOST_ROWS);
        let function = self.function(batch)?;
        let shapes = function.outputs().iter().map(|y| y.shape()[1..].to_vec()).collect();
        let program = Program::compile(device, &function, 0)?;
        let upload = |(_, value): &(Variable, Array)| Buffer::upload(device, value);
        let values = self.variables.iter().map(upload).collect::<Result<_>>()?;
        let (description, device) = (self.description.clone(), device.clone());
        Ok(Predictor { description, device, program, values, batch, shapes })
    }
}

impl Predictor {
    /// What the model is besides its values.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// The number of rows that go through the model at once.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// As [`Model::predict`], of any number of rows.
    ///
    /// # Errors
    /// As [`Model::predict`].
    pub fn predict(&self, samples: &Array) -> Result<Array> {
        let mut answers = self.predict_all(std::slice::from_ref(samples))?;
        match (answers.pop(), answers.len()) {
            (Some(answer), 0) => Ok(answer),
            (_, more) => Err(Error::value("predict", "a model of one output; see predict_all", more + 1)),
        }
    }

    /// As [`Model::predict_all`].
    ///
    /// # Errors
    /// As [`Model::predict_all`].
    pub fn predict_all(&self, samples: &[Array]) -> Result<Vec<Array>> {
        let inputs = self.description.reads();
        let total = samples.first().and_then(|samples| samples.shape().first()).copied().unwrap_or(0);
        if samples.len() != inputs.len() || samples.iter().any(|x| x.shape().first() != Some(&total)) {
            let names: Vec<&str> = inputs.iter().map(|input| input.name).collect();
            let expected = format!("as many rows of each of the inputs {}", names.join(", "));
            let got: Vec<String> = samples.iter().map(|x| format!("{:?}", x.shape())).collect();
            return Err(Error::shape("samples", expected, got.join(", ")));
        }
        let samples =
            inputs.iter().zip(samples).map(|(input, x)| input.samples(x)).collect::<Result<Vec<_>>>()?;
        let mut answers: Vec<Vec<f32>> =
            self.shapes.iter().map(|shape| Vec::with_capacity(total * count(shape))).collect();
        for from in (0..total).step_by(self.batch) {
            let rows = self.batch.min(total - from);
            let mut uploaded = Vec::new();
            for (input, samples) in inputs.iter().zip(&samples) {
                let row = input.dtype.size() * count(input.sample);
                let mut bytes = samples.bytes()[from * row..(from + rows) * row].to_vec();
                // The last batch is filled with zeros, whose results are left out.
                bytes.resize(self.batch * row, 0);
                let x = Array::from_bytes(input.dtype, &[&[self.batch], input.sample].concat(), bytes)?;
                uploaded.push(Buffer::upload(&self.device, &x)?);
            }
            let arguments: Vec<&Buffer> = self.values.iter().chain(&uploaded).collect();
            let results = self.program.run(Vec::new(), &arguments)?;
            for ((answer, result), shape) in answers.iter_mut().zip(&results).zip(&self.shapes) {
                answer.extend(&result.download()?.to_vec::<f32>()?[..rows * count(shape)]);
            }
        }
        let answer =
            |(shape, answer): (&Vec<usize>, Vec<f32>)| Array::new(&[&[total], &shape[..]].concat(), answer);
        self.shapes.iter().zip(answers).map(answer).collect()
    }
}
