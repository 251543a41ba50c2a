//! The variables that `PyTorch` keeps in another order: its pictures and signals have their channels after the batch,
//! here they come last.

use super::layout::{filters_first, filters_last};
use crate::array::{Array, DType};
use crate::error::{Error, Result};
use crate::model::Description;
use crate::nn::{Join, Layer, Network, Nodes, Sequential};
use std::collections::{BTreeMap, HashMap};

/// How one variable is turned from this library's order to `PyTorch`'s.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Turn {
    /// A convolution's kernel, `[window…, channels, filters]` to `[filters, channels, window…]`.
    Kernel,
    /// The features along `axis`, flattened from axes `[spatial…, channels]`: channels first.
    Features { axis: usize, flattened: Vec<usize> },
}

impl Turn {
    pub fn apply(&self, value: &Array) -> Result<Array> {
        match self {
            Turn::Kernel => filters_first(value),
            Turn::Features { axis, flattened } => {
                let channels = flattened.len() - 1;
                let order = std::iter::once(channels).chain(0..channels);
                features(value, *axis, flattened, order.collect())
            }
        }
    }

    pub fn undo(&self, value: &Array) -> Result<Array> {
        match self {
            Turn::Kernel if value.shape().len() < 3 => Ok(value.clone()),
            Turn::Kernel => filters_last(value),
            Turn::Features { axis, flattened } => {
                let (channels, spatial) = flattened.split_last().unwrap_or((&1, &[]));
                let order = (1..flattened.len()).chain([0]);
                features(value, *axis, &[&[*channels], spatial].concat(), order.collect())
            }
        }
    }
}

/// Takes the features along `axis` for axes `flattened`, puts these in `order`, and flattens them again. A value of
/// another shape is returned as it is, for the caller to refuse.
fn features(value: &Array, axis: usize, flattened: &[usize], order: Vec<usize>) -> Result<Array> {
    let shape = value.shape();
    if shape.get(axis) != Some(&flattened.iter().product()) {
        return Ok(value.clone());
    }
    let (before, after) = (&shape[..axis], &shape[axis + 1..]);
    let unflattened = value.clone().reshape(&[before, flattened, after].concat())?;
    let last = axis + flattened.len();
    let perm: Vec<usize> =
        (0..axis).chain(order.iter().map(|i| axis + i)).chain(last..last + after.len()).collect();
    unflattened.transpose(&perm)?.reshape(shape)
}

/// The turns of a model's variables, by name.
///
/// # Errors
/// When `PyTorch` programs differ in the order of features that a flatten makes, or the order reaches the outputs.
pub(super) fn turns(description: &Description) -> Result<HashMap<String, Turn>> {
    let mut walk = Walk { shapes: HashMap::new(), turns: HashMap::new() };
    let inputs = description.reads().into_iter().map(|input| {
        // Three axes are a picture; a signal of two shows itself by its first convolution.
        let order = if input.sample.len() > 2 { Order::ChannelsFirst } else { Order::Alike };
        (input.name, (order, [&[1], input.sample].concat()))
    });
    let outputs = match &description.layers {
        Network::Layers(layers) => {
            inputs.map(|(_, input)| walk.list(layers, "", input)).collect::<Result<Vec<_>>>()?
        }
        Network::Nodes(nodes) => walk.nodes(nodes, inputs.collect())?,
        Network::Custom(custom) => return Err(custom.refused()),
    };
    match outputs.iter().any(|(order, _)| matches!(order, Order::Flattened(_))) {
        true => Err(unknown("a layer between a flatten and the outputs", "flatten")),
        false => Ok(walk.turns),
    }
}

/// The order of a tensor's axes in a `PyTorch` program, beside this library's.
#[derive(Clone, Debug, PartialEq)]
enum Order {
    /// The same: a batch of vectors, or of sequences.
    Alike,
    /// Channels right after the batch.
    ChannelsFirst,
    /// A layer works on the last axis of a tensor with channels first: some programs permute for it and back, others
    /// continue with channels last.
    Open,
    /// Features flattened from axes `[spatial…, channels]`, in PyTorch with the channels first.
    Flattened(Vec<usize>),
}

/// The order of a join's result from the orders of its tensors.
fn joined(join: Option<&Join>, taken: &[&Ordered]) -> Result<Ordered> {
    let [(first, shape), rest @ ..] = taken else {
        return Err(Error::value("from", "the name of a node or an input", "none"));
    };
    let mut shape = shape.clone();
    if join == Some(&Join::Concatenate) {
        let last = shape.len() - 1;
        shape[last] += rest.iter().map(|(_, shape)| shape[last]).sum::<usize>();
    }
    let alike = rest.iter().all(|(order, _)| order == first);
    let any_flattened = taken.iter().any(|(order, _)| matches!(order, Order::Flattened(_)));
    if let Some(Join::Attention(_)) = join {
        return match any_flattened {
            true => Err(unknown("a layer that takes features in any order", "attention")),
            false => Ok((Order::Alike, shape)),
        };
    }
    if any_flattened && !rest.is_empty() && (!alike || join == Some(&Join::Concatenate)) {
        return Err(unknown("a layer between a flatten and a join", "flatten"));
    }
    Ok((if alike { first.clone() } else { Order::Open }, shape))
}

