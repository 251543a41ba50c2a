use super::{Context, Init, Layer};
use crate::array::DType;
use crate::error::Result;
use crate::graph::Tensor;
use serde::{Deserialize, Serialize};

/// A learned row for each of `vocabulary` numbers: whole numbers `[…] -> […, units]`.
///
/// Variables: `weight` `[vocabulary, units]`.
///
/// ```
/// use neural::{DType, nn::{embedding, sequential}};
/// let summary = sequential([embedding(1000, 16)]).summary(DType::F32, &[20])?;
/// assert_eq!((&summary.rows[0].output[..], summary.parameters()), (&[1, 20, 16][..], 16_000));
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Embedding {
    pub vocabulary: usize,
    pub units: usize,
    #[serde(default = "standard_normal")]
    pub init: Init,
}

fn standard_normal() -> Init {
    Init::Normal(1.0)
}

impl Embedding {
    pub(super) fn forward(&self, x: &Tensor, cx: &mut Context) -> Result<Tensor> {
        super::at_least_one("vocabulary", self.vocabulary)?;
        super::at_least_one("units", self.units)?;
        let shape = [self.vocabulary, self.units];
        let weight = cx.weight("weight", &shape, &self.init, (self.vocabulary, self.units))?;
        weight.take(&x.convert(DType::I32)?)
    }
}

/// See [`Embedding`].
///
/// ```
/// assert_eq!(neural::nn::embedding(1000, 16).kind(), "embedding");
/// ```
pub fn embedding(vocabulary: usize, units: usize) -> Layer {
    Layer::Embedding(Embedding { vocabulary, units, init: standard_normal() })
}
