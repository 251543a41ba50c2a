use super::{Context, Init, Layer};
use crate::error::Result;
use crate::graph::Tensor;
use serde::{Deserialize, Serialize};

/// Batch normalisation (Ioffe and Szegedy, 2015): `y = (x - μ) / √(σ² + ε) · weight + bias`.
///
/// In training μ and σ² are mean and variance over every axis but the last; in evaluation they are the running
/// ones, which training moves by `running = momentum · running + (1 - momentum) · batch`. The running variance is
/// the biased one, as in Flax and Keras; `PyTorch`, whose momentum is one minus this, keeps the unbiased one.
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
    pub momentum: f64,
    pub epsilon: f64,
}

impl Default for BatchNorm {
    fn default() -> Self {
        Self { momentum: 0.9, epsilon: 1e-5 }
    }
}

impl BatchNorm {
    pub(super) fn forward(&self, x: &Tensor, cx: &mut Context) -> Result<Tensor> {
        let last = x.last_axis("batch-norm")?;
        let channels = [x.shape()[last]];
        let axes: Vec<_> = (0..last).collect();
        let weight = cx.parameter("weight", &channels, &Init::Ones, (1, 1))?;
        let bias = cx.parameter("bias", &channels, &Init::Zeros, (1, 1))?;
        let running_mean = cx.statistic("running_mean", &channels, &Init::Zeros)?;
        let running_var = cx.statistic("running_var", &channels, &Init::Ones)?;

        let values = x.convert(weight.dtype())?;
        let (mean, variance) = if cx.is_training() {
            let mean = cx.batch_mean(&values, &axes)?;
            let variance = cx.batch_mean(&(&values - &mean)?.square()?, &axes)?;
            let moved = |running: &Tensor, batch: &Tensor| -> Result<Tensor> {
                (running * self.momentum)? + (batch.stop_gradient()? * (1.0 - self.momentum))?
            };
            cx.update("running_mean", moved(&running_mean, &mean)?)?;
            cx.update("running_var", moved(&running_var, &variance)?)?;
            (mean, variance)
        } else {
            (running_mean, running_var)
        };
        let scale = ((variance + self.epsilon)?.rsqrt()? * weight)?;
        let y = (((values - mean)? * scale)? + bias)?;
        y.convert(x.dtype())
    }
}

/// Layer normalisation (Ba et al., 2016): as [`BatchNorm`], but over the last axis of each row, in training and
/// evaluation alike.
///
/// Variables: `weight`, `bias`, both `[features]`.
///
/// ```
/// use neural::{DType, nn};
/// assert_eq!(nn::sequential([nn::layer_norm()]).summary(DType::F32, &[10, 4])?.parameters(), 8);
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LayerNorm {
    pub epsilon: f64,
}

impl Default for LayerNorm {
    fn default() -> Self {
        Self { epsilon: 1e-5 }
    }
}

impl LayerNorm {
    pub(super) fn forward(&self, x: &Tensor, cx: &mut Context) -> Result<Tensor> {
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
///
/// ```
/// assert_eq!(neural::nn::batch_norm().kind(), "batch-norm");
/// ```
pub fn batch_norm() -> Layer {
    Layer::BatchNorm(BatchNorm::default())
}

/// See [`LayerNorm`].
///
/// ```
/// assert_eq!(neural::nn::layer_norm().kind(), "layer-norm");
/// ```
pub fn layer_norm() -> Layer {
    Layer::LayerNorm(LayerNorm::default())
}
