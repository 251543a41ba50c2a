use super::{Context, Init, Layer, Module, Sequential};
use crate::array::DType;
use crate::error::{Error, Result};
use crate::graph::Tensor;
use crate::setters::setters;
use serde::{Deserialize, Serialize};

/// A learned row for each of `vocabulary` token ids: whole numbers from 0 to below it, `[…] -> […, units]`.
///
/// It comes first, or after a flatten: the output of another layer is no id. [`Trainer`](crate::train::Trainer) and
/// [`Model`](crate::model::Model) refuse ids that are not in the vocabulary; in a graph of one's own they are clamped
/// to it, as XLA clamps them.
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
    /// The number of token ids, which run from 0.
    pub vocabulary: usize,
    /// Features of a token's vector.
    pub units: usize,
    /// How the vectors begin; standard normal if absent.
    #[serde(default = "standard_normal")]
    pub init: Init,
    /// The id that pads short sequences to the length of the others: its vector is 0, and the layers after it know its
    /// positions, see [`Context::positions`].
    #[serde(default, alias = "padding_idx", skip_serializing_if = "Option::is_none")]
    pub padding: Option<usize>,
}

setters! {
    Embedding {
        init: Init,
        padding: usize,
    }
}

fn standard_normal() -> Init {
    Init::Normal(1.0)
}

impl Embedding {
    /// Standard normal vectors, without an id for padding.
    pub fn new(vocabulary: usize, units: usize) -> Self {
        Self { vocabulary, units, init: standard_normal(), padding: None }
    }
}

impl Module for Embedding {
    fn forward(&self, x: &Tensor, cx: &mut Context) -> Result<Tensor> {
        super::at_least_one("vocabulary", self.vocabulary)?;
        super::at_least_one("units", self.units)?;
        let shape = [self.vocabulary, self.units];
        let weight = cx.weight("weight", &shape, &self.init, (self.vocabulary, self.units))?;
        if !matches!(x.dtype(), DType::U8 | DType::I32 | DType::U32) {
            let expected = "token ids as they are stored (u8, i32 or u32), before any layer that computes";
            return Err(Error::shape("embedding", expected, x.ty()));
        }
        let Some(padding) = self.padding else {
            return weight.take(&x.convert(DType::I32)?);
        };
        if padding >= self.vocabulary {
            let expected = format!("an id of the vocabulary, below {}", self.vocabulary);
            return Err(Error::value("padding", expected, padding));
        }
        if x.rank() != 2 {
            return Err(Error::shape("embedding with padding", "sequences of ids [batch, length]", x.ty()));
        }
        let ids = x.convert(DType::I32)?;
        let real = ids.ne(&ids.scalar_like(padding as f64))?;
        let y = weight.take(&ids)?;
        let y = real.unsqueeze(2)?.select(&y, &y.scalar_like(0.0))?;
        cx.set_positions(Some(real));
        Ok(y)
    }
}

impl Sequential {
    /// The number of token ids, if the model reads these: if it begins with an embedding.
    ///
    /// ```
    /// use neural::nn::{dense, embedding, flatten, sequential};
    /// assert_eq!(sequential([flatten(), embedding(1000, 16)]).vocabulary(), Some(1000));
    /// assert_eq!(sequential([dense(3)]).vocabulary(), None);
    /// ```
    pub fn vocabulary(&self) -> Option<usize> {
        match self.0.iter().find(|layer| !matches!(layer, Layer::Flatten))? {
            Layer::Embedding(layer) => Some(layer.vocabulary),
            Layer::Residual(layer) => Some(layer.layers.vocabulary()?.min(layer.shortcut.vocabulary()?)),
            _ => None,
        }
    }
}

/// See [`Embedding`].
pub fn embedding(vocabulary: usize, units: usize) -> Layer {
    Layer::Embedding(Embedding::new(vocabulary, units))
}
