//! The columns of tables: how they are written, and what the model's features are made of.

mod column;
mod date;
mod kind;
mod notation;
mod vocabulary;

pub use column::{Column, ColumnKind, Features, Missing, Sequence, Unknown};
pub use date::{Cycle, DateOrder};
pub use kind::{
    BooleanKind, CategoryKind, DateKind, Kind, ListKind, MissingName, NumberKind, PictureKind, SequenceKind,
    TextKind, Tokens,
};
pub use notation::{Decimal, Delimiter, Notation, Thousands};
pub use vocabulary::Vocabulary;
pub(crate) use vocabulary::{PADDING, UNKNOWN};

/// The texts of a missing value, in any letter case.
const MISSING: [&str; 10] = ["", "?", "-", "na", "n/a", "#n/a", "<na>", "nan", "null", "\\n"];

/// Whether a cell is a missing value, see [`Missing`].
pub fn is_missing(cell: &str) -> bool {
    cell.len() <= 4 && MISSING.iter().any(|missing| cell.eq_ignore_ascii_case(missing))
}

/// The texts of a missing value, in lower case.
#[cfg(feature = "onnx")]
pub(crate) fn missing_words() -> impl Iterator<Item = &'static str> {
    MISSING.into_iter()
}
