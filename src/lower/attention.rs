//! Attention of f32 on the built-in CPU: a call that writes no scores to memory. Elsewhere it is lowered as separate
//! operations.

use super::{Lowering, Target, XlaResult, calls, dims, element};
use crate::array::{DType, count};
use crate::graph::{Composite, Function, HIDDEN, Node, Op};
use neural_kernels::{AttentionSizes, HIDDEN_SCORE};

// The call hides keys as the operations do.
const _: () = assert!(HIDDEN_SCORE == HIDDEN as f32);

/// Queries, keys and values.
const GIVEN: usize = 3;

/// Whether a node is one call on a kind of device, and not lowered as separate operations.
pub(super) fn is_attention_call(function: &Function, node: &Node, target: Target) -> bool {
    let Op::Composite(Composite::Attention { .. } | Composite::AttentionGrad { .. }) = node.op else {
        return false;
    };
    let keys = function.graph().node(node.inputs[2]).ty;
    target == Target::Cpu && keys.dtype == DType::F32 && count(&keys.shape) > 0
}

impl Lowering<'_> {
    /// A node for which [`is_attention_call`] holds.
    pub(super) fn attention(&mut self, function: &Function, composite: Composite, node: &Node) -> XlaResult {
        let operands = &node.inputs[1..];
        let shape = |i: usize| function.graph().node(operands[i]).ty.shape;
        let (queries, keys) = (shape(0), shape(1));
        let (causal, others) = match composite {
            Composite::Attention { causal } => (causal, 0),
            // The result and its gradient.
            Composite::AttentionGrad { causal, .. } => (causal, 2),
        };
        let masked = operands.len() > GIVEN + others;
        let sizes = AttentionSizes {
            batch: queries[0] as i64,
            queries: queries[1] as i64,
            keys: keys[1] as i64,
            heads: queries[2] as i64,
            size: queries[3] as i64,
            causal: i64::from(causal),
            masked: i64::from(masked),
        };
        let value = |i: usize| &self.values[&operands[i]];
        let mask = match masked {
            true => value(GIVEN).convert(element(DType::F32).primitive_type())?,
            false => self.nothing()?,
        };
        let [q, k, v] = [value(0), value(1), value(2)];
        let of = match composite {
            Composite::Attention { .. } => {
                return self.call(calls::ATTENTION, &[q, k, v, &mask], &sizes, DType::F32, &queries);
            }
            Composite::AttentionGrad { of, .. } => of,
        };
        let (own, other) = (count(&queries), count(&keys));
        let ends = [0, own, own + other, own + 2 * other];
        let all = if let Some(all) = self.attention_grads.get(operands) {
            all.clone()
        } else {
            let (y, dy) = (value(operands.len() - 2), value(operands.len() - 1));
            let all =
                self.call(calls::ATTENTION_GRAD, &[q, k, v, &mask, y, dy], &sizes, DType::F32, &ends[3..])?;
            self.attention_grads.insert(operands.to_vec(), all.clone());
            all
        };
        all.slice_in_dim1(ends[of] as i64, ends[of + 1] as i64, 0)?.reshape(&dims(&node.ty.shape))
    }
}
