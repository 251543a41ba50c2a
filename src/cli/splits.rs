//! Which rows are for what, and where they come from: said wherever data is read.

use crate::data::{Dataset, Part};
use serde_json::{Map, Value};

/// A line for each part, such as "validation: 5000 rows, the first half of the test files", and for each note.
pub(super) fn lines(data: &Dataset) -> Vec<String> {
    let line = |part: Part| {
        let comma = if part.origin.is_empty() { "" } else { ", " };
        format!("{}: {} rows{comma}{}", part.name, part.rows.len(), part.origin)
    };
    data.parts().map(line).chain(data.advice().into_iter().map(|note| format!("note: {note}"))).collect()
}

/// The number of rows of each part, the origin of each, and the notes.
pub(super) fn as_json(data: &Dataset) -> [(&'static str, Value); 3] {
    let rows: Map<String, Value> =
        data.parts().map(|part| (part.name.to_string(), part.rows.len().into())).collect();
    let origins: Map<String, Value> =
        data.parts().map(|part| (part.name.to_string(), part.origin.into())).collect();
    [("splits", rows.into()), ("origins", origins.into()), ("notes", data.advice().into())]
}
