//! Distances of probabilities from the truth.

/// The truth about each row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Truth<'a> {
    /// One class a row.
    Labels(&'a [i32]),
    /// A distribution over the classes a row, `[rows, width]`.
    Distributions(&'a [f64]),
}

impl Truth<'_> {
    /// How true class `class` is of row `row`, of `width` classes.
    pub(super) fn of(&self, row: usize, class: usize, width: usize) -> f64 {
        match self {
            Truth::Labels(labels) => {
                f64::from(labels.get(row).is_some_and(|&label| usize::try_from(label) == Ok(class)))
            }
            Truth::Distributions(targets) => targets.get(row * width + class).copied().unwrap_or(0.0),
        }
    }
}

/// The mean of -Σ t ln p over rows of probabilities `[n, width]`; NaN of no rows. Probabilities are kept 2⁻⁵² from 0
/// and 1, as scikit-learn keeps them, so that one impossible row does not make the mean infinite.
///
/// ```
/// use neural::metric::{Truth, log_loss};
/// let loss = log_loss(&[0.5, 0.5, 0.25, 0.75], 2, Truth::Labels(&[0, 1]));
/// assert!((loss - -(0.5f64.ln() + 0.75f64.ln()) / 2.0).abs() < 1e-15);
/// ```
pub fn log_loss(probabilities: &[f64], width: usize, truth: Truth<'_>) -> f64 {
    let log = |p: f64| p.clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln();
    // 0 ln 0 is 0.
    let term = |t: f64, p: f64| if t == 0.0 { 0.0 } else { -t * log(p) };
    mean_over_rows(probabilities, width, truth, term)
}

/// The Brier score: the mean of Σ (p - t)² over rows of probabilities `[n, width]`, for two classes half of it, which
/// is the score of the second class alone; NaN without rows.
///
/// ```
/// use neural::metric::{Truth, brier};
/// assert_eq!(brier(&[0.25, 0.75], 2, Truth::Labels(&[1])), 0.0625);
/// assert_eq!(brier(&[0.25, 0.25, 0.5], 3, Truth::Labels(&[2])), 0.375);
/// ```
pub fn brier(probabilities: &[f64], width: usize, truth: Truth<'_>) -> f64 {
    let sum = mean_over_rows(probabilities, width, truth, |t, p| (p - t) * (p - t));
    if width == 2 { sum / 2.0 } else { sum }
}

fn mean_over_rows(
    probabilities: &[f64],
    width: usize,
    truth: Truth<'_>,
    term: impl Fn(f64, f64) -> f64,
) -> f64 {
    let rows = probabilities.chunks_exact(width.max(1));
    let total = rows.len() as f64;
    let of_row = |(row, probabilities): (usize, &[f64])| {
        probabilities.iter().enumerate().map(|(c, &p)| term(truth.of(row, c, width), p)).sum::<f64>()
    };
    rows.enumerate().map(of_row).sum::<f64>() / total
}

/// How many bins [`calibration_error`] counts in.
const BINS: usize = 15;

/// The expected calibration error (Guo et al., 2017, <https://arxiv.org/abs/1706.04599>): rows are put into 15 bins of
/// equal width by the probability of their predicted class, (0, 1/15], (1/15, 2/15] … The error is the mean over bins,
/// weighted by their rows, of |accuracy - mean probability|; NaN of no rows.
///
/// `probabilities` are `[n, width]`, `predicted` the class that each row was taken for.
///
/// ```
/// // Four rows said to be 80 % certain, three of them right.
/// let probabilities = [0.2, 0.8].repeat(4);
/// let error = neural::metric::calibration_error(&probabilities, 2, &[1, 1, 1, 1], &[1, 1, 1, 0]);
/// assert!((error - 0.05).abs() < 1e-15);
/// ```
pub fn calibration_error(probabilities: &[f64], width: usize, predicted: &[i32], labels: &[i32]) -> f64 {
    // For each bin: the sum of its probabilities, and how many of its rows were correct.
    let mut bins = [(0.0, 0usize); BINS];
    let rows = probabilities.chunks_exact(width.max(1)).zip(predicted).zip(labels);
    let total = rows.len() as f64;
    for ((row, &predicted), &label) in rows {
        let p = usize::try_from(predicted).ok().and_then(|class| row.get(class)).copied().unwrap_or(f64::NAN);
        if p.is_nan() {
            return f64::NAN;
        }
        let bin = &mut bins[((p * BINS as f64).ceil() as usize).clamp(1, BINS) - 1];
        bin.0 += p;
        bin.1 += usize::from(predicted == label);
    }
    bins.iter().map(|(sum, right)| (*right as f64 - sum).abs()).sum::<f64>() / total
}
