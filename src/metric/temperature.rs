//! Temperature scaling, which calibrates probabilities.

use super::Truth;

/// Temperatures are searched from `1 / MOST` to `MOST`.
const MOST: f64 = 100.0;

/// The temperature `T` that minimises the log loss of `softmax(scores / T)` (Guo et al., 2017,
/// <https://arxiv.org/abs/1706.04599>). `scores` are `[n, width]`, before the softmax. Above 1 the scores are
/// overconfident, below 1 underconfident.
///
/// `None` where the loss has no minimum between 0.01 and 100: where every row is right it falls towards 0 with `T`; where rows
/// are no better than chance it falls as `T` grows.
///
/// ```
/// use neural::metric::{Truth, softmax_temperature};
/// // Three of four rows are right, all of them with odds of 9 to 1: odds of 3 to 1 would be right.
/// let scores = [9f64.ln(), 0.0].repeat(4);
/// let temperature = softmax_temperature(&scores, 2, Truth::Labels(&[0, 0, 0, 1])).unwrap();
/// assert!((temperature - 9f64.ln() / 3f64.ln()).abs() < 1e-9);
/// ```
pub fn softmax_temperature(scores: &[f64], width: usize, truth: Truth<'_>) -> Option<f64> {
    let slope = |sharpness: f64| {
        let of_row = |(i, row): (usize, &[f64])| {
            let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let weights = row.iter().map(|score| (score - most, (sharpness * (score - most)).exp()));
            let (sum, mean) = weights
                .fold((0.0, 0.0), |(sum, mean), (score, weight)| (sum + weight, mean + weight * score));
            let of_class =
                |(class, score): (usize, &f64)| truth.of(i, class, width) * (mean / sum - (score - most));
            row.iter().enumerate().map(of_class).sum::<f64>()
        };
        scores.chunks_exact(width.max(1)).enumerate().map(of_row).sum()
    };
    least(slope)
}

/// The same for `sigmoid(scores / T)` and how true each answer is, from 0 to 1.
///
/// ```
/// let temperature = neural::metric::sigmoid_temperature(&[9f64.ln(); 4], &[1.0, 1.0, 1.0, 0.0]).unwrap();
/// assert!((temperature - 9f64.ln() / 3f64.ln()).abs() < 1e-9);
/// ```
pub fn sigmoid_temperature(scores: &[f64], truths: &[f64]) -> Option<f64> {
    let slope = |sharpness: f64| {
        let of_one = |(score, truth): (&f64, &f64)| {
            let p = 1.0 / (1.0 + (-sharpness * score).exp());
            (p - truth) * score
        };
        scores.iter().zip(truths).map(of_one).sum()
    };
    least(slope)
}

/// The log loss is convex in the sharpness `1 / T`: its min is where its slope is 0.
fn least(slope: impl Fn(f64) -> f64) -> Option<f64> {
    let (mut low, mut high) = (1.0 / MOST, MOST);
    // Written so that NaN is refused too.
    if !(slope(low) < 0.0 && slope(high) > 0.0) {
        return None;
    }
    while high / low > 1.0 + 1e-12 {
        let middle = (low * high).sqrt();
        if slope(middle) < 0.0 { low = middle } else { high = middle }
    }
    Some(1.0 / (low * high).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temperatures_are_those_that_scipy_finds() {
        // z = numpy.random.default_rng(5).normal(size=(12, 3)).round(3) * 3, plus 1 at labels = [0, 1, 2] * 4; the least of
        // scipy.optimize.minimize_scalar(lambda t: -scipy.special.log_softmax(z / t, 1)[range(12), labels].mean(),
        // bounds=(0.01, 100), options={"xatol": 1e-12}), and for column 0 of z, true where the label is 0, of
        // -log(expit(±z / t)).
        let scores = [
            -1.406, -3.972, -0.744, 1.26, 4.408, 0.33, -1.659, -2.355, 3.247, 5.905, 0.819, -3.699, -2.874,
            5.8, 0.609, -5.196, -0.252, -2.489, -0.887, -1.464, -2.139, 1.659, 0.811, -1.767, 1.23, 2.49,
            -3.929, 0.229, -2.943, -0.519, -3.867, 1.063, -0.114, -0.912, -3.144, -0.188,
        ];
        assert!(
            (softmax_temperature(&scores, 3, Truth::Labels(&[0, 1, 2].repeat(4))).unwrap() - 2.619664).abs()
                < 1e-4
        );
        let first: Vec<f64> = scores.iter().copied().step_by(3).collect();
        let truths: Vec<f64> = (0..12).map(|i| f64::from(i % 3 == 0)).collect();
        assert!((sigmoid_temperature(&first, &truths).unwrap() - 2.809043).abs() < 1e-4);
    }

    #[test]
    fn a_distribution_over_classes_counts_as_many_rows() {
        // Rows of one kind, 3 of 4 of the first class, are one row with 3/4 of it.
        let scores = [2.0, 0.0, -1.0, 0.5, 1.0, 1.5];
        let soft = [0.75, 0.25, 0.0, 0.0, 0.5, 0.5];
        let labels: Vec<i32> = [[0, 0, 0, 1], [1, 1, 2, 2]].concat();
        let rows: Vec<f64> = scores.chunks(3).flat_map(|row| row.repeat(4)).collect();
        let of_labels = softmax_temperature(&rows, 3, Truth::Labels(&labels)).unwrap();
        let of_soft = softmax_temperature(&scores, 3, Truth::Distributions(&soft)).unwrap();
        assert!((of_labels - of_soft).abs() < 1e-9, "{of_labels} and {of_soft}");
    }

    #[test]
    fn there_is_none_where_all_rows_are_right_or_no_better_than_chance() {
        assert_eq!(softmax_temperature(&[1.0, 0.0, 0.0, 2.0], 2, Truth::Labels(&[0, 1])), None);
        assert_eq!(softmax_temperature(&[1.0, 0.0, 0.0, 2.0], 2, Truth::Labels(&[1, 0])), None);
        assert_eq!(softmax_temperature(&[], 2, Truth::Labels(&[])), None);
        assert_eq!(sigmoid_temperature(&[f64::NAN], &[1.0]), None);
    }
}
