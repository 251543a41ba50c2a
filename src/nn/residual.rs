use super::{Context, Layer, Module, Sequential};
use crate::error::{Error, Result};
use crate::graph::Tensor;
use serde::{Deserialize, Serialize};

/// Layers whose result is added to their input: `y = layers(x) + shortcut(x)`; an absent shortcut is the identity.
///
/// Variables: the layers', under `layers.` and `shortcut.`.
///
/// ```
/// use neural::{DType, nn};
/// let model = nn::sequential([nn::residual([nn::dense(4), nn::tanh()])]);
/// assert_eq!(model.summary(DType::F32, &[4])?.parameters(), 20);
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Residual {
    /// The layers whose result is added to the input.
    pub layers: Sequential,
    /// Layers applied to the input; none if absent, which requires equal shapes.
    #[serde(default, skip_serializing_if = "Sequential::is_empty")]
    pub shortcut: Sequential,
}

impl Module for Residual {
    fn forward(&self, x: &Tensor, cx: &mut Context) -> Result<Tensor> {
        let positions = cx.positions().cloned();
        let y = cx.within("layers", "sequential", |cx| self.layers.forward(x, cx))?;
        cx.set_positions(positions);
        let kept = match self.shortcut.is_empty() {
            true => x.clone(),
            false => cx.within("shortcut", "sequential", |cx| self.shortcut.forward(x, cx))?,
        };
        if y.shape() != kept.shape() {
            let expected = format!("layers that keep the shape {:?}, or a shortcut", kept.shape());
            return Err(Error::shape("residual", expected, format!("{:?}", y.shape())));
        }
        y + kept
    }
}

/// See [`Residual`].
pub fn residual(layers: impl IntoIterator<Item = Layer>) -> Layer {
    Layer::Residual(Residual { layers: super::sequential(layers), shortcut: Sequential::default() })
}
