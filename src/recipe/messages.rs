//! Errors of the TOML reader as sentences of expected and found, in TOML's words and not in Rust's.

use crate::data::Format;
use crate::named::{self, shown};
use serde::de::DeserializeOwned;
use serde_path_to_error::{Path as Place, Segment};
use std::fmt;
use std::path::Path;
use toml::{Table, Value};

/// Errors in TOML, with their place.
#[derive(Debug)]
pub(super) struct Mistake {
    /// `"line 3: "`, or nothing where no line is to blame.
    pub line: String,
    /// `model.layers[1].dense`; empty for the whole.
    pub key: String,
    pub complaint: Complaint,
    /// Whether a key is missing.
    pub is_missing: bool,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colon = if self.key.is_empty() { "" } else { ": " };
        write!(f, "{}{}{colon}{}", self.line, self.key, self.complaint)
    }
}

/// The error in a value.
#[derive(Debug, PartialEq)]
pub(super) enum Complaint {
    Expected { expected: String, got: String },
    Other(String),
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Complaint::Expected { expected, got } => write!(f, "expected {expected}, got {got}"),
            Complaint::Other(message) => f.write_str(message),
        }
    }
}

/// Reads a value from TOML text.
pub(super) fn read<T: DeserializeOwned>(text: &str) -> Result<(T, Table), Mistake> {
    let table: Table = toml::from_str(text).map_err(|error| malformed(&error, text))?;
    let document = toml::Deserializer::parse(text).map_err(|error| malformed(&error, text))?;
    match serde_path_to_error::deserialize(document) {
        Ok(read) => Ok((read, table)),
        Err(error) => {
            let (place, message) = (error.path(), error.inner().message());
            let key = if place.iter().next().is_none() { String::new() } else { place.to_string() };
            let mut whole = Value::Table(table);
            let got = value_at(&mut whole, place).map(|value| described(value));
            let names = || names_at::<T>(&mut whole, place);
            // A date is a table to the reader.
            let (key, complaint) = match key.split_once(".$__toml") {
                Some((key, _)) => (key.to_string(), Complaint::of_date(got)),
                None if message.contains("$__toml") => (key, Complaint::of_date(got)),
                None => (key, Complaint::new(message, got, names)),
            };
            let is_missing = message.starts_with("missing field");
            Err(Mistake { line: line(error.inner(), text), key, complaint, is_missing })
        }
    }
}

/// The mistake in a text that is not TOML.
pub(super) fn malformed(error: &toml::de::Error, text: &str) -> Mistake {
    Mistake { line: line(error, text), ..Mistake::of_all(error.message().replace('`', "")) }
}

impl Mistake {
    /// A mistake of the whole text.
    pub fn of_all(message: String) -> Self {
        Self {
            line: String::new(),
            key: String::new(),
            complaint: Complaint::Other(message),
            is_missing: false,
        }
    }
}

/// `"line 3: "`
fn line(error: &toml::de::Error, text: &str) -> String {
    error.span().map_or_else(String::new, |span| format!("line {}: ", line_number(text, span.start)))
}

/// The number of the line that a byte of the text is in, from 1.
pub(super) fn line_number(text: &str, byte: usize) -> usize {
    text[..byte.min(text.len())].matches('\n').count() + 1
}

fn value_at<'a>(whole: &'a mut Value, place: &Place) -> Option<&'a mut Value> {
    place.iter().try_fold(whole, |value, segment| match segment {
        Segment::Map { key } => value.get_mut(key.as_str()),
        Segment::Seq { index } => value.get_mut(*index),
        Segment::Enum { variant } => value.get_mut(variant.as_str()),
        Segment::Unknown => None,
    })
}

/// The names that are allowed at a place: its reader lists them when it meets another.
fn names_at<T: DeserializeOwned>(whole: &mut Value, place: &Place) -> Option<String> {
    *value_at(whole, place)? = Value::String(String::new());
    let error = whole.clone().try_into::<T>().err()?;
    let (_, names) = error.message().split_once("unknown variant ``, expected ")?;
    let names: Vec<&str> = names.split('`').skip(1).step_by(2).collect();
    Some(names.join(", "))
}

fn described(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{:?}", shown(text)),
        Value::Table(_) => "a table".into(),
        Value::Array(_) => "a list".into(),
        Value::Datetime(date) => date.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Boolean(value) => value.to_string(),
    }
}

impl Complaint {
    fn of_date(got: Option<String>) -> Self {
        let got = got.unwrap_or_else(|| "a date".into());
        Complaint::Expected { expected: "no date, or one in quotes".into(), got }
    }

