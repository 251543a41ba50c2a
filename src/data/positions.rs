//! Targets at the positions of sequences and the pixels of pictures.

use super::{MAX_CLASSES, Targets, gather, place};
use crate::array::{Array, DType};
use crate::error::{Error, Result};
use std::collections::BTreeSet;

/// That labels are i32 `[n, positions…]` with a name for each that is not negative.
pub(super) fn check(labels: &Array, names: &[String]) -> Result<()> {
    if labels.dtype() != DType::I32 || labels.shape().len() < 2 || labels.is_empty() {
        return Err(Error::shape("labels", "classes i32 [n, positions…]", format!("{labels:?}")));
    }
    let values = labels.values().enumerate();
    match values.filter(|(_, label)| *label >= names.len() as f64).map(|(i, label)| (label, i)).next() {
        Some((label, i)) => {
            let expected = format!("classes below {}, the number of their names", names.len());
            Err(Error::value("labels", expected, format!("{label} in {}", place(labels.shape(), i))))
        }
        None => Ok(()),
    }
}

/// That inputs are sequences, each of whose tokens has another after it.
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
    /// Classes at positions, from whole numbers `[n, positions…]`: those that are there, named by their numbers and in
    /// the order of these. Positions with a negative number or with `ignored` have no class.
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
    pub fn at_positions(numbers: &Array, ignored: Option<i64>) -> Result<Self> {
        if let Some((i, number)) = numbers.values().enumerate().find(|(_, number)| number.fract() != 0.0) {
            let got = format!("{number} in {}", place(numbers.shape(), i));
            return Err(Error::value("labels", "whole numbers, a class at each position", got));
        }
        let class = |number: f64| {
            let number = number as i64;
            (number >= 0 && Some(number) != ignored).then_some(number)
        };
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

/// The labels of some rows of targets at positions `[n, positions…]`, or of the next tokens of sequences `[n, length]`;
/// negative where there is none.
pub(crate) fn labels_of(targets: &Targets, inputs: &Array, rows: &[u32]) -> Option<Vec<i32>> {
    match targets {
        Targets::Positions { labels, .. } => gather(labels, rows).ok()?.to_vec().ok(),
        Targets::Next { padding, .. } => {
            let inputs = gather(inputs, rows).ok()?;
            let tokens: Vec<i32> = inputs.values().map(|token| token as i32).collect();
            let after = |&token: &i32| if Some(token) == *padding { -1 } else { token };
            let sequences = tokens.chunks_exact(inputs.shape().get(1).copied().unwrap_or(0).max(1));
            Some(sequences.flat_map(|row| row[1..].iter().map(after).chain([-1])).collect())
        }
        _ => None,
    }
}
