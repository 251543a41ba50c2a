//! Values composed of operations that are also known as a whole, so that a device may compute them in its own way.

use super::Tensor;
use super::gradient::pullback;
use super::op::Op;
use crate::error::Result;

/// The score of a hidden key, below any real one, yet finite: the softmax of a sequence of padding alone is uniform, not NaN.
pub(crate) const HIDDEN: f64 = -1e30;

/// The function of its operands, the later inputs, that the first input of an [`Op::Composite`] is.
///
/// ```
/// use neural::{DType, graph::{Composite, Graph, Op}, nn::{Attention, Context, Module}, variables::Variables};
/// let graph = Graph::new();
/// let x = graph.parameter(DType::F32, &[8, 5, 16]);
/// let mut variables = Variables::declare(&graph, DType::F32);
/// Attention::new(4).forward(&x, &mut Context::evaluation(&mut variables))?;
/// let mut ops = (0..graph.len()).map(|id| graph.node(id).op);
/// assert!(ops.any(|op| matches!(op, Op::Composite(Composite::Attention { causal: false }))));
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Composite {
    /// `softmax(q kᵀ / √d) v` of queries `[n, length, heads, d]`, keys and values `[n, others, heads, d]` and, as a fourth
    /// operand if there is one, which keys are seen, `bool[n, others]`. With `causal` a query sees no key after its own place.
    Attention {
        /// Whether later keys are hidden from a query.
        causal: bool,
    },
    /// The gradient of an attention for its `of`-th operand. After the attention's operands come its result and the gradient
    /// for that.
    AttentionGrad {
        /// As in the attention.
        causal: bool,
        /// 0 for queries, 1 for keys, 2 for values.
        of: usize,
    },
}

impl Tensor {
    /// The same value, known to be `composite` of `operands`, which are different tensors.
    ///
    /// # Errors
    /// When the operands are of another graph.
    pub(crate) fn known_as(&self, composite: Composite, operands: &[&Tensor]) -> Result<Tensor> {
        let inputs: Vec<_> = std::iter::once(self).chain(operands.iter().copied()).collect();
        self.graph.apply(Op::Composite(composite), &inputs)
    }
}

impl Composite {
    /// The gradients for the inputs of a node, derived from its operations and themselves known as a whole.
    pub(super) fn gradients(self, inputs: &[Tensor], y: &Tensor, dy: &Tensor) -> Result<Vec<Option<Tensor>>> {
        let (value, operands) = (&inputs[0], &inputs[1..]);
        let mut grads = vec![None; inputs.len()];
        match self {
            Composite::Attention { causal } => {
                let wanted: Vec<_> = operands.iter().take(3).collect();
                let all: Vec<_> = operands.iter().chain([y, dy]).collect();
                for (of, grad) in pullback(value, dy, &wanted, true)?.into_iter().enumerate() {
                    grads[1 + of] = Some(grad.known_as(Composite::AttentionGrad { causal, of }, &all)?);
                }
            }
            // Second derivatives come from the operations.
            Composite::AttentionGrad { .. } => grads[0] = Some(dy.clone()),
        }
        Ok(grads)
    }
}
