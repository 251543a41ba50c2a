//! The names of figures, under which they are chosen, shown and kept everywhere.

use super::counts::Average;
use super::custom::CustomMetric;
use super::output::{self, OutputMetric};
use crate::named;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// A figure of how good a model is.
///
/// Its name is the same in recipes, tables, files and JSON.
///
/// ```
/// use neural::metric::{Average, Metric};
/// let metric: Metric = "f1-macro".parse()?;
/// assert_eq!(metric, Metric::F1(Average::Macro));
/// assert_eq!(metric.show(0.98765), "98.77%");
/// let error = "f1_makro".parse::<Metric>().unwrap_err();
/// assert_eq!(error.to_string(), "f1_makro is not a metric; did you mean f1-macro?");
/// # Ok::<(), neural::metric::UnknownMetric>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Metric {
    /// The part of rows that was classified correctly.
    Accuracy,
    /// The mean recall of the classes.
    BalancedAccuracy,
    /// The part of rows whose class is among the `k` most probable ones.
    TopAccuracy(usize),
    /// The part of all labels of all rows that was correct.
    LabelAccuracy,
    /// The part of rows whose labels were all correct.
    ExactMatch,
    /// Of the answers for a class, the part that is correct.
    Precision(Average),
    /// Of the rows of a class, the part that was found.
    Recall(Average),
    /// The harmonic mean of precision and recall.
    F1(Average),
    /// The area under the ROC curve: of two classes the second one's, of more and of labels the mean.
    RocAuc,
    /// The area under precision over recall, averaged as [`Metric::RocAuc`].
    AveragePrecision,
    /// The mean of -ln p of the truth, without weights and smoothing.
    LogLoss,
    /// The mean squared distance of probabilities from the truth.
    Brier,
    /// The expected calibration error, in 15 bins of equal width.
    CalibrationError,
    /// Of classes at positions: the mean over the classes that occur of TP / (TP + FP + FN), the intersection of a
    /// class's true and predicted positions over their union (`jaccard_score` with `average="macro"`).
    MeanIou,
    /// Of classes at positions: exp(log loss), the number of equally likely tokens with the same uncertainty.
    Perplexity,
    /// The mean over outputs of the root of the mean squared error, in the targets' own units.
    Rmse,
    /// The mean over outputs of the mean squared error.
    Mse,
    /// The mean over outputs of the mean absolute error, in the targets' own units.
    Mae,
    /// The mean over outputs of the median absolute error, in the targets' own units.
    MedianAbsoluteError,
    /// The mean over outputs of the part of the variance that is explained.
    R2,
    /// The loss itself, as a figure of one of several outputs.
    Loss,
    /// A figure of one of several outputs, see [`Metric::of_output`].
    Output(&'static OutputMetric),
    /// See [`Metric::custom`].
    Custom(&'static CustomMetric),
}

/// The task of a model, which decides its figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Task {
    /// One of several classes a row; `probabilities` tells whether the outputs are a distribution over them.
    Classes {
        /// The number of classes.
        classes: usize,
        /// Whether the outputs make a distribution over them.
        probabilities: bool,
    },
    /// The same at each position of a sequence or pixel of a picture.
    Positions {
        /// The number of classes.
        classes: usize,
        /// Whether the outputs make a distribution over them.
        probabilities: bool,
    },
    /// Several labels a row, each with a probability of being present.
    Labels,
    /// Numbers.
    Values,
}

/// Whether larger or smaller figures are better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// As with an accuracy.
    Higher,
    /// As with a loss.
    Lower,
}

