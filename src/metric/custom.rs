//! Custom figures.

use super::{Answers, Direction, Metric};
use crate::error::{Error, Result};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Mutex, PoisonError};

/// A named function of a model's answers and the truth, see [`Metric::custom`]. It equals only itself.
pub struct CustomMetric {
    name: String,
    direction: Direction,
    measure: Box<Measure>,
}

type Measure = dyn Fn(&Answers<'_>) -> f64 + Send + Sync;

/// All custom figures so far: a [`Metric`] is `Copy` and refers to them, and a history names them.
static KNOWN: Mutex<Vec<&'static CustomMetric>> = Mutex::new(Vec::new());

impl Metric {
    /// A figure of one's own, of the answers for any rows; NaN where it is undefined. Epochs are reported with it, and
    /// it can be monitored. Its name consists of letters, digits, `-` and `_`; it stays known, with what `measure`
    /// holds, until the process ends.
    ///
    /// ```
    /// use neural::{metric::{Answers, Direction, Metric}, nn, train::{Monitor, Trainer}};
    /// // The largest error.
    /// let worst = Metric::custom("worst-error", Direction::Lower, |answers| match answers {
    ///     Answers::Values { outputs, targets, .. } => {
    ///         outputs.iter().zip(*targets).map(|(output, target)| (output - target).abs()).fold(0.0, f64::max)
    ///     }
    ///     _ => f64::NAN,
    /// })?;
    /// let answers = Answers::Values { outputs: &[1.0, 3.0], targets: &[1.0, 5.0], width: 1 };
    /// assert_eq!(answers.figures(&[worst]).to_string(), "worst-error 2.0000");
    /// let trainer = Trainer::new(nn::sequential([nn::dense(1)])).metrics([Metric::Mae, worst]);
    /// let monitor: Monitor = "validation-worst-error".parse()?;
    /// # assert_eq!(monitor, Monitor::Validation(worst));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When the name has other characters, or is the name of another kind of figure.
    pub fn custom(
        name: &str,
        direction: Direction,
        measure: impl Fn(&Answers<'_>) -> f64 + Send + Sync + 'static,
    ) -> Result<Self> {
        let is_name =
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
        if !is_name {
            return Err(Error::value("metric", "a name of letters, digits, - and _", format!("{name:?}")));
        }
        if name.parse().is_ok_and(|metric| !matches!(metric, Self::Custom(_))) {
            return Err(Error::value("metric", "a name that no other figure has", name));
        }
        let metric: &'static CustomMetric =
            Box::leak(Box::new(CustomMetric { name: name.into(), direction, measure: Box::new(measure) }));
        KNOWN.lock().unwrap_or_else(PoisonError::into_inner).push(metric);
        Ok(Self::Custom(metric))
    }
}

impl CustomMetric {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which of two values is the better one.
    pub fn direction(&self) -> Direction {
        self.direction
    }

    pub(super) fn measure(&self, answers: &Answers<'_>) -> f64 {
        (self.measure)(answers)
    }

    /// The latest of this name.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().rev().find(|metric| metric.name == name).copied()
    }
}

impl fmt::Debug for CustomMetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)
    }
}

impl PartialEq for CustomMetric {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for CustomMetric {}

impl Hash for CustomMetric {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::ptr::hash(self, state);
    }
}
