//! The initial values of variables.

use super::orthogonal::orthonormal;
use crate::array::{Array, DType, count};
use crate::error::{Error, Result};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;

/// An initialiser. `in` and `out` are the fans: how many inputs one output is computed from, and how many outputs
/// one input goes to.
///
/// ```
/// use neural::{DType, nn::Init};
/// let w = Init::HeNormal.array(DType::F32, &[64, 32], (32, 64), 1, "0.weight");
/// assert_eq!(w, Init::HeNormal.array(DType::F32, &[64, 32], (32, 64), 1, "0.weight"));
/// assert_ne!(w, Init::HeNormal.array(DType::F32, &[64, 32], (32, 64), 1, "2.weight"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Init {
    /// All 0.
    Zeros,
    /// All 1.
    Ones,
    /// All this number.
    Constant(f64),
    /// Normal with this standard deviation.
    Normal(f64),
    /// Normal with this standard deviation, drawn again beyond two of them.
    TruncatedNormal(f64),
    /// Uniform between minus and plus this.
    Uniform(f64),
    /// Uniform within ±√(6 / (in + out)) (Glorot and Bengio, 2010).
    #[default]
    GlorotUniform,
    /// Normal with variance 2 / (in + out).
    GlorotNormal,
    /// Uniform within ±√(6 / in) (He et al., 2015).
    HeUniform,
    /// Normal with variance 2 / in.
    HeNormal,
    /// Normal with variance 1 / in (LeCun et al., 1998).
    LecunNormal,
    /// Normal with variance 1 / (in + 1): weights and bias as one matrix, in which the bias is one more input, as
    /// *Programming Machine Learning* has it.
    AugmentedNormal,
    /// A matrix with orthonormal rows or columns, times this gain (Saxe et al., 2014).
    Orthogonal(f64),
}

impl Init {
    /// Checks that there are such values.
    ///
    /// # Errors
    /// When a deviation or a limit is negative, or a number is not finite.
    pub fn check(&self) -> Result<()> {
        let finite =
            |name: &str, value: f64, least: f64, expected: &str| match value.is_finite() && value >= least {
                true => Ok(()),
                false => Err(Error::value(format!("init {name}"), expected, value)),
            };
        let at_least_0 = "a finite number of at least 0";
        match *self {
            Init::Normal(deviation) => finite("normal", deviation, 0.0, at_least_0),
            Init::TruncatedNormal(deviation) => finite("truncated-normal", deviation, 0.0, at_least_0),
            Init::Uniform(limit) => finite("uniform", limit, 0.0, at_least_0),
            Init::Orthogonal(gain) => finite("orthogonal", gain, 0.0, at_least_0),
            Init::Constant(value) => finite("constant", value, f64::MIN, "a finite number"),
            _ => Ok(()),
        }
    }

    /// The values: a function of the arguments alone, the same on every machine.
    pub fn array(&self, dtype: DType, shape: &[usize], fans: (usize, usize), seed: u64, name: &str) -> Array {
        let mut draw = Draw(generator(seed, name));
        let n = count(shape);
        let (fan_in, fan_out) = (fans.0 as f64, fans.1 as f64);
        let mut normal = |deviation: f64| (0..n).map(|_| draw.normal() * deviation).collect::<Vec<_>>();
        let values = match *self {
            Init::Zeros => return Array::zeros(dtype, shape),
            Init::Ones => return Array::full(dtype, shape, 1.0),
            Init::Constant(value) => return Array::full(dtype, shape, value),
            Init::Normal(deviation) => normal(deviation),
            Init::GlorotNormal => normal((2.0 / (fan_in + fan_out)).sqrt()),
            Init::HeNormal => normal((2.0 / fan_in).sqrt()),
            Init::LecunNormal => normal((1.0 / fan_in).sqrt()),
            Init::AugmentedNormal => normal((1.0 / (fan_in + 1.0)).sqrt()),
            Init::TruncatedNormal(deviation) => (0..n).map(|_| draw.truncated() * deviation).collect(),
            Init::Uniform(limit) => draw.uniform_within(n, limit),
            Init::GlorotUniform => draw.uniform_within(n, (6.0 / (fan_in + fan_out)).sqrt()),
            Init::HeUniform => draw.uniform_within(n, (6.0 / fan_in).sqrt()),
            Init::Orthogonal(gain) => orthogonal(&normal(1.0), shape, gain),
        };
        let array = Array::vector(&values).cast(dtype);
        // The number of drawn values matches the shape.
        array.reshape(shape).unwrap_or_else(|_| Array::zeros(dtype, shape))
    }
}

/// A separate stream for each name: FNV-1a of the name selects it.
fn generator(seed: u64, name: &str) -> ChaCha8Rng {
    let hash =
        name.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    generator.set_stream(hash);
    generator
}

