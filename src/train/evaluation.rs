//! A model's answers for rows, and their figures.

use super::{Goal, Score};
use crate::array::{Array, Element, count};
use crate::data::{Dataset, Scaling, Targets};
use crate::error::{Error, Result};
use crate::loss::{Loss, Outputs};
use crate::metric::{
    Answers, ClassAnswers, Confusion, Figures, LabelAnswers, Metric, Task, best_f1, classes_of,
    sigmoid_temperature, softmax_temperature,
};
use crate::model::Link;
use std::cell::OnceCell;
use std::fmt;

/// A model's outputs for some rows, with its loss.
///
/// ```
/// # use neural::{Array, data::{Dataset, Splits, Targets}, nn, runtime::Device, train::Trainer};
/// # let inputs = Array::new(&[4, 1], vec![-2f32, -1.0, 1.0, 2.0])?;
/// # let splits = Splits { train: vec![0, 1, 2, 3], ..Splits::default() };
/// # let data = Dataset::new(inputs, Targets::numbered(vec![0, 0, 1, 1])?, splits)?;
/// # let device = Device::cpu()?;
/// # let trainer = Trainer::new(nn::sequential([nn::dense(2)])).epochs(2);
/// let evaluation = trainer.start(&device, &data)?.evaluate(&data.splits.train)?;
/// assert_eq!((evaluation.rows(), evaluation.width), (4, 2));
/// assert_eq!(evaluation.labels(), [0, 0, 1, 1]);
/// println!("loss {}, {}", evaluation.loss(), evaluation.all_figures());
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Evaluation {
    /// The outputs of the last layer, `[rows, width]`, row-major; values are in the unit of the targets. Where a row
    /// has an answer at each of several positions, `[positions, width]` of the positions that count in all rows.
    pub outputs: Vec<f64>,
    /// Columns of `outputs`.
    pub width: usize,
    rows: usize,
    truth: Truth,
    task: Task,
    link: Link,
    threshold: f64,
    probabilities: OnceCell<Vec<f64>>,
    sum: f64,
    divisor: f64,
    /// The scaling of the targets in the loss.
    scaling: Scaling,
}

/// The truth about each row.
#[derive(Clone, Debug)]
enum Truth {
    /// A class, and where rows have a distribution over the classes in place of one, that: the label is then its
    /// largest part.
    Classes { labels: Vec<i32>, classes: usize, distributions: Option<Vec<f64>> },
    /// `[rows, width]`, 1 where a label is present.
    Labels(Vec<f64>),
    /// `[rows, width]`.
    Values(Vec<f64>),
}

impl Truth {
    fn new(
        data: &Dataset,
        targets: &Targets,
        link: Link,
        loss: &Loss,
        rows: &[u32],
        width: usize,
    ) -> Result<Self> {
        let values = match targets {
            Targets::Classes { labels, names } => {
                let labels = rows.iter().filter_map(|&row| labels.get(row as usize).copied()).collect();
                return Ok(Self::Classes { labels, classes: names.len(), distributions: None });
            }
            Targets::Positions { names, .. } | Targets::Next { names, .. } => {
                let labels = data.labels_of(targets, rows)?.unwrap_or_default();
                return Ok(Self::Classes { labels, classes: names.len(), distributions: None });
            }
            Targets::Values(_) | Targets::Partial(_) => {
                data.values_of(targets, rows)?.map_or_else(Vec::new, |values| values.to_f64())
            }
            Targets::Inputs => {
                let samples = data.samples(rows)?;
                // In the same form as the outputs: scaled back to the inputs' unit, or probabilities.
                if link == Link::Identity { samples } else { data.scaling.apply(&samples)? }.to_f64()
            }
        };
        Ok(match loss.outputs() {
            Outputs::Classes => {
                let labels = classes_of(&values, width);
                Self::Classes { labels, classes: width, distributions: Some(values) }
            }
            Outputs::Labels => Self::Labels(values),
            Outputs::Scores | Outputs::Values => Self::Values(values),
        })
    }
}

/// The task of a model with `width` outputs, for a row or for each position.
pub(super) fn task(targets: &Targets, loss: &Loss, width: usize) -> Task {
    let probabilities = match Link::of(loss) {
        Link::Softmax => true,
        // Several sigmoids stand for a class each, and do not add up to 1.
        Link::Sigmoid => width == 1,
        Link::Identity => false,
    };
    match (targets, loss.outputs()) {
        (Targets::Classes { names, .. }, _) => Task::Classes { classes: names.len(), probabilities },
        (Targets::Positions { names, .. } | Targets::Next { names, .. }, _) => {
            Task::Positions { classes: names.len(), probabilities }
        }
        (_, Outputs::Classes) => Task::Classes { classes: width, probabilities: true },
        (_, Outputs::Labels) => Task::Labels,
        _ => Task::Values,
    }
}

