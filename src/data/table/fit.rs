//! Fits [`Column`]s to the cells of the training rows.

use super::cells::Cell;
use super::fit_kind::check_fill;
use super::guess::written;
use super::holds::Holds;
use super::{Table, is_missing, shown};
use crate::data::columns::{Column, ColumnKind, Cycle, DateOrder, Kind, Missing, Notation, Unknown};
use crate::error::{Error, Result};
use rayon::prelude::*;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// How the columns of a table become features.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Features {
    /// Columns that hold names, even if they are numbers.
    pub categorical: Vec<String>,
    /// Columns that are no features.
    pub ignore: Vec<String>,
    /// The default treatment of missing cells.
    pub missing: Missing,
    /// The default treatment of values that no training row has.
    pub unknown: Unknown,
    /// The default reading of dates such as 03/04/2024.
    pub dates: Option<DateOrder>,
    /// Columns whose kind is given rather than detected from their cells.
    pub kinds: BTreeMap<String, Kind>,
}

/// The max number of names of one column: a cell of two bytes becomes a number of four bytes for each.
pub(super) const MAX_NAMES: usize = 256;

/// Up to this many distinct names, names in half of the rows do not look like names of single rows.
const FEW_NAMES: usize = 20;

impl Table {
    /// The columns to make features of, and a sentence for each that was left out: all but `target` and the ignored
    /// ones, in the order of the header.
    ///
    /// A column of `kinds` is of that kind. Others hold names if they are `categorical` or hold neither numbers nor dates nor
    /// truth values. Names are sorted, and come only from the training rows, as do offsets and the numbers that fill
    /// missing values. Columns without a value, and those that hold a name for almost every row, are left out.
    ///
    /// ```
    /// use neural::data::table::{Features, Layout, Table};
    /// let table = Table::parse("t.csv".as_ref(), b"id,size,kind\n1,2,a\n2,3,b\n", &Layout::default())?;
    /// let (columns, _) = table.features("kind", &Features { ignore: vec!["id".into()], ..Features::default() }, &[0, 1])?;
    /// assert_eq!(columns[0].name, "size");
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When a named column is missing or not of its kind, no column is left, some cells of a column are numbers and
    /// others not, numbers or dates can be read in two ways, or a column holds more than 256 names.
    pub fn features(
        &self,
        target: &str,
        how: &Features,
        train: &[u32],
    ) -> Result<(Vec<Column>, Vec<String>)> {
        self.index(target)?;
        for name in how.categorical.iter().chain(&how.ignore).chain(how.kinds.keys()) {
            self.index(name)?;
            if name == target {
                let message = format!(
                    "expected features in categorical, columns and ignore, got the target \"{}\"",
                    shown(target)
                );
                return Err(self.refuse(message));
            }
        }
        let others = || how.categorical.iter().chain(&how.ignore);
        if let Some(name) = others().find(|name| how.kinds.contains_key(*name)) {
            let expected = "kinds of columns that are not in categorical, in ignore, or the id";
            return Err(Error::value("columns", expected, format!("\"{}\"", shown(name))));
        }
        how.kinds.values().try_for_each(check_fill)?;
        if let Missing::Constant(value) = how.missing
            && !(value as f32).is_finite()
        {
            return Err(Error::value("missing", "a finite number of f32", value));
        }
        let train: Vec<u32> = train.iter().copied().filter(|&row| (row as usize) < self.rows).collect();
        let is_feature = |name: &String| name != target && !how.ignore.contains(name);
        let fitted: Vec<Fitted> = self
            .header
            .par_iter()
            .enumerate()
            .filter(|(_, name)| is_feature(name))
            .map(|(i, _)| self.fit(i, how, &train))
            .collect::<Result<_>>()?;
        let (mut columns, mut notes) = (Vec::new(), Vec::new());
        for fitted in fitted {
            match fitted {
                Fitted::Column(column) => columns.push(column),
                Fitted::LeftOut(note) => notes.push(note),
            }
        }
        if columns.is_empty() {
            let mut message =
                format!("expected a column for a feature besides the target \"{}\", got none", shown(target));
            notes.iter().for_each(|note| message.push_str(&format!("; {note}")));
            return Err(self.refuse(message));
        }
        Ok((columns, notes))
    }

