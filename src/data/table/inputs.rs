//! Columns that are separate inputs, and the division of columns among a model's inputs.

use super::cells::Cell;
use super::{Encoded, Table, is_missing, shown};
use crate::array::{Array, DType, count};
use crate::data::columns::{Column, ColumnKind, PictureKind, Vocabulary};
use crate::data::images::{self, Color, Form};
use crate::data::{Inputs as Groups, bytes};
use crate::error::{Error, Result};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;

/// The contents of the picture that a cell names, from the folder of its table and the cell.
pub(crate) type ReadPicture<'a> = dyn Fn(&Path, &str) -> Result<Vec<u8>> + Sync + 'a;

/// The file at a path that is taken from the table's folder.
pub(super) fn read_picture(folder: &Path, cell: &str) -> Result<Vec<u8>> {
    bytes::read_file(&folder.join(cell))
}

/// The values of columns that are separate inputs.
pub(super) struct Inputs {
    pub arrays: Vec<(String, Array)>,
    pub refused: Vec<(usize, String)>,
    /// Columns with texts or sequences that were cut, and in how many rows.
    pub cut: Vec<(String, usize)>,
}

impl Table {
    pub(super) fn inputs(&self, columns: &[Column], picture: &ReadPicture) -> Result<Inputs> {
        let mut inputs = Inputs { arrays: Vec::new(), refused: Vec::new(), cut: Vec::new() };
        for Column { name, kind } in columns {
            let array = match kind {
                ColumnKind::Text(vocabulary) => {
                    let (array, cut) = self.tokens(self.read_index(name)?, vocabulary)?;
                    inputs.cut.extend((cut > 0).then(|| (name.clone(), cut)));
                    array
                }
                ColumnKind::Picture(form) => {
                    let (array, refused) = self.pictures(self.read_index(name)?, form, picture)?;
                    inputs.refused.extend(refused);
                    array
                }
                ColumnKind::Sequence(form) => {
                    let (array, refused, cut) = self.sequences(self.read_index(name)?, *form)?;
                    inputs.refused.extend(refused);
                    inputs.cut.extend((cut > 0).then(|| (name.clone(), cut)));
                    array
                }
                _ => continue,
            };
            inputs.arrays.push((name.clone(), array));
        }
        Ok(inputs)
    }

    /// An empty list with room for `length` numbers of each row.
    pub(super) fn room<T>(&self, length: usize) -> Result<Vec<T>> {
        let mut list = Vec::new();
        match list.try_reserve_exact(self.rows.saturating_mul(length)) {
            Ok(()) => Ok(list),
            Err(_) => Err(Error::value("length", "one for which there is memory", length)),
        }
    }

    /// The token ids of a column, i32 `[rows, length]`, and how many texts are longer.
    fn tokens(&self, column: usize, vocabulary: &Vocabulary) -> Result<(Array, usize)> {
        let cells = &self.cells[column];
        let mut ids = self.room(vocabulary.length)?;
        let encoder = vocabulary.encoder();
        let encode = |text: &str| encoder.encode(if is_missing(text) { "" } else { text });
        let texts: Vec<&str> = cells.texts().collect();
        let encoded: Vec<(Vec<i32>, bool)> = texts.into_par_iter().map(encode).collect();
        let mut cut = 0;
        for cell in cells.iter() {
            let number;
            let (tokens, is_longer) = match cell {
                Cell::Text(place) => &encoded[place],
                Cell::Number(value) => {
                    number = encode(&value.to_string());
                    &number
                }
            };
            ids.extend_from_slice(tokens);
            cut += usize::from(*is_longer);
        }
        Ok((Array::new(&[self.rows, vocabulary.length], ids)?, cut))
    }

