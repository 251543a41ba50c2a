//! Models of several inputs and outputs: a graph of named nodes.

use super::{Context, Layer, Module, Sequential, Summary};
use crate::array::DType;
use crate::error::{Error, Result};
use crate::graph::{Graph, Tensor};
use crate::named;
use crate::variables::{Variable, Variables};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::{BTreeMap, BTreeSet};

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
pub enum Network {
    Layers(Sequential),
    Nodes(Nodes),
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

impl From<&Network> for Network {
    fn from(network: &Network) -> Self {
        network.clone()
    }
}

/// The nodes of a [`Network`], and which of them are its outputs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nodes {
    pub nodes: BTreeMap<String, Node>,
    pub outputs: Vec<String>,
}

/// Layers between what one or more nodes or inputs give and what others take.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Names of nodes and inputs.
    #[serde(with = "one_or_several")]
    pub from: Vec<String>,
    /// What makes one tensor of several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join: Option<Join>,
    #[serde(default, skip_serializing_if = "Sequential::is_empty")]
    pub layers: Sequential,
    /// A node whose layers, with their variables, are this one's too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub like: Option<String>,
    #[serde(skip)]
    pub(crate) line: Line,
}

/// Where a part of a model is written, such as `line 12`. Only messages use it; all are equal.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line(pub Option<String>);

impl PartialEq for Line {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Line {
    /// `place` with the line before it.
    pub(crate) fn before(&self, place: &str) -> String {
        match &self.0 {
            Some(line) => format!("{line}: {place}"),
            None => place.to_string(),
        }
    }
}

/// How the results of several nodes become one tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Join {
    /// One after the other along the last axis; the other axes are alike.
    Concatenate,
    /// Element by element; all of one shape.
    Add,
    /// The first minus all others.
    Subtract,
    Multiply,
}

impl Join {
    /// Its name in a recipe.
    pub fn name(self) -> &'static str {
        match self {
            Self::Concatenate => "concatenate",
            Self::Add => "add",
            Self::Subtract => "subtract",
            Self::Multiply => "multiply",
        }
    }
}

impl Node {
    /// Layers on one node or input.
    pub fn new(from: &str, layers: impl IntoIterator<Item = Layer>) -> Self {
        Self { from: vec![from.into()], layers: super::sequential(layers), ..Self::default() }
    }

    /// Layers on what several nodes or inputs make together.
    pub fn joined<const N: usize>(
        from: [&str; N],
        join: Join,
        layers: impl IntoIterator<Item = Layer>,
    ) -> Self {
        let from = from.map(String::from).to_vec();
        Self { from, join: Some(join), layers: super::sequential(layers), ..Self::default() }
    }

    /// The layers of another node, with its variables, on another input.
    pub fn like(from: &str, other: &str) -> Self {
        Self { from: vec![from.into()], like: Some(other.into()), ..Self::default() }
    }

    /// How messages call the node.
    pub(crate) fn place(&self, name: &str) -> String {
        self.line.before(&format!("node {name}"))
    }

    fn join(&self, tensors: &[Tensor]) -> Result<Tensor> {
        let ([first, rest @ ..], join) = (tensors, self.join) else {
            return Err(Error::value("from", "the name of a node or an input", "none"));
        };
        if rest.is_empty() {
            return Ok(first.clone());
        }
        let refuse = |expected: String| {
            let shapes: Vec<String> =
                self.from.iter().zip(tensors).map(|(name, t)| format!("{name} {}", sample(t))).collect();
            Err(Error::shape("join", expected, shapes.join(" and ")))
        };
        let alike =
            |axes: usize| rest.iter().all(|t| t.shape()[..axes.min(t.rank())] == first.shape()[..axes]);
        if join == Some(Join::Concatenate) {
            if rest.iter().any(|t| t.rank() != first.rank()) || !alike(first.rank() - 1) {
                return refuse("shapes that differ in the last axis alone, for concatenate".into());
            }
            return Tensor::concatenate(&tensors.iter().collect::<Vec<_>>(), first.rank() - 1);
        }
        if rest.iter().any(|t| t.shape() != first.shape()) {
            return refuse(format!("equal shapes, for {}", join.map_or("multiply", Join::name)));
        }
        rest.iter().try_fold(first.clone(), |sum, t| match join {
            Some(Join::Add) => sum + t,
            Some(Join::Subtract) => sum - t,
            _ => sum * t,
        })
    }
}

