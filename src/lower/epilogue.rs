//! Products with the bias that is added to them and the activation of that sum, and products with the gradient of a relu
//! before them: on the built-in CPU one call.

use super::product::is_product_call;
use super::{Lowering, Target, XlaResult, dims, element};
use crate::array::DType;
use crate::graph::{Binary, DotDims, Function, Node, NodeId, Op, Tensor, Unary};
use neural_kernels::Epilogue;
use std::collections::{HashMap, HashSet};

/// The products of a function that have an epilogue.
#[derive(Default)]
pub(super) struct Epilogues {
    /// By the nodes of the epilogues' results.
    calls: HashMap<NodeId, WithEpilogue>,
    /// The nodes that are not lowered themselves.
    replaced: HashSet<NodeId>,
}

/// A product with its epilogue.
struct WithEpilogue {
    product: Node,
    axes: DotDims,
    epilogue: Epilogue,
    /// The epilogue's own operand.
    other: NodeId,
    /// Of a relu, the node that tells where its operand is above 0.
    flags: Option<NodeId>,
    replaced: Vec<NodeId>,
}

impl Epilogues {
    pub fn of(function: &Function, live: &[bool], target: Target) -> Self {
        let mut all = Self::default();
        if target != Target::Cpu {
            return all;
        }
        let readers = Readers::of(function, live);
        // The whole of an epilogue is found before its parts.
        for id in (0..live.len()).rev().filter(|&id| live[id]) {
            if !all.replaced.contains(&id)
                && let Some(found) = readers.with_epilogue(id)
            {
                all.replaced.extend(&found.replaced);
                all.calls.insert(id, found);
            }
        }
        all
    }

    pub fn replaces(&self, id: NodeId) -> bool {
        self.replaced.contains(&id)
    }
}

/// A function, with the readers of each of its nodes.
struct Readers<'a> {
    function: &'a Function,
    /// How many live nodes and outputs read a node.
    count: Vec<usize>,
    first: Vec<Option<NodeId>>,
}

impl<'a> Readers<'a> {
    fn of(function: &'a Function, live: &[bool]) -> Self {
        let (mut count, mut first) = (vec![0; live.len()], vec![None; live.len()]);
        function.outputs().iter().for_each(|output| count[output.id()] += 1);
        for id in (0..live.len()).filter(|&id| live[id]) {
            for input in function.graph().node(id).inputs {
                count[input] += 1;
                first[input].get_or_insert(id);
            }
        }
        Self { function, count, first }
    }

    fn node(&self, id: NodeId) -> Node {
        self.function.graph().node(id)
    }

    fn tensor(&self, id: NodeId) -> Tensor {
        self.function.graph().tensor(id)
    }

    /// The product and the epilogue of which `id` is the result.
    fn with_epilogue(&self, id: NodeId) -> Option<WithEpilogue> {
        let node = self.node(id);
        if node.ty.dtype != DType::F32 {
            return None;
        }
        match node.op {
            Op::Binary(Binary::Add) => self.biased(id, Epilogue::Bias),
            Op::Unary(Unary::Logistic) => self.activated(node.inputs[0], 1, Epilogue::Sigmoid),
            Op::Unary(Unary::Tanh) => self.activated(node.inputs[0], 1, Epilogue::Tanh),
            Op::Select => {
                let [flags, x, zero] = node.inputs[..] else { return None };
                if !self.tensor(zero).is_zero() {
                    return None;
                }
                let compared = self.tensor(flags).above_zero()?;
                if compared != x {
                    let alike = self.node(compared).ty == node.ty;
                    return alike.then(|| self.product(x, Epilogue::ReluGrad, compared))?;
                }
                // Read by the comparison and by this node, which is also the first to read the comparison.
                let mut relu = self.activated(x, 2, Epilogue::Relu)?;
                relu.replaced.push(flags);
                (self.first[flags] == Some(id)).then_some(WithEpilogue { flags: Some(flags), ..relu })
            }
            _ => None,
        }
    }

    /// An activation of a biased product that nothing but its `readers` reads.
    fn activated(&self, sum: NodeId, readers: usize, epilogue: Epilogue) -> Option<WithEpilogue> {
        let mut found = self.biased(sum, epilogue)?;
        found.replaced.push(sum);
        (self.count[sum] == readers).then_some(found)
    }

    /// The sum of a product and a row.
    fn biased(&self, id: NodeId, epilogue: Epilogue) -> Option<WithEpilogue> {
        let Node { op: Op::Binary(Binary::Add), inputs, .. } = self.node(id) else { return None };
        let of = |x: NodeId, row: NodeId| self.product(x, epilogue, self.tensor(row).repeated_row()?);
        let [x, y] = inputs[..] else { return None };
        of(x, y).or_else(|| of(y, x))
    }

    /// A product that nothing else reads, of which the last axis is all columns of a matrix.
    fn product(&self, id: NodeId, epilogue: Epilogue, other: NodeId) -> Option<WithEpilogue> {
        let product = self.node(id);
        let Op::Dot(axes) = product.op.clone() else { return None };
        let [a, b] = [0, 1].map(|i| self.node(product.inputs[i]).ty.shape);
        let is_matrix = axes.lhs_batch.is_empty() && b.len() == axes.rhs_contract.len() + 1;
        let called = is_product_call(&axes, &a, product.ty.dtype, &product.ty.shape);
        let replaced = vec![id];
        let found = WithEpilogue { product, axes, epilogue, other, flags: None, replaced };
        (is_matrix && called && self.count[id] == 1).then_some(found)
    }
}

impl Lowering<'_> {
    /// The call for a product with its epilogue, if `id` is the result of one.
    pub(super) fn product_with_epilogue(
        &mut self,
        function: &Function,
        epilogues: &Epilogues,
        id: NodeId,
    ) -> Option<XlaResult> {
        epilogues.calls.get(&id).map(|call| self.epilogue(function, call))
    }

    fn epilogue(&mut self, function: &Function, call: &WithEpilogue) -> XlaResult {
        let WithEpilogue { product, axes, epilogue, other, flags, .. } = call;
        let node = |id| function.graph().node(id);
        // A relu's result is above 0 where its operand is, which then is not kept.
        let other = self.relus.get(other).unwrap_or_else(|| &self.values[other]);
        let [a, b] = [product.inputs[0], product.inputs[1]];
        let [a_shape, b_shape] = [a, b].map(|id| node(id).ty.shape);
        let operands = [(&self.values[&a], &*a_shape), (&self.values[&b], &*b_shape)];
        let result = self.product_call(operands, axes, &product.ty.shape, Some((*epilogue, other)))?;
        if let &Some(flags) = flags {
            let zeros = self.builder.zero(element(DType::F32))?.broadcast(&dims(&product.ty.shape))?;
            self.values.insert(flags, result.gt(&zeros)?);
            self.relus.insert(node(flags).inputs[0], result.clone());
        }
        Ok(result)
    }
}
