//! Models with several inputs or outputs.

use super::{Description, Link, sample_dtype};
use crate::array::{Array, DType};
use crate::data::{Dataset, Scaling, TargetView, check_inputs, check_token_ids_of, place_among};
use crate::error::{Error, Result};
use crate::loss::Loss;
use crate::nn::Network;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The names of a model's first input and output, and all that is known of the others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Others {
    /// The name of the first input.
    pub input: String,
    /// The other inputs.
    pub inputs: Vec<OtherInput>,
    /// The name of the first output.
    pub name: String,
    /// The name of the output in the network.
    pub output: String,
    /// The other outputs.
    pub outputs: Vec<OtherOutput>,
}

/// An input besides the first; the fields have the same meaning as in [`Description`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtherInput {
    /// The name of the input in the network.
    pub name: String,
    /// The shape of one sample.
    pub sample: Vec<usize>,
    /// The type of its elements.
    pub dtype: DType,
    /// The scaling of raw values.
    pub scaling: Scaling,
}

/// An output besides the first; the fields have the same meaning as in [`Description`] and [`Others`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtherOutput {
    /// The name of the output.
    pub name: String,
    /// The node of the network that computes it.
    pub output: String,
    /// The function that turns the node's result into answers.
    pub link: Link,
    /// The name of the target that it was trained on.
    pub target: String,
    /// The scaling of that target.
    pub target_scaling: Scaling,
    /// The names of its classes; empty for values.
    pub classes: Vec<String>,
}

/// One of the inputs that a model reads.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Reads<'a> {
    /// The name in the network; empty where it is the only one.
    pub name: &'a str,
    /// The shape of one sample.
    pub sample: &'a [usize],
    /// The type of its elements.
    pub dtype: DType,
    /// The scaling of raw values.
    pub scaling: &'a Scaling,
    /// How many different token ids there may be, where an embedding reads them.
    pub vocabulary: Option<usize>,
    /// Whether samples may be sequences with NaN for padding, see [`pad`](crate::data::pad).
    pub is_masked: bool,
}

/// One of the answers that a model gives.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Answer<'a> {
    /// Empty where it is the only one.
    pub name: &'a str,
    /// The name of the output in the network.
    pub output: &'a str,
    /// The function that turns outputs into answers.
    pub link: Link,
    /// The name of the target that it was trained on.
    pub target: &'a str,
    /// The scaling of that target.
    pub target_scaling: &'a Scaling,
    /// The names of its classes; empty for values.
    pub classes: &'a [String],
}

impl Others {
    /// Whether the model has one input and one output.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// A goal of training, as a description needs it: the name of the answer, the network's output, the loss, and the target.
pub(crate) type Trained<'a> = (&'a str, &'a str, &'a Loss, TargetView<'a>);

impl Description {
    /// The model that comes of training for several goals.
    pub(crate) fn of_goals(network: &Network, goals: &[Trained], data: &Dataset) -> Result<Self> {
        let Some((first, rest)) = goals.split_first() else {
            return Err(Error::value("objectives", "at least one", "none"));
        };
        let one = |(name, output, loss, target): Trained| {
            let TargetView { name: target, targets, scaling } = target;
            let link = Link::of(loss);
            OtherOutput {
                name: name.to_string(),
                output: output.to_string(),
                link,
                target: target.to_string(),
                target_scaling: link.scaling(targets, scaling, &data.scaling).clone(),
                classes: targets.names().to_vec(),
            }
        };
        let OtherOutput { name, output, link, target, target_scaling, classes } = one(*first);
        let mut description =
            Self { link, target_scaling, target, classes, ..Self::of(network, first.2, data) };
        // Nodes refer to their input by its name.
        let is_named = !data.input.is_empty() && network.layers().is_none();
        if goals.len() > 1 || !data.more_inputs.is_empty() || is_named {
            let input = |input: &crate::data::Input| OtherInput {
                name: input.name.clone(),
                sample: input.values.shape()[1..].to_vec(),
                dtype: sample_dtype(network.vocabulary(&input.name), input.values.dtype()),
                scaling: input.scaling.clone(),
            };
            description.others = Others {
                input: data.input_name().to_string(),
                inputs: data.more_inputs.iter().map(input).collect(),
                name,
                output,
                outputs: rest.iter().map(|goal| one(*goal)).collect(),
            };
        }
        Ok(description)
    }

