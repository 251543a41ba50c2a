//! Sets of classes and intervals of values that hold the truth with a requested probability, by split conformal
//! prediction.

use serde::{Deserialize, Serialize};

/// The margins by which to widen answers so that they hold the truth in a given part of all rows, chosen on rows that
/// the model did not learn from.
///
/// With n such rows and a confidence c, the margin is the ⌈(n + 1) c⌉-th smallest of the model's errors on them: for
/// classes 1 less the probability of the true one (Sadinle, Lei and Wasserman 2019), for values |target - output| (Lei
/// et al. 2018), each output by itself. For further exchangeable rows the truth is within with a probability of at
/// least c, whatever the model.
///
/// ```
/// use neural::metric::Conformal;
/// let targets = [1.0, 2.0, 3.0, 4.0];
/// let outputs = [1.5, 1.9, 3.3, 3.0];
/// let conformal = Conformal::of_values(&outputs, &targets, 1, 0.8).expect("rows enough");
/// assert_eq!(conformal.interval(0, 10.0), [9.0, 11.0]); // 4th smallest of 0.5, 0.1, 0.3 and 1
/// assert_eq!(Conformal::of_values(&outputs, &targets, 1, 0.9), None); // would be the 5th of four
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conformal {
    /// The part of all rows whose truth lies within, between 0 and 1.
    pub confidence: f64,
    /// One for classes; one for each output for values.
    pub margins: Vec<f64>,
}

impl Conformal {
    /// The margin for probabilities `[rows, classes]` and the true classes; `None` where the rows are too few for the
    /// confidence, or a margin is not finite, as too many probabilities are NaN.
    pub fn of_classes(
        probabilities: &[f64],
        classes: usize,
        labels: &[i32],
        confidence: f64,
    ) -> Option<Self> {
        let wrong = |(row, label): (&[f64], &i32)| 1.0 - row.get(*label as usize).copied().unwrap_or(0.0);
        let rows = probabilities.chunks_exact(classes.max(1)).zip(labels).filter(|(_, label)| **label >= 0);
        let margin = margin(rows.map(wrong).collect(), confidence)?;
        Some(Self { confidence, margins: vec![margin] })
    }

    /// The margins for outputs and targets `[rows, width]`, where targets that are NaN do not count; `None` where the
    /// rows are too few, or a margin is not finite, as too many outputs or targets are infinite, or outputs NaN.
    pub fn of_values(outputs: &[f64], targets: &[f64], width: usize, confidence: f64) -> Option<Self> {
        let of = |output: usize| {
            let pairs = outputs.iter().zip(targets).skip(output).step_by(width.max(1));
            let known = pairs.filter(|(_, target)| !target.is_nan());
            margin(known.map(|(output, target)| (target - output).abs()).collect(), confidence)
        };
        let margins = (0..width).map(of).collect::<Option<_>>()?;
        Some(Self { confidence, margins })
    }

    /// The classes that are probable enough, always including the most probable one, in the order of the classes.
    pub fn set(&self, probabilities: &[f64]) -> Vec<usize> {
        let margin = self.margins.first().copied().unwrap_or(1.0);
        let most = probabilities.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let is_in = |&i: &usize| 1.0 - probabilities[i] <= margin || probabilities[i] == most;
        (0..probabilities.len()).filter(is_in).collect()
    }

    /// The ends between which the target of an output is.
    pub fn interval(&self, output: usize, value: f64) -> [f64; 2] {
        let margin = self.margins.get(output).copied().unwrap_or(f64::INFINITY);
        [value - margin, value + margin]
    }

    /// The min number n of rows for a confidence c: ⌈(n + 1) c⌉ ≤ n where n ≥ c / (1 - c).
    pub fn least_rows(confidence: f64) -> usize {
        (confidence / (1.0 - confidence) - 1e-9).ceil().max(1.0) as usize
    }
}

