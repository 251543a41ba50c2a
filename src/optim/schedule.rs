//! Learning rates that change over time.

use crate::error::{Error, Result};
use crate::named;
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// Makes [`Schedule`] of the table of schedules, see [`named::table`]. The settings of each are a type with
/// `at(step)` and `check()`.
macro_rules! schedules {
    (
        $(#[$attribute:meta])*
        pub enum Schedule {
            $(
                $(#[doc = $doc:literal])+
                $Variant:ident($Settings:ty) = $name:literal $(| $alias:literal)* $(, short $short:literal)?;
            )+
        }
    ) => {
        named::table! {
            $(#[$attribute])*
            pub enum Schedule: "a learning rate schedule" or Constant {
                $($(#[doc = $doc])+ $Variant($Settings) = $name $(| $alias)* $(, short $short)?;)+
            }
        }

        impl Schedule {
            /// The learning rate of step `step`.
            ///
            /// ```
            /// use neural::optim::{Schedule, StepDecay};
            /// let halved = Schedule::from(StepDecay { initial: 0.4, every: 10, factor: 0.5 });
            /// assert_eq!((halved.at(9), halved.at(10)), (0.4, 0.2));
            /// ```
            pub fn at(&self, step: u64) -> f64 {
                match self {
                    $(Schedule::$Variant(schedule) => schedule.at(step),)+
                }
            }

            /// Checks that every rate is one to train with.
            ///
            /// # Errors
            /// When a rate is negative or not finite, or a length is 0.
            pub fn check(&self) -> Result<()> {
                match self {
                    $(Schedule::$Variant(schedule) => schedule.check(),)+
                }
            }
        }

        $(
            impl From<$Settings> for Schedule {
                fn from(schedule: $Settings) -> Self {
                    Schedule::$Variant(schedule)
                }
            }
        )+
    };
}

schedules! {
    /// A learning rate for each step, counted from 0. The rate is an input of the training program, so no schedule ever
    /// compiles anything again. In a recipe a plain number is a constant one.
    ///
    /// ```
    /// use neural::optim::{Cosine, Schedule};
    /// let schedule = Schedule::from(Cosine { initial: 0.1, steps: 100, end: 0.0 });
    /// assert_eq!(schedule.at(0), 0.1);
    /// assert!((schedule.at(50) - 0.05).abs() < 1e-15);
    /// assert_eq!(schedule.at(1000), 0.0);
    /// ```
    #[derive(Clone, Debug, PartialEq)]
    pub enum Schedule {
        /// The same rate at every step; a plain number means it.
        Constant(f64) = "constant";
        /// initial · factor^⌊step / every⌋. `initial`, `every`, `factor`
        Step(StepDecay) = "step" | "steplr";
        /// initial · factor^(step / every). `initial`, `every`, `factor`
        Exponential(Exponential) = "exponential" | "exponentiallr" | "exponentialdecay";
        /// From `initial` down to `final` in `steps` steps along half a cosine. `initial`, `steps`, `final` (0 if absent)
        Cosine(Cosine) = "cosine" | "cosineannealinglr" | "cosinedecay";
        /// One cycle: along half cosines from `peak` / `start_factor` up to `peak` in the first part `warmup` of `steps`, and
        /// down to `peak` / `start_factor` / `final_factor`. `peak`, `steps`, `warmup` (0.3 if absent), `start_factor` (25),
        /// `final_factor` (10,000)
        OneCycle(OneCycle) = "one-cycle" | "onecyclelr";
        /// `initial`, then from each step in `at` on the rate beside it. `initial`, `at = [[step, rate], …]`
        Piecewise(Piecewise) = "piecewise" | "piecewiseconstantdecay";
        /// From 0 along a line to the first rate of the schedule `then` in `steps` steps, then that schedule. `steps`, `then`
        Warmup(Warmup) = "warmup";
    }
}

/// A rate that is multiplied by `factor` every `every` steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepDecay {
    /// The rate before the first change.
    pub initial: f64,
    /// Steps between two changes; at least 1.
    pub every: u64,
    /// The factor of each change.
    pub factor: f64,
}

/// A rate that falls a little at each step, by `factor` in `every` steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exponential {
    /// The rate at step 0.
    pub initial: f64,
    /// Steps in which the rate falls by `factor`; at least 1.
    pub every: u64,
    /// The factor over `every` steps.
    pub factor: f64,
}

/// Half a cosine (Loshchilov and Hutter, 2017): from `initial` at step 0 to `end` at step `steps` and after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cosine {
    /// The rate at step 0.
    pub initial: f64,
    /// Steps to the end of the curve; at least 1.
    pub steps: u64,
    /// The rate from there on; 0 if absent. Recipes call it `final`.
    #[serde(rename = "final", default)]
    pub end: f64,
}

/// One cycle (Smith and Topin, 2018), as in `PyTorch`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OneCycle {
    /// The highest rate.
    pub peak: f64,
    /// Steps of the whole cycle; at least 1.
    pub steps: u64,
    /// The part of the steps in which the rate rises.
    #[serde(default = "third")]
    pub warmup: f64,
    /// The first rate is `peak / start_factor`; 25 if absent.
    #[serde(default = "start_factor")]
    pub start_factor: f64,
    /// The last rate is the first one divided by it; 10,000 if absent.
    #[serde(default = "final_factor")]
    pub final_factor: f64,
}

/// `initial`, then from each step in `at` on the rate beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Piecewise {
    /// The rate before the first step of `at`.
    pub initial: f64,
    /// Steps, each with the rate from there on.
    pub at: Vec<(u64, f64)>,
}

