//! The body of a request as samples.

use super::Refusal;
use super::numbers::{Inputs, padded, rows};
use super::worker::Served;
use crate::Error;
use crate::array::Array;
use crate::data::Numbers;
use crate::data::images::{self, Form};
use crate::data::table::{Column, ColumnKind, Layout, Notation, Table, inputs_of};
use crate::model::Reads;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;
use image::ImageReader;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;

/// Rows of one request.
const MOST_ROWS: usize = 1000;

/// Pixels of a picture: a small file may unpack to a very large one.
const MOST_PIXELS: u64 = 1 << 25;

/// A body, by its content type.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Json {
    #[serde(default)]
    rows: Option<Vec<Map<String, Value>>>,
    #[serde(default)]
    inputs: Option<Inputs>,
}

/// The samples of a request.
pub(super) struct Asked {
    /// For each of the model's inputs the samples, `[rows, sample…]`.
    pub samples: Vec<Array>,
    pub rows: usize,
    /// Remarks on the answers, such as on names that training never saw.
    pub notes: Vec<String>,
}

pub(super) fn read(served: &Served, kind: &str, body: &[u8]) -> Result<Asked, Refusal> {
    let mut notes = Vec::new();
    let samples = match kind {
        "application/json" => json(served, body, &mut notes)?,
        "image/png" | "image/jpeg" => vec![picture(served, body)?],
        "" => return Err(unsupported("a content type such as application/json, got none")),
        other => {
            return Err(unsupported(&format!(
                "the content type application/json, image/png or image/jpeg, got {other:?}"
            )));
        }
    };
    let rows = samples.first().map_or(0, |samples| samples.shape()[0]);
    check_rows(rows)?;
    Ok(Asked { samples, rows, notes })
}

fn check_rows(rows: usize) -> Result<(), Refusal> {
    if (1..=MOST_ROWS).contains(&rows) {
        return Ok(());
    }
    Err(Refusal::bad(format!("expected 1 to {MOST_ROWS} rows, got {rows}")))
}

fn unsupported(expected: &str) -> Refusal {
    Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("expected {expected}"))
}

fn json(served: &Served, body: &[u8], notes: &mut Vec<String>) -> Result<Vec<Array>, Refusal> {
    let description = &served.model.description;
    let body: Json = serde_json::from_slice(body)
        .map_err(|error| Refusal::bad(format!("expected JSON {}: {error}", form(served))))?;
    match (body.rows, body.inputs) {
        (Some(rows), None) if !description.columns.is_empty() => table(served, &rows, notes),
        (None, Some(inputs)) if description.columns.is_empty() => match (&description.reads()[..], inputs) {
            ([only], Inputs::Only(numbers)) => Ok(vec![array(only, numbers)?]),
            ([_], Inputs::Named(_)) | (_, Inputs::Only(_)) => {
                Err(Refusal::bad(format!("expected JSON {}", form(served))))
            }
            (several, Inputs::Named(named)) => by_name(several, named),
        },
        _ => Err(Refusal::bad(format!("expected JSON {}", form(served)))),
    }
}

/// The samples of each of several inputs.
fn by_name(inputs: &[Reads], mut named: BTreeMap<String, Numbers>) -> Result<Vec<Array>, Refusal> {
    let of = |input: &Reads| match named.remove(input.name) {
        Some(numbers) => array(input, numbers),
        None => Err(Refusal::bad(format!("expected inputs with the key {:?}, got none", input.name))),
    };
    let samples = inputs.iter().map(of).collect::<Result<_, _>>()?;
    match named.keys().next() {
        Some(other) => Err(Refusal::bad(format!("{other:?} is not an input of the model"))),
        None => Ok(samples),
    }
}

/// The form of the JSON that a model takes.
fn form(served: &Served) -> String {
    let description = &served.model.description;
    if !description.columns.is_empty() {
        return "{\"rows\": [{\"column\": value, …}, …]}".into();
    }
    match &description.reads()[..] {
        [_] => "{\"inputs\": [sample, …]}".into(),
        several => {
            let each: Vec<String> =
                several.iter().map(|input| format!("{:?}: [sample, …]", input.name)).collect();
            format!("{{\"inputs\": {{{}}}}}", each.join(", "))
        }
    }
}

