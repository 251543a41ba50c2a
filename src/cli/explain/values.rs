//! A column's values as features of the model, and as text for people.

use crate::data::table::{Column, ColumnKind};
use jiff::{ToSpan, civil};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Quantiles by the plotting positions of `scipy.stats.mstats.mquantiles`, of values in order, at least one.
fn quantile(sorted: &[f64], part: f64) -> f64 {
    let n = sorted.len();
    if n == 1 {
        return sorted[0];
    }
    let place = n as f64 * part + 0.4 + 0.2 * part;
    let below = place.floor().clamp(1.0, (n - 1) as f64);
    let above = (place - below).clamp(0.0, 1.0);
    (1.0 - above) * sorted[below as usize - 1] + above * sorted[below as usize]
}

/// The values of a column at which the model is evaluated, each as its features: all distinct values where they are
/// fewer than `most`; otherwise `most` numbers between the 5th and the 95th percentile if these differ, or a selection
/// of other values.
pub(super) fn grid(column: &Column, features: &[Vec<f32>], most: usize) -> Vec<Vec<f32>> {
    let key = |block: &Vec<f32>| block.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    let unique: BTreeMap<Vec<u32>, &Vec<f32>> = features.iter().map(|block| (key(block), block)).collect();
    let mut all: Vec<Vec<f32>> = match &column.kind {
        // The names that occur in the rows, in the model's order.
        ColumnKind::Category { .. } => (0..column.width())
            .map(|place| (0..column.width()).map(|i| f32::from(u8::from(i == place))).collect())
            .filter(|block| unique.contains_key(&key(block)))
            .collect(),
        _ => unique.into_values().cloned().collect(),
    };
    if !matches!(column.kind, ColumnKind::Category { .. }) {
        all.sort_by(|a, b| a[0].total_cmp(&b[0]));
    }
    if all.len() < most.max(2) {
        return all;
    }
    if let ColumnKind::Number { .. } = column.kind {
        let mut sorted: Vec<f64> = features.iter().map(|block| f64::from(block[0])).collect();
        sorted.sort_by(f64::total_cmp);
        let [low, high] = [0.05, 0.95].map(|part| quantile(&sorted, part));
        // Where nearly all rows have one value, a selection of the distinct values is taken instead.
        if low as f32 != high as f32 {
            let step = (high - low) / (most - 1).max(1) as f64;
            let mut grid: Vec<Vec<f32>> = (0..most).map(|i| vec![(low + step * i as f64) as f32]).collect();
            grid.dedup();
            return grid;
        }
    }
    (0..most).map(|i| all[i * (all.len() - 1) / (most - 1).max(1)].clone()).collect()
}

/// A column's value, read from its features.
pub(super) fn value(column: &Column, features: &[f32]) -> Value {
    let first = features.first().copied().unwrap_or(f32::NAN);
    match &column.kind {
        ColumnKind::Number { offset, .. } if *offset == 0.0 => json!(first),
        ColumnKind::Number { offset, .. } => json!(f64::from(first) + offset),
        ColumnKind::Boolean { .. } if first == 1.0 => json!("yes"),
        ColumnKind::Boolean { .. } if first == 0.0 => json!("no"),
        ColumnKind::Date { offset, .. } => json!(date(f64::from(first) + offset)),
        ColumnKind::Category { names, missing_is_feature, .. } => {
            let place = features.iter().position(|feature| *feature == 1.0);
            json!(match place.map(|place| names.get(place)) {
                Some(Some(name)) => name,
                Some(None) => "(missing)",
                None if *missing_is_feature => "(unknown)",
                None => "(missing or unknown)",
            })
        }
        ColumnKind::List { names, separator, .. } => {
            let there = names.iter().zip(features).filter(|(_, feature)| **feature == 1.0);
            json!(there.map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(separator))
        }
        _ => json!("(unknown)"),
    }
}

/// The value as text for people.
pub(super) fn shown(value: &Value) -> String {
    match value.as_f64() {
        Some(number) => {
            if number != 0.0 && number.abs() < 1e-3 {
                return format!("{number:.3e}");
            }
            // Five figures.
            let decimals = (4 - number.abs().max(1.0).log10() as i32).max(0) as usize;
            let text = format!("{number:.decimals$}");
            if decimals == 0 { text } else { text.trim_end_matches('0').trim_end_matches('.').to_string() }
        }
        None => value.as_str().unwrap_or_default().to_string(),
    }
}

/// Days since 1970-01-01 as a date, with a time where there is one.
fn date(days: f64) -> String {
    let seconds = (days * 86400.0).round();
    let start = civil::date(1970, 1, 1).at(0, 0, 0, 0);
    match start.checked_add((seconds as i64).seconds()) {
        Ok(time) if time.time() == civil::Time::midnight() => time.date().to_string(),
        Ok(time) => time.to_string(),
        Err(_) => format!("{days} days"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::table::Notation;

    #[test]
    fn quantiles_are_scipys() {
        // scipy.stats.mstats.mquantiles([1, 2, 4, 8, 16], [0.05, 0.5, 0.95])
        let sorted = [1.0, 2.0, 4.0, 8.0, 16.0];
        let found = [0.05, 0.5, 0.95].map(|part| quantile(&sorted, part));
        assert!((found[0] - 1.0).abs() < 1e-12 && (found[1] - 4.0).abs() < 1e-12, "{found:?}");
        assert!((found[2] - 16.0).abs() < 1e-12, "{found:?}");
        // ... ([0, 10, 20, …, 190], [0.05, 0.95])
        let many: Vec<f64> = (0..20).map(|i| f64::from(i) * 10.0).collect();
        assert!((quantile(&many, 0.05) - 4.1).abs() < 1e-9, "{}", quantile(&many, 0.05));
        assert!((quantile(&many, 0.95) - 185.9).abs() < 1e-9, "{}", quantile(&many, 0.95));
    }

    #[test]
    fn a_grid_of_numbers_has_no_value_twice() {
        let kind = ColumnKind::Number { fill: None, offset: 0.0, notation: Notation::default() };
        let column = Column { name: "rain".into(), kind };
        let grid = |features: &[f32], most| -> Vec<f32> {
            let blocks: Vec<Vec<f32>> = features.iter().map(|&value| vec![value]).collect();
            grid(&column, &blocks, most).concat()
        };
        // Between the percentiles 4.1 and 185.9, see below.
        let many: Vec<f32> = (0..20).map(|i| i as f32 * 10.0).collect();
        assert_eq!(grid(&many, 3), [4.1, 95.0, 185.9]);
        // 198 of 206 rows are 0, so that both percentiles are: some of all values then, the ends among them.
        let mut skewed = vec![0.0; 198];
        skewed.extend((1..=8).map(|i| i as f32));
        assert_eq!(grid(&skewed, 5), [0.0, 2.0, 4.0, 6.0, 8.0]);
        // Percentiles that are neighbours as f32.
        let next = f32::from_bits(1f32.to_bits() + 1);
        let mut near = [vec![1.0; 50], vec![next; 50]].concat();
        near.extend([0.0, 2.0, 3.0]);
        assert_eq!(grid(&near, 5), [1.0, next]);
    }

    #[test]
    fn values_read_as_they_were_written() {
        assert_eq!(date(19_783.0), "2024-03-01");
        assert_eq!(date(0.5), "1970-01-01T12:00:00");
        let number = |value: f32| shown(&json!(value));
        assert_eq!(
            [5.1, 0.0, 12.0, -0.25, 1940.0, 123_456.0].map(number),
            ["5.1", "0", "12", "-0.25", "1940", "123456"]
        );
    }
}
