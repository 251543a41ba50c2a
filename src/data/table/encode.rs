//! The features of rows.

use super::encoder::{Encoder, Feature, Means, ZERO, dated};
use super::holds::boolean;
use super::inputs::{Inputs, ReadPicture, read_picture};
use super::list::items;
use super::{Table, is_missing, shown};
use crate::array::{Array, DType};
use crate::data::columns::{Column, ColumnKind, Unknown};
use crate::error::Result;
use rayon::prelude::*;
use std::collections::HashMap;
use std::ops::Range;

/// Rows that are encoded together, few enough for their features to stay in a core's cache.
const ROWS: usize = 1024;

/// Rows whose cells go together.
const BLOCK: usize = 64 * ROWS;

/// The features of a table's rows, with the cells that were refused.
///
/// ```
/// use neural::data::table::{Column, ColumnKind, Layout, Table};
/// let table = Table::parse("t.csv".as_ref(), b"a,b\n1,2\nx,3\n", &Layout::default())?;
/// let kind = ColumnKind::Number { fill: None, offset: 0.0, notation: Default::default() };
/// let encoded = table.try_encode(&[Column { name: "a".into(), kind }])?;
/// assert_eq!((encoded.features.to_f64(), encoded.refused[0].0), (vec![1.0, 0.0], 1));
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Encoded {
    /// f32 `[rows, features]`; 0 in the rows that were refused.
    pub features: Array,
    /// The values of columns that are separate inputs, by the column's name: token ids i32 `[rows, length]` for texts,
    /// u8 `[rows, height, width, channels]` for pictures, f32 `[rows, length, features]` for sequences.
    pub inputs: Vec<(String, Array)>,
    /// Rows with a cell that does not fit its column, and the reason for the first such cell.
    pub refused: Vec<(usize, String)>,
    /// Columns with names that were in no training row, and in how many rows.
    pub unknown: Vec<(String, usize)>,
    /// Columns of texts or sequences that are longer than the model reads, and in how many rows.
    pub cut: Vec<(String, usize)>,
}

impl Encoded {
    /// The features and the other inputs of a table's rows, which are refused where either cannot be had.
    fn new(
        features: Array,
        mut refused: Vec<(usize, String)>,
        unknown: Vec<(String, usize)>,
        inputs: Inputs,
    ) -> Self {
        refused.extend(inputs.refused);
        refused.sort_by_key(|(row, _)| *row);
        refused.dedup_by_key(|(row, _)| *row);
        Self { features, inputs: inputs.arrays, refused, unknown, cut: inputs.cut }
    }

    /// A sentence for each column with names that were in no training row, and for each with texts or sequences that are cut.
    pub(crate) fn notes(&self) -> impl Iterator<Item = String> {
        let cut = self.cut.iter().map(|(column, rows)| {
            let rows = if *rows == 1 { "one row holds".into() } else { format!("{rows} rows hold") };
            format!("{rows} more in column \"{}\" than is read; the rest is cut off", shown(column))
        });
        let unknown = self.unknown.iter().map(|(column, rows)| {
            let column = shown(column);
            match rows {
                1 => format!(
                    "one row holds a name in column \"{column}\" that is in none of the training rows"
                ),
                _ => format!(
                    "{rows} rows hold names in column \"{column}\" that are in none of the training rows"
                ),
            }
        });
        unknown.chain(cut)
    }
}

impl Table {
    /// The features of every row, f32 `[rows, features]`. The table may hold other columns too.
    ///
    /// ```
    /// # use neural::data::table::{Layout, Table};
    /// # let table = Table::parse("t.csv".as_ref(), b"a,c\n1,yes\n,no\n", &Layout::default())?;
    /// use neural::data::table::{Features, Missing};
    /// let (columns, _) = table.features("c", &Features { missing: Missing::Mean, ..Features::default() }, &[0, 1])?;
    /// assert_eq!(table.encode(&columns)?.shape(), [2, 1]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When a column is missing, or a cell does not fit its column.
    pub fn encode(&self, columns: &[Column]) -> Result<Array> {
        let Encoded { features, refused, .. } = self.try_encode(columns)?;
        match refused.into_iter().next() {
            None => Ok(features),
            Some((_, message)) => Err(self.refuse(message)),
        }
    }

