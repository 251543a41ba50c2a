//! Nested lists of numbers, read from JSON as numbers alone: a tree of values would cost several times as much.

use crate::array::count;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;

/// Lists of numbers that are as long as their neighbours, as an array.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Numbers {
    pub values: Vec<f64>,
    /// The length of the lists at each depth.
    pub shape: Vec<usize>,
    /// The depth at which the first number stands.
    depth: Option<usize>,
}

/// The samples of a model's only input, or those of each input by its name.
#[derive(Debug, PartialEq)]
pub(super) enum Inputs {
    Only(Numbers),
    Named(BTreeMap<String, Numbers>),
}

/// Reads the value that stands at a depth of the lists.
struct At<'a> {
    depth: usize,
    numbers: &'a mut Numbers,
}

impl At<'_> {
    #[inline]
    fn number<E: Error>(self, value: f64) -> Result<(), E> {
        if *self.numbers.depth.get_or_insert(self.depth) != self.depth {
            return Err(E::custom("expected lists of numbers, all equally deep"));
        }
        self.numbers.values.push(value);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for At<'_> {
    type Value = ();

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for At<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("lists of numbers")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.number(f64::from(u8::from(value)))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.number(value as f64)
    }

    #[inline]
    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.number(value as f64)
    }

    #[inline]
    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.number(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Self { depth, numbers } = self;
        let mut length = 0;
        while list.next_element_seed(At { depth: depth + 1, numbers: &mut *numbers })?.is_some() {
            length += 1;
        }
        // Lists end from within: the first to end at a depth is met before those around it.
        let shape = &mut numbers.shape;
        if shape.len() <= depth {
            shape.resize(depth + 1, usize::MAX);
        }
        if shape[depth] == usize::MAX {
            shape[depth] = length;
        }
        if shape[depth] != length {
            let expected = shape[depth];
            return Err(A::Error::custom(format!(
                "expected lists as long as their neighbours, got one of {length} after one of {expected}"
            )));
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut numbers = Self::default();
        At { depth: 0, numbers: &mut numbers }.deserialize(deserializer)?;
        Ok(numbers)
    }
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
                let mut numbers = Numbers::default();
                At { depth: 0, numbers: &mut numbers }.visit_seq(list)?;
                Ok(Inputs::Only(numbers))
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

impl Numbers {
    /// How many samples of this shape they are: one, or a list of them, in which a sample may be a flat list and axes of
    /// length 1 may be left out.
    pub fn samples(&self, sample: &[usize]) -> Option<usize> {
        let long = |shape: &[usize]| shape.iter().copied().filter(|&length| length != 1).collect::<Vec<_>>();
        let width = count(sample);
        let shape = long(&self.shape);
        let is_sample = |shape: &[usize]| shape == long(sample) || shape == long(&[width]);
        match &shape[..] {
            one if is_sample(one) => Some(1),
            [rows, one @ ..] if is_sample(one) => Some(*rows),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Inputs, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn lists_are_read_with_their_shape() {
        let numbers = |text: &str| serde_json::from_str::<Numbers>(text).expect("numbers");
        let two = numbers("[[[1, -2], [3.5, true]], [[5, 6e1], [7, 8]], [[0, 0], [0, 0]]]");
        assert_eq!(two.shape, [3, 2, 2]);
        assert_eq!(two.values, [1.0, -2.0, 3.5, 1.0, 5.0, 60.0, 7.0, 8.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(read(r#"{"a": [[1]], "b": []}"#), {
            let named = [("a", numbers("[[1]]")), ("b", numbers("[]"))];
            Ok(Inputs::Named(named.map(|(name, numbers)| (name.to_string(), numbers)).into()))
        });
    }

    #[test]
    fn what_is_no_array_is_refused() {
        for (text, word) in [
            ("[[1, 2], [3]]", "one of 1 after one of 2"),
            ("[[1, 2], 3]", "equally deep"),
            ("[1, [2]]", "equally deep"),
            ("[[], [1]]", "one of 1 after one of 0"),
            ("[null]", "null"),
            (r#"["1"]"#, "string"),
            (r#"[{"a": 1}]"#, "map"),
            (r#"{"a": [1], "a": [2]}"#, "twice"),
            ("7", "lists of numbers"),
            ("[1,", "EOF"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(word), "{text}: {error}");
        }
        assert!(read(&"[".repeat(100_000)).is_err());
    }

    #[test]
    fn samples_come_alone_in_lists_flat_and_without_axes_of_one() {
        let of = |shape: &[usize], sample: &[usize]| {
            Numbers { shape: shape.to_vec(), ..Numbers::default() }.samples(sample)
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
    }
}
