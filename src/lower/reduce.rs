//! Reductions along axes: on the built-in CPU by calls of [`kernels`] where XLA would write several kernels for one.

use super::{Lowering, Target, XlaResult, calls, dims};
use crate::array::DType;
use crate::graph::{Binary, Function, Node};
use neural_kernels as kernels;
use xla::{ElementType, XlaOp};

impl Lowering<'_> {
    /// The sizes of an array for the kernels over its last axis.
    fn last_axis(&self, shape: &[usize], dtype: DType) -> Option<kernels::LastAxis> {
        let ours = self.target == Target::Cpu && dtype == DType::F32;
        ours.then(|| kernels::LastAxis::of(shape)).flatten()
    }

    /// The index of the max along `dim`, of an array of `shape`.
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

    /// The gradient from the result `y` and its gradient.
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

    /// `Σ a (b - c)` over the axes before the last, along which `c` lies: the sums of a batch normalisation and its
    /// gradient. Summed as an array, the products would be written to memory and read again.
    pub(super) fn centred_sum(
        &self,
        function: &Function,
        node: &Node,
        axes: &[usize],
        dtype: DType,
    ) -> Option<XlaResult> {
        let tensor = |id: usize| function.graph().tensor(id);
        let product = tensor(node.inputs[0]);
        let shape = product.shape();
        let last = shape.len().checked_sub(1)?;
        let ours = self.target == Target::Cpu && axes.iter().max() == last.checked_sub(1).as_ref();
        if !ours || dtype != DType::F32 {
            return None;
        }
        let [a, b] = product.operands(Binary::Mul)?;
        let sizes = kernels::Sum::of(shape, axes)?;
        // The operands of a difference whose second one is a row.
        let centred = |id: usize| {
            let [x, row] = tensor(id).operands(Binary::Sub)?;
            Some([x, tensor(row).repeated_row()?])
        };
        let value = |id: usize| &self.values[&id];
        let result: Vec<_> = (0..=last).filter(|axis| !axes.contains(axis)).map(|axis| shape[axis]).collect();
        let result = &result;
        if a == b {
            let [b, c] = centred(a)?.map(value);
            return Some(self.call(calls::CENTRED_SQUARE, &[b, c], &sizes, dtype, result));
        }
        let (a, [b, c]) = match (centred(a), centred(b)) {
            (_, Some(pair)) => (a, pair),
            (Some(pair), None) => (b, pair),
            (None, None) => return None,
        };
        let [a, b, c] = [a, b, c].map(value);
        Some(self.call(calls::CENTRED_PRODUCT, &[a, b, c], &sizes, dtype, result))
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
