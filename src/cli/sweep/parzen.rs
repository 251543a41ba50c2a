//! Tree-structured Parzen estimators (Bergstra et al. 2011) over all keys together, as keys depend on one another: the best
//! rate is another one with each momentum. The densities are mixtures of a kernel around each trial, a product over the
//! keys, as in BOHB (Falkner et al. 2018).

use crate::variables::uniform;
use rand_chacha::rand_core::Rng;
use std::f64::consts::PI;

/// The share of trials that count as good, rounded up, and their max number.
const GOOD: (f64, usize) = (0.1, 25);

/// How many points are drawn from the density of the good trials; the most promising is taken.
const CANDIDATES: usize = 24;

/// The standard deviation of a kernel around one trial alone, where a range is as wide as 1.
const DEVIATION: f64 = 0.2;

/// The values that a coordinate may have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Axis {
    /// A range, scaled to 0 to 1.
    Range,
    /// The places of a list of this length.
    Places(usize),
}

/// A point that resembles the good ones of `seen` and not the others. A point has a coordinate for each axis, and a value
/// that is better the lower it is.
pub(super) fn propose(axes: &[Axis], seen: &[(Vec<f64>, f64)], random: &mut impl Rng) -> Vec<f64> {
    let mut ordered: Vec<&(Vec<f64>, f64)> = seen.iter().collect();
    ordered.sort_by(|a, b| a.1.total_cmp(&b.1));
    let good = ((GOOD.0 * ordered.len() as f64).ceil() as usize).min(GOOD.1);
    let (good, others) = ordered.split_at(good);
    let (good, others) = (Mixture::around(axes, good), Mixture::around(axes, others));
    let gain = |point: &[f64]| good.log_density(point) - others.log_density(point);
    let candidates = (0..CANDIDATES).map(|_| good.draw(random)).map(|point| (gain(&point), point));
    candidates.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, point)| point).unwrap_or_default()
}

/// A kernel around each of some points, and an even density, all of the same weight.
struct Mixture<'a> {
    axes: &'a [Axis],
    centers: Vec<&'a [f64]>,
    /// The scale of the logistic distributions.
    scale: f64,
    /// The weight of each place of a list under the even density, where the center's own place has 1.
    even: f64,
}

impl<'a> Mixture<'a> {
    fn around(axes: &'a [Axis], seen: &[&'a (Vec<f64>, f64)]) -> Self {
        let count = seen.len().max(1) as f64;
        // Scott's rule.
        let deviation = DEVIATION * count.powf(-1.0 / (axes.len() as f64 + 4.0));
        Self {
            axes,
            centers: seen.iter().map(|(point, _)| &point[..]).collect(),
            scale: deviation * 3f64.sqrt() / PI,
            even: 1.0 / (count + 1.0),
        }
    }

    fn draw(&self, random: &mut impl Rng) -> Vec<f64> {
        let place = (uniform(random) * (self.centers.len() + 1) as f64) as usize;
        let center = self.centers.get(place);
        let coordinate = |(i, axis): (usize, &Axis)| match (*axis, center) {
            (Axis::Range, None) => uniform(random),
            (Axis::Range, Some(center)) => self.near(center[i], uniform(random)),
            (Axis::Places(count), center) => {
                // The center itself has the weight 1, and each place its even share.
                let drawn = uniform(random) * (count as f64 * self.even + 1.0) - 1.0;
                match center {
                    Some(center) if drawn < 0.0 => center[i],
                    Some(_) => (drawn / self.even).floor().min(count as f64 - 1.0),
                    None => (uniform(random) * count as f64).floor(),
                }
            }
        };
        self.axes.iter().enumerate().map(coordinate).collect()
    }

    /// The quantile of a logistic distribution around `center`, cut off at 0 and at 1.
    fn near(&self, center: f64, share: f64) -> f64 {
        let [low, high] = [0.0, 1.0].map(|end| below((end - center) / self.scale));
        let share = low + (high - low) * share;
        (center + self.scale * (share / (1.0 - share)).ln()).clamp(0.0, 1.0)
    }

    fn log_density(&self, point: &[f64]) -> f64 {
        let even: f64 = self.axes.iter().map(|axis| axis.log_even()).sum();
        let kernels = self.centers.iter().map(|center| {
            let coordinates = self.axes.iter().zip(*center).zip(point);
            coordinates.map(|((axis, center), x)| self.log_kernel(*axis, *center, *x)).sum()
        });
        let logs: Vec<f64> = kernels.chain([even]).collect();
        let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        most + (logs.iter().map(|log| (log - most).exp()).sum::<f64>() / logs.len() as f64).ln()
    }

    fn log_kernel(&self, axis: Axis, center: f64, x: f64) -> f64 {
        match axis {
            Axis::Range => {
                let z = (x - center) / self.scale;
                let inside = below((1.0 - center) / self.scale) - below(-center / self.scale);
                (below(z) * below(-z) / (self.scale * inside)).ln()
            }
            Axis::Places(count) => {
                let weight = if x == center { 1.0 + self.even } else { self.even };
                (weight / (1.0 + count as f64 * self.even)).ln()
            }
        }
    }
}