    /// [`Table::encode`] that continues past rows that cannot be encoded, and counts unknown names.
    ///
    /// ```
    /// # use neural::data::table::{Layout, Table};
    /// # let parse = |text: &str| Table::parse("t.csv".as_ref(), text.as_bytes(), &Layout::default());
    /// let train = parse("day,y\nsat,1\nsun,2\n")?;
    /// let (columns, _) = train.features("y", &Default::default(), &[0, 1])?;
    /// let encoded = parse("day,y\nmon,1\nsun,2\nmon,1\n")?.try_encode(&columns)?;
    /// assert_eq!(encoded.unknown, [("day".to_string(), 2)]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When a column is missing.
    pub fn try_encode(&self, columns: &[Column]) -> Result<Encoded> {
        self.try_encode_with(columns, &read_picture)
    }

    /// [`Table::try_encode`] with another way from a cell of a picture, and the folder of its table, to a file's contents.
    pub(crate) fn try_encode_with(&self, columns: &[Column], picture: &ReadPicture) -> Result<Encoded> {
        let encoders = self.encoders(columns)?;
        let mut features = Room::of(columns, self.rows);
        let refused = self.encode_rows(0..self.rows, &encoders, &mut features);
        let unknown = self.unknown(&encoders);
        let inputs = self.inputs(columns, picture)?;
        Ok(Encoded::new(features.into_array(self.rows)?, refused, unknown, inputs))
    }

    /// [`Table::try_encode`] of a table that is not needed after it: its cells go as their features come, so that the two
    /// are never there as a whole together.
    pub(crate) fn into_encoded(mut self, columns: &[Column]) -> Result<Encoded> {
        let encoders = self.encoders(columns)?;
        let mut features = Room::of(columns, self.rows);
        let unknown = self.unknown(&encoders);
        let inputs = self.inputs(columns, &read_picture)?;
        let mut refused = Vec::new();
        for from in (0..self.rows).step_by(BLOCK).rev() {
            let to = self.rows.min(from + BLOCK);
            let these = self.encode_rows(from..to, &encoders, &mut features);
            refused.splice(0..0, these);
            self.cells.iter_mut().for_each(|cells| cells.truncate(from));
        }
        Ok(Encoded::new(features.into_array(self.rows)?, refused, unknown, inputs))
    }

    /// Encodes some rows, and returns the refused ones.
    fn encode_rows(
        &self,
        rows: Range<usize>,
        encoders: &[Encoder],
        features: &mut Room,
    ) -> Vec<(usize, String)> {
        let width = features.width;
        if width == 0 {
            return Vec::new();
        }
        let part = |(number, features): (usize, &mut [Feature])| {
            let first = rows.start + number * ROWS;
            let mut is_bad = vec![false; features.len() / width];
            let mut at = 0;
            for encoder in encoders {
                encoder.encode_rows(&self.cells[encoder.index], first, at, features, width, &mut is_bad);
                at += encoder.width;
            }
            let mut refused = Vec::new();
            for (row, features) in
                features.chunks_exact_mut(width).enumerate().filter(|(row, _)| is_bad[*row])
            {
                features.fill(ZERO);
                refused.push((first + row, self.diagnose(first + row, encoders)));
            }
            refused
        };
        features.rows(rows.clone()).par_chunks_mut(ROWS * width).enumerate().flat_map_iter(part).collect()
    }

