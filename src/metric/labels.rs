//! Several labels, each present or absent.

use super::counts::Counts;

/// The counts of each of `width` labels, from tables `[rows, width]`.
///
/// ```
/// use neural::metric::label_counts;
/// let counts = label_counts(&[true, false, true, true], &[true, true, false, true], 2);
/// assert_eq!((counts[0].precision(), counts[0].recall()), (0.5, 1.0));
/// assert_eq!((counts[1].precision(), counts[1].recall()), (1.0, 0.5));
/// ```
pub fn label_counts(predicted: &[bool], truth: &[bool], width: usize) -> Vec<Counts> {
    let mut counts = vec![Counts::default(); width];
    let rows = predicted.chunks_exact(width.max(1)).zip(truth.chunks_exact(width.max(1)));
    for (predicted, truth) in rows {
        for ((counts, &predicted), &truth) in counts.iter_mut().zip(predicted).zip(truth) {
            match (predicted, truth) {
                (true, true) => counts.true_positives += 1,
                (true, false) => counts.false_positives += 1,
                (false, true) => counts.false_negatives += 1,
                (false, false) => {}
            }
        }
    }
    counts
}

/// The part of all labels of all rows that was correct, 1 minus the Hamming loss; NaN without rows.
///
/// ```
/// assert_eq!(neural::metric::label_accuracy(&[true, false, true, true], &[true, true, true, true]), 0.75);
/// ```
pub fn label_accuracy(predicted: &[bool], truth: &[bool]) -> f64 {
    let right = predicted.iter().zip(truth).filter(|(predicted, truth)| predicted == truth);
    right.count() as f64 / truth.len() as f64
}

/// The part of rows whose labels were all correct; NaN without rows.
///
/// ```
/// assert_eq!(neural::metric::exact_match(&[true, false, true, true], &[true, true, true, true], 2), 0.5);
/// ```
pub fn exact_match(predicted: &[bool], truth: &[bool], width: usize) -> f64 {
    let rows = predicted.chunks_exact(width.max(1)).zip(truth.chunks_exact(width.max(1)));
    let total = rows.len();
    rows.filter(|(predicted, truth)| predicted == truth).count() as f64 / total as f64
}