/// Rows with a value for each column, read like a table's, so that a value means the same in both.
fn table(
    served: &Served,
    rows: &[Map<String, Value>],
    notes: &mut Vec<String>,
) -> Result<Vec<Array>, Refusal> {
    check_rows(rows.len())?;
    let description = &served.model.description;
    // Numbers of JSON are written in one way, however the table wrote its own.
    let plain = |column: &Column| match &column.kind {
        ColumnKind::Number { fill, offset, .. } => {
            let kind = ColumnKind::Number { fill: *fill, offset: *offset, notation: Notation::default() };
            Column { name: column.name.clone(), kind }
        }
        _ => column.clone(),
    };
    let columns: Vec<Column> = description.columns.iter().map(plain).collect();
    for (number, row) in rows.iter().enumerate() {
        let unknown = row.keys().find(|key| !columns.iter().any(|column| column.name == **key));
        let is_known = |key: &String| {
            *key == description.target
                || served.source.id.as_ref() == Some(key)
                || served.source.ignore.contains(key)
        };
        if let Some(key) = unknown.filter(|key| !is_known(key)) {
            let names: Vec<&str> = columns.iter().map(|column| &*column.name).collect();
            return Err(Refusal::bad(format!(
                "row {number}: expected the columns {}, got {key:?}",
                names.join(", ")
            )));
        }
    }
    let mut text = csv::WriterBuilder::new().quote_style(csv::QuoteStyle::Always).from_writer(Vec::new());
    let wrote = |error: csv::Error| Refusal::bad(error.to_string());
    text.write_record(columns.iter().map(|column| &column.name)).map_err(wrote)?;
    for (number, row) in rows.iter().enumerate() {
        let cell = |column: &Column| match row.get(&column.name) {
            None | Some(Value::Null) => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(Value::Number(number)) => Ok(number.to_string()),
            Some(Value::Bool(is)) => Ok(is.to_string()),
            Some(other) => list(other, &column.kind).ok_or_else(|| {
                Refusal::bad(format!(
                    "row {number}: expected a number or a text for {:?}, got a list or an object",
                    column.name
                ))
            }),
        };
        let cells = columns.iter().map(cell).collect::<Result<Vec<_>, _>>()?;
        text.write_record(cells).map_err(wrote)?;
    }
    let text = text.into_inner().map_err(|error| Refusal::bad(error.to_string()))?;
    let layout = Layout {
        delimiter: Some(crate::data::table::Delimiter::Comma),
        header: Some(true),
        known: columns.iter().map(|column| column.name.clone()).collect(),
        ..Layout::default()
    };
    let table = Table::parse_columns(Path::new("the rows"), &text, &layout, |header| {
        Column::readings(header, &columns, None)
    })?;
    let encoded = table.try_encode_with(&columns, &sent_picture)?;
    if let Some((row, message)) = encoded.refused.first() {
        // The client has no lines.
        let message = message.replacen(&format!(" in line {},", row + 2), " in", 1);
        return Err(Refusal::bad(format!("row {row}: {message}")));
    }
    notes.extend(encoded.notes());
    let inputs = inputs_of(encoded, &columns, served.source.inputs.as_ref())?;
    Ok(inputs.into_iter().map(|(_, array)| array).collect())
}

/// A list as the cell of a column of lists or sequences, in the form of JSON lines.
fn list(value: &Value, kind: &ColumnKind) -> Option<String> {
    let items = value.as_array()?;
    let is_taken = match kind {
        ColumnKind::List { .. } => items.iter().all(Value::is_string),
        ColumnKind::Sequence(_) => true,
        _ => false,
    };
    is_taken.then(|| value.to_string())
}

/// A picture in a cell as base64, alone or in a `data:` URL. A path would open the server's own files to its clients.
fn sent_picture(_: &Path, cell: &str) -> crate::Result<Vec<u8>> {
    let encoded = cell.rsplit_once(";base64,").map_or(cell, |(_, encoded)| encoded);
    let refuse =
        |_| Error::format(Path::new("the picture"), "expected PNG or JPEG in base64, got another text");
    let contents = STANDARD.decode(encoded).map_err(refuse)?;
    check_pixels(&contents)?;
    Ok(contents)
}

/// The numbers of a request body as samples of an input. Shorter sequences are padded as in training.
fn array(input: &Reads, numbers: Numbers) -> Result<Array, Refusal> {
    let (rows, values) = match (rows(&numbers, input.sample), input.sample) {
        (Some(rows), _) => (rows, numbers.values),
        (None, &[length, features]) if input.is_masked => {
            padded(&numbers, [length, features]).ok_or_else(|| {
                let expected = format!("sequences of at most {length} positions of {features} numbers each");
                Refusal::bad(format!("expected {expected}, got numbers {}", shape(&numbers)))
            })?
        }
        (None, sample) => {
            let expected = crate::cli::text::samples(sample);
            return Err(Refusal::bad(format!(
                "expected samples {expected}, got numbers {}",
                shape(&numbers)
            )));
        }
    };
    let array = Array::new::<f64>(&[&[rows], input.sample].concat(), values)?;
    Ok(input.samples(&array).map(Cow::into_owned)?)
}

/// The shape of lists, for messages.
fn shape(numbers: &Numbers) -> String {
    let lengths = match numbers.uneven() {
        Some([first, other]) => format!(" with a list of {other} after one of {first}"),
        None => String::new(),
    };
    format!("{:?}{lengths}", numbers.shape)
}

/// A picture, converted to the size and the channels of the model's samples.
fn picture(served: &Served, body: &[u8]) -> Result<Array, Refusal> {
    let description = &served.model.description;
    let Some(form) = served.pictures() else {
        return Err(unsupported("application/json: the model takes no pictures"));
    };
    check_pixels(body)?;
    let form = Form { background: served.source.background, ..form };
    let picture = images::decode(Path::new("the body"), body, form)?;
    Ok(picture.reshape(&[&[1], &description.sample[..]].concat())?)
}

/// Checks that a picture has not more pixels than a request may make.
fn check_pixels(contents: &[u8]) -> crate::Result<()> {
    let reader = ImageReader::new(Cursor::new(contents)).with_guessed_format().ok();
    match reader.and_then(|reader| reader.into_dimensions().ok()) {
        Some((width, height)) if u64::from(width) * u64::from(height) > MOST_PIXELS => {
            Err(Error::value("pixels", format!("at most {MOST_PIXELS}"), format!("{width} x {height}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_come_as_base64_and_never_from_the_servers_files() {
        let read = |cell: &str| sent_picture(Path::new(""), cell);
        assert_eq!(read("iVBORw==").expect("base64"), b"\x89PNG");
        assert_eq!(read("data:image/png;base64,iVBORw==").expect("base64"), b"\x89PNG");
        for path in ["Cargo.toml", "/etc/hostname", "../a.png"] {
            let error = read(path).expect_err(path).to_string();
            assert!(error.contains("base64"), "{error}");
        }
    }
}
