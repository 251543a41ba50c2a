//! The columns of tables: their notation, their kinds and their features.

mod column;
mod date;
mod kind;
mod notation;
mod vocabulary;

pub use column::{Column, ColumnKind, Missing, Sequence, Unknown};
pub use date::{Cycle, DateOrder};
pub use kind::{
    BooleanKind, CategoryKind, DateKind, Kind, ListKind, MissingName, NumberKind, PictureKind, SequenceKind,
    TextKind, Tokens,
};
pub use notation::{Decimal, Delimiter, Notation, Thousands};
pub use vocabulary::Vocabulary;
pub(crate) use vocabulary::{FIRST, PADDING, UNKNOWN};

/// The texts of a missing value, here in lower case; they are read in any.
pub(crate) const MISSING: [&str; 10] = ["", "?", "-", "na", "n/a", "#n/a", "<na>", "nan", "null", "\\n"];