    fn fit(&self, i: usize, how: &Features, train: &[u32]) -> Result<Fitted> {
        let name = &self.header[i];
        if let Some(kind) = how.kinds.get(name) {
            let kind = self.fit_kind(i, kind, how, train)?;
            return Ok(Fitted::Column(Column { name: name.clone(), kind }));
        }
        let is_categorical = how.categorical.contains(name);
        let holds = if is_categorical { Holds::Names } else { self.holds(i, how.dates) };
        let quoted = shown(name);
        let kind = match holds {
            Holds::Nothing => {
                return Ok(Fitted::LeftOut(format!("column \"{quoted}\" is left out, as it holds no value")));
            }
            Holds::Mixture => return Err(self.mixture(i)),
            Holds::Unclear(unclear) => return Err(self.unclear(i, unclear)),
            Holds::Names => match self.category(i, how.missing != Missing::Refuse, how.unknown, train) {
                // A different name in every row distinguishes rows, not kinds of rows.
                ColumnKind::Category { names, .. } if names.is_empty() => {
                    return Ok(Fitted::LeftOut(format!(
                        "column \"{quoted}\" is left out, as no training row has a value in it"
                    )));
                }
                ColumnKind::Category { names, .. }
                    if !is_categorical && names.len() > FEW_NAMES && names.len() * 2 > train.len() =>
                {
                    let advice = self.kind_advice(i).unwrap_or_else(|| {
                        "list it in categorical if they are kinds, name it as id to carry it to predictions, or set its kind in \
                         [data.columns]"
                            .into()
                    });
                    let note = format!(
                        "column \"{quoted}\" is left out, as it holds {} names in {} training rows; {advice}",
                        names.len(),
                        train.len()
                    );
                    return Ok(Fitted::LeftOut(note));
                }
                kind => {
                    if let ColumnKind::Category { names, .. } = &kind {
                        self.check_names(i, names)?;
                    }
                    kind
                }
            },
            Holds::Numbers(notation) => self.number(i, notation, how.missing, train),
            Holds::Booleans => self.boolean(i, holds, how.missing, how.unknown, train),
            Holds::Dates(order) => self.date(i, order, how.missing, train),
        };
        Ok(Fitted::Column(Column { name: name.clone(), kind }))
    }

    pub(super) fn number(
        &self,
        column: usize,
        notation: Notation,
        missing: Missing,
        train: &[u32],
    ) -> ColumnKind {
        let numbers = self.numbers(column, Holds::Numbers(notation)).of(train);
        ColumnKind::Number { offset: offset(&numbers), fill: fill(numbers, missing), notation }
    }

    pub(super) fn boolean(
        &self,
        column: usize,
        holds: Holds,
        missing: Missing,
        unknown: Unknown,
        train: &[u32],
    ) -> ColumnKind {
        ColumnKind::Boolean { fill: fill(self.numbers(column, holds).of(train), missing), unknown }
    }

    pub(super) fn date(
        &self,
        column: usize,
        order: DateOrder,
        missing: Missing,
        train: &[u32],
    ) -> ColumnKind {
        let days = self.numbers(column, Holds::Dates(order)).of(train);
        let missing = if let Missing::Constant(_) = missing { Missing::Mean } else { missing };
        let moves = |cycle: &Cycle| {
            let mut parts = days.iter().map(|days| cycle.at(*days));
            parts.next().is_some_and(|first| parts.any(|part| part != first))
        };
        let cycles = Cycle::ALL.into_iter().filter(moves).collect();
        ColumnKind::Date { offset: offset(&days), fill: fill(days, missing), order, cycles }
    }

