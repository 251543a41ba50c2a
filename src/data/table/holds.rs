//! The kind of a column's cells: numbers, dates, truth values or names.

use super::cells::{Cell, Cells};
use super::{Table, date, is_missing, number, shown};
use crate::data::columns::{DateOrder, Notation};
use crate::error::Error;

/// The common kind of a column's cells, missing ones aside.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Holds {
    Nothing,
    Numbers(Notation),
    Booleans,
    Dates(DateOrder),
    Names,
    /// Numbers, and texts that are none.
    Mixture,
    /// Numbers or dates that can be read in two ways.
    Unclear(Unclear),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Unclear {
    Numbers(Notation, Notation),
    Dates,
}

/// True or yes, false or no.
pub(super) fn boolean(text: &str) -> Option<bool> {
    let is = |words: [&str; 2]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is(["true", "yes"]) { Some(true) } else { is(["false", "no"]).then_some(false) }
}

/// The cells of a column as numbers.
pub(super) struct Numbers<'a> {
    cells: &'a Cells,
    /// The number of each text; `None` where it is missing.
    texts: Vec<Option<f64>>,
}

impl Numbers<'_> {
    #[inline]
    pub fn get(&self, row: usize) -> Option<f64> {
        match self.cells.get(row) {
            Cell::Number(number) => Some(number),
            Cell::Text(place) => self.texts[place],
        }
    }

    /// The numbers of some rows that are not missing.
    pub fn of(&self, rows: &[u32]) -> Vec<f64> {
        if let Some(numbers) = self.cells.as_numbers() {
            return rows.iter().map(|&row| numbers[row as usize]).collect();
        }
        let mut numbers = Vec::with_capacity(rows.len());
        for &row in rows {
            numbers.extend(self.get(row as usize));
        }
        numbers
    }
}

impl Table {
    /// The contents of a column. `dates` decides ambiguous dates.
    pub(crate) fn holds(&self, column: usize, dates: Option<DateOrder>) -> Holds {
        let cells = &self.cells[column];
        let texts = cells.texts().filter(|text| !is_missing(text));
        let has_numbers = cells.has_numbers();
        if texts.clone().next().is_none() {
            return if has_numbers {
                Holds::Numbers(self.notation.unwrap_or_default())
            } else {
                Holds::Nothing
            };
        }
        if self.notation.is_none() {
            match Notation::find(texts.clone(), has_numbers, cells.has_points()) {
                number::Found::None => {}
                number::Found::One(notation) => return Holds::Numbers(notation),
                number::Found::Several(one, other) => return Holds::Unclear(Unclear::Numbers(one, other)),
            }
        } else if !has_numbers
            && texts.clone().all(|text| self.notation.and_then(|n| n.parse(text)).is_some())
        {
            return Holds::Numbers(self.notation.unwrap_or_default());
        }
        if has_numbers {
            return Holds::Mixture;
        }
        if texts.clone().all(|text| boolean(text).is_some()) {
            return Holds::Booleans;
        }
        match (DateOrder::find(texts), dates) {
            (date::Found::None, _) => Holds::Names,
            (date::Found::One(order), _) | (date::Found::Either, Some(order)) => Holds::Dates(order),
            (date::Found::Either, None) => Holds::Unclear(Unclear::Dates),
        }
    }

    /// The numbers of a column that holds such, in f64: truth values are 0 and 1, dates days since 1970-01-01.
    pub(super) fn numbers(&self, column: usize, holds: Holds) -> Numbers<'_> {
        let number = |text: &str| match holds {
            Holds::Numbers(notation) => notation.parse(text),
            Holds::Booleans => boolean(text).map(|is| f64::from(u8::from(is))),
            Holds::Dates(order) => order.days(text),
            _ => None,
        };
        let cells = &self.cells[column];
        let text = |text| if is_missing(text) { None } else { number(text) };
        Numbers { cells, texts: cells.texts().map(text).collect() }
    }

    /// A column of numbers and texts, with the first text.
    pub(super) fn mixture(&self, column: usize) -> Error {
        let cells = &self.cells[column];
        let is_text = |cell: Cell| matches!(cell, Cell::Text(place) if !is_missing(cells.text(place)));
        let row = cells.iter().position(is_text).unwrap_or(0);
        let count = cells.iter().filter(|cell| is_text(*cell)).count();
        let (at, cell, name) =
            (self.at(row, column), self.cell_text(row, column), shown(&self.header[column]));
        let others = if count > 1 { format!(" and {} other texts", count - 1) } else { String::new() };
        // Infinity, or a number beyond the range of f64.
        let kind = if cell.parse::<f64>().is_ok() { "finite number" } else { "number" };
        self.refuse(format!(
            "expected a {kind} {at}, as in other rows, got \"{}\"{others}; correct it, or list \"{name}\" in \
             categorical if it holds names",
            shown(&cell)
        ))
    }

    pub(super) fn unclear(&self, column: usize, unclear: Unclear) -> Error {
        let cells = &self.cells[column];
        let text = cells.texts().find(|text| !is_missing(text)).unwrap_or_default();
        let (name, text) = (shown(&self.header[column]), shown(text));
        self.refuse(match unclear {
            Unclear::Numbers(one, other) => format!(
                "expected numbers in column \"{name}\" that can be read in one way, got \"{text}\"; set {one} or {other}"
            ),
            Unclear::Dates => format!(
                "expected dates in column \"{name}\" that can be read in one way, got \"{text}\"; \
                 set dates = \"day-first\" or dates = \"month-first\""
            ),
        })
    }
}
