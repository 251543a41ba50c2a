//! Functions with their loops in another form.

use super::op::Op;
use super::scan::Scan;
use super::{Function, Graph, NodeId, Tensor};
use crate::error::Result;
use std::collections::HashMap;

/// Writes a loop over some arguments into a graph in another form, and returns what its results are there; `None` where it
/// has no other form.
type Rewrite<'a> = &'a dyn Fn(&Graph, &Scan, &[Tensor]) -> Result<Option<Vec<Tensor>>>;

impl Function {
    /// The same function, whose loops make no products and sums that can be made of all their steps at once.
    ///
    /// # Errors
    /// When the function is not well formed.
    pub(crate) fn hoisted(&self) -> Result<Self> {
        self.with_loops(&super::hoist::hoisted)
    }

    /// The same function, whose loops `rewrite` has written, the innermost first.
    fn with_loops(&self, rewrite: Rewrite) -> Result<Self> {
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
                    let scan = Scan { body: scan.body.with_loops(rewrite)?, ..(**scan).clone() };
                    let arguments: Vec<_> = node.inputs.iter().map(|input| made[input].clone()).collect();
                    let outputs = to.within(&node.place, || match rewrite(&to, &scan, &arguments)? {
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
