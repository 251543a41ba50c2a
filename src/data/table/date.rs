//! Dates and times of day in the formats of people and programs.

use crate::data::columns::{Cycle, DateOrder};
use jiff::civil::{Date, DateTime, Time};
use jiff::fmt::strtime;

/// Seconds of a day.
const DAY: f64 = 86_400.0;

/// The texts of a column as dates.
pub(super) enum Found {
    /// Some are none.
    None,
    One(DateOrder),
    /// All are dates in either order, but not the same dates.
    Either,
}

/// Unambiguous dates.
const CLEAR: [&str; 8] =
    ["%d.%m.%Y", "%Y/%m/%d", "%d %b %Y", "%d-%b-%Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%d. %B %Y"];
const DAY_FIRST: [&str; 2] = ["%d/%m/%Y", "%d-%m-%Y"];
const MONTH_FIRST: [&str; 2] = ["%m/%d/%Y", "%m-%d-%Y"];
const TIMES: [&str; 5] = ["", " %H:%M:%S%.f", " %H:%M", " %I:%M:%S %p", " %I:%M %p"];

impl DateOrder {
    /// Days since 1970-01-01, with the time of day as the fraction. A time of day alone is on 1970-01-01; a date with
    /// an offset from UTC, or with the `Z` of UTC, is converted to UTC.
    ///
    /// ```
    /// use neural::data::table::DateOrder;
    /// let days = |text| DateOrder::DayFirst.days(text);
    /// assert_eq!(days("1970-01-02T06:00:00Z"), Some(1.25));
    /// assert_eq!(days("1970-01-02 08:00+02:00"), Some(1.25));
    /// assert_eq!((days("2.1.1970 06:00"), days("06:00")), (Some(1.25), Some(0.25)));
    /// assert_eq!((days("31/02/2024"), days("Monday")), (None, None));
    /// ```
    pub fn days(self, text: &str) -> Option<f64> {
        let text = text.trim();
        // The shortest are 1:30 and 1.1.2024, the longest has nanoseconds and an offset.
        if !(4..=40).contains(&text.len()) || !text.bytes().any(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let first = text.as_bytes()[0];
        if first.is_ascii_digit() && text.as_bytes().get(4) == Some(&b'-') {
            return iso(text);
        }
        if let Some(time) = clock(text) {
            return Some(days(Date::constant(1970, 1, 1).to_datetime(time)));
        }
        let ordered = if self == DateOrder::DayFirst { DAY_FIRST } else { MONTH_FIRST };
        CLEAR
            .iter()
            .chain(&ordered)
            .find_map(|date| TIMES.iter().find_map(|time| written(&format!("{date}{time}"), text)))
    }

    /// How the dates that `texts` are have to be read.
    pub(super) fn find<'a>(texts: impl Iterator<Item = &'a str> + Clone) -> Found {
        let read = |order: DateOrder| texts.clone().map(|text| order.days(text)).collect::<Option<Vec<_>>>();
        match (read(DateOrder::DayFirst), read(DateOrder::MonthFirst)) {
            (None, None) => Found::None,
            (Some(_), None) => Found::One(DateOrder::DayFirst),
            (None, Some(_)) => Found::One(DateOrder::MonthFirst),
            (Some(day), Some(month)) if day == month => Found::One(DateOrder::DayFirst),
            (Some(_), Some(_)) => Found::Either,
        }
    }
}

impl Cycle {
    pub(super) const ALL: [Self; 3] = [Self::Year, Self::Week, Self::Day];

    /// The part of the cycle that is over at a time in days since 1970-01-01, from 0 to 1. A year begins on the 1st of
    /// January, a week on Monday, a day at midnight.
    pub fn at(self, days: f64) -> f64 {
        match self {
            Cycle::Day => days.rem_euclid(1.0),
            // 1970-01-01 was a Thursday.
            Cycle::Week => (days + 3.0).rem_euclid(7.0) / 7.0,
            Cycle::Year => {
                let (start, length) = year(days);
                (days - start) / length
            }
        }
    }
}

/// The first day of the year in which a time lies, in days since 1970-01-01, and the year's length.
fn year(days: f64) -> (f64, f64) {
    let whole = (days.floor() as i64).clamp(-4_000_000, 2_900_000);
    let date = Date::constant(1970, 1, 1).saturating_add(jiff::Span::new().days(whole));
    let first = date.first_of_year();
    (whole as f64 - f64::from(date.day_of_year() - 1), f64::from(first.days_in_year()))
}

