//! The second derivative of a maximum pool.

use super::Tensor;
use super::op::Window;
use crate::error::Result;

impl Tensor {
    /// The elements of this tensor, of the shape of `x`, where each window over `x` has its first largest element, which
    /// `y` holds: `[n, spatial…, channels] -> [n, positions…, channels]`.
    pub(super) fn at_largest(&self, x: &Tensor, y: &Tensor, window: &Window) -> Result<Tensor> {
        let axes = window.size.len();
        let (low, high): (Vec<_>, Vec<_>) = window.padding.iter().copied().unzip();
        let around = |cells: &[usize]| [&[0], cells, &[0]].concat();
        let padded = |t: &Tensor| t.pad(&around(&low), &around(&high), &vec![0; axes + 2]);
        let (values, own) = (padded(x)?, padded(self)?);
        let inside = padded(&x.full_like(1.0)?)?;

        let zero = self.scalar_like(0.0);
        let mut result = y.full_like(0.0)?;
        let mut found = y.ne(y)?;
        for cell in 0..window.size.iter().product() {
            // Row by row, as the gradient looks for the first.
            let mut rest = cell;
            let mut start = vec![0; axes + 2];
            for axis in (0..axes).rev() {
                start[axis + 1] = rest % window.size[axis] * window.dilation[axis];
                rest /= window.size[axis];
            }
            let limit = |d: usize| match d {
                0 => y.shape()[0],
                d if d <= axes => start[d] + (y.shape()[d] - 1) * window.stride[d - 1] + 1,
                d => y.shape()[d],
            };
            let limit: Vec<_> = (0..axes + 2).map(limit).collect();
            let stride: Vec<_> = [&[1], &window.stride[..], &[1]].concat();
            let at = |t: &Tensor| t.slice(&start, &limit, &stride);
            let is_inside = at(&inside)?.gt(&inside.scalar_like(0.0))?;
            let chosen = at(&values)?.eq(y)?.and(&is_inside)?.and(&found.not()?)?;
            result = (result + chosen.select(&at(&own)?, &zero)?)?;
            found = found.or(&chosen)?;
        }
        Ok(result)
    }
}
