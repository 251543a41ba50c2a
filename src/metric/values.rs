//! Errors of predicted numbers.

use rayon::prelude::*;

/// Columns of a table that are read together.
const BLOCK: usize = 16;

/// How far one output is from its target over those rows whose target is known: a target of NaN counts in no figure.
///
/// ```
/// use neural::metric::Errors;
/// let errors = Errors::of(&[1.0, 3.0, 4.0], &[1.0, 5.0, 3.0]);
/// assert_eq!((errors.absolute, errors.median, errors.r2), (1.0, 1.0, 0.375));
/// assert_eq!(errors.root_mean_square(), (5.0f64 / 3.0).sqrt());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Errors {
    /// The mean of (p - t)².
    pub squared: f64,
    /// The mean of |p - t|.
    pub absolute: f64,
    /// The median of |p - t|, the mean of the two in the middle of an even number of rows.
    pub median: f64,
    /// 1 - Σ (p - t)² / Σ (t - t̄)², the part of the variance that is explained. Where the targets do not vary: 1 if
    /// all predictions are exact, otherwise 0. NaN for fewer than two rows.
    pub r2: f64,
}

impl Errors {
    /// The errors of one output, from a prediction and a target for each row; NaN without rows.
    pub fn of(predicted: &[f64], targets: &[f64]) -> Self {
        let known = predicted.iter().zip(targets).filter(|(_, t)| !t.is_nan());
        let distances = known.map(|(p, t)| (p - t).abs()).collect();
        Self { median: median(distances), ..Self::without_medians(predicted, targets, 1)[0] }
    }

    /// As [`Errors::of_each`], with NaN as medians, whose absolute errors need not be sorted then.
    pub(super) fn without_medians(predicted: &[f64], targets: &[f64], width: usize) -> Vec<Self> {
        let mut means = TargetMeans::new(width);
        means.add(targets);
        let mut sums = ErrorSums::new(means.means());
        sums.add(predicted, targets);
        sums.errors()
    }

    /// The errors of each output of tables `[rows, width]`.
    ///
    /// ```
    /// use neural::metric::Errors;
    /// let errors = Errors::of_each(&[1.0, 10.0, 2.0, 20.0], &[1.0, 11.0, 2.0, 19.0], 2);
    /// assert_eq!((errors[0].absolute, errors[1].absolute), (0.0, 1.0));
    /// ```
    pub fn of_each(predicted: &[f64], targets: &[f64], width: usize) -> Vec<Self> {
        // Some columns at once: each alone would read all of a wide table's memory.
        let columns = |table: &[f64], from: usize, to: usize| -> Vec<Vec<f64>> {
            let mut columns = vec![Vec::with_capacity(table.len() / width); to - from];
            for row in table.chunks_exact(width) {
                columns.iter_mut().zip(&row[from..to]).for_each(|(column, value)| column.push(*value));
            }
            columns
        };
        let of_block = |from: &usize| -> Vec<Self> {
            let to = (from + BLOCK).min(width);
            let both = columns(predicted, *from, to).into_iter().zip(columns(targets, *from, to));
            both.map(|(predicted, targets)| Self::of(&predicted, &targets)).collect()
        };
        let blocks: Vec<usize> = (0..width).step_by(BLOCK).collect();
        blocks.par_iter().flat_map_iter(of_block).collect()
    }

    /// How much of the variance is explained, from Σ (p - t)² and Σ (t - t̄)² over some rows.
    fn explained(rows: usize, squares: f64, variation: f64) -> f64 {
        match () {
            () if rows < 2 => f64::NAN,
            () if squares == 0.0 => 1.0,
            () if variation == 0.0 => 0.0,
            () => 1.0 - squares / variation,
        }
    }

    /// √ of the mean of (p - t)².
    pub fn root_mean_square(&self) -> f64 {
        self.squared.sqrt()
    }
}

/// The sums over rows from which all of [`Errors`] but the median are computed. Rows can be added in parts, so that
/// tables as wide as pictures need not be in memory at once; the results equal [`Errors::of_each`] bit for bit.
pub(crate) struct ErrorSums {
    /// The number of known targets. As all fields, for each output.
    known: Vec<usize>,
    means: Vec<f64>,
    squares: Vec<f64>,
    absolute: Vec<f64>,
    variation: Vec<f64>,
}

impl ErrorSums {
    /// Empty sums for rows whose targets have these means, one an output; see [`TargetMeans`].
    pub fn new(means: Vec<f64>) -> Self {
        let zeros = || vec![0.0; means.len()];
        Self { known: vec![0; means.len()], squares: zeros(), absolute: zeros(), variation: zeros(), means }
    }

    /// Adds rows of tables `[rows, width]`.
    pub fn add(&mut self, predicted: &[f64], targets: &[f64]) {
        let width = self.means.len().max(1);
        for (predicted, targets) in predicted.chunks_exact(width).zip(targets.chunks_exact(width)) {
            for (output, (p, t)) in predicted.iter().zip(targets).enumerate() {
                if t.is_nan() {
                    continue;
                }
                self.known[output] += 1;
                let (distance, deviation) = ((p - t).abs(), t - self.means[output]);
                self.squares[output] += distance * distance;
                self.absolute[output] += distance;
                self.variation[output] += deviation * deviation;
            }
        }
    }

    /// The errors of each output, their medians NaN.
    pub fn errors(&self) -> Vec<Errors> {
        let of = |output: usize| {
            let n = self.known[output] as f64;
            Errors {
                squared: self.squares[output] / n,
                absolute: self.absolute[output] / n,
                median: f64::NAN,
                r2: Errors::explained(self.known[output], self.squares[output], self.variation[output]),
            }
        };
        (0..self.means.len()).map(of).collect()
    }
}

/// The mean of each column of a table, whose rows can be added a part at a time.
pub(crate) struct TargetMeans {
    /// For each column, the sum and the number of its known values.
    columns: Vec<(f64, usize)>,
}

impl TargetMeans {
    pub fn new(width: usize) -> Self {
        Self { columns: vec![(0.0, 0); width] }
    }

    pub fn add(&mut self, targets: &[f64]) {
        for row in targets.chunks_exact(self.columns.len().max(1)) {
            for ((sum, known), target) in self.columns.iter_mut().zip(row).filter(|(_, t)| !t.is_nan()) {
                *sum += target;
                *known += 1;
            }
        }
    }

    pub fn means(self) -> Vec<f64> {
        self.columns.into_iter().map(|(sum, known)| sum / known as f64).collect()
    }
}

/// The mean of a figure over outputs, all with the same weight (scikit-learn's `uniform_average`); NaN of none.
///
/// ```
/// use neural::metric::{Errors, mean_errors};
/// let outputs = Errors::of_each(&[1.0, 10.0, 2.0, 20.0], &[1.0, 11.0, 2.0, 19.0], 2);
/// assert_eq!(mean_errors(&outputs, |errors| errors.absolute), 0.5);
/// ```
pub fn mean_errors(outputs: &[Errors], figure: impl Fn(&Errors) -> f64) -> f64 {
    outputs.iter().map(figure).sum::<f64>() / outputs.len() as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    if values.is_empty() || values.iter().any(|value| value.is_nan()) {
        return f64::NAN;
    }
    let is_even = values.len().is_multiple_of(2);
    let middle = values.len() / 2;
    let (below, &mut upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    if !is_even {
        return upper;
    }
    f64::midpoint(below.iter().copied().fold(f64::NEG_INFINITY, f64::max), upper)
}
