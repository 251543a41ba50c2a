//! The `[model]` of a recipe: a list of layers, or named nodes with objectives.

use super::{Recipe, Train};
use crate::error::{Error, Result};
use crate::loss::Loss;
use crate::named;
use crate::nn::{Line, Network, Node, Nodes, Sequential};
use crate::train::Goal;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use toml::de::DeTable;

/// Layers one after another, or nodes with names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    #[serde(default, skip_serializing_if = "Sequential::is_empty")]
    pub layers: Sequential,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub nodes: BTreeMap<String, Node>,
    /// A safetensors file of weights to begin with, see [`weights`](crate::export::weights).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<PathBuf>,
    /// Beginnings of names in that file, and those of the model in their place.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rename: BTreeMap<String, String>,
}

/// An output, its loss, its target, and the weight of the loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Objective {
    /// The node whose result the output is.
    pub from: String,
    pub loss: Loss,
    /// One of the targets of the data; may be left out where there is one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub target: String,
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub weight: f64,
}

fn one() -> f64 {
    1.0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_one(value: &f64) -> bool {
    *value == 1.0
}

impl Objective {
    pub(super) fn goal(&self, name: &str) -> Goal {
        Goal::new(name, &self.from, self.loss.clone(), &self.target).weight(self.weight)
    }
}

impl Model {
    pub(crate) fn network(&self, train: &Train) -> Network {
        if self.nodes.is_empty() {
            return self.layers.clone().into();
        }
        let mut nodes = Nodes { nodes: self.nodes.clone(), outputs: Vec::new() };
        let mut outputs: Vec<String> = match train.objectives.is_empty() {
            true => nodes.ends().into_iter().map(String::from).collect(),
            false => train.objectives.values().map(|objective| objective.from.clone()).collect(),
        };
        outputs.dedup();
        nodes.outputs = outputs;
        Network::Nodes(nodes)
    }
}

impl Recipe {
    /// That nodes, objectives and inputs fit together, as far as no data is needed to know it.
    pub(super) fn check(&self) -> Result<()> {
        let Self { model, train, data } = self;
        if !model.rename.is_empty() && model.from.is_none() {
            return Err(Error::value("model.rename", "model.from beside it", "it alone"));
        }
        if train.loss.is_some() && !train.objectives.is_empty() {
            return Err(Error::value("train.objectives", "no train.loss beside them", "both"));
        }
        if model.nodes.is_empty() {
            return match train.objectives.is_empty() {
                true => Ok(()),
                false => Err(Error::value(
                    "train.objectives",
                    "model.nodes to take the outputs from",
                    "model.layers",
                )),
            };
        }
        if !model.layers.is_empty() {
            return Err(Error::value("model", "layers or nodes", "both"));
        }
        let names: Vec<&str> = model.nodes.keys().map(String::as_str).collect();
        for (name, objective) in &train.objectives {
            let place = format!("train.objectives.{name}");
            if !model.nodes.contains_key(&objective.from) {
                let expected = format!("one of the nodes {}", names.join(", "));
                let got = named::got(&objective.from, &names);
                return Err(Error::value("from", expected, got).at(&place));
            }
            if !data.targets.is_empty() && !data.targets.contains(&objective.target) {
                let expected = format!("one of data.targets, {}", data.targets.join(", "));
                return Err(Error::value("target", expected, format!("{:?}", objective.target)).at(&place));
            }
        }
        let network = model.network(train);
        let Network::Nodes(nodes) = &network else { return Ok(()) };
        if train.objectives.is_empty() && nodes.outputs.len() != 1 {
            let got = match &nodes.outputs[..] {
                [] => "none, as all of them make a circle".to_string(),
                several => several.join(", "),
            };
            return Err(Error::value("model.nodes", "one node at the end, or an objective for each", got));
        }
        let inputs = data.input_names();
        let known: Vec<&str> = names.iter().chain(&inputs).copied().collect();
        for (name, node) in &model.nodes {
            if let Some(unknown) = node.from.iter().find(|from| !known.contains(&from.as_str())) {
                let expected = format!("nodes or inputs of the data ({})", inputs.join(", "));
                let got = named::got(unknown, &known);
                return Err(Error::value("from", expected, got).at(&node.place(name)));
            }
        }
        nodes.order()?;
        let taken = network.inputs();
        match inputs.iter().find(|input| !taken.contains(input)) {
            Some(unused) => {
                let expected = "a node that takes every input of the data";
                Err(Error::value("model.nodes", expected, format!("none that takes {unused}")))
            }
            None => Ok(()),
        }
    }
}

/// Notes in which line of the file each node stands.
pub(super) fn find_lines(recipe: &mut Recipe, text: &str) {
    let Ok(document) = DeTable::parse(text) else { return };
    let model = document.get_ref().get("model").and_then(|model| model.get_ref().as_table());
    let Some(nodes) = model.and_then(|model| model.get("nodes")).and_then(|nodes| nodes.get_ref().as_table())
    else {
        return;
    };
    for (name, _) in nodes {
        if let Some(node) = recipe.model.nodes.get_mut(name.get_ref().as_ref()) {
            let before = &text[..name.span().start.min(text.len())];
            node.line = Line(Some(before.matches('\n').count() + 1));
        }
    }
}
