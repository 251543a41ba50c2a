//! Custom layers.

use super::{Context, Layer, Module};
use crate::error::Result;
use crate::graph::Tensor;
use std::fmt;
use std::sync::Arc;

/// A named [`Module`] as a layer; equal to another only where both are the same object.
#[derive(Clone)]
pub struct Custom {
    pub(super) name: String,
    module: Arc<dyn Module + Send + Sync>,
}

/// A layer from any module, such as a type of your own or a closure; `name` stands for it in messages.
///
/// It trains, resumes, is evaluated and compiled as every other layer. A file cannot hold it: a
/// [`Model`](crate::model::Model) with it is not written, and a checkpoint of the trainer is restored by the program that
/// has the module.
///
/// ```
/// use neural::nn::{self, Context, Dense};
/// use neural::{graph::Tensor, train::Trainer};
/// // Two branches over the same features, one of them gated by the other.
/// let gated = nn::custom("gated", |x: &Tensor, cx: &mut Context| {
///     let gate = cx.part("gate", "dense", &Dense::new(16), x)?.logistic()?;
///     &gate * cx.part("value", "dense", &Dense::new(16), x)?.tanh()?
/// });
/// let model = nn::sequential([gated, nn::dense(3)]);
/// let summary = model.summary(neural::DType::F32, &[4])?;
/// assert_eq!(summary.parameters(), 2 * 5 * 16 + 17 * 3);
/// let trainer = Trainer::new(model);
/// # Ok::<(), neural::Error>(())
/// ```
pub fn custom(name: &str, module: impl Module + Send + Sync + 'static) -> Layer {
    Layer::Custom(Custom { name: name.to_string(), module: Arc::new(module) })
}

impl Module for Custom {
    fn forward(&self, x: &Tensor, cx: &mut Context) -> Result<Tensor> {
        self.module.forward(x, cx)
    }
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Custom").field(&self.name).finish()
    }
}

impl PartialEq for Custom {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.module, &other.module)
    }
}
