//! A finished graph: arguments in, results out.

use super::{Graph, Node, NodeId, Op, Tensor};
use crate::error::{Error, Result};
use crate::graph::infer::expect_shape;
use std::collections::HashMap;
use std::fmt;

/// A graph with chosen results. Its arguments are the graph's parameters in order.
///
/// ```
/// use neural::{DType, graph::{Function, Graph}};
/// let graph = Graph::new();
/// let x = graph.parameter(DType::F32, &[2]);
/// let square = Function::new(&graph, vec![x.square()?]);
/// let other = Graph::new();
/// let four = square.call(&other, &square.call(&other, &[other.parameter(DType::F32, &[2])])?)?;
/// assert_eq!(four[0].shape(), square.outputs()[0].shape());
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone)]
pub struct Function {
    graph: Graph,
    outputs: Vec<Tensor>,
}

/// The readers of one node.
#[derive(Clone, Default)]
pub(crate) struct Readers {
    /// In the order in which they were made; one that reads the node twice stands here twice.
    pub nodes: Vec<NodeId>,
    pub is_output: bool,
}

impl Function {
    /// ```
    /// use neural::graph::{Function, Graph};
    /// let graph = Graph::new();
    /// let one = graph.scalar(1f32);
    /// assert_eq!(Function::new(&graph, vec![one]).outputs().len(), 1);
    /// ```
    pub fn new(graph: &Graph, outputs: Vec<Tensor>) -> Self {
        Self { graph: graph.clone(), outputs }
    }

    /// The graph that the results are in.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The results.
    pub fn outputs(&self) -> &[Tensor] {
        &self.outputs
    }

    /// Checks that the outputs are of the function's own graph.
    pub(crate) fn check(&self) -> Result<()> {
        self.graph.check(|| "function".into(), &self.outputs.iter().collect::<Vec<_>>())
    }

    /// Which nodes the outputs depend on.
    pub(crate) fn live(&self) -> Vec<bool> {
        self.live_by(|node| &node.inputs)
    }

    /// As [`live`](Self::live), with `inputs` giving the nodes that a node reads.
    pub(crate) fn live_by(&self, inputs: impl Fn(&Node) -> &[NodeId]) -> Vec<bool> {
        let mut live = vec![false; self.graph.len()];
        for output in &self.outputs {
            live[output.id] = true;
        }
        for id in (0..live.len()).rev() {
            if live[id] {
                for &input in inputs(&self.graph.node(id)) {
                    live[input] = true;
                }
            }
        }
        live
    }

    /// The live nodes and outputs that read each node.
    pub(crate) fn readers(&self, live: &[bool]) -> Vec<Readers> {
        let mut readers = vec![Readers::default(); live.len()];
        for id in (0..live.len()).filter(|&id| live[id]) {
            self.graph.node(id).inputs.iter().for_each(|&input| readers[input].nodes.push(id));
        }
        self.outputs.iter().for_each(|output| readers[output.id].is_output = true);
        readers
    }

    /// Writes this function's operations into the graph of its arguments.
    ///
    /// ```
    /// use neural::{DType, graph::{Function, Graph}};
    /// let graph = Graph::new();
    /// let x = graph.parameter(DType::F32, &[2]);
    /// let sum = Function::new(&graph, vec![x.sum_all()?]);
    /// let other = Graph::new();
    /// assert_eq!(sum.call(&other, &[other.full(DType::F32, &[2], 1.0)?])?[0].rank(), 0);
    /// assert!(sum.call(&other, &[]).is_err());
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the number or the types of the arguments do not match the parameters.
    pub fn call(&self, graph: &Graph, arguments: &[Tensor]) -> Result<Vec<Tensor>> {
        let parameters = self.graph.parameters();
        if parameters.len() != arguments.len() {
            return Err(Error::shape("call", format!("{} arguments", parameters.len()), arguments.len()));
        }
        graph.check(|| "call".into(), &arguments.iter().collect::<Vec<_>>())?;
        let live = self.live();
        let mut made: HashMap<usize, Tensor> = HashMap::new();
        for (parameter, argument) in parameters.iter().zip(arguments) {
            expect_shape("call", parameter.shape(), argument.shape())?;
            made.insert(parameter.id, argument.clone());
        }
        let is_computed = |&id: &usize| live[id] && !matches!(self.graph.node(id).op, Op::Parameter { .. });
        self.graph.copy((0..live.len()).filter(is_computed), graph, &mut made);
        Ok(self.outputs.iter().map(|output| made[&output.id].clone()).collect())
    }
}

impl Graph {
    /// Writes the nodes `ids`, in their order, into another graph. `made` maps the nodes that they read to their tensors
    /// there, and gains the nodes `ids`.
    pub(super) fn copy(
        &self,
        ids: impl IntoIterator<Item = NodeId>,
        to: &Graph,
        made: &mut HashMap<NodeId, Tensor>,
    ) {
        for id in ids {
            let node = self.node(id);
            let inputs: Vec<_> = node.inputs.iter().map(|input| &made[input]).collect();
            let tensor = to.within(&node.place, || to.insert(node.op, &inputs, node.ty));
            made.insert(id, tensor);
        }
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "function of {} nodes", self.graph.len())
    }
}
