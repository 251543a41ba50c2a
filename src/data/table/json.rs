//! JSON lines: each row is an object whose keys are the columns.

use super::cells::Cells;
use super::{Reading, shown};
use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// The object in a line, with its keys in order.
pub(super) struct Row<'a>(pub Vec<(Cow<'a, str>, Value<'a>)>);

/// The value of a key.
pub(super) enum Value<'a> {
    Null,
    Boolean(bool),
    Number(f64),
    /// A number written without a fraction.
    Whole(i128),
    Text(Cow<'a, str>),
    List(Vec<serde_json::Value>),
    Object,
}

/// Whether a text begins as JSON lines do.
pub(super) fn begins(text: &[u8]) -> bool {
    opens(text, b'{', b'"')
}

/// Whether a text begins as a list of objects does.
pub(super) fn begins_list(text: &[u8]) -> bool {
    opens(text, b'[', b'{')
}

/// Whether a text begins with these two bytes, white space aside.
fn opens(text: &[u8], first: u8, second: u8) -> bool {
    let rest = text.trim_ascii_start().strip_prefix(&[first]);
    rest.is_some_and(|rest| rest.trim_ascii_start().first() == Some(&second))
}

/// Parses a line; an error says why it is no object.
pub(super) fn parse(line: &[u8]) -> Result<Row<'_>, String> {
    serde_json::from_slice(line).map_err(|error| {
        let what = if error.is_eof() { "one that is cut off" } else { "another text" };
        format!("expected a JSON object, got {what} at column {}", error.column())
    })
}

/// Adds the values of a line to the columns `names`, and an empty text for each missing key.
pub(super) fn row(
    line: &[u8],
    names: &[String],
    slots: &[(Reading, usize)],
    cells: &mut [Cells],
) -> Result<(), String> {
    let Row(values) = parse(line)?;
    let mut is_filled = vec![false; slots.len()];
    for (place, (key, value)) in values.into_iter().enumerate() {
        // Most lines have the same keys in the same order.
        let same = names.get(place).is_some_and(|name| *name == key).then_some(place);
        let Some(slot) = same.or_else(|| names.iter().position(|name| *name == key)) else {
            return Err(format!(
                "expected only keys of the first thousand lines, got \"{}\"; move this line to the front",
                shown(&key)
            ));
        };
        if std::mem::replace(&mut is_filled[slot], true) {
            return Err(format!("expected every key once, got \"{}\" twice", shown(&key)));
        }
        let (reading, column) = slots[slot];
        if reading != Reading::Skip {
            push(value, reading, &mut cells[column]).map_err(|got| {
                format!("expected a number, a text, true, false or null in \"{}\", got {got}", shown(&key))
            })?;
        }
    }
    for (&(reading, column), is_filled) in slots.iter().zip(is_filled) {
        if !is_filled && reading != Reading::Skip {
            cells[column].push_text("");
        }
    }
    Ok(())
}

fn push(value: Value<'_>, reading: Reading, cells: &mut Cells) -> Result<(), &'static str> {
    match (value, reading) {
        (Value::Null, _) => cells.push_text(""),
        (Value::Boolean(truth), _) => cells.push_text(if truth { "true" } else { "false" }),
        (Value::Number(number), reading) if reading.is_text() => cells.push_text(&number.to_string()),
        (Value::Whole(number), reading) if reading.is_text() => cells.push_text(&number.to_string()),
        (Value::Number(number), _) => cells.push_number(number, true),
        (Value::Whole(number), _) => cells.push_number(number as f64, false),
        (Value::Text(text), _) => cells.push_text(text.trim()),
        (Value::List(list), Reading::Lists) => cells.push_text(&serde_json::Value::Array(list).to_string()),
        (Value::List(_), _) => {
            return Err("a list; say in [data.columns] that they are a list or a sequence");
        }
        (Value::Object, _) => return Err("an object"),
    }
    Ok(())
}

impl<'de> Deserialize<'de> for Row<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Rows;
        impl<'de> Visitor<'de> for Rows {
            type Value = Row<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row<'de>, A::Error> {
                let mut row = Vec::new();
                while let Some(Text(key)) = map.next_key()? {
                    row.push((key, map.next_value()?));
                }
                Ok(Row(row))
            }
        }
        deserializer.deserialize_map(Rows)
    }
}

/// A text that is copied only where it has escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Text(text) => Ok(Self(text)),
            _ => Err(serde::de::Error::custom("a key that is no text")),
        }
    }
}

impl<'de> Deserialize<'de> for Value<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Values;
        impl<'de> Visitor<'de> for Values {
            type Value = Value<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_bool<E>(self, truth: bool) -> Result<Value<'de>, E> {
                Ok(Value::Boolean(truth))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Value<'de>, E> {
                Ok(Value::Whole(number.into()))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Value<'de>, E> {
                Ok(Value::Whole(number.into()))
            }
            fn visit_f64<E>(self, number: f64) -> Result<Value<'de>, E> {
                Ok(Value::Number(number))
            }
            fn visit_unit<E>(self) -> Result<Value<'de>, E> {
                Ok(Value::Null)
            }
            fn visit_str<E>(self, text: &str) -> Result<Value<'de>, E> {
                Ok(Value::Text(text.to_string().into()))
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
                Ok(Value::Text(text.into()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Value<'de>, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(Value::List)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Value::Object)
            }
        }
        deserializer.deserialize_any(Values)
    }
}
