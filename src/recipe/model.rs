//! The `[model]` of a recipe: a list of layers, or named nodes with objectives.

use super::messages::line_number;
use super::{Recipe, Train};
use crate::error::{Error, Result};
use crate::loss::Loss;
use crate::named;
use crate::nn::{Architecture, Line, NAME, Network, Node, Nodes, Sequential, Summary, is_name};
use crate::train::Goal;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use toml::de::DeTable;

/// Layers one after another, nodes with names, or an architecture by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Layers one after another; empty where there are `nodes` or a `zoo`.
    #[serde(default, skip_serializing_if = "Sequential::is_empty")]
    pub layers: Sequential,
    /// Named parts of a network with several inputs, branches or outputs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub nodes: BTreeMap<String, Node>,
    /// A known architecture, in place of `layers` and `nodes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zoo: Option<Architecture>,
    /// A safetensors file of weights to begin with, see [`weights`](crate::export::weights).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<PathBuf>,
    /// Prefixes of names in that file, and the model's prefixes that replace them. Without `from` they have no effect.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rename: BTreeMap<String, String>,
}

/// An output, its loss, its target, and the weight of the loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Objective {
    /// The node whose result the output is.
    pub from: String,
    /// The loss of this output.
    pub loss: Loss,
    /// One of the targets of the data; may be left out where there is one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub target: String,
    /// A factor on its loss; above 0, 1 if absent.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub weight: f64,
    #[serde(skip)]
    line: Line,
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
        if let Some(zoo) = &self.zoo {
            return zoo.layers().into();
        }
        if self.nodes.is_empty() {
            return self.layers.clone().into();
        }
        let mut nodes = Nodes { nodes: self.nodes.clone(), outputs: Vec::new() };
        let mut outputs: Vec<String> = match train.objectives.is_empty() {
            true => nodes.ends().into_iter().map(String::from).collect(),
            false => train.objectives.values().map(|objective| objective.from.clone()).collect(),
        };
        // Several objectives may take the same output.
        let mut seen = BTreeSet::new();
        outputs.retain(|output| seen.insert(output.clone()));
        nodes.outputs = outputs;
        Network::Nodes(nodes)
    }

    /// Sets the names from files of weights in the rows of the model's summary, if it is an architecture's.
    pub(crate) fn name_rows(&self, summary: &mut Summary) {
        if let Some(zoo) = &self.zoo {
            zoo.name_rows(summary);
        }
    }

    /// The paths that `path` stands for, which may use the names from files of weights.
    pub(super) fn paths(&self, path: &str) -> Vec<String> {
        self.zoo.as_ref().map_or_else(|| vec![path.to_string()], |zoo| zoo.paths(path))
    }
}

