//! Arrow's arrays as the cells of a column.

use super::cells::Cells;
use super::{Reading, shown};
use crate::error::{Error, Result};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Date64Type, Decimal128Type, Float16Type, Float32Type, Float64Type,
    Int8Type, Int16Type, Int32Type, Int64Type, Time32MillisecondType, Time32SecondType,
    Time64MicrosecondType, Time64NanosecondType, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, TimeUnit};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use std::path::Path;

/// A second in nanoseconds.
const SECOND: i64 = 1_000_000_000;

/// Adds an array to the cells of the column `name`: numbers as numbers, texts as texts, dates and times in text form,
/// and an empty text for a missing value.
pub(super) fn push(
    path: &Path,
    name: &str,
    array: &ArrayRef,
    reading: Reading,
    cells: &mut Cells,
) -> Result<()> {
    let mut to = To { array, reading, cells };
    match array.data_type() {
        DataType::Null => (0..array.len()).for_each(|_| to.cells.push_text("")),
        DataType::Int8 => to.numbers::<Int8Type>(f64::from),
        DataType::Int16 => to.numbers::<Int16Type>(f64::from),
        DataType::Int32 => to.numbers::<Int32Type>(f64::from),
        DataType::Int64 => to.numbers::<Int64Type>(|number| number as f64),
        DataType::UInt8 => to.numbers::<UInt8Type>(f64::from),
        DataType::UInt16 => to.numbers::<UInt16Type>(f64::from),
        DataType::UInt32 => to.numbers::<UInt32Type>(f64::from),
        DataType::UInt64 => to.numbers::<UInt64Type>(|number| number as f64),
        DataType::Float16 => to.numbers::<Float16Type>(f64::from),
        DataType::Float32 => to.numbers::<Float32Type>(f64::from),
        DataType::Float64 => to.numbers::<Float64Type>(|number| number),
        DataType::Decimal128(_, scale) => {
            let unit = 10f64.powi(i32::from(*scale));
            to.numbers::<Decimal128Type>(|number| number as f64 / unit);
        }
        DataType::Boolean => {
            let array = array.as_boolean();
            for truth in array {
                to.cells.push_text(truth.map_or("", |truth| if truth { "true" } else { "false" }));
            }
        }
        DataType::Utf8 => array.as_string::<i32>().iter().for_each(|text| to.text(text)),
        DataType::LargeUtf8 => array.as_string::<i64>().iter().for_each(|text| to.text(text)),
        DataType::Utf8View => array.as_string_view().iter().for_each(|text| to.text(text)),
        DataType::Date32 => to.texts::<Date32Type>(|days| date(days.into())),
        DataType::Date64 => to.texts::<Date64Type>(|milliseconds| date(milliseconds.div_euclid(86_400_000))),
        DataType::Timestamp(unit, zone) => {
            let is_utc = zone.is_some();
            match unit {
                TimeUnit::Second => to.texts::<TimestampSecondType>(|n| time(n, SECOND, is_utc)),
                TimeUnit::Millisecond => {
                    to.texts::<TimestampMillisecondType>(|n| time(n, SECOND / 1000, is_utc));
                }
                TimeUnit::Microsecond => to.texts::<TimestampMicrosecondType>(|n| time(n, 1000, is_utc)),
                TimeUnit::Nanosecond => to.texts::<TimestampNanosecondType>(|n| time(n, 1, is_utc)),
            }
        }
        DataType::Time32(TimeUnit::Second) => to.texts::<Time32SecondType>(|n| clock(n.into(), SECOND)),
        DataType::Time32(_) => to.texts::<Time32MillisecondType>(|n| clock(n.into(), SECOND / 1000)),
        DataType::Time64(TimeUnit::Microsecond) => to.texts::<Time64MicrosecondType>(|n| clock(n, 1000)),
        DataType::Time64(_) => to.texts::<Time64NanosecondType>(|n| clock(n, 1)),
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            let mut names = Cells::default();
            push(path, name, dictionary.values(), Reading::Names, &mut names)?;
            let keys = if names.len() == 0 { Vec::new() } else { dictionary.normalized_keys() };
            for row in 0..array.len() {
                let text = keys.get(row).filter(|_| array.is_valid(row)).map(|&key| match names.get(key) {
                    super::cells::Cell::Text(place) => names.text(place),
                    super::cells::Cell::Number(_) => "",
                });
                to.cells.push_text(text.unwrap_or(""));
            }
        }
        other => {
            let message = format!(
                "expected numbers, texts, truth values or dates in column \"{}\", got {}; list it in ignore",
                shown(name),
                other.to_string().to_lowercase()
            );
            return Err(Error::format(path, message));
        }
    }
    Ok(())
}

/// An array and the cells that its values go to.
struct To<'a> {
    array: &'a ArrayRef,
    reading: Reading,
    cells: &'a mut Cells,
}

impl To<'_> {
    fn numbers<T: ArrowPrimitiveType>(&mut self, number: impl Fn(T::Native) -> f64) {
        let array = self.array.as_primitive::<T>();
        // Most columns are plain numbers, without a gap.
        if array.null_count() == 0 && !self.reading.is_text() {
            let numbers = || array.values().iter().map(|value| number(*value));
            if numbers().all(f64::is_finite) {
                return self.cells.push_numbers(numbers(), !T::DATA_TYPE.is_integer());
            }
        }
        for value in array {
            match value.map(|value| (value, number(value))) {
                None => self.cells.push_text(""),
                Some((_, number)) if number.is_nan() => self.cells.push_text(""),
                Some((value, _)) if self.reading.is_text() && T::DATA_TYPE.is_integer() => {
                    self.cells.push_text(&format!("{value:?}"));
                }
                Some((_, number)) if self.reading.is_text() || number.is_infinite() => {
                    self.cells.push_text(&number.to_string());
                }
                Some((_, number)) => self.cells.push_number(number, !T::DATA_TYPE.is_integer()),
            }
        }
    }

    /// Values as texts, of which equal ones are parsed once. A value without a text is missing.
    fn texts<T: ArrowPrimitiveType>(&mut self, text: impl Fn(T::Native) -> Option<String>) {
        for value in self.array.as_primitive::<T>() {
            self.cells.push_text(&value.and_then(&text).unwrap_or_default());
        }
    }

    fn text(&mut self, text: Option<&str>) {
        self.cells.push_text(text.unwrap_or("").trim());
    }
}

fn date(days: i64) -> Option<String> {
    let span = Span::new().try_days(days).ok()?;
    Date::constant(1970, 1, 1).checked_add(span).ok().map(|date| date.to_string())
}

/// The moment `count` units of `nanoseconds` after 1970-01-01T00:00, with a `Z` if `is_utc`.
fn time(count: i64, nanoseconds: i64, is_utc: bool) -> Option<String> {
    let moment = Timestamp::from_nanosecond(i128::from(count) * i128::from(nanoseconds)).ok()?;
    Some(if is_utc { moment.to_string() } else { TimeZone::UTC.to_datetime(moment).to_string() })
}

/// The time of day `count` units of `nanoseconds` after midnight.
fn clock(count: i64, nanoseconds: i64) -> Option<String> {
    let moment = Timestamp::from_nanosecond(i128::from(count) * i128::from(nanoseconds)).ok()?;
    Some(TimeZone::UTC.to_datetime(moment).time().to_string())
}
