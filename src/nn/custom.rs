//! Custom layers and models.

use super::{Context, Layer, Module, Network};
use crate::error::{Error, Result};
use crate::graph::Tensor;
use crate::named::{self, Object};
use serde::Serializer;
use std::sync::Arc;

/// A named [`Module`] as a layer; equal to another only where both are the same object.
#[derive(Clone, Debug, PartialEq)]
pub struct Custom(pub(super) Object<dyn Module + Send + Sync>);

/// A layer from any module, such as a type of your own or a closure; `name` stands for it in messages.
///
/// It trains, resumes, is evaluated and compiled as every other layer. A file cannot hold it: a
/// [`Model`](crate::model::Model) with it is not written, and a checkpoint of the trainer is restored by the program that
/// has the module.
///
/// ```
/// use neural::nn::{self, Context, Dense};
/// use neural::{graph::Tensor, train::Trainer};
/// // Two branches over the same features, one of them gated by the other.
/// let gated = nn::custom("gated", |x: &Tensor, cx: &mut Context| {
///     let gate = cx.part("gate", "dense", &Dense::new(16), x)?.logistic()?;
///     &gate * cx.part("value", "dense", &Dense::new(16), x)?.tanh()?
/// });
/// let model = nn::sequential([gated, nn::dense(3)]);
/// let summary = model.summary(neural::DType::F32, &[4])?;
/// assert_eq!(summary.parameters(), 2 * 5 * 16 + 17 * 3);
/// let trainer = Trainer::new(model);
/// # Ok::<(), neural::Error>(())
/// ```
pub fn custom(name: &str, module: impl Module + Send + Sync + 'static) -> Layer {
    Layer::Custom(Custom(Object { name: name.to_string(), value: Arc::new(module) }))
}

impl Module for Custom {
    fn forward(&self, x: &Tensor, cx: &mut Context) -> Result<Tensor> {
        self.0.value.forward(x, cx)
    }
}

type Function = dyn Fn(&[Tensor], &mut Context) -> Result<Vec<Tensor>> + Send + Sync;

/// A function of named inputs as a model, see [`Network::custom`]; equal to another only where both are the same object.
#[derive(Clone, Debug, PartialEq)]
pub struct CustomNetwork {
    function: Object<Function>,
    pub(super) inputs: Vec<Input>,
    pub(super) outputs: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Input {
    pub name: String,
    pub vocabulary: Option<usize>,
    pub is_masked: bool,
}

impl Network {
    /// A model from a function of named inputs, which returns a result for each named output; `name` stands for it in
    /// messages. As [`custom`], a file cannot hold it.
    ///
    /// Padding that a part finds, an embedding's for example, masks the parts after it until another one finds its own:
    /// with several padded inputs, keep [`Context::positions`] of each and set them before the parts that read it.
    ///
    /// ```
    /// use neural::{loss, nn::{Context, Dense, Network}, train::{Goal, Trainer}};
    /// // A question about a table: which of its rows, and how much.
    /// let model = Network::custom("asks", ["question", "table"], ["row", "amount"], |[question, table], cx| {
    ///     let question = cx.part("question", "dense", &Dense::new(8), question)?;
    ///     let table = cx.part("table", "dense", &Dense::new(8), table)?;
    ///     let rows = (&table * question.broadcast_in(table.shape(), vec![0, 2])?)?.sum(&[2])?;
    ///     let amount = cx.part("amount", "dense", &Dense::new(1), &rows.softmax()?)?;
    ///     Ok([rows, amount])
    /// });
    /// let (variables, _, outputs) = model.declare(neural::DType::F32, &[("question", &[3]), ("table", &[5, 4])])?;
    /// assert_eq!((&*variables[0].name, outputs), ("question.weight", vec![vec![5], vec![1]]));
    /// let trainer = Trainer::new(model)
    ///     .goal(Goal::new("row", "row", loss::softmax_cross_entropy(), "row"))
    ///     .goal(Goal::new("amount", "amount", loss::Loss::MeanSquaredError, "amount"));
    /// # Ok::<(), neural::Error>(())
    /// ```
    pub fn custom<const I: usize, const O: usize>(
        name: &str,
        inputs: [&str; I],
        outputs: [&str; O],
        function: impl Fn(&[Tensor; I], &mut Context) -> Result<[Tensor; O]> + Send + Sync + 'static,
    ) -> Self {
        let function = move |inputs: &[Tensor], cx: &mut Context| {
            let inputs = inputs.try_into().map_err(|_| Error::value("inputs", I, inputs.len()))?;
            Ok(function(inputs, cx)?.into())
        };
        Self::Custom(CustomNetwork {
            function: Object { name: name.to_string(), value: Arc::new(function) },
            inputs: inputs
                .map(|name| Input { name: name.to_string(), vocabulary: None, is_masked: false })
                .into(),
            outputs: outputs.map(String::from).into(),
        })
    }

