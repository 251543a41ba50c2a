//! All layers, as one type and one table.

use super::{
    Attention, BatchNorm, Context, Conv, Dense, Dropout, Embedding, LayerNorm, Module, Pool, Recurrent,
    Residual, activation, pool,
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
        }

        impl Module for Layer {
            fn forward(&self, $x: &Tensor, $cx: &mut Context) -> Result<Tensor> {
                match self {
                    $(Layer::$Variant $(($layer))? => $result,)+
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
        /// The largest value of each window. `size = [h, w]`, `stride`, `padding`
        MaxPool(layer: Pool) = "max-pool" | "maxpool1d" | "maxpool2d" | "maxpooling1d" | "maxpooling2d", short "size" =>
            layer.max(x);
        /// The mean of each window. `size = [h, w]`, `stride`, `padding`
        AvgPool(layer: Pool) =
            "avg-pool" | "avgpool1d" | "avgpool2d" | "averagepooling1d" | "averagepooling2d", short "size" =>
            layer.average(x);
        /// The largest value of each channel.
        GlobalMaxPool = "global-max-pool" | "globalmaxpooling1d" | "globalmaxpooling2d" => pool::global_max(x);
        /// The mean of each channel.
        GlobalAvgPool = "global-avg-pool" | "globalaveragepooling1d" | "globalaveragepooling2d" =>
            pool::global_average(x);
        /// All axes but the batch as one.
        Flatten = "flatten" => x.flatten_from(1);
        /// Batch normalisation. `momentum`, `epsilon`
        BatchNorm(layer: BatchNorm) = "batch-norm" | "batchnorm1d" | "batchnorm2d" | "batchnormalization" =>
            layer.forward(x, cx);
        /// Layer normalisation, of the last axis. `epsilon`
        LayerNorm(layer: LayerNorm) = "layer-norm" | "layernormalization" => layer.forward(x, cx);
        /// Sets values to zero at random, in training. `rate`
        Dropout(layer: Dropout) = "dropout", short "rate" => layer.forward(x, cx);
        /// A learned row for each token id, see below. `vocabulary`, `units`, `init`
        Embedding(layer: Embedding) = "embedding" => layer.forward(x, cx);
        /// Adds its input to the result of `layers`. `layers`, `shortcut` (layers that the input passes before it is added;
        /// none if absent)
        Residual(layer: Residual) = "residual", short "layers" => layer.forward(x, cx);
        /// Self-attention. `heads`, `causal` (`true` hides what comes later)
        Attention(layer: Attention) = "attention" | "multiheadattention", short "heads" => layer.forward(x, cx);
        /// Long short-term memory. `units`, `sequences` (`true` gives every step's state)
        Lstm(layer: Recurrent) = "lstm", short "units" => layer.lstm(x, cx);
        /// The gated recurrent unit. `units`, `sequences`
        Gru(layer: Recurrent) = "gru", short "units" => layer.gru(x, cx);

        /// 1 / (1 + e⁻ˣ)
        Sigmoid = "sigmoid" => x.logistic();
        /// The hyperbolic tangent.
        Tanh = "tanh" => x.tanh();
        /// max(x, 0)
        Relu = "relu" => activation::relu(x);
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
        /// ln(1 + eˣ)
        Softplus = "softplus" => x.softplus();
        /// Positive numbers along the last axis whose sum is 1.
        Softmax = "softmax" => x.softmax();
        /// The logarithm of `softmax`.
        LogSoftmax = "log-softmax" => x.log_softmax();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_has_the_table() {
        named::reference::check("layers", Layer::REFERENCE);
    }

    /// What serde says that it expects in place of an unknown setting.
    #[test]
    fn every_setting_is_documented() {
        const OTHER_NAMES: [&str; 7] =
            ["out_features", "out_channels", "kernel_size", "strides", "pool_size", "p", "in_features"];
        for (name, doc) in Layer::REFERENCE {
            let text = format!("layer = {{ {name} = {{ nonsense = 1 }} }}");
            let error = toml::from_str::<std::collections::HashMap<String, Layer>>(&text).unwrap_err();
            let Some((_, known)) = error.message().split_once("unknown field `nonsense`, expected ") else {
                continue;
            };
            for setting in known.split('`').skip(1).step_by(2).filter(|key| !OTHER_NAMES.contains(key)) {
                let written = [format!("`{setting}`"), format!("`{setting} ")];
                assert!(written.iter().any(|form| doc.contains(form)), "{name}: {setting} in {doc:?}");
            }
        }
    }
}
