//! Reverse-mode differentiation: one rule an operation.
//!
//! In the rules, `dy` is the gradient of the loss for the operation's result `y`; each returns the gradient for
//! one input. An input that the wanted tensors do not reach gets no gradient, and a gradient that is zero everywhere is
//! not built: it is `None`.

use super::op::{Binary, DotDims, Op, Reduction, Type, Unary, Window};
use super::{Graph, Node, Tensor};
use crate::error::{Error, Result};
use std::collections::HashMap;

/// The gradients of the scalar `loss` for each of `wanted`, in the graph of `loss`.
///
/// A wanted tensor on which the loss does not depend has a gradient of zeros, and so has one that is not
/// floating-point.
///
/// ```
/// use neural::{DType, graph::{Graph, gradients}};
/// let graph = Graph::new();
/// let [x, w] = [[4, 3], [3, 2]].map(|shape| graph.parameter(DType::F32, &shape));
/// let loss = x.matmul(&w)?.square()?.mean_all()?;
/// assert_eq!(gradients(&loss, &[&w])?[0].shape(), w.shape());
/// assert!(gradients(&w, &[&x]).is_err());
/// # Ok::<(), neural::Error>(())
/// ```
///
/// # Errors
/// When `loss` is not a floating-point scalar, or an operation on the way has no gradient.
pub fn gradients(loss: &Tensor, wanted: &[&Tensor]) -> Result<Vec<Tensor>> {
    if loss.rank() != 0 || !loss.dtype().is_float() {
        return Err(Error::shape("gradient", "a floating-point scalar to differentiate", loss.ty()));
    }
    loss.graph.check(|| "gradient".into(), wanted)?;
    pullback(loss, &loss.full_like(1.0)?, wanted, false)
}

/// The gradients for each of `wanted`, where the gradient for `y` is `dy`. With `leaves` no gradient passes through one
/// of them to another: each is the derivative with the others held constant.
pub(super) fn pullback(y: &Tensor, dy: &Tensor, wanted: &[&Tensor], leaves: bool) -> Result<Vec<Tensor>> {
    let graph = &y.graph;
    // Nodes before the first wanted one depend on none of them.
    let first = wanted.iter().map(|t| t.id).min().unwrap_or(y.id).min(y.id);
    let nodes: Vec<(usize, Node)> = (first..=y.id).map(|id| (id, graph.node(id))).collect();
    let (mut active, mut is_leaf) = (vec![false; y.id + 1], vec![false; y.id + 1]);
    for tensor in wanted.iter().filter(|t| t.id <= y.id) {
        active[tensor.id] = tensor.dtype().is_float();
        is_leaf[tensor.id] = leaves;
    }
    for (id, node) in &nodes {
        active[*id] |= node.inputs.iter().any(|&input| active[input]);
    }

    let mut cotangents: HashMap<usize, Tensor> = HashMap::new();
    if active[y.id] {
        cotangents.insert(y.id, dy.clone());
    }
    // A scan has a cotangent for each of its outputs.
    let mut of_scans: HashMap<usize, Vec<Option<Tensor>>> = HashMap::new();
    for &(id, ref node) in nodes.iter().rev().filter(|(id, _)| active[*id] && !is_leaf[*id]) {
        let inputs: Vec<_> = node.inputs.iter().map(|&input| graph.tensor(input)).collect();
        let grads = if let Op::Scan(scan) = &node.op {
            let Some(dys) = of_scans.remove(&id) else { continue };
            let outputs: Vec<_> = (1..=dys.len()).map(|i| graph.tensor(id + i)).collect();
            graph.within(&node.place, || graph.scan_gradient(scan, &inputs, &outputs, &dys))?
        } else {
            let Some(dy) = cotangents.get(&id).cloned() else { continue };
            if let (Op::Output(index), &[scan]) = (&node.op, &node.inputs[..]) {
                if let Op::Scan(of) = graph.node(scan).op {
                    let count = of.body.outputs().len();
                    of_scans.entry(scan).or_insert_with(|| vec![None; count])[*index] = Some(dy);
                }
                continue;
            }
            let y = graph.tensor(id);
            let rule = Rule { graph, inputs: &inputs, y: &y, dy: &dy };
            graph.within(&node.place, || {
                if let Op::Custom(custom) = &node.op {
                    return custom.gradients(&inputs, &y, &dy);
                }
                if let Op::Composite(composite) = node.op {
                    return composite.gradients(&inputs, &y, &dy);
                }
                (0..inputs.len())
                    .map(|i| if active[inputs[i].id] { rule.gradient(&node.op, i) } else { Ok(None) })
                    .collect::<Result<Vec<_>>>()
            })?
        };
        for (input, grad) in inputs.iter().zip(grads) {
            let Some(grad) = grad.filter(|_| active[input.id]) else { continue };
            if grad.ty() != input.ty() {
                return Err(Error::shape(format!("gradient of {}", node.op.name()), input.ty(), grad.ty()));
            }
            let sum = match cotangents.remove(&input.id) {
                Some(so_far) => (so_far + grad)?,
                None => grad,
            };
            cotangents.insert(input.id, sum);
        }
    }
    wanted.iter().map(|t| cotangents.get(&t.id).cloned().map_or_else(|| t.full_like(0.0), Ok)).collect()
}