    /// The same custom model, with `input` read as token ids, i32 from 0 to below `vocabulary`. In other models an
    /// embedding says so.
    ///
    /// # Errors
    /// When the model is not custom, or has no such input.
    pub fn tokens(mut self, input: &str, vocabulary: usize) -> Result<Self> {
        self.custom_input(input)?.vocabulary = Some(vocabulary);
        Ok(self)
    }

    /// The same custom model, whose function takes padded sequences of numbers as `input`, by
    /// [`Layer::Masking`]. In other models that layer says so.
    ///
    /// # Errors
    /// As [`Network::tokens`].
    pub fn masked(mut self, input: &str) -> Result<Self> {
        self.custom_input(input)?.is_masked = true;
        Ok(self)
    }

    fn custom_input(&mut self, name: &str) -> Result<&mut Input> {
        let Self::Custom(custom) = self else {
            return Err(Error::value(
                "model",
                "one of Network::custom, whose inputs are described",
                "another",
            ));
        };
        let names: Vec<String> = custom.inputs.iter().map(|input| input.name.clone()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let input = custom.inputs.iter_mut().find(|input| input.name == name);
        input.ok_or_else(|| {
            Error::value("input", format!("one of {}", names.join(", ")), named::got(name, &names))
        })
    }
}

impl CustomNetwork {
    pub(super) fn forward(&self, inputs: &[(&str, Tensor)], cx: &mut Context) -> Result<Vec<Tensor>> {
        let taken = self.inputs.iter().map(|Input { name, .. }| {
            let found = inputs.iter().find(|(known, _)| known == name);
            found.map(|(_, x)| x.clone()).ok_or_else(|| {
                let names: Vec<&str> = inputs.iter().map(|(name, _)| *name).collect();
                Error::value(
                    "inputs",
                    format!("one that is called {name}"),
                    named::got(&names.join(", "), &[]),
                )
            })
        });
        let build = |taken: Vec<Tensor>| {
            let results = (self.function.value)(&taken, cx)?;
            let batch = taken.first().and_then(|x| x.shape().first());
            for (name, y) in self.outputs.iter().zip(&results) {
                let rows = y.shape().first();
                if rows.is_none() || (batch.is_some() && rows != batch) {
                    return Err(Error::shape(
                        format!("output {name}"),
                        "a result for each row, [batch, …]",
                        y.ty(),
                    ));
                }
            }
            Ok(results)
        };
        let results = taken.collect::<Result<Vec<_>>>().and_then(build);
        results.map_err(|error| error.of(&format!("model {}", self.function.name)))
    }

    /// The error of a place that needs a model of layers or nodes.
    pub(crate) fn refused(&self) -> Error {
        let got = format!("{}, one of Network::custom", self.function.name);
        Error::value("model", "a model of layers or nodes, which a file can hold", got)
    }
}

/// Serialises no custom model: a file cannot hold its function.
pub(super) fn refuse<S: Serializer>(custom: &CustomNetwork, _: S) -> std::result::Result<S::Ok, S::Error> {
    Err(serde::ser::Error::custom(custom.refused()))
}