fn sample(t: &Tensor) -> String {
    format!("{:?}", t.shape().get(1..).unwrap_or(&[]))
}

impl Nodes {
    /// The names in an order in which each node comes after those that it takes.
    ///
    /// # Errors
    /// When nodes make a circle, one is used by none, or is written in a way that says two things.
    pub fn order(&self) -> Result<Vec<&str>> {
        let Self { nodes, outputs } = self;
        for (name, node) in nodes {
            node.check(name, nodes).map_err(|error| error.at(&node.place(name)))?;
        }
        if let Some(output) = outputs.iter().find(|output| !nodes.contains_key(*output)) {
            let names: Vec<&str> = nodes.keys().map(String::as_str).collect();
            return Err(Error::value("output", format!("a node, one of {}", names.join(", ")), output));
        }
        let mut order: Vec<&str> = Vec::new();
        loop {
            let is_done = |name: &String| order.contains(&name.as_str()) || !nodes.contains_key(name);
            match nodes.iter().find(|(name, node)| !is_done(name) && node.from.iter().all(is_done)) {
                Some((name, _)) => order.push(name),
                None => break,
            }
        }
        if let Some(way) = circle(nodes, &order) {
            let (expected, first) = ("nodes that are computed before it", &way[0]);
            let error = Error::value("from", expected, format!("a circle: {}", way.join(" from ")));
            return Err(error.at(&nodes[first].place(first)));
        }
        if let Some(name) = self.ends().into_iter().find(|end| !outputs.iter().any(|output| output == end)) {
            let expected = "a node that another one or an objective takes its input from";
            let error = Error::value("model.nodes", expected, "one that nothing uses");
            return Err(error.at(&nodes[name].place(name)));
        }
        Ok(order)
    }

    /// The nodes that no other takes its input from.
    pub fn ends(&self) -> Vec<&str> {
        let used: BTreeSet<&String> = self.nodes.values().flat_map(|node| &node.from).collect();
        self.nodes.keys().filter(|name| !used.contains(name)).map(String::as_str).collect()
    }

    pub(crate) fn layers<'a>(&'a self, node: &'a Node, name: &str) -> (&'a Sequential, String) {
        match &node.like {
            Some(other) => (&self.nodes[other].layers, other.clone()),
            None => (&node.layers, name.to_string()),
        }
    }

    /// As of [`Sequential`]: what there is to say where attention cannot see the order of its sequence.
    fn orderless(&self) -> Result<Option<String>> {
        let mut ordered = BTreeSet::new();
        for name in self.order()? {
            let node = &self.nodes[name];
            let mut sees = node.from.iter().any(|from| ordered.contains(from.as_str()));
            let (layers, owner) = self.layers(node, name);
            if let Some(note) = layers.orderless(&format!("{owner}."), &mut sees) {
                return Ok(Some(note));
            }
            if sees {
                ordered.insert(name);
            }
        }
        Ok(None)
    }

    fn forward(&self, inputs: &[(&str, Tensor)], cx: &mut Context) -> Result<Vec<Tensor>> {
        let mut results: BTreeMap<&str, Tensor> = inputs.iter().map(|(name, x)| (*name, x.clone())).collect();
        // Which positions are padding is known to the nodes after the one that says so.
        let mut positions: BTreeMap<&str, Tensor> = BTreeMap::new();
        for name in self.order()? {
            let node = &self.nodes[name];
            let taken = node.from.iter().map(|from| {
                let there = || results.keys().copied().collect::<Vec<_>>();
                results.get(from.as_str()).cloned().ok_or_else(|| {
                    Error::value("from", "a node or an input of the data", named::got(from, &there()))
                })
            });
            cx.set_positions(node.from.iter().find_map(|from| positions.get(from.as_str()).cloned()));
            let (layers, owner) = self.layers(node, name);
            let place = cx.noted();
            let result = taken.collect::<Result<Vec<_>>>().and_then(|taken| {
                let x = node.join(&taken)?;
                let build = |cx: &mut Context| {
                    cx.within(&owner, "node", |cx| cx.build_part(name, |cx| layers.forward(&x, cx)))
                };
                if node.like.is_some() { cx.unnoted(build) } else { build(cx) }
            });
            let y = result.map_err(|error| error.of(&node.place(name)))?;
            cx.note_node(name, &node.written(), &y, place);
            positions.extend(cx.positions().map(|mask| (name, mask.clone())));
            results.insert(name, y);
        }
        Ok(self.outputs.iter().map(|name| results[name.as_str()].clone()).collect())
    }
}

