//! Models: named inputs to named outputs.

use super::custom::{self, CustomNetwork};
use super::{Context, Layer, Module, Node, Nodes, Sequential, Summary};
use crate::array::DType;
use crate::error::{Error, Result};
use crate::graph::{Graph, Tensor};
use crate::variables::{Variable, Variables};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A model: named inputs to named outputs. One list of layers, with one input and one output, is the usual case.
///
/// ```
/// use neural::{DType, nn::{self, Join, Network, Node}};
/// let nodes = [
///     ("left", Node::new("picture", [nn::flatten(), nn::dense(8)])),
///     ("right", Node::new("table", [nn::dense(8)])),
///     ("both", Node::joined(["left", "right"], Join::Concatenate, [])),
///     ("kind", Node::new("both", [nn::dense(3)])),
///     ("price", Node::new("both", [nn::dense(1)])),
/// ];
/// let model = Network::of_nodes(nodes, ["kind", "price"])?;
/// assert_eq!(model.inputs(), ["picture", "table"]);
/// let (variables, _, outputs) = model.declare(DType::F32, &[("picture", &[4, 4, 1]), ("table", &[5])])?;
/// assert_eq!((&*variables[0].name, outputs), ("left.1.weight", vec![vec![3], vec![1]]));
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Network {
    /// Layers one after another, with one input and one output.
    Layers(Sequential),
    /// Named nodes, with any number of inputs and outputs.
    Nodes(Nodes),
    /// See [`Network::custom`].
    #[serde(skip_deserializing, serialize_with = "custom::refuse")]
    Custom(CustomNetwork),
}

impl From<Sequential> for Network {
    fn from(layers: Sequential) -> Self {
        Self::Layers(layers)
    }
}

impl From<&Sequential> for Network {
    fn from(layers: &Sequential) -> Self {
        Self::Layers(layers.clone())
    }
}

impl From<Layer> for Network {
    fn from(layer: Layer) -> Self {
        Sequential(vec![layer]).into()
    }
}

impl From<&Network> for Network {
    fn from(network: &Network) -> Self {
        network.clone()
    }
}

impl Network {
    /// A model of named nodes.
    ///
    /// # Errors
    /// See [`Nodes::order`].
    pub fn of_nodes<'a, const O: usize>(
        nodes: impl IntoIterator<Item = (&'a str, Node)>,
        outputs: [&str; O],
    ) -> Result<Self> {
        let nodes = nodes.into_iter().map(|(name, node)| (name.to_string(), node)).collect();
        let nodes = Nodes { nodes, outputs: outputs.map(String::from).to_vec() };
        nodes.order()?;
        Ok(Self::Nodes(nodes))
    }

    /// The names of the inputs; a list of layers takes any one.
    pub fn inputs(&self) -> Vec<&str> {
        let nodes = match self {
            Self::Layers(_) => return Vec::new(),
            Self::Nodes(nodes) => nodes,
            Self::Custom(custom) => return custom.inputs.iter().map(|input| input.name.as_str()).collect(),
        };
        let all = nodes.nodes.values().flat_map(|node| &node.from);
        let inputs: BTreeSet<&str> =
            all.filter(|from| !nodes.nodes.contains_key(*from)).map(String::as_str).collect();
        inputs.into_iter().collect()
    }

    /// The names of the outputs; a list of layers has one, with an empty name.
    pub fn outputs(&self) -> Vec<&str> {
        match self {
            Self::Layers(_) => vec![""],
            Self::Nodes(Nodes { outputs, .. }) | Self::Custom(CustomNetwork { outputs, .. }) => {
                outputs.iter().map(String::as_str).collect()
            }
        }
    }

    /// The layers, where the model is a list of them.
    pub fn layers(&self) -> Option<&Sequential> {
        match self {
            Self::Layers(layers) => Some(layers),
            Self::Nodes(_) | Self::Custom(_) => None,
        }
    }

    /// How many different token ids an input may hold, where an embedding reads it.
    pub fn vocabulary(&self, input: &str) -> Option<usize> {
        match self {
            Self::Custom(custom) => custom.inputs.iter().find(|known| known.name == input)?.vocabulary,
            Self::Layers(layers) => layers.vocabulary(),
            Self::Nodes(nodes) => {
                let takes = |node: &&Node| node.from.len() == 1 && node.from[0] == input;
                let all = nodes.nodes.iter().filter(|(_, node)| takes(node));
                all.filter_map(|(name, node)| nodes.layers(node, name).0.vocabulary()).min()
            }
        }
    }

    /// The layer whose numbers an output is, see [`Network::outputs`].
    pub(crate) fn last(&self, output: &str) -> Option<&Layer> {
        match self {
            Self::Layers(layers) => layers.last(),
            Self::Nodes(nodes) => nodes.layers(nodes.nodes.get(output)?, output).0.last(),
            Self::Custom(_) => None,
        }
    }

    /// Writes the model into the graph of its inputs; the results are in the order of [`Network::outputs`].
    ///
    /// # Errors
    /// When an input is missing or has a shape that a layer cannot take; the error names the node and the layer.
    pub fn forward(&self, inputs: &[(&str, Tensor)], cx: &mut Context) -> Result<Vec<Tensor>> {
        match (self, inputs) {
            (Self::Layers(layers), [(_, x)]) => Ok(vec![layers.forward(x, cx)?]),
            (Self::Layers(_), _) => Err(Error::value("inputs", "one, for a list of layers", inputs.len())),
            (Self::Nodes(nodes), _) => nodes.forward(inputs, cx),
            (Self::Custom(custom), _) => custom.forward(inputs, cx),
        }
    }

    /// The model's variables, its summary, and the shape of each output for a row.
    ///
    /// # Errors
    /// As [`Network::forward`].
    pub fn declare(
        &self,
        dtype: DType,
        samples: &[(&str, &[usize])],
    ) -> Result<(Vec<Variable>, Summary, Vec<Vec<usize>>)> {
        let graph = Graph::new();
        let mut variables = Variables::declare(&graph, dtype);
        let mut inputs = Vec::new();
        for (name, sample) in samples {
            let read = if self.vocabulary(name).is_some() { DType::I32 } else { dtype };
            inputs.push((*name, graph.full(read, &[&[1], *sample].concat(), 0.0)?));
        }
        let mut cx = Context::evaluation(&mut variables);
        let outputs = self.forward(&inputs, &mut cx)?;
        let rows = cx.into_rows();
        let shapes = outputs.iter().map(|y| y.shape()[1..].to_vec()).collect();
        let note = match self {
            Self::Layers(layers) => layers.orderless("", &mut false),
            Self::Nodes(nodes) => nodes.orderless()?,
            Self::Custom(_) => None,
        };
        let notes = note.into_iter().collect();
        Ok((variables.variables().cloned().collect(), Summary { rows, dtype, notes }, shapes))
    }

    /// The table of the layers, for inputs of these shapes.
    ///
    /// # Errors
    /// As [`Network::forward`].
    pub fn summary(&self, dtype: DType, samples: &[(&str, &[usize])]) -> Result<Summary> {
        Ok(self.declare(dtype, samples)?.1)
    }
}
