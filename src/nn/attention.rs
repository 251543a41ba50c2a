use super::position::rotated;
use super::{Context, Dropout, Init, Layer, Module};
use crate::array::DType;
use crate::error::{Error, Result};
use crate::graph::{Composite, DotDims, HIDDEN, Tensor};
use crate::setters::setters;
use serde::{Deserialize, Serialize};

/// Multi-head attention (Vaswani et al., 2017): `softmax(q kᵀ / √d) v` in `heads` parts of the features, joined by a
/// linear map: `[n, length, features] -> [n, length, features]`. As a [`Module`] a sequence attends to itself;
/// [`Attention::forward_with`] attends to another one.
///
/// It does not see the order of the sequence: give it a [`Position`](super::Position) before, or `rotary`. Positions that
/// are [padding](Context::positions) are not attended to.
///
/// Variables, as in `PyTorch`: `in_proj_weight` `[3 features, features]` (queries, keys, values), `in_proj_bias`,
/// `out_proj.weight` `[features, features]`, `out_proj.bias`.
///
/// ```
/// use neural::{DType, nn::{Attention, Layer, sequential}};
/// let model = sequential([Attention::new(2).causal(true).into()]);
/// assert_eq!(model.summary(DType::F32, &[10, 8])?.parameters(), 4 * 8 * 8 + 4 * 8);
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attention {
    /// Attentions side by side, a divisor of the features.
    #[serde(alias = "num_heads")]
    pub heads: usize,
    /// Whether a position sees only itself and those before it.
    #[serde(default)]
    pub causal: bool,
    /// Whether queries and keys are turned by their positions (rotary position embedding).
    #[serde(default, skip_serializing_if = "is_false")]
    pub rotary: bool,
    /// The dropout rate of the attention weights, in training only.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropout: f64,
}

setters! {
    Attention {
        causal: bool,
        rotary: bool,
        dropout: f64,
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
pub(super) fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

impl Attention {
    /// Attention without a mask, positions or dropout.
    pub fn new(heads: usize) -> Self {
        Self { heads, causal: false, rotary: false, dropout: 0.0 }
    }

    /// Attends from `x` `[n, length, features]` to `memory` `[n, other length, features]`, from which keys and values
    /// are computed. [`Context::positions`] then belong to `memory`.
    ///
    /// ```
    /// # use neural::{DType, graph::Graph, nn::{Attention, Context}, variables::Variables};
    /// # let graph = Graph::new();
    /// # let mut variables = Variables::declare(&graph, DType::F32);
    /// # let mut cx = Context::evaluation(&mut variables);
    /// let x = graph.parameter(DType::F32, &[8, 5, 16]);
    /// let memory = graph.parameter(DType::F32, &[8, 20, 16]);
    /// assert_eq!(Attention::new(4).forward_with(&x, &memory, &mut cx)?.shape(), [8, 5, 16]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the two are not sequences of the same batch and features, or the features are not a multiple of `heads`.
    pub fn forward_with(&self, x: &Tensor, memory: &Tensor, cx: &mut Context) -> Result<Tensor> {
        self.attend(x, Some(memory), cx)
    }

    fn attend(&self, x: &Tensor, memory: Option<&Tensor>, cx: &mut Context) -> Result<Tensor> {
        let &[n, length, features] = x.shape() else {
            return Err(Error::shape("attention", "[batch, length, features]", x.ty()));
        };
        if self.heads == 0 || features % self.heads != 0 {
            return Err(Error::shape("attention", format!("features in {} heads", self.heads), features));
        }
        let others = match memory.map_or(x.shape(), Tensor::shape) {
            &[batch, others, width] if batch == n && width == features => others,
            _ => {
                let expected = format!("a memory [{n}, length, {features}]");
                return Err(Error::shape("attention", expected, memory.unwrap_or(x).ty()));
            }
        };
        let padding = cx.positions_of(memory.unwrap_or(x))?;
        let (heads, size) = (self.heads, features / self.heads);
        let fans = (features, 3 * features);
        let weight = cx.weight("in_proj_weight", &[3 * features, features], &Init::GlorotUniform, fans)?;
        let bias = cx.weight("in_proj_bias", &[3 * features], &Init::Zeros, fans)?;
        match memory {
            None => cx.observe("in_proj_weight", x),
            Some(memory) => {
                cx.observe("in_proj_weight:queries", x);
                cx.observe("in_proj_weight:memory", memory);
            }
        }
        let (mut queries, mut keys, values) = match memory {
            None => {
                let projected = (x.linear(&weight)? + bias)?.reshape(&[n, length, 3, heads, size])?;
                let part = |i: usize| projected.narrow(2, i, i + 1)?.reshape(&[n, length, heads, size]);
                (part(0)?, part(1)?, part(2)?)
            }
            Some(memory) => {
                let rows = |t: &Tensor, from: usize, to: usize| t.narrow(0, from * features, to * features);
                let queries = (x.linear(&rows(&weight, 0, 1)?)? + rows(&bias, 0, 1)?)?;
                let pairs = (memory.linear(&rows(&weight, 1, 3)?)? + rows(&bias, 1, 3)?)?;
                let pairs = pairs.reshape(&[n, others, 2, heads, size])?;
                let part = |i: usize| pairs.narrow(2, i, i + 1)?.reshape(&[n, others, heads, size]);
                (queries.reshape(&[n, length, heads, size])?, part(0)?, part(1)?)
            }
        };
        if self.rotary {
            (queries, keys) = (rotated(&queries)?, rotated(&keys)?);
        }

        // [n, heads, query, key]
        let pair = |a: usize, b: usize, rhs: usize| DotDims {
            lhs_contract: vec![a],
            rhs_contract: vec![rhs],
            lhs_batch: vec![0, b],
            rhs_batch: vec![0, 2],
        };
        let scaled = (&queries * (1.0 / (size as f64).sqrt()))?;
        let mut scores = scaled.dot(&keys, pair(3, 2, 3))?;
        if self.causal {
            let shape = [length, others];
            let (query, key) =
                (cx.graph().iota(DType::I32, &shape, 0)?, cx.graph().iota(DType::I32, &shape, 1)?);
            scores = key.le(&query)?.select(&scores, &scores.scalar_like(f64::NEG_INFINITY))?;
        }
        if let Some(padding) = &padding {
            let seen = padding.reshape(&[n, 1, 1, others])?;
            scores = seen.select(&scores, &scores.scalar_like(HIDDEN))?;
        }
        let dropout = Dropout { rate: self.dropout };
        let weights = dropout.forward(&scores.softmax()?, cx)?;
        let mut mixed = weights.dot(&values, pair(3, 1, 1))?.transpose(&[0, 2, 1, 3])?;
        if dropout.is_off(cx) {
            let operands: Vec<_> = [&queries, &keys, &values].into_iter().chain(&padding).collect();
            mixed = mixed.known_as(Composite::Attention { causal: self.causal }, &operands)?;
        }
        let mixed = mixed.reshape(&[n, length, features])?;

        let fans = (features, features);
        cx.observe("out_proj.weight", &mixed);
        let weight = cx.weight("out_proj.weight", &[features, features], &Init::GlorotUniform, fans)?;
        mixed.linear(&weight)? + cx.weight("out_proj.bias", &[features], &Init::Zeros, fans)?
    }
}

impl Module for Attention {
    fn forward(&self, x: &Tensor, cx: &mut Context) -> Result<Tensor> {
        self.attend(x, None, cx)
    }
}

/// See [`Attention`].
pub fn attention(heads: usize) -> Layer {
    Layer::Attention(Attention::new(heads))
}
