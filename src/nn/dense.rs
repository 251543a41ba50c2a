use super::{Context, Init, Layer, Module};
use crate::error::Result;
use crate::graph::Tensor;
use crate::setters::setters;
use serde::{Deserialize, Serialize};

/// A linear map with a bias: `y = x Wᵀ + b`, `[…, in] -> […, units]`.
///
/// Variables: `weight` `[units, in]`, `bias` `[units]`.
///
/// ```
/// use neural::{DType, nn::{Dense, Init, sequential}};
/// let dense = Dense::new(10).init(Init::Zeros).bias(false);
/// assert_eq!(sequential([dense.into()]).summary(DType::F32, &[784])?.parameters(), 7840);
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dense {
    /// Features of the result.
    #[serde(alias = "out_features")]
    pub units: usize,
    /// Whether a number is added to each feature; `true` if absent.
    #[serde(default = "super::yes")]
    pub bias: bool,
    /// How the weight begins.
    #[serde(default)]
    pub init: Init,
    /// How the bias begins.
    #[serde(default = "super::zeros")]
    pub bias_init: Init,
}

setters! {
    Dense {
        bias: bool,
        init: Init,
        bias_init: Init,
    }
}

impl Dense {
    /// A dense layer with a bias and the usual initial weights.
    pub fn new(units: usize) -> Self {
        Self { units, bias: true, init: Init::default(), bias_init: Init::Zeros }
    }

    /// Sets `init` and `bias_init` to the same.
    #[must_use]
    pub fn initialized(self, init: Init) -> Self {
        Self { bias_init: init.clone(), init, ..self }
    }
}

impl Module for Dense {
    fn forward(&self, x: &Tensor, cx: &mut Context) -> Result<Tensor> {
        super::at_least_one("units", self.units)?;
        let inputs = x.shape()[x.last_axis("dense")?];
        let fans = (inputs, self.units);
        cx.observe("weight", x);
        let y = x.linear(&cx.weight("weight", &[self.units, inputs], &self.init, fans)?)?;
        cx.biased(y, self.bias.then_some(&self.bias_init), fans)
    }
}

/// See [`Dense`].
pub fn dense(units: usize) -> Layer {
    Dense::new(units).into()
}
