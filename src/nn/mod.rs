//! Models: layers that write themselves into a graph, and the variables they ask for.
//!
//! A model is a [`Module`]: one function from tensor to tensor, which serves training and evaluation and finds out which
//! variables there are. The layers here are data too, so that a model of them can be written in a recipe and saved with a
//! run.

mod activation;
mod attention;
mod context;
mod conv;
mod dense;
mod dropout;
mod embedding;
mod init;
mod layer;
mod module;
mod norm;
mod orthogonal;
mod pool;
mod recurrent;
mod residual;
mod sequential;
mod summary;
mod window;

pub use activation::{relu_layer as relu, sigmoid, tanh};
pub use attention::{Attention, attention};
pub use context::Context;
pub use conv::{Conv, conv};
pub use dense::{Dense, dense};
pub use dropout::{Dropout, dropout};
pub use embedding::{Embedding, embedding};
pub use init::Init;
pub use layer::Layer;
pub use module::Module;
pub use norm::{BatchNorm, LayerNorm, batch_norm, layer_norm};
pub use pool::{Pool, avg_pool, max_pool};
pub use recurrent::{Recurrent, gru, lstm};
pub use residual::{Residual, residual};
pub use sequential::{Sequential, sequential};
pub use summary::{Row, Summary};
pub use window::Padding;

use crate::error::{Error, Result};

/// All axes but the batch as one.
///
/// ```
/// use neural::{DType, nn};
/// let summary = nn::sequential([nn::flatten()]).summary(DType::F32, &[28, 28, 1])?;
/// assert_eq!(summary.rows[0].output, [1, 784]);
/// # Ok::<(), neural::Error>(())
/// ```
pub fn flatten() -> Layer {
    Layer::Flatten
}

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