/// The arguments of a rule: the operation's inputs, its result, and the gradient of its result.
struct Rule<'a> {
    graph: &'a Graph,
    inputs: &'a [Tensor],
    y: &'a Tensor,
    dy: &'a Tensor,
}

impl Rule<'_> {
    /// The gradient for input `i`.
    fn gradient(&self, op: &Op, i: usize) -> Result<Option<Tensor>> {
        let Rule { graph, inputs, y, dy } = *self;
        let x = &inputs[i];
        Ok(Some(match op {
            // They have no inputs, or are handled by the caller.
            Op::Parameter { .. } | Op::Constant(_) | Op::Iota { .. } | Op::Scan(_) | Op::Output(_) => {
                return Ok(None);
            }
            // All gradients come from one rule.
            Op::Custom(_) | Op::Composite(_) => unreachable!("handled by the caller"),
            // Constant almost everywhere.
            Op::Compare(_) | Op::StopGradient | Op::ArgMax { .. } | Op::RandomBits => return Ok(None),

            Op::Unary(f) => return self.unary(*f),
            Op::Binary(f) => return self.binary(*f, i),
            Op::Select => match i {
                1 => inputs[0].select(dy, &dy.scalar_like(0.0))?,
                2 => inputs[0].select(&dy.scalar_like(0.0), dy)?,
                _ => return Ok(None),
            },
            Op::Convert if x.dtype().is_float() => dy.convert(x.dtype())?,
            Op::Convert => return Ok(None),

            Op::Reshape => dy.reshape(x.shape())?,
            Op::Broadcast { dims } => {
                let repeated: Vec<_> = (0..y.rank()).filter(|d| !dims.contains(d)).collect();
                dy.sum(&repeated)?
            }
            Op::Transpose { perm } => {
                let mut inverse = vec![0; perm.len()];
                perm.iter().enumerate().for_each(|(to, &from)| inverse[from] = to);
                dy.transpose(&inverse)?
            }
            Op::Reverse { dims } => dy.reverse(dims)?,
            Op::Slice { start, limit: _, stride } => {
                // The gradient goes back to where the elements came from, with zeros between and around.
                let interior: Vec<_> = stride.iter().map(|s| s - 1).collect();
                let high: Vec<_> = (0..x.rank())
                    .map(|d| {
                        let covered =
                            start[d] + dy.shape()[d] + dy.shape()[d].saturating_sub(1) * interior[d];
                        x.shape()[d] - covered
                    })
                    .collect();
                dy.pad(start, &high, &interior)?
            }
            Op::Pad { low, high: _, interior } => {
                let stride: Vec<_> = interior.iter().map(|n| n + 1).collect();
                let limit: Vec<_> = (0..x.rank())
                    .map(|d| match x.shape()[d] {
                        0 => low[d],
                        n => low[d] + (n - 1) * stride[d] + 1,
                    })
                    .collect();
                dy.slice(low, &limit, &stride)?
            }
            Op::Concatenate { dim } => {
                let start: usize = inputs[..i].iter().map(|part| part.shape()[*dim]).sum();
                dy.narrow(*dim, start, start + x.shape()[*dim])?
            }

            Op::Reduce { kind, dims } => {
                let kept: Vec<_> = (0..x.rank()).filter(|d| !dims.contains(d)).collect();
                let spread = |t: &Tensor| t.broadcast_in(x.shape(), kept.clone());
                match kind {
                    Reduction::Sum => spread(dy)?,
                    // Equal extremes share the gradient.
                    Reduction::Max | Reduction::Min => {
                        let chosen = x.eq(&spread(y)?)?.convert(x.dtype())?;
                        let share = (dy / chosen.sum(dims)?)?;
                        (chosen * spread(&share)?)?
                    }
                }
            }
            Op::CumulativeSum { dim, reverse } => {
                graph.apply(Op::CumulativeSum { dim: *dim, reverse: !reverse }, &[dy])?
            }

            Op::LogSoftmax => graph.apply(Op::LogSoftmaxGrad, &[y, dy])?,
            Op::LogSoftmaxGrad => {
                let last = x.last_axis("log-softmax")?;
                let (exp, total) = (inputs[0].exp()?, |t: &Tensor| t.sum(&[last])?.unsqueeze(last));
                match i {
                    0 => ((dy * exp)? * total(&inputs[1])?)?.neg()?,
                    _ => (dy - total(&(dy * exp)?)?)?,
                }
            }

            Op::Dot(dims) => self.dot(dims, i)?,
            Op::Conv { window, groups } if i == 0 => {
                let op = Op::ConvInputGrad { window: window.clone(), groups: *groups };
                self.insert(op, &[dy, &inputs[1]], x)
            }
            Op::Conv { window, groups } => {
                let op = Op::ConvKernelGrad { window: window.clone(), groups: *groups };
                self.insert(op, &[&inputs[0], dy], x)
            }
            // Convolution is linear in input and kernel, so its gradients are differentiated by each other.
            Op::ConvInputGrad { window, groups } if i == 0 => dy.conv(&inputs[1], window.clone(), *groups)?,
            Op::ConvInputGrad { window, groups } => {
                let op = Op::ConvKernelGrad { window: window.clone(), groups: *groups };
                self.insert(op, &[dy, &inputs[0]], x)
            }
            Op::ConvKernelGrad { window, groups } if i == 0 => {
                let op = Op::ConvInputGrad { window: window.clone(), groups: *groups };
                self.insert(op, &[&inputs[1], dy], x)
            }
            Op::ConvKernelGrad { window, groups } => inputs[0].conv(dy, window.clone(), *groups)?,

            Op::Pool { kind: Reduction::Max, window } => {
                self.insert(Op::MaxPoolGrad { window: window.clone() }, &[x, y, dy], x)
            }
            Op::Pool { window, .. } => self.sum_pool_grad(window, x),
            Op::SumPoolGrad { window } => dy.sum_pool(window.clone())?,
            // Linear in the result's gradient: the cell that a window's gradient went to is read there. Which one it is
            // changes nowhere but at jumps.
            Op::MaxPoolGrad { window } if i == 2 => dy.at_largest(&inputs[0], &inputs[1], window)?,
            Op::MaxPoolGrad { .. } => return Ok(None),

            Op::Take if i == 0 => self.insert(Op::TakeGrad, &[x, &inputs[1], dy], x),
            // Inputs: the table (for its shape only), the indices, and the rows that are added.
            Op::TakeGrad if i == 2 => dy.take(&inputs[1])?,
            Op::Take | Op::TakeGrad => return Ok(None),

            Op::DynamicSlice if i == 0 => x.full_like(0.0)?.dynamic_update_slice(dy, &inputs[1..])?,
            Op::DynamicUpdateSlice if i == 0 => {
                let nothing = inputs[1].full_like(0.0)?;
                dy.dynamic_update_slice(&nothing, &inputs[2..])?
            }
            Op::DynamicUpdateSlice if i == 1 => dy.dynamic_slice(&inputs[2..], x.shape())?,
            Op::DynamicSlice | Op::DynamicUpdateSlice => return Ok(None),

            Op::AllReduce => dy.all_reduce()?,
        }))
    }

    fn unary(&self, f: Unary) -> Result<Option<Tensor>> {
        let (x, y, dy) = (&self.inputs[0], self.y, self.dy);
        Ok(Some(match f {
            Unary::Neg => dy.neg()?,
            Unary::Abs => (dy * x.sign()?)?,
            // d eˣ = eˣ
            Unary::Exp => (dy * y)?,
            // d (eˣ - 1) = eˣ = y + 1
            Unary::Expm1 => (dy * (y + 1.0)?)?,
            Unary::Log => (dy / x)?,
            Unary::Log1p => (dy / (x + 1.0)?)?,
            // d √x = 1 / (2 √x)
            Unary::Sqrt => unless_zero(dy, (dy * 0.5)? / y)?,
            // d x^-½ = -½ x^-3/2 = -½ y / x
            Unary::Rsqrt => (dy * ((y * -0.5)? / x)?)?,
            // d tanh = 1 - tanh²
            Unary::Tanh => (dy * ((y * y)?.neg()? + 1.0)?)?,
            // d σ = σ (1 - σ)
            Unary::Logistic => (dy * (y * (y.neg()? + 1.0)?)?)?,
            // d erf = 2/√π e^(-x²)
            Unary::Erf => (dy * ((x * x)?.neg()?.exp()? * std::f64::consts::FRAC_2_SQRT_PI)?)?,
            Unary::Sin => (dy * x.cos()?)?,
            Unary::Cos => (dy * x.sin()?)?.neg()?,
            Unary::Sign | Unary::Floor | Unary::Ceil | Unary::Round | Unary::Not | Unary::IsFinite => {
                return Ok(None);
            }
        }))
    }

    fn binary(&self, f: Binary, i: usize) -> Result<Option<Tensor>> {
        let (a, b, y, dy) = (&self.inputs[0], &self.inputs[1], self.y, self.dy);
        Ok(Some(match (f, i) {
            (Binary::Add, _) | (Binary::Sub, 0) => dy.clone(),
            (Binary::Sub, _) => dy.neg()?,
            (Binary::Mul, 0) => (dy * b)?,
            (Binary::Mul, _) => (dy * a)?,
            (Binary::Div, 0) => (dy / b)?,
            // d (a / b) / db = -a / b² = -y / b
            (Binary::Div, _) => (dy * (y / b)?)?.neg()?,
            (Binary::Rem, 0) => dy.clone(),
            // a rem b = a - b trunc(a / b)
            (Binary::Rem, _) => (dy * ((y - a)? / b)?)?,
            (Binary::Max, 0) => (dy * share(a, b)?)?,
            (Binary::Max, _) => (dy * share(b, a)?)?,
            (Binary::Min, 0) => (dy * share(b, a)?)?,
            (Binary::Min, _) => (dy * share(a, b)?)?,
            // d aᵇ / da = b aᵇ⁻¹
            (Binary::Pow, 0) => unless_zero(dy, (dy * b)? * a.pow(&(b - 1.0)?)?)?,
            // d aᵇ / db = aᵇ ln a, whose limit at a = 0 is 0 for positive b
            (Binary::Pow, _) => {
                let zero = a.scalar_like(0.0);
                let log = a.eq(&zero)?.select(&zero, &a.log()?)?;
                (dy * (y * log)?)?
            }
            (Binary::And | Binary::Or | Binary::Xor, _) => return Ok(None),
        }))
    }

    /// A product is linear in each factor: the gradient for one is the product of `dy` with the other over the
    /// axes that the other alone contributed, its axes then put in order.
    fn dot(&self, dims: &DotDims, i: usize) -> Result<Tensor> {
        let (x, other) = (&self.inputs[i], &self.inputs[1 - i]);
        let (contract, batch, other_contract, other_batch) = match i {
            0 => (&dims.lhs_contract, &dims.lhs_batch, &dims.rhs_contract, &dims.rhs_batch),
            _ => (&dims.rhs_contract, &dims.rhs_batch, &dims.lhs_contract, &dims.lhs_batch),
        };
        let free = |rank: usize, a: &[usize], b: &[usize]| -> Vec<usize> {
            (0..rank).filter(|d| !a.contains(d) && !b.contains(d)).collect()
        };
        let kept = free(x.rank(), contract, batch);
        let other_free = free(other.rank(), other_contract, other_batch);
        // The axes of dy are: paired, then the first factor's, then the second's.
        let paired: Vec<_> = (0..batch.len()).collect();
        let start = match i {
            0 => batch.len() + kept.len(),
            _ => batch.len(),
        };
        let summed: Vec<_> = (start..start + other_free.len()).collect();
        let (of_dy, of_other) = ((summed, paired), (other_free, other_batch.clone()));
        let product = self.dy.dot(
            other,
            DotDims {
                lhs_contract: of_dy.0,
                lhs_batch: of_dy.1,
                rhs_contract: of_other.0,
                rhs_batch: of_other.1,
            },
        )?;
        // Its axes: the paired ones, x's own, and the ones that x was summed over, in the order of the other's axes.
        let mut summed_order = other_contract.clone();
        summed_order.sort_unstable();
        let position = |axis: usize| -> usize {
            if let Some(p) = batch.iter().position(|&d| d == axis) {
                p
            } else if let Some(p) = kept.iter().position(|&d| d == axis) {
                batch.len() + p
            } else {
                let p = contract.iter().position(|&d| d == axis).unwrap_or_default();
                let p = summed_order.iter().position(|&d| d == other_contract[p]).unwrap_or_default();
                batch.len() + kept.len() + p
            }
        };
        product.transpose(&(0..x.rank()).map(position).collect::<Vec<_>>())
    }

    fn sum_pool_grad(&self, window: &Window, x: &Tensor) -> Tensor {
        self.insert(Op::SumPoolGrad { window: window.clone() }, &[self.dy], x)
    }

    /// An operation whose result has the type of `like`.
    fn insert(&self, op: Op, inputs: &[&Tensor], like: &Tensor) -> Tensor {
        self.graph.insert(op, inputs, Type::new(like.dtype(), like.shape()))
    }
}

/// `gradient`, but 0 where `dy` is 0: a value without effect has no gradient, even where its slope is infinite.
fn unless_zero(dy: &Tensor, gradient: Result<Tensor>) -> Result<Tensor> {
    let zero = dy.scalar_like(0.0);
    dy.eq(&zero)?.select(&zero, &gradient?)
}

/// 1 where a > b, ½ where they are equal, 0 elsewhere.
fn share(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let above = a.gt(b)?.convert(a.dtype())?;
    let equal = a.eq(b)?.convert(a.dtype())?;
    above + (equal * 0.5)?
}
