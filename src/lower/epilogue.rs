//! Products with the bias that is added to them and the activation of that sum, and products with the gradient of the
//! activation before them: on the built-in CPU one call.

use super::fused::Search;
use super::product::is_product_call;
use super::{Lowering, XlaResult, dims, element};
use crate::array::DType;
use crate::graph::{Binary, DotDims, Function, Node, NodeId, Op, Unary};
use neural_kernels::Epilogue;

/// A product with its epilogue.
pub(super) struct WithEpilogue {
    product: Node,
    axes: DotDims,
    epilogue: Epilogue,
    /// The epilogue's own operand.
    other: NodeId,
    /// Of a relu, the node that tells where its operand is above 0.
    flags: Option<NodeId>,
    /// The nodes that are not lowered themselves.
    pub replaced: Vec<NodeId>,
}

impl Search<'_> {
    /// The product and the epilogue that compute `id`.
    pub(super) fn with_epilogue(&self, id: NodeId) -> Option<WithEpilogue> {
        let node = self.graph.node(id);
        if node.ty.dtype != DType::F32 {
            return None;
        }
        match node.op {
            Op::Binary(Binary::Add) => self.biased(id, Epilogue::Bias),
            Op::Binary(Binary::Mul) => self.sloped(node.inputs[0], node.inputs[1]),
            Op::Unary(Unary::Logistic) => self.activated(node.inputs[0], 1, Epilogue::Sigmoid),
            Op::Unary(Unary::Tanh) => self.activated(node.inputs[0], 1, Epilogue::Tanh),
            Op::Select => {
                let [x, y] = self.graph.tensor(id).where_above_zero()?;
                if x != y {
                    let alike = self.graph.node(x).ty == node.ty;
                    return alike.then(|| self.product(y, Epilogue::ReluGrad, x))?;
                }
                // Read by the comparison and by this node, which is also the first to read the comparison.
                let flags = node.inputs[0];
                let mut relu = self.activated(x, 2, Epilogue::Relu)?;
                relu.replaced.push(flags);
                let is_first = self.first_reader(flags) == Some(id);
                is_first.then_some(WithEpilogue { flags: Some(flags), ..relu })
            }
            _ => None,
        }
    }

    /// An activation of a biased product that this many nodes read, and nothing else.
    fn activated(&self, sum: NodeId, readers: usize, epilogue: Epilogue) -> Option<WithEpilogue> {
        let mut found = self.biased(sum, epilogue)?;
        found.replaced.push(sum);
        self.has_readers(sum, readers).then_some(found)
    }

    /// A product times the slope of an activation.
    fn sloped(&self, product: NodeId, slope: NodeId) -> Option<WithEpilogue> {
        let slope = self.graph.tensor(slope);
        let sigmoid = || slope.sigmoid_slope().and_then(|y| self.product(product, Epilogue::SigmoidGrad, y));
        let tanh = || slope.tanh_slope().and_then(|y| self.product(product, Epilogue::TanhGrad, y));
        sigmoid().or_else(tanh)
    }

    /// The sum of a product and a row.
    fn biased(&self, id: NodeId, epilogue: Epilogue) -> Option<WithEpilogue> {
        let of = |x: NodeId, row: NodeId| self.product(x, epilogue, self.graph.tensor(row).repeated_row()?);
        let [x, y] = self.graph.tensor(id).operands(Binary::Add)?;
        of(x, y).or_else(|| of(y, x))
    }

    /// A product with one reader, whose last axis has all columns of its second matrix.
    fn product(&self, id: NodeId, epilogue: Epilogue, other: NodeId) -> Option<WithEpilogue> {
        let product = self.graph.node(id);
        let Op::Dot(axes) = product.op.clone() else { return None };
        let [a, b] = [0, 1].map(|i| self.graph.node(product.inputs[i]).ty.shape);
        let is_matrix = axes.lhs_batch.is_empty() && b.len() == axes.rhs_contract.len() + 1;
        let called = is_product_call(&axes, &a, product.ty.dtype, &product.ty.shape);
        let replaced = vec![id];
        let found = WithEpilogue { product, axes, epilogue, other, flags: None, replaced };
        (is_matrix && called && self.has_readers(id, 1)).then_some(found)
    }
}

impl Lowering<'_> {
    /// The call for a product with its epilogue.
    pub(super) fn product_with_epilogue(&mut self, function: &Function, call: &WithEpilogue) -> XlaResult {
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
