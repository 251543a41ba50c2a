//! The columns of a table as numbers and classes.

use super::{Table, is_missing};
use crate::array::Array;
use crate::data::{MAX_CLASSES, Targets};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The most names of one column: a cell of two bytes becomes a number of four bytes for each.
const MAX_NAMES: usize = 256;

/// What becomes of missing values in a feature: an empty cell, `?`, `-`, NA, N/A, NaN or null.
///
/// ```
/// # use neural::data::table::Table;
/// # let table = Table::parse("t.csv".as_ref(), b"a,c\n1,yes\n,no\n", None)?;
/// use neural::data::table::Missing;
/// let columns = |missing| table.features("c", &[], &[], missing, &[0, 1]);
/// assert!(columns(Missing::Refuse).and_then(|columns| table.encode(&columns)).is_err());
/// assert_eq!(table.encode(&columns(Missing::Constant(0.5))?)?.to_f64(), [1.0, 0.5]);
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Missing {
    /// An error.
    #[default]
    Refuse,
    /// The mean of the column over the training rows.
    Mean,
    /// This number.
    Constant(f64),
}

/// What a target is.
///
/// ```
/// # use neural::data::table::Table;
/// # let table = Table::parse("t.csv".as_ref(), b"a,c\n1,yes\n,no\n", None)?;
/// use neural::data::TargetKind;
/// assert_eq!(table.targets("c", Some(TargetKind::Class))?.names(), ["no", "yes"]);
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetKind {
    Class,
    Value,
}

/// A column of a table as the model's features see it: saved with the model, it encodes other rows alike.
///
/// ```
/// use neural::data::table::{Column, ColumnKind};
/// let column = Column { name: "size".into(), kind: ColumnKind::Number { fill: None } };
/// assert_eq!(column.features(), ["size"]);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    #[serde(flatten)]
    pub kind: ColumnKind,
}

/// What a column holds.
///
/// ```
/// use neural::data::table::{Column, ColumnKind};
/// let kind = ColumnKind::Category { names: vec!["sat".into(), "sun".into()], missing: false };
/// assert_eq!(Column { name: "day".into(), kind }.features(), ["day=sat", "day=sun"]);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum ColumnKind {
    /// One feature, the number. A missing one is `fill`, or an error where that is `None`.
    Number {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fill: Option<f64>,
    },
    /// A feature for each name: 1 where it is the cell's, else 0. A missing cell is 0 in all of them where
    /// `missing` allows it, else an error.
    Category { names: Vec<String>, missing: bool },
}

impl Column {
    /// The names of the column's features: its own, or `column=name` for each name.
    ///
    /// ```
    /// use neural::data::table::{Column, ColumnKind};
    /// let kind = ColumnKind::Number { fill: Some(0.0) };
    /// assert_eq!(Column { name: "age".into(), kind }.features(), ["age"]);
    /// ```
    pub fn features(&self) -> Vec<String> {
        match &self.kind {
            ColumnKind::Number { .. } => vec![self.name.clone()],
            ColumnKind::Category { names, .. } => {
                names.iter().map(|n| format!("{}={n}", self.name)).collect()
            }
        }
    }

    fn width(&self) -> usize {
        match &self.kind {
            ColumnKind::Number { .. } => 1,
            ColumnKind::Category { names, .. } => names.len(),
        }
    }
}

impl Table {
    /// Whether a column holds names: nothing in it reads as a number, not even with a decimal comma.
    fn is_names(&self, column: usize) -> bool {
        let mut values = self.cells(column).filter(|cell| !is_missing(cell)).peekable();
        let number =
            |cell: &str| cell.parse::<f64>().is_ok() || cell.replacen(',', ".", 1).parse::<f64>().is_ok();
        values.peek().is_some() && !values.any(number)
    }

    /// The columns to make features of: all but `target` and those in `ignore`, in the order of the header.
    ///
    /// A column holds categories when `categorical` names it or nothing in it is a number, else numbers.
    /// Categories come in the order of their names. `missing` is fitted to the training rows.
    ///
    /// ```
    /// use neural::data::table::{Missing, Table};
    /// let table = Table::parse("t.csv".as_ref(), b"id,size,kind\n1,2,a\n2,3,b\n", None)?;
    /// let columns = table.features("kind", &[], &["id".into()], Missing::Refuse, &[0, 1])?;
    /// assert_eq!(columns[0].name, "size");
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When a named column is not there, no column is left, a number is not one, a value is missing where that
    /// is refused, or a column holds more than 256 names.
    pub fn features(
        &self,
        target: &str,
        categorical: &[String],
        ignore: &[String],
        missing: Missing,
        train: &[u32],
    ) -> Result<Vec<Column>> {
        self.index(target)?;
        for name in categorical.iter().chain(ignore) {
            self.index(name)?;
            if name == target {
                let message =
                    format!("expected features in categorical and ignore, got the target \"{target}\"");
                return Err(self.refuse(message));
            }
        }
        let mut columns = Vec::new();
        for (i, name) in
            self.header.iter().enumerate().filter(|(_, name)| *name != target && !ignore.contains(name))
        {
            let kind = if categorical.contains(name) || self.is_names(i) {
                ColumnKind::Category { names: self.names(i)?, missing: missing != Missing::Refuse }
            } else {
                ColumnKind::Number { fill: self.fill(i, missing, train)? }
            };
            columns.push(Column { name: name.clone(), kind });
        }
        if columns.is_empty() {
            return Err(self.refuse(format!(
                "expected a column for a feature besides the target \"{target}\", got none"
            )));
        }
        Ok(columns)
    }