impl Direction {
    /// `Greater` where `a` is better than `b`. A number that is not one is worse than all others.
    ///
    /// ```
    /// use neural::metric::Direction;
    /// assert!(Direction::Lower.compare(0.1, 0.2).is_gt());
    /// assert!(Direction::Higher.compare(f64::NAN, 0.2).is_lt());
    /// ```
    pub fn compare(self, a: f64, b: f64) -> Ordering {
        match (a.is_nan(), b.is_nan()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) if self == Self::Higher => a.total_cmp(&b),
            (false, false) => b.total_cmp(&a),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Percent,
    Number,
}

type Row = (Metric, &'static str, Direction, Style);

/// All figures, in display order.
const TABLE: &[Row] = {
    use Average::{Macro, Micro, Positive, Weighted};
    use Direction::{Higher, Lower};
    use Metric as M;
    use Style::{Number, Percent};
    &[
        (M::Accuracy, "accuracy", Higher, Percent),
        (M::BalancedAccuracy, "balanced-accuracy", Higher, Percent),
        (M::TopAccuracy(5), "top-5-accuracy", Higher, Percent),
        (M::LabelAccuracy, "label-accuracy", Higher, Percent),
        (M::ExactMatch, "exact-match", Higher, Percent),
        (M::Precision(Positive), "precision", Higher, Percent),
        (M::Recall(Positive), "recall", Higher, Percent),
        (M::F1(Positive), "f1", Higher, Percent),
        (M::Precision(Macro), "precision-macro", Higher, Percent),
        (M::Recall(Macro), "recall-macro", Higher, Percent),
        (M::F1(Macro), "f1-macro", Higher, Percent),
        (M::Precision(Micro), "precision-micro", Higher, Percent),
        (M::Recall(Micro), "recall-micro", Higher, Percent),
        (M::F1(Micro), "f1-micro", Higher, Percent),
        (M::Precision(Weighted), "precision-weighted", Higher, Percent),
        (M::Recall(Weighted), "recall-weighted", Higher, Percent),
        (M::F1(Weighted), "f1-weighted", Higher, Percent),
        (M::RocAuc, "roc-auc", Higher, Number),
        (M::AveragePrecision, "average-precision", Higher, Number),
        (M::LogLoss, "log-loss", Lower, Number),
        (M::Brier, "brier", Lower, Number),
        (M::CalibrationError, "calibration-error", Lower, Number),
        (M::MeanIou, "mean-iou", Higher, Percent),
        (M::Perplexity, "perplexity", Lower, Number),
        (M::Rmse, "rmse", Lower, Number),
        (M::Mse, "mse", Lower, Number),
        (M::Mae, "mae", Lower, Number),
        (M::MedianAbsoluteError, "median-absolute-error", Lower, Number),
        (M::R2, "r2", Higher, Number),
        (M::Loss, "loss", Lower, Number),
    ]
};

impl Metric {
    /// The names of all figures.
    pub fn names() -> impl Iterator<Item = &'static str> {
        TABLE.iter().map(|(_, name, ..)| *name)
    }

    /// The figures of a task, in display order.
    ///
    /// ```
    /// use neural::metric::{Metric, Task};
    /// let names: Vec<String> = Metric::of(Task::Values).map(|metric| metric.to_string()).collect();
    /// assert_eq!(names, ["rmse", "mse", "mae", "median-absolute-error", "r2"]);
    /// ```
    pub fn of(task: Task) -> impl Iterator<Item = Self> {
        TABLE.iter().map(|(metric, ..)| *metric).filter(move |metric| metric.is_of(task))
    }

    /// The figures of a task that each epoch reports by default.
    pub fn usual(task: Task) -> Vec<Self> {
        match task {
            Task::Classes { .. } | Task::Positions { .. } => vec![Self::Accuracy],
            Task::Labels => vec![Self::LabelAccuracy, Self::F1(Average::Macro)],
            Task::Values => vec![Self::Mae, Self::R2],
        }
    }

    /// Whether a task has this figure.
    pub fn is_of(self, task: Task) -> bool {
        use Metric as M;
        let (classes, probabilities, at_positions) = match task {
            Task::Classes { classes, probabilities } => (classes, probabilities, false),
            Task::Positions { classes, probabilities } => (classes, probabilities, true),
            Task::Labels => return self.is_of_labels(),
            Task::Values => return self.is_of_values(),
        };
        match self {
            M::Precision(average) | M::Recall(average) | M::F1(average) => {
                classes == 2 || average != Average::Positive
            }
            M::LogLoss | M::Brier | M::CalibrationError => probabilities,
            M::MeanIou => at_positions,
            M::Perplexity => at_positions && probabilities,
            M::TopAccuracy(k) => (1..classes).contains(&k),
            M::Accuracy | M::BalancedAccuracy | M::RocAuc | M::AveragePrecision => true,
            M::LabelAccuracy | M::ExactMatch => false,
            M::Rmse | M::Mse | M::Mae | M::MedianAbsoluteError | M::R2 => false,
            M::Loss | M::Output(_) => false,
            M::Custom(_) => true,
        }
    }

    fn is_of_labels(self) -> bool {
        use Metric as M;
        match self {
            M::Precision(average) | M::Recall(average) | M::F1(average) => average != Average::Positive,
            M::LabelAccuracy | M::ExactMatch => true,
            M::RocAuc | M::AveragePrecision | M::LogLoss | M::Brier | M::Custom(_) => true,
            _ => false,
        }
    }

    fn is_of_values(self) -> bool {
        use Metric as M;
        matches!(self, M::Rmse | M::Mse | M::Mae | M::MedianAbsoluteError | M::R2 | M::Custom(_))
    }

    /// Which of two values is the better one.
    pub fn direction(self) -> Direction {
        self.row().1
    }

    /// Whether the figure is a part of 1, which is shown in per cent.
    pub fn is_part(self) -> bool {
        self.row().2 == Style::Percent
    }

    /// A value of the figure as people read it: `98.40%`, or a [`number`]. One that is undefined is `-`.
    pub fn show(self, value: f64) -> String {
        match self.row().2 {
            _ if value.is_nan() => "-".to_string(),
            Style::Percent => percent(value),
            Style::Number => number(value),
        }
    }

    /// The figure of one of several outputs: `kind.accuracy`.
    #[must_use]
    pub fn of_output(self, output: &str) -> Self {
        Self::Output(output::kept(output, self))
    }

    /// The output and its figure, of a figure that [`Metric::of_output`] made.
    pub fn output(self) -> Option<(&'static str, Self)> {
        if let Self::Output(of) = self { Some((&of.output, of.metric)) } else { None }
    }

    /// Its name, direction and style; top-k accuracies share the row of k = 5.
    fn row(self) -> (&'static str, Direction, Style) {
        let known = match self {
            Self::TopAccuracy(_) => Self::TopAccuracy(5),
            Self::Output(of) => return of.metric.row(),
            Self::Custom(custom) => return (custom.name(), custom.direction(), Style::Number),
            other => other,
        };
        // Every other figure has a row, as a test checks.
        let (_, name, direction, style) =
            *TABLE.iter().find(|(metric, ..)| *metric == known).unwrap_or(&TABLE[0]);
        (name, direction, style)
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TopAccuracy(k) => f.pad(&format!("top-{k}-accuracy")),
            Self::Output(of) => f.pad(&format!("{}.{}", of.output, of.metric)),
            _ => f.pad(self.row().0),
        }
    }
}

