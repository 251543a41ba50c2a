//! What a model says of rows, and how good that is.

use crate::array::Array;
use crate::data::{Dataset, Targets};
use crate::error::Result;
use crate::metric::{Confusion, Errors, classes_of};
use serde::{Deserialize, Serialize};
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
/// # let evaluation = trainer.start(&device, &data)?.evaluate(&data.splits.train)?;
/// assert_eq!((evaluation.rows(), evaluation.width), (4, 2));
/// assert!(evaluation.loss() > 0.0);
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// `[rows, width]`, row-major.
    pub outputs: Vec<f64>,
    pub width: usize,
    labels: Vec<i32>,
    values: Vec<f64>,
    classes: usize,
    sum: f64,
    divisor: f64,
}

impl Evaluation {
    pub(super) fn new(data: &Dataset, rows: &[u32]) -> Self {
        let (mut labels, mut values) = (Vec::new(), Vec::new());
        match &data.targets {
            Targets::Classes { labels: all, .. } => {
                labels = rows.iter().filter_map(|&row| all.get(row as usize).copied()).collect();
            }
            Targets::Values(all) => {
                let width = all.shape().get(1).copied().unwrap_or(1).max(1);
                let all = all.to_f64();
                let of = |row: &u32| all.chunks_exact(width).nth(*row as usize).unwrap_or_default().to_vec();
                values = rows.iter().flat_map(of).collect();
            }
        }
        let classes = data.classes().unwrap_or(0);
        Self { outputs: Vec::new(), width: 0, labels, values, classes, sum: 0.0, divisor: 0.0 }
    }

    /// Adds the results of some steps, their losses as sum and divisor; of each batch the first `valid` rows count.
    pub(super) fn add(&mut self, outputs: &Array, losses: &Array, valid: &[i32], batch: usize) -> Result<()> {
        self.width = outputs.shape().last().copied().unwrap_or(0);
        let numbers = outputs.to_vec::<f32>()?;
        let steps = numbers.chunks_exact((batch * self.width).max(1));
        let losses = losses.to_vec::<f64>()?;
        for ((outputs, [sum, divisor]), &count) in steps.zip(losses.as_chunks().0).zip(valid) {
            if count > 0 {
                self.outputs.extend(outputs[..count as usize * self.width].iter().map(|&v| f64::from(v)));
                self.sum += sum;
                self.divisor += divisor;
            }
        }
        Ok(())
    }

    /// The mean loss over the rows.
    ///
    /// ```
    /// # use neural::{Array, data::{Dataset, Splits, Targets}, nn, runtime::Device, train::Trainer};
    /// # let inputs = Array::new(&[4, 1], vec![-2f32, -1.0, 1.0, 2.0])?;
    /// # let splits = Splits { train: vec![0, 1, 2, 3], ..Splits::default() };
    /// # let data = Dataset::new(inputs, Targets::numbered(vec![0, 0, 1, 1])?, splits)?;
    /// # let device = Device::cpu()?;
    /// # let trainer = Trainer::new(nn::sequential([nn::dense(2)])).epochs(2);
    /// # let evaluation = trainer.start(&device, &data)?.evaluate(&data.splits.train)?;
    /// assert!(evaluation.loss().is_finite());
    /// # Ok::<(), neural::Error>(())
    /// ```
    pub fn loss(&self) -> f64 {
        self.sum / self.divisor
    }

    /// ```
    /// # use neural::{Array, data::{Dataset, Splits, Targets}, nn, runtime::Device, train::Trainer};
    /// # let inputs = Array::new(&[4, 1], vec![-2f32, -1.0, 1.0, 2.0])?;
    /// # let splits = Splits { train: vec![0, 1, 2, 3], ..Splits::default() };
    /// # let data = Dataset::new(inputs, Targets::numbered(vec![0, 0, 1, 1])?, splits)?;
    /// # let device = Device::cpu()?;
    /// # let trainer = Trainer::new(nn::sequential([nn::dense(2)])).epochs(2);
    /// # let evaluation = trainer.start(&device, &data)?.evaluate(&data.splits.train)?;
    /// assert_eq!(evaluation.rows(), 4);
    /// # Ok::<(), neural::Error>(())
    /// ```
    pub fn rows(&self) -> usize {
        self.outputs.len() / self.width.max(1)
    }

    /// The class that the model takes each row for.
    ///
    /// ```
    /// # use neural::{Array, data::{Dataset, Splits, Targets}, nn, runtime::Device, train::Trainer};
    /// # let inputs = Array::new(&[4, 1], vec![-2f32, -1.0, 1.0, 2.0])?;
    /// # let splits = Splits { train: vec![0, 1, 2, 3], ..Splits::default() };
    /// # let data = Dataset::new(inputs, Targets::numbered(vec![0, 0, 1, 1])?, splits)?;
    /// # let device = Device::cpu()?;
    /// # let trainer = Trainer::new(nn::sequential([nn::dense(2)])).epochs(2);
    /// # let evaluation = trainer.start(&device, &data)?.evaluate(&data.splits.train)?;
    /// assert_eq!(evaluation.predicted().len(), 4);
    /// # Ok::<(), neural::Error>(())
    /// ```
    pub fn predicted(&self) -> Vec<i32> {
        classes_of(&self.outputs, self.width)
    }

