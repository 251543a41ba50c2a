//! All layers, as one type.

use super::{
    Attention, BatchNorm, Context, Conv, Dense, Dropout, Embedding, LayerNorm, Module, Pool, Recurrent,
    Residual, activation, pool,
};
use crate::error::Result;
use crate::graph::Tensor;
use crate::named::{self, Named};
use serde::{Deserialize, Deserializer, Serialize};

/// A layer of a model. In a recipe it is its name, or a table of its name and its settings.
///
/// ```
/// use neural::nn::{self, Layer};
/// let layer: Layer = toml::from_str::<std::collections::HashMap<String, Layer>>("x = { dense = 128 }")?
///     .remove("x").ok_or("x")?;
/// assert_eq!(layer, nn::dense(128));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    Dense(Dense),
    Conv(Conv),
    MaxPool(Pool),
    AvgPool(Pool),
    GlobalMaxPool,
    GlobalAvgPool,
    Flatten,
    BatchNorm(BatchNorm),
    LayerNorm(LayerNorm),
    Dropout(Dropout),
    Embedding(Embedding),
    Residual(Residual),
    Attention(Attention),
    Lstm(Recurrent),
    Gru(Recurrent),

    Sigmoid,
    Tanh,
    Relu,
    LeakyRelu(f64),
    Elu(f64),
    /// x Φ(x)
    Gelu,
    /// The approximation of `Gelu` by tanh.
    GeluTanh,
    Silu,
    Softplus,
    Softmax,
    LogSoftmax,
}

impl Named for Layer {
    const WHAT: &'static str = "a layer";
    const NAMES: &'static [&'static str] = &[
        "dense",
        "conv",
        "max-pool",
        "avg-pool",
        "global-max-pool",
        "global-avg-pool",
        "flatten",
        "batch-norm",
        "layer-norm",
        "dropout",
        "embedding",
        "residual",
        "attention",
        "lstm",
        "gru",
        "sigmoid",
        "tanh",
        "relu",
        "leaky-relu",
        "elu",
        "gelu",
        "gelu-tanh",
        "silu",
        "softplus",
        "softmax",
        "log-softmax",
    ];
    const ALIASES: &'static [(&'static str, &'static str)] = &[
        ("linear", "dense"),
        ("conv1d", "conv"),
        ("conv2d", "conv"),
        ("maxpool1d", "max-pool"),
        ("maxpool2d", "max-pool"),
        ("maxpooling1d", "max-pool"),
        ("maxpooling2d", "max-pool"),
        ("avgpool1d", "avg-pool"),
        ("avgpool2d", "avg-pool"),
        ("averagepooling1d", "avg-pool"),
        ("averagepooling2d", "avg-pool"),
        ("globalmaxpooling1d", "global-max-pool"),
        ("globalmaxpooling2d", "global-max-pool"),
        ("globalaveragepooling1d", "global-avg-pool"),
        ("globalaveragepooling2d", "global-avg-pool"),
        ("batchnorm1d", "batch-norm"),
        ("batchnorm2d", "batch-norm"),
        ("batchnormalization", "batch-norm"),
        ("layernormalization", "layer-norm"),
        ("multiheadattention", "attention"),
        ("swish", "silu"),
    ];

    fn read<'de, D: Deserializer<'de>>(name: &str, settings: D) -> std::result::Result<Self, D::Error> {
        let plain = |layer: Layer, settings: D| <()>::deserialize(settings).map(|()| layer);
        match name {
            "dense" => named::short(settings, "units").map(Layer::Dense),
            "conv" => Conv::deserialize(settings).map(Layer::Conv),
            "max-pool" => named::short(settings, "size").map(Layer::MaxPool),
            "avg-pool" => named::short(settings, "size").map(Layer::AvgPool),
            "batch-norm" => BatchNorm::deserialize(settings).map(Layer::BatchNorm),
            "layer-norm" => LayerNorm::deserialize(settings).map(Layer::LayerNorm),
            "dropout" => named::short(settings, "rate").map(Layer::Dropout),
            "embedding" => Embedding::deserialize(settings).map(Layer::Embedding),
            "residual" => named::short(settings, "layers").map(Layer::Residual),
            "attention" => named::short(settings, "heads").map(Layer::Attention),
            "lstm" => named::short(settings, "units").map(Layer::Lstm),
            "gru" => named::short(settings, "units").map(Layer::Gru),
            "leaky-relu" => f64::deserialize(settings).map(Layer::LeakyRelu),
            "elu" => f64::deserialize(settings).map(Layer::Elu),
            "global-max-pool" => plain(Layer::GlobalMaxPool, settings),
            "global-avg-pool" => plain(Layer::GlobalAvgPool, settings),
            "flatten" => plain(Layer::Flatten, settings),
            "sigmoid" => plain(Layer::Sigmoid, settings),
            "tanh" => plain(Layer::Tanh, settings),
            "relu" => plain(Layer::Relu, settings),
            "gelu" => plain(Layer::Gelu, settings),
            "gelu-tanh" => plain(Layer::GeluTanh, settings),
            "silu" => plain(Layer::Silu, settings),
            "softplus" => plain(Layer::Softplus, settings),
            "softmax" => plain(Layer::Softmax, settings),
            "log-softmax" => plain(Layer::LogSoftmax, settings),
            _ => Err(serde::de::Error::custom(named::unknown(Self::WHAT, name, Self::NAMES))),
        }
    }
}

