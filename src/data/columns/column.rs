//! The columns of a table as the model's features see them.

use super::date::{Cycle, DateOrder};
use super::kind::PictureKind;
use super::notation::Notation;
use super::vocabulary::Vocabulary;
use serde::{Deserialize, Serialize};

/// How missing values of a feature are treated: an empty cell, `?`, `-`, NA, N/A, #N/A, `<NA>`, NaN, null or `\N`.
///
/// In a column of names they become a separate feature, if there are any among the training rows.
///
/// ```
/// # use neural::data::table::{Layout, Table};
/// # let table = Table::parse("t.csv".as_ref(), b"a,c\n1,yes\n,no\n", &Layout::default())?;
/// use neural::data::table::{Features, Missing};
/// let columns = |missing| Ok::<_, neural::Error>(table.features("c", &Features { missing, ..Features::default() }, &[0, 1])?.0);
/// assert!(table.encode(&columns(Missing::Refuse)?).is_err());
/// assert_eq!(table.encode(&columns(Missing::Constant(0.5))?)?.to_f64(), [1.0, 0.5]);
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Missing {
    /// An error.
    #[default]
    Refuse,
    /// The mean of the column over the training rows.
    Mean,
    /// Its median over the training rows.
    Median,
    /// This number.
    Constant(f64),
}

/// How names outside the training rows are treated.
///
/// ```
/// # use neural::data::table::{Layout, Table};
/// # let parse = |text: &str| Table::parse("t.csv".as_ref(), text.as_bytes(), &Layout::default());
/// use neural::data::table::{Features, Unknown};
/// let train = parse("day,y\nsat,1\nsun,2\n")?;
/// let columns = |unknown| Ok::<_, neural::Error>(train.features("y", &Features { unknown, ..Features::default() }, &[0, 1])?.0);
/// let other = parse("day,y\nsat,1\nmon,2\n")?;
/// assert_eq!(other.encode(&columns(Unknown::Unknown)?)?.to_f64(), [1.0, 0.0, 0.0, 0.0]);
/// assert!(other.encode(&columns(Unknown::Refuse)?).is_err());
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Unknown {
    /// It is none of the names: 0 in all of their features.
    #[default]
    Unknown,
    /// An error.
    Refuse,
}

/// The encoding of a table's column as features: saved with the model, it encodes other rows in the same way.
///
/// ```
/// use neural::data::columns::{Column, ColumnKind};
/// let kind = ColumnKind::Number { fill: None, offset: 0.0, notation: Default::default() };
/// assert_eq!(Column { name: "size".into(), kind }.features(), ["size"]);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Its heading in the table.
    pub name: String,
    /// Its kind, with everything that was fitted on the training rows.
    #[serde(flatten)]
    pub kind: ColumnKind,
}

/// The contents of a column.
///
/// A feature is f32, and most columns are rounded to that without harm. Of a column whose values differ far less than
/// they are large, such as seconds since 1970, f32 would leave few different values; so `offset`, the mean of such a
/// column over the training rows and 0 of all others, is subtracted in f64 before the feature is rounded. It is a part
/// of the column, not of the model's scaling, so that whoever encodes rows with these columns does the same.
///
/// ```
/// use neural::data::columns::{Column, ColumnKind};
/// let kind = ColumnKind::Category {
///     names: vec!["sat".into(), "sun".into()],
///     missing: false,
///     missing_is_feature: false,
///     unknown: Default::default(),
/// };
/// assert_eq!(Column { name: "day".into(), kind }.features(), ["day=sat", "day=sun"]);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ColumnKind {
    /// One feature, the number less `offset`. A missing one is `fill`, or an error where that is `None`.
    Number {
        /// Replaces a missing number.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fill: Option<f64>,
        /// Subtracted in f64 before rounding to f32.
        #[serde(default, skip_serializing_if = "is_zero")]
        offset: f64,
        /// Decimal and thousands separators.
        #[serde(default, skip_serializing_if = "is_plain")]
        notation: Notation,
    },
    /// One feature: 1 for true and yes, 0 for false and no, in any letter case; one half for any other text.
    Boolean {
        /// Replaces a missing value; an error if `None`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fill: Option<f64>,
        /// How other words are treated.
        #[serde(default)]
        unknown: Unknown,
    },
    /// The days since 1970-01-01 less `offset`, and for each cycle the sine and the cosine of 2π times the part of it
    /// that is over.
    Date {
        /// Replaces a missing date, in days since 1970-01-01; an error if `None`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fill: Option<f64>,
        /// Days that are subtracted in f64 before rounding to f32.
        #[serde(default, skip_serializing_if = "is_zero")]
        offset: f64,
        /// How ambiguous dates such as 03/04/2024 are read.
        order: DateOrder,
        /// The cycles that become features.
        cycles: Vec<Cycle>,
    },
    /// A feature for each name: 1 where it is the cell's, else 0. A missing cell is an error unless `missing` allows
    /// it; it then has its own feature after the names if `missing_is_feature` says so.
    Category {
        /// The names in the training rows, sorted.
        names: Vec<String>,
        /// Whether a cell may be missing.
        missing: bool,
        /// Whether missing cells have their own feature.
        #[serde(default, skip_serializing_if = "is_false")]
        missing_is_feature: bool,
        /// How other names are treated.
        #[serde(default)]
        unknown: Unknown,
    },
    /// A feature for each name: 1 where it is among the cell's names, which `separator` divides, else 0. A missing cell
    /// has none.
    List {
        /// The names in the training rows.
        names: Vec<String>,
        /// The separator of the names in a cell.
        separator: String,
        /// How other names are treated.
        #[serde(default)]
        unknown: Unknown,
    },
    /// No feature but a separate input: token ids, i32 `[rows, length]`.
    Text(Vocabulary),
    /// No feature but a separate input: the picture at the path in the cell, u8 `[rows, height, width, channels]`.
    Picture(PictureKind),
    /// No feature but a separate input: sequences of numbers, f32 `[rows, length, features]`.
    Sequence(Sequence),
}

