//! The precision of sums: every sum is computed in [`DType::accumulator`] and rounded once, at its end.

use super::{Lowering, Target, XlaResult, element};
use crate::array::DType;
use crate::graph::{Function, Node, Op, Reduction};
use xla::XlaOp;

impl Lowering<'_> {
    /// Lowers one operation over the values of its inputs, in the accumulator's type where it adds up.
    ///
    /// A bf16 has 8 significant bits, so a running sum of ones in bf16 never passes 256.
    pub(super) fn node(&self, function: &Function, node: &Node) -> XlaResult {
        let mut inputs: Vec<XlaOp> = node.inputs.iter().map(|id| self.values[id].clone()).collect();
        let (narrow, wide) = (node.ty.dtype, node.ty.dtype.accumulator());
        if narrow == wide || !self.is_wide(&node.op) {
            return self.operation(function, node, &inputs, narrow);
        }
        for (input, id) in inputs.iter_mut().zip(&node.inputs) {
            // Indices keep their type.
            if function.graph().node(*id).ty.dtype == narrow {
                *input = convert(input, wide)?;
            }
        }
        convert(&self.operation(function, node, &inputs, wide)?, narrow)
    }

    /// Whether an operation is computed in the accumulator's type. The list is complete, so that a new operation cannot
    /// be forgotten.
    fn is_wide(&self, op: &Op) -> bool {
        match op {
            Op::Reduce { kind: Reduction::Sum, .. }
            | Op::CumulativeSum { .. }
            | Op::LogSoftmax
            | Op::LogSoftmaxGrad
            | Op::Pool { kind: Reduction::Sum, .. }
            | Op::SumPoolGrad { .. }
            | Op::MaxPoolGrad { .. }
            | Op::TakeGrad
            | Op::AllReduce => true,
            // The matrix units of a GPU take bf16 and accumulate in f32. On a CPU these are products, sums and functions
            // of this crate, in f32.
            Op::Dot(_) | Op::Conv { .. } | Op::ConvInputGrad { .. } | Op::ConvKernelGrad { .. } => {
                self.target != Target::Gpu
            }
            // Exact in any type; the functions of this crate take f32.
            Op::Pool { kind: Reduction::Max, .. } => self.target == Target::Cpu,
            Op::Reduce { kind: Reduction::Max | Reduction::Min, .. }
            | Op::Pool { kind: Reduction::Min, .. }
            | Op::Parameter { .. }
            | Op::Constant(_)
            | Op::Iota { .. }
            | Op::Unary(_)
            | Op::Binary(_)
            | Op::Compare(_)
            | Op::Select
            | Op::Convert
            | Op::StopGradient
            | Op::Custom(_)
            | Op::Composite(_)
            | Op::Reshape
            | Op::Broadcast { .. }
            | Op::Transpose { .. }
            | Op::Reverse { .. }
            | Op::Slice { .. }
            | Op::Pad { .. }
            | Op::Concatenate { .. }
            | Op::ArgMax { .. }
            | Op::Take
            | Op::DynamicSlice
            | Op::DynamicUpdateSlice
            | Op::RandomBits
            | Op::Scan(_)
            | Op::Output(_) => false,
        }
    }
}

fn convert(x: &XlaOp, dtype: DType) -> XlaResult {
    x.convert(element(dtype).primitive_type())
}
