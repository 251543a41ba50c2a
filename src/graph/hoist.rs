//! Products, sums, look-ups and counts moved out of loops.
//!
//! A step of a recurrent network's gradient makes a small product for each of its weights and adds it to the gradient so
//! far, and one more to compute its gates again. None of these waits for the step before. [`Function::hoisted`] makes
//! them for all steps at once, before or after the loop:
//!
//! - a product of a step's slice and a weight becomes one product of all slices, cut into slices for the loop;
//! - a number that a step looks up for each of its rows, such as their classes, is looked up for the rows of all steps;
//! - a sum over the steps of products aₜ bₜ becomes one product, which sums over the steps too, of all aₜ and all bₜ;
//! - a sum over the steps of sums likewise;
//! - a count, to which each step adds one, such as an optimizer's updates, becomes a number for each step. It is the
//!   same up to 2²⁴ in f32.

use super::op::{Binary, DotDims, Op, Reduction};
use super::scan::Scan;
use super::{Function, Graph, Node, NodeId, Tensor};
use crate::array::count;
use crate::error::Result;
use std::collections::HashMap;

/// The max elements of an array that exists only because of hoisting.
const LARGEST: usize = 1 << 26;

impl Function {
    /// The same function, with everything that need not be computed step by step moved out of its loops.
    ///
    /// # Errors
    /// When the function is not well formed.
    pub(crate) fn hoisted(&self) -> Result<Self> {
        let (from, live) = (self.graph(), self.live());
        let to = Graph::new();
        let mut made: HashMap<NodeId, Tensor> = HashMap::new();
        for parameter in from.parameters() {
            made.insert(parameter.id, to.parameter(parameter.dtype(), parameter.shape()));
        }
        let mut results: HashMap<NodeId, Vec<Tensor>> = HashMap::new();
        for id in (0..live.len()).filter(|&id| live[id]) {
            let node = from.node(id);
            match &node.op {
                Op::Parameter { .. } => {}
                Op::Output(i) => {
                    made.insert(id, results[&node.inputs[0]][*i].clone());
                }
                Op::Scan(scan) => {
                    let scan = Scan { body: scan.body.hoisted()?, ..(**scan).clone() };
                    let arguments: Vec<_> = node.inputs.iter().map(|input| made[input].clone()).collect();
                    let outputs = to.within(&node.place, || match hoisted(&to, &scan, &arguments)? {
                        Some(outputs) => Ok(outputs),
                        None => Ok(to.insert_scan(scan, &arguments.iter().collect::<Vec<_>>())),
                    })?;
                    results.insert(id, outputs);
                }
                _ => from.copy([id], &to, &mut made),
            }
        }
        let outputs = self.outputs().iter().map(|output| made[&output.id].clone()).collect();
        Ok(Self::new(&to, outputs))
    }
}

/// Inserts `scan` with the work that all its steps can do at once moved out of it; `None` where there is none.
fn hoisted(graph: &Graph, scan: &Scan, arguments: &[Tensor]) -> Result<Option<Vec<Tensor>>> {
    let body = Body::new(scan);
    let (before, after, counts) = (body.before(), body.after(), body.counts());
    if before.is_empty() && after.is_empty() && counts.is_empty() {
        return Ok(None);
    }
    body.insert(graph, arguments, &before, after, &counts).map(Some)
}

/// A carry that is only a sum over the steps, so that it can be taken once, after the loop.
struct Sum {
    carry: usize,
    /// A product or a sum, of arrays that each step makes or reads.
    term: NodeId,
}

struct Body<'a> {
    scan: &'a Scan,
    nodes: Vec<Node>,
    live: Vec<bool>,
    uses: Vec<usize>,
    parameters: Vec<Tensor>,
    /// Whether a value is the same in every step.
    is_fixed: Vec<bool>,
}

