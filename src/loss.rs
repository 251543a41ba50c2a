//! Losses: what training makes small.

use crate::array::{Array, DType};
use crate::error::{Error, Result};
use crate::graph::Tensor;
use crate::named::{self, Named};
use serde::{Deserialize, Deserializer, Serialize};

/// A loss of a model's outputs `[n, outputs]` and targets: classes, i32 `[n]`, or values, `[n, outputs]`.
///
/// Each is a mean over rows, which a [`Mask`] may weigh.
///
/// ```
/// use neural::{DType, graph::Graph, loss};
/// let graph = Graph::new();
/// let (outputs, classes) = (graph.parameter(DType::F32, &[8, 3]), graph.parameter(DType::I32, &[8]));
/// let mean = loss::softmax_cross_entropy().mean(&outputs, &classes, None)?;
/// assert_eq!((mean.dtype(), mean.rank()), (DType::F64, 0));
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
}

/// Settings of the softmax cross-entropy, which mean what they mean in `PyTorch`.
///
/// ```
/// use neural::loss::{CrossEntropy, Loss};
/// let loss = Loss::SoftmaxCrossEntropy(CrossEntropy { label_smoothing: 0.1, ..CrossEntropy::default() });
/// assert_ne!(loss, neural::loss::softmax_cross_entropy());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CrossEntropy {
    /// This part of the target is spread evenly over all classes.
    pub label_smoothing: f64,
    /// A weight for each class; the mean is divided by the weights of the rows' classes. The weight of a row whose
    /// target is a distribution is the mean of the weights under it, so that a one-hot row weighs as its class does.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub class_weights: Vec<f64>,
}

/// Settings of the sigmoid cross-entropy.
///
/// ```
/// use neural::loss::{Loss, SigmoidCrossEntropy};
/// let rare = SigmoidCrossEntropy { positive_weight: vec![20.0], ..SigmoidCrossEntropy::default() };
/// let read: Loss = serde_json::from_str(r#"{"sigmoid-cross-entropy": {"positive_weight": 20}}"#)?;
/// assert_eq!(read, Loss::SigmoidCrossEntropy(rare));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SigmoidCrossEntropy {
    /// Whether a row's loss is the sum over its outputs instead of their mean.
    pub sum_outputs: bool,
    /// Where targets are classes, a weight for each of them, as for the softmax cross-entropy; for a single output two.
    /// Where they are labels, a weight for each label in the mean over the outputs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub class_weights: Vec<f64>,
    /// The weight of the term for a target of 1 against that for 0, `pos_weight` in `PyTorch`: of every output, or one
    /// for each.
    #[serde(with = "one_or_each", skip_serializing_if = "Vec::is_empty")]
    pub positive_weight: Vec<f64>,
}

/// Settings of Huber's loss.
///
/// ```
/// assert_eq!(neural::loss::Huber::default().delta, 1.0);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Huber {
    pub delta: f64,
}

impl Default for Huber {
    fn default() -> Self {
        Self { delta: 1.0 }
    }
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
///
/// ```
/// use neural::loss::{Loss, softmax_cross_entropy};
/// assert!(matches!(softmax_cross_entropy(), Loss::SoftmaxCrossEntropy(_)));
/// ```
pub fn softmax_cross_entropy() -> Loss {
    Loss::SoftmaxCrossEntropy(CrossEntropy::default())
}

/// -t ln σ(x) - (1 - t) ln(1 - σ(x)).
///
/// ```
/// use neural::loss::{Loss, sigmoid_cross_entropy};
/// assert!(matches!(sigmoid_cross_entropy(), Loss::SigmoidCrossEntropy(_)));
/// ```
pub fn sigmoid_cross_entropy() -> Loss {
    Loss::SigmoidCrossEntropy(SigmoidCrossEntropy::default())
}

/// How much each row of a batch counts.
///
/// ```
/// use neural::{DType, graph::Graph, loss::{Loss, Mask}};
/// let graph = Graph::new();
/// let (values, filled) = (graph.parameter(DType::F32, &[8, 1]), graph.parameter(DType::I32, &[]));
/// let mask = Mask::first(&filled, 8)?;
/// assert_eq!(Loss::MeanSquaredError.mean(&values, &values, Some(&mask))?.rank(), 0);
/// # Ok::<(), neural::Error>(())
/// ```
pub struct Mask {
    weights: Tensor,
    /// Of the weights, f64.
    sum: Tensor,
}

impl Mask {
    /// By a weight for each row, `[n]`; 0 leaves a row out.
    ///
    /// ```
    /// use neural::{DType, graph::Graph, loss::Mask};
    /// let weights = Graph::new().parameter(DType::F32, &[8]);
    /// assert_eq!(Mask::weights(&weights)?.counts()?.ty().to_string(), "bool[8]");
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the weights are `bool`.
    pub fn weights(weights: &Tensor) -> Result<Self> {
        Ok(Self { weights: weights.clone(), sum: weights.convert(DType::F64)?.sum_all()? })
    }

