//! Positions in a sequence, which attention cannot see by itself.

use super::{Context, Init, Layer, Module};
use crate::array::Array;
use crate::error::{Error, Result};
use crate::graph::Tensor;
use serde::{Deserialize, Serialize};

/// Adds a vector for its position to each element of a sequence `[n, length, features]`. Attention by itself does not
/// see the order of a sequence; see also [`Attention::rotary`](super::Attention).
///
/// Variables, if learned: `weight` `[length, features]`.
///
/// ```
/// use neural::{DType, nn};
/// let model = nn::sequential([nn::embedding(100, 16), nn::position(), nn::attention(4)]);
/// assert_eq!(model.summary(DType::F32, &[20])?.rows[1].parameters, 20 * 16);
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Learned vectors, or sines and cosines.
    #[serde(default)]
    pub kind: PositionKind,
    /// The max length of a sequence; the data's length if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<usize>,
}

/// The source of the vectors of a [`Position`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PositionKind {
    /// They are trained.
    #[default]
    Learned,
    /// sin(p / 10000^(2i/d)) and cos(p / 10000^(2i/d)) for i = 0, 1, … in turn, of position p and d features (Vaswani et
    /// al., 2017).
    Sinusoidal,
}

impl Module for Position {
    fn forward(&self, x: &Tensor, cx: &mut Context) -> Result<Tensor> {
        let &[_, length, features] = x.shape() else {
            return Err(Error::shape("position", "[batch, length, features]", x.ty()));
        };
        let longest = self.length.unwrap_or(length);
        if length > longest {
            let expected = format!("a sequence of at most {longest} positions (the setting length)");
            return Err(Error::shape("position", expected, x.ty()));
        }
        match self.kind {
            PositionKind::Learned => {
                let shape = [longest, features];
                let weight = cx.weight("weight", &shape, &Init::Normal(0.02), (longest, features))?;
                x + weight.narrow(0, 0, length)?
            }
            PositionKind::Sinusoidal => {
                let waves = waves(length, features)?.cast(x.dtype());
                x + x.graph().constant(waves)
            }
        }
    }
}

/// p / 10000^(i/d)
fn angle(p: usize, i: usize, d: usize) -> f64 {
    p as f64 / 10_000f64.powf(i as f64 / d as f64)
}

/// The vectors that a sinusoidal [`Position`] adds, f64 `[length, features]`.
pub(crate) fn waves(length: usize, features: usize) -> Result<Array> {
    let value = |p: usize, i: usize| {
        let (sin, cos) = angle(p, i / 2 * 2, features).sin_cos();
        if i.is_multiple_of(2) { sin } else { cos }
    };
    let values = (0..length).flat_map(|p| (0..features).map(move |i| value(p, i)));
    Array::new(&[length, features], values.collect::<Vec<_>>())
}

/// Sines and cosines of the angles by which heads of `size` features are turned, f64 `[length, size / 2]`.
pub(crate) fn rotation(length: usize, size: usize) -> Result<(Array, Array)> {
    let half = size / 2;
    let table = |of: fn(f64) -> f64| {
        let values = (0..length).flat_map(|p| (0..half).map(move |i| of(angle(p, 2 * i, size))));
        Array::new(&[length, half], values.collect::<Vec<_>>())
    };
    Ok((table(f64::sin)?, table(f64::cos)?))
}

/// Turns each pair of features i and i + d/2 of a head by the angle p / 10000^(2i/d), so that the product of a query and
/// a key depends on their distance (Su et al., 2021): `[n, length, heads, d]`. The halves are paired as in Llama.
pub(super) fn rotated(x: &Tensor) -> Result<Tensor> {
    let &[_, length, _, size] = x.shape() else {
        return Err(Error::shape("rotary", "[batch, length, heads, features]", x.ty()));
    };
    if !size.is_multiple_of(2) {
        return Err(Error::value("rotary", "heads with an even number of features", size));
    }
    let half = size / 2;
    let (sin, cos) = rotation(length, size)?;
    let table = |table: &Array| x.graph().constant(table.cast(x.dtype())).unsqueeze(1);
    let (sin, cos) = (table(&sin)?, table(&cos)?);
    let (a, b) = (x.narrow(3, 0, half)?, x.narrow(3, half, size)?);
    let first = ((&a * &cos)? - (&b * &sin)?)?;
    let second = ((b * cos)? + (a * sin)?)?;
    Tensor::concatenate(&[&first, &second], 3)
}

/// Learned, see [`Position`].
pub fn position() -> Layer {
    Layer::Position(Position::default())
}
