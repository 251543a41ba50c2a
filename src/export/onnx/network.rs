//! A list of layers, or named nodes, between the inputs and the outputs.

use super::builder::{Builder, Value, int};
use crate::error::{Error, Result};
use crate::nn::{Join, Network, Node, Nodes, Sequential};
use std::collections::BTreeMap;

impl Builder<'_> {
    /// The results by the names of the network's outputs; the output of a list of layers has an empty one.
    pub fn network<'m>(
        &mut self,
        network: &'m Network,
        inputs: Vec<(&'m str, Value)>,
    ) -> Result<BTreeMap<&'m str, Value>> {
        match network {
            Network::Layers(layers) => match inputs.into_iter().next() {
                Some((_, x)) => Ok(BTreeMap::from([("", self.whole_list(layers, x)?)])),
                None => Err(Error::value("inputs", "one, for a list of layers", "none")),
            },
            Network::Nodes(nodes) => self.nodes(nodes, inputs),
            Network::Custom(custom) => Err(custom.refused()),
        }
    }

    /// The results of all nodes and the inputs.
    fn nodes<'m>(
        &mut self,
        nodes: &'m Nodes,
        inputs: Vec<(&'m str, Value)>,
    ) -> Result<BTreeMap<&'m str, Value>> {
        let mut results: BTreeMap<&str, Value> = inputs.into_iter().collect();
        let mut positions: BTreeMap<&str, String> = BTreeMap::new();
        for name in nodes.order()? {
            let node = &nodes.nodes[name];
            let masks: Vec<_> = node.from.iter().map(|from| positions.get(from.as_str()).cloned()).collect();
            let taken: Vec<Value> =
                node.from.iter().filter_map(|from| results.get(from.as_str()).cloned()).collect();
            let x = self.within(name, |builder| builder.joined_nodes(node, taken, masks))?;
            let (layers, owner) = nodes.layers(node, name);
            let y = self.within(&owner, |builder| builder.whole_list(layers, x))?;
            positions.extend(self.positions.take().map(|mask| (name, mask)));
            results.insert(name, y);
        }
        Ok(results)
    }

    /// Layers on `x`. Their shapes follow from its own, and differ among the nodes that share a list.
    fn whole_list(&mut self, layers: &Sequential, x: Value) -> Result<Value> {
        self.find_shapes(layers, &x.shape[1..])?;
        self.layers(layers, x)
    }

    fn joined_nodes(
        &mut self,
        node: &Node,
        mut taken: Vec<Value>,
        masks: Vec<Option<String>>,
    ) -> Result<Value> {
        self.positions = masks.iter().flatten().next().cloned();
        if taken.iter().any(|x| x.channels_first != taken[0].channels_first) {
            taken = taken.into_iter().map(|x| self.channels_last(x)).collect();
        }
        let mut rest = taken.into_iter();
        let Some(first) = rest.next() else {
            return Err(Error::value("from", "the name of a node or an input", "none"));
        };
        let op = match &node.join {
            None => return Ok(first),
            Some(Join::Concatenate) => {
                let axis = if first.channels_first { 1 } else { first.rank() - 1 };
                let mut names = vec![first.name.clone()];
                let mut y = first;
                for x in rest {
                    let last = x.rank() - 1;
                    y.shape[last] += x.shape[last];
                    names.push(x.name);
                }
                y.name = self.node("Concat", &names, vec![int("axis", axis as i64)]);
                return Ok(y);
            }
            Some(Join::Add) => "Add",
            Some(Join::Subtract) => "Sub",
            Some(Join::Multiply) => "Mul",
            Some(Join::Attention(attention)) => {
                self.positions = masks.get(1).cloned().flatten();
                let y = self.within("attention", |builder| builder.attention(attention, first, rest.next()));
                self.positions = masks.into_iter().next().flatten();
                return y;
            }
        };
        Ok(rest.fold(first, |y, x| y.with(self.node(op, &[&y.name, &x.name], vec![]))))
    }
}