    /// The model's inputs, in its order.
    pub fn reads<'a>(&'a self) -> Vec<Reads<'a>> {
        let Self { sample, dtype, scaling, others, .. } = self;
        let name = if others.input.is_empty() { "input" } else { &others.input };
        let reads = |name: &'a str, sample: &'a [usize], dtype: DType, scaling: &'a Scaling| Reads {
            name,
            sample,
            dtype,
            scaling,
            vocabulary: self.layers.vocabulary(name),
            is_masked: self.layers.is_masked(name),
        };
        let first = reads(name, sample, *dtype, scaling);
        let more =
            others.inputs.iter().map(|other| reads(&other.name, &other.sample, other.dtype, &other.scaling));
        std::iter::once(first).chain(more).collect()
    }

    /// The model's answers, in its order.
    pub fn answers(&self) -> Vec<Answer<'_>> {
        let Self { link, target, target_scaling, classes, others, .. } = self;
        let output = match &*others.output {
            "" => self.layers.outputs().first().copied().unwrap_or_default(),
            output => output,
        };
        let first = Answer { name: &others.name, output, link: *link, target, target_scaling, classes };
        let more = others.outputs.iter().map(|other| Answer {
            name: &other.name,
            output: &other.output,
            link: other.link,
            target: &other.target,
            target_scaling: &other.target_scaling,
            classes: &other.classes,
        });
        std::iter::once(first).chain(more).collect()
    }

    /// The shape of one row of each input, by their names.
    pub fn sample_shapes(&self) -> Vec<(&str, &[usize])> {
        self.reads().into_iter().map(|input| (input.name, input.sample)).collect()
    }
}

impl Reads<'_> {
    /// Samples `[n, sample…]` in the type that the input is read in.
    ///
    /// # Errors
    /// When they are of another shape, or a value is not of that type.
    pub fn samples<'a>(&self, samples: &'a Array) -> Result<Cow<'a, Array>> {
        self.samples_of(None, samples)
    }

    /// [`Reads::samples`] of these rows of a file, which errors name; `None` stands for all of its rows.
    pub(crate) fn samples_of<'a>(&self, rows: Option<&[u32]>, samples: &'a Array) -> Result<Cow<'a, Array>> {
        let Self { sample, dtype, .. } = *self;
        if samples.shape().get(1..) != Some(sample) {
            let expected = format!("{dtype} [n, …{sample:?}]");
            let got = format!("{} {:?}", samples.dtype(), samples.shape());
            return Err(Error::shape("samples", expected, got));
        }
        if let Some(vocabulary) = self.vocabulary {
            check_token_ids_of(rows, samples, vocabulary)?;
        } else if self.is_masked && dtype == DType::F32 {
            check_inputs(rows, &samples.cast(DType::F32)).map_err(|error| error.at("samples"))?;
        } else if (dtype, samples.dtype()) != (DType::U8, DType::U8) {
            let (expected, off) = match dtype {
                DType::U8 => {
                    ("whole numbers from 0 to 255 as in training", samples.find(|v| v != f64::from(v as u8)))
                }
                _ => ("finite numbers of f32 as in training", samples.find(|v| !(v as f32).is_finite())),
            };
            if let Some((i, value)) = off {
                let got = format!("{value} in {}", place_among(rows, samples.shape(), i));
                return Err(Error::value("samples", expected, got));
            }
        }
        Ok(match samples.dtype() == dtype {
            true => Cow::Borrowed(samples),
            false => Cow::Owned(samples.cast(dtype)),
        })
    }
}