/// From 0 along a line to the first rate of `then` in `steps` steps, then `then` from its own step 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Warmup {
    /// Steps of the warm-up.
    pub steps: u64,
    /// The schedule after it.
    pub then: Box<Schedule>,
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

/// A plain number as a schedule.
trait Constant {
    fn at(&self, step: u64) -> f64;
    fn check(&self) -> Result<()>;
}

impl Constant for f64 {
    fn at(&self, _: u64) -> f64 {
        *self
    }

    fn check(&self) -> Result<()> {
        check_rate("learning_rate", *self)
    }
}

impl StepDecay {
    fn at(&self, step: u64) -> f64 {
        self.initial * self.factor.powf((step / self.every.max(1)) as f64)
    }

    fn check(&self) -> Result<()> {
        check_decay(self.initial, self.factor, self.every)
    }
}

impl Exponential {
    fn at(&self, step: u64) -> f64 {
        self.initial * self.factor.powf(step as f64 / self.every.max(1) as f64)
    }

    fn check(&self) -> Result<()> {
        check_decay(self.initial, self.factor, self.every)
    }
}

impl Cosine {
    fn at(&self, step: u64) -> f64 {
        match step >= self.steps {
            true => self.end,
            false => anneal(self.initial, self.end, step as f64 / self.steps as f64),
        }
    }

    fn check(&self) -> Result<()> {
        check_rate("initial", self.initial)?;
        check_rate("final", self.end)?;
        check_length("steps", self.steps)
    }
}

impl OneCycle {
    fn at(&self, step: u64) -> f64 {
        let (t, steps) = (step as f64, self.steps as f64);
        // PyTorch counts the peak and the end as the last steps of their parts.
        let (top, end) = (self.warmup * steps - 1.0, steps - 1.0);
        let start = self.peak / self.start_factor;
        if t <= top && top > 0.0 {
            anneal(start, self.peak, t / top)
        } else {
            anneal(self.peak, start / self.final_factor, (t - top) / (end - top).max(1e-9))
        }
    }

    fn check(&self) -> Result<()> {
        check_rate("peak", self.peak)?;
        check_length("steps", self.steps)?;
        if !(0.0..=1.0).contains(&self.warmup) {
            return Err(Error::value("warmup", "a part from 0 to 1", self.warmup));
        }
        for (name, factor) in [("start_factor", self.start_factor), ("final_factor", self.final_factor)] {
            if !(factor.is_finite() && factor > 0.0) {
                return Err(Error::value(name, "a finite number above 0", factor));
            }
        }
        Ok(())
    }
}

impl Piecewise {
    fn at(&self, step: u64) -> f64 {
        let last = self.at.iter().rev().find(|(from, _)| step >= *from);
        last.map_or(self.initial, |(_, rate)| *rate)
    }

    fn check(&self) -> Result<()> {
        check_rate("initial", self.initial)?;
        self.at.iter().try_for_each(|(_, rate)| check_rate("at", *rate))
    }
}

impl Warmup {
    fn at(&self, step: u64) -> f64 {
        match step.checked_sub(self.steps) {
            None => self.then.at(0) * step as f64 / self.steps as f64,
            Some(later) => self.then.at(later),
        }
    }

    fn check(&self) -> Result<()> {
        check_length("steps", self.steps)?;
        self.then.check()
    }
}

/// From `a` at 0 to `b` at 1 along half a cosine, flat at both ends.
fn anneal(a: f64, b: f64, part: f64) -> f64 {
    b + (a - b) * (1.0 + (PI * part.clamp(0.0, 1.0)).cos()) / 2.0
}

fn check_rate(name: &str, rate: f64) -> Result<()> {
    match rate.is_finite() && rate >= 0.0 {
        true => Ok(()),
        false => Err(Error::value(name, "a finite number of at least 0", rate)),
    }
}

fn check_length(name: &str, steps: u64) -> Result<()> {
    match steps {
        0 => Err(Error::value(name, "a number of steps above 0", steps)),
        _ => Ok(()),
    }
}

fn check_decay(initial: f64, factor: f64, every: u64) -> Result<()> {
    check_rate("initial", initial)?;
    check_rate("factor", factor)?;
    check_length("every", every)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_has_the_table() {
        named::reference::check("schedules", Schedule::REFERENCE);
    }

    #[test]
    fn a_schedule_is_written_as_it_is_read() {
        for text in
            ["0.1", r#"{"warmup":{"steps":2,"then":{"cosine":{"initial":0.1,"steps":9,"final":0.0}}}}"#]
        {
            let schedule: Schedule = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&schedule).unwrap(), text);
        }
        assert_eq!(serde_json::from_str::<Schedule>(r#"{"constant":0.1}"#).unwrap(), 0.1.into());
    }
}
