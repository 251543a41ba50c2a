//! Products: of f32 on the built-in CPU, one or more products of two matrices by a call of [`kernels::Matmul`]. XLA's
//! own cut the sums of large ones by the number of threads.

use super::{Lowering, Target, XlaResult, calls, dims};
use crate::array::DType;
use crate::graph::DotDims;
use neural_kernels::{self as kernels, Epilogue};
use xla::XlaOp;

/// Fewer multiplications XLA writes into the kernels around them.
const LEAST: usize = 1 << 12;

/// An operand as a matrix: how many numbers are summed, how many are not, and whether the summed ones come last.
struct Matrix {
    summed: usize,
    kept: usize,
    summed_last: bool,
}

impl Matrix {
    /// The matrix of an array of `shape` that is summed over the axes `contract`. `None` where these lie among the
    /// others or in another order.
    fn of(shape: &[usize], contract: &[usize]) -> Option<Self> {
        let side_by_side = contract.windows(2).all(|pair| pair[1] == pair[0] + 1);
        let (first, last) = (*contract.first()?, *contract.last()?);
        if !side_by_side || first != 0 && last + 1 != shape.len() {
            return None;
        }
        let summed = shape[first..=last].iter().product();
        let kept = shape[..first].iter().chain(&shape[last + 1..]).product();
        Some(Self { summed, kept, summed_last: first != 0 || contract.len() == shape.len() })
    }

    /// The matrix that an array holds for each place along its axes `batch`, if these come first.
    fn behind(batch: &[usize], shape: &[usize], contract: &[usize]) -> Option<Self> {
        let first = batch.len();
        if batch.iter().enumerate().any(|(i, axis)| *axis != i) {
            return None;
        }
        Self::of(&shape[first..], &contract.iter().map(|axis| axis - first).collect::<Vec<_>>())
    }

    /// The matrices that an operand holds for each place along its axes `batch`, transposed if need be: the axes of the
    /// batch first, the summed ones last.
    fn all(x: &XlaOp, shape: &[usize], batch: &[usize], contract: &[usize]) -> XlaResult<(XlaOp, Self)> {
        if let Some(matrix) = Self::behind(batch, shape, contract) {
            return Ok((x.clone(), matrix));
        }
        let kept: Vec<usize> =
            (0..shape.len()).filter(|axis| !batch.contains(axis) && !contract.contains(axis)).collect();
        let size = |axes: &[usize]| axes.iter().map(|&axis| shape[axis]).product();
        let matrix = Self { summed: size(contract), kept: size(&kept), summed_last: true };
        Ok((x.transpose(&dims(&[batch, &kept, contract].concat()))?, matrix))
    }

    fn shape(&self) -> [usize; 2] {
        if self.summed_last { [self.kept, self.summed] } else { [self.summed, self.kept] }
    }
}

impl Lowering<'_> {
    /// The product of two matrices, or with three axes of a batch of them along the first axis, summed over one axis of
    /// each.
    pub(super) fn matmul<const N: usize>(
        &self,
        (a, a_shape): (&XlaOp, [usize; N]),
        (b, b_shape): (&XlaOp, [usize; N]),
        [a_axis, b_axis]: [usize; 2],
        dtype: DType,
    ) -> XlaResult {
        let batch: Vec<usize> = (0..N - 2).collect();
        // The two axes of a matrix are the last two.
        let kept = |axis: usize| 2 * N - 3 - axis;
        let result = [&a_shape[..N - 2], &[a_shape[kept(a_axis)], b_shape[kept(b_axis)]]].concat();
        let axes = DotDims {
            lhs_contract: vec![a_axis],
            rhs_contract: vec![b_axis],
            lhs_batch: batch.clone(),
            rhs_batch: batch,
        };
        self.dot((a, &a_shape), (b, &b_shape), &axes, dtype, &result)
    }

    /// A product of arrays of `dtype` with their shapes.
    pub(super) fn dot(
        &self,
        (a, a_shape): (&XlaOp, &[usize]),
        (b, b_shape): (&XlaOp, &[usize]),
        axes: &DotDims,
        dtype: DType,
        result: &[usize],
    ) -> XlaResult {
        if self.target == Target::Cpu && is_product_call(axes, a_shape, dtype, result) {
            return self.product_call([(a, a_shape), (b, b_shape)], axes, result, None);
        }
        let DotDims { lhs_contract, rhs_contract, lhs_batch, rhs_batch } = axes;
        a.dot_general(b, &dims(lhs_contract), &dims(rhs_contract), &dims(lhs_batch), &dims(rhs_batch))
    }

    /// The call for a product for which [`is_product_call`] holds, with an epilogue and its other operand.
    pub(super) fn product_call(
        &self,
        [(a, a_shape), (b, b_shape)]: [(&XlaOp, &[usize]); 2],
        axes: &DotDims,
        result: &[usize],
        epilogue: Option<(Epilogue, &XlaOp)>,
    ) -> XlaResult {
        let DotDims { lhs_contract, rhs_contract, lhs_batch, rhs_batch } = axes;
        let places: usize = lhs_batch.iter().map(|&axis| a_shape[axis]).product();
        let (a, lhs) = Matrix::all(a, a_shape, lhs_batch, lhs_contract)?;
        let (b, rhs) = Matrix::all(b, b_shape, rhs_batch, rhs_contract)?;
        let sizes = [lhs.kept, lhs.summed, rhs.kept];
        let sizes = kernels::Product::new(sizes, [!lhs.summed_last, rhs.summed_last]).times(places);
        let all = |matrix: &Matrix| dims(&[&[places][..], &matrix.shape()].concat());
        let [a, b] = [a.reshape(&all(&lhs))?, b.reshape(&all(&rhs))?];
        let shape = [places, lhs.kept, rhs.kept];
        let product = match epilogue {
            None => self.call(calls::MATMUL, &[&a, &b], &sizes, DType::F32, &shape),
            Some((epilogue, other)) => {
                let sizes = sizes.with_epilogue(epilogue);
                self.call(calls::MATMUL_EPILOGUE, &[&a, &b, other], &sizes, DType::F32, &shape)
            }
        };
        product?.reshape(&dims(result))
    }
}

/// Whether a product of these axes is a call of a function on the built-in CPU.
pub(super) fn is_product_call(axes: &DotDims, a_shape: &[usize], dtype: DType, result: &[usize]) -> bool {
    let size = |axes: &[usize]| axes.iter().map(|&axis| a_shape[axis]).product::<usize>();
    let multiplications =
        result.iter().product::<usize>() / size(&axes.lhs_batch).max(1) * size(&axes.lhs_contract);
    dtype == DType::F32 && !axes.lhs_contract.is_empty() && multiplications >= LEAST
}