struct Walk {
    /// The result of each layer with a batch of 1, by its path.
    shapes: HashMap<String, Vec<usize>>,
    turns: HashMap<String, Turn>,
}

/// A tensor's order in a `PyTorch` program, and its shape here.
type Ordered = (Order, Vec<usize>);

impl Walk {
    /// The outputs of named nodes.
    fn nodes(&mut self, nodes: &Nodes, inputs: BTreeMap<&str, Ordered>) -> Result<Vec<Ordered>> {
        let mut results = inputs;
        let mut turned: HashMap<String, HashMap<String, Turn>> = HashMap::new();
        for name in nodes.order()? {
            let node = &nodes.nodes[name];
            let taken: Vec<&Ordered> =
                node.from.iter().filter_map(|from| results.get(from.as_str())).collect();
            let x = joined(node.join.as_ref(), &taken).map_err(|error| error.at(name))?;
            let (layers, owner) = nodes.layers(node, name);
            let others = std::mem::take(&mut self.turns);
            let result = self.list(layers, &format!("{owner}."), x)?;
            let own = std::mem::replace(&mut self.turns, others);
            let shared = turned.entry(owner).or_insert_with(|| own.clone());
            if *shared != own {
                return Err(unknown("features in one order for layers that nodes share", "like").at(name));
            }
            self.turns.extend(own);
            results.insert(name, result);
        }
        Ok(nodes.outputs.iter().filter_map(|name| results.remove(name.as_str())).collect())
    }

    /// A whole list, whose shapes follow from its input's.
    fn list(&mut self, layers: &Sequential, prefix: &str, x: Ordered) -> Result<Ordered> {
        let rows = layers.summary(DType::F32, &x.1[1..])?.rows;
        self.shapes.extend(rows.into_iter().map(|row| (format!("{prefix}{}", row.path), row.output)));
        self.layers(layers, prefix, x)
    }

    fn layers(&mut self, layers: &Sequential, prefix: &str, x: Ordered) -> Result<Ordered> {
        layers.0.iter().enumerate().try_fold(x, |(order, shape), (i, layer)| {
            let path = format!("{prefix}{i}");
            let order = self.layer(layer, &path, order, &shape)?;
            let shape = self.shapes.get(&path).cloned().unwrap_or_default();
            Ok((order, shape))
        })
    }

