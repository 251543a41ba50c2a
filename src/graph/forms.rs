//! Common forms of nodes, which several passes look for.

use super::op::{Binary, Comparison, Op, Unary};
use super::{Node, NodeId, Tensor};

impl Tensor {
    /// Whether it is a constant, this number in every element.
    pub(crate) fn is_all(&self, number: f64) -> bool {
        let node = self.graph.node(self.id);
        match node.op {
            Op::Broadcast { .. } => self.graph.tensor(node.inputs[0]).is_all(number),
            Op::Constant(value) => value.values().all(|x| x.to_bits() == number.to_bits()),
            _ => false,
        }
    }

    /// The `x` of flags that are `x > 0`.
    pub(crate) fn above_zero(&self) -> Option<NodeId> {
        let node = self.graph.node(self.id);
        let is_above = matches!(node.op, Op::Compare(Comparison::Gt));
        (is_above && self.graph.tensor(node.inputs[1]).is_all(0.0)).then(|| node.inputs[0])
    }

    /// The `[x, y]` of an array that is `y` where `x > 0`, and 0 elsewhere. A relu has one tensor for both, and its
    /// gradient the gradient for its result as `y`.
    pub(crate) fn where_above_zero(&self) -> Option<[NodeId; 2]> {
        let Node { op: Op::Select, inputs, .. } = self.graph.node(self.id) else { return None };
        let input = |i: usize| self.graph.tensor(inputs[i]);
        let x = input(0).above_zero()?;
        input(2).is_all(0.0).then(|| [x, inputs[1]])
    }

    /// The `y` of `y (1 - y)`, the slope of a sigmoid whose result is `y`.
    pub(crate) fn sigmoid_slope(&self) -> Option<NodeId> {
        let [y, rest] = self.operands(Binary::Mul)?;
        (self.graph.tensor(rest).one_minus()? == y).then_some(y)
    }

    /// The `y` of `1 - y²`, the slope of a tanh whose result is `y`.
    pub(crate) fn tanh_slope(&self) -> Option<NodeId> {
        let [x, y] = self.graph.tensor(self.one_minus()?).operands(Binary::Mul)?;
        (x == y).then_some(y)
    }

    /// The operands, if this operation makes it.
    pub(crate) fn operands(&self, op: Binary) -> Option<[NodeId; 2]> {
        match self.graph.node(self.id) {
            Node { op: Op::Binary(of), inputs, .. } if of == op => inputs.try_into().ok(),
            _ => None,
        }
    }

    /// The `y` of `-y + 1`.
    fn one_minus(&self) -> Option<NodeId> {
        let [negated, one] = self.operands(Binary::Add)?;
        match self.graph.node(negated) {
            Node { op: Op::Unary(Unary::Neg), inputs, .. } if self.graph.tensor(one).is_all(1.0) => {
                Some(inputs[0])
            }
            _ => None,
        }
    }

    /// The vector that it repeats for every place, with a number for each index of the last axis.
    pub(crate) fn repeated_row(&self) -> Option<NodeId> {
        self.repeated().filter(|&row| self.graph.tensor(row).rank() == 1)
    }

    /// The array that it repeats along its first axes: a scalar, or one with its last axes.
    pub(crate) fn repeated(&self) -> Option<NodeId> {
        let node = self.graph.node(self.id);
        match node.op {
            Op::Broadcast { dims } if dims.iter().copied().eq(self.rank() - dims.len()..self.rank()) => {
                Some(node.inputs[0])
            }
            _ => None,
        }
    }
}
