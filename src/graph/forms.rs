//! Common forms of nodes, which several passes look for.

use super::op::{Comparison, Op};
use super::{Node, NodeId, Tensor};

impl Tensor {
    /// Whether it is a constant, 0 in every element.
    pub(crate) fn is_zero(&self) -> bool {
        let node = self.graph.node(self.id);
        match node.op {
            Op::Broadcast { .. } => self.graph.tensor(node.inputs[0]).is_zero(),
            Op::Constant(value) => value.bytes().iter().all(|byte| *byte == 0),
            _ => false,
        }
    }

    /// The `x` of flags that are `x > 0`.
    pub(crate) fn above_zero(&self) -> Option<NodeId> {
        let node = self.graph.node(self.id);
        let is_above = matches!(node.op, Op::Compare(Comparison::Gt));
        (is_above && self.graph.tensor(node.inputs[1]).is_zero()).then(|| node.inputs[0])
    }

    /// The `[x, y]` of an array that is `y` where `x > 0`, and 0 elsewhere. A relu has one tensor for both, and its
    /// gradient the gradient for its result as `y`.
    pub(crate) fn where_above_zero(&self) -> Option<[NodeId; 2]> {
        let Node { op: Op::Select, inputs, .. } = self.graph.node(self.id) else { return None };
        let input = |i: usize| self.graph.tensor(inputs[i]);
        let x = input(0).above_zero()?;
        input(2).is_zero().then(|| [x, inputs[1]])
    }

    /// The vector that it repeats for every place, with a number for each index of the last axis.
    pub(crate) fn repeated_row(&self) -> Option<NodeId> {
        let node = self.graph.node(self.id);
        match node.op {
            Op::Broadcast { dims } if dims.len() == 1 && dims[0] + 1 == self.rank() => Some(node.inputs[0]),
            _ => None,
        }
    }
}
