//! Delimited tables.

use serde::{Deserialize, Serialize};

/// A column of a table as a model's features see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    pub kind: ColumnKind,
}

/// What a column holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ColumnKind {
    /// One feature: the number; a missing one is `fill`, or refused where that is `None`.
    Number { fill: Option<f64> },
    /// A feature for each name: 1 where the cell is that name, else 0.
    Category { names: Vec<String> },
}
