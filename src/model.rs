//! A trained model: all that prediction and export need, and nothing about its training.

mod activations;
mod adapt;
mod attribution;
mod classes;
mod others;
mod predictor;
mod temperature;

pub use activations::Activations;
pub use attribution::Attributor;
pub(crate) use classes::class_name;
pub(crate) use others::Trained;
pub use others::{Answer, OtherInput, OtherOutput, Others, Reads};
pub use predictor::Predictor;
pub(crate) use temperature::tempered;

use crate::array::{Array, DType, count};
use crate::data::{Column, Dataset, Scaling, Targets, check_token_scaling};
use crate::error::{Error, Result};
use crate::graph::{Function, Graph, Tensor};
use crate::loss::{Loss, Outputs};
use crate::nn::{Context, Network};
use crate::runtime::Device;
use crate::variables::{Variable, Variables};
use predictor::Kept;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The description of a model: everything but its values.
///
/// ```
/// use neural::{Array, DType, model::{Description, Link, Model}, nn};
/// let description = Description::new(nn::sequential([nn::dense(1)]), Link::Identity, &[2], DType::F32);
/// let value = |name: &str| match name {
///     "0.weight" => Array::new(&[1, 2], vec![2f32, 3.0]).ok(),
///     _ => Some(Array::vector(&[1f32])),
/// };
/// let model = Model::new(description, value)?;
/// assert_eq!(model.variables.len(), 2);
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// The network.
    pub layers: Network,
    /// The function that turns the outputs of the last layer into answers.
    pub link: Link,
    /// The shape of one sample.
    pub sample: Vec<usize>,
    /// The type of a sample's numbers: i32 for token ids, u8 for pictures as they were stored, f32 for all else.
    pub dtype: DType,
    /// The model's first step: (input - mean) / deviation.
    pub scaling: Scaling,
    /// The model's last step, of values alone: output * deviation + mean.
    #[serde(default, skip_serializing_if = "Scaling::is_none")]
    pub target_scaling: Scaling,
    /// The name of the targets; empty where nothing names them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub target: String,
    /// The columns that a table's features are made from; empty if the data was no table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<Column>,
    /// The names of the classes; empty if the model predicts values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// The inputs and outputs besides the first.
    #[serde(default, skip_serializing_if = "Others::is_none")]
    pub others: Others,
}

impl Description {
    /// A model for samples of this shape and type, with nothing scaled, named or made from columns.
    ///
    /// ```
    /// use neural::{DType, model::{Description, Link}, nn};
    /// let layers = nn::sequential([nn::dense(3)]);
    /// let classes = ["elm", "oak", "fir"].map(String::from).to_vec();
    /// let trees = Description { classes, ..Description::new(layers, Link::Softmax, &[2], DType::F32) };
    /// assert!(trees.columns.is_empty());
    /// ```
    pub fn new(layers: impl Into<Network>, link: Link, sample: &[usize], dtype: DType) -> Self {
        Self {
            layers: layers.into(),
            link,
            sample: sample.to_vec(),
            dtype,
            scaling: Scaling::none(),
            target_scaling: Scaling::none(),
            target: String::new(),
            columns: Vec::new(),
            classes: Vec::new(),
            others: Others::default(),
        }
    }
}

/// The function that turns the last layer's outputs into answers.
///
/// ```
/// use neural::{loss, model::Link};
/// assert_eq!(Link::of(&loss::sigmoid_cross_entropy()), Link::Sigmoid);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Link {
    /// The outputs unchanged: values, or unnormalised scores.
    Identity,
    /// eˣ / Σ eˣ: probabilities of classes that exclude each other.
    Softmax,
    /// 1 / (1 + e⁻ˣ): for each output the probability of yes.
    Sigmoid,
}

impl Link {
    /// The one that belongs to a loss.
    pub fn of(loss: &Loss) -> Self {
        match loss.outputs() {
            Outputs::Classes => Self::Softmax,
            Outputs::Labels => Self::Sigmoid,
            Outputs::Scores | Outputs::Values => Self::Identity,
        }
    }

    /// The scaling to undo on outputs of this link. An output trained to equal the inputs is in their unit, unless it
    /// is a probability.
    pub(crate) fn scaling<'a>(
        self,
        targets: &Targets,
        of_targets: &'a Scaling,
        of_inputs: &'a Scaling,
    ) -> &'a Scaling {
        match (self, targets) {
            (Self::Identity, Targets::Inputs) => of_inputs,
            _ => of_targets,
        }
    }

    fn apply(self, outputs: &Tensor) -> Result<Tensor> {
        match self {
            Self::Identity => Ok(outputs.clone()),
            Self::Softmax => outputs.softmax(),
            Self::Sigmoid => outputs.logistic(),
        }
    }
}

