use super::window::{Padding, or, window};
use super::{Context, Layer};
use crate::error::{Error, Result};
use crate::graph::{Tensor, Window};
use crate::setters::setters;
use serde::{Deserialize, Serialize};

/// A window that slides over the spatial axes; it moves by its own size if `stride` is absent.
///
/// ```
/// use neural::{DType, nn::{Layer, Pool, sequential}};
/// let model = sequential([Layer::MaxPool(Pool { stride: vec![1, 1], ..Pool::new(&[2, 2]) })]);
/// assert_eq!(model.summary(DType::F32, &[8, 8, 3])?.rows[0].output, [1, 7, 7, 3]);
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// The window's size, a number for each spatial axis.
    #[serde(alias = "pool_size", alias = "kernel_size")]
    pub size: Vec<usize>,
    /// The window's step along each axis; the window's size if absent.
    #[serde(default, alias = "strides")]
    pub stride: Vec<usize>,
    /// Cells around the input, which count as nothing; none if absent.
    #[serde(default)]
    pub padding: Padding,
}

setters! {
    Pool {
        stride: impl Into<Vec<usize>>,
        padding: Padding,
    }
}

impl Pool {
    /// Windows side by side, without padding.
    pub fn new(size: &[usize]) -> Self {
        Self { size: size.to_vec(), stride: Vec::new(), padding: Padding::Valid }
    }

    /// The window over an input `[n, spatial…, channels]`.
    pub(crate) fn window(&self, input: &[usize]) -> Result<Window> {
        window(input, &self.size, &or(&self.stride, &self.size), &self.padding, &vec![1; self.size.len()])
    }

    /// The largest element under the window; padding never wins.
    pub(super) fn max(&self, x: &Tensor) -> Result<Tensor> {
        x.max_pool(self.window(x.shape())?)
    }

    /// The mean of the elements under the window; padding is not counted.
    pub(super) fn average(&self, x: &Tensor) -> Result<Tensor> {
        let window = self.window(x.shape())?;
        let wide = x.dtype().accumulator();
        let ones = x.graph().full(wide, &[&[1], &x.shape()[1..x.rank() - 1], &[1]].concat(), 1.0)?;
        let counts = ones.sum_pool(window.clone())?;
        (x.convert(wide)?.sum_pool(window)? / counts)?.convert(x.dtype())
    }
}

/// The axes between the batch and the channels.
fn spatial(op: &str, x: &Tensor) -> Result<Vec<usize>> {
    if x.rank() < 3 {
        return Err(Error::shape(op, "[batch, spatial…, channels]", x.ty()));
    }
    Ok((1..x.rank() - 1).collect())
}

/// Padded positions are ignored; the result for a sequence of only padding is 0.
pub(super) fn global_max(x: &Tensor, cx: &mut Context) -> Result<Tensor> {
    let axes = spatial("global-max-pool", x)?;
    let Some(real) = cx.positions_of(x)? else {
        return x.max(&axes);
    };
    cx.set_positions(None);
    let real = real.unsqueeze(2)?;
    let (lowest, zero) = (x.scalar_like(f64::NEG_INFINITY), x.scalar_like(0.0));
    let most = real.select(x, &lowest)?.max(&axes)?;
    most.gt(&lowest)?.select(&most, &zero)
}

/// As [`global_max`].
pub(super) fn global_average(x: &Tensor, cx: &mut Context) -> Result<Tensor> {
    let axes = spatial("global-avg-pool", x)?;
    let Some(real) = cx.positions_of(x)? else {
        return x.mean(&axes);
    };
    cx.set_positions(None);
    let wide = x.dtype().accumulator();
    let real = real.unsqueeze(2)?;
    let values = x.convert(wide)?;
    let sum = real.select(&values, &values.scalar_like(0.0))?.sum(&axes)?;
    let count = real.convert(wide)?.sum(&axes)?;
    (sum / count.maximum(&count.scalar_like(1.0))?)?.convert(x.dtype())
}

/// The maximum over windows of `size` cells that do not overlap.
pub fn max_pool(size: &[usize]) -> Layer {
    Layer::MaxPool(Pool::new(size))
}

/// The mean over windows of `size` cells that do not overlap.
pub fn avg_pool(size: &[usize]) -> Layer {
    Layer::AvgPool(Pool::new(size))
}