impl<'a> Body<'a> {
    fn new(scan: &'a Scan) -> Self {
        let (graph, live) = (scan.body.graph(), scan.body.live());
        let nodes: Vec<Node> = (0..live.len()).map(|id| graph.node(id)).collect();
        let parameters = graph.parameters();
        let mut uses = vec![0; nodes.len()];
        let inputs = (0..nodes.len()).filter(|&id| live[id]).flat_map(|id| &nodes[id].inputs);
        for &id in inputs.chain(scan.body.outputs().iter().map(|output| &output.id)) {
            uses[id] += 1;
        }
        let mut is_fixed = vec![false; nodes.len()];
        for constant in &parameters[..scan.constants] {
            is_fixed[constant.id] = true;
        }
        for (id, node) in nodes.iter().enumerate() {
            let is_simple = !matches!(node.op, Op::Parameter { .. } | Op::Scan(_) | Op::Output(_));
            is_fixed[id] |= is_simple && node.inputs.iter().all(|&input| is_fixed[input]);
        }
        Self { scan, nodes, live, uses, parameters, is_fixed }
    }

    fn fits(&self, id: NodeId) -> bool {
        self.scan.length.saturating_mul(count(&self.nodes[id].ty.shape)) <= LARGEST
    }

    /// Which of the loop's `xs` a node is.
    fn slice(&self, id: NodeId) -> Option<usize> {
        let first = self.scan.constants + self.scan.carries;
        self.parameters[first..].iter().position(|x| x.id == id)
    }

    /// The products of a slice and a value that is the same in every step, and the numbers that a slice's indices have in a
    /// table that is.
    fn before(&self) -> Vec<NodeId> {
        let is_ready = |id: &NodeId| {
            let node = &self.nodes[*id];
            let is_slice = |i: usize| self.slice(node.inputs[i]).is_some();
            let is_fixed = |i: usize| self.is_fixed[node.inputs[i]];
            let is_of_both = match &node.op {
                Op::Dot(DotDims { lhs_batch, .. }) => {
                    lhs_batch.is_empty() && (is_slice(0) && is_fixed(1) || is_fixed(0) && is_slice(1))
                }
                Op::Take => {
                    let row = &self.nodes[node.inputs[0]].ty.shape[1..];
                    count(row) == 1 && is_fixed(0) && is_slice(1)
                }
                _ => false,
            };
            self.live[*id] && is_of_both && self.fits(*id)
        };
        (0..self.nodes.len()).filter(is_ready).collect()
    }

    /// The carries that are only sums over the steps.
    fn after(&self) -> Vec<Sum> {
        (0..self.scan.carries).filter_map(|carry| self.sum(carry)).collect()
    }

    fn sum(&self, carry: usize) -> Option<Sum> {
        let (from, to) =
            (self.parameters[self.scan.constants + carry].id, self.scan.body.outputs()[carry].id);
        let Node { op: Op::Binary(Binary::Add), inputs, .. } = &self.nodes[to] else { return None };
        if self.uses[from] != 1 || self.uses[to] != 1 || !inputs.contains(&from) {
            return None;
        }
        let mut term = if inputs[0] == from { inputs[1] } else { inputs[0] };
        // A product in a narrower type is widened before it is added. In a conversion to whole numbers each step rounds
        // by itself.
        while matches!(self.nodes[term].op, Op::Convert) && self.nodes[term].ty.dtype.is_float() {
            term = self.nodes[term].inputs[0];
        }
        let node = &self.nodes[term];
        let is_term = matches!(node.op, Op::Dot(_) | Op::Reduce { kind: Reduction::Sum, .. });
        let is_stacked = |&id: &NodeId| !self.is_fixed[id] && (self.is_kept(id) || self.fits(id));
        (is_term && node.ty.dtype.is_float() && node.inputs.iter().all(is_stacked))
            .then_some(Sum { carry, term })
    }

