//! Functions with a custom gradient.

use super::{Function, Graph, NodeId, Op, Tensor, Type, gradients};
use crate::array::DType;
use crate::error::{Error, Result};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// The gradients for a function's inputs from these, its result, and the result's gradient.
type Rule = dyn Fn(&[Tensor], &Tensor, &Tensor) -> Result<Vec<Tensor>> + Send + Sync;

/// The gradient rule of an [`Op::Custom`](super::Op::Custom).
#[derive(Clone)]
pub struct Custom(Arc<Rule>);

impl Custom {
    /// The gradients for the operation's inputs: first the function's result, then the function's own inputs.
    pub(super) fn gradients(
        &self,
        inputs: &[Tensor],
        y: &Tensor,
        dy: &Tensor,
    ) -> Result<Vec<Option<Tensor>>> {
        let xs = &inputs[1..];
        let grads = (self.0)(xs, y, dy)?;
        let types =
            |tensors: &[Tensor]| tensors.iter().map(|t| t.ty().to_string()).collect::<Vec<_>>().join(", ");
        if !grads.iter().map(Tensor::ty).eq(xs.iter().map(Tensor::ty)) {
            return Err(Error::shape("custom gradient", types(xs), types(&grads)));
        }
        let grads = xs.iter().zip(grads).map(|(x, grad)| x.dtype().is_float().then_some(grad));
        Ok(std::iter::once(None).chain(grads).collect())
    }
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Custom")
    }
}

/// The result of `function` over `inputs`, with the gradient that `gradient` computes in place of the one its
/// operations would give.
///
/// `gradient` receives the inputs, the result `y`, and the gradient `dy` of the loss for it, and returns the gradient
/// for each input, of the input's type. It computes with these tensors alone, as it may run in another graph: anything
/// else that it needs must be an input.
///
/// ```
/// use neural::{DType, graph::{Graph, custom_gradient, gradients}};
/// let graph = Graph::new();
/// let x = graph.parameter(DType::F32, &[8]);
/// // Rounds, and lets the gradient pass as if it did not (a straight-through estimator).
/// let y = custom_gradient(&[&x], |x| x[0].round(), |_, _, dy| Ok(vec![dy.clone()]))?;
/// assert_eq!(gradients(&y.sum_all()?, &[&x])?[0].shape(), [8]);
/// # Ok::<(), neural::Error>(())
/// ```
///
/// # Errors
/// Any error of `function`, and when the inputs are not of one graph. Any error of `gradient`, and types other than the inputs',
/// come up in [`gradients()`].
pub fn custom_gradient(
    inputs: &[&Tensor],
    function: impl FnOnce(&[Tensor]) -> Result<Tensor>,
    gradient: impl Fn(&[Tensor], &Tensor, &Tensor) -> Result<Vec<Tensor>> + Send + Sync + 'static,
) -> Result<Tensor> {
    let owned: Vec<_> = inputs.iter().map(|&input| input.clone()).collect();
    let y = function(&owned)?;
    let inputs: Vec<_> = std::iter::once(&y).chain(inputs.iter().copied()).collect();
    y.graph.apply(Op::Custom(Custom(Arc::new(gradient))), &inputs)
}

impl Graph {
    /// The result of `build` in this graph, computed again when the gradient needs it rather than kept until then: less
    /// memory for more arithmetic (Chen et al., 2016). Values and random numbers stay the same.
    ///
    /// ```
    /// use neural::{DType, graph::{Graph, gradients}};
    /// let graph = Graph::new();
    /// let (x, w) = (graph.parameter(DType::F32, &[8, 3]), graph.parameter(DType::F32, &[3, 3]));
    /// let y = graph.recomputed(|| x.matmul(&w)?.tanh()?.matmul(&w)?.tanh())?;
    /// assert_eq!(gradients(&y.sum_all()?, &[&x, &w])?[1].shape(), [3, 3]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// Any error of `build`, and when its result is of another graph.
    pub fn recomputed(&self, build: impl FnOnce() -> Result<Tensor>) -> Result<Tensor> {
        let start = self.len();
        let y = build()?;
        self.check(|| "recomputed".into(), &[&y])?;
        let (inputs, part) = self.part(start, &y);
        let rule = move |inputs: &[Tensor], _: &Tensor, dy: &Tensor| {
            let graph = &dy.graph;
            // The inputs depend on the gradient: otherwise XLA would merge the recomputation with the first computation.
            let inputs = inputs.iter().map(|x| after(x, dy)).collect::<Result<Vec<_>>>()?;
            let y = part.call(graph, &inputs)?.remove(0);
            let total = (y * dy)?.sum_all()?.convert(DType::F64)?;
            gradients(&total, &inputs.iter().collect::<Vec<_>>())
        };
        let inputs: Vec<_> = std::iter::once(y.clone()).chain(inputs).collect();
        self.apply(Op::Custom(Custom(Arc::new(rule))), &inputs.iter().collect::<Vec<_>>())
    }

    /// The values from before `start` that `y` depends on, and `y` as a function of them.
    fn part(&self, start: NodeId, y: &Tensor) -> (Vec<Tensor>, Function) {
        let live = Function::new(self, vec![y.clone()]).live();
        let is_inside = |id: NodeId| id >= start && !matches!(self.node(id).op, Op::Parameter { .. });
        let inside: Vec<_> = (start..live.len()).filter(|&id| live[id] && is_inside(id)).collect();
        let mut inputs: Vec<NodeId> = inside.iter().flat_map(|&id| self.node(id).inputs).collect();
        inputs.push(y.id);
        inputs.retain(|&id| !is_inside(id));
        inputs.sort_unstable();
        inputs.dedup();

        let part = Graph::new();
        let mut made: HashMap<NodeId, Tensor> = HashMap::new();
        for &id in &inputs {
            let Type { dtype, shape } = self.node(id).ty;
            made.insert(id, part.parameter(dtype, &shape));
        }
        self.copy(inside, &part, &mut made);
        let outputs = vec![made[&y.id].clone()];
        (inputs.into_iter().map(|id| self.tensor(id)).collect(), Function::new(&part, outputs))
    }
}

/// `x`, but computed only after `dy`. Where the first element of `dy` is not finite the result is 0, as nothing is of
/// use then.
fn after(x: &Tensor, dy: &Tensor) -> Result<Tensor> {
    if !x.dtype().is_float() || dy.shape().contains(&0) {
        return Ok(x.clone());
    }
    let rank = dy.rank();
    let first = dy.slice(&vec![0; rank], &vec![1; rank], &vec![1; rank])?.reshape(&[])?.stop_gradient()?;
    first.is_finite()?.select(x, &x.scalar_like(0.0))
}
