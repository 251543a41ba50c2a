//! The figure that selects the best epoch, and early stopping by it.

use super::Epoch;
use crate::metric::{Direction, Metric};
use crate::named;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// The figure by which epochs are compared; ties are broken by the loss of the same rows.
///
/// ```
/// use neural::metric::Metric;
/// use neural::train::Monitor;
/// assert_eq!("validation-roc-auc".parse(), Ok(Monitor::Validation(Metric::RocAuc)));
/// let error = "validation-acuracy".parse::<Monitor>().unwrap_err();
/// assert_eq!(error.to_string(), "validation-acuracy is not a monitor; did you mean validation-accuracy?");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Monitor {
    /// No figure: the last epoch is the best.
    Last,
    /// The loss while the epoch was trained.
    Loss,
    /// The part of rows that was classified correctly while the epoch was trained.
    Accuracy,
    /// The loss over the validation rows after the epoch.
    ValidationLoss,
    /// A figure of the validation rows after the epoch.
    Validation(Metric),
}

impl Monitor {
    /// The requested one; otherwise the validation loss if there is one, and the loss if not.
    pub fn chosen(asked: Option<Self>, has_validation: bool) -> Self {
        asked.unwrap_or(if has_validation { Self::ValidationLoss } else { Self::Loss })
    }

    /// Whether it is a figure of the validation rows.
    pub fn is_of_validation(self) -> bool {
        matches!(self, Self::ValidationLoss | Self::Validation(_))
    }

    /// The figure that the epochs must be evaluated for.
    pub fn metric(self) -> Option<Metric> {
        if let Self::Validation(metric) = self { Some(metric) } else { None }
    }

    /// Which of two values is the better one.
    pub fn direction(self) -> Direction {
        match self {
            Self::Last | Self::Accuracy => Direction::Higher,
            Self::Loss | Self::ValidationLoss => Direction::Lower,
            Self::Validation(metric) => metric.direction(),
        }
    }

    /// An epoch's figure; `None` if the epoch has none such.
    pub fn of(self, epoch: &Epoch) -> Option<f64> {
        let validation = epoch.validation.as_ref();
        match self {
            Self::Last => Some(epoch.number as f64),
            Self::Loss => Some(epoch.loss),
            Self::Accuracy => epoch.accuracy,
            Self::ValidationLoss => Some(validation?.loss),
            Self::Validation(metric) => validation?.get(metric),
        }
    }

    /// A value of the figure as people read it.
    pub fn show(self, value: f64) -> String {
        match self {
            _ if value.is_nan() => "-".to_string(),
            Self::Last => value.to_string(),
            Self::Loss | Self::ValidationLoss => crate::metric::number(value),
            Self::Accuracy => Metric::Accuracy.show(value),
            Self::Validation(metric) => metric.show(value),
        }
    }

    /// `Greater` where epoch `a` is better than `b`: by the figure, then by the loss.
    pub fn compare(self, a: &Epoch, b: &Epoch) -> Ordering {
        let figure = |epoch| self.of(epoch).unwrap_or(f64::NAN);
        let loss = |epoch: &Epoch| match &epoch.validation {
            Some(validation) if self.is_of_validation() => validation.loss,
            _ => epoch.loss,
        };
        let by_figure = self.direction().compare(figure(a), figure(b));
        by_figure.then_with(|| Direction::Lower.compare(loss(a), loss(b)))
    }

    /// The best of some epochs, the first of equals.
    ///
    /// ```
    /// # let epoch = |number, loss| neural::train::Epoch {
    /// #     number,
    /// #     loss,
    /// #     accuracy: None,
    /// #     validation: None,
    /// #     learning_rate: 0.1,
    /// #     seconds: 1.0,
    /// #     samples_per_second: 100.0,
    /// #     peak_memory: None,
    /// # };
    /// use neural::train::Monitor;
    /// let epochs = [epoch(1, 0.5), epoch(2, 0.25), epoch(3, 0.25)];
    /// assert_eq!(Monitor::Loss.best(&epochs).map(|epoch| epoch.number), Some(2));
    /// assert_eq!(Monitor::Last.best(&epochs).map(|epoch| epoch.number), Some(3));
    /// ```
    pub fn best(self, epochs: &[Epoch]) -> Option<&Epoch> {
        epochs.iter().reduce(|best, epoch| if self.compare(epoch, best).is_gt() { epoch } else { best })
    }

    fn names() -> impl Iterator<Item = String> {
        let plain =
            [Self::Last, Self::Loss, Self::Accuracy, Self::ValidationLoss].map(|monitor| monitor.to_string());
        // The loss is not a figure like the others.
        let figures = Metric::names().filter(|name| name.parse() != Ok(Metric::Loss));
        plain.into_iter().chain(figures.map(|name| format!("validation-{name}")))
    }
}

