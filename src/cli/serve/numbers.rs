//! Lists of numbers as samples.

use crate::array::count;
use crate::data::Numbers;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;

/// The samples of a model's only input, or of each input by its name.
#[derive(Debug, PartialEq)]
pub(super) enum Inputs {
    Only(Numbers),
    Named(BTreeMap<String, Numbers>),
}

impl<'de> Deserialize<'de> for Inputs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Inputs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("lists of numbers")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Inputs, A::Error> {
                Numbers::deserialize(SeqAccessDeserializer::new(list)).map(Inputs::Only)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Inputs, A::Error> {
                let mut named = BTreeMap::new();
                while let Some((name, numbers)) = map.next_entry::<String, Numbers>()? {
                    if named.contains_key(&name) {
                        return Err(A::Error::custom(format!(
                            "expected each input once, got {name:?} twice"
                        )));
                    }
                    named.insert(name, numbers);
                }
                Ok(Inputs::Named(named))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// How many samples of this shape the numbers are: one, or a list of them, in which a sample may be a flat list and axes
/// of length 1 may be left out.
pub(super) fn rows(numbers: &Numbers, sample: &[usize]) -> Option<usize> {
    if numbers.uneven().is_some() {
        return None;
    }
    let long = |shape: &[usize]| shape.iter().copied().filter(|&length| length != 1).collect::<Vec<_>>();
    let width = count(sample);
    let shape = long(&numbers.shape);
    let is_sample = |shape: &[usize]| shape == long(sample) || shape == long(&[width]);
    match &shape[..] {
        one if is_sample(one) => Some(1),
        [rows, one @ ..] if is_sample(one) => Some(*rows),
        _ => None,
    }
}

/// Sequences of at most `length` positions of `features` numbers each, one or a list of them, filled up with NaN:
/// `[n, length, features]`. A position of one number may also be just the number.
pub(super) fn padded(numbers: &Numbers, [length, features]: [usize; 2]) -> Option<(usize, Vec<f64>)> {
    let whole = [numbers.shape.first().copied()?];
    let lengths = match numbers.shape[..] {
        [_, _, each] if each == features => &numbers.lengths[..],
        [_, each] if features > 1 && each == features && numbers.uneven().is_none() => &whole,
        // As with whole sequences, see `rows`: positions of a number each, in one sequence.
        [_, 1] if features == 1 && length > 1 && numbers.uneven().is_none() => &whole,
        [_, _] if features == 1 => &numbers.lengths,
        [_] if features == 1 => &whole,
        _ => return None,
    };
    if lengths.iter().any(|&one| one > length) {
        return None;
    }
    let mut padded = vec![f64::NAN; lengths.len() * length * features];
    let mut rest = &numbers.values[..];
    for (sequence, place) in lengths.iter().zip(padded.chunks_mut((length * features).max(1))) {
        let (values, after) = rest.split_at_checked(sequence * features)?;
        place[..values.len()].copy_from_slice(values);
        rest = after;
    }
    Some((lengths.len(), padded))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(text: &str) -> Numbers {
        serde_json::from_str(text).expect(text)
    }

    #[test]
    fn inputs_are_lists_alone_or_by_name() {
        let read = |text: &str| serde_json::from_str::<Inputs>(text).map_err(|error| error.to_string());
        assert_eq!(read("[[1, 2]]"), Ok(Inputs::Only(numbers("[[1, 2]]"))));
        assert_eq!(read(r#"{"a": [[1]], "b": []}"#), {
            let named = [("a", numbers("[[1]]")), ("b", numbers("[]"))];
            Ok(Inputs::Named(named.map(|(name, numbers)| (name.to_string(), numbers)).into()))
        });
        for (text, word) in [(r#"{"a": [1], "a": [2]}"#, "twice"), ("7", "lists of numbers")] {
            let error = read(text).expect_err(text);
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn samples_come_alone_in_lists_flat_and_without_axes_of_one() {
        let of = |shape: &[usize], sample: &[usize]| {
            let mut numbers = Numbers::default();
            numbers.shape = shape.to_vec();
            rows(&numbers, sample)
        };
        for (shape, rows) in [
            (&[28, 28][..], Some(1)),
            (&[28, 28, 1], Some(1)),
            (&[784], Some(1)),
            (&[1, 784], Some(1)),
            (&[5, 784], Some(5)),
            (&[5, 28, 28], Some(5)),
            (&[5, 28, 28, 1], Some(5)),
            (&[28], None),
            (&[5, 28], None),
            (&[56, 14], None),
            (&[2, 392], None),
            (&[0], None),
        ] {
            assert_eq!(of(shape, &[28, 28, 1]), rows, "{shape:?}");
        }
        assert_eq!([of(&[3], &[1]), of(&[3], &[]), of(&[1], &[1])], [Some(3), Some(3), Some(1)]);
        assert_eq!(of(&[0], &[1]), Some(0));
        assert_eq!(of(&[2], &[2]), Some(1));
        assert_eq!(rows(&numbers("[[1, 2], [3]]"), &[2]), None);
    }

    #[test]
    fn shorter_sequences_are_filled_up() {
        let shown = |text: &str, form| {
            let (rows, values) = padded(&numbers(text), form)?;
            let value = |value: &f64| if value.is_nan() { "-".to_string() } else { value.to_string() };
            Some((rows, values.iter().map(value).collect::<Vec<_>>().join(" ")))
        };
        for (text, form, expected) in [
            ("[[[1, 2]], [], [[3, 4], [5, 6]]]", [2, 2], Some((3, "1 2 - - - - - - 3 4 5 6"))),
            ("[[1, 2]]", [2, 2], Some((1, "1 2 - -"))),
            ("[[1, 2, 3], [4]]", [3, 1], Some((2, "1 2 3 4 - -"))),
            ("[[[1], [2]], [[3]]]", [2, 1], Some((2, "1 2 3 -"))),
            ("[1, 2]", [3, 1], Some((1, "1 2 -"))),
            ("[[1], [2]]", [3, 1], Some((1, "1 2 -"))),
            ("[[1], [2, 3]]", [3, 1], Some((2, "1 - - 2 3 -"))),
            ("[[[1]], [[2]]]", [3, 1], Some((2, "1 - - 2 - -"))),
            ("[[1], [2]]", [1, 1], Some((2, "1 2"))),
            ("[[1, 2, 3], [4]]", [2, 1], None),
            ("[[1, 2], [3]]", [4, 2], None),
            ("[[[1, 2, 3]]]", [4, 2], None),
            ("[1, 2]", [4, 2], None),
        ] {
            let expected = expected.map(|(rows, values)| (rows, values.to_string()));
            assert_eq!(shown(text, form), expected, "{text}");
        }
    }
}
