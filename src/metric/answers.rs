//! A model's answers with the truth, and all figures of them.

use super::{
    Average, Confusion, Counts, Errors, Figures, Metric, Task, Truth, average_precision, averaged, brier,
    calibration_error, exact_match, label_accuracy, label_counts, log_loss, mean_errors, one_against_rest,
    roc_auc, top_k,
};
use std::cell::LazyCell;
use std::fmt;

/// A model's answers for some rows, and the truth. Tables are `[rows, width]`.
///
/// ```
/// use neural::metric::{Answers, Metric};
/// let answers = Answers::Values { outputs: &[1.0, 3.0], targets: &[1.0, 5.0], width: 1 };
/// assert_eq!(answers.figures(&[Metric::Mae, Metric::Rmse]).to_string(), "mae 1.0000, rmse 1.4142");
/// ```
#[derive(Clone, Copy, Debug)]
pub enum Answers<'a> {
    /// One class of several a row.
    Classes(ClassAnswers<'a>),
    /// Several labels a row.
    Labels(LabelAnswers<'a>),
    /// Numbers.
    Values {
        /// The answers, `[rows, width]`.
        outputs: &'a [f64],
        /// The values that came true, `[rows, width]`.
        targets: &'a [f64],
        /// Values a row.
        width: usize,
    },
}

/// One class of several a row.
#[derive(Clone, Copy)]
pub struct ClassAnswers<'a> {
    /// The class that each row was taken for.
    pub predicted: &'a [i32],
    /// The class of each row.
    pub labels: &'a [i32],
    /// The number of classes.
    pub classes: usize,
    /// The scores of each class, `[rows, width]` with a width of at least `classes`. Called only where a figure needs
    /// them.
    pub scores: &'a dyn Fn() -> &'a [f64],
    /// Columns of `scores`.
    pub width: usize,
    /// Whether the scores of a row are a distribution over the classes.
    pub probabilities: bool,
    /// Whether a row is a position of a sequence or a pixel of a picture.
    pub at_positions: bool,
    /// Distributions over the classes `[rows, width]`, where rows have these in place of one class; `labels` are then
    /// the most probable ones.
    pub distributions: Option<&'a [f64]>,
}

impl fmt::Debug for ClassAnswers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClassAnswers")
            .field("classes", &self.classes)
            .field("width", &self.width)
            .field("rows", &self.labels.len())
            .finish_non_exhaustive()
    }
}

/// Several labels a row, each present or absent.
#[derive(Clone, Copy, Debug)]
pub struct LabelAnswers<'a> {
    /// The probability of each label, `[rows, width]`.
    pub probabilities: &'a [f64],
    /// 1 where the label is present and 0 where it is absent, or a probability that counts as present from ½ on.
    pub targets: &'a [f64],
    /// The number of labels.
    pub width: usize,
    /// A label is predicted where its probability is above this.
    pub threshold: f64,
}

impl Answers<'_> {
    /// The task of the model.
    pub fn task(&self) -> Task {
        match self {
            Answers::Classes(answers) => {
                let &ClassAnswers { classes, probabilities, at_positions, .. } = answers;
                match at_positions {
                    true => Task::Positions { classes, probabilities },
                    false => Task::Classes { classes, probabilities },
                }
            }
            Answers::Labels(_) => Task::Labels,
            Answers::Values { .. } => Task::Values,
        }
    }

    /// The requested figures, in that order, without any that the task does not have.
    pub fn figures(&self, metrics: &[Metric]) -> Figures {
        let metrics = metrics.iter().copied().filter(|metric| metric.is_of(self.task()));
        let mut figures = match self {
            Answers::Classes(answers) => Figures(answers.figures(metrics)),
            Answers::Labels(answers) => Figures(answers.figures(metrics)),
            &Answers::Values { outputs, targets, width } => {
                let metrics: Vec<Metric> = metrics.collect();
                let errors = match metrics.contains(&Metric::MedianAbsoluteError) {
                    true => Errors::of_each(outputs, targets, width),
                    false => Errors::without_medians(outputs, targets, width),
                };
                error_figures(&errors, &metrics)
            }
        };
        for (metric, value) in &mut figures.0 {
            if let Metric::Custom(custom) = metric {
                *value = custom.measure(self);
            }
        }
        figures
    }
}

/// The figures of outputs that are values, from the errors of each.
pub(crate) fn error_figures(errors: &[Errors], metrics: &[Metric]) -> Figures {
    Figures(metrics.iter().map(|metric| (*metric, of_values(errors, *metric))).collect())
}