    /// The first `count` (i32, a scalar) of `rows` rows, and none of the others.
    ///
    /// ```
    /// use neural::{DType, graph::Graph, loss::Mask};
    /// let count = Graph::new().parameter(DType::I32, &[]);
    /// assert_eq!(Mask::first(&count, 8)?.counts()?.shape(), [8]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the count is not an i32 scalar.
    pub fn first(count: &Tensor, rows: usize) -> Result<Self> {
        let weights = count.graph().iota(DType::I32, &[rows], 0)?.lt(count)?.convert(DType::F32)?;
        Ok(Self { weights, sum: count.convert(DType::F64)? })
    }

    /// Which rows count at all, `bool[n]`.
    ///
    /// ```
    /// use neural::{DType, graph::Graph, loss::Mask};
    /// let weights = Graph::new().parameter(DType::F32, &[3]);
    /// assert_eq!(Mask::weights(&weights)?.counts()?.dtype(), DType::Bool);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the weights are `bool`.
    pub fn counts(&self) -> Result<Tensor> {
        self.weights.gt(&self.weights.scalar_like(0.0))
    }
}

impl Loss {
    /// The mean loss over the rows, f64.
    ///
    /// ```
    /// use neural::{DType, graph::Graph, loss::Loss};
    /// let values = Graph::new().parameter(DType::F32, &[8, 1]);
    /// assert_eq!(Loss::MeanSquaredError.mean(&values, &values, None)?.rank(), 0);
    /// assert!(Loss::Hinge.mean(&values, &values, None).is_err());
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When outputs, targets and mask do not fit each other.
    pub fn mean(&self, outputs: &Tensor, targets: &Tensor, mask: Option<&Mask>) -> Result<Tensor> {
        let (sum, weight) = self.sums(outputs, targets, mask)?;
        sum / weight
    }

