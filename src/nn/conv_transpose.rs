use super::window::{Padding, or};
use super::{Context, Conv, Init, Layer, Module};
use crate::error::{Error, Result};
use crate::graph::{Tensor, Window};
use crate::setters::setters;
use serde::{Deserialize, Serialize};

/// The transposed convolution, by which decoders and generators make pictures larger: the gradient of a convolution for
/// its input, as a layer. `[n, spatial…, channels] -> [n, spatial…, filters]`, where a length becomes
/// `(length - 1) stride + (kernel - 1) dilation + 1 - padding + output_padding`; with `same` padding it becomes
/// `length · stride`.
///
/// Variables, as in [`Conv`]: `weight` `[kernel…, filters / groups, channels]`, `bias` `[filters]`.
///
/// ```
/// use neural::{DType, nn::{ConvTranspose, sequential}};
/// let layer = ConvTranspose { stride: vec![2, 2], ..ConvTranspose::new(8, &[3, 3]).same() };
/// assert_eq!(sequential([layer.into()]).summary(DType::F32, &[7, 7, 16])?.rows[0].output, [1, 14, 14, 8]);
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConvTranspose {
    /// Channels of the result.
    #[serde(alias = "out_channels")]
    pub filters: usize,
    /// The window's size, a number for each spatial axis.
    #[serde(alias = "kernel_size")]
    pub kernel: Vec<usize>,
    /// 1 along each axis if absent.
    #[serde(default, alias = "strides")]
    pub stride: Vec<usize>,
    /// Cells that are left out at the ends of the result.
    #[serde(default)]
    pub padding: Padding,
    /// Cells that are added at the end of the result, fewer than the stride; 0 along each axis if absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub output_padding: Vec<usize>,
    /// Distance between the cells of the window; 1 along each axis if absent.
    #[serde(default)]
    pub dilation: Vec<usize>,
    /// Channels reach only the filters of their own group.
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
    ConvTranspose {
        stride: impl Into<Vec<usize>>,
        padding: Padding,
        output_padding: impl Into<Vec<usize>>,
        dilation: impl Into<Vec<usize>>,
        groups: usize,
        bias: bool,
        init: Init,
    }
}

impl ConvTranspose {
    /// Stride 1, no padding, no dilation, one group, with a bias.
    pub fn new(filters: usize, kernel: &[usize]) -> Self {
        let Conv { stride, padding, dilation, groups, bias, init, bias_init, .. } =
            Conv::new(filters, kernel);
        let (kernel, output_padding) = (kernel.to_vec(), Vec::new());
        Self { filters, kernel, stride, padding, output_padding, dilation, groups, bias, init, bias_init }
    }

    /// The same with padding for which the result is as long as the input times the stride.
    #[must_use]
    pub fn same(self) -> Self {
        Self { padding: Padding::Same, ..self }
    }

    /// The window that moves over the result, and the result's spatial shape, for an input `[n, spatial…, channels]`.
    pub(crate) fn window(&self, input: &[usize]) -> Result<(Window, Vec<usize>)> {
        let axes = self.kernel.len();
        if axes == 0 || input.len() != axes + 2 {
            let expected = format!("[batch, {axes} spatial axes, channels]");
            return Err(Error::shape("conv-transpose", expected, format!("{input:?}")));
        }
        let ones = vec![1; axes];
        let (stride, dilation) = (or(&self.stride, &ones), or(&self.dilation, &ones));
        for (name, list) in [("kernel", &self.kernel), ("stride", &stride), ("dilation", &dilation)] {
            if list.len() != axes {
                return Err(Error::value(name, format!("{axes} numbers above 0"), format!("{list:?}")));
            }
            list.iter().try_for_each(|&value| super::at_least_one(name, value))?;
        }
        let added = or(&self.output_padding, &vec![0; axes]);
        if added.len() != axes || added.iter().zip(&stride).any(|(added, stride)| added >= stride) {
            let expected = format!("a number below the stride for each axis, of {stride:?}");
            return Err(Error::value("output_padding", expected, format!("{added:?}")));
        }
        if self.padding == Padding::Same && added.iter().any(|&added| added > 0) {
            let expected =
                "none beside padding = \"same\", whose result is as long as the input times the stride";
            return Err(Error::value("output_padding", expected, format!("{added:?}")));
        }

        let mut padding = Vec::new();
        let mut lengths = Vec::new();
        for i in 0..axes {
            let extent = (self.kernel[i] - 1) * dilation[i] + 1;
            let whole = input[i + 1].saturating_sub(1) * stride[i] + extent;
            let (low, high) = match &self.padding {
                Padding::Valid => (0, 0),
                Padding::Same => {
                    let total = extent.saturating_sub(stride[i]);
                    (total / 2, total - total / 2)
                }
                Padding::Explicit(list) if list.len() == axes => list[i],
                Padding::Explicit(list) => {
                    let expected = format!("{axes} pairs of numbers");
                    return Err(Error::value("padding", expected, format!("{list:?}")));
                }
            };
            let length = match &self.padding {
                Padding::Same => input[i + 1] * stride[i],
                _ => (whole + added[i]).saturating_sub(low.saturating_add(high)),
            };
            if length == 0 {
                let expected = format!("padding that leaves something of {whole} cells");
                return Err(Error::value("padding", expected, format!("({low}, {high})")));
            }
            padding.push((low, high));
            lengths.push(length);
        }
        let window = Window { size: self.kernel.clone(), stride, padding, dilation };
        Ok((window, lengths))
    }
}

impl Module for ConvTranspose {
    fn forward(&self, x: &Tensor, cx: &mut Context) -> Result<Tensor> {
        super::at_least_one("filters", self.filters)?;
        let (window, lengths) = self.window(x.shape())?;
        let channels = x.shape()[x.rank() - 1];
        super::conv::check_groups(self.groups, channels, self.filters)?;
        let shape = [&self.kernel[..], &[self.filters / self.groups, channels]].concat();
        let fans = super::conv::fans(&self.kernel, channels / self.groups, self.filters / self.groups);
        let weight = cx.weight("weight", &shape, &self.init, fans)?;
        let y = x.conv_transpose(&weight, window, self.groups, &lengths)?;
        cx.biased(y, self.bias.then_some(&self.bias_init), fans)
    }
}

/// See [`ConvTranspose`].
pub fn conv_transpose(filters: usize, kernel: &[usize]) -> Layer {
    ConvTranspose::new(filters, kernel).into()
}
