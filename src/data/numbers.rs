//! Nested lists of numbers, read from JSON directly as numbers: a tree of values would cost several times as much.

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};
use std::fmt;

/// Lists of numbers, each as long as its neighbours; only those at depth 1, such as sequences in a list of them, may differ.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Numbers {
    /// All numbers, in order.
    pub values: Vec<f64>,
    /// The length of the lists at each depth; at depth 1, of the longest.
    pub shape: Vec<usize>,
    /// The length of each list at depth 1.
    pub lengths: Vec<usize>,
    /// The depth of the first number.
    depth: Option<usize>,
}

impl Numbers {
    /// The first two lengths at depth 1 that differ.
    pub fn uneven(&self) -> Option<[usize; 2]> {
        let first = *self.lengths.first()?;
        self.lengths.iter().find(|&&length| length != first).map(|&other| [first, other])
    }
}

/// Reads the value at a depth of the lists.
struct At<'a> {
    depth: usize,
    numbers: &'a mut Numbers,
}

impl At<'_> {
    #[inline]
    fn number<E: Error>(self, value: f64) -> Result<(), E> {
        match self.numbers.depth {
            Some(depth) if depth == self.depth => {}
            // No list at this depth has ended yet.
            None if self.numbers.shape.len() <= self.depth => self.numbers.depth = Some(self.depth),
            _ => return Err(E::custom("expected lists of numbers, all equally deep")),
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
        if numbers.depth.is_some_and(|numbers| numbers <= depth) {
            return Err(A::Error::custom("expected lists of numbers, all equally deep"));
        }
        let mut length = 0;
        while list.next_element_seed(At { depth: depth + 1, numbers: &mut *numbers })?.is_some() {
            length += 1;
        }
        // Lists end from within: the first to end at a depth is met before those around it.
        let shape = &mut numbers.shape;
        if shape.len() <= depth {
            shape.resize(depth + 1, usize::MAX);
        }
        if depth == 1 {
            numbers.lengths.push(length);
            shape[1] = if shape[1] == usize::MAX { length } else { shape[1].max(length) };
            return Ok(());
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Numbers, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn lists_are_read_with_their_shape() {
        let two = read("[[[1, -2], [3.5, true]], [[5, 6e1], [7, 8]], [[0, 0], [0, 0]]]").unwrap();
        assert_eq!((&two.shape[..], two.uneven()), (&[3, 2, 2][..], None));
        assert_eq!(two.values, [1.0, -2.0, 3.5, 1.0, 5.0, 60.0, 7.0, 8.0, 0.0, 0.0, 0.0, 0.0]);
        let three = read("[[[1, 2]], [], [[3, 4], [5, 6]]]").unwrap();
        assert_eq!((&three.shape[..], &three.lengths[..]), (&[3, 2, 2][..], &[1, 0, 2][..]));
        assert_eq!(three.uneven(), Some([1, 0]));
    }

    #[test]
    fn other_json_is_refused() {
        for (text, word) in [
            ("[[[1, 2], [3]]]", "one of 1 after one of 2"),
            ("[[[]], [[1]]]", "one of 1 after one of 0"),
            ("[[1, 2], 3]", "equally deep"),
            ("[1, [2]]", "equally deep"),
            ("[1, []]", "equally deep"),
            ("[[], 1]", "equally deep"),
            ("[[1, [[]]]]", "equally deep"),
            ("[null]", "null"),
            (r#"["1"]"#, "string"),
            (r#"[{"a": 1}]"#, "map"),
            ("[1,", "EOF"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(word), "{text}: {error}");
        }
        assert!(read(&"[".repeat(100_000)).is_err());
    }
}
