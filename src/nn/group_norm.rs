//! Normalisation within each sample.

use super::norm::check_epsilon;
use super::{Context, Init, Module};
use crate::array::count;
use crate::error::{Error, Result};
use crate::graph::Tensor;
use crate::setters::setters;
use serde::{Deserialize, Serialize};

/// Group normalisation (Wu and He, 2018): each sample's channels, in `groups` neighbouring parts, lose their mean and
/// are divided by their deviation over the part and all places; then each channel has its `weight` and `bias`.
///
/// Variables, if `affine`: `weight`, `bias`, both `[channels]`.
///
/// ```
/// use neural::{DType, nn::{GroupNorm, Layer, sequential}};
/// let layer = Layer::GroupNorm(GroupNorm::new(4));
/// assert_eq!(sequential([layer]).summary(DType::F32, &[8, 8, 16])?.parameters(), 32);
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupNorm {
    /// The number of groups, a divisor of the channels.
    #[serde(alias = "num_groups")]
    pub groups: usize,
    /// Added to the variance; 1e-5 if absent.
    #[serde(default = "epsilon", alias = "eps")]
    pub epsilon: f64,
    /// Whether each channel has a weight and a bias; `true` if absent.
    #[serde(default = "super::yes")]
    pub affine: bool,
}

setters! {
    GroupNorm {
        epsilon: f64,
        affine: bool,
    }
}

fn epsilon() -> f64 {
    1e-5
}

impl GroupNorm {
    /// A norm with a weight and a bias for each channel.
    pub fn new(groups: usize) -> Self {
        Self { groups, epsilon: epsilon(), affine: true }
    }
}

impl Module for GroupNorm {
    fn forward(&self, x: &Tensor, cx: &mut Context) -> Result<Tensor> {
        let last = x.last_axis("group-norm")?;
        let channels = x.shape()[last];
        if x.rank() < 2 || self.groups == 0 || !channels.is_multiple_of(self.groups) {
            return Err(Error::value("groups", format!("a divisor of the {channels} channels"), self.groups));
        }
        normalized(x, self.groups, self.epsilon, self.affine, cx)
    }
}

/// Instance normalisation (Ulyanov et al., 2016): a [`GroupNorm`] whose groups are single channels.
///
/// Variables, if `affine`: `weight`, `bias`, both `[channels]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InstanceNorm {
    /// Added to the variance; 1e-5 if absent.
    #[serde(alias = "eps")]
    pub epsilon: f64,
    /// Whether each channel has a weight and a bias; `true` if absent.
    pub affine: bool,
}

setters! {
    InstanceNorm {
        epsilon: f64,
        affine: bool,
    }
}

impl Default for InstanceNorm {
    fn default() -> Self {
        Self { epsilon: epsilon(), affine: true }
    }
}

impl Module for InstanceNorm {
    fn forward(&self, x: &Tensor, cx: &mut Context) -> Result<Tensor> {
        if x.rank() < 3 || count(&x.shape()[1..x.rank() - 1]) < 2 {
            let expected = "[batch, spatial…, channels] with at least two places, as one has no deviation";
            return Err(Error::shape("instance-norm", expected, x.ty()));
        }
        normalized(x, x.shape()[x.rank() - 1], self.epsilon, self.affine, cx)
    }
}

fn normalized(x: &Tensor, groups: usize, epsilon: f64, affine: bool, cx: &mut Context) -> Result<Tensor> {
    check_epsilon(epsilon)?;
    let (n, channels) = (x.shape()[0], x.shape()[x.rank() - 1]);
    let parts = [n, count(&x.shape()[1..x.rank() - 1]), groups, channels / groups];
    let values = x.convert(x.dtype().accumulator())?.reshape(&parts)?;
    let mean = |t: &Tensor| t.mean(&[1, 3])?.reshape(&[n, 1, groups, 1]);
    let centred = (&values - mean(&values)?)?;
    let variance = mean(&centred.square()?)?;
    let y = (centred * (variance + epsilon)?.rsqrt()?)?.reshape(x.shape())?;
    if !affine {
        return y.convert(x.dtype());
    }
    let weight = cx.parameter("weight", &[channels], &Init::Ones, (1, 1))?;
    let bias = cx.parameter("bias", &[channels], &Init::Zeros, (1, 1))?;
    ((y * weight)? + bias)?.convert(x.dtype())
}

/// Root mean square normalisation (Zhang and Sennrich, 2019): `y = x / √(mean(x²) + ε) · weight` over the last axis.
///
/// Variables: `weight` `[features]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RmsNorm {
    /// Added to the mean of the squares; 1e-6 if absent.
    #[serde(alias = "eps")]
    pub epsilon: f64,
}

setters! {
    RmsNorm {
        epsilon: f64,
    }
}

impl Default for RmsNorm {
    fn default() -> Self {
        Self { epsilon: 1e-6 }
    }
}

impl Module for RmsNorm {
    fn forward(&self, x: &Tensor, cx: &mut Context) -> Result<Tensor> {
        check_epsilon(self.epsilon)?;
        let last = x.last_axis("rms-norm")?;
        let weight = cx.parameter("weight", &[x.shape()[last]], &Init::Ones, (1, 1))?;
        let values = x.convert(weight.dtype())?;
        let square = values.square()?.mean(&[last])?.unsqueeze(last)?;
        ((values * (square + self.epsilon)?.rsqrt()?)? * weight)?.convert(x.dtype())
    }
}
