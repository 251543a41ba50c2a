//! Columns whose kind the recipe sets, fitted to the training rows.

use super::holds::{Holds, Unclear, boolean};
use super::list::items;
use super::{Features, Table, is_missing, shown};
use crate::data::columns::{
    ColumnKind, DateOrder, Kind, ListKind, Missing, MissingName, TextKind, Vocabulary,
};
use crate::error::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};

impl Table {
    pub(super) fn fit_kind(
        &self,
        column: usize,
        kind: &Kind,
        how: &Features,
        train: &[u32],
    ) -> Result<ColumnKind> {
        match kind {
            Kind::Number(of) => match self.holds(column, None) {
                Holds::Numbers(notation) => {
                    Ok(self.number(column, notation, of.missing.unwrap_or(how.missing), train))
                }
                Holds::Mixture => Err(self.mixture(column)),
                Holds::Unclear(unclear @ Unclear::Numbers(..)) => Err(self.unclear(column, unclear)),
                _ => Err(self.is_none(column, "a number", &|_| false)),
            },
            Kind::Boolean(of) => {
                let is_truth = |cell: &str| boolean(cell).is_some() || matches!(cell, "0" | "1");
                let holds = self.holds(column, None);
                let numbers = self.numbers(column, holds);
                let is_number = |row| numbers.get(row).is_none_or(|number| number == 0.0 || number == 1.0);
                let are_truths = match holds {
                    Holds::Booleans => true,
                    Holds::Numbers(_) => (0..self.rows).all(is_number),
                    _ => false,
                };
                if !are_truths {
                    return Err(self.is_none(column, "true, false, yes, no, 1 or 0", &is_truth));
                }
                let (missing, unknown) =
                    (of.missing.unwrap_or(how.missing), of.unknown.unwrap_or(how.unknown));
                Ok(self.boolean(column, holds, missing, unknown, train))
            }
            Kind::Date(of) => match self.holds(column, of.order.or(how.dates)) {
                Holds::Dates(order) => Ok(self.date(column, order, of.missing.unwrap_or(how.missing), train)),
                Holds::Unclear(unclear @ Unclear::Dates) => Err(self.unclear(column, unclear)),
                _ => {
                    let how = of.order.or(how.dates).unwrap_or(DateOrder::DayFirst);
                    Err(self.is_none(column, "a date such as 2024-12-31", &|cell| how.days(cell).is_some()))
                }
            },
            Kind::Category(of) => {
                let may_lack = of.missing == MissingName::Category;
                let kind = self.category(column, may_lack, of.unknown.unwrap_or(how.unknown), train);
                match &kind {
                    ColumnKind::Category { names, .. } if names.is_empty() => {
                        Err(self.is_none(column, "a name", &|_| true))
                    }
                    ColumnKind::Category { names, .. } => self.check_names(column, names).map(|()| kind),
                    _ => Ok(kind),
                }
            }
            Kind::Text(of) => self.text_kind(column, of, train),
            Kind::Picture(of) => Ok(ColumnKind::Picture(*of)),
            Kind::Sequence(of) => self.sequence_kind(column, of, train),
            Kind::List(of) => self.list(column, of, of.unknown.unwrap_or(how.unknown), train),
        }
    }

    fn text_kind(&self, column: usize, of: &TextKind, train: &[u32]) -> Result<ColumnKind> {
        if of.vocabulary < 3 {
            return Err(Error::value(
                "vocabulary",
                "at least 3, two of which are padding and unknown",
                of.vocabulary,
            ));
        }
        if of.length == Some(0) {
            return Err(Error::value("length", "a whole number above 0", 0));
        }
        let cells: Vec<_> = train.iter().map(|&row| self.cell_text(row as usize, column)).collect();
        let vocabulary =
            Vocabulary::fit(cells.iter().map(|cell| &**cell).filter(|cell| !is_missing(cell)), of);
        if vocabulary.tokens.is_empty() {
            let name = shown(&self.header[column]);
            return Err(self.refuse(format!(
                "expected texts in column \"{name}\" with a token that comes {} times in the training rows, got none; set a \
                 smaller min_count",
                of.min_count
            )));
        }
        Ok(ColumnKind::Text(vocabulary))
    }

    fn list(
        &self,
        column: usize,
        of: &ListKind,
        unknown: super::Unknown,
        train: &[u32],
    ) -> Result<ColumnKind> {
        if of.separator.is_empty() {
            return Err(Error::value("separator", "what stands between the names of a list", "nothing"));
        }
        let mut rows = BTreeMap::<String, usize>::new();
        for &row in train {
            let cell = self.cell_text(row as usize, column);
            let names: BTreeSet<_> = items(&cell, &of.separator).into_iter().collect();
            names.into_iter().for_each(|name| *rows.entry(name.into_owned()).or_default() += 1);
        }
        let names: Vec<String> =
            rows.into_iter().filter(|(_, rows)| *rows >= of.min_count).map(|(name, _)| name).collect();
        if names.is_empty() {
            let name = shown(&self.header[column]);
            let message = format!(
                "expected a name in column \"{name}\" that {} training rows have, got none",
                of.min_count.max(1)
            );
            return Err(self.refuse(message));
        }
        self.check_names(column, &names)?;
        Ok(ColumnKind::List { names, separator: of.separator.clone(), unknown })
    }

    /// The error for a column with a cell that is not of its kind.
    fn is_none(&self, column: usize, expected: &str, is_one: &dyn Fn(&str) -> bool) -> Error {
        let is_other = |row: &usize| {
            let cell = self.cell_text(*row, column);
            !is_missing(&cell) && !is_one(&cell)
        };
        let name = shown(&self.header[column]);
        self.refuse(match (0..self.rows).find(is_other) {
            Some(row) => format!(
                "expected {expected} {}, as its kind is set, got \"{}\"",
                self.at(row, column),
                shown(&self.cell_text(row, column))
            ),
            None => format!("expected {expected} in column \"{name}\", got no value"),
        })
    }
}

/// Checks that the fill for missing values of this kind is a number of f32.
pub(super) fn check_fill(kind: &Kind) -> Result<()> {
    let missing = match kind {
        Kind::Number(of) => of.missing,
        Kind::Boolean(of) => of.missing,
        Kind::Date(of) => of.missing,
        _ => None,
    };
    match missing {
        Some(Missing::Constant(value)) if !(value as f32).is_finite() => {
            Err(Error::value("missing", "a finite number of f32", value))
        }
        _ => Ok(()),
    }
}
