//! What combines the elements along axes: on the CPU that is built in, by calls of [`kernels`] where XLA would write
//! several kernels for it.

use super::{Lowering, Target, XlaResult, calls, dims};
use crate::array::DType;
use crate::kernels;
use xla::{ElementType, XlaOp};

impl Lowering<'_> {
    /// The sizes of an array for the functions of this crate that look at it row by row.
    fn last_axis(&self, shape: &[usize], dtype: DType) -> Option<kernels::LastAxis> {
        let ours = self.target == Target::Cpu && dtype == DType::F32;
        ours.then(|| kernels::LastAxis::of(shape)).flatten()
    }

    /// Where the largest element lies along `dim`, of an array of `shape`.
    pub(super) fn arg_max(&self, x: &XlaOp, shape: &[usize], dim: usize, dtype: DType) -> XlaResult {
        match self.last_axis(shape, dtype).filter(|_| dim + 1 == shape.len()) {
            Some(sizes) => self.call(calls::ARG_MAX, &[x], &sizes, DType::I32, &shape[..dim]),
            None => x.argmax(ElementType::S32, dim as i64),
        }
    }

    pub(super) fn log_softmax(&self, x: &XlaOp, shape: &[usize], dtype: DType) -> XlaResult {
        if let Some(sizes) = self.last_axis(shape, dtype) {
            return self.call(calls::LOG_SOFTMAX, &[x], &sizes, dtype, shape);
        }
        let shifted = x.sub_(&along_last(x, XlaOp::reduce_max)?)?;
        shifted.sub_(&along_last(&shifted.exp()?, XlaOp::reduce_sum)?.log()?)
    }

    /// From the result `y` and its gradient.
    pub(super) fn log_softmax_grad(&self, y: &XlaOp, dy: &XlaOp, shape: &[usize], dtype: DType) -> XlaResult {
        if let Some(sizes) = self.last_axis(shape, dtype) {
            return self.call(calls::LOG_SOFTMAX_GRAD, &[y, dy], &sizes, dtype, shape);
        }
        dy.sub_(&y.exp()?.mul_(&along_last(dy, XlaOp::reduce_sum)?)?)
    }

    pub(super) fn sum(&self, x: &XlaOp, shape: &[usize], axes: &[usize], dtype: DType) -> XlaResult {
        let function = match dtype {
            DType::F32 => Some(calls::SUM_F32),
            DType::F64 => Some(calls::SUM_F64),
            DType::I32 => Some(calls::SUM_I32),
            _ => None,
        };
        match function.filter(|_| self.target == Target::Cpu).zip(kernels::Sum::of(shape, axes)) {
            Some((function, sizes)) => {
                let left = (0..shape.len()).filter(|axis| !axes.contains(axis)).map(|axis| shape[axis]);
                self.call(function, &[x], &sizes, dtype, &left.collect::<Vec<_>>())
            }
            None => x.reduce_sum(&dims(axes), false),
        }
    }

    /// Doubles the reach of the sum in each of log₂ n steps: XLA's own form, a window as long as the axis, is not
    /// in the crate and costs n² on a CPU.
    pub(super) fn cumulative_sum(&self, x: &XlaOp, shape: &[usize], dim: usize, reverse: bool) -> XlaResult {
        let zero = self.builder.zero(x.ty()?.element_type()?)?;
        let n = shape[dim];
        let mut sum = x.clone();
        let mut reach = 1;
        while reach < n {
            let mut config = vec![(0, 0, 0); shape.len()];
            let kept = (n - reach) as i64;
            let moved = if reverse {
                config[dim] = (0, reach as i64, 0);
                sum.slice_in_dim1(reach as i64, n as i64, dim as i64)?
            } else {
                config[dim] = (reach as i64, 0, 0);
                sum.slice_in_dim1(0, kept, dim as i64)?
            };
            sum = sum.add_(&moved.pad(&zero, &config)?)?;
            reach *= 2;
        }
        Ok(sum)
    }
}

/// A reduction of the last axis, for each of the elements that it combines.
fn along_last(x: &XlaOp, reduce: fn(&XlaOp, &[i64], bool) -> XlaResult) -> XlaResult {
    let shape = dims(&x.dims()?);
    let kept: Vec<i64> = (0..shape.len() as i64 - 1).collect();
    reduce(x, &[kept.len() as i64], false)?.broadcast_in_dim(&shape, &kept)
}
