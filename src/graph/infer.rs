//! The shape rules: the type of each operation's result, or why there is none.

use super::op::{Binary, DotDims, Op, Reduction, Type, Unary, Window};
use crate::array::{DType, count};
use crate::error::{Error, Result};

/// The type of `op` applied to inputs of the given types.
pub(super) fn infer(op: &Op, inputs: &[&Type]) -> Result<Type> {
    let name = || op.name();
    let first = || inputs[0].clone();
    match op {
        Op::Parameter { .. } | Op::Iota { .. } | Op::Scan(_) | Op::Output(_) => {
            unreachable!("typed where they are made")
        }
        Op::Constant(value) => Ok(Type::new(value.dtype(), value.shape())),
        Op::Unary(Unary::Not) => expect_dtype(&name(), inputs[0], DType::Bool).map(|()| first()),
        Op::Unary(Unary::IsFinite) => {
            expect_float(&name(), inputs[0])?;
            Ok(Type::new(DType::Bool, &inputs[0].shape))
        }
        Op::Unary(Unary::Neg | Unary::Abs | Unary::Sign) => match inputs[0].dtype {
            DType::Bool => Err(Error::shape(name(), "numbers", inputs[0])),
            _ => Ok(first()),
        },
        Op::Unary(_) => expect_float(&name(), inputs[0]).map(|()| first()),
        Op::Binary(f) => {
            same(&name(), inputs[0], inputs[1])?;
            match (f, inputs[0].dtype) {
                (Binary::And | Binary::Or | Binary::Xor, DType::BF16 | DType::F32 | DType::F64) => {
                    Err(Error::shape(name(), "whole numbers or bool", inputs[0]))
                }
                _ => Ok(first()),
            }
        }
        Op::Compare(_) => {
            same(&name(), inputs[0], inputs[1])?;
            Ok(Type::new(DType::Bool, &inputs[0].shape))
        }
        Op::Select => {
            expect_dtype(&name(), inputs[0], DType::Bool)?;
            same(&name(), inputs[1], inputs[2])?;
            expect_shape(&name(), &inputs[1].shape, &inputs[0].shape)?;
            Ok(inputs[1].clone())
        }
        Op::Convert | Op::Reshape | Op::Broadcast { .. } | Op::RandomBits => {
            unreachable!("their result type is an argument, checked where they are made")
        }
        Op::StopGradient | Op::Custom(_) | Op::Composite(_) | Op::AllReduce => Ok(first()),
        Op::Transpose { perm } => {
            let mut sorted = perm.clone();
            sorted.sort_unstable();
            if !sorted.iter().copied().eq(0..inputs[0].shape.len()) {
                return Err(Error::shape(
                    name(),
                    format!("a permutation of the axes of {}", inputs[0]),
                    format!("{perm:?}"),
                ));
            }
            let shape: Vec<_> = perm.iter().map(|&axis| inputs[0].shape[axis]).collect();
            Ok(Type::new(inputs[0].dtype, &shape))
        }
        Op::Reverse { dims } => {
            dims.iter().try_for_each(|&dim| axis(&name(), &inputs[0].shape, dim))?;
            Ok(first())
        }
        Op::Slice { start, limit, stride } => slice(inputs[0], start, limit, stride),
        Op::Pad { low, high, interior } => {
            let rank = inputs[0].shape.len();
            if low.len() != rank || high.len() != rank || interior.len() != rank {
                return Err(Error::shape(name(), format!("padding for {rank} axes"), low.len()));
            }
            let shape: Vec<_> = (0..rank)
                .map(|i| {
                    let length = inputs[0].shape[i];
                    low[i] + high[i] + length + length.saturating_sub(1) * interior[i]
                })
                .collect();
            Ok(Type::new(inputs[0].dtype, &shape))
        }
        Op::Concatenate { dim } => concatenate(inputs, *dim),
        Op::Reduce { dims, .. } => {
            dims.iter().try_for_each(|&dim| axis(&name(), &inputs[0].shape, dim))?;
            Ok(Type::new(inputs[0].dtype, &without(&inputs[0].shape, dims)))
        }
        Op::CumulativeSum { dim, .. } => axis(&name(), &inputs[0].shape, *dim).map(|()| first()),
        Op::ArgMax { dim } => {
            axis(&name(), &inputs[0].shape, *dim)?;
            Ok(Type::new(DType::I32, &without(&inputs[0].shape, &[*dim])))
        }
        Op::LogSoftmax => {
            expect_float(&name(), inputs[0])?;
            axis(&name(), &inputs[0].shape, 0).map(|()| first())
        }
        Op::LogSoftmaxGrad => same(&name(), inputs[0], inputs[1]).map(|()| first()),
        Op::Dot(dims) => dot(inputs[0], inputs[1], dims),
        Op::Conv { window, groups } => conv(inputs[0], inputs[1], window, *groups),
        Op::ConvInputGrad { .. } | Op::ConvKernelGrad { .. } | Op::SumPoolGrad { .. } => {
            unreachable!("their result type is an argument, that of the tensor whose gradient it is")
        }
        Op::Pool { kind, window } => {
            if *kind == Reduction::Min {
                return Err(Error::shape(name(), "sum or max", "min"));
            }
            expect_float(&name(), inputs[0])?;
            let spatial = slide(&name(), inputs[0], window)?;
            let mut shape = inputs[0].shape.clone();
            let last = shape.len() - 1;
            shape.splice(1..last, spatial);
            Ok(Type::new(inputs[0].dtype, &shape))
        }
        Op::MaxPoolGrad { .. } => Ok(first()),
        Op::Take => {
            let (table, indices) = (inputs[0], inputs[1]);
            if table.shape.is_empty() || !matches!(indices.dtype, DType::I32 | DType::U32) {
                return Err(Error::shape(
                    name(),
                    "a table and i32 or u32 indices",
                    format!("{table} and {indices}"),
                ));
            }
            Ok(Type::new(table.dtype, &[&indices.shape, &table.shape[1..]].concat()))
        }
        Op::TakeGrad => Ok(first()),
        Op::DynamicSlice => unreachable!("its result type is an argument"),
        Op::DynamicUpdateSlice => {
            let fits = inputs[1].shape.len() == inputs[0].shape.len()
                && inputs[1].shape.iter().zip(&inputs[0].shape).all(|(part, whole)| part <= whole)
                && inputs[0].dtype == inputs[1].dtype;
            if !fits || inputs.len() != 2 + inputs[0].shape.len() {
                return Err(Error::shape(name(), format!("a part of {}", inputs[0]), inputs[1]));
            }
            Ok(first())
        }
    }
}