    fn encoders<'a>(&self, columns: &'a [Column]) -> Result<Vec<Encoder<'a>>> {
        columns.iter().filter(|column| !column.is_input()).map(|column| self.encoder(column)).collect()
    }

    /// The number of rows in which each column has a name that was in no training row.
    fn unknown(&self, encoders: &[Encoder]) -> Vec<(String, usize)> {
        let of = |encoder: &Encoder| {
            let count = encoder.unknown(&self.cells[encoder.index]);
            (count > 0).then(|| (encoder.column.name.clone(), count))
        };
        encoders.iter().filter_map(of).collect()
    }

    fn encoder<'a>(&self, column: &'a Column) -> Result<Encoder<'a>> {
        let index = self.read_index(&column.name)?;
        let cells = &self.cells[index];
        let names: HashMap<&str, usize> = match &column.kind {
            ColumnKind::Category { names, .. } | ColumnKind::List { names, .. } => {
                names.iter().map(String::as_str).zip(0..).collect()
            }
            _ => HashMap::new(),
        };
        let text = |text: &str| match &column.kind {
            ColumnKind::Number { fill, offset, notation } => {
                let number = if is_missing(text) { *fill } else { notation.parse(text) };
                Means::from(number.map(|number| vec![(number - offset) as f32]))
            }
            ColumnKind::Boolean { fill, unknown } => match (is_missing(text), boolean(text)) {
                (true, _) => fill.map(|fill| vec![fill as f32]).into(),
                (_, Some(is)) => Means::Features(vec![f32::from(u8::from(is))]),
                _ if *unknown == Unknown::Unknown => Means::Unknown(0.5),
                _ => Means::Refused,
            },
            ColumnKind::Date { fill, offset, order, cycles } => {
                let days = if is_missing(text) { *fill } else { order.days(text) };
                days.map(|days| dated(days, *offset, cycles)).into()
            }
            ColumnKind::Category { missing, missing_is_feature, unknown, .. } => {
                match (names.get(text), is_missing(text)) {
                    (Some(place), _) => Means::One(*place),
                    (None, true) if *missing && *missing_is_feature => Means::One(names.len()),
                    (None, true) if *missing => Means::Features(vec![0.0; names.len()]),
                    (None, false) if *unknown == Unknown::Unknown => Means::Unknown(0.0),
                    _ => Means::Refused,
                }
            }
            ColumnKind::List { separator, unknown, .. } => {
                let places: Vec<Option<usize>> =
                    items(text, separator).iter().map(|item| names.get(&**item).copied()).collect();
                let has_unknown = places.contains(&None);
                match has_unknown && *unknown == Unknown::Refuse {
                    true => Means::Refused,
                    false => Means::Several(places.into_iter().flatten().collect(), has_unknown),
                }
            }
            // No features.
            ColumnKind::Text(_) | ColumnKind::Picture(_) | ColumnKind::Sequence(_) => {
                Means::Several(Vec::new(), false)
            }
        };
        let texts = cells.texts().map(text).collect();
        Ok(Encoder { column, index, width: column.width(), texts, names })
    }

    /// The error in the first cell of a row that cannot be encoded.
    fn diagnose(&self, row: usize, encoders: &[Encoder]) -> String {
        let is_bad = |encoder: &&Encoder| {
            !encoder.encode(self.cells[encoder.index].get(row), &mut vec![ZERO; encoder.width])
        };
        let Some(encoder) = encoders.iter().find(is_bad) else {
            return "expected rows of finite numbers".into();
        };
        let (at, cell) = (self.at(row, encoder.index), self.cell_text(row, encoder.index));
        let is_number = cell.parse::<f64>().is_ok();
        let (cell, name) = (shown(&cell), shown(&self.header[encoder.index]));
        if is_missing(&cell) {
            return format!("expected a value {at}, got \"{cell}\"; set missing to fill it");
        }
        match &encoder.column.kind {
            ColumnKind::Category { names, .. } => {
                let known = shown(&names.join(", ")).into_owned();
                format!(
                    "expected one of {known} {at}, got \"{cell}\"; set unknown = \"unknown\" to accept it"
                )
            }
            ColumnKind::List { names, .. } => {
                let known = shown(&names.join(", ")).into_owned();
                format!(
                    "expected names among {known} {at}, got \"{cell}\"; set unknown = \"unknown\" to accept it"
                )
            }
            ColumnKind::Text(_) | ColumnKind::Picture(_) | ColumnKind::Sequence(_) => {
                format!("expected a text {at}, got \"{cell}\"")
            }
            ColumnKind::Date { .. } => {
                format!("expected a date {at}, got \"{cell}\"; write it as 2024-12-31")
            }
            ColumnKind::Boolean { .. } => {
                format!("expected true, false, yes or no {at}, got \"{cell}\"")
            }
            ColumnKind::Number { .. } if is_number => {
                format!("expected a finite number of f32 {at}, got \"{cell}\"")
            }
            ColumnKind::Number { .. } => format!(
                "expected a number {at}, got \"{cell}\"; correct it, or list \"{name}\" in categorical if it holds names"
            ),
        }
    }
}

/// The features of all rows as they come into being.
struct Room {
    bytes: Vec<u8>,
    width: usize,
}

impl Room {
    fn of(columns: &[Column], rows: usize) -> Self {
        let width = columns.iter().map(Column::width).sum();
        Self { bytes: vec![0; rows * width * size_of::<Feature>()], width }
    }

    fn rows(&mut self, rows: Range<usize>) -> &mut [Feature] {
        &mut self.bytes.as_chunks_mut().0[rows.start * self.width..rows.end * self.width]
    }

    fn into_array(self, rows: usize) -> Result<Array> {
        Array::from_bytes(DType::F32, &[rows, self.width], self.bytes)
    }
}
