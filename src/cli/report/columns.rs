//! The columns of a run's table, for the page.

use crate::cli::data::{distinct, values};
use crate::cli::text;
use crate::data::table::{Column, ColumnKind, Sequence, Table};
use crate::error::Result;
use crate::model::{Answer, Description};
use serde_json::{Map, Value, json};

/// The columns that a model reads, with their kinds and features, and those that it answers with; none where the data
/// was no table.
pub(super) fn of(description: &Description) -> Vec<Value> {
    if description.columns.is_empty() {
        return Vec::new();
    }
    let read = description.columns.iter().map(|column| {
        let (kind, becomes) = encoded(column);
        json!({ "name": column.name, "kind": kind, "becomes": becomes })
    });
    let answer = |answer: Answer| {
        let becomes = match answer.classes.len() {
            0 => "values".to_string(),
            count => format!("{count} classes"),
        };
        json!({ "name": answer.target, "kind": "target", "becomes": becomes })
    };
    read.chain(description.answers().into_iter().map(answer)).collect()
}

/// The missing cells and the values of each column of a table, by the column's name.
pub(super) fn cells(table: &Table) -> Result<Value> {
    let one = |column| {
        let (distinct, values) = (distinct(&column), values(&column));
        (column.name, json!({ "missing": column.missing, "distinct": distinct, "values": values }))
    };
    Ok(Value::Object(table.summaries()?.into_iter().map(one).collect::<Map<_, _>>()))
}

/// The name of a column's kind, and the features or the input that its cells become.
fn encoded(column: &Column) -> (&'static str, String) {
    let count = column.features().len();
    let features = if count == 1 { "1 feature".to_string() } else { format!("{count} features") };
    let filled = |fill: &Option<f64>| match fill {
        Some(fill) => format!("{features}; {} where missing", text::number(*fill)),
        None => features.clone(),
    };
    match &column.kind {
        ColumnKind::Number { fill, .. } => ("number", filled(fill)),
        ColumnKind::Boolean { fill, .. } => ("boolean", filled(fill)),
        ColumnKind::Date { .. } => ("date", features),
        ColumnKind::Category { missing_is_feature: true, .. } => {
            ("category", format!("{features}, one of them where missing"))
        }
        ColumnKind::Category { .. } => ("category", features),
        ColumnKind::List { .. } => ("list", features),
        ColumnKind::Text(vocabulary) => {
            ("text", format!("an input: up to {} tokens of {}", vocabulary.length, vocabulary.size()))
        }
        ColumnKind::Picture(picture) => {
            let [height, width] = picture.size;
            ("picture", format!("an input: {height} x {width} pixels"))
        }
        ColumnKind::Sequence(Sequence { length, features }) => {
            ("sequence", format!("an input: up to {length} positions of {features}"))
        }
    }
}