/// How a column of sequences becomes a separate input, f32 `[rows, length, features]`: shorter ones are filled with
/// NaN, see [`pad`](crate::data::pad), and longer ones are cut.
///
/// ```
/// use neural::data::table::{Column, ColumnKind, Layout, Sequence, Table};
/// let table = Table::parse("t.csv".as_ref(), b"pulse,y\n61 64 70,1\n58 59,0\n", &Layout::default())?;
/// let kind = ColumnKind::Sequence(Sequence { length: 3, features: 1 });
/// let encoded = table.try_encode(&[Column { name: "pulse".into(), kind }])?;
/// assert_eq!(encoded.inputs[0].1.shape(), [2, 3, 1]);
/// assert!(encoded.inputs[0].1.to_f64()[5].is_nan());
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sequence {
    /// Positions of a row.
    pub length: usize,
    /// Numbers of a position.
    pub features: usize,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(number: &f64) -> bool {
    *number == 0.0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_plain(notation: &Notation) -> bool {
    notation.is_plain()
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_false(value: &bool) -> bool {
    !value
}

impl Column {
    /// The names of the column's features: its own, `column=name` for each name, and `column (year, sine)` and the like
    /// for the cycles of a date. Texts, pictures and sequences have none.
    ///
    /// ```
    /// use neural::data::columns::{Column, ColumnKind, Cycle, DateOrder};
    /// let kind = ColumnKind::Date { fill: None, offset: 0.0, order: DateOrder::DayFirst, cycles: vec![Cycle::Week] };
    /// let features = Column { name: "day".into(), kind }.features();
    /// assert_eq!(features, ["day", "day (week, sine)", "day (week, cosine)"]);
    /// ```
    pub fn features(&self) -> Vec<String> {
        let Self { name, kind } = self;
        match kind {
            ColumnKind::Number { .. } | ColumnKind::Boolean { .. } => vec![name.clone()],
            ColumnKind::Date { cycles, .. } => {
                let of = |cycle: &Cycle| {
                    ["sine", "cosine"].map(|part| format!("{name} ({}, {part})", cycle.name()))
                };
                std::iter::once(name.clone()).chain(cycles.iter().flat_map(of)).collect()
            }
            ColumnKind::Category { names, missing_is_feature, .. } => {
                let missing = missing_is_feature.then(|| format!("{name} (missing)"));
                names.iter().map(|one| format!("{name}={one}")).chain(missing).collect()
            }
            ColumnKind::List { names, .. } => names.iter().map(|one| format!("{name}={one}")).collect(),
            ColumnKind::Text(_) | ColumnKind::Picture(_) | ColumnKind::Sequence(_) => Vec::new(),
        }
    }

    pub(crate) fn width(&self) -> usize {
        match &self.kind {
            ColumnKind::Number { .. } | ColumnKind::Boolean { .. } => 1,
            ColumnKind::Date { cycles, .. } => 1 + 2 * cycles.len(),
            ColumnKind::Category { names, missing_is_feature, .. } => {
                names.len() + usize::from(*missing_is_feature)
            }
            ColumnKind::List { names, .. } => names.len(),
            ColumnKind::Text(_) | ColumnKind::Picture(_) | ColumnKind::Sequence(_) => 0,
        }
    }

    /// Whether the column is a separate input, and no feature.
    pub(crate) fn is_input(&self) -> bool {
        matches!(self.kind, ColumnKind::Text(_) | ColumnKind::Picture(_) | ColumnKind::Sequence(_))
    }
}
