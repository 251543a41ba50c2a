//! Dates in tables.

use serde::{Deserialize, Serialize};

/// The order of day and month in dates such as 03/04/2024. Unambiguous forms (2024-04-03, 3.4.2024, 3 Apr 2024) are
/// read in either case.
///
/// ```
/// use neural::data::table::DateOrder;
/// let [day, month] = [DateOrder::DayFirst, DateOrder::MonthFirst].map(|order| order.days("03/04/1970"));
/// assert_eq!((day, month), (Some(92.0), Some(62.0)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum DateOrder {
    /// 03/04/2024 is the third of April.
    DayFirst,
    /// 03/04/2024 is the fourth of March.
    MonthFirst,
}

/// A cycle that dates go through. The sine and the cosine of the place in it are features, so that 31 December lies next to
/// 1 January.
///
/// ```
/// use neural::data::table::Cycle;
/// // 1970-01-01 was a Thursday, and a week begins on Monday.
/// assert_eq!(Cycle::Week.at(0.5), 3.5 / 7.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Cycle {
    /// From one 1 January to the next.
    Year,
    /// From Monday to Monday.
    Week,
    /// From midnight to midnight.
    Day,
}

impl Cycle {
    pub(super) fn name(self) -> &'static str {
        match self {
            Cycle::Year => "year",
            Cycle::Week => "week",
            Cycle::Day => "day",
        }
    }
}