/// A model with its values: parameters and running statistics.
///
/// ```
/// # use neural::{Array, DType, model::{Description, Link, Model}, nn};
/// # let description = Description::new(nn::sequential([nn::dense(1)]), Link::Identity, &[2], DType::F32);
/// # let value = |name: &str| match name {
/// #     "0.weight" => Array::new(&[1, 2], vec![2f32, 3.0]).ok(),
/// #     _ => Some(Array::vector(&[1f32])),
/// # };
/// use neural::runtime::Device;
/// let model = Model::new(description, value)?;
/// let answer = model.predict(&Device::cpu()?, &Array::new(&[1, 2], vec![10f32, 100.0])?)?;
/// assert_eq!(answer.to_vec::<f32>()?, [2.0 * 10.0 + 3.0 * 100.0 + 1.0]);
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Model {
    /// The network, its inputs and its answers.
    pub description: Description,
    /// In the order in which the layers declare them, named as in `PyTorch`: `0.weight`.
    pub variables: Vec<(Variable, Array)>,
    /// The epoch of training after which it had these values; `None` where it is not known, or an epoch was under way.
    /// ONNX and safetensors files hold it.
    pub epoch: Option<u64>,
    kept: Kept,
}

impl Description {
    /// The model that comes of training these layers with this loss on this data.
    pub fn of(layers: impl Into<Network>, loss: &Loss, data: &Dataset) -> Self {
        let (layers, link) = (layers.into(), Link::of(loss));
        Self {
            link,
            sample: data.sample_shape().to_vec(),
            dtype: sample_dtype(layers.vocabulary(data.input_name()), data.inputs.dtype()),
            scaling: data.scaling.clone(),
            target_scaling: link.scaling(&data.targets, &data.target_scaling, &data.scaling).clone(),
            target: data.target.clone(),
            columns: data.columns.clone(),
            classes: data.targets.names().to_vec(),
            layers,
            others: Others::default(),
        }
    }

    /// The variables that such a model has.
    ///
    /// # Errors
    /// When the layers do not fit the sample.
    pub fn declare(&self) -> Result<Vec<Variable>> {
        Ok(self.layers.declare(DType::F32, &self.sample_shapes())?.0)
    }

    /// Samples `[n, sample…]` of any type in the one that the model takes, with the same values.
    ///
    /// ```
    /// use neural::{Array, DType, model::{Description, Link}, nn};
    /// let layers = nn::sequential([nn::embedding(5, 2), nn::flatten(), nn::dense(1)]);
    /// let description = Description::new(layers, Link::Identity, &[2], DType::I32);
    /// let ids = Array::new(&[1, 2], vec![0i64, 4])?;
    /// assert_eq!(description.samples(&ids)?.to_vec::<i32>()?, [0, 4]);
    /// let error = description.samples(&Array::new(&[1, 2], vec![0i64, 5])?).unwrap_err();
    /// assert!(error.to_string().contains("from 0 to 4"));
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the samples have another shape, or a value has no place in the model's type: a token id that is fractional or
    /// not in the vocabulary, a number of a picture beyond 0 to 255, a number that is not finite in f32.
    pub fn samples<'a>(&self, samples: &'a Array) -> Result<Cow<'a, Array>> {
        match self.reads().first() {
            Some(input) => input.samples(samples),
            None => Err(Error::value("samples", "a model with an input", "none")),
        }
    }
}

/// The type of the samples of a model that is trained on `stored` ones.
fn sample_dtype(vocabulary: Option<usize>, stored: DType) -> DType {
    match (vocabulary, stored) {
        (Some(_), _) => DType::I32,
        (None, DType::U8) => DType::U8,
        (None, _) => DType::F32,
    }
}

/// A model's graph, its answers, and its observed values.
type Built = (Graph, Vec<Tensor>, Vec<(String, Tensor)>);

impl Model {
    /// A model from its values by name: `value` is called for each of its variables.
    ///
    /// ```
    /// # use neural::{Array, DType, model::{Description, Link, Model}, nn};
    /// # let description = Description::new(nn::sequential([nn::dense(1)]), Link::Identity, &[2], DType::F32);
    /// # let value = |name: &str| match name {
    /// #     "0.weight" => Array::new(&[1, 2], vec![2f32, 3.0]).ok(),
    /// #     _ => Some(Array::vector(&[1f32])),
    /// # };
    /// assert!(Model::new(description.clone(), value).is_ok());
    /// assert!(Model::new(description, |_| None).is_err());
    /// ```
    ///
    /// # Errors
    /// When a variable is missing or of another shape or type: the values belong to another model. When token ids are
    /// scaled.
    pub fn new(mut description: Description, value: impl Fn(&str) -> Option<Array>) -> Result<Self> {
        for input in description.reads().iter().filter(|input| input.vocabulary.is_some()) {
            check_token_scaling(input.scaling)?;
        }
        // Models of earlier versions have token ids as they were stored.
        let vocabulary = description.reads().first().and_then(|input| input.vocabulary);
        description.dtype = sample_dtype(vocabulary, description.dtype);
        let with_value = |variable: Variable| {
            let expected = format!("{:?} {:?}", variable.dtype, variable.shape);
            match value(&variable.name) {
                None => {
                    Err(Error::shape(variable.name, expected, "no such tensor, so another model's values"))
                }
                Some(array) if array.shape() != variable.shape || array.dtype() != variable.dtype => {
                    let got = format!("{:?} {:?}, so another model's values", array.dtype(), array.shape());
                    Err(Error::shape(variable.name, expected, got))
                }
                Some(array) => Ok((variable, array)),
            }
        };
        let variables = description.declare()?.into_iter().map(with_value).collect::<Result<_>>()?;
        Ok(Self::of(description, variables))
    }

