//! Targets at the positions of sequences and the pixels of pictures.

use super::{Dataset, MAX_CLASSES, Targets, place, place_among};
use crate::array::{Array, DType};
use crate::error::{Error, Result};
use serde::de::{Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::collections::BTreeSet;
use std::fmt;

/// The value in a file that stands for no target: a whole number, such as -1 or 255, or NaN, which is written `"nan"`.
///
/// ```
/// use neural::data::Ignored;
/// let read = |text| serde_json::from_str::<Ignored>(text);
/// assert_eq!((read("255")?, read(r#""nan""#)?), (Ignored::Number(255), Ignored::Nan));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ignored {
    /// A whole number, such as 255 or -100, among labels.
    Number(i64),
    /// NaN among values.
    Nan,
}

impl Ignored {
    fn is(self, number: f64) -> bool {
        match self {
            Self::Number(ignored) => number == ignored as f64,
            Self::Nan => number.is_nan(),
        }
    }
}

impl Serialize for Ignored {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => serializer.serialize_i64(*number),
            // As a word, since JSON has no NaN.
            Self::Nan => serializer.serialize_str("nan"),
        }
    }
}

impl<'de> Deserialize<'de> for Ignored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;

        impl Visitor<'_> for Number {
            type Value = Ignored;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a whole number or \"nan\"")
            }

            fn visit_i64<E>(self, number: i64) -> Result<Ignored, E> {
                Ok(Ignored::Number(number))
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Ignored, E> {
                i64::try_from(number).map(Ignored::Number).map_err(E::custom)
            }

            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Ignored, E> {
                match number.is_nan() {
                    true => Ok(Ignored::Nan),
                    false => Err(E::invalid_value(serde::de::Unexpected::Float(number), &self)),
                }
            }

            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Ignored, E> {
                match word {
                    "nan" => Ok(Ignored::Nan),
                    other => Err(E::invalid_value(serde::de::Unexpected::Str(other), &self)),
                }
            }
        }

        deserializer.deserialize_any(Number)
    }
}

/// Checks that labels are i32 `[n, positions…]` with a name for each that is not negative; the labels are of all rows, or of
/// `rows`.
pub(super) fn check(labels: &Array, names: &[String], rows: Option<&[u32]>) -> Result<()> {
    if labels.dtype() != DType::I32 || labels.shape().len() < 2 || labels.is_empty() {
        return Err(Error::shape("labels", "classes i32 [n, positions…]", format!("{labels:?}")));
    }
    match labels.find(|label| label >= names.len() as f64) {
        Some((i, label)) => {
            let expected = format!("classes below {}, the number of their names", names.len());
            Err(Error::value(
                "labels",
                expected,
                format!("{label} in {}", place_among(rows, labels.shape(), i)),
            ))
        }
        None => Ok(()),
    }
}

/// Checks that inputs are sequences, each of whose tokens has another after it.
pub(super) fn check_sequences(inputs: &Array) -> Result<()> {
    match inputs.shape() {
        [_, length] if *length > 1 && !inputs.dtype().is_float() => Ok(()),
        _ => {
            let expected =
                "whole numbers [n, length] with a length of at least 2, as targets are the next tokens";
            Err(Error::shape("inputs", expected, format!("{inputs:?}")))
        }
    }
}

impl Targets {
    /// Classes at positions, from whole numbers `[n, positions…]`: the occurring numbers become classes, named by
    /// number and in numerical order. Positions with a negative number or with `ignored` have no class.
    ///
    /// ```
    /// use neural::{Array, data::Targets};
    /// let tags = Array::new(&[2, 3], vec![3i32, 7, 3, 7, -1, -1])?;
    /// let Targets::Positions { labels, names } = Targets::at_positions(&tags, None)? else { unreachable!() };
    /// assert_eq!((labels.to_vec::<i32>()?, names), (vec![0, 1, 0, 1, -1, -1], vec!["3".to_string(), "7".into()]));
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When a number is not whole, or there are more than 65,536 different ones.
    pub fn at_positions(numbers: &Array, ignored: Option<Ignored>) -> Result<Self> {
        let is_ignored = |number: f64| ignored.is_some_and(|ignored| ignored.is(number));
        let is_wrong = |number: f64| number.fract() != 0.0 && !is_ignored(number);
        if let Some((i, number)) = numbers.find(is_wrong) {
            let got = format!("{number} in {}", place(numbers.shape(), i));
            return Err(Error::value("labels", "whole numbers, a class at each position", got));
        }
        let class = |number: f64| (number >= 0.0 && !is_ignored(number)).then_some(number as i64);
        let distinct: BTreeSet<i64> = numbers.values().filter_map(class).collect();
        if distinct.len() > MAX_CLASSES {
            return Err(Error::value("labels", format!("at most {MAX_CLASSES} classes"), distinct.len()));
        }
        let distinct: Vec<i64> = distinct.into_iter().collect();
        let index = |number| distinct.binary_search(&number).map_or(-1, |class| class as i32);
        let labels = numbers.values().map(|number| class(number).map_or(-1, index)).collect();
        let names = distinct.iter().map(ToString::to_string).collect();
        Ok(Targets::Positions { labels: Array::new(numbers.shape(), labels)?, names })
    }
}

impl Targets {
    /// Values `[n, …]`, where `ignored` ones are unknown. Of several outputs, such as the days ahead of a forecast,
    /// each may be known separately.
    ///
    /// ```
    /// use neural::{Array, data::{Ignored, Targets}};
    /// let days = Array::new(&[2, 3], vec![5f32, 6.0, 7.0, 8.0, -1.0, -1.0])?;
    /// let Targets::Partial(days) = Targets::partial(&days, Ignored::Number(-1))? else { unreachable!() };
    /// assert_eq!(days.to_f64().iter().filter(|day| day.is_nan()).count(), 2);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When a value that is not `ignored` is not finite.
    pub fn partial(values: &Array, ignored: Ignored) -> Result<Self> {
        let is_wrong = |value: f64| !value.is_finite() && !ignored.is(value);
        if let Some((i, value)) = values.find(is_wrong) {
            let got = format!("{value} in {}", place(values.shape(), i));
            return Err(Error::value("targets", "finite numbers beside those that are ignored", got));
        }
        let known = |value: f64| if ignored.is(value) { f64::NAN } else { value };
        let known: Vec<f64> = values.values().map(known).collect();
        let is_whole = !known.iter().any(|value| value.is_nan());
        let dtype = if values.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
        let values = Array::new(values.shape(), known)?.cast(dtype);
        Ok(if is_whole { Targets::Values(values) } else { Targets::Partial(values) })
    }
}

impl Dataset {
    /// The labels of some rows of targets at positions `[n, positions…]`, or of the next tokens of sequences `[n, length]`;
    /// negative where there is none. `None` of other targets.
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub(crate) fn labels_of(&self, targets: &Targets, rows: &[u32]) -> Result<Option<Vec<i32>>> {
        Ok(match targets {
            Targets::Positions { .. } => {
                self.values_of(targets, rows)?.map(|labels| labels.to_vec()).transpose()?
            }
            Targets::Next { padding, .. } => {
                let inputs = self.samples(rows)?;
                let tokens: Vec<i32> = inputs.values().map(|token| token as i32).collect();
                let after = |&token: &i32| if Some(token) == *padding { -1 } else { token };
                let sequences = tokens.chunks_exact(inputs.shape().get(1).copied().unwrap_or(0).max(1));
                Some(sequences.flat_map(|row| row[1..].iter().map(after).chain([-1])).collect())
            }
            _ => None,
        })
    }
}
