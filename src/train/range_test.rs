//! Finds the learning rates at which a model trains: the range test of Smith, "Cyclical learning rates for training
//! neural networks" (2017).

use super::Trainer;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::optim::{Exponential, Schedule};
use crate::runtime::Device;
use std::ops::Range;

/// The losses of a run whose learning rate grew from step to step.
///
/// ```
/// use neural::train::RangeTest;
/// let test = RangeTest { losses: vec![(1e-3, 2.0), (1e-2, 1.0), (1e-1, 3.0)] };
/// assert_eq!((test.suggestion(), test.steepest()), (Some(1e-3), Some((1e-3, 2.0))));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RangeTest {
    /// Learning rate and smoothed loss of each step, up to the step at which the loss diverged.
    pub losses: Vec<(f64, f64)>,
}

/// How much of the average stays from one step to the next.
const SMOOTHING: f64 = 0.9;
/// The test ends when the loss is this many times the smallest one.
const DIVERGED: f64 = 4.0;

/// Trains for `steps` steps, with a learning rate that grows by the same factor in each, from one end of `rates` to
/// the other. It is a separate run, whose state is discarded.
///
/// ```
/// # use neural::{Array, data::{Dataset, Splits, Targets}, nn, runtime::Device, train::Trainer};
/// # let inputs = Array::new(&[4, 1], vec![-2f32, -1.0, 1.0, 2.0])?;
/// # let splits = Splits { train: vec![0, 1, 2, 3], ..Splits::default() };
/// # let data = Dataset::new(inputs, Targets::numbered(vec![0, 0, 1, 1])?, splits)?;
/// # let device = Device::cpu()?;
/// # let trainer = Trainer::new(nn::sequential([nn::dense(2)])).epochs(2);
/// let test = neural::train::range_test(&trainer, &device, &data, 1e-3..1.0, 10)?;
/// assert!(test.losses.len() <= 10);
/// assert!(neural::train::range_test(&trainer, &device, &data, 1.0..0.1, 10).is_err());
/// # Ok::<(), neural::Error>(())
/// ```
///
/// # Errors
/// When the rates are not above 0 and growing, there are fewer than 10 steps, or the run cannot be made.
pub fn range_test(
    trainer: &Trainer,
    device: &Device,
    data: &Dataset,
    rates: Range<f64>,
    steps: u64,
) -> Result<RangeTest> {
    if !(rates.start > 0.0 && rates.start < rates.end && rates.end.is_finite()) {
        return Err(Error::value(
            "learning rates",
            "two above 0, the first the smaller",
            format!("{rates:?}"),
        ));
    }
    if steps < 10 {
        return Err(Error::value("steps", "at least 10", steps));
    }
    let schedule =
        Schedule::from(Exponential { initial: rates.start, every: steps, factor: rates.end / rates.start });
    let mut trainer = trainer.clone();
    trainer.optimizer.learning_rate = schedule.clone();
    let mut run = trainer.start(device, data)?;
    let per_call = run.steps_per_call()?;

    let (mut losses, mut average, mut least) = (Vec::new(), 0.0, f64::INFINITY);
    'steps: while run.step() < steps {
        let first = run.step();
        let count = per_call.min(run.left_in_epoch()).min((steps - first) as usize);
        for (step, done) in (first..).zip(run.advance(count)?) {
            // Weighed so that the first steps count as much as the later ones.
            average = SMOOTHING * average + (1.0 - SMOOTHING) * f64::from(done.loss);
            let smoothed = average / (1.0 - SMOOTHING.powf((step + 1) as f64));
            if !smoothed.is_finite() || smoothed > DIVERGED * least {
                break 'steps;
            }
            least = least.min(smoothed);
            losses.push((schedule.at(step), smoothed));
        }
    }
    Ok(RangeTest { losses })
}

impl RangeTest {
    /// A rate to train with: a tenth of the one with the min loss, where the loss is about to grow again.
    pub fn suggestion(&self) -> Option<f64> {
        self.least().map(|(rate, _)| rate / 10.0)
    }

    /// The step with the min loss.
    pub fn least(&self) -> Option<(f64, f64)> {
        self.losses.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// The step at which the loss falls fastest over the logarithm of the rate.
    ///
    /// ```
    /// use neural::train::RangeTest;
    /// let test = RangeTest { losses: vec![(0.1, 3.0), (0.2, 2.9), (0.4, 1.0)] };
    /// assert_eq!(test.steepest(), Some((0.2, 2.9)));
    /// ```
    pub fn steepest(&self) -> Option<(f64, f64)> {
        let least = self.losses.iter().position(|point| Some(*point) == self.least())?;
        let slope = |pair: &[(f64, f64)]| (pair[1].1 - pair[0].1) / (pair[1].0 / pair[0].0).ln();
        let pairs = self.losses[..=least].windows(2);
        pairs.min_by(|a, b| slope(a).total_cmp(&slope(b))).map(|pair| pair[0])
    }
}
