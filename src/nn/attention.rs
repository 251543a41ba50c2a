use super::{Context, Init, Layer, Module};
use crate::array::DType;
use crate::error::{Error, Result};
use crate::graph::{DotDims, Tensor};
use serde::{Deserialize, Serialize};

/// Multi-head self-attention (Vaswani et al., 2017): `softmax(q kᵀ / √d) v` in `heads` parts of the features, joined
/// by a linear map: `[n, length, features] -> [n, length, features]`.
///
/// Variables, as in `PyTorch`: `in_proj_weight` `[3 features, features]` (queries, keys, values), `in_proj_bias`,
/// `out_proj.weight` `[features, features]`, `out_proj.bias`.
///
/// ```
/// use neural::{DType, nn::{Attention, Layer, sequential}};
/// let model = sequential([Layer::Attention(Attention { heads: 2, causal: true })]);
/// assert_eq!(model.summary(DType::F32, &[10, 8])?.parameters(), 4 * 8 * 8 + 4 * 8);
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attention {
    pub heads: usize,
    /// Whether a position sees only itself and those before it.
    #[serde(default)]
    pub causal: bool,
}

impl Module for Attention {
    fn forward(&self, x: &Tensor, cx: &mut Context) -> Result<Tensor> {
        let &[n, length, features] = x.shape() else {
            return Err(Error::shape("attention", "[batch, length, features]", x.ty()));
        };
        if self.heads == 0 || features % self.heads != 0 {
            return Err(Error::shape("attention", format!("features in {} heads", self.heads), features));
        }
        let size = features / self.heads;
        let weight = cx.weight(
            "in_proj_weight",
            &[3 * features, features],
            &Init::GlorotUniform,
            (features, 3 * features),
        )?;
        let bias = cx.weight("in_proj_bias", &[3 * features], &Init::Zeros, (features, 3 * features))?;
        let projected = (x.linear(&weight)? + bias)?.reshape(&[n, length, 3, self.heads, size])?;
        let part = |i: usize| projected.narrow(2, i, i + 1)?.reshape(&[n, length, self.heads, size]);
        let (queries, keys, values) = (part(0)?, part(1)?, part(2)?);

        // [n, heads, query, key]
        let pair = |a: usize, b: usize, rhs: usize| DotDims {
            lhs_contract: vec![a],
            rhs_contract: vec![rhs],
            lhs_batch: vec![0, b],
            rhs_batch: vec![0, 2],
        };
        let queries = (queries * (1.0 / (size as f64).sqrt()))?;
        let mut scores = queries.dot(&keys, pair(3, 2, 3))?;
        if self.causal {
            let shape = [length, length];
            let (query, key) =
                (cx.graph().iota(DType::I32, &shape, 0)?, cx.graph().iota(DType::I32, &shape, 1)?);
            scores = key.le(&query)?.select(&scores, &scores.scalar_like(f64::NEG_INFINITY))?;
        }
        let mixed = scores
            .softmax()?
            .dot(&values, pair(3, 1, 1))?
            .transpose(&[0, 2, 1, 3])?
            .reshape(&[n, length, features])?;

        let fans = (features, features);
        let weight = cx.weight("out_proj.weight", &[features, features], &Init::GlorotUniform, fans)?;
        mixed.linear(&weight)? + cx.weight("out_proj.bias", &[features], &Init::Zeros, fans)?
    }
}

/// See [`Attention`].
///
/// ```
/// assert_eq!(neural::nn::attention(4).kind(), "attention");
/// ```
pub fn attention(heads: usize) -> Layer {
    Layer::Attention(Attention { heads, causal: false })
}
