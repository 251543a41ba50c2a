//! The cross-entropy of sigmoids: yes or no, and labels that may occur together.

use super::Outputs;
use super::compare::{Compare, Compared, Each, weights};
use crate::error::{Error, Result};
use crate::graph::Tensor;
use serde::{Deserialize, Serialize};

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

impl Compare for SigmoidCrossEntropy {
    fn outputs(&self) -> Outputs {
        Outputs::Labels
    }

    fn class_weights(&self) -> &[f64] {
        &self.class_weights
    }

    fn positive_weight(&self) -> &[f64] {
        &self.positive_weight
    }

    fn each(&self, compared: Compared) -> Result<Each> {
        let (x, outputs, axis) = (compared.outputs, compared.width(), compared.axis());
        let target = &compared.one_hot_or_values()?;
        let mut each = self.of_outputs(x, target)?;
        let over_outputs =
            |each: Tensor| if self.sum_outputs { each.sum(&[axis]) } else { each.mean(&[axis]) };
        if self.class_weights.is_empty() && !self.sum_outputs {
            return Ok(Each::Outputs(each));
        }
        if self.class_weights.is_empty() {
            return Ok(Each::Rows { losses: over_outputs(each)?, weights: None });
        }
        if !compared.is_class() {
            let weights = weights("class_weights", &self.class_weights, outputs, x)?;
            each = (each * weights)?;
            let mean = self.class_weights.iter().sum::<f64>() / outputs as f64;
            let losses = if self.sum_outputs { over_outputs(each)? } else { (over_outputs(each)? / mean)? };
            return Ok(Each::Rows { losses, weights: None });
        }
        let of_class = if outputs == 1 {
            let [no, yes] = self.class_weights[..] else {
                let got = self.class_weights.len();
                return Err(Error::value("class_weights", "2 numbers, for no and yes", got));
            };
            ((target * (yes - no))? + no)?.sum(&[axis])?
        } else {
            (target * weights("class_weights", &self.class_weights, outputs, x)?)?.sum(&[axis])?
        };
        Ok(Each::Rows { losses: (over_outputs(each)? * &of_class)?, weights: Some(of_class) })
    }
}

impl SigmoidCrossEntropy {
    /// The loss of each output.
    fn of_outputs(&self, x: &Tensor, target: &Tensor) -> Result<Tensor> {
        // (1 - t) x + (1 + (w - 1) t) ln(1 + e⁻ˣ), of which neither term grows where the loss is small.
        let weight = match self.positive_weight[..] {
            [] => return x.softplus()? - (target * x)?,
            [one] => x.full_like(one)?,
            _ => weights("positive_weight", &self.positive_weight, *x.shape().last().unwrap_or(&1), x)?,
        };
        let factor = (((weight - 1.0)? * target)? + 1.0)?;
        let negative = ((target * -1.0)? + 1.0)?;
        (negative * x)? + (factor * x.neg()?.softplus()?)?
    }
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
