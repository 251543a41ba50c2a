//! The order of axes, which differs between libraries.

use crate::array::Array;
use crate::error::Result;

/// A kernel `[window…, channels, filters]` with its filters first: `[filters, channels, window…]`.
pub(super) fn filters_first(kernel: &Array) -> Result<Array> {
    let axes = kernel.shape().len();
    kernel.transpose(&[axes - 1, axes - 2].into_iter().chain(0..axes - 2).collect::<Vec<_>>())
}

/// The inverse of [`filters_first`].
pub(super) fn filters_last(kernel: &Array) -> Result<Array> {
    kernel.transpose(&(2..kernel.shape().len()).chain([1, 0]).collect::<Vec<_>>())
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