/// ⌈(rows + 1) confidence⌉, where a product that is a whole number but for its rounding is that number.
fn place(rows: usize, confidence: f64) -> usize {
    ((rows + 1) as f64 * confidence - 1e-9).ceil().max(1.0) as usize
}

/// An error that is NaN is larger than any number.
fn margin(mut errors: Vec<f64>, confidence: f64) -> Option<f64> {
    let place = place(errors.len(), confidence);
    errors.iter_mut().filter(|error| error.is_nan()).for_each(|error| *error = f64::INFINITY);
    errors.sort_by(f64::total_cmp);
    errors.get(place - 1).copied().filter(|margin| margin.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn margins_are_those_of_higher_quantiles() {
        // numpy.quantile(errors, ceil((n + 1) c) / n, method="higher") for errors = 0.0, 0.1, … 1.9 in another order
        let errors: Vec<f64> = (0..20).map(|i| f64::from(i * 7 % 20) / 10.0).collect();
        for (confidence, expected) in [(0.5, 1.0), (0.8, 1.6), (0.9, 1.8), (0.95, 1.9)] {
            assert_eq!(margin(errors.clone(), confidence), Some(expected), "{confidence}");
        }
        assert_eq!(margin(errors, 0.96), None);
        assert_eq!([0.5, 0.8, 0.9, 0.95, 0.99].map(Conformal::least_rows), [1, 4, 9, 19, 99]);
    }

    #[test]
    fn answers_that_are_not_finite_count_as_wrong_and_give_no_margin() {
        let (nan, inf) = (f64::NAN, f64::INFINITY);
        let of = |outputs: &[f64], targets: &[f64], confidence| {
            Conformal::of_values(outputs, targets, 1, confidence).map(|found| found.margins[0])
        };
        // Errors 0.5, 1, 2 and an infinite one; the ⌈5 · 0.6⌉-th is 2, the ⌈5 · 0.8⌉-th infinite.
        for (outputs, targets) in [
            ([1.5, nan, 3.0, 4.0], [1.0, 2.0, 1.0, 3.0]),
            ([1.5, -inf, 3.0, 4.0], [1.0, 2.0, 1.0, 3.0]),
            ([1.5, 2.0, 3.0, 4.0], [1.0, inf, 1.0, 3.0]),
            ([1.5, inf, 3.0, 4.0], [1.0, inf, 1.0, 3.0]),
        ] {
            assert_eq!([0.6, 0.8].map(|c| of(&outputs, &targets, c)), [Some(2.0), None], "{outputs:?}");
        }
        // A target that is not known counts neither way.
        assert_eq!(of(&[1.5, nan, 3.0, 4.0], &[1.0, nan, 1.0, 3.0], 0.75), Some(2.0));
        let probabilities = [0.7, 0.3, -nan, nan, 0.4, 0.6];
        let of = |c| Conformal::of_classes(&probabilities, 2, &[0, 0, 1], c).map(|found| found.margins[0]);
        assert_eq!((of(0.5), of(0.75)), (Some(0.4), None));
    }

    #[test]
    fn sets_hold_the_right_class_of_as_many_rows_as_asked() {
        let probabilities = [0.7, 0.2, 0.1, 0.3, 0.6, 0.1, 0.1, 0.5, 0.4, 0.2, 0.2, 0.6];
        let found = Conformal::of_classes(&probabilities, 3, &[0, 0, 2, 2], 0.8).expect("rows enough");
        // 1 - p of the true ones: 0.3, 0.7, 0.6, 0.4.
        assert_eq!(found.margins, [0.7]);
        let sets: Vec<_> = probabilities.chunks(3).map(|row| found.set(row)).collect();
        assert_eq!(sets, [vec![0], vec![0, 1], vec![1, 2], vec![2]]);
        let sure = Conformal { confidence: 0.5, margins: vec![0.1] };
        assert_eq!(sure.set(&[0.3, 0.3, 0.4]), [2], "never empty");
    }
}