    /// The carries to which each step adds one.
    fn counts(&self) -> Vec<usize> {
        let is_one = |id: &NodeId| match &self.nodes[*id].op {
            Op::Constant(value) => value.shape().is_empty() && value.values().eq([1.0]),
            _ => false,
        };
        let is_count = |carry: &usize| {
            let (from, to) =
                (self.parameters[self.scan.constants + carry].id, self.scan.body.outputs()[*carry].id);
            let Node { op: Op::Binary(Binary::Add), inputs, ty, .. } = &self.nodes[to] else { return false };
            ty.shape.is_empty() && inputs.contains(&from) && inputs.iter().any(is_one)
        };
        let runs_on = !self.scan.reverse && !self.scan.saves_carries;
        (0..self.scan.carries).filter(|_| runs_on).filter(is_count).collect()
    }

    /// Whether there is an array of all steps' values anyway.
    fn is_kept(&self, id: NodeId) -> bool {
        self.slice(id).is_some() || self.ys().any(|y| y == id)
    }

    fn ys(&self) -> impl Iterator<Item = NodeId> {
        self.scan.body.outputs()[self.scan.carries..].iter().map(|y| y.id)
    }

    fn insert(
        &self,
        to: &Graph,
        arguments: &[Tensor],
        before: &[NodeId],
        after: Vec<Sum>,
        counts: &[usize],
    ) -> Result<Vec<Tensor>> {
        let Scan { constants, carries, length, .. } = *self.scan;
        let xs = &arguments[constants + carries..];
        let is_moved = |carry: &usize| counts.contains(carry) || after.iter().any(|sum| sum.carry == *carry);
        let others: Vec<usize> = (0..carries).filter(|carry| !is_moved(carry)).collect();
        let mut ready = self.ready(to, arguments, before)?;
        let mut results: Vec<Tensor> = arguments[constants..constants + carries].to_vec();
        for &count in counts {
            let first = results[count].clone();
            ready.push((to.iota(first.dtype(), &[length], 0)? + &first)?);
            results[count] = (&first + length as f64)?;
        }
        let counted = counts.iter().map(|count| self.parameters[constants + count].id);
        let read: Vec<NodeId> = before.iter().copied().chain(counted).collect();

        // The operands of the sums that are neither slices nor ys yet.
        let mut stacked: Vec<NodeId> = self.ys().collect();
        for &input in after.iter().flat_map(|sum| &self.nodes[sum.term].inputs) {
            if self.slice(input).is_none() && !stacked.contains(&input) {
                stacked.push(input);
            }
        }
        let body = self.without(&read, &others, &stacked);
        let carried = others.iter().map(|&carry| arguments[constants + carry].clone());
        let packed: Vec<_> =
            arguments[..constants].iter().cloned().chain(carried).chain(xs.to_vec()).chain(ready).collect();
        let scan = Scan { body, carries: others.len(), whole: None, ..self.scan.clone() };
        let outputs = to.insert_scan(scan, &packed.iter().collect::<Vec<_>>());
        let (last, ys) = outputs.split_at(others.len());

        for (&carry, last) in others.iter().zip(last) {
            results[carry] = last.clone();
        }
        for Sum { carry, term } in after {
            let all = |id: &NodeId| match self.slice(*id) {
                Some(i) => Some(xs[i].clone()),
                None => stacked.iter().position(|y| y == id).map(|i| ys[i].clone()),
            };
            let node = &self.nodes[term];
            let inputs: Vec<Tensor> = node.inputs.iter().filter_map(all).collect();
            let total = match (&node.op, &inputs[..]) {
                (Op::Dot(dims), [a, b]) => a.dot(b, over_steps(dims))?,
                (Op::Reduce { dims, .. }, [x]) => x.sum(&with_steps(dims))?,
                _ => unreachable!("a sum is of products or of sums"),
            };
            results[carry] = (&results[carry] + total.convert(results[carry].dtype())?)?;
        }
        results.extend_from_slice(&ys[..self.ys().count()]);
        Ok(results)
    }

