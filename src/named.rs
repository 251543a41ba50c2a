//! The notation of a choice among named things: `"flatten"`, `{ dense = 128 }` or `{ dense = { units = 128 } }`.

mod object;
mod table;

pub(crate) use object::Object;
#[cfg(test)]
pub(crate) use table::reference;
pub(crate) use table::table;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// A choice that is read by its name.
pub(crate) trait Named: Sized {
    /// The kind of choice, for messages.
    const WHAT: &'static str;
    const NAMES: &'static [&'static str];
    /// The names of choices in other libraries, each with the name here: lower case, without separators.
    const ALIASES: &'static [(&'static str, &'static str)] = &[];

    /// The choice of this name, its settings read from `settings`.
    fn read<'de, D: Deserializer<'de>>(name: &str, settings: D) -> Result<Self, D::Error>;
}

/// Reads a [`Named`] choice.
pub(crate) fn deserialize<'de, T: Named, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_any(Choice(PhantomData))
}

struct Choice<T>(PhantomData<T>);

impl<'de, T: Named> Visitor<'de> for Choice<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "the name of {}, or a table of one name and its settings", T::WHAT)
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<T, E> {
        T::read(known::<T, E>(name)?, Nothing::<E>(PhantomData))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let Some(name) = map.next_key::<String>()? else {
            return Err(A::Error::custom(format!("expected the name of {}, got an empty table", T::WHAT)));
        };
        let value = map.next_value_seed(Settings::<T>(known::<T, A::Error>(&name)?, PhantomData))?;
        match map.next_key::<String>()? {
            None => Ok(value),
            Some(second) => {
                Err(A::Error::custom(format!("expected one name of {}, got {name} and {second}", T::WHAT)))
            }
        }
    }
}

/// The name here of the choice that `name` means: `Conv2d` and `conv_2d` are `conv`. Of an unknown one the nearest is
/// proposed.
fn known<T: Named, E: Error>(name: &str) -> Result<&'static str, E> {
    let plain =
        |name: &str| name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    let asked = plain(name);
    let own = T::NAMES.iter().find(|known| plain(known) == asked).copied();
    let alias = || T::ALIASES.iter().find(|(alias, _)| *alias == asked).map(|(_, known)| *known);
    own.or_else(alias).ok_or_else(|| E::custom(unknown(T::WHAT, name, T::NAMES)))
}

/// The max number of letters shown of a cell or a name.
const SHOWN: usize = 60;

/// A cell or a name in a message: cut where it is long, on one line.
pub(crate) fn shown(cell: &str) -> Cow<'_, str> {
    let is_plain = cell.len() <= SHOWN && !cell.contains(char::is_control);
    if is_plain {
        return cell.into();
    }
    let line = |c: char| if c.is_control() { ' ' } else { c };
    let mut shown: String = cell.chars().take(SHOWN).map(line).collect();
    if cell.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown.into()
}

/// `unknown layer dence, did you mean dense?`
pub(crate) fn unknown(what: &str, name: &str, names: &[&str]) -> String {
    let near = nearest(name, names);
    let name = shown(name);
    match near {
        Some(near) => format!("{name} is not {what}; did you mean {near}?"),
        None => format!("{name} is not {what}; expected one of {}", names.join(", ")),
    }
}

/// The one of `names` that `name` is likely to be a slip of.
fn nearest<'a>(name: &str, names: &[&'a str]) -> Option<&'a str> {
    let nearest = names.iter().max_by(|a, b| strsim::jaro(name, a).total_cmp(&strsim::jaro(name, b)));
    nearest.copied().filter(|near| strsim::jaro(name, near) > 0.75)
}

/// A name that is not known as an error shows it, `dence; did you mean dense?`
pub(crate) fn got(name: &str, names: &[&str]) -> String {
    match nearest(name, names) {
        Some(near) => format!("{}; did you mean {near}?", shown(name)),
        None => shown(name).into_owned(),
    }
}

struct Settings<'a, T>(&'a str, PhantomData<T>);

impl<'de, T: Named> DeserializeSeed<'de> for Settings<'_, T> {
    type Value = T;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        T::read(self.0, deserializer)
    }
}

/// The settings of a choice that was written as its name alone: an empty table, or no value at all.
struct Nothing<E>(PhantomData<E>);

impl<'de, E: Error> Deserializer<'de> for Nothing<E> {
    type Error = E;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        let empty = std::iter::empty::<(String, ())>();
        visitor.visit_map(serde::de::value::MapDeserializer::new(empty))
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// Reads a `T` that may be written shorter, as the value of its one important setting `field`: `{ dense = 128 }` for
/// `{ dense = { units = 128 } }`.
pub(crate) fn short<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
    field: &'static str,
) -> Result<T, D::Error> {
    deserializer.deserialize_any(Short(field, PhantomData))
}

struct Short<T>(&'static str, PhantomData<T>);

impl<'de, T: Deserialize<'de>> Short<T> {
    fn only<V: IntoDeserializer<'de, E>, E: Error>(self, value: V) -> Result<T, E> {
        T::deserialize(serde::de::value::MapDeserializer::new(std::iter::once((self.0, value))))
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Short<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} or a table of settings", self.0)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<T, E> {
        self.only(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<T, E> {
        match u64::try_from(value) {
            Ok(value) => self.only(value),
            Err(_) => self.only(value),
        }
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<T, E> {
        self.only(value)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<T, E> {
        self.only(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<T, A::Error> {
        let value = serde::de::value::SeqAccessDeserializer::new(seq);
        T::deserialize(serde::de::value::MapAccessDeserializer::new(One(Some((self.0, value)))))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(serde::de::value::MapAccessDeserializer::new(map))
    }
}

/// A table of one entry whose value is still to be read.
struct One<D>(Option<(&'static str, D)>);

impl<'de, D: Deserializer<'de>> MapAccess<'de> for One<D> {
    type Error = D::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, D::Error> {
        self.0.as_ref().map(|(name, _)| seed.deserialize((*name).into_deserializer())).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, D::Error> {
        match self.0.take() {
            Some((_, value)) => seed.deserialize(value),
            None => Err(D::Error::custom("a value without a name")),
        }
    }
}

/// Reads a [`Named`] choice that may also be a plain number.
pub(crate) fn number_or<'de, T: Named, D: Deserializer<'de>>(
    deserializer: D,
    plain: fn(f64) -> T,
) -> Result<T, D::Error> {
    deserializer.deserialize_any(NumberOr(plain))
}

struct NumberOr<T>(fn(f64) -> T);

impl<'de, T: Named> Visitor<'de> for NumberOr<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "a number, or {}", T::WHAT)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<T, E> {
        Ok(self.0(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<T, E> {
        Ok(self.0(value as f64))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<T, E> {
        Ok(self.0(value as f64))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<T, E> {
        Choice(PhantomData).visit_str(name)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        Choice(PhantomData).visit_map(map)
    }
}