    /// The pictures that a column names, u8 `[rows, height, width, channels]`, and the rows whose picture cannot be had.
    fn pictures(
        &self,
        column: usize,
        how: &PictureKind,
        read: &ReadPicture,
    ) -> Result<(Array, Vec<(usize, String)>)> {
        let form = Form { size: Some(how.size), color: Some(how.color), background: how.background };
        let shape = [self.rows, how.size[0], how.size[1], if how.color == Color::Gray { 1 } else { 3 }];
        let picture = |row: usize| {
            let cell = self.cell_text(row, column);
            if is_missing(&cell) {
                let at = self.at(row, column);
                return Err(format!("expected a picture {at}, got \"{cell}\"; remove the row"));
            }
            let decoded = read(self.folder(row), &cell)
                .and_then(|contents| images::decode(Path::new(&*cell), &contents, form));
            decoded.map_err(|error| format!("expected a picture {}, got none: {error}", self.at(row, column)))
        };
        let stride = count(&shape[1..]).max(1);
        let mut pixels = vec![0; self.rows * stride];
        let fill = |(row, bytes): (usize, &mut [u8])| match picture(row) {
            Ok(array) => {
                bytes.copy_from_slice(array.bytes());
                None
            }
            Err(message) => Some((row, message)),
        };
        let refused = pixels.par_chunks_mut(stride).enumerate().filter_map(fill).collect();
        Ok((Array::from_bytes(DType::U8, &shape, pixels)?, refused))
    }
}

/// The inputs of a model by their names, in its order: by `groups`, or else the features as `input` and every column of
/// texts, pictures or sequences under its own name.
///
/// # Errors
/// When a group names a missing column or a separate input beside other columns, or a column is in no group.
pub(crate) fn inputs_of(
    encoded: Encoded,
    columns: &[Column],
    groups: Option<&Groups>,
) -> Result<Vec<(String, Array)>> {
    let Encoded { features, mut inputs, .. } = encoded;
    if let Some(Groups::Columns(groups)) = groups {
        return grouped(&features, &inputs, columns, groups);
    }
    if columns.iter().any(|column| !column.is_input()) {
        inputs.insert(0, ("input".into(), features));
    }
    Ok(inputs)
}

/// A table's columns divided among several inputs.
fn grouped(
    features: &Array,
    inputs: &[(String, Array)],
    columns: &[Column],
    groups: &BTreeMap<String, Vec<String>>,
) -> Result<Vec<(String, Array)>> {
    let refuse = |expected: String, got: String| Err(Error::value("inputs", expected, got));
    let in_none = |column: &&Column| !groups.values().flatten().any(|name| *name == column.name);
    if let Some(column) = columns.iter().find(in_none) {
        let got = format!("\"{}\" in none", shown(&column.name));
        return refuse("every column in an input, or in ignore".into(), got);
    }
    let mut all = Vec::new();
    for (input, names) in groups {
        let alone = |name: &String| inputs.iter().find(|(column, _)| column == name);
        let array = match (&names[..], names.iter().find(|name| alone(name).is_some())) {
            (_, None) => features_of(features, columns, names)?,
            ([only], Some(_)) => alone(only).map_or_else(|| features.clone(), |(_, array)| array.clone()),
            (_, Some(name)) => {
                let got = format!("\"{}\" beside others in {input}", shown(name));
                return refuse("a column of texts, pictures or sequences alone in its input".into(), got);
            }
        };
        all.push((input.clone(), array));
    }
    Ok(all)
}

/// The features of some columns, f32 `[n, features]`, out of the features of all.
fn features_of(features: &Array, columns: &[Column], names: &[String]) -> Result<Array> {
    let mut places = Vec::new();
    for name in names {
        let mut at = 0;
        let found = columns.iter().find_map(|column| {
            let range = at..at + column.width();
            at = range.end;
            (column.name == *name).then_some(range)
        });
        let Some(range) = found else {
            let known: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
            let expected = format!("columns, which are {}", known.join(", "));
            return Err(Error::value("inputs", expected, format!("{name:?}")));
        };
        places.extend(range);
    }
    let width = features.shape().get(1).copied().unwrap_or(1).max(1);
    let all = features.to_vec::<f32>()?;
    let some = all.chunks_exact(width).flat_map(|row| places.iter().map(|&place| row[place])).collect();
    Array::new(&[features.shape()[0], places.len()], some)
}