impl Recipe {
    /// Checks that nodes, objectives and inputs fit together, as far as possible without data.
    pub(super) fn check(&self) -> Result<()> {
        let Self { model, train, data } = self;
        if train.loss.is_some() && !train.objectives.is_empty() {
            return Err(Error::value("train.objectives", "no train.loss beside them", "both"));
        }
        let forms = [
            ("layers", !model.layers.is_empty()),
            ("nodes", !model.nodes.is_empty()),
            ("zoo", model.zoo.is_some()),
        ];
        let there: Vec<&str> =
            forms.iter().filter(|(_, is_there)| *is_there).map(|(name, _)| *name).collect();
        if there.len() > 1 {
            return Err(Error::value("model", "one of layers, nodes and zoo", there.join(" and ")));
        }
        if let Some(zoo) = &model.zoo {
            zoo.check().map_err(|error| error.at(&format!("model.zoo.{}", zoo.kind())))?;
        }
        if model.nodes.is_empty() {
            return match train.objectives.is_empty() {
                true => Ok(()),
                false => Err(Error::value(
                    "train.objectives",
                    "model.nodes to take the outputs from",
                    format!("model.{}", there.first().unwrap_or(&"layers")),
                )),
            };
        }
        let inputs = data.input_names();
        if let Some((name, node)) = model.nodes.iter().find(|(name, _)| inputs.contains(&name.as_str())) {
            let expected = "a name that no input of the data has";
            return Err(Error::value("model.nodes", expected, name).at(&node.place(name)));
        }
        let names: Vec<&str> = model.nodes.keys().map(String::as_str).collect();
        for (name, objective) in &train.objectives {
            let place = objective.line.before(&format!("objective {name}"));
            if !is_name(name) {
                return Err(Error::value("train.objectives", NAME, format!("{name:?}")).at(&place));
            }
            if !(objective.weight.is_finite() && objective.weight > 0.0) {
                return Err(Error::value("weight", "a number above 0", objective.weight).at(&place));
            }
            if !model.nodes.contains_key(&objective.from) {
                let expected = format!("one of the nodes {}", names.join(", "));
                let got = named::got(&objective.from, &names);
                return Err(Error::value("from", expected, got).at(&place));
            }
            if !data.targets.is_empty() && !data.targets.contains(&objective.target) {
                let expected = format!("one of data.targets, {}", data.targets.join(", "));
                let targets: Vec<&str> = data.targets.iter().map(String::as_str).collect();
                let got = match &*objective.target {
                    "" => "none".to_string(),
                    target => named::got(target, &targets),
                };
                return Err(Error::value("target", expected, got).at(&place));
            }
        }
        let network = model.network(train);
        let Network::Nodes(nodes) = &network else { return Ok(()) };
        let known: Vec<&str> = names.iter().chain(&inputs).copied().collect();
        for (name, node) in &model.nodes {
            if let Some(unknown) = node.from.iter().find(|from| !known.contains(&from.as_str())) {
                let expected = format!("nodes or inputs of the data ({})", inputs.join(", "));
                let got = named::got(unknown, &known);
                return Err(Error::value("from", expected, got).at(&node.place(name)));
            }
        }
        nodes.order()?;
        if train.objectives.is_empty()
            && let [first, rest @ ..] = &nodes.outputs[..]
            && !rest.is_empty()
        {
            let expected = "an objective in train.objectives for each output, where there are several";
            let got = format!("none for {}", nodes.outputs.join(", "));
            return Err(Error::value("model.nodes", expected, got).at(&model.nodes[first].place(first)));
        }
        let taken = network.inputs();
        // A table may have only columns that are separate inputs.
        let may_lack = |input: &str| input == "input" && inputs.len() > 1;
        match inputs.iter().find(|input| !taken.contains(input) && !may_lack(input)) {
            Some(unused) => {
                let expected = format!("a node for each input of the data ({})", inputs.join(", "));
                Err(Error::value("model.nodes", expected, format!("none that takes {unused}")))
            }
            None => Ok(()),
        }
    }
}

/// Records the line of each node and objective; `file` is put before it.
pub(super) fn find_lines(recipe: &mut Recipe, text: &str, file: Option<&Path>) {
    let Ok(document) = DeTable::parse(text) else { return };
    let table = |section: &str, key: &str| {
        let section = document.get_ref().get(section)?.get_ref().as_table()?;
        section.get(key)?.get_ref().as_table()
    };
    let line = |start: usize| {
        let number = line_number(text, start);
        Line(Some(match file {
            Some(file) => format!("{}: line {number}", file.display()),
            None => format!("line {number}"),
        }))
    };
    for (name, _) in table("model", "nodes").into_iter().flatten() {
        if let Some(node) = recipe.model.nodes.get_mut(name.get_ref().as_ref()) {
            node.line = line(name.span().start);
        }
    }
    for (name, _) in table("train", "objectives").into_iter().flatten() {
        if let Some(objective) = recipe.train.objectives.get_mut(name.get_ref().as_ref()) {
            objective.line = line(name.span().start);
        }
    }
}