impl fmt::Display for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Last => f.pad("last"),
            Self::Loss => f.pad("loss"),
            Self::Accuracy => f.pad("accuracy"),
            Self::ValidationLoss => f.pad("validation-loss"),
            Self::Validation(metric) => f.pad(&format!("validation-{metric}")),
        }
    }
}

/// A name that no monitor has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnknownMonitor(String);

impl FromStr for Monitor {
    type Err = UnknownMonitor;

    fn from_str(name: &str) -> Result<Self, UnknownMonitor> {
        let plain = [Self::Last, Self::Loss, Self::Accuracy, Self::ValidationLoss];
        let plain = plain.into_iter().find(|monitor| monitor.to_string() == name);
        let figure =
            || name.strip_prefix("validation-").and_then(|metric| metric.parse().ok()).map(Self::Validation);
        plain.or_else(figure).ok_or_else(|| {
            let names: Vec<String> = Self::names().collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            UnknownMonitor(named::unknown("a monitor", name, &names))
        })
    }
}

impl Serialize for Monitor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Monitor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// When training stops because it gets no better.
///
/// ```
/// use neural::train::EarlyStopping;
/// let stopping: EarlyStopping = toml::from_str("patience = 5")?;
/// assert_eq!(stopping, EarlyStopping { patience: 5, min_delta: 0.0 });
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as { patience = 5 }")]
pub struct EarlyStopping {
    /// How many epochs without progress are waited for.
    pub patience: u64,
    /// Progress is more than this.
    #[serde(default)]
    pub min_delta: f64,
}

impl EarlyStopping {
    /// Whether the last `patience` epochs made no progress in the monitor's figure.
    pub fn is_due(self, monitor: Monitor, epochs: &[Epoch]) -> bool {
        let (mut best, mut since) = (None, 0);
        for figure in epochs.iter().filter_map(|epoch| monitor.of(epoch)) {
            let gain = |best: f64| match monitor.direction() {
                Direction::Higher => figure - best,
                Direction::Lower => best - figure,
            };
            if figure.is_finite() && best.is_none_or(|best| gain(best) > self.min_delta) {
                (best, since) = (Some(figure), 0);
            } else {
                since += 1;
            }
        }
        since > 0 && since >= self.patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::Figures;
    use crate::train::Score;

    /// An epoch with the validation figures loss and accuracy.
    fn epoch(number: u64, loss: f64, accuracy: f64) -> Epoch {
        let figures = Figures(vec![(Metric::Accuracy, accuracy)]);
        Epoch {
            number,
            loss: 1.0,
            accuracy: None,
            validation: Some(Score { rows: 10, loss, figures }),
            learning_rate: 0.1,
            seconds: 1.0,
            samples_per_second: 1.0,
            peak_memory: None,
        }
    }

    #[test]
    fn ties_are_broken_by_the_loss_and_what_is_no_number_is_worst() {
        let accuracy = Monitor::Validation(Metric::Accuracy);
        let epochs =
            [epoch(1, 0.9, 0.8), epoch(2, 0.5, 0.9), epoch(3, 0.4, 0.9), epoch(4, f64::NAN, f64::NAN)];
        let best = |monitor: Monitor| monitor.best(&epochs).map(|epoch| epoch.number);
        assert_eq!(best(accuracy), Some(3));
        assert_eq!(best(Monitor::ValidationLoss), Some(3));
        assert_eq!(best(Monitor::Last), Some(4));
        assert_eq!(accuracy.best(&epochs[3..]).map(|epoch| epoch.number), Some(4));
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        let names: std::collections::BTreeSet<String> = Monitor::names().collect();
        assert_eq!(names.len(), Monitor::names().count(), "each once");
        for name in Monitor::names() {
            let monitor: Monitor = name.parse().unwrap();
            assert_eq!(monitor.to_string(), name);
        }
        assert_eq!("validation-top-3-accuracy".parse(), Ok(Monitor::Validation(Metric::TopAccuracy(3))));
    }

    #[test]
    fn stopping_waits_for_progress_in_the_figures_own_direction() {
        let stopping = EarlyStopping { patience: 2, min_delta: 0.0 };
        let accuracy = Monitor::Validation(Metric::Accuracy);
        let rising = [epoch(1, 0.9, 0.8), epoch(2, 0.9, 0.85), epoch(3, 0.9, 0.9)];
        assert!(!stopping.is_due(accuracy, &rising));
        assert!(stopping.is_due(Monitor::ValidationLoss, &rising));
        let little = EarlyStopping { min_delta: 0.1, ..stopping };
        assert!(little.is_due(accuracy, &rising));
        let undefined = [epoch(1, 0.9, f64::NAN), epoch(2, 0.9, f64::NAN)];
        assert!(stopping.is_due(accuracy, &undefined));
    }
}
