//! Losses: what training makes small.
//!
//! | file | holds |
//! |---|---|
//! | `softmax` | the cross-entropy of one class of several |
//! | `sigmoid` | the cross-entropy of yes or no, and of labels |
//! | `distance` | squared and absolute errors, Huber's loss |
//! | `hinge` | the hinge loss |
//! | `custom` | losses of one's own: [`LossFunction`] |
//! | `compare` | outputs beside their targets, and sums of losses |
//! | `mask` | which rows and positions count: [`Mask`] |

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
use crate::named::{self, Named};
use compare::Compared;
use serde::{Deserialize, Deserializer, Serialize};

/// A loss of a model's outputs and their targets.
///
/// Outputs are `[n, outputs]`, or `[n, …, outputs]` for a loss at every position of a sequence or pixel of a picture. Targets
/// are classes, i32 of the outputs' shape without the last axis, or values of the outputs' own shape. Each loss is the mean
/// over all rows and positions, which a [`Mask`] may weigh; what the mask leaves out counts neither in the sum nor in
/// the divisor.
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
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// -ln softmax(x)ᵧ for a class y, from logits; -Σ t ln softmax(x) for a distribution t over the classes, which is a
    /// target of values.
    SoftmaxCrossEntropy(CrossEntropy),
    /// ln(1 + eˣ) - t x for each output with target t of 0 or 1, from logits. A class is taken as its one-hot row, or
    /// for a single output as the target itself.
    SigmoidCrossEntropy(SigmoidCrossEntropy),
    /// (x - t)², the mean over outputs.
    MeanSquaredError,
    /// |x - t|, the mean over outputs.
    MeanAbsoluteError,
    /// ½ (x - t)² up to a distance of `delta`, and delta (|x - t| - ½ delta) beyond (Huber, 1964); the mean over
    /// outputs.
    Huber(Huber),
    /// Σⱼ max(0, 1 - xᵧ + xⱼ) over the classes j other than y (Weston and Watkins, 1999).
    Hinge,
    /// See [`Loss::custom`]. No recipe can name one.
    #[serde(skip)]
    Custom(Custom),
}

impl Named for Loss {
    const WHAT: &'static str = "a loss";
    const NAMES: &'static [&'static str] = &[
        "softmax-cross-entropy",
        "sigmoid-cross-entropy",
        "mean-squared-error",
        "mean-absolute-error",
        "huber",
        "hinge",
    ];
    const ALIASES: &'static [(&'static str, &'static str)] = &[
        ("crossentropy", "softmax-cross-entropy"),
        ("crossentropyloss", "softmax-cross-entropy"),
        ("categoricalcrossentropy", "softmax-cross-entropy"),
        ("sparsecategoricalcrossentropy", "softmax-cross-entropy"),
        ("binarycrossentropy", "sigmoid-cross-entropy"),
        ("bce", "sigmoid-cross-entropy"),
        ("bcewithlogits", "sigmoid-cross-entropy"),
        ("bcewithlogitsloss", "sigmoid-cross-entropy"),
        ("mse", "mean-squared-error"),
        ("mseloss", "mean-squared-error"),
        ("mae", "mean-absolute-error"),
        ("l1loss", "mean-absolute-error"),
        ("huberloss", "huber"),
    ];

    fn read<'de, D: Deserializer<'de>>(name: &str, settings: D) -> std::result::Result<Self, D::Error> {
        let plain = |loss: Loss, settings: D| <()>::deserialize(settings).map(|()| loss);
        match name {
            "softmax-cross-entropy" => CrossEntropy::deserialize(settings).map(Loss::SoftmaxCrossEntropy),
            "sigmoid-cross-entropy" => {
                SigmoidCrossEntropy::deserialize(settings).map(Loss::SigmoidCrossEntropy)
            }
            "mean-squared-error" => plain(Loss::MeanSquaredError, settings),
            "mean-absolute-error" => plain(Loss::MeanAbsoluteError, settings),
            "huber" => named::short(settings, "delta").map(Loss::Huber),
            "hinge" => plain(Loss::Hinge, settings),
            _ => Err(serde::de::Error::custom(named::unknown(Self::WHAT, name, Self::NAMES))),
        }
    }
}

impl<'de> Deserialize<'de> for Loss {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        named::deserialize(deserializer)
    }
}

/// -ln softmax of the right class.
pub fn softmax_cross_entropy() -> Loss {
    Loss::SoftmaxCrossEntropy(CrossEntropy::default())
}

/// -t ln σ(x) - (1 - t) ln(1 - σ(x)).
pub fn sigmoid_cross_entropy() -> Loss {
    Loss::SigmoidCrossEntropy(SigmoidCrossEntropy::default())
}

impl Loss {
    /// A loss of one's own; `name` stands for it in messages.
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

    /// The sum of the losses of what counts, and what to divide it by for their mean, both f64; sums of several batches
    /// add up.
    ///
    /// # Errors
    /// As [`Loss::mean`].
    pub fn sums(&self, outputs: &Tensor, targets: &Tensor, mask: Option<&Mask>) -> Result<(Tensor, Tensor)> {
        let outputs = &outputs.convert(outputs.dtype().accumulator())?;
        let compared = Compared::new(outputs, targets)?;
        let each = match self {
            Loss::SoftmaxCrossEntropy(settings) => settings.each(compared),
            Loss::SigmoidCrossEntropy(settings) => settings.each(compared),
            Loss::MeanSquaredError => distance::squared(compared),
            Loss::MeanAbsoluteError => distance::absolute(compared),
            Loss::Huber(settings) => settings.each(compared),
            Loss::Hinge => hinge::hinge(compared),
            Loss::Custom(custom) => return custom.function.sums(outputs, targets, mask),
        };
        each?.sums(mask)
    }
}
