//! Convolutions of each channel by itself.

use super::window::Padding;
use super::{Context, Conv, Init, Module};
use crate::error::Result;
use crate::graph::Tensor;
use crate::setters::setters;
use serde::{Deserialize, Serialize};

/// A convolution of each channel by itself, to `multiplier` channels each: a [`Conv`] with as many groups as channels.
///
/// Variables, as in [`Conv`]: `weight` `[kernel…, 1, channels · multiplier]`, `bias` `[channels · multiplier]`.
///
/// ```
/// use neural::{DType, nn::{DepthwiseConv, Layer, sequential}};
/// let layer = Layer::DepthwiseConv(DepthwiseConv::new(&[3, 3]));
/// let summary = sequential([layer]).summary(DType::F32, &[8, 8, 16])?;
/// assert_eq!(summary.parameters(), 3 * 3 * 16 + 16);
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DepthwiseConv {
    /// The window's size, a number for each spatial axis.
    #[serde(alias = "kernel_size")]
    pub kernel: Vec<usize>,
    /// Results a channel; 1 if absent.
    #[serde(default = "super::one", alias = "depth_multiplier")]
    pub multiplier: usize,
    /// The window's step along each axis; 1 if absent.
    #[serde(default, alias = "strides")]
    pub stride: Vec<usize>,
    /// Cells around the input; none if absent.
    #[serde(default)]
    pub padding: Padding,
    /// Distance between the cells of the window; 1 along each axis if absent.
    #[serde(default)]
    pub dilation: Vec<usize>,
    /// Whether a number is added to each channel of the result; `true` if absent.
    #[serde(default = "super::yes")]
    pub bias: bool,
    /// How the kernel begins.
    #[serde(default)]
    pub init: Init,
}

setters! {
    DepthwiseConv {
        multiplier: usize,
        stride: impl Into<Vec<usize>>,
        padding: Padding,
        dilation: impl Into<Vec<usize>>,
        bias: bool,
        init: Init,
    }
}

impl DepthwiseConv {
    /// A convolution with one result a channel, stride 1, no padding, and a bias.
    pub fn new(kernel: &[usize]) -> Self {
        let Conv { stride, padding, dilation, bias, init, .. } = Conv::new(1, kernel);
        Self { kernel: kernel.to_vec(), multiplier: 1, stride, padding, dilation, bias, init }
    }

    /// The convolution of `channels` channels.
    pub(crate) fn conv(&self, channels: usize) -> Conv {
        Conv {
            filters: channels.saturating_mul(self.multiplier),
            kernel: self.kernel.clone(),
            stride: self.stride.clone(),
            padding: self.padding.clone(),
            dilation: self.dilation.clone(),
            groups: channels,
            bias: self.bias,
            init: self.init.clone(),
            bias_init: Init::Zeros,
        }
    }
}

impl Module for DepthwiseConv {
    fn forward(&self, x: &Tensor, cx: &mut Context) -> Result<Tensor> {
        super::at_least_one("multiplier", self.multiplier)?;
        self.conv(x.shape()[x.last_axis("depthwise-conv")?]).forward(x, cx)
    }
}

/// A [`DepthwiseConv`] without bias, and a convolution of one cell that mixes its channels (Chollet, 2017).
///
/// Variables: the two layers', under `depthwise.` and `pointwise.`.
///
/// ```
/// use neural::{DType, nn::{Layer, SeparableConv, sequential}};
/// let layer = Layer::SeparableConv(SeparableConv::new(32, &[3, 3]));
/// let summary = sequential([layer]).summary(DType::F32, &[8, 8, 16])?;
/// assert_eq!(summary.parameters(), 3 * 3 * 16 + 16 * 32 + 32);
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeparableConv {
    /// Channels of the result.
    #[serde(alias = "out_channels")]
    pub filters: usize,
    /// The window's size, a number for each spatial axis.
    #[serde(alias = "kernel_size")]
    pub kernel: Vec<usize>,
    /// Results a channel before the filters of single cells; 1 if absent.
    #[serde(default = "super::one", alias = "depth_multiplier")]
    pub multiplier: usize,
    /// The window's step along each axis; 1 if absent.
    #[serde(default, alias = "strides")]
    pub stride: Vec<usize>,
    /// Cells around the input; none if absent.
    #[serde(default)]
    pub padding: Padding,
    /// Distance between the cells of the window; 1 along each axis if absent.
    #[serde(default)]
    pub dilation: Vec<usize>,
    /// Whether a number is added to each channel of the result; `true` if absent.
    #[serde(default = "super::yes")]
    pub bias: bool,
    /// How both kernels begin.
    #[serde(default)]
    pub init: Init,
}

setters! {
    SeparableConv {
        multiplier: usize,
        stride: impl Into<Vec<usize>>,
        padding: Padding,
        dilation: impl Into<Vec<usize>>,
        bias: bool,
        init: Init,
    }
}

impl SeparableConv {
    /// [`DepthwiseConv::new`] followed by `filters` filters of single cells.
    pub fn new(filters: usize, kernel: &[usize]) -> Self {
        let DepthwiseConv { kernel, multiplier, stride, padding, dilation, bias, init } =
            DepthwiseConv::new(kernel);
        Self { filters, kernel, multiplier, stride, padding, dilation, bias, init }
    }

    /// The two convolutions, by the number of the input's spatial axes.
    pub(crate) fn parts(&self, spatial: usize) -> (DepthwiseConv, Conv) {
        let depthwise = DepthwiseConv {
            kernel: self.kernel.clone(),
            multiplier: self.multiplier,
            stride: self.stride.clone(),
            padding: self.padding.clone(),
            dilation: self.dilation.clone(),
            bias: false,
            init: self.init.clone(),
        };
        let cell = vec![1; spatial];
        let pointwise = Conv { bias: self.bias, init: self.init.clone(), ..Conv::new(self.filters, &cell) };
        (depthwise, pointwise)
    }
}

impl Module for SeparableConv {
    fn forward(&self, x: &Tensor, cx: &mut Context) -> Result<Tensor> {
        let (depthwise, pointwise) = self.parts(x.rank().saturating_sub(2));
        let y = cx.within("depthwise", "depthwise-conv", |cx| depthwise.forward(x, cx))?;
        cx.within("pointwise", "conv", |cx| pointwise.forward(&y, cx))
    }
}