    fn names(&self, column: usize) -> Result<Vec<String>> {
        let mut names = BTreeSet::new();
        for cell in self.cells(column).filter(|cell| !is_missing(cell)) {
            names.insert(cell);
            if names.len() > MAX_NAMES {
                let name = &self.header[column];
                let message = format!(
                    "expected at most {MAX_NAMES} names in column \"{name}\", got more; list it in ignore"
                );
                return Err(self.refuse(message));
            }
        }
        Ok(names.into_iter().map(String::from).collect())
    }

    fn fill(&self, column: usize, missing: Missing, train: &[u32]) -> Result<Option<f64>> {
        match missing {
            Missing::Refuse => return Ok(None),
            Missing::Constant(value) if (value as f32).is_finite() => return Ok(Some(value)),
            Missing::Constant(value) => return Err(Error::value("missing", "a finite number of f32", value)),
            Missing::Mean => {}
        }
        let (mut sum, mut count) = (0.0, 0u32);
        for &row in train.iter().filter(|&&row| (row as usize) < self.rows()) {
            if let Some(number) = self.number(row as usize, column)? {
                sum += f64::from(number);
                count += 1;
            }
        }
        if count == 0 {
            let name = &self.header[column];
            return Err(
                self.refuse(format!("expected values in column \"{name}\" to take the mean of, got none"))
            );
        }
        Ok(Some(sum / f64::from(count)))
    }

    /// The features of every row, f32 `[rows, features]`. The table may hold other columns too.
    ///
    /// ```
    /// # use neural::data::table::Table;
    /// # let table = Table::parse("t.csv".as_ref(), b"a,c\n1,yes\n,no\n", None)?;
    /// use neural::data::table::Missing;
    /// let columns = table.features("c", &[], &[], Missing::Mean, &[0, 1])?;
    /// assert_eq!(table.encode(&columns)?.shape(), [2, 1]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When a column is not there, or a cell is not what its column holds.
    pub fn encode(&self, columns: &[Column]) -> Result<Array> {
        let indices = columns.iter().map(|column| self.index(&column.name)).collect::<Result<Vec<_>>>()?;
        let width: usize = columns.iter().map(Column::width).sum();
        let mut features = Vec::with_capacity(self.rows() * width);
        for row in 0..self.rows() {
            for (column, &i) in columns.iter().zip(&indices) {
                match &column.kind {
                    ColumnKind::Number { fill } => {
                        let number = self.number(row, i)?.or(fill.map(|fill| fill as f32));
                        features.push(number.ok_or_else(|| self.missing(row, i))?);
                    }
                    ColumnKind::Category { names, missing } => {
                        let cell = self.cell(row, i);
                        let name = names.iter().position(|name| name == cell);
                        if name.is_none() && !is_missing(cell) {
                            let (at, known) = (self.at(row, i), names.join(", "));
                            return Err(self.refuse(format!("expected one of {known} {at}, got \"{cell}\"")));
                        }
                        if name.is_none() && !missing {
                            return Err(self.missing(row, i));
                        }
                        features.extend((0..names.len()).map(|j| if Some(j) == name { 1f32 } else { 0.0 }));
                    }
                }
            }
        }
        Array::new(&[self.rows(), width], features)
    }

    /// The column `target`, f32 `[rows, 1]` or classes.
    ///
    /// Where `kind` does not tell, it is classes when it holds names or nothing but 0 and 1, else values.
    /// Classes come in the order of their names, or of their numbers if all are numbers.
    ///
    /// ```
    /// # use neural::data::table::Table;
    /// # let table = Table::parse("t.csv".as_ref(), b"a,c\n1,yes\n,no\n", None)?;
    /// assert_eq!(table.targets("c", None)?.labels(), Some(&[1, 0][..]));
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the column is not there, a value is missing or no finite number, or there are more than 65,536
    /// classes.
    pub fn targets(&self, target: &str, kind: Option<TargetKind>) -> Result<Targets> {
        let column = self.index(target)?;
        if let Some(row) = self.cells(column).position(is_missing) {
            let (at, cell) = (self.at(row, column), self.cell(row, column));
            return Err(self.refuse(format!("expected a target {at}, got \"{cell}\"; remove the row")));
        }
        let binary = || self.cells(column).all(|cell| matches!(cell.parse::<f32>(), Ok(0.0 | 1.0)));
        let kind = kind.unwrap_or_else(|| match self.is_names(column) || binary() {
            true => TargetKind::Class,
            false => TargetKind::Value,
        });
        if kind == TargetKind::Class {
            return self.classes(column);
        }
        let mut values = Vec::with_capacity(self.rows());
        for row in 0..self.rows() {
            values.extend(self.number(row, column)?);
        }
        Ok(Targets::Values(Array::new(&[self.rows(), 1], values)?))
    }

    fn classes(&self, column: usize) -> Result<Targets> {
        let distinct: BTreeSet<&str> = self.cells(column).collect();
        if distinct.len() > MAX_CLASSES {
            let name = &self.header[column];
            return Err(self.refuse(format!(
                "expected at most {MAX_CLASSES} classes in column \"{name}\", got {}; \
                 set target_kind = \"value\"",
                distinct.len()
            )));
        }
        let mut names: Vec<&str> = distinct.into_iter().collect();
        let numbers: Option<Vec<f64>> = names.iter().map(|name| name.parse().ok()).collect();
        if numbers.is_some_and(|numbers| numbers.iter().all(|n| n.is_finite())) {
            names.sort_by(|a, b| a.parse::<f64>().unwrap_or(0.0).total_cmp(&b.parse().unwrap_or(0.0)));
        }
        let index: BTreeMap<&str, i32> = names.iter().copied().zip(0..).collect();
        let labels = self.cells(column).map(|cell| index[cell]).collect();
        Ok(Targets::Classes { labels, names: names.into_iter().map(String::from).collect() })
    }
}
