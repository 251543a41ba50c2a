use super::check_sizes;
use super::parts::{Parts, conv};
use crate::error::Result;
use crate::nn::{Dense, Layer, Padding, Pool, batch_norm};
use serde::{Deserialize, Serialize};

/// ResNet-18 (He et al., 2016): four stages of two blocks of two convolutions, each stage with twice the filters of the one
/// before it on pictures half as large.
///
/// Its variables in files have the names of torchvision's `resnet18`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResNet18 {
    /// Features of the last layer, such as the number of classes; 1000 if absent.
    pub outputs: usize,
    /// The filters of the first stage.
    pub width: usize,
}

impl Default for ResNet18 {
    fn default() -> Self {
        Self { outputs: super::imagenet(), width: 64 }
    }
}

impl ResNet18 {
    pub(super) fn check(&self) -> Result<()> {
        check_sizes([("outputs", self.outputs), ("width", self.width)])
    }

    pub(super) fn parts(&self) -> Parts {
        let mut net = Parts::default();
        net.add("conv1", conv(self.width, 7, 2));
        net.add("bn1", batch_norm());
        net.then(Layer::Relu);
        let pool = Pool { size: vec![3, 3], stride: vec![2, 2], padding: Padding::Explicit(vec![(1, 1); 2]) };
        net.then(Layer::MaxPool(pool));
        for (stage, times) in [1, 2, 4, 8].into_iter().enumerate() {
            for block in 0..2 {
                let name = format!("layer{}.{block}", stage + 1);
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                basic_block(&mut net, &name, self.width.saturating_mul(times), stride);
            }
        }
        net.then(Layer::GlobalAvgPool);
        net.add("fc", Dense::new(self.outputs));
        net
    }
}

/// Two convolutions whose result is added to the input, which a 1x1 convolution gives the same shape where they halve
/// the picture.
fn basic_block(net: &mut Parts, name: &str, filters: usize, stride: usize) {
    let (mut layers, mut shortcut) = (Parts::default(), Parts::default());
    layers.add(&format!("{name}.conv1"), conv(filters, 3, stride));
    layers.add(&format!("{name}.bn1"), batch_norm());
    layers.then(Layer::Relu);
    layers.add(&format!("{name}.conv2"), conv(filters, 3, 1));
    layers.add(&format!("{name}.bn2"), batch_norm());
    if stride > 1 {
        shortcut.add(&format!("{name}.downsample.0"), conv(filters, 1, stride));
        shortcut.add(&format!("{name}.downsample.1"), batch_norm());
    }
    net.residual(layers, shortcut);
    net.then(Layer::Relu);
}
