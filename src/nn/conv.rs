use super::window::{Padding, or, window};
use super::{Context, Init, Layer, Module};
use crate::error::{Error, Result};
use crate::graph::{Tensor, Window};
use crate::setters::setters;
use serde::{Deserialize, Serialize};

/// Convolution over one or two spatial axes, channels last: `[n, spatial…, channels] -> [n, spatial…, filters]`.
///
/// Variables: `weight` `[kernel…, channels / groups, filters]`, `bias` `[filters]`.
///
/// ```
/// use neural::{DType, nn::{Conv, sequential}};
/// let conv = Conv::new(16, &[3, 3]).same().stride([2, 2]);
/// let summary = sequential([conv.into()]).summary(DType::F32, &[28, 28, 1])?;
/// assert_eq!(summary.rows[0].output, [1, 14, 14, 16]);
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conv {
    /// Channels of the result.
    #[serde(alias = "out_channels")]
    pub filters: usize,
    /// The window's size, a number for each spatial axis.
    #[serde(alias = "kernel_size")]
    pub kernel: Vec<usize>,
    /// 1 along each axis if absent.
    #[serde(default, alias = "strides")]
    pub stride: Vec<usize>,
    /// Cells around the input; none if absent.
    #[serde(default)]
    pub padding: Padding,
    /// Distance between the cells of the window; 1 along each axis if absent.
    #[serde(default)]
    pub dilation: Vec<usize>,
    /// Filters see only the channels of their own group.
    #[serde(default = "super::one")]
    pub groups: usize,
    /// Whether a number is added to each channel; `true` if absent.
    #[serde(default = "super::yes")]
    pub bias: bool,
    /// How the kernel begins.
    #[serde(default)]
    pub init: Init,
    /// How the bias begins; at 0 if absent.
    #[serde(default = "super::zeros")]
    pub bias_init: Init,
}

setters! {
    Conv {
        stride: impl Into<Vec<usize>>,
        padding: Padding,
        dilation: impl Into<Vec<usize>>,
        groups: usize,
        bias: bool,
        init: Init,
        bias_init: Init,
    }
}

impl Conv {
    /// Stride 1, no padding, no dilation, one group, with a bias.
    pub fn new(filters: usize, kernel: &[usize]) -> Self {
        Self {
            filters,
            kernel: kernel.to_vec(),
            stride: Vec::new(),
            padding: Padding::Valid,
            dilation: Vec::new(),
            groups: 1,
            bias: true,
            init: Init::default(),
            bias_init: Init::Zeros,
        }
    }

    /// The same with padding that keeps the size, where the stride is 1.
    #[must_use]
    pub fn same(self) -> Self {
        Self { padding: Padding::Same, ..self }
    }

    /// The window over an input `[n, spatial…, channels]`.
    pub(crate) fn window(&self, input: &[usize]) -> Result<Window> {
        let ones = vec![1; self.kernel.len()];
        window(input, &self.kernel, &or(&self.stride, &ones), &self.padding, &or(&self.dilation, &ones))
    }
}

impl Module for Conv {
    fn forward(&self, x: &Tensor, cx: &mut Context) -> Result<Tensor> {
        super::at_least_one("filters", self.filters)?;
        let window = self.window(x.shape())?;
        let channels = x.shape()[x.rank() - 1];
        check_groups(self.groups, channels, self.filters)?;
        let shape = [&self.kernel[..], &[channels / self.groups, self.filters]].concat();
        let fans = fans(&self.kernel, channels / self.groups, self.filters / self.groups);
        let weight = cx.weight("weight", &shape, &self.init, fans)?;
        cx.observe("weight", x);
        let y = x.conv(&weight, window, self.groups)?;
        cx.biased(y, self.bias.then_some(&self.bias_init), fans)
    }
}

/// Checks that channels and filters divide into `groups`.
pub(super) fn check_groups(groups: usize, channels: usize, filters: usize) -> Result<()> {
    if groups == 0 || !channels.is_multiple_of(groups) || !filters.is_multiple_of(groups) {
        let got = format!("{channels} channels and {filters} filters");
        return Err(Error::shape("groups", format!("channels and filters in {groups} groups"), got));
    }
    Ok(())
}

/// The fans of a kernel from `channels` to `filters`. An overflowing one saturates, and is refused with the weight.
pub(super) fn fans(kernel: &[usize], channels: usize, filters: usize) -> (usize, usize) {
    let cells = |channels: usize| kernel.iter().fold(channels, |n, &side| n.saturating_mul(side));
    (cells(channels), cells(filters))
}

/// See [`Conv`].
pub fn conv(filters: usize, kernel: &[usize]) -> Layer {
    Conv::new(filters, kernel).into()
}