    /// The right class of each row; empty where targets are values.
    ///
    /// ```
    /// # use neural::{Array, data::{Dataset, Splits, Targets}, nn, runtime::Device, train::Trainer};
    /// # let inputs = Array::new(&[4, 1], vec![-2f32, -1.0, 1.0, 2.0])?;
    /// # let splits = Splits { train: vec![0, 1, 2, 3], ..Splits::default() };
    /// # let data = Dataset::new(inputs, Targets::numbered(vec![0, 0, 1, 1])?, splits)?;
    /// # let device = Device::cpu()?;
    /// # let trainer = Trainer::new(nn::sequential([nn::dense(2)])).epochs(2);
    /// # let evaluation = trainer.start(&device, &data)?.evaluate(&data.splits.train)?;
    /// assert_eq!(evaluation.labels(), [0, 0, 1, 1]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    pub fn labels(&self) -> &[i32] {
        &self.labels
    }

    /// How often each class was taken for each other, where targets are classes.
    ///
    /// ```
    /// # use neural::{Array, data::{Dataset, Splits, Targets}, nn, runtime::Device, train::Trainer};
    /// # let inputs = Array::new(&[4, 1], vec![-2f32, -1.0, 1.0, 2.0])?;
    /// # let splits = Splits { train: vec![0, 1, 2, 3], ..Splits::default() };
    /// # let data = Dataset::new(inputs, Targets::numbered(vec![0, 0, 1, 1])?, splits)?;
    /// # let device = Device::cpu()?;
    /// # let trainer = Trainer::new(nn::sequential([nn::dense(2)])).epochs(2);
    /// # let evaluation = trainer.start(&device, &data)?.evaluate(&data.splits.train)?;
    /// assert_eq!(evaluation.confusion().map(|confusion| confusion.total()), Some(4));
    /// # Ok::<(), neural::Error>(())
    /// ```
    pub fn confusion(&self) -> Option<Confusion> {
        (self.classes > 0).then(|| Confusion::of(&self.predicted(), &self.labels, self.classes))
    }

    /// The part of the rows that was classified right, where targets are classes.
    ///
    /// ```
    /// # use neural::{Array, data::{Dataset, Splits, Targets}, nn, runtime::Device, train::Trainer};
    /// # let inputs = Array::new(&[4, 1], vec![-2f32, -1.0, 1.0, 2.0])?;
    /// # let splits = Splits { train: vec![0, 1, 2, 3], ..Splits::default() };
    /// # let data = Dataset::new(inputs, Targets::numbered(vec![0, 0, 1, 1])?, splits)?;
    /// # let device = Device::cpu()?;
    /// # let trainer = Trainer::new(nn::sequential([nn::dense(2)])).epochs(2);
    /// # let evaluation = trainer.start(&device, &data)?.evaluate(&data.splits.train)?;
    /// assert_eq!(evaluation.accuracy(), evaluation.confusion().map(|confusion| confusion.accuracy()));
    /// # Ok::<(), neural::Error>(())
    /// ```
    pub fn accuracy(&self) -> Option<f64> {
        self.confusion().map(|confusion| confusion.accuracy())
    }

    /// How far the outputs are from the targets, where those are values.
    ///
    /// ```
    /// # use neural::{Array, data::{Dataset, Splits, Targets}, nn, runtime::Device, train::Trainer};
    /// # let inputs = Array::new(&[4, 1], vec![-2f32, -1.0, 1.0, 2.0])?;
    /// # let splits = Splits { train: vec![0, 1, 2, 3], ..Splits::default() };
    /// # let data = Dataset::new(inputs, Targets::numbered(vec![0, 0, 1, 1])?, splits)?;
    /// # let device = Device::cpu()?;
    /// # let trainer = Trainer::new(nn::sequential([nn::dense(2)])).epochs(2);
    /// # let evaluation = trainer.start(&device, &data)?.evaluate(&data.splits.train)?;
    /// assert_eq!(evaluation.errors(), None);
    /// # Ok::<(), neural::Error>(())
    /// ```
    pub fn errors(&self) -> Option<Errors> {
        (self.classes == 0).then(|| Errors::of(&self.outputs, &self.values))
    }
}

impl Evaluation {
    /// The figures without the outputs.
    ///
    /// ```
    /// # use neural::{Array, data::{Dataset, Splits, Targets}, nn, runtime::Device, train::Trainer};
    /// # let inputs = Array::new(&[4, 1], vec![-2f32, -1.0, 1.0, 2.0])?;
    /// # let splits = Splits { train: vec![0, 1, 2, 3], ..Splits::default() };
    /// # let data = Dataset::new(inputs, Targets::numbered(vec![0, 0, 1, 1])?, splits)?;
    /// # let device = Device::cpu()?;
    /// # let trainer = Trainer::new(nn::sequential([nn::dense(2)])).epochs(2);
    /// # let evaluation = trainer.start(&device, &data)?.evaluate(&data.splits.train)?;
    /// assert_eq!(evaluation.score().loss, evaluation.loss());
    /// # Ok::<(), neural::Error>(())
    /// ```
    pub fn score(&self) -> Score {
        Score { rows: self.rows(), loss: self.loss(), accuracy: self.accuracy(), errors: self.errors() }
    }
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.score().fmt(f)
    }
}

/// How good a model is on some rows.
///
/// ```
/// use neural::train::Score;
/// let score = Score { rows: 4, loss: 0.25, accuracy: Some(0.75), errors: None };
/// assert_eq!(score.to_string(), "loss 0.2500, accuracy 75.00%");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    pub rows: usize,
    /// The mean loss.
    pub loss: f64,
    /// The part of the rows that was classified right, where targets are classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// How far the outputs are from the targets, where those are values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<Errors>,
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "loss {:.4}", self.loss)?;
        match (self.accuracy, self.errors) {
            (Some(accuracy), _) => write!(f, ", accuracy {:.2}%", 100.0 * accuracy),
            (_, Some(errors)) => write!(f, ", mean error {:.4}, R² {:.4}", errors.absolute, errors.r2),
            _ => Ok(()),
        }
    }
}
