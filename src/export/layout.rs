//! The order of axes, in which libraries differ.

use crate::array::Array;
use crate::error::Result;

/// Axis `i` of the result is axis `perm[i]` of `array`; `perm` is a permutation of its axes.
pub(super) fn transposed(array: &Array, perm: &[usize]) -> Result<Array> {
    let (shape, size) = (array.shape(), array.dtype().size());
    let mut strides = vec![size; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    let mut offsets = vec![0];
    for &axis in perm {
        let (length, stride) = (shape[axis], strides[axis]);
        let along = |from: usize| (0..length).map(move |i| from + i * stride);
        offsets = offsets.into_iter().flat_map(along).collect();
    }
    let bytes = offsets.iter().flat_map(|&at| &array.bytes()[at..at + size]).copied().collect();
    let shape: Vec<_> = perm.iter().map(|&axis| shape[axis]).collect();
    Array::from_bytes(array.dtype(), &shape, bytes)
}

/// A kernel `[window…, channels, filters]` with its filters first: `[filters, channels, window…]`.
pub(super) fn filters_first(kernel: &Array) -> Result<Array> {
    let axes = kernel.shape().len();
    transposed(kernel, &[axes - 1, axes - 2].into_iter().chain(0..axes - 2).collect::<Vec<_>>())
}

/// The inverse of [`filters_first`].
pub(super) fn filters_last(kernel: &Array) -> Result<Array> {
    transposed(kernel, &(2..kernel.shape().len()).chain([1, 0]).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_change_places() -> Result<()> {
        // NumPy: arange(6).reshape(1, 2, 3).transpose(2, 1, 0).ravel()
        let kernel = Array::new(&[1, 2, 3], (0..6).collect::<Vec<i32>>())?;
        let turned = filters_first(&kernel)?;
        assert_eq!(turned, Array::new(&[3, 2, 1], vec![0, 3, 1, 4, 2, 5])?);
        assert_eq!(filters_last(&turned)?, kernel);
        Ok(())
    }
}
