//! Layers and models, which write themselves into a graph and declare their variables.
//!
//! A model is a [`Module`]: one function from tensor to tensor, which serves training and evaluation and declares the
//! model's variables. The layers here are also plain data, so that a model can be written in a recipe and saved with a
//! run; [`custom`] makes a layer of any other module.

mod activation;
mod attention;
mod context;
mod conv;
mod conv_transpose;
mod custom;
mod dense;
mod depthwise;
mod dropout;
mod embedding;
mod group_norm;
mod layer;
mod masking;
mod module;
mod network;
mod nodes;
mod norm;
mod pool;
mod position;
mod recurrent;
mod residual;
mod sequential;
mod shape;
mod summary;
mod token;
mod upsample;
mod window;
mod zoo;

pub use activation::{relu_layer as relu, sigmoid, tanh};
pub use attention::{Attention, attention};
pub use context::Context;
pub use conv::{Conv, conv};
pub use conv_transpose::{ConvTranspose, conv_transpose};
pub use custom::{Custom, CustomNetwork, custom};
pub use dense::{Dense, dense};
pub use depthwise::{DepthwiseConv, SeparableConv};
pub use dropout::{Dropout, dropout};
pub use embedding::{Embedding, embedding};
pub use group_norm::{GroupNorm, InstanceNorm, RmsNorm};
pub use layer::Layer;
pub use module::Module;
pub use network::Network;
pub use nodes::{Join, Node, Nodes};
pub(crate) use nodes::{Line, NAME, is_name};
pub use norm::{BatchNorm, LayerNorm, batch_norm, layer_norm};
pub use pool::{Pool, avg_pool, max_pool};
pub use position::{Position, PositionKind, position};
pub(crate) use position::{rotation, waves};
pub use recurrent::{Recurrent, gru, lstm};
pub use residual::{Residual, residual};
pub use sequential::{Sequential, sequential};
pub use shape::{Edges, Permute, Repeat, Reshape, flatten, reshape};
pub(crate) use summary::grouped;
pub use summary::{Row, Summary};
pub use upsample::{Interpolation, Upsample, upsample};
pub use window::Padding;
pub use zoo::{Architecture, LstmClassifier, Mlp, MobileNetV2, ResNet18, VitTiny};

pub use crate::variables::Init;

use crate::error::{Error, Result};

fn yes() -> bool {
    true
}

fn one() -> usize {
    1
}

fn zeros() -> Init {
    Init::Zeros
}

/// A size that is not 0, nor so large that sizes computed from it could overflow.
fn at_least_one(name: &str, value: usize) -> Result<()> {
    const MOST: usize = i32::MAX as usize;
    match value {
        0 => Err(Error::value(name, "a whole number above 0", value)),
        1..=MOST => Ok(()),
        _ => Err(Error::value(name, format!("a whole number of at most {MOST}"), value)),
    }
}
