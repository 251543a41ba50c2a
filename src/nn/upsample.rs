use super::{Context, Layer, Module};
use crate::array::Array;
use crate::error::{Error, Result};
use crate::graph::Tensor;
use crate::setters::setters;
use serde::{Deserialize, Serialize};

/// Makes every spatial axis longer by a whole factor: `[n, spatial…, channels] -> [n, spatial · size…, channels]`.
///
/// ```
/// use neural::{DType, nn};
/// let model = nn::sequential([nn::upsample(&[2, 3])]);
/// assert_eq!(model.summary(DType::F32, &[7, 7, 4])?.rows[0].output, [1, 14, 21, 4]);
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upsample {
    /// The factor of each spatial axis.
    #[serde(alias = "scale_factor")]
    pub size: Vec<usize>,
    /// How the new cells are computed.
    #[serde(default, alias = "mode", alias = "interpolation")]
    pub method: Interpolation,
}

setters! {
    Upsample {
        method: Interpolation,
    }
}

/// How the new cells of an enlarged picture are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Interpolation {
    /// The nearest cell's value.
    #[default]
    Nearest,
    /// The straight line between the cells' middles, along each axis; beyond the outermost middles their values. It is
    /// `PyTorch`'s with `align_corners=False`, and Keras'.
    #[serde(alias = "linear")]
    Bilinear,
}

impl Module for Upsample {
    fn forward(&self, x: &Tensor, cx: &mut Context) -> Result<Tensor> {
        if self.size.is_empty() || x.rank() != self.size.len() + 2 {
            let expected = format!("[batch, {} spatial axes, channels]", self.size.len());
            return Err(Error::shape("upsample", expected, x.ty()));
        }
        self.size.iter().try_for_each(|&factor| super::at_least_one("size", factor))?;
        if self.size.iter().any(|&factor| factor > 1) {
            cx.set_positions(None);
        }
        let mut axes = (1..).zip(&self.size).filter(|(_, factor)| **factor > 1);
        axes.try_fold(x.clone(), |x, (axis, &factor)| match self.method {
            Interpolation::Nearest => nearest(&x, axis, factor),
            Interpolation::Bilinear => linear(&x, axis, factor),
        })
    }
}

/// `shape` with `length` in place of axis `axis`.
fn with_length(shape: &[usize], axis: usize, length: &[usize]) -> Vec<usize> {
    [&shape[..axis], length, &shape[axis + 1..]].concat()
}

fn nearest(x: &Tensor, axis: usize, factor: usize) -> Result<Tensor> {
    let length = x.shape()[axis];
    let repeated = with_length(x.shape(), axis, &[length, factor]);
    let kept = (0..=x.rank()).filter(|&dim| dim != axis + 1).collect();
    x.broadcast_in(&repeated, kept)?.reshape(&with_length(x.shape(), axis, &[length * factor]))
}

/// Replaces each cell by `factor` cells, whose centres lie `t` of its length from its own: at `t = (i + ½) / factor -
/// ½`, between it and the cell before or after.
fn linear(x: &Tensor, axis: usize, factor: usize) -> Result<Tensor> {
    let length = x.shape()[axis];
    let before = Tensor::concatenate(&[&x.narrow(axis, 0, 1)?, &x.narrow(axis, 0, length - 1)?], axis)?;
    let after =
        Tensor::concatenate(&[&x.narrow(axis, 1, length)?, &x.narrow(axis, length - 1, length)?], axis)?;
    let column = with_length(&vec![1; x.rank() - axis], 0, &[factor]);
    let weighted = |x: &Tensor, weight: fn(f64) -> f64| {
        let places = (0..factor).map(|i| weight((i as f64 + 0.5) / factor as f64 - 0.5));
        let weights = Array::new(&column, places.collect::<Vec<_>>())?.cast(x.dtype());
        x.unsqueeze(axis + 1)? * x.graph().constant(weights)
    };
    let own = weighted(x, |t| 1.0 - t.abs())?;
    let y = ((own + weighted(&before, |t| (-t).max(0.0))?)? + weighted(&after, |t| t.max(0.0))?)?;
    y.reshape(&with_length(x.shape(), axis, &[length * factor]))
}

/// Enlarges by the nearest cell's value, see [`Upsample`].
pub fn upsample(size: &[usize]) -> Layer {
    Layer::Upsample(Upsample { size: size.to_vec(), method: Interpolation::Nearest })
}