    fn layer(&mut self, layer: &Layer, path: &str, order: Order, shape: &[usize]) -> Result<Order> {
        Ok(match layer {
            Layer::Dense(_) => {
                if let Order::Flattened(axes) = &order {
                    self.features(path, &["weight"], 1, axes);
                }
                over_last_axis(order, Order::Alike)
            }
            Layer::LayerNorm(_) | Layer::RmsNorm(_) => {
                if let Order::Flattened(axes) = &order {
                    let names = if matches!(layer, Layer::RmsNorm(_)) {
                        &["weight"][..]
                    } else {
                        &["weight", "bias"]
                    };
                    self.features(path, names, 0, axes);
                }
                over_last_axis(order.clone(), order)
            }
            Layer::BatchNorm(_) => match order {
                Order::Flattened(axes) => {
                    self.features(path, &["weight", "bias", "running_mean", "running_var"], 0, &axes);
                    Order::Flattened(axes)
                }
                // PyTorch wants the channels of a sequence first: some programs convert it back afterwards.
                Order::Alike if shape.len() > 2 => Order::Open,
                Order::Alike => Order::Alike,
                Order::ChannelsFirst | Order::Open => Order::ChannelsFirst,
            },
            Layer::Conv(_) | Layer::ConvTranspose(_) | Layer::DepthwiseConv(_) => {
                self.turns.insert(format!("{path}.weight"), Turn::Kernel);
                Order::ChannelsFirst
            }
            Layer::SeparableConv(_) => {
                for part in ["depthwise", "pointwise"] {
                    self.turns.insert(format!("{path}.{part}.weight"), Turn::Kernel);
                }
                Order::ChannelsFirst
            }
            Layer::MaxPool(_)
            | Layer::AvgPool(_)
            | Layer::Upsample(_)
            | Layer::Crop(_)
            | Layer::Pad(_)
            | Layer::InstanceNorm(_) => Order::ChannelsFirst,
            Layer::GroupNorm(_) if shape.len() > 2 => Order::ChannelsFirst,
            Layer::GlobalMaxPool | Layer::GlobalAvgPool => Order::Alike,
            Layer::Flatten => flattened(order, shape).map_err(|error| error.at(path))?,
            // Cells of a picture as a sequence, whose features are the channels: programs turn them to the end, as
            // sequences have them.
            Layer::Reshape(_) if is_sequence_of(shape, self.shapes.get(path)) => Order::Alike,
            // In PyTorch a picture reshaped from features has its channels first.
            Layer::Reshape(_)
                if order != Order::Alike || self.shapes.get(path).is_none_or(|to| to.len() > 3) =>
            {
                return Err(unknown("a reshape of vectors and sequences", layer.kind()).at(path));
            }
            Layer::Permute(_) if order != Order::Alike => {
                return Err(unknown("axes in the same order", layer.kind()).at(path));
            }
            Layer::Reshape(_) | Layer::Permute(_) => Order::Alike,
            Layer::Glu | Layer::SwiGlu | Layer::GeGlu if !matches!(order, Order::Flattened(_)) => {
                over_last_axis(order, Order::Alike)
            }
            Layer::Attention(_)
            | Layer::Position(_)
            | Layer::FirstPosition
            | Layer::GroupNorm(_)
            | Layer::Glu
            | Layer::SwiGlu
            | Layer::GeGlu
            | Layer::Lstm(_)
            | Layer::Gru(_) => match order {
                Order::Flattened(_) => {
                    return Err(unknown("a layer that takes features in any order", layer.kind()).at(path));
                }
                _ => Order::Alike,
            },
            Layer::Residual(residual) => {
                let mut within = |layers, part| {
                    self.layers(layers, &format!("{path}.{part}."), (order.clone(), shape.to_vec()))
                };
                let (a, _) = within(&residual.layers, "layers")?;
                let (b, _) = within(&residual.shortcut, "shortcut")?;
                match (a, b) {
                    (a, b) if a == b => a,
                    (Order::Flattened(_), _) | (_, Order::Flattened(_)) => {
                        return Err(unknown("summands whose features are in one order", "residual").at(path));
                    }
                    _ => Order::Open,
                }
            }
            Layer::Custom(_) => {
                let error = Error::value(layer.kind(), "a layer that a file can hold", "one of nn::custom");
                return Err(error.at(path));
            }
            Layer::Dropout(_)
            | Layer::Sigmoid
            | Layer::Tanh
            | Layer::Relu
            | Layer::Relu6
            | Layer::LeakyRelu(_)
            | Layer::Elu(_)
            | Layer::Gelu
            | Layer::GeluTanh
            | Layer::Silu
            | Layer::Softplus
            | Layer::Softmax
            | Layer::LogSoftmax => order,
            // Every other layer is assumed to be of vectors and sequences, which have one order.
            _ if order == Order::Alike => Order::Alike,
            other => return Err(unknown("vectors or sequences", other.kind()).at(path)),
        })
    }

    fn features(&mut self, path: &str, names: &[&str], axis: usize, flattened: &[usize]) {
        for name in names {
            let turn = Turn::Features { axis, flattened: flattened.to_vec() };
            self.turns.insert(format!("{path}.{name}"), turn);
        }
    }
}

/// The order after a layer that works on the last axis here; `vectors` if there is only one axis after the batch.
fn over_last_axis(order: Order, vectors: Order) -> Order {
    match order {
        Order::ChannelsFirst | Order::Open => Order::Open,
        Order::Alike | Order::Flattened(_) => vectors,
    }
}

/// Whether `to` has the cells of a picture `[1, height, width, channels]` as a sequence `[1, cells, channels]`.
fn is_sequence_of(picture: &[usize], to: Option<&Vec<usize>>) -> bool {
    match (picture, to.map(Vec::as_slice)) {
        (&[_, height, width, channels], Some(&[_, cells, features])) => {
            cells == height * width && features == channels
        }
        _ => false,
    }
}

/// The order of the features that a flatten makes of `[1, spatial…, channels]`.
fn flattened(order: Order, shape: &[usize]) -> Result<Order> {
    let axes = shape.get(1..).unwrap_or_default();
    let (channels, spatial) = axes.split_last().unwrap_or((&1, &[]));
    let alike = *channels == 1 || spatial.iter().product::<usize>() == 1;
    match order {
        Order::ChannelsFirst | Order::Open if alike => Ok(Order::Alike),
        Order::ChannelsFirst => Ok(Order::Flattened(axes.to_vec())),
        Order::Open => Err(unknown("channels that are known to come first or last", "flatten")),
        other => Ok(other),
    }
}

fn unknown(expected: &str, layer: &str) -> Error {
    let expected = format!("{expected}, as PyTorch has channels first");
    Error::value(layer, expected, "features whose order PyTorch programs do not agree on; export to onnx")
}