    /// A model of the variables that the description declares.
    pub(crate) fn of(description: Description, variables: Vec<(Variable, Array)>) -> Self {
        Self { description, variables, epoch: None, kept: Kept::default() }
    }

    /// The value of a variable by its name, such as `0.weight`.
    pub fn value(&self, name: &str) -> Option<&Array> {
        self.variables.iter().find(|(variable, _)| variable.name == name).map(|(_, value)| value)
    }

    /// The model on `batch` samples. Arguments: the variables in order, then the samples `[batch, sample…]` of each
    /// input in stored form. Results: the answers `[batch, …, outputs]`, f32, after their links.
    ///
    /// # Errors
    /// When the layers do not fit the samples.
    pub fn function(&self, batch: usize) -> Result<Function> {
        let (graph, answers, _) = self.build(batch, false)?;
        Ok(Function::new(&graph, answers))
    }

    /// The graph of [`Model::function`], the answers in it, and if requested the values that [`Context::observing`]
    /// keeps.
    fn build(&self, batch: usize, is_observed: bool) -> Result<Built> {
        let graph = Graph::new();
        let list: Vec<Variable> = self.variables.iter().map(|(v, _)| v.clone()).collect();
        let state: Vec<_> = list.iter().map(|v| graph.parameter(v.dtype, &v.shape)).collect();
        let mut inputs = Vec::new();
        for Reads { name, sample, dtype, scaling, vocabulary, .. } in self.description.reads() {
            let mut x = graph.parameter(dtype, &[&[batch], sample].concat());
            if vocabulary.is_none() {
                x = x.convert(DType::F32)?;
            }
            if !scaling.is_none() {
                x = ((x - graph.constant(scaling.mean.clone()))?
                    / graph.constant(scaling.deviation.clone()))?;
            }
            inputs.push((name, x));
        }
        let layers = &self.description.layers;
        let mut variables = Variables::given(&graph, DType::F32, &list, &state);
        let cx = Context::evaluation(&mut variables);
        let mut cx = if is_observed { cx.observing() } else { cx };
        let outputs = layers.forward(&inputs, &mut cx)?;
        let observed = cx.into_observed();
        let names = layers.outputs();
        let mut answers = Vec::new();
        for Answer { output, link, target_scaling, .. } in self.description.answers() {
            let Some(outputs) = names.iter().zip(&outputs).find(|(name, _)| **name == output) else {
                return Err(Error::value("output", format!("one of {}", names.join(", ")), output));
            };
            let mut outputs = link.apply(outputs.1)?;
            if !target_scaling.is_none() {
                let shape = &outputs.shape()[1..];
                let constant = |array: &Array| -> Result<Tensor> {
                    Ok(graph.constant(match count(array.shape()) == count(shape) {
                        true => array.clone().reshape(shape)?,
                        false => array.clone(),
                    }))
                };
                let (mean, deviation) =
                    (constant(&target_scaling.mean)?, constant(&target_scaling.deviation)?);
                outputs = ((&outputs * deviation)? + mean)?;
            }
            answers.push(outputs);
        }
        Ok((graph, answers, observed))
    }

    /// The answers of a model with one input and one output for samples `[n, sample…]`, see [`Description::samples`]:
    /// f32 `[n, …, outputs]`, after the link. The first call compiles the program, which later calls with about as many
    /// rows reuse. Each call copies the values to the device, which [`Model::compile`] does once.
    ///
    /// ```
    /// # use neural::{Array, DType, model::{Description, Link, Model}, nn};
    /// # let description = Description::new(nn::sequential([nn::dense(1)]), Link::Identity, &[2], DType::F32);
    /// # let value = |name: &str| match name {
    /// #     "0.weight" => Array::new(&[1, 2], vec![2f32, 3.0]).ok(),
    /// #     _ => Some(Array::vector(&[1f32])),
    /// # };
    /// use neural::runtime::Device;
    /// let model = Model::new(description, value)?;
    /// let zeros = Array::zeros(DType::F32, &[3, 2]);
    /// assert_eq!(model.predict(&Device::cpu()?, &zeros)?.to_f64(), [1.0, 1.0, 1.0]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the samples do not fit the model, or the device fails.
    pub fn predict(&self, device: &Device, samples: &Array) -> Result<Array> {
        let rows = samples.shape().first().copied().unwrap_or(0);
        self.predictor(device, rows)?.predict(samples)
    }

    /// The model's answers for samples of each of its inputs, which are in the order of [`Description::reads`]; the
    /// answers are in the order of [`Description::answers`].
    ///
    /// # Errors
    /// When the samples do not fit the model, or the device fails.
    pub fn predict_all(&self, device: &Device, samples: &[Array]) -> Result<Vec<Array>> {
        let rows = samples.first().and_then(|samples| samples.shape().first()).copied().unwrap_or(0);
        self.predictor(device, rows)?.predict_all(samples)
    }
}