impl ClassAnswers<'_> {
    /// How often each class was taken for each other.
    pub fn confusion(&self) -> Confusion {
        Confusion::of(self.predicted, self.labels, self.classes)
    }

    /// The counts of the classes that occur.
    fn counts(confusion: &Confusion) -> Vec<Counts> {
        confusion.counts().into_iter().filter(Counts::occurs).collect()
    }

    fn figures(&self, metrics: impl Iterator<Item = Metric>) -> Vec<(Metric, f64)> {
        let &Self { predicted, labels, width, .. } = self;
        let confusion = LazyCell::new(|| self.confusion());
        let counts = LazyCell::new(|| Self::counts(&confusion));
        let scores = LazyCell::new(|| (self.scores)());
        let truth = self.distributions.map_or(Truth::Labels(labels), Truth::Distributions);
        let mean = |average, figure| match average {
            Average::Positive => averaged(&confusion.counts(), average, figure),
            _ => averaged(&counts, average, figure),
        };
        let ranked = |figure| self.ranked(&scores, figure);
        metrics
            .map(|metric| {
                let value = match metric {
                    Metric::Accuracy => confusion.accuracy(),
                    Metric::BalancedAccuracy => confusion.balanced_accuracy(),
                    Metric::TopAccuracy(k) => top_k(&scores, width, labels, k),
                    Metric::Precision(average) => mean(average, Counts::precision),
                    Metric::Recall(average) => mean(average, Counts::recall),
                    Metric::F1(average) => mean(average, Counts::f1),
                    Metric::RocAuc => ranked(roc_auc),
                    Metric::AveragePrecision => ranked(average_precision),
                    Metric::LogLoss => log_loss(&scores, width, truth),
                    Metric::Brier => brier(&scores, width, truth),
                    Metric::CalibrationError => calibration_error(&scores, width, predicted, labels),
                    Metric::MeanIou => mean(Average::Macro, Counts::intersection_over_union),
                    Metric::Perplexity => log_loss(&scores, width, truth).exp(),
                    _ => f64::NAN,
                };
                (metric, value)
            })
            .collect()
    }

    /// A figure of the order that the scores put the rows in: of two classes the second one's, of more the mean.
    fn ranked(&self, scores: &[f64], figure: fn(&[f64], &[bool]) -> f64) -> f64 {
        let each = one_against_rest(scores, self.width, self.labels, self.classes, figure);
        if self.classes == 2 { each[1] } else { mean_of_defined(&each) }
    }
}

impl LabelAnswers<'_> {
    /// Which labels are predicted, and which are present.
    fn answers(&self) -> (Vec<bool>, Vec<bool>) {
        let predicted = self.probabilities.iter().map(|p| *p > self.threshold).collect();
        (predicted, self.targets.iter().map(|t| *t >= 0.5).collect())
    }

    /// The counts of each label.
    pub fn counts(&self) -> Vec<Counts> {
        let (predicted, truth) = self.answers();
        label_counts(&predicted, &truth, self.width)
    }

    /// A figure of each label's order: `figure` is [`roc_auc`] or [`average_precision`].
    pub fn ranked(&self, figure: fn(&[f64], &[bool]) -> f64) -> Vec<f64> {
        let column = |table: &[f64], label: usize| -> Vec<f64> {
            table.chunks_exact(self.width.max(1)).map(|row| row[label]).collect()
        };
        let of = |label| {
            let truth: Vec<bool> = column(self.targets, label).iter().map(|t| *t >= 0.5).collect();
            figure(&column(self.probabilities, label), &truth)
        };
        (0..self.width).map(of).collect()
    }

    /// The probability of each label as two classes: no and yes.
    fn as_pairs(table: &[f64]) -> Vec<f64> {
        table.iter().flat_map(|yes| [1.0 - yes, *yes]).collect()
    }

    fn figures(&self, metrics: impl Iterator<Item = Metric>) -> Vec<(Metric, f64)> {
        let (predicted, truth) = self.answers();
        let counts = label_counts(&predicted, &truth, self.width);
        let pairs = LazyCell::new(|| (Self::as_pairs(self.probabilities), Self::as_pairs(self.targets)));
        metrics
            .map(|metric| {
                let value = match metric {
                    Metric::LabelAccuracy => label_accuracy(&predicted, &truth),
                    Metric::ExactMatch => exact_match(&predicted, &truth, self.width),
                    Metric::Precision(average) => averaged(&counts, average, Counts::precision),
                    Metric::Recall(average) => averaged(&counts, average, Counts::recall),
                    Metric::F1(average) => averaged(&counts, average, Counts::f1),
                    Metric::RocAuc => mean_of_defined(&self.ranked(roc_auc)),
                    Metric::AveragePrecision => mean_of_defined(&self.ranked(average_precision)),
                    Metric::LogLoss => log_loss(&pairs.0, 2, Truth::Distributions(&pairs.1)),
                    Metric::Brier => brier(&pairs.0, 2, Truth::Distributions(&pairs.1)),
                    _ => f64::NAN,
                };
                (metric, value)
            })
            .collect()
    }
}

fn of_values(errors: &[Errors], metric: Metric) -> f64 {
    match metric {
        Metric::Rmse => mean_errors(errors, Errors::root_mean_square),
        Metric::Mse => mean_errors(errors, |errors| errors.squared),
        Metric::Mae => mean_errors(errors, |errors| errors.absolute),
        Metric::MedianAbsoluteError => mean_errors(errors, |errors| errors.median),
        Metric::R2 => mean_errors(errors, |errors| errors.r2),
        _ => f64::NAN,
    }
}

/// NaN where none is defined.
fn mean_of_defined(values: &[f64]) -> f64 {
    let defined: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
    defined.iter().sum::<f64>() / defined.len() as f64
}
