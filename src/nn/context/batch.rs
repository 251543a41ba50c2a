//! Statistics over the rows and positions of a batch that count.

use super::Context;
use crate::array::{DType, count};
use crate::error::Result;
use crate::graph::Tensor;
use crate::loss::Mask;

/// Which rows of a batch count.
pub(super) struct RowMask {
    /// 1 for a row that counts and 0 for one that does not, f32 `[n]`.
    weights: Tensor,
    /// How many count on all devices, an f64 scalar.
    count: Tensor,
}

impl Context<'_> {
    /// Makes only some of the rows count: layers that compute over a whole batch leave the others out. Call it after
    /// [`Context::replicated`].
    ///
    /// ```
    /// # use neural::{DType, graph::Graph, nn::{Context, Init}, variables::Variables};
    /// # let graph = Graph::new();
    /// # let mut variables = Variables::declare(&graph, DType::F32);
    /// # let mut cx = Context::evaluation(&mut variables);
    /// use neural::loss::Mask;
    /// let (rows, count) = (graph.parameter(DType::F32, &[4, 2]), graph.parameter(DType::I32, &[]));
    /// let cx = cx.masked(&Mask::first(&count, 4)?)?;
    /// assert_eq!(cx.batch_mean(&rows, &[0])?.shape(), [2]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the mask's weights are no numbers.
    pub fn masked(mut self, mask: &Mask) -> Result<Self> {
        let weights = mask.counts()?.convert(DType::F32)?;
        let count = self.total(&weights.convert(DType::F64)?.sum_all()?)?;
        self.mask = Some(RowMask { weights, count });
        Ok(self)
    }

    /// The mean over `axes`, the first of which must be the rows: over the rows that count, of all devices, and without
    /// the padding of sequences `[n, length, features]` where the mean is over both first axes.
    ///
    /// # Errors
    /// When there is no such axis.
    pub fn batch_mean(&self, x: &Tensor, axes: &[usize]) -> Result<Tensor> {
        if let (Some(real), [0, 1]) = (self.real_positions(x)?, axes) {
            let weights = real.convert(x.dtype())?;
            let sum = self.total(&(x * weights.unsqueeze(2)?)?.sum(&[0, 1])?)?;
            // Counted in f64, as bf16 counts to 256. Of nothing but padding the mean is 0.
            let count = self.total(&real.convert(DType::F64)?.sum_all()?)?;
            return sum / count.maximum(&count.scalar_like(1.0))?.convert(x.dtype())?;
        }
        let Some(RowMask { weights, count }) = &self.mask else {
            let mean = x.mean(axes)?;
            return if self.replicas == 1 { Ok(mean) } else { mean.all_reduce()? / self.replicas as f64 };
        };
        // Within each row first, so that there is little left to be weighted.
        let within: Vec<usize> = axes.iter().copied().filter(|&axis| axis != 0).collect();
        let rows = if within.is_empty() { x.clone() } else { x.mean(&within)? };
        let column = vec![1; rows.rank() - 1];
        let weights = weights.convert(x.dtype())?.reshape(&[&[x.shape()[0]], &column[..]].concat())?;
        self.total(&(rows * weights)?.sum(&[0])?)? / count.convert(x.dtype())?
    }

    /// How many values of each channel `x` `[n, …, channels]` has in the whole batch, and how many of them count, an f64
    /// scalar, where these may be too few for a variance though there are values enough.
    pub(in crate::nn) fn batch_values(&self, x: &Tensor) -> Result<(usize, Option<Tensor>)> {
        let within = count(&x.shape()[1..x.rank() - 1]);
        let counted = match (self.real_positions(x)?, &self.mask) {
            (Some(real), _) => Some(self.total(&real.convert(DType::F64)?.sum_all()?)?),
            (None, Some(mask)) if within < 2 => Some(mask.count.clone()),
            (None, _) => None,
        };
        Ok((x.shape()[0] * within * self.replicas, counted))
    }

    /// 1 for each position of `x` `[n, length, features]` that is real and in a row that counts and 0 for the others,
    /// f32 `[n, length]`, if some may be padding.
    fn real_positions(&self, x: &Tensor) -> Result<Option<Tensor>> {
        if x.rank() != 3 {
            return Ok(None);
        }
        let Some(real) = self.positions_of(x)? else { return Ok(None) };
        let real = real.convert(DType::F32)?;
        Ok(Some(match &self.mask {
            Some(RowMask { weights, .. }) => (real * weights.reshape(&[x.shape()[0], 1])?)?,
            None => real,
        }))
    }

    /// The sum over the devices.
    fn total(&self, part: &Tensor) -> Result<Tensor> {
        if self.replicas == 1 { Ok(part.clone()) } else { part.all_reduce() }
    }
}
