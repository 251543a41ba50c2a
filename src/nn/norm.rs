use super::{Context, Init, Layer, Module};
use crate::error::{Error, Result};
use crate::graph::Tensor;
use crate::setters::setters;
use serde::{Deserialize, Serialize};

/// Batch normalisation (Ioffe and Szegedy, 2015): `y = (x - μ) / √(σ² + ε) · weight + bias`.
///
/// In training μ and σ² are mean and variance over every axis but the last, of the rows and positions that count: rows
/// that only fill a last batch and the padding of sequences are left out; after a layer that changes the length of padded
/// sequences it is refused. In evaluation they are the running ones, which training moves by
/// `running = momentum · running + (1 - momentum) · batch`. Both variances are the biased one, Σ (x - μ)² / n, as in
/// Flax and Keras; `PyTorch`, whose momentum is one minus this, normalises by the biased one too but keeps the
/// unbiased one, Σ (x - μ)² / (n - 1).
///
/// A batch must hold two values a channel, as one has no variance: on `[batch, channels]` a batch size of 1 is
/// refused. Where a single row is left for the last batch, or a single position that is not padding, it is normalised by
/// the running statistics, and they stay.
///
/// A layer whose running statistics are [frozen](crate::optim::Optimizer::freeze) computes in training as in
/// evaluation.
///
/// Variables: `weight`, `bias`, `running_mean`, `running_var`, all `[channels]`.
///
/// ```
/// use neural::{DType, nn};
/// let summary = nn::sequential([nn::batch_norm()]).summary(DType::F32, &[8, 8, 4])?;
/// assert_eq!((summary.parameters(), summary.statistics()), (8, 8));
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BatchNorm {
    /// The part of the running statistics that a step keeps, from 0 to 1; 0.9 if absent.
    pub momentum: f64,
    /// Added to the variance; 1e-5 if absent.
    pub epsilon: f64,
}

setters! {
    BatchNorm {
        momentum: f64,
        epsilon: f64,
    }
}

impl Default for BatchNorm {
    fn default() -> Self {
        Self { momentum: 0.9, epsilon: 1e-5 }
    }
}

impl BatchNorm {
    /// The batch's mean and variance, by which the running ones move.
    fn of_batch(
        &self,
        x: &Tensor,
        running_mean: &Tensor,
        running_var: &Tensor,
        cx: &mut Context,
    ) -> Result<(Tensor, Tensor)> {
        let last = x.rank() - 1;
        let axes: Vec<_> = (0..last).collect();
        let (values, counted) = cx.batch_values(x)?;
        if values < 2 {
            let expected = "at least two values a channel, as one has no variance (a batch_size above 1)";
            return Err(Error::value("batch", expected, values));
        }
        let are_enough = counted.map(|counted| counted.ge(&counted.scalar_like(2.0))).transpose()?;
        let is_of_batch = match (are_enough, cx.is_thawed("running_mean")) {
            (Some(are_enough), Some(is_thawed)) => Some(are_enough.and(is_thawed)?),
            (are_enough, is_thawed) => are_enough.or(is_thawed.cloned()),
        };
        let or_running = |batch: Tensor, running: &Tensor| match &is_of_batch {
            Some(is_of_batch) => is_of_batch.select(&batch, running),
            None => Ok(batch),
        };
        let mean = cx.batch_mean(x, &axes)?;
        // As in `forward`: the same value, with a gradient that sums once.
        let centre = mean.stop_gradient()?;
        let variance = cx.batch_mean(&(x - &centre)?.square()?, &axes)?;
        let variance = (variance - (&mean - &centre)?.square()?)?;
        let (mean, variance) = (or_running(mean, running_mean)?, or_running(variance, running_var)?);
        for (name, running, batch) in
            [("running_mean", running_mean, &mean), ("running_var", running_var, &variance)]
        {
            let moved = ((running * self.momentum)? + (batch.stop_gradient()? * (1.0 - self.momentum))?)?;
            cx.update(name, or_running(moved, running)?)?;
        }
        Ok((mean, variance))
    }
}

impl Module for BatchNorm {
    fn forward(&self, x: &Tensor, cx: &mut Context) -> Result<Tensor> {
        check_epsilon(self.epsilon)?;
        if !(0.0..=1.0).contains(&self.momentum) {
            return Err(Error::value("momentum", "a number from 0 to 1", self.momentum));
        }
        let last = x.last_axis("batch-norm")?;
        let channels = [x.shape()[last]];
        let weight = cx.parameter("weight", &channels, &Init::Ones, (1, 1))?;
        let bias = cx.parameter("bias", &channels, &Init::Zeros, (1, 1))?;
        let running_mean = cx.statistic("running_mean", &channels, &Init::Zeros)?;
        let running_var = cx.statistic("running_var", &channels, &Init::Ones)?;

        let values = x.convert(weight.dtype())?;
        let (mean, variance) = match cx.is_training() && !cx.is_frozen("running_mean") {
            true => self.of_batch(&values, &running_mean, &running_var, cx)?,
            false => (running_mean, running_var),
        };
        let scale = ((variance + self.epsilon)?.rsqrt()? * weight)?;
        // The mean is subtracted as a constant, and `mean - centre`, which is zero, is added where it costs nothing but
        // carries the mean's gradient. That gradient then consists of sums that weight and bias need anyway, and no
        // further sum over the batch has to wait for them.
        let centre = mean.stop_gradient()?;
        let bias = match cx.is_training() {
            true => (bias - ((mean - &centre)? * &scale)?)?,
            false => bias,
        };
        (((values - centre)? * scale)? + bias)?.convert(x.dtype())
    }
}

pub(super) fn check_epsilon(epsilon: f64) -> Result<()> {
    match epsilon.is_finite() && epsilon >= 0.0 {
        true => Ok(()),
        false => Err(Error::value("epsilon", "a finite number of at least 0", epsilon)),
    }
}

/// Layer normalisation (Ba et al., 2016): as [`BatchNorm`], but over the last axis of each row, in training and
/// evaluation alike.
///
/// Variables: `weight`, `bias`, both `[features]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LayerNorm {
    /// Added to the variance; 1e-5 if absent.
    pub epsilon: f64,
}

setters! {
    LayerNorm {
        epsilon: f64,
    }
}

impl Default for LayerNorm {
    fn default() -> Self {
        Self { epsilon: 1e-5 }
    }
}

impl Module for LayerNorm {
    fn forward(&self, x: &Tensor, cx: &mut Context) -> Result<Tensor> {
        check_epsilon(self.epsilon)?;
        let last = x.last_axis("layer-norm")?;
        let features = [x.shape()[last]];
        let weight = cx.parameter("weight", &features, &Init::Ones, (1, 1))?;
        let bias = cx.parameter("bias", &features, &Init::Zeros, (1, 1))?;
        let values = x.convert(weight.dtype())?;
        let centred = (&values - values.mean(&[last])?.unsqueeze(last)?)?;
        let variance = centred.square()?.mean(&[last])?.unsqueeze(last)?;
        let y = ((centred * (variance + self.epsilon)?.rsqrt()?)? * weight)?;
        (y + bias)?.convert(x.dtype())
    }
}

/// See [`BatchNorm`].
pub fn batch_norm() -> Layer {
    Layer::BatchNorm(BatchNorm::default())
}

/// See [`LayerNorm`].
pub fn layer_norm() -> Layer {
    Layer::LayerNorm(LayerNorm::default())
}
