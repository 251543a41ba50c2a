//! What is reported of a model: exact figures over the rows that they speak of.

use serde::{Deserialize, Serialize};

/// How often each class was taken for each other.
///
/// ```
/// use neural::metric::Confusion;
/// let confusion = Confusion::of(&[0, 1, 1, 1], &[0, 0, 1, 1], 2);
/// assert_eq!(confusion.accuracy(), 0.75);
/// assert_eq!(confusion.precision(1), 2.0 / 3.0);
/// assert_eq!(confusion.recall(1), 1.0);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    counts: Vec<usize>,
}

impl Confusion {
    /// Of predicted classes and true ones; pairs with a class outside `0..classes` are left out.
    ///
    /// ```
    /// use neural::metric::Confusion;
    /// assert_eq!(Confusion::of(&[1, 7], &[1, 0], 2).total(), 1);
    /// ```
    pub fn of(predicted: &[i32], labels: &[i32], classes: usize) -> Self {
        let mut counts = vec![0; classes * classes];
        for (&p, &y) in predicted.iter().zip(labels) {
            if let (Ok(p), Ok(y)) = (usize::try_from(p), usize::try_from(y))
                && p < classes
                && y < classes
            {
                counts[y * classes + p] += 1;
            }
        }
        Self { classes, counts }
    }

    /// ```
    /// use neural::metric::Confusion;
    /// assert_eq!(Confusion::of(&[], &[], 3).classes(), 3);
    /// ```
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// How many rows of class `label` were taken for class `predicted`.
    ///
    /// ```
    /// use neural::metric::Confusion;
    /// assert_eq!(Confusion::of(&[1, 1, 0], &[0, 0, 0], 2).count(0, 1), 2);
    /// ```
    pub fn count(&self, label: usize, predicted: usize) -> usize {
        self.counts[label * self.classes + predicted]
    }

    /// ```
    /// use neural::metric::Confusion;
    /// assert_eq!(Confusion::of(&[1, 1, 0], &[0, 0, 0], 2).total(), 3);
    /// ```
    pub fn total(&self) -> usize {
        self.counts.iter().sum()
    }

    /// ```
    /// use neural::metric::Confusion;
    /// assert_eq!(Confusion::of(&[1, 1, 0], &[0, 0, 0], 2).correct(), 1);
    /// ```
    pub fn correct(&self) -> usize {
        (0..self.classes).map(|c| self.count(c, c)).sum()
    }

    /// The part of all rows that was right.
    ///
    /// ```
    /// use neural::metric::Confusion;
    /// assert_eq!(Confusion::of(&[1, 0], &[0, 0], 2).accuracy(), 0.5);
    /// ```
    pub fn accuracy(&self) -> f64 {
        ratio(self.correct(), self.total())
    }

    /// Of what was taken for `class`, the part that was.
    ///
    /// ```
    /// use neural::metric::Confusion;
    /// assert_eq!(Confusion::of(&[1, 1], &[0, 1], 2).precision(1), 0.5);
    /// ```
    pub fn precision(&self, class: usize) -> f64 {
        ratio(self.count(class, class), (0..self.classes).map(|y| self.count(y, class)).sum())
    }

    /// Of what was of `class`, the part that was taken for it.
    ///
    /// ```
    /// use neural::metric::Confusion;
    /// assert_eq!(Confusion::of(&[1, 0], &[1, 1], 2).recall(1), 0.5);
    /// ```
    pub fn recall(&self, class: usize) -> f64 {
        ratio(self.count(class, class), (0..self.classes).map(|p| self.count(class, p)).sum())
    }

    /// The harmonic mean of precision and recall.
    ///
    /// ```
    /// use neural::metric::Confusion;
    /// assert_eq!(Confusion::of(&[1, 1, 0], &[1, 0, 1], 2).f1(1), 0.5);
    /// ```
    pub fn f1(&self, class: usize) -> f64 {
        let (p, r) = (self.precision(class), self.recall(class));
        if p + r == 0.0 { 0.0 } else { 2.0 * p * r / (p + r) }
    }
}