/// What nodes and objectives may be called: their names are parts of paths.
pub(crate) const NAME: &str = "a name of letters, digits, - and _";

pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
}

impl Node {
    fn check(&self, name: &str, nodes: &BTreeMap<String, Node>) -> Result<()> {
        if !is_name(name) {
            return Err(Error::value("model.nodes", NAME, format!("{name:?}")));
        }
        if matches!(name, "optimizer" | "average") {
            return Err(Error::value(
                "model.nodes",
                "another name, as the optimizer's state is kept under it",
                name,
            ));
        }
        match (&self.from[..], self.join) {
            ([], _) => return Err(Error::value("from", "the name of a node or an input", "none")),
            ([_], Some(_)) => return Err(Error::value("join", "several names in from", "one")),
            ([_, _, ..], None) => {
                let expected = "concatenate, add, subtract or multiply, as from has several names";
                return Err(Error::value("join", expected, "none"));
            }
            _ => {}
        }
        let Some(other) = &self.like else { return Ok(()) };
        match nodes.get(other) {
            _ if !self.layers.is_empty() => Err(Error::value("layers", "none beside like", "some")),
            Some(other) if other.like.is_none() => Ok(()),
            _ => Err(Error::value("like", "a node that has layers of its own", other)),
        }
    }

    /// Where its input comes from, as the summary shows it.
    fn written(&self) -> String {
        let like = self.like.as_ref().map_or(String::new(), |other| format!(", like {other}"));
        format!("{} {}{like}", self.join.map_or("from", Join::name), self.from.join(" "))
    }
}

/// The nodes of a circle, the first repeated at the end, if there is one; `done` are the nodes that wait for no circle.
fn circle(nodes: &BTreeMap<String, Node>, done: &[&str]) -> Option<Vec<String>> {
    let waits = |name: &&String| nodes.contains_key(*name) && !done.contains(&name.as_str());
    let mut way = vec![nodes.keys().find(waits)?];
    loop {
        let next = nodes[way[way.len() - 1]].from.iter().find(waits)?;
        let seen = way.iter().position(|name| *name == next);
        way.push(next);
        if let Some(start) = seen {
            return Some(way[start..].iter().map(ToString::to_string).collect());
        }
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
        let Self::Nodes(nodes) = self else { return Vec::new() };
        let all = nodes.nodes.values().flat_map(|node| &node.from);
        let inputs: BTreeSet<&str> =
            all.filter(|from| !nodes.nodes.contains_key(*from)).map(String::as_str).collect();
        inputs.into_iter().collect()
    }

    /// The names of the outputs; that of a list of layers is empty.
    pub fn outputs(&self) -> Vec<&str> {
        match self {
            Self::Layers(_) => vec![""],
            Self::Nodes(nodes) => nodes.outputs.iter().map(String::as_str).collect(),
        }
    }

    /// The layers, where the model is a list of them.
    pub fn layers(&self) -> Option<&Sequential> {
        match self {
            Self::Layers(layers) => Some(layers),
            Self::Nodes(_) => None,
        }
    }

    /// How many different token ids an input may hold, where an embedding reads it.
    pub fn vocabulary(&self, input: &str) -> Option<usize> {
        match self {
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
        }
    }

    /// Writes the model into the graph of its inputs; the results are in the order of [`Network::outputs`].
    ///
    /// # Errors
    /// When an input is not there or of a shape that a layer cannot take; the error names the node and the layer.
    pub fn forward(&self, inputs: &[(&str, Tensor)], cx: &mut Context) -> Result<Vec<Tensor>> {
        match (self, inputs) {
            (Self::Layers(layers), [(_, x)]) => Ok(vec![layers.forward(x, cx)?]),
            (Self::Layers(_), _) => Err(Error::value("inputs", "one, for a list of layers", inputs.len())),
            (Self::Nodes(nodes), _) => nodes.forward(inputs, cx),
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

/// One name, or a list of them.
mod one_or_several {
    use super::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a name, or a list of names")]
    enum Names {
        One(String),
        Several(Vec<String>),
    }

    pub fn serialize<S: Serializer>(names: &[String], serializer: S) -> Result<S::Ok, S::Error> {
        match names {
            [one] => one.serialize(serializer),
            several => several.serialize(serializer),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
        Ok(match Names::deserialize(deserializer)? {
            Names::One(name) => vec![name],
            Names::Several(names) => names,
        })
    }
}
