//! All layers as one type.

use super::{
    Attention, BatchNorm, Context, Conv, ConvTranspose, Custom, Dense, DepthwiseConv, Dropout, Edges,
    Embedding, GroupNorm, InstanceNorm, LayerNorm, Module, Permute, Pool, Position, Recurrent, Repeat,
    Reshape, Residual, RmsNorm, SeparableConv, Upsample, activation, masking, pool, token,
};
use crate::error::Result;
use crate::graph::Tensor;
use crate::named;
use serde::Deserialize;

/// Makes [`Layer`] and its [`Module`] of the table of layers, see [`named::table`]; the expression after the arrow is the
/// layer's result.
macro_rules! layers {
    (
        $(#[$attribute:meta])*
        pub enum Layer |$x:ident, $cx:ident| {
            $(
                $(#[doc = $doc:literal])+
                $Variant:ident $(($layer:ident: $Settings:ty))? =
                    $name:literal $(| $alias:literal)* $(, short $short:literal)? => $result:expr;
            )+
        }
    ) => {
        named::table! {
            $(#[$attribute])*
            pub enum Layer: "a layer" {
                $(
                    $(#[doc = $doc])+
                    $Variant $(($Settings))? = $name $(| $alias)* $(, short $short)?;
                )+
            }
            else {
                /// See [`custom`](super::custom).
                Custom(Custom) = "custom"
            }
        }

        impl Module for Layer {
            fn forward(&self, $x: &Tensor, $cx: &mut Context) -> Result<Tensor> {
                match self {
                    $(Layer::$Variant $(($layer))? => $result,)+
                    Layer::Custom(custom) => custom.forward($x, $cx),
                }
            }
        }
    };
}

layers! {
    /// A layer of a model. In a recipe it is its name, or a table of its name and its settings.
    ///
    /// ```
    /// use neural::nn::{self, Layer};
    /// let layer: Layer = toml::from_str::<std::collections::HashMap<String, Layer>>("x = { dense = 128 }")?
    ///     .remove("x").ok_or("x")?;
    /// assert_eq!(layer, nn::dense(128));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[derive(Clone, Debug, PartialEq)]
    pub enum Layer |x, cx| {
        /// A linear map of the last axis. `units`, `bias`, `init`, `bias_init`
        Dense(layer: Dense) = "dense" | "linear", short "units" => layer.forward(x, cx);
        /// A convolution over one or two axes. `filters`, `kernel = [h, w]`, `stride`, `padding` (`"valid"`, `"same"` or
        /// `[[before, after], …]`), `dilation`, `groups`, `bias`, `init`, `bias_init`
        Conv(layer: Conv) = "conv" | "conv1d" | "conv2d" => layer.forward(x, cx);
        /// A convolution the other way, which makes pictures larger. As `conv`, and `output_padding`
        ConvTranspose(layer: ConvTranspose) =
            "conv-transpose" | "convtranspose1d" | "convtranspose2d" | "conv1dtranspose" | "conv2dtranspose" =>
            layer.forward(x, cx);
        /// A separate convolution of each channel. `kernel = [h, w]`, `multiplier` (results a channel), `stride`,
        /// `padding`, `dilation`, `bias`, `init`
        DepthwiseConv(layer: DepthwiseConv) =
            "depthwise-conv" | "depthwiseconv1d" | "depthwiseconv2d", short "kernel" => layer.forward(x, cx);
        /// A depthwise convolution and one of single cells that mixes its channels. `filters`, `kernel = [h, w]`,
        /// `multiplier`, `stride`, `padding`, `dilation`, `bias`, `init`
        SeparableConv(layer: SeparableConv) = "separable-conv" | "separableconv1d" | "separableconv2d" =>
            layer.forward(x, cx);
        /// The largest value of each window. `size = [h, w]`, `stride`, `padding`
        MaxPool(layer: Pool) = "max-pool" | "maxpool1d" | "maxpool2d" | "maxpooling1d" | "maxpooling2d", short "size" =>
            layer.max(x);
        /// The mean of each window. `size = [h, w]`, `stride`, `padding`
        AvgPool(layer: Pool) =
            "avg-pool" | "avgpool1d" | "avgpool2d" | "averagepooling1d" | "averagepooling2d", short "size" =>
            layer.average(x);
        /// The largest value of each channel.
        GlobalMaxPool = "global-max-pool" | "globalmaxpooling1d" | "globalmaxpooling2d" => pool::global_max(x, cx);
        /// The mean of each channel.
        GlobalAvgPool = "global-avg-pool" | "globalaveragepooling1d" | "globalaveragepooling2d" =>
            pool::global_average(x, cx);
        /// All axes but the batch as one.
        Flatten = "flatten" => {
            cx.set_positions(None);
            x.flatten_from(1)
        };
        /// Makes pictures larger. `size = [h, w]` (whole factors), `method` (`"nearest"` or `"bilinear"`)
        Upsample(layer: Upsample) = "upsample" | "upsampling1d" | "upsampling2d", short "size" => layer.forward(x, cx);
        /// The sample in another shape. `shape`, in which one length may be -1
        Reshape(layer: Reshape) = "reshape" | "unflatten", short "shape" => layer.forward(x, cx);
        /// The axes in another order. `axes`, counted from 1
        Permute(layer: Permute) = "permute", short "axes" => layer.forward(x, cx);
        /// A vector, repeated at every position of a sequence. `times`
        Repeat(layer: Repeat) = "repeat" | "repeatvector", short "times" => layer.forward(x, cx);
        /// Takes cells from the ends of each axis. `cells = [[before, after], …]`
        Crop(layer: Edges) = "crop" | "cropping1d" | "cropping2d", short "cells" => layer.crop(x);
        /// Adds zeros at the ends of each axis. `cells = [[before, after], …]`
        Pad(layer: Edges) = "pad" | "zeropadding1d" | "zeropadding2d" | "zeropad1d" | "zeropad2d", short "cells" =>
            layer.pad(x);
        /// Batch normalisation. `momentum`, `epsilon`
        BatchNorm(layer: BatchNorm) = "batch-norm" | "batchnorm1d" | "batchnorm2d" | "batchnormalization" =>
            layer.forward(x, cx);
        /// Layer normalisation, of the last axis. `epsilon`
        LayerNorm(layer: LayerNorm) = "layer-norm" | "layernormalization" => layer.forward(x, cx);
        /// Group normalisation, of each sample. `groups`, `epsilon`, `affine`
        GroupNorm(layer: GroupNorm) = "group-norm" | "groupnormalization", short "groups" => layer.forward(x, cx);
        /// Instance normalisation, of each channel of each sample. `epsilon`, `affine`
        InstanceNorm(layer: InstanceNorm) = "instance-norm" | "instancenorm1d" | "instancenorm2d" =>
            layer.forward(x, cx);
        /// Division by the root mean square of the last axis. `epsilon`
        RmsNorm(layer: RmsNorm) = "rms-norm" | "rmsnormalization" => layer.forward(x, cx);
        /// Sets values to zero at random, in training. `rate`
        Dropout(layer: Dropout) = "dropout", short "rate" => layer.forward(x, cx);
        /// A learned row for each token id, see below. `vocabulary`, `units`, `init`, `padding` (an
        /// id)
        Embedding(layer: Embedding) = "embedding" => layer.forward(x, cx);
        /// Tells the padding of sequences of numbers from their real positions, see [Padding](#padding).
        Masking = "masking" => masking::masking(x, cx);
        /// Adds its input to the result of `layers`. `layers`, `shortcut` (layers that the input passes before it is added;
        /// none if absent)
        Residual(layer: Residual) = "residual", short "layers" => layer.forward(x, cx);
        /// Adds a vector for the position to each element of a sequence. `kind` (`"learned"` or `"sinusoidal"`), `length` (of
        /// the longest sequence)
        Position(layer: Position) = "position" | "positionembedding", short "kind" => layer.forward(x, cx);
        /// Puts the same learned vector before each sequence.
        ClassToken = "class-token" => token::class_token(x, cx);
        /// The vector at the first position of a sequence.
        FirstPosition = "first-position" => token::first_position(x, cx);
        /// Self-attention, which needs a `position` before it or `rotary` to see the order. `heads`, `causal` (`true`
        /// hides later positions), `rotary` (`true` turns queries and keys by their positions), `dropout`
        Attention(layer: Attention) = "attention" | "multiheadattention", short "heads" => layer.forward(x, cx);
        /// Long short-term memory. `units`, `sequences` (`true` gives every step's state), `layers`,
        /// `bidirectional`, `dropout` (between layers)
        Lstm(layer: Recurrent) = "lstm", short "units" => layer.lstm(x, cx);
        /// The gated recurrent unit. `units`, `sequences`, `layers`, `bidirectional`, `dropout`
        Gru(layer: Recurrent) = "gru", short "units" => layer.gru(x, cx);

        /// 1 / (1 + e⁻ˣ)
        Sigmoid = "sigmoid" => x.logistic();
        /// The hyperbolic tangent.
        Tanh = "tanh" => x.tanh();
        /// max(x, 0)
        Relu = "relu" => x.relu();
        /// min(max(x, 0), 6)
        Relu6 = "relu6" => x.relu()?.minimum(&x.scalar_like(6.0));
        /// x above 0, a slope times x below. The slope
        LeakyRelu(slope: f64) = "leaky-relu" => activation::leaky_relu(x, *slope);
        /// x above 0, a scale times eˣ - 1 below. The scale
        Elu(scale: f64) = "elu" => activation::elu(x, *scale);
        /// x Φ(x), with the normal distribution function Φ.
        Gelu = "gelu" => activation::gelu(x);
        /// The approximation of `gelu` by tanh.
        GeluTanh = "gelu-tanh" => activation::gelu_tanh(x);
        /// x σ(x)
        Silu = "silu" | "swish" => activation::silu(x);
        /// The first half of the features times the sigmoid of the second half.
        Glu = "glu" => activation::gated(x, Tensor::logistic);
        /// The same with `silu` in place of the sigmoid.
        SwiGlu = "swiglu" => activation::gated(x, activation::silu);
        /// The same with `gelu` in place of the sigmoid.
        GeGlu = "geglu" => activation::gated(x, activation::gelu);
        /// ln(1 + eˣ)
        Softplus = "softplus" => x.softplus();
        /// Positive numbers along the last axis whose sum is 1.
        Softmax = "softmax" => x.softmax();
        /// The logarithm of `softmax`.
        LogSoftmax = "log-softmax" => x.log_softmax();
    }
}

/// Converts the settings of one kind of layer into it.
macro_rules! layers_of {
    ($($Settings:ident),+) => {$(
        impl From<$Settings> for Layer {
            fn from(settings: $Settings) -> Self {
                Layer::$Settings(settings)
            }
        }
    )+};
}

layers_of!(
    Dense,
    Conv,
    ConvTranspose,
    DepthwiseConv,
    SeparableConv,
    Upsample,
    Reshape,
    Permute,
    Repeat,
    BatchNorm,
    LayerNorm,
    GroupNorm,
    InstanceNorm,
    RmsNorm,
    Dropout,
    Embedding,
    Residual,
    Position,
    Attention
);

impl Layer {
    /// The name in messages and tables.
    pub(super) fn name(&self) -> &str {
        match self {
            Layer::Custom(custom) => &custom.0.name,
            layer => layer.kind(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_has_the_table() {
        named::reference::check("layers", Layer::REFERENCE);
    }

    /// serde's list of the settings that it expects in place of an unknown one.
    #[test]
    fn every_setting_is_documented() {
        const OTHER_NAMES: &[&str] = &[
            "out_features",
            "out_channels",
            "kernel_size",
            "strides",
            "pool_size",
            "p",
            "target_shape",
            "dims",
            "n",
            "padding",
            "cropping",
            "scale_factor",
            "mode",
            "interpolation",
            "num_groups",
            "eps",
            "num_heads",
            "hidden_size",
            "return_sequences",
            "num_layers",
            "padding_idx",
            "depth_multiplier",
        ];
        for (name, doc) in Layer::REFERENCE {
            let text = format!("layer = {{ {name} = {{ nonsense = 1 }} }}");
            let error = toml::from_str::<std::collections::HashMap<String, Layer>>(&text).unwrap_err();
            let Some((_, known)) = error.message().split_once("unknown field `nonsense`, expected ") else {
                continue;
            };
            for setting in known
                .split('`')
                .skip(1)
                .step_by(2)
                .filter(|key| !OTHER_NAMES.contains(key) && *name != "conv-transpose")
            {
                let written = [format!("`{setting}`"), format!("`{setting} ")];
                assert!(written.iter().any(|form| doc.contains(form)), "{name}: {setting} in {doc:?}");
            }
        }
    }
}