/// 0 where there is nothing to divide by.
fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// The class of each row of outputs `[n, outputs]`: the largest output, the first of equals. A single output is a
/// logit: class 1 above 0.
///
/// ```
/// use neural::metric::classes_of;
/// assert_eq!(classes_of(&[0.1, 0.9, 0.8, 0.2], 2), [1, 0]);
/// assert_eq!(classes_of(&[-1.0, 3.0], 1), [0, 1]);
/// ```
pub fn classes_of(outputs: &[f64], width: usize) -> Vec<i32> {
    let rows = outputs.chunks_exact(width.max(1));
    if width == 1 {
        return rows.map(|row| i32::from(row[0] > 0.0)).collect();
    }
    let largest = |row: &[f64]| (0..width).fold(0, |best, i| if row[i] > row[best] { i } else { best });
    rows.map(|row| largest(row) as i32).collect()
}

/// The part of rows whose class is among the `k` largest of its outputs `[n, width]`. Of equal outputs, the earlier
/// counts as larger.
///
/// ```
/// use neural::metric::top_k;
/// let outputs = [0.5, 0.3, 0.2, 0.1, 0.2, 0.7];
/// assert_eq!(top_k(&outputs, 3, &[1, 0], 2), 0.5);
/// ```
pub fn top_k(outputs: &[f64], width: usize, labels: &[i32], k: usize) -> f64 {
    let hits = outputs.chunks_exact(width.max(1)).zip(labels).filter(|(row, label)| {
        let Some(label) = usize::try_from(**label).ok().filter(|&l| l < width) else { return false };
        let ahead = (0..width).filter(|&i| row[i] > row[label] || (row[i] == row[label] && i < label));
        ahead.count() < k
    });
    ratio(hits.count(), labels.len())
}

/// How far predictions are from values.
///
/// ```
/// use neural::metric::Errors;
/// let errors = Errors::of(&[1.0, 3.0], &[1.0, 5.0]);
/// assert_eq!((errors.absolute, errors.squared, errors.r2), (1.0, 2.0, 0.5));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Errors {
    /// Mean of |p - t|.
    pub absolute: f64,
    /// Mean of (p - t)².
    pub squared: f64,
    /// 1 - Σ (p - t)² / Σ (t - t̄)², the part of the variance that is explained; 0 where the targets do not vary.
    pub r2: f64,
}

impl Errors {
    /// ```
    /// use neural::metric::Errors;
    /// assert_eq!(Errors::of(&[2.0], &[1.0]).absolute, 1.0);
    /// ```
    pub fn of(predicted: &[f64], targets: &[f64]) -> Self {
        let n = targets.len().max(1) as f64;
        let sum =
            |f: &dyn Fn(f64, f64) -> f64| predicted.iter().zip(targets).map(|(&p, &t)| f(p, t)).sum::<f64>();
        let mean = targets.iter().sum::<f64>() / n;
        let squares = sum(&|p, t| (p - t).powi(2));
        let variation = sum(&|_, t| (t - mean).powi(2));
        let r2 = if variation == 0.0 { 0.0 } else { 1.0 - squares / variation };
        Self { absolute: sum(&|p, t| (p - t).abs()) / n, squared: squares / n, r2 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The expected numbers are those of scikit-learn 1.9.1: precision_recall_fscore_support,
    // top_k_accuracy_score, r2_score, mean_absolute_error on the same inputs.
    #[test]
    fn figures_are_those_of_scikit_learn() {
        let labels = [0, 0, 1, 1, 2, 2, 2];
        let confusion = Confusion::of(&[0, 1, 1, 1, 2, 0, 2], &labels, 3);
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
        close(confusion.accuracy(), 5.0 / 7.0);
        for (class, (p, r, f)) in
            [(0.5, 0.5, 0.5), (2.0 / 3.0, 1.0, 0.8), (1.0, 2.0 / 3.0, 0.8)].into_iter().enumerate()
        {
            close(confusion.precision(class), p);
            close(confusion.recall(class), r);
            close(confusion.f1(class), f);
        }
        let outputs = [0.5, 0.2, 0.2, 0.3, 0.4, 0.2, 0.2, 0.4, 0.3, 0.7, 0.2, 0.1];
        close(top_k(&outputs, 3, &[0, 1, 2, 2], 2), 0.75);
        let errors = Errors::of(&[2.5, 0.0, 2.0, 8.0], &[3.0, -0.5, 2.0, 7.0]);
        close(errors.r2, 0.948_608_137_044_967_9);
        close(errors.absolute, 0.5);
        close(errors.squared, 0.375);
    }

    #[test]
    fn absent_classes_are_zero_not_nan() {
        let confusion = Confusion::of(&[0], &[0], 2);
        assert_eq!((confusion.precision(1), confusion.recall(1), confusion.f1(1)), (0.0, 0.0, 0.0));
    }
}
