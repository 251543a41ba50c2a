//! Translates each operation of the graph to XLA's, with helpers that several of them share.

use super::conv::Conv;
use super::{Lowering, XlaResult, dims, element, ffi, malformed};
use crate::array::{Array, DType};
use crate::graph::{Binary, Comparison, Function, Node, Op, Reduction, Unary};
use xla::{XlaBuilder, XlaComputation, XlaOp};

impl Lowering<'_> {
    /// One operation over `inputs`, with a result of `dtype`; [`Lowering::node`] chooses both.
    pub(super) fn operation(
        &self,
        function: &Function,
        node: &Node,
        inputs: &[XlaOp],
        dtype: DType,
    ) -> XlaResult {
        let builder = self.builder;
        let input = |i: usize| &inputs[i];
        let shape_of = |i: usize| function.graph().node(node.inputs[i]).ty.shape;
        let dtype_of = |i: usize| function.graph().node(node.inputs[i]).ty.dtype;
        let x = |f: fn(&XlaOp) -> XlaResult| f(input(0));
        let shape = dims(&node.ty.shape);
        match &node.op {
            Op::Parameter { .. } | Op::Scan(_) | Op::Output(_) => unreachable!("lowered by the caller"),
            Op::Constant(value) => builder.constant_literal(&literal(value)?),
            Op::Iota { dim } => builder.iota(element(dtype), &shape, *dim as i64),

            Op::Unary(f) => x(match f {
                Unary::Neg => XlaOp::neg,
                Unary::Abs => XlaOp::abs,
                Unary::Sign => XlaOp::sign,
                Unary::Exp => XlaOp::exp,
                Unary::Expm1 => XlaOp::expm1,
                Unary::Log => XlaOp::log,
                Unary::Log1p => XlaOp::log1p,
                Unary::Sqrt => XlaOp::sqrt,
                Unary::Rsqrt => XlaOp::rsqrt,
                Unary::Tanh => XlaOp::tanh,
                Unary::Logistic => XlaOp::logistic,
                Unary::Erf => XlaOp::erf,
                Unary::Sin => XlaOp::sin,
                Unary::Cos => XlaOp::cos,
                Unary::Floor => XlaOp::floor,
                Unary::Ceil => XlaOp::ceil,
                Unary::Round => XlaOp::round,
                Unary::Not => XlaOp::not,
                Unary::IsFinite => XlaOp::is_finite,
            }),
            Op::Binary(f) => binary(*f, input(0), input(1)),
            Op::Compare(f) => {
                let (a, b) = (input(0), input(1));
                match f {
                    Comparison::Eq => a.eq(b),
                    Comparison::Ne => a.ne(b),
                    Comparison::Lt => a.lt(b),
                    Comparison::Le => a.le(b),
                    Comparison::Gt => a.gt(b),
                    Comparison::Ge => a.ge(b),
                }
            }
            Op::Select => input(0).select(input(1), input(2)),
            Op::Convert => input(0).convert(element(dtype).primitive_type()),
            Op::StopGradient | Op::Custom(_) | Op::Composite(_) => Ok(input(0).clone()),

            Op::Reshape => input(0).reshape(&shape),
            Op::Broadcast { dims: axes } => input(0).broadcast_in_dim(&shape, &dims(axes)),
            Op::Transpose { perm } => input(0).transpose(&dims(perm)),
            Op::Reverse { dims: axes } => input(0).rev(&dims(axes)),
            Op::Slice { start, limit, stride } => slice(input(0), start, limit, stride),
            Op::Pad { low, high, interior } => {
                let config: Vec<_> =
                    (0..low.len()).map(|i| (low[i] as i64, high[i] as i64, interior[i] as i64)).collect();
                input(0).pad(&builder.zero(element(dtype))?, &config)
            }
            Op::Concatenate { dim } => {
                let rest: Vec<_> = (1..node.inputs.len()).map(input).collect();
                input(0).concat_in_dim(&rest, *dim as i64)
            }

            Op::Reduce { kind, dims: axes } => match kind {
                Reduction::Sum => match self.centred_sum(function, node, axes, dtype) {
                    Some(sum) => sum,
                    None => self.sum(input(0), &shape_of(0), axes, dtype),
                },
                Reduction::Max => input(0).reduce_max(&dims(axes), false),
                Reduction::Min => input(0).reduce_min(&dims(axes), false),
            },
            Op::CumulativeSum { dim, reverse } => {
                self.cumulative_sum(input(0), &node.ty.shape, *dim, *reverse)
            }
            Op::ArgMax { dim } => self.arg_max(input(0), &shape_of(0), *dim, dtype_of(0)),
            Op::LogSoftmax => self.log_softmax(input(0), &node.ty.shape, dtype),
            Op::LogSoftmaxGrad => self.log_softmax_grad(input(0), input(1), &node.ty.shape, dtype),

            Op::Dot(axes) => {
                let (a, b) = ((input(0), &*shape_of(0)), (input(1), &*shape_of(1)));
                self.dot(a, b, axes, dtype, &node.ty.shape)
            }
            Op::Conv { window, groups } => {
                let source = node.inputs[0];
                let conv = Conv {
                    source,
                    input: &shape_of(0),
                    kernel: &shape_of(1),
                    window,
                    groups: *groups,
                    dtype,
                };
                self.conv(input(0), input(1), &conv)
            }
            Op::ConvInputGrad { window, groups } => {
                let (source, input_shape) = (node.inputs[0], &node.ty.shape);
                let conv =
                    Conv { source, input: input_shape, kernel: &shape_of(1), window, groups: *groups, dtype };
                self.conv_input_grad(input(0), input(1), &conv)
            }
            Op::ConvKernelGrad { window, groups } => {
                let (source, kernel) = (node.inputs[0], &node.ty.shape);
                let conv = Conv { source, input: &shape_of(0), kernel, window, groups: *groups, dtype };
                self.conv_kernel_grad(input(0), input(1), &conv)
            }
            Op::Pool { kind, window } => self.pool(input(0), &shape_of(0), *kind, window, dtype),
            Op::MaxPoolGrad { window } => {
                self.max_pool_grad(input(0), input(1), input(2), &node.ty.shape, window, dtype)
            }
            Op::SumPoolGrad { window } => self.sum_pool_grad(input(0), &node.ty.shape, window, dtype),

            Op::Take => input(0).take(input(1), 0),
            Op::TakeGrad => self.take_grad(dtype, &node.ty.shape, input(1), &shape_of(1), input(2)),
            Op::DynamicSlice => {
                let offsets: Vec<_> = (1..node.inputs.len()).map(input).collect();
                input(0).dynamic_slice(&offsets, &shape)
            }
            Op::DynamicUpdateSlice => {
                let offsets: Vec<_> = (2..node.inputs.len()).map(input).collect();
                input(0).dynamic_update_slice(input(1), &offsets)
            }

            Op::RandomBits => self.random_bits(input(0), &node.ty.shape),
            Op::AllReduce => input(0).all_reduce(&scalar_function(dtype, Binary::Add)?),
        }
    }

    /// A function of [`calls`] over some operands.
    pub(super) fn call(
        &self,
        function: &str,
        operands: &[&XlaOp],
        sizes: &impl bytemuck::NoUninit,
        dtype: DType,
        result: &[usize],
    ) -> XlaResult {
        let sizes = ffi::attributes(bytemuck::cast_slice(std::slice::from_ref(sizes)));
        self.builder.custom_call(function, operands, element(dtype), &dims(result), sizes.as_bytes())
    }

    /// An empty operand, in place of one that a call does not need.
    pub(super) fn nothing(&self) -> XlaResult {
        self.builder.zero(element(DType::F32))?.broadcast(&[0])
    }

    /// Adds `rows` into a table of zeros at `indices`.
    fn take_grad(
        &self,
        dtype: DType,
        table: &[usize],
        indices: &XlaOp,
        index_shape: &[usize],
        rows: &XlaOp,
    ) -> XlaResult {
        let zeros = self.builder.zero(element(dtype))?.broadcast(&dims(table))?;
        let rank = index_shape.len();
        let window: Vec<_> = (rank as i64..(rank + table.len()) as i64 - 1).collect();
        let indices = indices.reshape(&dims(&[index_shape, &[1]].concat()))?;
        let add = scalar_function(dtype, Binary::Add)?;
        zeros.scatter(&indices, rows, &add, &window, &[0], &[0], rank as i64)
    }
}