    /// From the reader's message about the value `got`, in place of which one of `names` may be allowed.
    fn new(message: &str, got: Option<String>, names: impl FnOnce() -> Option<String>) -> Self {
        let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
        let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
        if let Some((found_here, expected)) = after(&message, &["invalid type: ", "invalid value: "])
            .and_then(|rest| rest.split_once(", expected "))
        {
            let (mut expected, got) = (expectation(expected), in_toml(found_here));
            // A list of one may look as if it needed no brackets.
            if expected == "a list" && got != "a table" {
                expected.push_str(&format!(", as in [{got}]"));
            }
            return Complaint::Expected { expected, got };
        }
        if let Some((length, expected)) =
            after(&message, &["invalid length "]).and_then(|rest| rest.split_once(", expected "))
        {
            return Complaint::Expected { expected: expectation(expected), got: length.into() };
        }
        let got = got.unwrap_or_else(|| "another value".into());
        let expected = |expected: &str| Complaint::Expected { expected: expected.into(), got: got.clone() };
        match &quoted[..] {
            _ if message == "wanted string or table" => {
                let one = names().map(|names| format!("one of {names}"));
                expected(&one.unwrap_or_else(|| "a name in quotes".into()))
            }
            _ if message.contains("number overflowed") => expected("a smaller number"),
            _ if message.starts_with("expected empty") => expected("no settings"),
            _ if message.starts_with("expected table key") => expected("a list"),
            _ if message.starts_with("expected table, found") => expected("a table of settings"),
            _ if message.starts_with("wanted exactly 1 element") => expected("a table of one name"),
            _ if message.starts_with("expected tuple with length ") => {
                let length = message.rsplit(' ').next().unwrap_or_default();
                expected(&format!("a list of {length}"))
            }
            [key] if message.starts_with("missing field") => {
                Complaint::Expected { expected: format!("the key {key}"), got: "none".into() }
            }
            [key, known @ ..] if message.starts_with("unknown field") => {
                Complaint::Other(match misplaced(key) {
                    Some(place) => format!("{key} is not a key here; {place}"),
                    None => named::unknown("a key here", key, known),
                })
            }
            [name, known @ ..] if message.starts_with("unknown variant") => {
                Complaint::Other(named::unknown("a value here", name, known))
            }
            [key] if message.starts_with("duplicate field") => {
                Complaint::Other(format!("{key} is there twice"))
            }
            // The message of `#[serde(untagged, expecting = …)]`.
            _ => match message.strip_prefix("expected ") {
                Some(text) if !text.contains(", got ") => expected(text),
                _ => Complaint::Other(message),
            },
        }
    }
}

fn after<'a>(message: &'a str, starts: &[&str]) -> Option<&'a str> {
    starts.iter().find_map(|start| message.strip_prefix(start))
}

/// The place of a key that users of other libraries expect elsewhere.
fn misplaced(key: &str) -> Option<&'static str> {
    match key {
        "lr" | "learning_rate" => {
            Some("it belongs to the optimizer, as in optimizer = { adam = { learning_rate = 0.001 } }")
        }
        "momentum" | "weight_decay" | "nesterov" => Some(
            "it belongs to the optimizer, as in optimizer = { sgd = { learning_rate = 0.1, momentum = 0.9 } }",
        ),
        "betas" => Some("they are two keys, as in adam = { beta1 = 0.9, beta2 = 0.999 }"),
        "patience" | "min_delta" => {
            Some("it belongs to early_stopping, as in early_stopping = { patience = 5 }")
        }
        "activation" => {
            Some("an activation is a layer of its own, as in layers = [{ dense = 32 }, \"relu\"]")
        }
        "in_features" | "in_channels" | "input_shape" | "input_size" => {
            Some("the size of the input is known from the data")
        }
        _ => None,
    }
}

/// Rust's and serde's names of types, with the words of someone who writes TOML.
const KINDS: [(&[&str], &str); 11] = [
    (&["usize", "u8", "u16", "u32", "u64"], "a whole number of at least 0"),
    (&["isize", "i8", "i16", "i32", "i64"], "a whole number"),
    (&["f32", "f64"], "a number"),
    (&["a boolean", "bool"], "true or false"),
    (&["a sequence", "a tuple"], "a list"),
    (&["a string", "string", "str", "a character", "path string", "identifier"], "a text in quotes"),
    (&["a map"], "a table"),
    (&["unit", "unit struct", "null"], "no settings"),
    (&["a nonzero usize", "a nonzero u64"], "a whole number above 0"),
    (&["newtype struct"], "a value"),
    (&["any valid TOML value", "any value"], "a value"),
];

