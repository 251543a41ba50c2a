//! Nodes that one call computes together on the built-in CPU.

use super::epilogue::WithEpilogue;
use super::rows::Rows;
use super::{Lowering, Target, XlaResult};
use crate::graph::{Function, Graph, NodeId, Readers};
use std::collections::{HashMap, HashSet};

/// The calls of a function that compute several nodes each.
#[derive(Default)]
pub(super) struct Fused {
    /// By the nodes whose values they give.
    calls: HashMap<NodeId, Call>,
    /// The nodes that are not lowered themselves.
    replaced: HashSet<NodeId>,
}

pub(super) enum Call {
    Product(Box<WithEpilogue>),
    Rows(Rows),
}

impl Call {
    fn replaced(&self) -> &[NodeId] {
        match self {
            Self::Product(product) => &product.replaced,
            Self::Rows(rows) => &rows.replaced,
        }
    }
}

impl Fused {
    pub fn of(function: &Function, live: &[bool], target: Target) -> Self {
        let mut all = Self::default();
        if target != Target::Cpu {
            return all;
        }
        let search = Search { graph: function.graph(), readers: function.readers(live) };
        // Results come before their operands, so that a call is found as a whole.
        for id in (0..live.len()).rev().filter(|&id| live[id]) {
            if all.replaced.contains(&id) {
                continue;
            }
            let product = || search.with_epilogue(id).map(|call| Call::Product(Box::new(call)));
            if let Some(call) = product().or_else(|| search.rows(id).map(Call::Rows)) {
                all.replaced.extend(call.replaced());
                all.calls.insert(id, call);
            }
        }
        all
    }

    /// The call that gives the value of a node.
    pub fn at(&self, id: NodeId) -> Option<&Call> {
        self.calls.get(&id)
    }

    pub fn replaces(&self, id: NodeId) -> bool {
        self.replaced.contains(&id)
    }
}

pub(super) struct Search<'a> {
    pub graph: &'a Graph,
    readers: Vec<Readers>,
}

impl Search<'_> {
    /// Whether this many nodes read a node, and nothing else.
    pub fn has_readers(&self, id: NodeId, count: usize) -> bool {
        let Readers { nodes, is_output } = &self.readers[id];
        nodes.len() == count && !is_output
    }

    /// The first node that reads a node.
    pub fn first_reader(&self, id: NodeId) -> Option<NodeId> {
        self.readers[id].nodes.first().copied()
    }
}

impl Lowering<'_> {
    pub(super) fn fused(&mut self, function: &Function, call: &Call) -> XlaResult {
        match call {
            Call::Product(product) => self.product_with_epilogue(function, product),
            Call::Rows(rows) => self.rows(function, rows),
        }
    }
}
