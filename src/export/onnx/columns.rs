//! A table's columns as inputs: the encoding of `Table::encode` in ONNX's operators.

use super::builder::{Builder, Value, int, ints, tensor_info, texts};
use super::proto::{DataType, ValueInfo};
use crate::array::Array;
use crate::data::columns::{Column, ColumnKind, Cycle, MISSING, Unknown};
use crate::error::{Error, Result};
use std::f64::consts::TAU;

/// ONNX's operators of classical machine learning, which look texts up.
pub const TEXT_OPERATORS: &str = "ai.onnx.ml";

impl Builder<'_> {
    /// An input for each column, and the features `[batch, features]` in f32 that they make.
    ///
    /// A value that the table's encoding refuses becomes an index beyond the end of an array, which an engine refuses too:
    /// ONNX has no operator that fails, and NaN would become some class.
    pub fn columns(&mut self, columns: &[Column], is_tokens: bool) -> Result<(Vec<ValueInfo>, Value)> {
        let named: Vec<(&Column, String)> =
            columns.iter().map(|column| (column, self.unique(column.name.clone()))).collect();
        let input = |(column, name): &(&Column, String)| {
            let elements = if is_text(column) { DataType::String } else { DataType::Double };
            tensor_info(name, elements, &[1, 1])
        };
        let inputs = named.iter().map(input).collect();
        let is_number = |column: &Column| matches!(column.kind, ColumnKind::Number { .. });
        let runs = named.chunk_by(|(a, _), (b, _)| is_number(a) && is_number(b));
        let parts = runs.map(|run| self.run(run)).collect::<Result<Vec<_>>>()?;
        let mut features = self.joined(&parts);
        if columns.iter().any(|column| !is_text(column)) {
            features = self.checked(&features, is_tokens);
        }
        let width: usize = columns.iter().map(Column::width).sum();
        Ok((inputs, Value::new(&features, &[1, width])))
    }

    /// The features of some columns of numbers, or of one other column.
    fn run(&mut self, run: &[(&Column, String)]) -> Result<String> {
        let (column, name) = &run[0];
        match &column.kind {
            ColumnKind::Number { .. } => Ok(self.numbers(run)),
            ColumnKind::Boolean { fill, unknown } => {
                let words = |words: [&str; 4]| words.into_iter().flat_map(spellings).collect();
                let known = vec![
                    (words(["true", "yes", "1", "1.0"]), Some(vec![1.0])),
                    (words(["false", "no", "0", "0.0"]), Some(vec![0.0])),
                    (missing(), fill.map(|fill| vec![fill as f32])),
                ];
                self.looked_up(name, known, (*unknown == Unknown::Unknown).then(|| vec![0.5]))
            }
            ColumnKind::Category { names, missing: allowed, missing_is_feature, unknown } => {
                let width = column.width();
                let one = |place: usize| -> Vec<f32> {
                    (0..width).map(|i| f32::from(u8::from(i == place))).collect()
                };
                let mut known: Vec<_> =
                    names.iter().cloned().enumerate().map(|(i, name)| (vec![name], Some(one(i)))).collect();
                // Where missing cells have no feature, no place is theirs.
                let place = if *missing_is_feature { names.len() } else { width };
                known.push((missing(), allowed.then(|| one(place))));
                self.looked_up(name, known, (*unknown == Unknown::Unknown).then(|| vec![0.0; width]))
            }
            ColumnKind::Date { fill, offset, cycles, .. } => Ok(self.date(name, *fill, *offset, cycles)),
            ColumnKind::List { .. }
            | ColumnKind::Text(_)
            | ColumnKind::Picture(_)
            | ColumnKind::Sequence(_) => {
                Err(Error::value("names", "a column that ONNX has operators for", &column.name))
            }
        }
    }

    /// Columns of numbers, one feature each.
    fn numbers(&mut self, run: &[(&Column, String)]) -> String {
        let settings = |(column, _): &(&Column, String)| match column.kind {
            ColumnKind::Number { fill, offset, .. } => (fill, offset),
            _ => (None, 0.0),
        };
        let (fills, offsets): (Vec<Option<f64>>, Vec<f64>) = run.iter().map(settings).unzip();
        let names: Vec<String> = run.iter().map(|(_, name)| name.clone()).collect();
        let joined = self.joined(&names);
        self.shifted(joined, &fills, &offsets)
    }

    /// Numbers in f64 with missing ones filled, less their offsets, in f32.
    fn shifted(&mut self, mut x: String, fills: &[Option<f64>], offsets: &[f64]) -> String {
        x = self.filled(x, fills);
        if offsets.iter().any(|offset| *offset != 0.0) {
            let offsets = self.operand(&Array::vector(offsets));
            x = self.node("Sub", &[&x, &offsets], vec![]);
        }
        self.node("Cast", &[&x], vec![int("to", DataType::Float as i64)])
    }

    fn filled(&mut self, x: String, fills: &[Option<f64>]) -> String {
        if fills.iter().all(Option::is_none) {
            return x;
        }
        let fills: Vec<f64> = fills.iter().map(|fill| fill.unwrap_or(f64::NAN)).collect();
        let fills = self.operand(&Array::vector(&fills));
        let is_missing = self.node("IsNaN", &[&x], vec![]);
        self.node("Where", &[&is_missing, &fills, &x], vec![])
    }

    /// A column of texts: each text of `known` has its features, or is refused where these are `None`, as is any other
    /// text without features for `others`.
    fn looked_up(
        &mut self,
        input: &str,
        known: Vec<(Vec<String>, Option<Vec<f32>>)>,
        others: Option<Vec<f32>>,
    ) -> Result<String> {
        let beyond = known.len() as i64 + 1;
        let width = known.iter().find_map(|(_, features)| Some(features.as_ref()?.len())).unwrap_or(0);
        let (mut keys, mut places, mut table) = (Vec::new(), Vec::new(), Vec::new());
        let rows = known.len() + 1;
        let default = others.as_ref().map_or(beyond, |_| known.len() as i64);
        for (place, (words, features)) in known.into_iter().enumerate() {
            let place = features.as_ref().map_or(beyond, |_| place as i64);
            for word in words {
                // A name may look like a missing value: names come first.
                if !keys.contains(&word) {
                    keys.push(word);
                    places.push(place);
                }
            }
            table.extend(features.unwrap_or_else(|| vec![0.0; width]));
        }
        table.extend(others.unwrap_or_else(|| vec![0.0; width]));
        let table = self.operand(&Array::new(&[rows, width], table)?);

        let place = self.fresh("LabelEncoder");
        let attributes =
            vec![texts("keys_strings", &keys), ints("values_int64s", places), int("default_int64", default)];
        self.push_of(TEXT_OPERATORS, "LabelEncoder", &[input], vec![place.clone()], attributes);
        let axis = self.ints(&[1]);
        let place = self.node("Squeeze", &[&place, &axis], vec![]);
        Ok(self.node("Gather", &[&table, &place], vec![int("axis", 0)]))
    }

    /// Days since 1970-01-01, and the sine and the cosine of each cycle.
    fn date(&mut self, input: &str, fill: Option<f64>, offset: f64, cycles: &[Cycle]) -> String {
        let days = self.filled(input.to_string(), &[fill]);
        let mut parts = vec![self.shifted(days.clone(), &[None], &[offset])];
        for cycle in cycles {
            let over = match cycle {
                Cycle::Day => self.fraction(&days),
                Cycle::Week => {
                    let since_monday = self.with_number("Add", &days, 3.0);
                    let weeks = self.with_number("Div", &since_monday, 7.0);
                    self.fraction(&weeks)
                }
                Cycle::Year => self.part_of_year(&days),
            };
            let turn = self.with_number("Mul", &over, TAU);
            let turn = self.node("Cast", &[&turn], vec![int("to", DataType::Float as i64)]);
            parts.extend(["Sin", "Cos"].map(|op| self.node(op, &[&turn], vec![])));
        }
        self.joined(&parts)
    }

    fn fraction(&mut self, x: &str) -> String {
        let whole = self.node("Floor", &[x], vec![]);
        self.node("Sub", &[x, &whole], vec![])
    }

    /// How much of its year is over at a time in days since 1970-01-01.
    fn part_of_year(&mut self, days: &str) -> String {
        // A guess by the mean length of a year, which is the year or the one before it, and never later.
        let early = self.with_number("Sub", days, 2.0);
        let years = self.with_number("Div", &early, 365.242_5);
        let guess = self.node("Floor", &[&years], vec![]);
        let guess = self.with_number("Add", &guess, 1970.0);
        let next = self.with_number("Add", &guess, 1.0);
        let start_of_next = self.start_of(&next);
        let is_later = self.node("GreaterOrEqual", &[days, &start_of_next], vec![]);
        let year = self.node("Where", &[&is_later, &next, &guess], vec![]);
        let next = self.with_number("Add", &year, 1.0);
        let (start, end) = (self.start_of(&year), self.start_of(&next));
        let over = self.node("Sub", &[days, &start], vec![]);
        let length = self.node("Sub", &[&end, &start], vec![]);
        self.node("Div", &[&over, &length], vec![])
    }

    /// The days from 1970-01-01 to the first of a year: 365 (y - 1) + ⌊(y - 1) / 4⌋ - ⌊(y - 1) / 100⌋ + ⌊(y - 1) / 400⌋
    /// less the same for 1970.
    fn start_of(&mut self, year: &str) -> String {
        let before = self.with_number("Sub", year, 1.0);
        let common = self.with_number("Mul", &before, 365.0);
        let mut days = self.with_number("Sub", &common, 719_162.0);
        for (op, years) in [("Add", 4.0), ("Sub", 100.0), ("Add", 400.0)] {
            let all = self.with_number("Div", &before, years);
            let whole = self.node("Floor", &[&all], vec![]);
            days = self.node(op, &[&days, &whole], vec![]);
        }
        days
    }

    /// An operator with a number in f64 as its second input.
    fn with_number(&mut self, op: &str, x: &str, number: f64) -> String {
        let number = self.operand(&Array::scalar(number));
        self.node(op, &[x, &number], vec![])
    }

    /// Features in f32 as they are, refused where one is not finite, or of token ids not whole.
    fn checked(&mut self, features: &str, is_tokens: bool) -> String {
        let whole = if is_tokens { self.node("Floor", &[features], vec![]) } else { features.into() };
        // The difference is 0 where all is well, and NaN where it is not finite.
        let difference = self.node("Sub", &[features, &whole], vec![]);
        let zero = self.scalar(0.0);
        let is_good = self.node("Equal", &[&difference, &zero], vec![]);
        let is_bad = self.node("Not", &[&is_good], vec![]);
        let index = self.node("Cast", &[&is_bad], vec![int("to", DataType::Int64 as i64)]);
        let zero = self.operand(&Array::vector(&[0f32]));
        let zeros = self.node("Gather", &[&zero, &index], vec![int("axis", 0)]);
        self.node("Add", &[features, &zeros], vec![])
    }

    /// Columns `[batch, n]` side by side.
    fn joined(&mut self, parts: &[String]) -> String {
        match parts {
            [one] => one.clone(),
            several => self.node("Concat", several, vec![int("axis", 1)]),
        }
    }
}

/// Whether operators of ONNX make the features of a column.
pub fn has_operators(column: &Column) -> bool {
    !column.is_input() && !matches!(column.kind, ColumnKind::List { .. })
}

/// Whether a column comes in as texts. Numbers do not, nor dates, as no operator reads them.
fn is_text(column: &Column) -> bool {
    matches!(column.kind, ColumnKind::Boolean { .. } | ColumnKind::Category { .. })
}

/// A word as it is written in tables; ONNX compares letter by letter.
fn spellings(word: &str) -> [String; 3] {
    let title = word.chars().take(1).flat_map(char::to_uppercase).chain(word.chars().skip(1)).collect();
    [word.to_string(), title, word.to_uppercase()]
}

fn missing() -> Vec<String> {
    MISSING.into_iter().flat_map(spellings).chain(["NaN".to_string()]).collect()
}