impl Evaluation {
    /// An evaluation of outputs of this shape for each row, before any is added; its loss continues from `sums`.
    pub(super) fn new(
        data: &Dataset,
        goal: &Goal,
        task: Task,
        shape: &[usize],
        rows: &[u32],
        [sum, divisor]: [f64; 2],
    ) -> Result<Self> {
        let target = goal.target_of(data)?;
        let (link, width) = (Link::of(&goal.loss), shape.last().copied().unwrap_or(1));
        Ok(Self {
            outputs: Vec::with_capacity(rows.len() * count(shape)),
            width,
            rows: rows.len(),
            truth: Truth::new(data, target.targets, link, &goal.loss, rows, width)?,
            task,
            link,
            threshold: 0.5,
            probabilities: OnceCell::new(),
            sum,
            divisor,
            scaling: link.scaling(target.targets, target.scaling, &data.scaling).clone(),
        })
    }

    /// Adds the results of some steps, their losses as sum and divisor; of each batch the first `valid` rows count.
    pub(super) fn add(&mut self, outputs: &Array, losses: &[[f64; 2]], valid: &[u32]) -> Result<()> {
        let &[_, _, ref row @ ..] = outputs.shape() else {
            return Err(Error::shape("evaluation", "outputs [steps, batch, …]", format!("{outputs:?}")));
        };
        let (row, batch) = (count(row), outputs.shape()[1]);
        let bytes = outputs.bytes().chunks_exact((4 * batch * row).max(1));
        for ((outputs, [sum, divisor]), &valid) in bytes.zip(losses).zip(valid) {
            if valid > 0 {
                let from = self.outputs.len();
                let numbers = outputs[..4 * valid as usize * row].chunks_exact(4);
                self.outputs.extend(numbers.map(|bytes| f64::from(f32::from_bytes(bytes))));
                self.scaling.undo(&mut self.outputs[from..]);
                self.sum += sum;
                self.divisor += divisor;
            }
        }
        Ok(())
    }

    /// Removes the positions that have no class, once all outputs are added.
    pub(super) fn finish(&mut self) {
        let (Task::Positions { .. }, Truth::Classes { labels, .. }) = (self.task, &mut self.truth) else {
            return;
        };
        let width = self.width.max(1);
        let mut kept = 0;
        for (i, _) in labels.iter().enumerate().filter(|(_, label)| **label >= 0) {
            self.outputs.copy_within(i * width..(i + 1) * width, kept * width);
            kept += 1;
        }
        self.outputs.truncate(kept * width);
        labels.retain(|label| *label >= 0);
    }

    /// The sum of the losses and its divisor.
    pub(super) fn sums(&self) -> [f64; 2] {
        [self.sum, self.divisor]
    }

    /// The mean loss over the rows; NaN where none of them counts.
    pub fn loss(&self) -> f64 {
        self.sum / self.divisor
    }

    /// The task of the model.
    pub fn task(&self) -> Task {
        self.task
    }

    /// The number of rows that were evaluated.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The probability above which the second of two classes, or a label, is predicted.
    pub fn threshold(&self) -> f64 {
        self.threshold
    }

    /// The same outputs, read with another threshold.
    #[must_use]
    pub fn with_threshold(self, threshold: f64) -> Self {
        Self { threshold, ..self }
    }

    /// Whether there is a probability that the threshold divides: of the second of two classes, or of labels.
    pub fn has_threshold(&self) -> bool {
        match self.task {
            Task::Classes { classes, probabilities } | Task::Positions { classes, probabilities } => {
                classes == 2 && probabilities && self.width <= 2
            }
            Task::Labels => true,
            Task::Values => false,
        }
    }

    /// The threshold with the best F1 of the second class, or of all labels together (`f1-micro`); 0.5 where none is
    /// better than another.
    pub fn best_threshold(&self) -> f64 {
        let probabilities = self.probabilities();
        let best = match &self.truth {
            Truth::Classes { labels, .. } if self.has_threshold() => {
                let second: Vec<f64> = probabilities.chunks_exact(2).map(|row| row[1]).collect();
                best_f1(&second, &labels.iter().map(|label| *label == 1).collect::<Vec<_>>())
            }
            Truth::Labels(targets) => {
                best_f1(probabilities, &targets.iter().map(|target| *target >= 0.5).collect::<Vec<_>>())
            }
            Truth::Classes { .. } | Truth::Values(_) => None,
        };
        best.map_or(0.5, |(threshold, _)| threshold)
    }

    /// The temperature that minimises the log loss when the outputs are divided by it, see [`softmax_temperature`];
    /// `None` where there is none, or the outputs make no probabilities.
    pub fn best_temperature(&self) -> Option<f64> {
        match &self.truth {
            Truth::Classes { labels, .. } if self.width == 1 && self.has_threshold() => sigmoid_temperature(
                &self.outputs,
                &labels.iter().map(|label| f64::from(*label == 1)).collect::<Vec<_>>(),
            ),
            Truth::Classes { labels, distributions, .. } if self.link == Link::Softmax => {
                use crate::metric::Truth;
                let truth = distributions.as_deref().map_or(Truth::Labels(labels), Truth::Distributions);
                softmax_temperature(&self.outputs, self.width, truth)
            }
            Truth::Labels(targets) => sigmoid_temperature(&self.outputs, targets),
            _ => None,
        }
    }

