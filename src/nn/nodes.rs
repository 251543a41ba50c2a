//! A graph of named nodes: layers whose inputs are the outputs of other nodes or the model's inputs.

use super::{Attention, Context, Layer, Module, Sequential};
use crate::error::{Error, Result};
use crate::graph::Tensor;
use crate::named::{self, Named};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::{BTreeMap, BTreeSet};

/// The nodes of a [`Network`](super::Network), and which of them are its outputs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nodes {
    /// The nodes by name.
    pub nodes: BTreeMap<String, Node>,
    /// The names of the nodes that the network answers with.
    pub outputs: Vec<String>,
}

/// Layers applied to one or more nodes or inputs, joined.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Names of nodes and inputs.
    #[serde(with = "one_or_several")]
    pub from: Vec<String>,
    /// How several tensors become one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join: Option<Join>,
    /// The layers that it applies; none pass its input on.
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

named::table! {
    /// How the results of several nodes become one tensor.
    #[derive(Clone, Debug, PartialEq)]
    pub enum Join: "a join" {
        /// One after another along the last axis; the other axes must match.
        Concatenate = "concatenate" | "concat" | "cat";
        /// The sum, element by element; all of one shape.
        Add = "add";
        /// The first minus all others, element by element; all of one shape.
        Subtract = "subtract";
        /// The product, element by element; all of one shape.
        Multiply = "multiply";
        /// The first of two sequences attends to the second (cross-attention); both have the same number of features, and
        /// padding of the second is not attended to. As the layer: `heads`, `causal`, `rotary`, `dropout`.
        Attention(Attention) = "attention" | "multiheadattention" | "crossattention", short "heads";
    }
}

impl Node {
    /// Layers on one node or input.
    pub fn new(from: &str, layers: impl IntoIterator<Item = Layer>) -> Self {
        Self { from: vec![from.into()], layers: super::sequential(layers), ..Self::default() }
    }

    /// Layers applied to several nodes or inputs, joined.
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

    /// The input of the layers of the node `name`, from the results that it takes and the masks of their padding.
    fn join(
        &self,
        name: &str,
        tensors: &[Tensor],
        masks: &[Option<Tensor>],
        cx: &mut Context,
    ) -> Result<Tensor> {
        cx.set_positions(masks.iter().flatten().next().cloned());
        let ([first, rest @ ..], join) = (tensors, &self.join) else {
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
        if let (Some(Join::Attention(attention)), [memory]) = (join, rest) {
            cx.set_positions(masks[1].clone());
            let attend = |x: &Tensor, cx: &mut Context| attention.forward_with(x, memory, cx);
            let y = cx.part(&format!("{name}.attention"), "attention", &attend, first);
            cx.set_positions(masks[0].clone());
            return y;
        }
        if *join == Some(Join::Concatenate) {
            if rest.iter().any(|t| t.rank() != first.rank()) || !alike(first.rank() - 1) {
                return refuse("shapes that differ in the last axis alone, for concatenate".into());
            }
            return Tensor::concatenate(&tensors.iter().collect::<Vec<_>>(), first.rank() - 1);
        }
        if rest.iter().any(|t| t.shape() != first.shape()) {
            return refuse(format!("equal shapes, for {}", join.as_ref().map_or("multiply", Join::kind)));
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
    /// The names in topological order, each node after its inputs.
    ///
    /// # Errors
    /// When nodes form a cycle, or one is unused or ambiguous.
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

    /// As for [`Sequential`]: a note where attention cannot see the order of its sequence.
    pub(super) fn orderless(&self) -> Result<Option<String>> {
        let mut ordered = BTreeSet::new();
        for name in self.order()? {
            let node = &self.nodes[name];
            let mut sees = node.from.iter().any(|from| ordered.contains(from.as_str()));
            if let (Some(Join::Attention(attention)), [_, memory]) = (&node.join, &node.from[..]) {
                if !attention.rotary && !attention.causal && !ordered.contains(memory.as_str()) {
                    return Ok(Some(format!(
                        "node {name} (attention) does not see the order of {memory}; put \"position\" before it, or give it rotary = true"
                    )));
                }
                sees = true;
            }
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

    pub(super) fn forward(&self, inputs: &[(&str, Tensor)], cx: &mut Context) -> Result<Vec<Tensor>> {
        let mut results: BTreeMap<&str, Tensor> = inputs.iter().map(|(name, x)| (*name, x.clone())).collect();
        // The padding set by a node applies to the nodes after it.
        let mut positions: BTreeMap<&str, Tensor> = BTreeMap::new();
        for name in self.order()? {
            let node = &self.nodes[name];
            let taken = node.from.iter().map(|from| {
                let there = || results.keys().copied().collect::<Vec<_>>();
                results.get(from.as_str()).cloned().ok_or_else(|| {
                    Error::value("from", "a node or an input of the data", named::got(from, &there()))
                })
            });
            let masks =
                node.from.iter().map(|from| positions.get(from.as_str()).cloned()).collect::<Vec<_>>();
            let (layers, owner) = self.layers(node, name);
            let place = cx.noted();
            let result = taken.collect::<Result<Vec<_>>>().and_then(|taken| {
                cx.build_part(name, |cx| {
                    let x = node.join(name, &taken, &masks, cx)?;
                    let build = |cx: &mut Context| cx.within(&owner, "node", |cx| layers.forward(&x, cx));
                    if node.like.is_some() { cx.unnoted(build) } else { build(cx) }
                })
            });
            let y = result.map_err(|error| error.of(&node.place(name)))?;
            cx.note_node(name, &node.written(), &y, place);
            positions.extend(cx.positions().map(|mask| (name, mask.clone())));
            results.insert(name, y);
        }
        Ok(self.outputs.iter().map(|name| results[name.as_str()].clone()).collect())
    }
}

/// Names allowed for nodes and objectives: they are parts of paths.
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
        match (&self.from[..], &self.join) {
            ([], _) => return Err(Error::value("from", "the name of a node or an input", "none")),
            ([_], Some(_)) => return Err(Error::value("join", "several names in from", "one")),
            ([_, _, ..], None) => {
                let expected = format!("{}, as from has several names", Join::NAMES.join(", "));
                return Err(Error::value("join", expected, "none"));
            }
            ([_, _, _, ..], Some(Join::Attention(_))) => {
                let expected = "two names, the queries' and the memory's, for attention";
                return Err(Error::value("from", expected, self.from.join(", ")));
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

    /// The source of its input, as text for the summary.
    fn written(&self) -> String {
        let like = self.like.as_ref().map_or(String::new(), |other| format!(", like {other}"));
        format!("{} {}{like}", self.join.as_ref().map_or("from", Join::kind), self.from.join(" "))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_has_the_table() {
        named::reference::check("joins", Join::REFERENCE);
    }
}
