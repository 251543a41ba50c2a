//! One class of several a row.

use super::counts::Counts;

/// How often each class was taken for each other.
///
/// ```
/// use neural::metric::Confusion;
/// let confusion = Confusion::of(&[0, 1, 1, 1], &[0, 0, 1, 1], 2);
/// assert_eq!(confusion.accuracy(), 0.75);
/// assert_eq!(confusion.counts()[1].precision(), 2.0 / 3.0);
/// assert_eq!(confusion.counts()[1].recall(), 1.0);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    /// `[classes, classes + 1]`: by label and prediction, in the last column predictions that are no class.
    counts: Vec<usize>,
}

impl Confusion {
    /// Counts predicted classes against true ones. A prediction outside `0..classes`, which a model with more outputs
    /// than there are classes can make, counts as wrong; rows whose label is outside are left out.
    ///
    /// ```
    /// use neural::metric::Confusion;
    /// assert_eq!(Confusion::of(&[1, 7], &[1, 0], 2).accuracy(), 0.5);
    /// ```
    pub fn of(predicted: &[i32], labels: &[i32], classes: usize) -> Self {
        let mut counts = vec![0; classes * (classes + 1)];
        let class = |label: i32| usize::try_from(label).ok().filter(|&label| label < classes);
        for (&predicted, &label) in predicted.iter().zip(labels) {
            if let Some(label) = class(label) {
                counts[label * (classes + 1) + class(predicted).unwrap_or(classes)] += 1;
            }
        }
        Self { classes, counts }
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// How many rows of class `label` were taken for class `predicted`.
    pub fn count(&self, label: usize, predicted: usize) -> usize {
        self.counts[label * (self.classes + 1) + predicted]
    }

    /// How many rows are of class `label`.
    pub fn support(&self, label: usize) -> usize {
        self.counts[label * (self.classes + 1)..][..=self.classes].iter().sum()
    }

    /// The number of answers.
    pub fn total(&self) -> usize {
        self.counts.iter().sum()
    }

    /// The number of correct answers.
    pub fn correct(&self) -> usize {
        (0..self.classes).map(|class| self.count(class, class)).sum()
    }

    /// The counts of each class against all others.
    pub fn counts(&self) -> Vec<Counts> {
        let of = |class: usize| {
            let true_positives = self.count(class, class);
            let taken: usize = (0..self.classes).map(|label| self.count(label, class)).sum();
            Counts {
                true_positives,
                false_positives: taken - true_positives,
                false_negatives: self.support(class) - true_positives,
            }
        };
        (0..self.classes).map(of).collect()
    }

    /// The part of the rows that was correct; NaN without rows.
    pub fn accuracy(&self) -> f64 {
        self.correct() as f64 / self.total() as f64
    }

    /// The mean recall of the classes that have rows, so that each class counts equally however rare it is; NaN without
    /// rows.
    ///
    /// ```
    /// use neural::metric::Confusion;
    /// let always_zero = Confusion::of(&[0; 10], &[0, 0, 0, 0, 0, 0, 0, 0, 0, 1], 2);
    /// assert_eq!((always_zero.accuracy(), always_zero.balanced_accuracy()), (0.9, 0.5));
    /// ```
    pub fn balanced_accuracy(&self) -> f64 {
        let recalls: Vec<f64> =
            self.counts().iter().filter(|counts| counts.support() > 0).map(Counts::recall).collect();
        recalls.iter().sum::<f64>() / recalls.len() as f64
    }
}

/// The class of each row of outputs `[n, width]`: the largest output, the first of equals. A single output is a
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

/// The part of rows whose class is among the `k` largest of its outputs `[n, width]`; NaN of no rows. Of equal
/// outputs, the earlier counts as larger.
///
/// ```
/// use neural::metric::top_k;
/// let outputs = [0.5, 0.3, 0.2, 0.1, 0.2, 0.7];
/// assert_eq!(top_k(&outputs, 3, &[1, 0], 2), 0.5);
/// ```
pub fn top_k(outputs: &[f64], width: usize, labels: &[i32], k: usize) -> f64 {
    let hits = outputs.chunks_exact(width.max(1)).zip(labels).filter(|(row, label)| {
        let Some(label) = usize::try_from(**label).ok().filter(|&label| label < width) else { return false };
        let ahead = (0..width).filter(|&i| row[i] > row[label] || (row[i] == row[label] && i < label));
        ahead.count() < k
    });
    hits.count() as f64 / labels.len() as f64
}
