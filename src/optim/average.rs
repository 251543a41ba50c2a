//! Moving averages of the parameters.

use crate::error::{Error, Result};
use crate::named;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An exponential moving average of the parameters w, which moves after each of their updates t = 1, 2, …:
///
/// aₜ = aₜ₋₁ + rₜ (wₜ - aₜ₋₁), where a₀ = w₀ and rₜ = 1 - decay.
///
/// With `debias`, rₜ = (1 - decay) / (1 - decayᵗ), which leaves the first weights out: aₜ is the mean of w₁ to wₜ,
/// weighted by powers of the decay, as Adam corrects its moments (Kingma and Ba, 2015, section 3) and optax's
/// `ema(debias=True)` computes it. It is the default because the average is evaluated and exported: without it, random
/// first weights still make up 37 % of the average after 1 / (1 - decay) updates. Later both are the same. Without
/// `debias` it is the average of `PyTorch`'s `AveragedModel` with `get_ema_multi_avg_fn`, made from the first weights.
///
/// ```
/// use neural::optim::Average;
/// let average = Average::from(0.9);
/// assert_eq!((average.rate(1), average.debias), (1.0, true));
/// assert!((average.rate(1000) - 0.1).abs() < 1e-12);
/// assert_eq!(Average { debias: false, ..average }.rate(1), 1.0 - 0.9);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct Average {
    /// How much of the average stays in an update, from 0 to below 1.
    pub decay: f64,
    /// Whether the first weights are left out of it.
    #[serde(default = "yes")]
    pub debias: bool,
}

fn yes() -> bool {
    true
}

impl From<f64> for Average {
    fn from(decay: f64) -> Self {
        Self { decay, debias: true }
    }
}

impl Serialize for Average {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match *self == Average::from(self.decay) {
            true => serializer.serialize_f64(self.decay),
            false => Average::serialize(self, serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Average {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(transparent)]
        struct Table(#[serde(with = "Average")] Average);
        named::short(deserializer, "decay").map(|Table(average)| average)
    }
}

/// The name of a variable's average in a checkpoint.
pub(crate) fn name(variable: &str) -> String {
    format!("average.{variable}")
}

impl Average {
    /// How far the average goes towards the parameters in their update `update`, counted from 1.
    pub fn rate(&self, update: u64) -> f64 {
        match self.debias {
            // 1 - decayᵗ, exact where decayᵗ is close to 1 too.
            true => (1.0 - self.decay) / -(update as f64 * self.decay.ln()).exp_m1(),
            false => 1.0 - self.decay,
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        match (0.0..1.0).contains(&self.decay) {
            true => Ok(()),
            false => Err(Error::value("average", "a decay from 0 to below 1", self.decay)),
        }
    }
}
