//! Finds where in a program a number is first not finite.

use crate::array::DType;
use crate::error::{Error, Result};
use crate::graph::{Function, Graph, Op, Tensor};
use crate::runtime::Buffer;

/// The suffix of places that belong to no layer.
pub(super) const OUTSIDE: &str = "outside the layers";

/// A function of the arguments of `graph` whose result has a flag for each floating-point value on the way to
/// `outputs`, in the order of computation: 1 where all its numbers are finite, otherwise 0, added over the `replicas` devices.
/// Also returns the names of these places; `argument` names the arguments by their index.
pub(super) fn flags(
    graph: &Graph,
    outputs: Vec<Tensor>,
    replicas: usize,
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
            op if node.place.is_empty() => format!("the operation {} {OUTSIDE}", op.name()),
            op => format!("{}, in the operation {}", node.place, op.name()),
        });
    }
    let flags = Tensor::concatenate(&finite.iter().collect::<Vec<_>>(), 0)?;
    let flags = if replicas == 1 { flags } else { flags.all_reduce()? };
    Ok((Function::new(graph, vec![flags]), places))
}

/// The flags of a function of [`flags`], true where they are 1 on every device.
pub(super) fn on_all(results: &[Buffer], replicas: usize) -> Result<Vec<bool>> {
    let [flags] = results else { return Err(Error::shape("trace", "a list of flags", results.len())) };
    Ok(flags.download()?.to_f64().into_iter().map(|flag| flag == replicas as f64).collect())
}

/// The first of the places that usually is finite and now is not. Some never are, such as masks.
pub(super) fn first_lost(places: Vec<String>, usual: &[bool], now: &[bool]) -> Option<String> {
    let mut flags = places.into_iter().zip(usual.iter().zip(now));
    flags.find(|(_, (usual, now))| **usual && !**now).map(|(place, _)| place)
}
