//! How much work a function is, roughly.

use super::op::Op;
use super::{Function, Node};
use crate::array::count;

/// Floating-point operations of one run: two for each multiply-add of a product or a convolution, one for each
/// element of every other result. Maximum pools count where they are compiled, as early as they can be.
///
/// ```
/// use neural::{DType, graph::{Function, Graph, flops}};
/// let graph = Graph::new();
/// let [x, w] = [[4, 3], [3, 2]].map(|shape| graph.parameter(DType::F32, &shape));
/// let product = x.matmul(&w)?;
/// assert_eq!(flops(&Function::new(&graph, vec![product])), 2.0 * 4.0 * 3.0 * 2.0);
/// # Ok::<(), neural::Error>(())
/// ```
pub fn flops(function: &Function) -> f64 {
    let early = function.with_early_pools();
    total(early.as_deref().unwrap_or(function))
}

fn total(function: &Function) -> f64 {
    nodes(function).map(|node| of_node(function, &node)).sum()
}

/// Bytes of the largest result that is certain to be written to memory: a product, a convolution, a pool or a gather.
/// Others may be fused with their readers.
pub(crate) fn largest_result(function: &Function) -> usize {
    let bytes = nodes(function).map(|node| match &node.op {
        Op::Scan(scan) => largest_result(&scan.body),
        Op::Dot(_)
        | Op::Conv { .. }
        | Op::ConvInputGrad { .. }
        | Op::ConvKernelGrad { .. }
        | Op::Pool { .. }
        | Op::Take
        | Op::TakeGrad => count(&node.ty.shape).saturating_mul(node.ty.dtype.size()),
        _ => 0,
    });
    bytes.max().unwrap_or(0)
}

/// The minimum number of separate kernels that a run takes on a GPU: the operations that XLA fuses with none of their
/// kind.
pub(crate) fn kernels(function: &Function) -> usize {
    let kernels = nodes(function).map(|node| match &node.op {
        Op::Scan(scan) => scan.length.saturating_mul(kernels(&scan.body)),
        Op::Dot(_)
        | Op::Conv { .. }
        | Op::ConvInputGrad { .. }
        | Op::ConvKernelGrad { .. }
        | Op::Reduce { .. }
        | Op::LogSoftmax
        | Op::ArgMax { .. }
        | Op::Pool { .. }
        | Op::MaxPoolGrad { .. }
        | Op::SumPoolGrad { .. }
        | Op::TakeGrad => 1,
        _ => 0,
    });
    kernels.fold(0, usize::saturating_add)
}

/// The nodes that the results depend on.
fn nodes(function: &Function) -> impl Iterator<Item = Node> {
    let live = function.live();
    (0..live.len()).filter(move |&id| live[id]).map(|id| function.graph().node(id))
}

fn of_node(function: &Function, node: &Node) -> f64 {
    let input = |i: usize| function.graph().node(node.inputs[i]).ty.shape;
    let size = |shape: &[usize]| count(shape) as f64;
    match &node.op {
        Op::Scan(scan) => scan.length as f64 * total(&scan.body),
        Op::Dot(dims) => {
            let lhs = input(0);
            let summed: usize = dims.lhs_contract.iter().map(|&d| lhs[d]).product();
            2.0 * size(&node.ty.shape) * summed as f64
        }
        // Each cell of the kernel meets each position once, whichever of the three is being computed.
        Op::Conv { .. } => conv(&node.ty.shape, &input(1)),
        Op::ConvInputGrad { .. } => conv(&input(0), &input(1)),
        Op::ConvKernelGrad { .. } => conv(&input(1), &node.ty.shape),
        Op::Parameter { .. }
        | Op::Constant(_)
        | Op::Output(_)
        | Op::Reshape
        | Op::Custom(_)
        | Op::Composite(_) => 0.0,
        _ => size(&node.ty.shape),
    }
}

/// From the shapes of the result and of the kernel.
fn conv(result: &[usize], kernel: &[usize]) -> f64 {
    let filters = kernel.last().copied().unwrap_or(1).max(1);
    2.0 * count(result) as f64 * (count(kernel) / filters) as f64
}
