//! How the cells and numbers of a table are written.

use serde::{Deserialize, Serialize};

/// The character between two cells of a row.
///
/// ```
/// use neural::data::table::{Delimiter, Layout, Table};
/// let layout = Layout { delimiter: Some(Delimiter::Pipe), ..Layout::default() };
/// assert_eq!(Table::parse("t".as_ref(), b"a|b\n1|2\n", &layout)?.header(), ["a", "b"]);
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Delimiter {
    /// `,`
    Comma,
    /// `;`
    Semicolon,
    /// A tabulator.
    Tab,
    /// `|`
    Pipe,
    /// Any number of blanks and tabs. Here the first blank line ends the table, and notes may follow it.
    Whitespace,
}

/// The character before the fraction of a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Decimal {
    /// `1.5`
    #[default]
    #[serde(rename = ".")]
    Point,
    /// `1,5`
    #[serde(rename = ",")]
    Comma,
}

/// The character between groups of three digits.
///
/// ```
/// use neural::data::table::{Notation, Thousands};
/// let notation = Notation { thousands: Some(Thousands::Apostrophe), ..Notation::default() };
/// assert_eq!(notation.parse("1'234'567.5"), Some(1_234_567.5));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Thousands {
    /// `1,234`
    #[serde(rename = ",")]
    Comma,
    /// `1.234`
    #[serde(rename = ".")]
    Point,
    /// A blank, a no-break space or a narrow one.
    #[serde(rename = " ")]
    Space,
    /// `1'234`
    #[serde(rename = "'")]
    Apostrophe,
    /// `1_234`
    #[serde(rename = "_")]
    Underscore,
}

/// How the numbers of a column are written.
///
/// ```
/// use neural::data::table::{Decimal, Notation, Thousands};
/// let german = Notation { decimal: Decimal::Comma, thousands: Some(Thousands::Point), sign: None };
/// assert_eq!(german.parse("1.234,5"), Some(1234.5));
/// assert_eq!(german.parse("1.23"), None);
/// assert_eq!(Notation { sign: Some('%'), ..Notation::default() }.parse("12.5 %"), Some(12.5));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notation {
    /// The character before the fraction.
    #[serde(default, skip_serializing_if = "is_point")]
    pub decimal: Decimal,
    /// The character between groups of three digits, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thousands: Option<Thousands>,
    /// `%` or a currency sign, before or after every number, which changes nothing: 12 % is 12.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign: Option<char>,
}

impl Notation {
    /// Whether plain numbers are all there is.
    pub(in crate::data) fn is_plain(self) -> bool {
        self == Self::default()
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_point(decimal: &Decimal) -> bool {
    *decimal == Decimal::Point
}
