//! Maximum pools moved before the relu, or the addition of a value for each channel, whose results they pool.
//!
//! Both are monotonic, so the maximum stays where it is, and they then run on the smaller, pooled array:
//!
//! - max-pool(relu(x)) = relu(max-pool(x)) unless x is NaN, and max-pool(x + b) = max-pool(x) + b;
//! - of the gradients, (x > 0) · spread(dy) = spread((max-pool(x) > 0) · dy), where `spread` brings the gradient for each
//!   pooled element to its place;
//! - the sum of spread(dy) over all places is the sum of dy.
//!
//! A pool stays behind an array that others read: that is computed in full anyway, and is compared with the maximum.

use super::op::{Binary, Op, Reduction, Window};
use super::scan::Scan;
use super::{Function, Graph, Node, NodeId, Readers, Tensor};
use crate::error::Result;
use std::borrow::Cow;
use std::collections::HashMap;

impl Function {
    /// The same function with its maximum pools as early as they can be.
    ///
    /// # Errors
    /// When the function is not well formed.
    pub(crate) fn with_early_pools(&self) -> Result<Cow<'_, Self>> {
        if !has_pools(self) {
            return Ok(Cow::Borrowed(self));
        }
        let live = self.live();
        let mut pass = Pass::new(self, &live);
        for parameter in self.graph().parameters() {
            pass.made.insert(parameter.id, pass.to.parameter(parameter.dtype(), parameter.shape()));
        }
        let mut results: HashMap<NodeId, Vec<Tensor>> = HashMap::new();
        for id in (0..live.len()).filter(|&id| live[id]) {
            let node = self.graph().node(id);
            match &node.op {
                Op::Parameter { .. } => {}
                Op::Output(i) => {
                    pass.made.insert(id, results[&node.inputs[0]][*i].clone());
                }
                Op::Scan(scan) => {
                    let scan = Scan { body: scan.body.with_early_pools()?.into_owned(), ..(**scan).clone() };
                    let arguments =
                        node.inputs.iter().map(|&input| pass.value(input)).collect::<Result<Vec<_>>>()?;
                    let arguments: Vec<_> = arguments.iter().collect();
                    results.insert(id, pass.to.within(&node.place, || pass.to.insert_scan(scan, &arguments)));
                }
                _ => pass.copy(id, &node)?,
            }
        }
        let outputs = self.outputs().iter().map(|output| pass.value(output.id)).collect::<Result<_>>()?;
        Ok(Cow::Owned(Self::new(&pass.to, outputs)))
    }
}

fn has_pools(function: &Function) -> bool {
    let live = function.live();
    (0..live.len()).filter(|&id| live[id]).any(|id| match function.graph().node(id).op {
        Op::Pool { kind: Reduction::Max, .. } => true,
        Op::Scan(scan) => has_pools(&scan.body),
        _ => false,
    })
}

/// The operation that made an array, if a pool may move before it.
enum Step {
    /// Of this array.
    Relu(NodeId),
    /// This array, and the values for its channels.
    Bias(NodeId, NodeId),
}

impl Step {
    /// The operation that made `id`, if a pool by `window` may move before it.
    fn of(id: NodeId, graph: &Graph, window: &Window) -> Option<Self> {
        let tensor = graph.tensor(id);
        if let Some([x, y]) = tensor.where_above_zero() {
            // The maximum of padding alone is -∞, which a relu would turn into 0.
            return (x == y && meets_input(window)).then_some(Self::Relu(x));
        }
        let [x, bias] = tensor.operands(Binary::Add)?;
        Some(Self::Bias(x, graph.tensor(bias).repeated_row()?))
    }
}

/// Whether each position of a window is certain to have an element under it.
fn meets_input(window: &Window) -> bool {
    let mut axes = window.padding.iter().zip(window.size.iter().zip(&window.dilation));
    axes.all(|(&(low, high), (&size, &dilation))| {
        low.max(high) < size && (dilation == 1 || low.max(high) == 0)
    })
}

/// The gradient for a pooled array: each element of `dy` belongs where the window over `x` has its first largest element.
#[derive(Clone)]
struct Spread {
    x: NodeId,
    window: Window,
    dy: Tensor,
}

struct Pass<'a> {
    from: &'a Graph,
    readers: Vec<Readers>,
    to: Graph,
    made: HashMap<NodeId, Tensor>,
    pooled: HashMap<(NodeId, Window), Tensor>,
    /// The gradients for pooled arrays, which are made where a node needs all their elements.
    spread: HashMap<NodeId, Spread>,
}