/// The expectation in serde's message.
fn expectation(expected: &str) -> String {
    let expected = expected.trim_end_matches('.');
    let known = KINDS.iter().find(|(words, _)| words.contains(&expected));
    if let Some((_, kind)) = known {
        return (*kind).into();
    }
    for start in ["an array of length ", "a tuple of size "] {
        if let Some(n) = expected.strip_prefix(start) {
            return format!("a list of {n}");
        }
    }
    for start in ["tuple struct ", "tuple variant "] {
        if expected.starts_with(start) {
            return match expected.rsplit_once(" with ").and_then(|(_, rest)| rest.split_once(' ')) {
                Some((n, _)) => format!("a list of {n}"),
                None => "a list".into(),
            };
        }
    }
    for start in ["struct ", "struct variant ", "map"] {
        if expected.starts_with(start) {
            return "a table of settings".into();
        }
    }
    for start in ["newtype ", "internally tagged ", "adjacently tagged ", "enum ", "variant ", "unit "] {
        if expected.starts_with(start) {
            return "a value of another kind".into();
        }
    }
    expected.replace('`', "")
}

/// The value in serde's message.
fn in_toml(got: &str) -> String {
    let value = |got: &str| got.split_once(' ').map(|(_, value)| value.trim_matches('`').to_string());
    match got {
        "map" => "a table".into(),
        "sequence" => "a list".into(),
        "unit value" | "Option value" => "no value".into(),
        _ if got.starts_with("string ") => {
            format!("\"{}\"", shown(got["string ".len()..].trim_matches('"')))
        }
        _ if got.starts_with("floating point ") => got["floating point ".len()..].trim_matches('`').into(),
        _ if got.starts_with("integer ") || got.starts_with("boolean ") => value(got).unwrap_or_default(),
        _ => got.replace('`', ""),
    }
}

/// The keys without which there is no run, each as it may be written.
const REQUIRED: [(&str, &[(&str, &str)]); 3] = [
    ("data", &[("format", "format = \"table\""), ("path", "path = \"data.csv\"")]),
    ("model", &[("layers", "layers = [{ dense = 32 }, \"relu\", { dense = 2 }]")]),
    (
        "train",
        &[
            ("loss", "loss = \"softmax-cross-entropy\""),
            ("optimizer", "optimizer = { adam = { learning_rate = 0.001 } }"),
        ],
    ),
];

/// Keys that take the place of required ones.
const INSTEAD: [(&str, &str); 4] =
    [("layers", "nodes"), ("layers", "zoo"), ("loss", "objectives"), ("path", "train")];

/// Everything that a recipe lacks, in one message, with a valid form of each; `None` if it lacks nothing.
pub(super) fn missing(table: &Table) -> Option<String> {
    let mut names = Vec::new();
    let mut example = String::new();
    for (section, keys) in REQUIRED {
        let there = table.get(section);
        let has = |key: &str| there.and_then(|value| value.as_table()).is_some_and(|t| t.contains_key(key));
        let lacks = |key: &str| {
            let is_table = there.is_none_or(Value::is_table);
            is_table && !has(key) && !INSTEAD.iter().any(|(of, other)| *of == key && has(other))
        };
        let lacking: Vec<_> = keys.iter().filter(|(key, _)| lacks(key)).collect();
        if !lacking.is_empty() {
            example.push_str(&format!("\n\n[{section}]"));
        }
        for (key, form) in lacking {
            names.push(format!("{section}.{key}"));
            example.push_str(&format!("\n{form}"));
        }
    }
    let (last, rest) = names.split_last()?;
    let names = if rest.is_empty() { last.clone() } else { format!("{} and {last}", rest.join(", ")) };
    Some(format!("expected {names}, got a recipe without; for example:{example}"))
}

/// The remedy if the path is data and no recipe; `None` if it may be a recipe.
pub(super) fn not_a_recipe(path: &Path) -> Option<String> {
    let shown = path.display();
    if path.is_dir() {
        if path.join("recipe.toml").is_file() {
            return Some(format!("expected a recipe, got a run's folder; continue it with --resume {shown}"));
        }
        return Some(format!(
            "expected a recipe, got a folder; if it holds data, neural init {shown} writes a recipe for it"
        ));
    }
    Format::detect(path)?;
    Some(format!(
        "expected a recipe, a file such as run.toml, got data: neural init {shown} writes a recipe for it, and neural train --auto \
         {shown} trains at once with the same"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_that_lacks_much_gets_one_answer() {
        let table = |text: &str| toml::from_str::<Table>(text).unwrap();
        let all = missing(&table("")).unwrap();
        assert!(all.starts_with(
            "expected data.format, data.path, model.layers, train.loss and train.optimizer, got"
        ));
        // Its proposal is complete.
        let (_, example) = all.split_once("for example:").unwrap();
        assert_eq!(missing(&table(example)), None);
        let one = missing(&table("[data]\nformat = 'idx'\npath = 'x'\n[train]\nloss = 'x'\noptimizer = 'x'"))
            .unwrap();
        assert_eq!(one.lines().next(), Some("expected model.layers, got a recipe without; for example:"));
    }
}
