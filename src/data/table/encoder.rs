//! How the cells of one column become features.

use super::cells::{Cell, Cells};
use crate::array::DType;
use crate::data::columns::{Column, ColumnKind, Cycle, Unknown};
use std::collections::HashMap;
use std::f64::consts::TAU;

/// A feature as it lies in an array of f32.
pub(super) type Feature = [u8; DType::F32.size()];

pub(super) const ZERO: Feature = [0; DType::F32.size()];

/// How one column becomes features.
pub(super) struct Encoder<'a> {
    pub column: &'a Column,
    /// The place of the column's cells in the table.
    pub index: usize,
    pub width: usize,
    /// The features of each text.
    pub texts: Vec<Means>,
    /// The places of a category's names.
    pub names: HashMap<&'a str, usize>,
}

/// A text as features.
pub(super) enum Means {
    Features(Vec<f32>),
    /// 1 in this place and 0 in all others.
    One(usize),
    /// 1 in these places and 0 in all others, and whether there were names beside them that no training row has.
    Several(Vec<usize>, bool),
    /// A name that was in no training row: this number in all places.
    Unknown(f32),
    Refused,
}

impl From<Option<Vec<f32>>> for Means {
    fn from(features: Option<Vec<f32>>) -> Self {
        features.map_or(Means::Refused, Means::Features)
    }
}

impl Encoder<'_> {
    /// Encodes the column's cells from row `first` on into `features`, rows of `width` zeros, from place `at` of each row
    /// on. Sets `is_bad` for rows with a cell that cannot be taken.
    pub fn encode_rows(
        &self,
        cells: &Cells,
        first: usize,
        at: usize,
        features: &mut [Feature],
        width: usize,
        is_bad: &mut [bool],
    ) {
        if let (ColumnKind::Number { offset, .. }, Some(numbers)) = (&self.column.kind, cells.as_numbers()) {
            for (row, number) in numbers[first..first + is_bad.len()].iter().enumerate() {
                let feature = (number - offset) as f32;
                features[row * width + at] = feature.to_le_bytes();
                is_bad[row] |= !feature.is_finite();
            }
            return;
        }
        for (row, is_bad) in is_bad.iter_mut().enumerate() {
            let features = &mut features[row * width + at..][..self.width];
            *is_bad |= !self.encode(cells.get(first + row), features);
        }
    }

    /// Writes the features of a cell over zeros, and returns whether the cell is valid.
    pub fn encode(&self, cell: Cell, features: &mut [Feature]) -> bool {
        let mut put = |place: usize, feature: f32| {
            features[place] = feature.to_le_bytes();
            feature.is_finite()
        };
        match (cell, &self.column.kind) {
            (Cell::Number(number), ColumnKind::Number { offset, .. }) => put(0, (number - offset) as f32),
            (Cell::Number(number), ColumnKind::Boolean { .. }) if number == 0.0 || number == 1.0 => {
                put(0, number as f32)
            }
            (Cell::Number(number), ColumnKind::Category { unknown, .. }) => {
                match self.names.get(number.to_string().as_str()) {
                    Some(place) => put(*place, 1.0),
                    None => *unknown == Unknown::Unknown,
                }
            }
            (Cell::Number(_), _) => false,
            (Cell::Text(place), _) => match &self.texts[place] {
                Means::Features(means) => {
                    means.iter().enumerate().all(|(place, feature)| put(place, *feature))
                }
                Means::Unknown(means) => (0..self.width).all(|place| put(place, *means)),
                Means::One(place) => put(*place, 1.0),
                Means::Several(places, _) => places.iter().all(|place| put(*place, 1.0)),
                Means::Refused => false,
            },
        }
    }

    /// The number of rows with a name that was in no training row.
    pub fn unknown(&self, cells: &Cells) -> usize {
        let is_unknown = |means: &Means| matches!(means, Means::Unknown(_) | Means::Several(_, true));
        let by_text = self.texts.iter().any(is_unknown);
        let by_number = matches!(self.column.kind, ColumnKind::Category { .. }) && cells.has_numbers();
        if !by_text && !by_number {
            return 0;
        }
        let is_unknown = |cell: Cell| match (cell, &self.column.kind) {
            (Cell::Text(place), _) => is_unknown(&self.texts[place]),
            (Cell::Number(number), ColumnKind::Category { unknown: Unknown::Unknown, .. }) => {
                !self.names.contains_key(number.to_string().as_str())
            }
            _ => false,
        };
        cells.iter().filter(|cell| is_unknown(*cell)).count()
    }
}

/// Days less an offset, and the sine and the cosine of each cycle.
pub(super) fn dated(days: f64, offset: f64, cycles: &[Cycle]) -> Vec<f32> {
    let cycle = |cycle: &Cycle| {
        let (sine, cosine) = (TAU * cycle.at(days)).sin_cos();
        [sine as f32, cosine as f32]
    };
    std::iter::once((days - offset) as f32).chain(cycles.iter().flat_map(cycle)).collect()
}