impl<'de> Deserialize<'de> for Layer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        named::deserialize(deserializer)
    }
}

impl Layer {
    /// The layer's name.
    ///
    /// ```
    /// assert_eq!(neural::nn::Layer::GlobalAvgPool.kind(), "global-avg-pool");
    /// ```
    pub fn kind(&self) -> &'static str {
        match self {
            Layer::Dense(_) => "dense",
            Layer::Conv(_) => "conv",
            Layer::MaxPool(_) => "max-pool",
            Layer::AvgPool(_) => "avg-pool",
            Layer::GlobalMaxPool => "global-max-pool",
            Layer::GlobalAvgPool => "global-avg-pool",
            Layer::Flatten => "flatten",
            Layer::BatchNorm(_) => "batch-norm",
            Layer::LayerNorm(_) => "layer-norm",
            Layer::Dropout(_) => "dropout",
            Layer::Embedding(_) => "embedding",
            Layer::Residual(_) => "residual",
            Layer::Attention(_) => "attention",
            Layer::Lstm(_) => "lstm",
            Layer::Gru(_) => "gru",
            Layer::Sigmoid => "sigmoid",
            Layer::Tanh => "tanh",
            Layer::Relu => "relu",
            Layer::LeakyRelu(_) => "leaky-relu",
            Layer::Elu(_) => "elu",
            Layer::Gelu => "gelu",
            Layer::GeluTanh => "gelu-tanh",
            Layer::Silu => "silu",
            Layer::Softplus => "softplus",
            Layer::Softmax => "softmax",
            Layer::LogSoftmax => "log-softmax",
        }
    }
}

impl Module for Layer {
    fn forward(&self, x: &Tensor, cx: &mut Context) -> Result<Tensor> {
        match self {
            Layer::Dense(layer) => layer.forward(x, cx),
            Layer::Conv(layer) => layer.forward(x, cx),
            Layer::MaxPool(pool) => pool.max(x, cx),
            Layer::AvgPool(pool) => pool.average(x, cx),
            Layer::GlobalMaxPool => pool::global_max(x),
            Layer::GlobalAvgPool => pool::global_average(x),
            Layer::Flatten => x.flatten_from(1),
            Layer::BatchNorm(layer) => layer.forward(x, cx),
            Layer::LayerNorm(layer) => layer.forward(x, cx),
            Layer::Dropout(layer) => layer.forward(x, cx),
            Layer::Embedding(layer) => layer.forward(x, cx),
            Layer::Residual(layer) => layer.forward(x, cx),
            Layer::Attention(layer) => layer.forward(x, cx),
            Layer::Lstm(layer) => layer.lstm(x, cx),
            Layer::Gru(layer) => layer.gru(x, cx),
            Layer::Sigmoid => x.logistic(),
            Layer::Tanh => x.tanh(),
            Layer::Relu => activation::relu(x),
            Layer::LeakyRelu(slope) => activation::leaky_relu(x, *slope),
            Layer::Elu(scale) => activation::elu(x, *scale),
            Layer::Gelu => activation::gelu(x),
            Layer::GeluTanh => activation::gelu_tanh(x),
            Layer::Silu => activation::silu(x),
            Layer::Softplus => x.softplus(),
            Layer::Softmax => x.softmax(),
            Layer::LogSoftmax => x.log_softmax(),
        }
    }
}