    /// How probable the outputs make each class or label: `[rows, classes]`, with both classes for a single output, or
    /// `[rows, labels]`. The outputs themselves where the loss does not turn them into probabilities.
    pub fn probabilities(&self) -> &[f64] {
        self.probabilities.get_or_init(|| {
            let sigmoid = |x: &f64| 1.0 / (1.0 + (-x).exp());
            match (self.link, &self.truth) {
                (_, Truth::Classes { .. }) if self.width == 1 => {
                    self.outputs.iter().map(sigmoid).flat_map(|yes| [1.0 - yes, yes]).collect()
                }
                (Link::Softmax, _) => {
                    self.outputs.chunks_exact(self.width.max(1)).flat_map(softmax).collect()
                }
                (Link::Sigmoid, _) => self.outputs.iter().map(sigmoid).collect(),
                (Link::Identity, _) => self.outputs.clone(),
            }
        })
    }

    /// The class that the model takes each row for; empty where targets are no classes.
    pub fn predicted(&self) -> Vec<i32> {
        match &self.truth {
            Truth::Classes { .. } if self.threshold != 0.5 && self.has_threshold() => {
                self.probabilities().chunks_exact(2).map(|row| i32::from(row[1] > self.threshold)).collect()
            }
            Truth::Classes { .. } => classes_of(&self.outputs, self.width),
            Truth::Labels(_) | Truth::Values(_) => Vec::new(),
        }
    }

    /// The true class of each row; empty where targets are not classes.
    pub fn labels(&self) -> &[i32] {
        match &self.truth {
            Truth::Classes { labels, .. } => labels,
            Truth::Labels(_) | Truth::Values(_) => &[],
        }
    }

    /// The expected outputs, `[rows, width]`; empty if targets are classes.
    pub fn targets(&self) -> &[f64] {
        match &self.truth {
            Truth::Labels(targets) | Truth::Values(targets) => targets,
            Truth::Classes { .. } => &[],
        }
    }

    /// The targets that are known, each with its index and its output.
    pub fn known(&self) -> impl Iterator<Item = (usize, f64, f64)> {
        let both = self.targets().iter().copied().zip(self.outputs.iter().copied()).enumerate();
        both.filter(|(_, (target, _))| !target.is_nan()).map(|(i, (target, output))| (i, target, output))
    }

    /// How often each class was taken for each other, where targets are classes.
    pub fn confusion(&self) -> Option<Confusion> {
        match &self.truth {
            Truth::Classes { labels, classes, .. } => {
                Some(Confusion::of(&self.predicted(), labels, *classes))
            }
            Truth::Labels(_) | Truth::Values(_) => None,
        }
    }

    /// The part of the rows that was classified correctly, where targets are classes.
    pub fn accuracy(&self) -> Option<f64> {
        self.figures(&[Metric::Accuracy]).get(Metric::Accuracy)
    }

    /// The requested figures, without any that such targets do not have.
    pub fn figures(&self, metrics: &[Metric]) -> Figures {
        self.answers(|answers| answers.figures(metrics))
    }

    /// All figures of the task.
    pub fn all_figures(&self) -> Figures {
        self.figures(&Metric::of(self.task).collect::<Vec<_>>())
    }

    /// The result of `read` for the outputs and the truth.
    pub fn answers<T>(&self, read: impl FnOnce(Answers<'_>) -> T) -> T {
        match &self.truth {
            Truth::Classes { labels, classes, distributions } => {
                let predicted = self.predicted();
                let width = if self.width == 1 { 2 } else { self.width };
                read(Answers::Classes(ClassAnswers {
                    predicted: &predicted,
                    labels,
                    classes: *classes,
                    scores: &|| self.probabilities(),
                    width,
                    probabilities: matches!(
                        self.task,
                        Task::Classes { probabilities: true, .. }
                            | Task::Positions { probabilities: true, .. }
                    ),
                    at_positions: matches!(self.task, Task::Positions { .. }),
                    distributions: distributions.as_deref(),
                }))
            }
            Truth::Labels(targets) => read(Answers::Labels(LabelAnswers {
                probabilities: self.probabilities(),
                targets,
                width: self.width,
                threshold: self.threshold,
            })),
            Truth::Values(targets) => {
                read(Answers::Values { outputs: &self.outputs, targets, width: self.width })
            }
        }
    }

    /// Whether each row has an answer at each of several positions.
    pub fn is_at_positions(&self) -> bool {
        matches!(self.task, Task::Positions { .. })
    }

    /// The loss and some figures, without the outputs.
    pub fn score(&self, metrics: &[Metric]) -> Score {
        Score { rows: self.rows(), loss: self.loss(), figures: self.figures(metrics) }
    }
}

/// The loss and the task's usual figures.
impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.score(&Metric::usual(self.task)).fmt(f)
    }
}

fn softmax(row: &[f64]) -> Vec<f64> {
    let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = row.iter().map(|x| (x - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|power| power / sum).collect()
}
