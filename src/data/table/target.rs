//! The target column.

use super::holds::{Holds, Numbers};
use super::{Table, is_missing, shown};
use crate::array::Array;
use crate::data::{MAX_CLASSES, TargetKind, Targets, Task};
use crate::error::Result;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// More classes than this in half of the rows are no classes, unless the recipe says so.
const FEW_CLASSES: usize = 20;

impl Table {
    /// The column `target`, f64 `[rows, 1]` or classes.
    ///
    /// Without a `kind`, `task` decides: for classes and labels whole numbers and names are classes, for values all are
    /// values. Without a task it holds classes when it has names or only 0 and 1, else values. Classes are sorted by
    /// name, or by number if all are numbers. Numbers are named in plain form, 3 for 3.0, unless they are codes such as
    /// 007.
    ///
    /// ```
    /// # use neural::data::table::{Layout, Table};
    /// use neural::data::Task;
    /// let table = Table::parse("t.csv".as_ref(), b"a,c\n1,7\n2,3.0\n3,3\n", &Layout::default())?;
    /// let targets = table.targets("c", None, Some(Task::Classes))?;
    /// assert_eq!((targets.labels(), targets.names()), (Some(&[1, 0, 0][..]), &["3".to_string(), "7".into()][..]));
    /// assert_eq!(table.targets("c", None, None)?.labels(), None);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the column is missing, a value is missing or no finite number, the task is classes and numbers have
    /// fractions or are almost all different, or there are more than 65,536 classes.
    pub fn targets(&self, target: &str, kind: Option<TargetKind>, task: Option<Task>) -> Result<Targets> {
        let column = self.index(target)?;
        let cells = &self.cells[column];
        if let Some(text) = cells.texts().find(|text| is_missing(text)) {
            let row = (0..self.rows).find(|&row| self.cell_text(row, column) == *text).unwrap_or(0);
            let at = self.at(row, column);
            return Err(self.refuse(format!("expected a target {at}, got \"{text}\"; remove the row")));
        }
        let holds = self.holds(column, None);
        let numbers = matches!(holds, Holds::Numbers(_)).then(|| self.numbers(column, holds));
        let all = |is: &dyn Fn(f64) -> bool| {
            numbers.as_ref().is_none_or(|numbers| (0..self.rows).all(|row| numbers.get(row).is_some_and(is)))
        };
        let is_told = kind.is_some() || task.is_none() || numbers.is_none();
        let kind = match (kind, task) {
            (Some(kind), _) => kind,
            (None, Some(Task::Values)) => TargetKind::Value,
            (None, Some(Task::Classes)) => {
                let fraction = |numbers: &Numbers| {
                    (0..self.rows).find(|&row| numbers.get(row).is_some_and(|number| number.fract() != 0.0))
                };
                if let Some(row) = numbers.as_ref().and_then(fraction) {
                    let (at, cell) = (self.at(row, column), self.cell_text(row, column));
                    return Err(self.refuse(format!(
                        "expected a class {at}, as the loss is one of classes, got the number {cell}; {}",
                        advice()
                    )));
                }
                TargetKind::Class
            }
            (None, Some(Task::Labels)) if all(&|number| number.fract() == 0.0) => TargetKind::Class,
            (None, None) if all(&|number| number == 0.0 || number == 1.0) => TargetKind::Class,
            (None, Some(Task::Labels) | None) => TargetKind::Value,
        };
        if kind == TargetKind::Class {
            let targets = self.classes(column, numbers.as_ref());
            let (classes, name) = (targets.names().len(), shown(target));
            if !is_told && classes > FEW_CLASSES && classes * 2 > self.rows {
                return Err(self.refuse(format!(
                    "expected classes in column \"{name}\", as the loss is one of classes, got {classes} different numbers in \
                     {} rows; {}", self.rows, advice()
                )));
            }
            if classes > MAX_CLASSES {
                return Err(self.refuse(format!(
                    "expected at most {MAX_CLASSES} classes in column \"{name}\", got {classes}; set target_kind = \"value\""
                )));
            }
            return Ok(targets);
        }
        let Some(numbers) = numbers else { return Err(self.no_number(column, holds)) };
        let values = (0..self.rows).filter_map(|row| numbers.get(row)).collect();
        Ok(Targets::Values(Array::new::<f64>(&[self.rows, 1], values)?))
    }

    fn no_number(&self, column: usize, holds: Holds) -> crate::Error {
        match holds {
            Holds::Unclear(unclear) => self.unclear(column, unclear),
            Holds::Mixture => self.mixture(column),
            _ => {
                let (at, cell) = (self.at(0, column), self.cell_text(0, column));
                self.refuse(format!(
                    "expected a number {at}, as the target is a value, got \"{}\"; set target_kind = \"class\" and a loss \
                     of classes such as softmax-cross-entropy if it holds names",
                    shown(&cell)
                ))
            }
        }
    }

    fn classes(&self, column: usize, numbers: Option<&Numbers>) -> Targets {
        let cells = &self.cells[column];
        let is_code = |text: &str| {
            text.len() > 1 && text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        if let Some(numbers) = numbers.filter(|_| !cells.texts().any(is_code)) {
            // -0 is 0.
            let key = |row| (numbers.get(row).unwrap_or(0.0) + 0.0).to_bits();
            let distinct: BTreeSet<u64> = (0..self.rows).map(key).collect();
            let mut distinct: Vec<u64> = distinct.into_iter().collect();
            distinct.sort_by(|a, b| f64::from_bits(*a).total_cmp(&f64::from_bits(*b)));
            let index: BTreeMap<u64, i32> = distinct.iter().copied().zip(0..).collect();
            let labels = (0..self.rows).map(|row| index[&key(row)]).collect();
            let names = distinct.into_iter().map(|bits| f64::from_bits(bits).to_string()).collect();
            return Targets::Classes { labels, names };
        }
        let distinct: BTreeSet<Cow<str>> = (0..self.rows).map(|row| self.cell_text(row, column)).collect();
        let index: BTreeMap<&str, i32> = distinct.iter().map(|name| &**name).zip(0..).collect();
        let labels = (0..self.rows).map(|row| index[&*self.cell_text(row, column)]).collect();
        Targets::Classes { labels, names: distinct.iter().map(|name| name.clone().into_owned()).collect() }
    }
}

fn advice() -> &'static str {
    "set target_kind = \"class\" if every number is a class, or take a loss of values such as mean-squared-error"
}