fn days(date: DateTime) -> f64 {
    let epoch = Date::constant(1970, 1, 1);
    let whole = date.date().duration_since(epoch).as_hours() / 24;
    let time = date.time();
    let seconds = f64::from(time.hour()) * 3600.0
        + f64::from(time.minute()) * 60.0
        + f64::from(time.second())
        + f64::from(time.subsec_nanosecond()) * 1e-9;
    whole as f64 + seconds / DAY
}

/// ISO 8601, with a `T` or a blank before the time, as pandas, databases and spreadsheets write it.
fn iso(text: &str) -> Option<f64> {
    // Moments first: a date and time without a zone would be read past an offset.
    match text.parse::<jiff::Timestamp>() {
        Ok(moment) => Some(moment.as_nanosecond() as f64 * 1e-9 / DAY),
        Err(_) => text.parse::<DateTime>().ok().map(days),
    }
}

/// Hours and minutes, and seconds where there are any.
fn clock(text: &str) -> Option<Time> {
    let is_clock =
        text.len() <= 18 && text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.'));
    if !is_clock || !text.contains(':') {
        return None;
    }
    TIMES[1..3].iter().find_map(|form| strtime::parse(form.trim_start(), text).ok()?.to_time().ok())
}

fn written(form: &str, text: &str) -> Option<f64> {
    let parsed = strtime::parse(form, text).ok()?;
    let time = parsed.to_time().unwrap_or(Time::midnight());
    // `12/13/20` determines neither its year nor that it is a date.
    let date = parsed.to_date().ok().filter(|date| date.year() >= 1000)?;
    Some(days(date.to_datetime(time)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values: `(datetime(…) - datetime(1970, 1, 1)) / timedelta(days=1)` of Python.
    #[test]
    fn forms_of_dates() {
        let at = |text: &str| DateOrder::MonthFirst.days(text);
        let noon = Some(19_754.5);
        for text in [
            "2024-02-01T12:00:00",
            "2024-02-01 12:00",
            "2024-02-01T12:00:00.000Z",
            "2024-02-01 13:30:00+01:30",
            "2024/02/01 12:00:00",
            "01.02.2024 12:00",
            "1 Feb 2024 12:00",
            "01-Feb-2024 12:00:00",
            "Feb 1, 2024 12:00 PM",
            "February 01, 2024 12:00:00 pm",
            "2/1/2024 12:00",
            "02/01/2024 12:00:00 PM",
        ] {
            assert_eq!(at(text), noon, "{text}");
        }
        assert_eq!(at("1969-12-31"), Some(-1.0));
        assert_eq!(DateOrder::DayFirst.days("31/12/1969"), Some(-1.0));
        assert_eq!(at("13:30"), Some(0.5625));
        assert!(at("13:30:36").is_some_and(|days| (days - 48_636.0 / 86_400.0).abs() < 1e-15));
        for text in
            ["2024-02-30", "2024-13-01", "12/13/20", "1.5", "2024", "20240201", "a1b2", "12:60", "3-4", "1/2"]
        {
            assert_eq!(at(text), None, "{text}");
        }
    }

    #[test]
    fn the_order_is_told_by_a_date_that_has_one() {
        let find = |texts: &[&str]| match DateOrder::find(texts.iter().copied()) {
            Found::None => "none",
            Found::One(DateOrder::DayFirst) => "day",
            Found::One(DateOrder::MonthFirst) => "month",
            Found::Either => "either",
        };
        assert_eq!(find(&["01/02/2024", "13/02/2024"]), "day");
        assert_eq!(find(&["01/02/2024", "02/13/2024"]), "month");
        assert_eq!(find(&["01/02/2024", "03/04/2024"]), "either");
        assert_eq!(find(&["13/02/2024", "02/13/2024"]), "none");
        assert_eq!(find(&["2024-01-02", "05.04.2024"]), "day");
    }

    #[test]
    fn cycles_end_where_they_begin() {
        // A leap year has 366 days; 2024-12-31 is the last of them.
        let (first, last) = (19_723.0, 20_088.0);
        assert_eq!((Cycle::Year.at(first), Cycle::Year.at(last)), (0.0, 365.0 / 366.0));
        assert_eq!((Cycle::Year.at(last + 1.0), Cycle::Year.at(-1.0)), (0.0, 364.0 / 365.0));
        // 2024-01-01 was a Monday.
        assert_eq!((Cycle::Week.at(first), Cycle::Week.at(first + 6.5)), (0.0, 6.5 / 7.0));
        for days in [f64::MAX, f64::MIN, 1e300] {
            assert!(!Cycle::Year.at(days).is_nan());
        }
    }
}
