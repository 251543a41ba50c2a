//! The parts of the data, their origins and notes on them, shown wherever data is read.

use crate::array::DType;
use crate::data::{Dataset, Part};
use crate::nn::Network;
use serde_json::{Map, Value};

/// Remarks on a data set before it is used.
pub(super) struct Told<'a> {
    data: &'a Dataset,
    notes: Vec<String>,
}

impl<'a> Told<'a> {
    /// The note on missing scaling is left out for token ids; without a model, i32 inputs may be such.
    pub fn of(data: &'a Dataset, model: Option<&Network>) -> Self {
        let first = data.all_inputs().next().map_or("", |input| input.name);
        let are_ids =
            model.map_or(data.inputs.dtype() == DType::I32, |model| model.vocabulary(first).is_some());
        let unscaled = if are_ids { None } else { data.unscaled() };
        Self { data, notes: data.advice().into_iter().chain(unscaled).collect() }
    }

    /// A line for each part, such as "validation: 5000 rows, the first half of the test files", and for each note.
    pub fn lines(&self) -> Vec<String> {
        let line = |part: Part| {
            let comma = if part.origin.is_empty() { "" } else { ", " };
            let rows = if part.rows.len() == 1 { "row" } else { "rows" };
            format!("{}: {} {rows}{comma}{}", part.name, part.rows.len(), part.origin)
        };
        self.data.parts().map(line).chain(self.notes.iter().map(|note| format!("note: {note}"))).collect()
    }

    /// The number of rows of each part, the origin of each, and the notes.
    pub fn as_json(&self) -> [(&'static str, Value); 3] {
        let rows: Map<String, Value> =
            self.data.parts().map(|part| (part.name.to_string(), part.rows.len().into())).collect();
        let origins: Map<String, Value> =
            self.data.parts().map(|part| (part.name.to_string(), part.origin.into())).collect();
        [("splits", rows.into()), ("origins", origins.into()), ("notes", self.notes.clone().into())]
    }
}