pub(super) fn binary(f: Binary, a: &XlaOp, b: &XlaOp) -> XlaResult {
    match f {
        Binary::Add => a.add_(b),
        Binary::Sub => a.sub_(b),
        Binary::Mul => a.mul_(b),
        Binary::Div => a.div_(b),
        Binary::Rem => a.rem_(b),
        Binary::Max => a.max(b),
        Binary::Min => a.min(b),
        Binary::Pow => a.pow(b),
        Binary::And => a.and(b),
        Binary::Or => a.or(b),
        Binary::Xor => a.xor(b),
    }
}

/// The result of `build` over `inputs`, as a separate computation: nothing in it is fused with the outside or moved out
/// of a loop. It stands in a conditional that always takes the same branch, which XLA cannot know; XLA removes its own
/// barriers before its CPU backend fuses.
pub(super) fn isolated<const N: usize>(
    inputs: [&XlaOp; N],
    result: &[usize],
    dtype: DType,
    build: impl FnOnce([XlaOp; N]) -> XlaResult,
) -> XlaResult {
    let outside = inputs[0].builder();
    let given = outside.tuple(&inputs)?;
    let shape = given.shape()?;
    let wanted = {
        let builder = XlaBuilder::new("isolated");
        let tuple = builder.parameter_s(0, &shape, "inputs")?;
        let parts = (0..N as i64).map(|i| tuple.get_tuple_element(i)).collect::<XlaResult<Vec<_>>>()?;
        build(parts.try_into().map_err(|_| malformed(format!("expected {N} isolated inputs")))?)?.build()?
    };
    let nothing = {
        let builder = XlaBuilder::new("never");
        builder.parameter_s(0, &shape, "inputs")?;
        // Both sides of a conditional are computed at once if each is simple, which an iota is not.
        builder.iota(element(dtype), &dims(result), 0)?.build()?
    };
    let corner = vec![1; inputs[0].rank()?];
    let corner = slice(inputs[0], &vec![0; corner.len()], &corner, &corner)?.reshape(&[])?;
    let infinity = outside.c0(f32::INFINITY)?.convert(element(dtype).primitive_type())?;
    corner.gt(&infinity)?.conditional(given.clone(), nothing, given, wanted)
}

/// A strided slice, an axis at a time as the crate has it.
pub(super) fn slice(x: &XlaOp, start: &[usize], limit: &[usize], stride: &[usize]) -> XlaResult {
    let shape = x.dims()?;
    let mut result = x.clone();
    for axis in 0..start.len() {
        if (start[axis], limit[axis], stride[axis]) != (0, shape[axis], 1) {
            result = result.slice_in_dim(
                start[axis] as i64,
                limit[axis] as i64,
                stride[axis] as i64,
                axis as i64,
            )?;
        }
    }
    Ok(result)
}

/// `(a, b) -> f(a, b)` of scalars, for reductions.
pub(super) fn scalar_function(dtype: DType, f: Binary) -> XlaResult<XlaComputation> {
    let builder = XlaBuilder::new("combine");
    let a = builder.parameter(0, element(dtype), &[], "a")?;
    let b = builder.parameter(1, element(dtype), &[], "b")?;
    binary(f, &a, &b)?.build()
}

fn literal(value: &Array) -> XlaResult<xla::Literal> {
    let ty = element(value.dtype());
    xla::Literal::create_from_shape_and_untyped_data(ty, value.shape(), value.bytes())
}
