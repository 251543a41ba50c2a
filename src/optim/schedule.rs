//! Learning rates that change over time.

use crate::error::{Error, Result};
use crate::named::{self, Named};
use serde::{Deserialize, Deserializer, Serialize};
use std::f64::consts::PI;

/// A learning rate for each step, counted from 0. The rate is an input of the training program, so no schedule ever
/// compiles anything again. In a recipe a plain number is a constant one.
///
/// ```
/// use neural::optim::Schedule;
/// let schedule = Schedule::Cosine { initial: 0.1, steps: 100, end: 0.0 };
/// assert_eq!(schedule.at(0), 0.1);
/// assert!((schedule.at(50) - 0.05).abs() < 1e-15);
/// assert_eq!(schedule.at(1000), 0.0);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", remote = "Self", deny_unknown_fields)]
pub enum Schedule {
    Constant(f64),
    /// initial · factor^⌊step / every⌋
    Step {
        initial: f64,
        every: u64,
        factor: f64,
    },
    /// initial · factor^(step / every)
    Exponential {
        initial: f64,
        every: u64,
        factor: f64,
    },
    /// From `initial` down to `final` in `steps` steps along half a cosine (Loshchilov and Hutter, 2017).
    Cosine {
        initial: f64,
        steps: u64,
        #[serde(rename = "final", default)]
        end: f64,
    },
    /// One cycle (Smith and Topin, 2018), as in `PyTorch`: along half cosines from peak / `start_factor` up to `peak`
    /// in the first part `warmup` of `steps`, and down to peak / `start_factor` / `final_factor`.
    OneCycle {
        peak: f64,
        steps: u64,
        #[serde(default = "third")]
        warmup: f64,
        #[serde(default = "start_factor")]
        start_factor: f64,
        #[serde(default = "final_factor")]
        final_factor: f64,
    },
    /// `initial`, then from each step in `at` on the rate beside it.
    Piecewise {
        initial: f64,
        at: Vec<(u64, f64)>,
    },
    /// From 0 along a line to the first rate of `then` in `steps` steps, then `then`.
    Warmup {
        steps: u64,
        then: Box<Schedule>,
    },
}

fn third() -> f64 {
    0.3
}

fn start_factor() -> f64 {
    25.0
}

fn final_factor() -> f64 {
    1e4
}

impl Serialize for Schedule {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Schedule::Constant(rate) => serializer.serialize_f64(*rate),
            other => Schedule::serialize(other, serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Schedule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        named::number_or(deserializer, Schedule::Constant)
    }
}

impl Named for Schedule {
    const WHAT: &'static str = "a learning rate schedule";
    const NAMES: &'static [&'static str] =
        &["constant", "step", "exponential", "cosine", "one-cycle", "piecewise", "warmup"];

    fn read<'de, D: Deserializer<'de>>(name: &str, settings: D) -> std::result::Result<Self, D::Error> {
        named::variant(name, "initial", settings, |one| Schedule::deserialize(one))
    }
}

impl From<f64> for Schedule {
    fn from(rate: f64) -> Self {
        Schedule::Constant(rate)
    }
}

impl Schedule {
    /// The learning rate of step `step`.
    ///
    /// ```
    /// use neural::optim::Schedule;
    /// let halved = Schedule::Step { initial: 0.4, every: 10, factor: 0.5 };
    /// assert_eq!((halved.at(9), halved.at(10)), (0.4, 0.2));
    /// ```
    pub fn at(&self, step: u64) -> f64 {
        let t = step as f64;
        // From `a` at 0 to `b` at 1, flat at both ends.
        let anneal =
            |a: f64, b: f64, part: f64| b + (a - b) * (1.0 + (PI * part.clamp(0.0, 1.0)).cos()) / 2.0;
        match self {
            Schedule::Constant(rate) => *rate,
            Schedule::Step { initial, every, factor } => initial * factor.powf((step / every.max(&1)) as f64),
            Schedule::Exponential { initial, every, factor } => {
                initial * factor.powf(t / (*every).max(1) as f64)
            }
            Schedule::Cosine { steps, end, .. } if step >= *steps => *end,
            Schedule::Cosine { initial, steps, end } => anneal(*initial, *end, t / *steps as f64),
            Schedule::OneCycle { peak, steps, warmup, start_factor, final_factor } => {
                // PyTorch counts the peak and the end as the last steps of their parts.
                let top = warmup * *steps as f64 - 1.0;
                let end = *steps as f64 - 1.0;
                let start = peak / start_factor;
                if t <= top && top > 0.0 {
                    anneal(start, *peak, t / top)
                } else {
                    anneal(*peak, start / final_factor, (t - top) / (end - top).max(1e-9))
                }
            }
            Schedule::Piecewise { initial, at } => {
                at.iter().rev().find(|(from, _)| step >= *from).map_or(*initial, |(_, rate)| *rate)
            }
            Schedule::Warmup { steps, then } if step < *steps => then.at(0) * t / *steps as f64,
            Schedule::Warmup { steps, then } => then.at(step - steps),
        }
    }

    /// ```
    /// use neural::optim::Schedule;
    /// assert!(Schedule::Constant(0.1).check().is_ok() && Schedule::Constant(-0.1).check().is_err());
    /// ```
    ///
    /// # Errors
    /// When a rate is negative or not finite, or a length is 0.
    pub fn check(&self) -> Result<()> {
        let rate = |name: &str, value: f64| match value.is_finite() && value >= 0.0 {
            true => Ok(()),
            false => Err(Error::value(name, "a finite number of at least 0", value)),
        };
        let length = |name: &str, value: u64| match value {
            0 => Err(Error::value(name, "a number of steps above 0", value)),
            _ => Ok(()),
        };
        match self {
            Schedule::Constant(value) => rate("learning_rate", *value),
            Schedule::Step { initial, every, factor } | Schedule::Exponential { initial, every, factor } => {
                rate("initial", *initial)?;
                rate("factor", *factor)?;
                length("every", *every)
            }
            Schedule::Cosine { initial, steps, end } => {
                rate("initial", *initial)?;
                rate("final", *end)?;
                length("steps", *steps)
            }
            Schedule::OneCycle { peak, steps, warmup, start_factor, final_factor } => {
                rate("peak", *peak)?;
                length("steps", *steps)?;
                if !(0.0..=1.0).contains(warmup) {
                    return Err(Error::value("warmup", "a part from 0 to 1", warmup));
                }
                for (name, factor) in [("start_factor", *start_factor), ("final_factor", *final_factor)] {
                    if !(factor.is_finite() && factor > 0.0) {
                        return Err(Error::value(name, "a finite number above 0", factor));
                    }
                }
                Ok(())
            }
            Schedule::Piecewise { initial, at } => {
                rate("initial", *initial)?;
                at.iter().try_for_each(|(_, value)| rate("at", *value))
            }
            Schedule::Warmup { steps, then } => {
                length("steps", *steps)?;
                then.check()
            }
        }
    }
}
