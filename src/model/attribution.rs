//! Integrated gradients: the part of each number of a sample in an answer.

use super::{Description, Model};
use crate::array::{Array, DType, count};
use crate::error::{Error, Result};
use crate::graph::{Function, gradients};
use crate::runtime::{Buffer, Device, Program};

/// Points of a path that go through a model at once.
const MOST_POINTS: usize = 128;

/// A model compiled for integrated gradients, see [`Model::attributor`].
#[derive(Debug)]
pub struct Attributor {
    device: Device,
    program: Program,
    values: Vec<Buffer>,
    batch: usize,
    steps: usize,
    sample: Vec<usize>,
    /// Numbers of an answer.
    width: usize,
}

impl Model {
    /// Compiles the gradients of the model's first answer for its samples, to be added up over `steps` points of a path.
    ///
    /// Integrated gradients (Sundararajan, Taly and Yan 2017) go along a straight line from a baseline `b` to a sample
    /// `x`. With `F` the answer, the part of number `i` of the sample is
    ///
    /// `(xᵢ - bᵢ) / steps · Σₖ ∂F/∂xᵢ (b + (k + ½) / steps · (x - b))`, k from 0 to steps - 1
    ///
    /// The sum of the parts approaches `F(x) - F(b)` as the number of steps grows.
    ///
    /// # Errors
    /// When the model reads token ids or several inputs, or the device fails.
    pub fn attributor(&self, device: &Device, steps: usize) -> Result<Attributor> {
        let reads = self.description.reads();
        let ([read], true) = (&reads[..], steps > 0) else {
            return Err(Error::value(
                "attributor",
                "a model of one input, and at least one step",
                reads.len(),
            ));
        };
        if read.vocabulary.is_some() {
            let expected = "samples of numbers, which have gradients";
            return Err(Error::value("attributor", expected, "token ids"));
        }
        let batch = steps.min(MOST_POINTS);
        // Points between two pictures are no bytes.
        let smooth = Description { dtype: DType::F32, ..self.description.clone() };
        let (graph, answers, _) = Model::of(smooth, self.variables.clone()).build(batch, false)?;
        let (Some(answer), Some(x)) = (answers.first(), graph.parameters().pop()) else {
            return Err(Error::value("attributor", "a model with an input and an answer", "none"));
        };
        let width = count(&answer.shape()[1..]);
        let weights = graph.parameter(DType::F32, &[batch, width]);
        let weighted = (answer.reshape(&[batch, width])? * &weights)?.sum_all()?;
        let gradient = gradients(&weighted, &[&x])?.remove(0).sum(&[0])?;
        let program = Program::compile(device, &Function::new(&graph, vec![gradient]), 0)?;
        let upload = |(_, value): &(_, Array)| Buffer::upload(device, value);
        let values = self.variables.iter().map(upload).collect::<Result<_>>()?;
        let (device, sample) = (device.clone(), read.sample.to_vec());
        Ok(Attributor { device, program, values, batch, steps, sample, width })
    }
}

impl Attributor {
    /// Attributes the answer to the numbers of `sample` `[sample…]`: how much each adds to the sum of the answer's
    /// numbers times `weights`, compared with the sum for `baseline`.
    ///
    /// ```
    /// # use neural::{Array, DType, model::{Description, Link, Model}, nn, runtime::Device};
    /// let description = Description::new(nn::sequential([nn::dense(1)]), Link::Identity, &[2], DType::F32);
    /// # let value = |name: &str| match name {
    /// #     "0.weight" => Array::new(&[1, 2], vec![2f32, -3.0]).ok(),
    /// #     _ => Some(Array::vector(&[1f32])),
    /// # };
    /// let model = Model::new(description, value)?; // 2 x - 3 y + 1
    /// let attributor = model.attributor(&Device::cpu()?, 10)?;
    /// let parts = attributor.attribute(&[5.0, 1.0], &[1.0, 0.0], &[1.0])?;
    /// assert!((parts[0] - 2.0 * (5.0 - 1.0)).abs() < 1e-5 && (parts[1] + 3.0).abs() < 1e-5);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the sample or the baseline is of another size, the weights are not one for each number of an answer, or the
    /// device fails.
    pub fn attribute(&self, sample: &[f64], baseline: &[f64], weights: &[f64]) -> Result<Vec<f64>> {
        let size = count(&self.sample);
        if [sample.len(), baseline.len(), weights.len()] != [size, size, self.width] {
            let expected = format!("{size} numbers of each, and {} weights", self.width);
            let got = format!("{}, {} and {}", sample.len(), baseline.len(), weights.len());
            return Err(Error::shape("sample and baseline", expected, got));
        }
        let shape = [&[self.batch], &self.sample[..]].concat();
        let mut sums = vec![0.0; size];
        for from in (0..self.steps).step_by(self.batch) {
            let (mut points, mut weighted) = (Vec::new(), Vec::new());
            for step in from..from + self.batch {
                // Points beyond the last fill the batch up and count for nothing.
                let share = if step < self.steps { 1.0 / self.steps as f64 } else { 0.0 };
                let along = (step as f64 + 0.5) / self.steps as f64;
                points.extend(baseline.iter().zip(sample).map(|(b, x)| (b + along * (x - b)) as f32));
                weighted.extend(weights.iter().map(|weight| (weight * share) as f32));
            }
            let points = Array::new(&shape, points)?;
            let weighted = Array::new(&[self.batch, self.width], weighted)?;
            let given = [Buffer::upload(&self.device, &points)?, Buffer::upload(&self.device, &weighted)?];
            let arguments: Vec<&Buffer> = self.values.iter().chain(&given).collect();
            let results = self.program.run(Vec::new(), &arguments)?;
            let gradient = results.first().map(Buffer::download).transpose()?.as_ref().map(Array::to_f64);
            sums.iter_mut().zip(gradient.unwrap_or_default()).for_each(|(sum, part)| *sum += part);
        }
        let parts = sums.iter().zip(sample).zip(baseline).map(|((sum, x), b)| (x - b) * sum);
        Ok(parts.collect())
    }
}
