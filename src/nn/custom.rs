//! Custom layers.

use super::{Context, Layer, Module};
use crate::error::Result;
use crate::graph::Tensor;
use crate::named::Object;
use std::sync::Arc;

/// A named [`Module`] as a layer; equal to another only where both are the same object.
#[derive(Clone, Debug, PartialEq)]
pub struct Custom(pub(super) Object<dyn Module + Send + Sync>);

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
    Layer::Custom(Custom(Object { name: name.to_string(), value: Arc::new(module) }))
}

impl Module for Custom {
    fn forward(&self, x: &Tensor, cx: &mut Context) -> Result<Tensor> {
        self.0.value.forward(x, cx)
    }
}
