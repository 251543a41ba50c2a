//! How well scores rank rows of a class before others, and where to put the threshold.

/// For each distinct score, from the largest down: the score, and how many positive and negative rows reach it. These are
/// the points of the ROC curve and of the precision-recall curve.
///
/// ```
/// use neural::metric::cumulative;
/// assert_eq!(cumulative(&[0.1, 0.8, 0.1], &[false, true, true]), [(0.8, 1, 0), (0.1, 2, 1)]);
/// ```
pub fn cumulative(scores: &[f64], positive: &[bool]) -> Vec<(f64, usize, usize)> {
    let mut rows: Vec<(f64, bool)> = scores.iter().copied().zip(positive.iter().copied()).collect();
    rows.sort_unstable_by(|(a, _), (b, _)| b.total_cmp(a));
    let mut reached: Vec<(f64, usize, usize)> = Vec::new();
    for (score, is_positive) in rows {
        let (positives, negatives) = reached.last().map_or((0, 0), |&(_, tp, fp)| (tp, fp));
        let here = (score, positives + usize::from(is_positive), negatives + usize::from(!is_positive));
        match reached.last_mut() {
            Some(last) if last.0 == score => *last = here,
            _ => reached.push(here),
        }
    }
    reached
}

/// The area under the ROC curve: the part of pairs of a positive and a negative row in which the positive one has the
/// larger score, equal scores counting half. NaN without rows of both kinds, and where a score is NaN.
///
/// ```
/// use neural::metric::roc_auc;
/// assert_eq!(roc_auc(&[0.1, 0.4, 0.35, 0.8], &[false, false, true, true]), 0.75);
/// assert!(roc_auc(&[0.1, 0.4], &[true, true]).is_nan());
/// ```
pub fn roc_auc(scores: &[f64], positive: &[bool]) -> f64 {
    let Some((reached, positives, negatives)) = both_kinds(scores, positive) else { return f64::NAN };
    let (mut area, mut before) = (0.0, (0, 0));
    for (_, tp, fp) in reached {
        area += (fp - before.1) as f64 * (tp + before.0) as f64 / 2.0;
        before = (tp, fp);
    }
    area / (positives as f64 * negatives as f64)
}

/// The average precision: Σ (Rₙ - Rₙ₋₁) Pₙ over the thresholds from the largest score down, with precision P and recall
/// R at each. NaN without rows of both kinds, and where a score is NaN.
///
/// ```
/// use neural::metric::average_precision;
/// let ap = average_precision(&[0.1, 0.4, 0.35, 0.8], &[false, false, true, true]);
/// assert!((ap - (0.5 * 1.0 + 0.5 * 2.0 / 3.0)).abs() < 1e-15);
/// ```
pub fn average_precision(scores: &[f64], positive: &[bool]) -> f64 {
    let Some((reached, positives, _)) = both_kinds(scores, positive) else { return f64::NAN };
    let (mut sum, mut before) = (0.0, 0);
    for (_, tp, fp) in reached {
        sum += (tp - before) as f64 / positives as f64 * (tp as f64 / (tp + fp) as f64);
        before = tp;
    }
    sum
}

/// The result of [`cumulative`] and the numbers of positive and negative rows, where both are present.
#[expect(clippy::type_complexity, reason = "it is what cumulative gives, and two counts")]
fn both_kinds(scores: &[f64], positive: &[bool]) -> Option<(Vec<(f64, usize, usize)>, usize, usize)> {
    let reached = cumulative(scores, positive);
    let &(_, positives, negatives) = reached.last()?;
    let is_defined = positives > 0 && negatives > 0 && !scores.iter().any(|score| score.is_nan());
    is_defined.then_some((reached, positives, negatives))
}

/// A figure of each class against the rest, from scores `[n, width]`: `figure` is [`roc_auc`] or [`average_precision`].
/// NaN for classes that it is not defined for.
///
/// ```
/// use neural::metric::{one_against_rest, roc_auc};
/// let scores = [0.6, 0.3, 0.1, 0.2, 0.7, 0.1, 0.5, 0.4, 0.1];
/// let areas = one_against_rest(&scores, 3, &[0, 1, 1], 3, roc_auc);
/// assert_eq!(areas[..2], [1.0, 1.0]);
/// assert!(areas[2].is_nan());
/// ```
pub fn one_against_rest(
    scores: &[f64],
    width: usize,
    labels: &[i32],
    classes: usize,
    figure: fn(&[f64], &[bool]) -> f64,
) -> Vec<f64> {
    let of = |class: usize| {
        let column: Vec<f64> =
            scores.chunks_exact(width.max(1)).filter_map(|row| row.get(class).copied()).collect();
        let is_class: Vec<bool> = labels.iter().map(|&label| usize::try_from(label) == Ok(class)).collect();
        if column.len() == is_class.len() { figure(&column, &is_class) } else { f64::NAN }
    };
    (0..classes).map(of).collect()
}

/// The threshold at which "positive where the probability is above it" has the largest F1, and that F1. It lies half-way
/// to the next lower probability; of equal F1, the largest threshold. `None` where no row is positive.
///
/// ```
/// use neural::metric::best_f1;
/// let (threshold, f1) = best_f1(&[0.1, 0.2, 0.3, 0.9], &[false, false, true, true]).unwrap();
/// assert_eq!((threshold, f1), (0.25, 1.0));
/// assert_eq!(best_f1(&[0.5], &[false]), None);
/// ```
pub fn best_f1(probabilities: &[f64], positive: &[bool]) -> Option<(f64, f64)> {
    let reached = cumulative(probabilities, positive);
    let positives = reached.last()?.1;
    let mut best: Option<(f64, f64)> = None;
    for (i, &(p, tp, fp)) in reached.iter().enumerate() {
        // Above no threshold from 0 on is a probability of 0.
        if tp == 0 || p <= 0.0 {
            continue;
        }
        let f1 = 2.0 * tp as f64 / (tp + fp + positives) as f64;
        if best.is_none_or(|(_, best)| f1 > best) {
            let below = reached.get(i + 1).map_or(0.0, |(below, ..)| below.max(0.0));
            best = Some((f64::midpoint(p, below), f1));
        }
    }
    best
}