/// Uniform in [0, 1), with 53 random bits.
pub(crate) fn uniform(random: &mut impl Rng) -> f64 {
    (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

struct Draw(ChaCha8Rng);

impl Draw {
    fn uniform(&mut self) -> f64 {
        uniform(&mut self.0)
    }

    fn uniform_within(&mut self, n: usize, limit: f64) -> Vec<f64> {
        (0..n).map(|_| (2.0 * self.uniform() - 1.0) * limit).collect()
    }

    /// Standard normal, by the transform of Box and Muller.
    fn normal(&mut self) -> f64 {
        let (u, v) = (1.0 - self.uniform(), self.uniform());
        (-2.0 * u.ln()).sqrt() * (TAU * v).cos()
    }

    fn truncated(&mut self) -> f64 {
        loop {
            let value = self.normal();
            if value.abs() <= 2.0 {
                return value;
            }
        }
    }
}

/// The first axis against the rest as a matrix, with its shorter side orthonormal.
fn orthogonal(normal: &[f64], shape: &[usize], gain: f64) -> Vec<f64> {
    let rows = shape.first().copied().unwrap_or(1);
    let columns = normal.len() / rows.max(1);
    let (length, count) = (rows.max(columns), rows.min(columns));
    let vectors = orthonormal(normal, length, count);
    let at = |row: usize, column: usize| match columns >= rows {
        true => row * length + column,
        false => column * length + row,
    };
    let places = (0..rows).flat_map(|row| (0..columns).map(move |column| at(row, column)));
    places.map(|place| vectors[place] * gain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(init: &Init, shape: &[usize], fans: (usize, usize)) -> Vec<f64> {
        init.array(DType::F64, shape, fans, 3, "w").to_f64()
    }

    fn moments(values: &[f64]) -> (f64, f64) {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        (mean, (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt())
    }

    #[test]
    fn deviations_are_those_of_the_papers() {
        let fans = (300, 100);
        for (init, expected) in [
            (Init::Normal(0.5), 0.5),
            (Init::GlorotNormal, (2.0f64 / 400.0).sqrt()),
            (Init::GlorotUniform, (2.0f64 / 400.0).sqrt()),
            (Init::HeNormal, (2.0f64 / 300.0).sqrt()),
            (Init::HeUniform, (2.0f64 / 300.0).sqrt()),
            (Init::LecunNormal, (1.0f64 / 300.0).sqrt()),
            (Init::AugmentedNormal, (1.0f64 / 301.0).sqrt()),
            // The deviation of a normal cut at two of its deviations.
            (Init::TruncatedNormal(1.0), 0.879_625_66),
        ] {
            let (mean, deviation) = moments(&values(&init, &[100, 300], fans));
            assert!(mean.abs() < 4.0 * expected / 30_000f64.sqrt(), "{init:?}: mean {mean}");
            assert!((deviation / expected - 1.0).abs() < 0.02, "{init:?}: {deviation}, expected {expected}");
        }
    }

    /// Of a uniform orthogonal matrix of n rows the trace has mean 0 and variance 1, and an element variance 1 / n
    /// (Diaconis and Shahshahani, 1994).
    #[test]
    fn orthogonal_matrices_are_uniform() {
        const N: usize = 6;
        let count = 4000;
        let (mut trace, mut corners) = ([0.0; 2], [0.0; 4]);
        for seed in 0..count {
            let w = Init::Orthogonal(1.0).array(DType::F64, &[N, N], (N, N), seed, "w").to_f64();
            let sum: f64 = (0..N).map(|i| w[i * N + i]).sum();
            trace = [trace[0] + sum, trace[1] + sum * sum];
            for (corner, at) in corners.iter_mut().zip([0, N - 1, N * N - N, N * N - 1]) {
                *corner += w[at] * w[at];
            }
        }
        let of = |sum: f64| sum / count as f64;
        assert!(of(trace[0]).abs() < 0.08 && (of(trace[1]) - 1.0).abs() < 0.1, "{trace:?}");
        assert!(corners.iter().all(|&sum| (of(sum) * N as f64 - 1.0).abs() < 0.1), "{corners:?}");
    }

    #[test]
    fn orthogonal_matrices_are_orthogonal() {
        // Fewer reflections than `BLOCK`, exactly as many, and more; a row and a column.
        for (rows, columns) in [(5, 8), (8, 5), (1, 3), (3, 1), (64, 64), (150, 200), (140, 129)] {
            let w = values(&Init::Orthogonal(2.0), &[rows, columns], (columns, rows));
            let short = rows.min(columns);
            for a in 0..short {
                for b in 0..short {
                    let product: f64 = (0..rows.max(columns))
                        .map(|i| match rows < columns {
                            true => w[a * columns + i] * w[b * columns + i],
                            false => w[i * columns + a] * w[i * columns + b],
                        })
                        .sum();
                    let expected = if a == b { 4.0 } else { 0.0 };
                    assert!((product - expected).abs() < 1e-12, "{a} {b}: {product}");
                }
            }
        }
    }
}