/// The shape that results from broadcasting two shapes to each other: axes are matched from the last, and an
/// axis of length 1, or a missing one, is repeated.
pub(super) fn broadcast(op: &str, a: &[usize], b: &[usize]) -> Result<Vec<usize>> {
    let rank = a.len().max(b.len());
    let at = |shape: &[usize], i: usize| (i + shape.len()).checked_sub(rank).map_or(1, |i| shape[i]);
    (0..rank)
        .map(|i| match (at(a, i), at(b, i)) {
            (x, y) if x == y => Ok(x),
            (1, x) | (x, 1) => Ok(x),
            _ => Err(Error::shape(op, format!("a shape that broadcasts with {a:?}"), format!("{b:?}"))),
        })
        .collect()
}

/// Checks that `shape` has an axis `dim`.
pub(super) fn axis(op: &str, shape: &[usize], dim: usize) -> Result<()> {
    if dim < shape.len() {
        return Ok(());
    }
    Err(Error::shape(op, format!("an axis of {shape:?}, counted from 0"), dim))
}

/// `shape` without the axes `dims`.
pub(super) fn without(shape: &[usize], dims: &[usize]) -> Vec<usize> {
    (0..shape.len()).filter(|i| !dims.contains(i)).map(|i| shape[i]).collect()
}

pub(super) fn expect_shape(op: &str, expected: &[usize], got: &[usize]) -> Result<()> {
    if expected == got {
        return Ok(());
    }
    Err(Error::shape(op, format!("{expected:?}"), format!("{got:?}")))
}

pub(super) fn same_count(op: &str, from: &Type, to: &[usize]) -> Result<()> {
    if count(&from.shape) == count(to) {
        return Ok(());
    }
    Err(Error::shape(
        op,
        format!("a shape of the {} elements of {from}", count(&from.shape)),
        format!("{to:?}"),
    ))
}

fn expect_dtype(op: &str, ty: &Type, dtype: DType) -> Result<()> {
    if ty.dtype == dtype { Ok(()) } else { Err(Error::shape(op, dtype, ty)) }
}

fn expect_float(op: &str, ty: &Type) -> Result<()> {
    if ty.dtype.is_float() { Ok(()) } else { Err(Error::shape(op, "a floating-point tensor", ty)) }
}

fn same(op: &str, a: &Type, b: &Type) -> Result<()> {
    if a == b { Ok(()) } else { Err(Error::shape(op, a, b)) }
}

