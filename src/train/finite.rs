//! Where in a program a number first is not finite.

use crate::array::DType;
use crate::error::Result;
use crate::graph::{Function, Graph, Op, Tensor};

/// A function of the arguments of `graph` whose result has a flag for each floating-point value on the way to
/// `outputs`, in the order of computation: 1 where all its numbers are finite, otherwise 0. With it the names of these
/// places; `argument` names the arguments by their index.
pub(super) fn flags(
    graph: &Graph,
    outputs: Vec<Tensor>,
    argument: impl Fn(usize) -> String,
) -> Result<(Function, Vec<String>)> {
    let live = Function::new(graph, outputs).live();
    let (mut finite, mut places) = (Vec::new(), Vec::new());
    for id in (0..live.len()).filter(|&id| live[id]) {
        let (node, tensor) = (graph.node(id), graph.tensor(id));
        if !tensor.dtype().is_float() || matches!(node.op, Op::Constant(_)) {
            continue;
        }
        let all: Vec<usize> = (0..tensor.rank()).collect();
        finite.push(tensor.is_finite()?.convert(DType::F32)?.min(&all)?.reshape(&[1])?);
        places.push(match node.op {
            Op::Parameter { index } => argument(index),
            op if node.place.is_empty() => format!("the operation {} outside the layers", op.name()),
            op => format!("{}, in the operation {}", node.place, op.name()),
        });
    }
    let flags = Tensor::concatenate(&finite.iter().collect::<Vec<_>>(), 0)?;
    Ok((Function::new(graph, vec![flags]), places))
}
