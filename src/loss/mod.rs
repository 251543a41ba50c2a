//! Losses, which training minimises.
//!
//! | file | holds |
//! |---|---|
//! | `softmax` | the cross-entropy of one class of several |
//! | `sigmoid` | the cross-entropy of yes or no, and of labels |
//! | `distance` | squared and absolute errors, Huber's loss |
//! | `hinge` | the hinge loss |
//! | `custom` | custom losses: [`LossFunction`] |
//! | `compare` | outputs compared with their targets, and sums of losses |
//! | `mask` | the rows and positions that count: [`Mask`] |

mod compare;
mod custom;
mod distance;
mod hinge;
mod mask;
mod sigmoid;
mod softmax;

pub use custom::{Custom, LossFunction};
pub use distance::Huber;
pub use mask::Mask;
pub use sigmoid::SigmoidCrossEntropy;
pub use softmax::CrossEntropy;

use crate::error::Result;
use crate::graph::Tensor;
use crate::named;
use compare::Compare;
use serde::Deserialize;

/// Declares [`Loss`] from the table of losses, see [`named::table`]; the [`Compare`] that computes a loss follows the
/// arrow.
macro_rules! losses {
    (
        $(#[$attribute:meta])*
        pub enum Loss {
            $(
                $(#[doc = $doc:literal])+
                $Variant:ident $(($loss:ident: $Settings:ty))? =
                    $name:literal $(| $alias:literal)* $(, short $short:literal)? => $compare:expr;
            )+
        }
    ) => {
        named::table! {
            $(#[$attribute])*
            pub enum Loss: "a loss" {
                $(
                    $(#[doc = $doc])+
                    $Variant $(($Settings))? = $name $(| $alias)* $(, short $short)?;
                )+
            }
            else {
                /// See [`Loss::custom`].
                Custom(Custom) = "custom"
            }
        }

        impl Loss {
            fn compare(&self) -> &dyn Compare {
                match self {
                    $(Loss::$Variant $(($loss))? => $compare,)+
                    Loss::Custom(custom) => custom,
                }
            }
        }
    };
}

losses! {
    /// A loss of a model's outputs and their targets.
    ///
    /// Outputs are `[n, outputs]`, or `[n, …, outputs]` for a loss at every position of a sequence or pixel of a picture.
    /// Targets are classes, i32 of the outputs' shape without the last axis, or values of the outputs' own shape. Each loss
    /// is the mean over all rows and positions, which a [`Mask`] may weigh; elements that the mask leaves out count
    /// neither in the sum nor in the divisor.
    ///
    /// ```
    /// use neural::{DType, graph::Graph, loss};
    /// let graph = Graph::new();
    /// let loss = loss::softmax_cross_entropy();
    /// let (outputs, classes) = (graph.parameter(DType::F32, &[8, 3]), graph.parameter(DType::I32, &[8]));
    /// let mean = loss.mean(&outputs, &classes, None)?;
    /// assert_eq!((mean.dtype(), mean.rank()), (DType::F64, 0));
    /// // A class for each pixel.
    /// let (outputs, classes) = (graph.parameter(DType::F32, &[8, 16, 16, 3]), graph.parameter(DType::I32, &[8, 16, 16]));
    /// assert_eq!(loss.mean(&outputs, &classes, None)?.rank(), 0);
    /// # Ok::<(), neural::Error>(())
    /// ```
    #[derive(Clone, Debug, PartialEq)]
    pub enum Loss {
        /// -ln softmax(x)ᵧ for a class y, from logits; -Σ t ln softmax(x) for a distribution t over the classes, which is a
        /// target of values. `label_smoothing`, `class_weights` (a number for each class)
        SoftmaxCrossEntropy(loss: CrossEntropy) =
            "softmax-cross-entropy" | "crossentropy" | "crossentropyloss" | "categoricalcrossentropy"
            | "sparsecategoricalcrossentropy" => loss;
        /// ln(1 + eˣ) - t x for each output with target t from 0 to 1, from logits. A class is taken as its one-hot row, or
        /// for a single output as the target itself. `sum_outputs` (`true` adds up a row's outputs in place of their
        /// mean), `class_weights` (one for each class or label, for a single output two), `positive_weight` (one for all
        /// outputs, or one for each)
        SigmoidCrossEntropy(loss: SigmoidCrossEntropy) =
            "sigmoid-cross-entropy" | "binarycrossentropy" | "bce" | "bcewithlogits" | "bcewithlogitsloss" => loss;
        /// (x - t)², the mean over outputs.
        MeanSquaredError = "mean-squared-error" | "mse" | "mseloss" => &distance::Squared;
        /// The distance of x and t, the mean over outputs.
        MeanAbsoluteError = "mean-absolute-error" | "mae" | "l1loss" => &distance::Absolute;
        /// ½ d² for a distance d of x and t up to `delta`, and delta (d - ½ delta) beyond (Huber, 1964); the mean over
        /// outputs. `delta`
        Huber(loss: Huber) = "huber" | "huberloss", short "delta" => loss;
        /// Σⱼ max(0, 1 - xᵧ + xⱼ) over the classes j other than y (Weston and Watkins, 1999).
        Hinge = "hinge" => &hinge::Hinge;
    }
}

/// -ln softmax of the true class.
pub fn softmax_cross_entropy() -> Loss {
    Loss::SoftmaxCrossEntropy(CrossEntropy::default())
}

/// -t ln σ(x) - (1 - t) ln(1 - σ(x)).
pub fn sigmoid_cross_entropy() -> Loss {
    Loss::SigmoidCrossEntropy(SigmoidCrossEntropy::default())
}

impl Loss {
    /// A custom loss; `name` stands for it in messages.
    ///
    /// ```
    /// use neural::{graph::Tensor, loss::Loss, nn, train::Trainer};
    /// // ln cosh of the distance, the mean over the outputs.
    /// let log_cosh = Loss::custom("log-cosh", |outputs: &Tensor, targets: &Tensor| {
    ///     let distance = (outputs - targets)?;
    ///     ((&distance + (&distance * -2.0)?.softplus()?)? - 2f64.ln())?.mean(&[outputs.rank() - 1])
    /// });
    /// let trainer = Trainer::new(nn::sequential([nn::dense(1)])).loss(log_cosh);
    /// # assert!(matches!(trainer.loss, Loss::Custom(_)));
    /// ```
    pub fn custom(name: &str, function: impl LossFunction + Send + Sync + 'static) -> Self {
        Self::Custom(Custom::new(name, function))
    }

    /// The mean loss over all rows and positions that count, f64.
    ///
    /// # Errors
    /// When outputs, targets and mask do not fit each other.
    pub fn mean(&self, outputs: &Tensor, targets: &Tensor, mask: Option<&Mask>) -> Result<Tensor> {
        let (sum, weight) = self.sums(outputs, targets, mask)?;
        sum / weight
    }

    /// The sum of the losses that count and the divisor for their mean, both f64; sums of several batches add up.
    ///
    /// # Errors
    /// As [`Loss::mean`].
    pub fn sums(&self, outputs: &Tensor, targets: &Tensor, mask: Option<&Mask>) -> Result<(Tensor, Tensor)> {
        self.compare().sums(outputs, targets, mask)
    }

    /// How it interprets a model's outputs.
    pub fn outputs(&self) -> Outputs {
        self.compare().outputs()
    }

    /// The weights of the classes in the mean, of losses that have them; empty where all weigh the same.
    pub fn class_weights(&self) -> &[f64] {
        self.compare().class_weights()
    }

    /// The weights of the terms for targets of 1, of losses that have them; empty where they weigh as those for 0.
    pub fn positive_weight(&self) -> &[f64] {
        self.compare().positive_weight()
    }
}

/// How a loss interprets a model's outputs, which decides its targets, and the predictions and figures of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outputs {
    /// Logits of classes that exclude each other: their softmax is a distribution over the classes.
    Classes,
    /// Logits of labels that may be there together, or of yes and no: their sigmoids are probabilities.
    Labels,
    /// Scores of classes; only their order matters.
    Scores,
    /// Values as the targets are.
    Values,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_has_the_table() {
        named::reference::check("losses", Loss::REFERENCE);
    }

    #[test]
    fn a_loss_of_ones_own_has_no_name_in_a_recipe() {
        let own = Loss::custom("own", |outputs: &Tensor, _: &Tensor| outputs.mean(&[1]));
        let error = serde_json::to_string(&own).unwrap_err().to_string();
        assert!(error.contains("no recipe can name a loss"), "{error}");
    }
}