fn slice(input: &Type, start: &[usize], limit: &[usize], stride: &[usize]) -> Result<Type> {
    let rank = input.shape.len();
    let fits = start.len() == rank
        && limit.len() == rank
        && stride.len() == rank
        && (0..rank).all(|i| start[i] <= limit[i] && limit[i] <= input.shape[i] && stride[i] > 0);
    if !fits {
        return Err(Error::shape(
            "slice",
            format!("bounds within {input}"),
            format!("{start:?} to {limit:?} by {stride:?}"),
        ));
    }
    let shape: Vec<_> = (0..rank).map(|i| (limit[i] - start[i]).div_ceil(stride[i])).collect();
    Ok(Type::new(input.dtype, &shape))
}

fn concatenate(inputs: &[&Type], dim: usize) -> Result<Type> {
    let Some(first) = inputs.first() else {
        return Err(Error::shape("concatenate", "at least one tensor", "none"));
    };
    axis("concatenate", &first.shape, dim)?;
    let mut shape = first.shape.clone();
    shape[dim] = 0;
    for input in inputs {
        let fits = input.dtype == first.dtype
            && input.shape.len() == shape.len()
            && (0..shape.len()).all(|i| i == dim || input.shape[i] == shape[i]);
        if !fits {
            return Err(Error::shape("concatenate", format!("like {first} except along axis {dim}"), input));
        }
        shape[dim] += input.shape[dim];
    }
    Ok(Type::new(first.dtype, &shape))
}

fn dot(lhs: &Type, rhs: &Type, dims: &DotDims) -> Result<Type> {
    let DotDims { lhs_contract, rhs_contract, lhs_batch, rhs_batch } = dims;
    let pick = |ty: &Type, dims: &[usize]| {
        dims.iter().map(|&d| ty.shape.get(d).copied()).collect::<Option<Vec<_>>>()
    };
    let paired =
        |a: &[usize], b: &[usize]| matches!((pick(lhs, a), pick(rhs, b)), (Some(x), Some(y)) if x == y);
    if lhs.dtype != rhs.dtype || !paired(lhs_contract, rhs_contract) || !paired(lhs_batch, rhs_batch) {
        return Err(Error::shape(
            "dot",
            format!("factors that agree along axes {lhs_contract:?} and {rhs_contract:?}"),
            format!("{lhs} and {rhs}"),
        ));
    }
    let batch = lhs_batch.iter().map(|&d| lhs.shape[d]);
    let left = without(&lhs.shape, &[&lhs_contract[..], lhs_batch].concat());
    let right = without(&rhs.shape, &[&rhs_contract[..], rhs_batch].concat());
    Ok(Type::new(lhs.dtype, &batch.chain(left).chain(right).collect::<Vec<_>>()))
}

fn conv(input: &Type, kernel: &Type, window: &Window, groups: usize) -> Result<Type> {
    let rank = window.size.len() + 2;
    if kernel.shape.len() != rank || kernel.shape[..rank - 2] != window.size || input.dtype != kernel.dtype {
        return Err(Error::shape(
            "convolution",
            format!("a kernel {:?} of {}", window.size, input.dtype),
            kernel,
        ));
    }
    let spatial = slide("convolution", input, window)?;
    let (channels, filters) = (input.shape[rank - 1], kernel.shape[rank - 1]);
    if groups == 0 || channels != kernel.shape[rank - 2] * groups || filters % groups != 0 {
        return Err(Error::shape(
            "convolution",
            format!("{} x {groups} channels, and filters in {groups} groups", kernel.shape[rank - 2]),
            format!("{channels} channels and {filters} filters"),
        ));
    }
    let shape: Vec<_> = [input.shape[0]].into_iter().chain(spatial).chain([filters]).collect();
    Ok(Type::new(input.dtype, &shape))
}

/// The spatial shape of the window's positions over an input `[n, spatial…, c]`.
fn slide(op: &str, input: &Type, window: &Window) -> Result<Vec<usize>> {
    let axes = window.size.len();
    if input.shape.len() != axes + 2 {
        return Err(Error::shape(op, format!("[n, {axes} spatial axes, channels]"), input));
    }
    let well_formed = [window.stride.len(), window.padding.len(), window.dilation.len()] == [axes; 3]
        && window.size.iter().chain(&window.stride).chain(&window.dilation).all(|&n| n > 0);
    if !well_formed {
        return Err(Error::shape(
            op,
            "sizes, strides and dilations above 0, one for each axis",
            format!("{window:?}"),
        ));
    }
    (0..axes)
        .map(|i| {
            window.positions(i, input.shape[i + 1]).ok_or_else(|| {
                let extent = (0..axes).map(|i| window.extent(i)).collect::<Vec<_>>();
                Error::shape(op, format!("an image that a window of {extent:?} fits into"), input)
            })
        })
        .collect()
}