    /// The values `before`, each for all steps at once.
    fn ready(&self, to: &Graph, arguments: &[Tensor], before: &[NodeId]) -> Result<Vec<Tensor>> {
        let from = self.scan.body.graph();
        let mut made: HashMap<NodeId, Tensor> = HashMap::new();
        for (constant, argument) in self.parameters[..self.scan.constants].iter().zip(arguments) {
            made.insert(constant.id, argument.clone());
        }
        let is_missing = |id: &NodeId| {
            self.live[*id] && self.is_fixed[*id] && !matches!(self.nodes[*id].op, Op::Parameter { .. })
        };
        if !before.is_empty() {
            from.copy((0..self.nodes.len()).filter(is_missing), to, &mut made);
        }
        let xs = &arguments[self.scan.constants + self.scan.carries..];
        let mut ready = Vec::new();
        for &id in before {
            let node = &self.nodes[id];
            let (a, b) = (node.inputs[0], node.inputs[1]);
            ready.push(to.within(&node.place, || match (&node.op, self.slice(a), self.slice(b)) {
                (Op::Take, _, Some(i)) => made[&a].take(&xs[i]),
                (Op::Dot(dims), Some(i), _) => {
                    let dims = DotDims { lhs_contract: later(&dims.lhs_contract), ..dims.clone() };
                    xs[i].dot(&made[&b], dims)
                }
                (Op::Dot(dims), _, Some(i)) => {
                    let at = made[&a].rank() - dims.lhs_contract.len();
                    let dims = DotDims { rhs_contract: later(&dims.rhs_contract), ..dims.clone() };
                    let product = made[&a].dot(&xs[i], dims)?;
                    // The steps follow the first operand's axes.
                    let order: Vec<_> =
                        [at].into_iter().chain((0..product.rank()).filter(|&axis| axis != at)).collect();
                    product.transpose(&order)
                }
                _ => unreachable!("one operand is a slice"),
            })?);
        }
        Ok(ready)
    }

    /// The body that reads the values `read` as slices, carries only `others` and returns `stacked` of each step.
    fn without(&self, read: &[NodeId], others: &[usize], stacked: &[NodeId]) -> Function {
        let to = Graph::new();
        let Scan { constants, carries, .. } = *self.scan;
        let mut made: HashMap<NodeId, Tensor> = HashMap::new();
        let (outer, xs) = (&self.parameters[..constants], &self.parameters[constants + carries..]);
        let carried = others.iter().map(|&carry| &self.parameters[constants + carry]);
        for parameter in outer.iter().chain(carried).chain(xs) {
            made.insert(parameter.id, to.parameter(parameter.dtype(), parameter.shape()));
        }
        for &id in read {
            let ty = &self.nodes[id].ty;
            made.insert(id, to.parameter(ty.dtype, &ty.shape));
        }
        let next = others.iter().map(|&carry| self.scan.body.outputs()[carry].id);
        let outputs: Vec<NodeId> = next.chain(stacked.iter().copied()).collect();
        let mut is_needed = vec![false; self.nodes.len()];
        for id in (0..self.nodes.len()).rev() {
            is_needed[id] |= outputs.contains(&id);
            if is_needed[id] && !made.contains_key(&id) {
                self.nodes[id].inputs.iter().for_each(|&input| is_needed[input] = true);
            }
        }
        let missing: Vec<_> =
            (0..self.nodes.len()).filter(|id| is_needed[*id] && !made.contains_key(id)).collect();
        self.scan.body.graph().copy(missing, &to, &mut made);
        Function::new(&to, outputs.iter().map(|id| made[id].clone()).collect())
    }
}

/// Axes of a step's array in the array of all steps.
fn later(dims: &[usize]) -> Vec<usize> {
    dims.iter().map(|dim| dim + 1).collect()
}

/// The same, and the axis of the steps.
fn with_steps(dims: &[usize]) -> Vec<usize> {
    [vec![0], later(dims)].concat()
}

/// A product of each step as one of all steps, which it sums over.
fn over_steps(dims: &DotDims) -> DotDims {
    DotDims {
        lhs_contract: with_steps(&dims.lhs_contract),
        rhs_contract: with_steps(&dims.rhs_contract),
        lhs_batch: later(&dims.lhs_batch),
        rhs_batch: later(&dims.rhs_batch),
    }
}
