//! A model compiled once for many predictions.

use super::{Description, Model};
use crate::array::{Array, count};
use crate::error::{Error, Result};
use crate::graph::Type;
use crate::runtime::{Buffer, Device, Program};
use crate::variables::Variable;
use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    compiled: Arc<Compiled>,
    values: Vec<Buffer>,
}

/// All of a [`Predictor`] but the model's values.
#[derive(Debug)]
struct Compiled {
    description: Description,
    device: Device,
    program: Program,
    batch: usize,
    /// The shape of each answer for a row.
    shapes: Vec<Vec<usize>>,
}

impl Compiled {
    fn new(model: &Model, device: &Device, rows: usize) -> Result<Self> {
        let batch = batch_of(rows);
        let function = model.function(batch)?;
        let shapes = function.outputs().iter().map(|y| y.shape()[1..].to_vec()).collect();
        let program = Program::compile(device, &function, 0)?;
        let (description, device) = (model.description.clone(), device.clone());
        Ok(Self { description, device, program, batch, shapes })
    }

    /// Whether it serves `rows` rows without computing twice as many.
    fn suits(&self, model: &Model, device: &Device, rows: usize) -> bool {
        let wanted = batch_of(rows);
        (wanted..2 * wanted).contains(&self.batch)
            && self.device.is_same(device)
            && self.description == model.description
    }
}

pub(super) fn batch_of(rows: usize) -> usize {
    rows.clamp(1, MOST_ROWS)
}

/// The compiled program of a model's last prediction. Fields of the model may change after it, so it is compared with
/// the model each time, and it holds no values.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<Option<Arc<Compiled>>>);

impl Kept {
    fn last(&self) -> MutexGuard<'_, Option<Arc<Compiled>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clone for Kept {
    fn clone(&self) -> Self {
        Self(Mutex::new(self.last().clone()))
    }
}

impl Model {
    /// Compiles the model for `rows` rows at a time, at most 1,000, and copies its values to the device. Compiling
    /// takes a while; predictions of the [`Predictor`] then take only the time of the computation.
    ///
    /// # Errors
    /// When the layers do not fit the samples, or the device fails.
    pub fn compile(&self, device: &Device, rows: usize) -> Result<Predictor> {
        self.with_values(Arc::new(Compiled::new(self, device, rows)?))
    }

    /// As [`Model::compile`], with the program of the last prediction where it suits.
    pub(super) fn predictor(&self, device: &Device, rows: usize) -> Result<Predictor> {
        let kept = self.kept.last().clone().filter(|kept| kept.suits(self, device, rows));
        let compiled = match kept {
            Some(kept) => kept,
            None => self.kept.last().insert(Arc::new(Compiled::new(self, device, rows)?)).clone(),
        };
        self.with_values(compiled)
    }

    fn with_values(&self, compiled: Arc<Compiled>) -> Result<Predictor> {
        let upload = |(_, value): &(Variable, Array)| Buffer::upload(&compiled.device, value);
        let values = self.variables.iter().map(upload).collect::<Result<_>>()?;
        Ok(Predictor { compiled, values })
    }
}

impl Predictor {
    /// The model's description.
    pub fn description(&self) -> &Description {
        &self.compiled.description
    }

    /// The number of rows that go through the model at once.
    pub fn batch(&self) -> usize {
        self.compiled.batch
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
        let Compiled { description, device, program, batch, shapes } = &*self.compiled;
        let (batch, inputs) = (*batch, description.reads());
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
            shapes.iter().map(|shape| Vec::with_capacity(total * count(shape))).collect();
        for from in (0..total).step_by(batch) {
            let rows = batch.min(total - from);
            let mut uploaded = Vec::new();
            for (input, samples) in inputs.iter().zip(&samples) {
                let row = input.dtype.size() * count(input.sample);
                let mut bytes = Cow::Borrowed(&samples.bytes()[from * row..(from + rows) * row]);
                if rows < batch {
                    // The last batch is filled with zeros, whose results are left out.
                    bytes.to_mut().resize(batch * row, 0);
                }
                let ty = Type::new(input.dtype, &[&[batch], input.sample].concat());
                uploaded.push(Buffer::from_bytes(device, &ty, &bytes)?);
            }
            let arguments: Vec<&Buffer> = self.values.iter().chain(&uploaded).collect();
            let results = program.run(Vec::new(), &arguments)?;
            for ((answer, result), shape) in answers.iter_mut().zip(&results).zip(shapes) {
                answer.extend(&result.download()?.to_vec::<f32>()?[..rows * count(shape)]);
            }
        }
        let answer =
            |(shape, answer): (&Vec<usize>, Vec<f32>)| Array::new(&[&[total], &shape[..]].concat(), answer);
        shapes.iter().zip(answers).map(answer).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::DType;
    use crate::model::Link;
    use crate::nn;

    #[test]
    fn predictions_share_a_program_and_no_values() {
        let device = Device::cpu().unwrap();
        let description = Description::new(nn::sequential([nn::dense(1)]), Link::Identity, &[1], DType::F32);
        let value = |name: &str| Array::new(if name == "0.weight" { &[1, 1] } else { &[1] }, vec![3f32]).ok();
        let mut model = Model::new(description, value).unwrap();
        let compiled = |model: &Model, rows| model.predictor(&device, rows).unwrap().compiled;
        let first = compiled(&model, 8);
        assert!(Arc::ptr_eq(&first, &compiled(&model, 5)), "the last rows are filled up");
        assert!(Arc::ptr_eq(&first, &compiled(&model.clone(), 8)));
        assert_eq!(compiled(&model, 4).batch, 4, "8 rows are twice as many");
        assert_eq!(compiled(&model, 9).batch, 9);
        let other = Device::cpu().unwrap();
        assert!(model.predictor(&other, 9).unwrap().compiled.device.is_same(&other));

        let twos = Array::full(DType::F32, &[9, 1], 2.0);
        let predict = |model: &Model| model.predict(&device, &twos).unwrap().to_f64()[8];
        assert_eq!(predict(&model), 3.0 * 2.0 + 3.0);
        model.variables[0].1 = Array::full(DType::F32, &[1, 1], 5.0);
        assert_eq!(predict(&model), 5.0 * 2.0 + 3.0);
        model.description.link = Link::Sigmoid;
        assert!(predict(&model) < 1.0);
    }
}