/// A name that no figure has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnknownMetric(String);

impl FromStr for Metric {
    type Err = UnknownMetric;

    fn from_str(name: &str) -> Result<Self, UnknownMetric> {
        if let Some((output, metric)) = name.rsplit_once('.').filter(|(output, _)| !output.is_empty()) {
            return metric.parse().map(|metric: Self| metric.of_output(output));
        }
        let places = name.strip_prefix("top-").and_then(|rest| rest.strip_suffix("-accuracy"));
        if let Some(k) = places.and_then(|k| k.parse().ok()).filter(|k| *k > 0) {
            return Ok(Self::TopAccuracy(k));
        }
        let row = TABLE.iter().find(|(_, known, ..)| *known == name).map(|row| row.0);
        let known: Vec<&str> = Self::names().collect();
        row.or_else(|| CustomMetric::named(name).map(Self::Custom))
            .ok_or_else(|| UnknownMetric(named::unknown("a metric", name, &known)))
    }
}

impl Serialize for Metric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Metric {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A number with four digits after the point, and with a power of ten where that would hide it or be too long.
///
/// ```
/// use neural::metric::number;
/// assert_eq!(number(0.98765), "0.9877");
/// assert_eq!(number(225_173_049_343_717.83), "2.2517e14");
/// assert_eq!(number(0.000_012_345), "1.2345e-5");
/// ```
pub fn number(value: f64) -> String {
    match value.abs() {
        size if size == 0.0 || (1e-3..1e7).contains(&size) => format!("{value:.4}"),
        size if size.is_finite() => format!("{value:.4e}"),
        _ => value.to_string(),
    }
}

/// A part of 1 in per cent.
pub fn percent(part: f64) -> String {
    format!("{:.2}%", 100.0 * part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_as_the_figure_that_is_shown_under_it() {
        for (metric, name, ..) in TABLE {
            assert_eq!(name.parse(), Ok(*metric));
            assert_eq!(metric.to_string(), *name);
        }
        assert_eq!("top-3-accuracy".parse(), Ok(Metric::TopAccuracy(3)));
        for wrong in ["top-0-accuracy", "top--accuracy", "Accuracy", ""] {
            assert!(wrong.parse::<Metric>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_task_has_its_usual_figures_and_those_of_no_other() {
        let classes = Task::Classes { classes: 10, probabilities: true };
        for task in [classes, Task::Labels, Task::Values] {
            assert!(Metric::usual(task).iter().all(|metric| metric.is_of(task)));
        }
        assert!(Metric::of(classes).all(|metric| !metric.is_of(Task::Values)));
        let scores = Task::Classes { classes: 2, probabilities: false };
        assert!(Metric::RocAuc.is_of(scores) && !Metric::LogLoss.is_of(scores));
        assert!(Metric::F1(Average::Positive).is_of(scores) && !Metric::F1(Average::Positive).is_of(classes));
    }
}