    /// The sum of the rows' losses, and what to divide it by for their mean, both f64; sums of several batches add up.
    ///
    /// ```
    /// use neural::{DType, graph::Graph, loss::Loss};
    /// let values = Graph::new().parameter(DType::F32, &[8, 1]);
    /// let (sum, weight) = Loss::MeanAbsoluteError.sums(&values, &values, None)?;
    /// assert_eq!((sum.rank(), weight.rank()), (0, 0));
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Loss::mean`].
    pub fn sums(&self, outputs: &Tensor, targets: &Tensor, mask: Option<&Mask>) -> Result<(Tensor, Tensor)> {
        let outputs = &outputs.convert(outputs.dtype().accumulator())?;
        // A CPU adds one after the other: over many rows f32 would lose digits.
        let sum = |t: Tensor| t.convert(DType::F64)?.sum_all();
        let (mut values, weights) = self.rows(outputs, targets)?;
        let weight = match (mask, weights) {
            (None, None) => outputs.graph().scalar(outputs.shape()[0] as f64),
            (None, Some(weights)) => sum(weights)?,
            (Some(mask), None) => mask.sum.clone(),
            (Some(mask), Some(weights)) => sum((weights * mask.weights.convert(outputs.dtype())?)?)?,
        };
        if let Some(mask) = mask {
            values = (values * mask.weights.convert(outputs.dtype())?)?;
        }
        Ok((sum(values)?, weight))
    }

    /// The loss of each row, `[n]`, and its weight where that is not 1.
    fn rows(&self, x: &Tensor, targets: &Tensor) -> Result<(Tensor, Option<Tensor>)> {
        let &[n, classes] = x.shape() else {
            return Err(Error::shape("loss", "outputs [n, outputs]", x.ty()));
        };
        let needs_choice = matches!(self, Loss::SoftmaxCrossEntropy(_) | Loss::Hinge);
        if needs_choice && classes < 2 {
            return Err(Error::shape("loss", "at least two outputs to choose among", x.ty()));
        }
        let is_class = targets.dtype() == DType::I32 && targets.shape() == [n];
        let class = || match is_class {
            // A single output answers yes or no: its target is the class itself.
            true if classes == 1 => targets.convert(x.dtype())?.reshape(x.shape()),
            true => targets.one_hot(classes, x.dtype()),
            false => Err(Error::shape("loss", format!("classes, i32[{n}]"), targets.ty())),
        };
        let value = || match targets.shape() == x.shape() {
            true => targets.convert(x.dtype()),
            false => Err(Error::shape(
                "loss",
                format!("a target for each of the outputs {}", x.ty()),
                targets.ty(),
            )),
        };
        let distance = || x - value()?;
        Ok(match self {
            Loss::SoftmaxCrossEntropy(settings) => {
                return settings.rows(x, &if is_class { class()? } else { value()? });
            }
            Loss::SigmoidCrossEntropy(settings) => {
                return settings.rows(x, &if is_class { class()? } else { value()? }, is_class);
            }
            Loss::MeanSquaredError => (distance()?.square()?.mean(&[1])?, None),
            Loss::MeanAbsoluteError => (distance()?.abs()?.mean(&[1])?, None),
            Loss::Huber(Huber { delta }) => {
                let d = distance()?;
                let far = d.abs()?;
                let near = far.le(&far.full_like(*delta)?)?;
                let each = near.select(&(d.square()? * 0.5)?, &((far - 0.5 * delta)? * *delta)?)?;
                (each.mean(&[1])?, None)
            }
            Loss::Hinge => {
                let class = class()?;
                let right = (x * &class)?.sum(&[1])?.unsqueeze(1)?;
                let margin = ((x - right)? + 1.0)?;
                let zero = margin.scalar_like(0.0);
                let counts = margin.gt(&zero)?.and(&class.eq(&zero)?)?;
                (counts.select(&margin, &zero)?.sum(&[1])?, None)
            }
        })
    }
}

impl CrossEntropy {
    fn rows(&self, x: &Tensor, class: &Tensor) -> Result<(Tensor, Option<Tensor>)> {
        if !(0.0..=1.0).contains(&self.label_smoothing) {
            return Err(Error::value("label_smoothing", "a part from 0 to 1", self.label_smoothing));
        }
        let classes = x.shape()[1];
        let mut target = class.clone();
        if self.label_smoothing > 0.0 {
            target = ((target * (1.0 - self.label_smoothing))? + self.label_smoothing / classes as f64)?;
        }
        let mut row_weights = None;
        if !self.class_weights.is_empty() {
            let weights = weights("class_weights", &self.class_weights, classes, x)?;
            target = (target * &weights)?;
            row_weights = Some((class * weights)?.sum(&[1])?);
        }
        let rows = (target * x.log_softmax()?)?.sum(&[1])?.neg()?;
        Ok((rows, row_weights))
    }
}

impl SigmoidCrossEntropy {
    fn rows(&self, x: &Tensor, target: &Tensor, is_class: bool) -> Result<(Tensor, Option<Tensor>)> {
        let outputs = x.shape()[1];
        let mut each = if self.positive_weight.is_empty() {
            (x.softplus()? - (target * x)?)?
        } else {
            // (1 - t) x + (1 + (w - 1) t) ln(1 + e⁻ˣ), of which neither term grows where the loss is small.
            let weight = match self.positive_weight[..] {
                [one] => x.full_like(one)?,
                _ => weights("positive_weight", &self.positive_weight, outputs, x)?,
            };
            let factor = (((weight - 1.0)? * target)? + 1.0)?;
            let negative = ((target * -1.0)? + 1.0)?;
            ((negative * x)? + (factor * x.neg()?.softplus()?)?)?
        };
        let over_outputs = |each: Tensor| if self.sum_outputs { each.sum(&[1]) } else { each.mean(&[1]) };
        if self.class_weights.is_empty() {
            return Ok((over_outputs(each)?, None));
        }
        if !is_class {
            let weights = weights("class_weights", &self.class_weights, outputs, x)?;
            each = (each * weights)?;
            let mean = self.class_weights.iter().sum::<f64>() / outputs as f64;
            return Ok((
                if self.sum_outputs { over_outputs(each)? } else { (over_outputs(each)? / mean)? },
                None,
            ));
        }
        let row = if outputs == 1 {
            let [no, yes] = self.class_weights[..] else {
                let got = self.class_weights.len();
                return Err(Error::value("class_weights", "2 numbers, for no and yes", got));
            };
            ((target * (yes - no))? + no)?.sum(&[1])?
        } else {
            (target * weights("class_weights", &self.class_weights, outputs, x)?)?.sum(&[1])?
        };
        Ok(((over_outputs(each)? * &row)?, Some(row)))
    }
}

/// Numbers of a setting, one for each of the outputs `x`.
fn weights(name: &str, numbers: &[f64], outputs: usize, x: &Tensor) -> Result<Tensor> {
    if numbers.len() != outputs {
        return Err(Error::value(name, format!("{outputs} numbers, one for each output"), numbers.len()));
    }
    Ok(x.graph().constant(Array::vector(numbers).cast(x.dtype())))
}

/// Numbers that may be written as one: `20` for `[20]`.
mod one_or_each {
    use serde::de::{SeqAccess, Visitor};
    use serde::{Deserializer, Serialize, Serializer};
    use std::fmt;

    pub fn serialize<S: Serializer>(numbers: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
        match numbers {
            [one] => one.serialize(serializer),
            each => each.serialize(serializer),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
        deserializer.deserialize_any(Numbers)
    }

    struct Numbers;

    impl<'de> Visitor<'de> for Numbers {
        type Value = Vec<f64>;

        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("a number, or a list of them")
        }

        fn visit_f64<E>(self, number: f64) -> Result<Vec<f64>, E> {
            Ok(vec![number])
        }

        fn visit_i64<E>(self, number: i64) -> Result<Vec<f64>, E> {
            Ok(vec![number as f64])
        }

        fn visit_u64<E>(self, number: u64) -> Result<Vec<f64>, E> {
            Ok(vec![number as f64])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<f64>, A::Error> {
            let mut numbers = Vec::new();
            while let Some(number) = list.next_element()? {
                numbers.push(number);
            }
            Ok(numbers)
        }
    }
}
