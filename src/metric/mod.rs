//! Figures that measure a model, exact over their rows.
//!
//! Plain functions over slices of f64. Tables are row-major: `[rows, width]`. Where scikit-learn has the figure, its
//! value is scikit-learn's; where it only warns, the rule here is:
//!
//! - A figure without rows is NaN, "undefined", as is an R² of a single row.
//! - Precision, recall and F1 are 0 where there is nothing to divide by (`zero_division=0`).
//! - The macro mean over classes leaves out classes that occur neither among the labels nor among the predictions, as
//!   scikit-learn does without `labels`. The macro mean over several labels counts them all.
//! - The ROC AUC and the average precision of a class need rows of it and rows of others. A class that has none is left
//!   out of the mean over classes; where none is left, the figure is NaN.
//!
//! | file | figures of |
//! |---|---|
//! | `name` | their names: [`Metric`], and the task of a model: [`Task`] |
//! | `counts` | precision, recall, F1 and their averages |
//! | `classes` | one class of several a row: [`Confusion`], accuracies |
//! | `custom` | figures of one's own: [`Metric::custom`] |
//! | `conformal` | sets and intervals that hold the truth with a given confidence |
//! | `labels` | several labels, each present or absent |
//! | `probability` | log loss, Brier score, calibration |
//! | `ranking` | ROC AUC, average precision, the threshold of the best F1 |
//! | `temperature` | the temperature that calibrates probabilities |
//! | `values` | numbers: errors and R² |
//! | `answers` | all figures of one evaluation |

mod answers;
mod classes;
mod conformal;
mod counts;
mod custom;
mod figures;
mod labels;
mod name;
mod output;
mod probability;
mod ranking;
mod temperature;
mod values;

pub(crate) use answers::error_figures;
pub use answers::{Answers, ClassAnswers, LabelAnswers};
pub use classes::{Confusion, classes_of, top_k};
pub use conformal::Conformal;
pub use counts::{Average, Counts, averaged};
pub use custom::CustomMetric;
pub use figures::Figures;
pub use labels::{exact_match, label_accuracy, label_counts};
pub use name::{Direction, Metric, Task, UnknownMetric, number, percent};
pub use output::OutputMetric;
pub use probability::{Truth, brier, calibration_error, log_loss};
pub use ranking::{average_precision, best_f1, cumulative, one_against_rest, roc_auc};
pub use temperature::{sigmoid_temperature, softmax_temperature};
pub(crate) use values::{ErrorSums, TargetMeans};
pub use values::{Errors, mean_errors};