    /// Checks that a column has not more names than become features.
    pub(super) fn check_names(&self, column: usize, names: &[String]) -> Result<()> {
        if names.len() <= MAX_NAMES {
            return Ok(());
        }
        let name = shown(&self.header[column]);
        let advice = self.kind_advice(column).unwrap_or_else(|| "list it in ignore".into());
        Err(self.refuse(format!(
            "expected at most {MAX_NAMES} names in column \"{name}\", got {}; {advice}",
            names.len()
        )))
    }

    /// Where the names of a column seem to be something else, the kind to set.
    fn kind_advice(&self, column: usize) -> Option<String> {
        let kind = self.guess(column)?;
        let what = match kind {
            Kind::List(_) => "lists of names",
            Kind::Picture(_) => "paths of pictures",
            _ => "sequences of numbers",
        };
        let name = shown(&self.header[column]);
        Some(format!(
            "they seem to be {what}: set \"{name}\" = {} in [data.columns] to read them as such",
            written(&kind)
        ))
    }

    /// A column of names; missing ones are refused unless the column `may_lack` them.
    pub(super) fn category(
        &self,
        column: usize,
        may_lack: bool,
        unknown: Unknown,
        train: &[u32],
    ) -> ColumnKind {
        let (mut names, mut has_missing) = (BTreeSet::<Cow<str>>::new(), false);
        let cells = &self.cells[column];
        let mut seen = vec![false; cells.texts().len()];
        for &row in train {
            match cells.get(row as usize) {
                Cell::Number(number) => {
                    names.insert(number.to_string().into());
                }
                Cell::Text(place) => seen[place] = true,
            }
        }
        for (text, _) in cells.texts().zip(seen).filter(|(_, seen)| *seen) {
            if is_missing(text) {
                has_missing = true;
            } else {
                names.insert(text.into());
            }
        }
        ColumnKind::Category {
            names: names.into_iter().map(Cow::into_owned).collect(),
            missing: may_lack,
            missing_is_feature: may_lack && has_missing,
            unknown,
        }
    }
}

enum Fitted {
    Column(Column),
    LeftOut(String),
}

/// The replacement of missing values in a column of these numbers.
fn fill(mut numbers: Vec<f64>, missing: Missing) -> Option<f64> {
    match missing {
        Missing::Refuse => None,
        Missing::Constant(value) => Some(value),
        Missing::Mean if numbers.is_empty() => Some(0.0),
        Missing::Mean => Some(numbers.iter().sum::<f64>() / numbers.len() as f64),
        Missing::Median => {
            numbers.sort_unstable_by(f64::total_cmp);
            let (low, high) = (numbers.len().saturating_sub(1) / 2, numbers.len() / 2);
            Some(numbers.get(low).map_or(0.0, |number| f64::midpoint(*number, numbers[high])))
        }
    }
}

/// How many times as large as their deviation values may be before their rounding to f32 is felt: it is then a part in
/// 65,536 of the deviation.
const FAR: f64 = 256.0;

/// The amount to subtract before rounding, see [`ColumnKind`].
fn offset(numbers: &[f64]) -> f64 {
    let (mut least, mut greatest, mut is_exact) = (f64::INFINITY, f64::NEG_INFINITY, true);
    for &number in numbers {
        (least, greatest) = (least.min(number), greatest.max(number));
        is_exact &= f64::from(number as f32) == number;
    }
    let count = numbers.len() as f64;
    let mean = numbers.iter().sum::<f64>() / count;
    // No deviation is larger than the range.
    if is_exact || least == greatest || mean.abs() * 2.0 < least.abs().max(greatest.abs()) {
        return 0.0;
    }
    let deviation = (numbers.iter().map(|number| (number - mean).powi(2)).sum::<f64>() / count).sqrt();
    if mean.is_finite() && mean.abs() > FAR * deviation { mean } else { 0.0 }
}