impl<'a> Pass<'a> {
    fn new(function: &'a Function, live: &[bool]) -> Self {
        let (made, pooled, spread) = Default::default();
        let (from, readers) = (function.graph(), function.readers(live));
        Self { from, readers, to: Graph::new(), made, pooled, spread }
    }

    /// The operation that made `id`, if a pool by `window` moves before it.
    fn step(&self, id: NodeId, window: &Window) -> Option<Step> {
        let is_of_pool = |reader: &NodeId| {
            let node = self.from.node(*reader);
            match node.op {
                Op::Pool { kind: Reduction::Max, .. } => true,
                Op::MaxPoolGrad { ref window } => {
                    node.inputs[0] == id && node.inputs[2] != id && self.is_pooled(&node, window)
                }
                Op::Compare(_) => self.from.tensor(*reader).above_zero() == Some(id),
                Op::Select | Op::Binary(Binary::Add) => match Step::of(*reader, self.from, window) {
                    Some(Step::Relu(x) | Step::Bias(x, _)) => x == id,
                    None => false,
                },
                _ => false,
            }
        };
        let readers = &self.readers[id];
        let is_free = !readers.is_output && readers.nodes.iter().all(is_of_pool);
        Step::of(id, self.from, window).filter(|_| is_free)
    }

    fn copy(&mut self, id: NodeId, node: &Node) -> Result<()> {
        let spread = node.inputs.iter().find_map(|input| Some((*input, self.spread.get(input)?.clone())));
        match (&node.op, spread) {
            (Op::Pool { kind: Reduction::Max, window }, _) => {
                let y = self.pooled(node.inputs[0], window)?;
                self.made.insert(id, y);
            }
            (Op::MaxPoolGrad { window }, _) if self.is_pooled(node, window) => {
                let dy = self.value(node.inputs[2])?;
                self.keep(id, Spread { x: node.inputs[0], window: window.clone(), dy });
            }
            (Op::Select, Some((input, spread))) => {
                let Some(x) = self.before_relu(id, input, &spread) else { return self.insert(id, node) };
                let y = self.pooled(x, &spread.window)?;
                let zero = y.scalar_like(0.0);
                let dy = self.to.within(&node.place, || y.gt(&zero)?.select(&spread.dy, &zero))?;
                self.keep(id, Spread { x, dy, ..spread });
            }
            (Op::Convert, Some((_, spread))) if node.ty.dtype.is_float() => {
                let dy = self.to.within(&node.place, || spread.dy.convert(node.ty.dtype))?;
                self.spread.insert(id, Spread { dy, ..spread });
            }
            (Op::Reduce { kind: Reduction::Sum, dims }, Some((_, Spread { dy, window, .. })))
                if meets_input(&window) && dims.iter().copied().eq(0..dy.rank() - 1) =>
            {
                let sum =
                    self.to.within(&node.place, || self.to.insert(node.op.clone(), &[&dy], node.ty.clone()));
                self.made.insert(id, sum);
            }
            _ => self.insert(id, node)?,
        }
        Ok(())
    }

    /// Inserts a node as it is.
    fn insert(&mut self, id: NodeId, node: &Node) -> Result<()> {
        for &input in &node.inputs {
            self.value(input)?;
        }
        self.from.copy([id], &self.to, &mut self.made);
        Ok(())
    }

    /// The tensor of a node.
    fn value(&mut self, id: NodeId) -> Result<Tensor> {
        if !self.made.contains_key(&id) {
            let node = self.from.node(id);
            match self.spread.get(&id).cloned() {
                Some(Spread { x, window, dy }) if !matches!(node.op, Op::Convert) => {
                    let (y, x) = (self.pooled(x, &window)?, self.value(x)?);
                    let op = Op::MaxPoolGrad { window };
                    let all = self.to.within(&node.place, || self.to.insert(op, &[&x, &y, &dy], node.ty));
                    self.made.insert(id, all);
                }
                _ => self.insert(id, &node)?,
            }
        }
        Ok(self.made[&id].clone())
    }

    /// The pooled array: the pool comes first, then the operations that it passes.
    fn pooled(&mut self, x: NodeId, window: &Window) -> Result<Tensor> {
        let key = (x, window.clone());
        if let Some(y) = self.pooled.get(&key) {
            return Ok(y.clone());
        }
        let place = self.from.node(x).place;
        let y = match self.step(x, window) {
            Some(Step::Relu(x)) => {
                let y = self.pooled(x, window)?;
                self.to.within(&place, || y.relu())?
            }
            Some(Step::Bias(x, bias)) => {
                let (y, bias) = (self.pooled(x, window)?, self.value(bias)?);
                self.to.within(&place, || y + bias)?
            }
            None => {
                let x = self.value(x)?;
                self.to.within(&place, || x.max_pool(window.clone()))?
            }
        };
        self.pooled.insert(key, y.clone());
        Ok(y)
    }

