use super::check_sizes;
use super::parts::{Parts, conv};
use crate::error::{Error, Result};
use crate::nn::{Conv, Dense, Init, Layer, batch_norm, dropout};
use serde::{Deserialize, Serialize};

/// MobileNetV2 (Sandler et al., 2018): blocks that widen the channels by a convolution of single pixels, convolve each
/// channel by itself, and narrow them again.
///
/// Its variables in files have the names of torchvision's `mobilenet_v2`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MobileNetV2 {
    /// Features of the last layer, such as the number of classes; 1000 if absent.
    pub outputs: usize,
    /// A factor on all numbers of channels, which are rounded to multiples of 8.
    pub width: f64,
    /// The rate of the dropout before the last layer.
    pub dropout: f64,
}

impl Default for MobileNetV2 {
    fn default() -> Self {
        Self { outputs: super::imagenet(), width: 1.0, dropout: 0.2 }
    }
}

/// How much a block widens the channels, its result's channels, the number of such blocks, and the first one's stride:
/// table 2 of the paper.
const BLOCKS: [(usize, f64, usize, usize); 7] = [
    (1, 16.0, 1, 1),
    (6, 24.0, 2, 2),
    (6, 32.0, 3, 2),
    (6, 64.0, 4, 2),
    (6, 96.0, 3, 1),
    (6, 160.0, 3, 2),
    (6, 320.0, 1, 1),
];

impl MobileNetV2 {
    pub(super) fn check(&self) -> Result<()> {
        if !(self.width > 0.0 && self.width <= 100.0) {
            return Err(Error::value("width", "a factor above 0, at most 100", self.width));
        }
        check_sizes([("outputs", self.outputs)])
    }

    pub(super) fn parts(&self) -> Parts {
        let mut net = Parts::default();
        let mut channels = divisible(32.0 * self.width);
        convolve(&mut net, "features.0", conv(channels, 3, 2));
        let mut number = 1;
        for (widened, filters, times, stride) in BLOCKS {
            for i in 0..times {
                let filters = divisible(filters * self.width);
                let name = format!("features.{number}.conv");
                let stride = if i == 0 { stride } else { 1 };
                if stride == 1 && channels == filters {
                    let mut layers = Parts::default();
                    block(&mut layers, &name, [channels, widened, filters], stride);
                    net.residual(layers, Parts::default());
                } else {
                    block(&mut net, &name, [channels, widened, filters], stride);
                }
                (channels, number) = (filters, number + 1);
            }
        }
        let last = divisible(1280.0 * self.width.max(1.0));
        convolve(&mut net, &format!("features.{number}"), conv(last, 1, 1));
        net.then(Layer::GlobalAvgPool);
        net.then(dropout(self.dropout));
        net.add("classifier.1", Dense { init: Init::Normal(0.01), ..Dense::new(self.outputs) });
        net
    }
}

fn block(net: &mut Parts, name: &str, [channels, widened, filters]: [usize; 3], stride: usize) {
    let wide = channels * widened;
    let mut i = 0;
    if widened > 1 {
        convolve(net, &format!("{name}.0"), conv(wide, 1, 1));
        i = 1;
    }
    convolve(net, &format!("{name}.{i}"), Conv { groups: wide, ..conv(wide, 3, stride) });
    net.add(&format!("{name}.{}", i + 1), conv(filters, 1, 1));
    net.add(&format!("{name}.{}", i + 2), batch_norm());
}

/// A convolution, its batch norm, and `relu6`.
fn convolve(net: &mut Parts, name: &str, conv: Conv) {
    net.add(&format!("{name}.0"), conv);
    net.add(&format!("{name}.1"), batch_norm());
    net.then(Layer::Relu6);
}

/// The multiple of 8 that is nearest, and not smaller by more than a tenth.
fn divisible(channels: f64) -> usize {
    let nearest = (((channels + 4.0) / 8.0).floor() * 8.0).max(8.0);
    (if nearest < 0.9 * channels { nearest + 8.0 } else { nearest }) as usize
}