impl Axis {
    /// The logarithm of an even density.
    fn log_even(self) -> f64 {
        match self {
            Axis::Range => 0.0,
            Axis::Places(count) => -(count as f64).ln(),
        }
    }
}

/// The logistic distribution function.
fn below(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    const AXES: [Axis; 2] = [Axis::Range, Axis::Places(3)];

    #[test]
    fn densities_come_to_one_and_are_drawn_from() {
        let seen = [(vec![0.1, 2.0], 1.0), (vec![0.95, 0.0], 2.0), (vec![0.5, 2.0], 3.0)];
        let mixture = Mixture::around(&AXES, &seen.iter().collect::<Vec<_>>());
        const CELLS: usize = 20;
        let mut expected = vec![0.0; 3 * CELLS];
        for (cell, expected) in expected.iter_mut().enumerate() {
            let (column, place) = (cell / 3, (cell % 3) as f64);
            // Simpson's rule over the cell.
            let at = |part: f64| mixture.log_density(&[(column as f64 + part) / CELLS as f64, place]).exp();
            *expected = (at(0.0) + 4.0 * at(0.5) + at(1.0)) / 6.0 / CELLS as f64;
        }
        assert!((expected.iter().sum::<f64>() - 1.0).abs() < 1e-4, "{expected:?}");
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut counts = vec![0.0; expected.len()];
        const DRAWS: usize = 60_000;
        for _ in 0..DRAWS {
            let point = mixture.draw(&mut random);
            counts[((point[0] * CELLS as f64) as usize).min(CELLS - 1) * 3 + point[1] as usize] += 1.0;
        }
        // The statistic of a chi-squared test with 59 degrees of freedom: 98.3 is passed once in a thousand.
        let off = |(count, share): (f64, f64)| {
            let expected = share * DRAWS as f64;
            (count - expected).powi(2) / expected
        };
        let statistic: f64 = counts.into_iter().zip(expected).map(off).sum();
        assert!(statistic < 98.3, "{statistic}");
    }

    #[test]
    fn a_proposal_lies_in_the_space_and_near_what_is_good() {
        let mut random = ChaCha8Rng::seed_from_u64(2);
        let seen: Vec<(Vec<f64>, f64)> = (0..50)
            .map(|i| {
                let point = vec![uniform(&mut random), f64::from(i % 3)];
                let value = (point[0] - 0.9).abs() + f64::from(u8::from(point[1] != 1.0));
                (point, value)
            })
            .collect();
        let mut near = 0;
        for _ in 0..100 {
            let point = propose(&AXES, &seen, &mut random);
            assert!((0.0..=1.0).contains(&point[0]) && [0.0, 1.0, 2.0].contains(&point[1]), "{point:?}");
            near += usize::from(point[0] > 0.75 && point[1] == 1.0);
        }
        assert!(near > 60, "{near} of 100; by chance 8");
    }
}