    /// Keeps a gradient, for the array before any bias.
    fn keep(&mut self, id: NodeId, mut spread: Spread) {
        while let Some(Step::Bias(x, _)) = self.step(spread.x, &spread.window) {
            spread.x = x;
        }
        self.spread.insert(id, spread);
    }

    /// Whether `node` is the gradient of a maximum pool by `window`.
    fn is_pooled(&self, node: &Node, window: &Window) -> bool {
        let y = self.from.node(node.inputs[1]);
        matches!(&y.op, Op::Pool { kind: Reduction::Max, window: of } if of == window)
            && y.inputs[0] == node.inputs[0]
    }

    /// The operand of the relu whose result is pooled, if `id` is its gradient, from the gradient `dy` for that result.
    fn before_relu(&self, id: NodeId, dy: NodeId, spread: &Spread) -> Option<NodeId> {
        let Some(Step::Relu(x)) = self.step(spread.x, &spread.window) else { return None };
        let gradient = self.from.tensor(id);
        let is_gradient =
            gradient.where_above_zero() == Some([x, dy]) && *gradient.ty() == self.from.node(x).ty;
        is_gradient.then_some(x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::DType;
    use crate::graph::{flops, gradients};

    fn window() -> Window {
        Window { size: vec![2, 2], stride: vec![2, 2], padding: vec![(0, 0); 2], dilation: vec![1, 1] }
    }

    /// The operations on images that are left for results of `build` and their gradients: on whole ones, on pooled ones.
    fn left(build: impl Fn(&Tensor, &Tensor, Window) -> Result<Tensor>) -> [Vec<String>; 2] {
        let graph = Graph::new();
        let x = graph.parameter(DType::F32, &[2, 8, 8, 3]);
        let bias = graph.parameter(DType::F32, &[3]);
        let y = build(&x, &bias, window()).unwrap();
        let grads = gradients(&y.square().unwrap().sum_all().unwrap(), &[&x, &bias]).unwrap();
        let function = Function::new(&graph, [vec![y], grads].concat());
        let early = function.with_early_pools().unwrap();
        assert!(early.check().is_ok());
        let types = |f: &Function| f.outputs().iter().map(|t| t.ty().clone()).collect::<Vec<_>>();
        assert_eq!(types(&early), types(&function));
        let live = early.live();
        let nodes: Vec<Node> =
            (0..live.len()).filter(|&id| live[id]).map(|id| early.graph().node(id)).collect();
        [[2, 8, 8, 3], [2, 4, 4, 3]].map(|shape| {
            let of_shape = nodes.iter().filter(|node| {
                node.ty.shape == shape && !matches!(node.op, Op::Parameter { .. } | Op::Broadcast { .. })
            });
            of_shape.map(|node| node.op.name()).collect()
        })
    }

    #[test]
    fn a_pool_passes_bias_and_relu_with_its_gradient() {
        let gradient = [Op::MaxPoolGrad { window: window() }.name()];
        let [whole, _] = left(|x, bias, window| (x + bias)?.relu()?.max_pool(window));
        assert_eq!(whole, gradient);
        let [whole, _] = left(|x, bias, window| (x.relu()? + bias)?.max_pool(window));
        assert_eq!(whole, gradient);
    }

    #[test]
    fn work_counts_as_it_is_compiled() {
        let work = |build: fn(&Tensor) -> Result<Tensor>| {
            let graph = Graph::new();
            let y = build(&graph.parameter(DType::F32, &[2, 8, 8, 3])).unwrap();
            flops(&Function::new(&graph, vec![y]))
        };
        let late = work(|x| x.relu()?.max_pool(window()));
        assert_eq!(late, work(|x| x.max_pool(window())?.relu()));
    }

    #[test]
    fn a_pool_of_padding_alone_stays_after_the_relu() {
        let [whole, _] =
            left(|x, _, window| x.relu()?.max_pool(Window { padding: vec![(2, 0), (0, 0)], ..window }));
        assert!(whole.contains(&Op::Select.name()));
    }

    #[test]
    fn a_pool_of_an_array_with_other_readers_stays_after_the_relu() {
        let [whole, pooled] = left(|x, bias, window| {
            let y = (x + bias)?.relu()?;
            y.max_pool(window)?.sum(&[1, 2])? + y.sum(&[1, 2])?
        });
        assert!(whole.contains(&Op::Select.name()));
        assert!(!pooled.contains(&Op::Select.name()), "{pooled:?}");
    }
}
