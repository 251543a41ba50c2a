//! Precision, recall and F1 of a class or a label, and their averages.

use serde::{Deserialize, Serialize};

/// How often a class was found, found where it was not, and missed.
///
/// ```
/// use neural::metric::Counts;
/// let counts = Counts { true_positives: 6, false_positives: 2, false_negatives: 4 };
/// assert_eq!((counts.precision(), counts.recall()), (0.75, 0.6));
/// assert_eq!(counts.f1(), 12.0 / 18.0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Predicted as the class, and of it.
    pub true_positives: usize,
    /// Predicted as the class, but of another.
    pub false_positives: usize,
    /// Of the class, but predicted as another.
    pub false_negatives: usize,
}

impl Counts {
    /// TP / (TP + FP): the part of the rows predicted as the class that belong to it. 0 if there are none.
    pub fn precision(&self) -> f64 {
        ratio(self.true_positives, self.true_positives + self.false_positives)
    }

    /// TP / (TP + FN): the part of the class's rows that were predicted as the class. 0 if there are none.
    pub fn recall(&self) -> f64 {
        ratio(self.true_positives, self.support())
    }

    /// 2 TP / (2 TP + FP + FN), the harmonic mean of precision and recall.
    pub fn f1(&self) -> f64 {
        let twice = 2 * self.true_positives;
        ratio(twice, twice + self.false_positives + self.false_negatives)
    }

    /// TP / (TP + FP + FN), Jaccard's index. 0 if the class is nowhere.
    pub fn intersection_over_union(&self) -> f64 {
        let Self { true_positives, false_positives, false_negatives } = *self;
        ratio(true_positives, true_positives + false_positives + false_negatives)
    }

    /// How many rows are of the class.
    pub fn support(&self) -> usize {
        self.true_positives + self.false_negatives
    }

    /// Whether the class occurs, among the labels or among the predictions.
    pub fn occurs(&self) -> bool {
        self.support() + self.false_positives > 0
    }
}

/// 0 where there is nothing to divide by.
fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// How the figures of several classes become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Average {
    /// The second class of two.
    Positive,
    /// The mean over classes.
    Macro,
    /// Over the summed counts of all classes.
    Micro,
    /// The mean over classes, each with the weight of its rows.
    Weighted,
}

/// The average of a figure over classes or labels; NaN where there are none.
///
/// ```
/// use neural::metric::{Average, Counts, averaged};
/// let cat = Counts { true_positives: 1, false_positives: 0, false_negatives: 3 };
/// let dog = Counts { true_positives: 1, false_positives: 3, false_negatives: 0 };
/// let recall = |average| averaged(&[cat, dog], average, Counts::recall);
/// assert_eq!((recall(Average::Macro), recall(Average::Micro)), (0.625, 0.4));
/// assert_eq!((recall(Average::Weighted), recall(Average::Positive)), (0.4, 1.0));
/// ```
pub fn averaged(counts: &[Counts], average: Average, figure: fn(&Counts) -> f64) -> f64 {
    match average {
        Average::Positive => counts.get(1).map_or(f64::NAN, figure),
        Average::Macro => counts.iter().map(figure).sum::<f64>() / counts.len() as f64,
        Average::Micro if counts.is_empty() => f64::NAN,
        Average::Micro => {
            let add = |sum: Counts, one: &Counts| Counts {
                true_positives: sum.true_positives + one.true_positives,
                false_positives: sum.false_positives + one.false_positives,
                false_negatives: sum.false_negatives + one.false_negatives,
            };
            figure(&counts.iter().fold(Counts::default(), add))
        }
        Average::Weighted => {
            let support: usize = counts.iter().map(Counts::support).sum();
            counts.iter().map(|one| one.support() as f64 * figure(one)).sum::<f64>() / support as f64
        }
    }
}
