//! The report of `neural data`, in words and as JSON.

use super::range::Range;
use crate::array::Array;
use crate::cli::splits::Told;
use crate::cli::text;
use crate::data::table::{ColumnKind, Kind, Sequence, Summary, Table, shown};
use crate::data::{Dataset, Scale, Scaling, Source};
use crate::error::Result;
use crate::nn::Network;
use serde_json::{Map, Value, json};
use std::io::{self, Write};

/// Classes up to here are written under each other.
const MOST_CLASSES: usize = 50;

/// How many different values a column has, as far as they are counted.
pub(in crate::cli) fn distinct(column: &Summary) -> String {
    format!("{}{}", if column.is_more { "over " } else { "" }, column.distinct)
}

/// The range of a column's numbers or dates, or some of its texts.
pub(in crate::cli) fn values(column: &Summary) -> String {
    match range(column) {
        Some(range) => range.to_string(),
        None if column.holds == "dates" => column.texts.join(" to "),
        None => column.texts.join(", ") + if column.distinct > column.texts.len() { ", …" } else { "" },
    }
}

fn range(column: &Summary) -> Option<Range> {
    column.numbers.map(|[least, mean, greatest]| Range { least, mean, greatest, not_finite: 0 })
}

/// A report for people and for programs.
#[derive(Default)]
pub(super) struct Shown {
    text: String,
    object: Map<String, Value>,
    pub has_tensors: bool,
    pub is_json: bool,
}

impl Shown {
    pub fn new(is_json: bool) -> Self {
        Self { is_json, ..Self::default() }
    }

    pub fn say(&mut self, key: &str, value: Value, line: String) {
        self.object.insert(key.into(), value);
        self.text.push_str(&line);
        self.text.push('\n');
    }

    pub fn print(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.is_json {
            writeln!(out, "{}", Value::Object(self.object.clone()))
        } else {
            out.write_all(self.text.as_bytes())
        }
    }

    /// Adds the contents of each column of a table, and its kind in the source.
    pub fn columns(&mut self, table: &Table, source: &Source) -> Result<()> {
        let mut lines =
            vec![["column", "holds", "missing", "different", "values"].map(String::from).to_vec()];
        let mut list = Vec::new();
        for column in table.summaries()? {
            let (distinct, values) = (distinct(&column), values(&column));
            let value = match range(&column) {
                Some(range) => range.to_json(),
                None if column.holds == "dates" => {
                    json!({ "first": column.texts[0], "last": column.texts[1] })
                }
                None => json!({ "names": column.distinct }),
            };
            let name = shown(&column.name).into_owned();
            let kind = source.columns.get(&column.name).map(Kind::kind);
            let holds = kind.map_or_else(|| column.holds.to_string(), |kind| format!("{kind}, as set"));
            lines.push(vec![name, holds, column.missing.to_string(), distinct, values]);
            list.push(json!({
                "name": column.name, "holds": column.holds, "missing": column.missing, "distinct": column.distinct,
                "values": value, "kind": kind,
            }));
        }
        self.object.insert("columns".into(), json!(list));
        self.text.push_str(&format!("{} rows\n\n{}\n", table.rows(), text::words(&lines)));
        Ok(())
    }

    pub fn tensors(&mut self, tensors: &[(String, Array)]) {
        let mut lines = vec![["tensor", "type", "shape", "values"].map(String::from).to_vec()];
        let mut list = Vec::new();
        for (name, array) in tensors {
            let range = Range::of_array(array);
            let shape = format!("{:?}", array.shape());
            lines.push(vec![name.clone(), array.dtype().to_string(), shape, range.to_string()]);
            list.push(json!({
                "name": name, "dtype": array.dtype(), "shape": array.shape(), "values": range.to_json(),
            }));
        }
        self.has_tensors = !tensors.is_empty();
        self.object.insert("tensors".into(), json!(list));
        self.text.push_str(&format!("\n{}\n", text::words(&lines)));
    }

    pub fn data_set(&mut self, data: &Dataset, model: Option<&Network>) -> Result<()> {
        let (dtype, sample) = (data.inputs.dtype(), data.sample_shape());
        self.text.push_str(&format!("{} samples, {dtype} {}\n", data.rows(), text::samples(sample)));
        // A table's columns are described already.
        if !data.is_in_memory() {
            self.object.extend([
                ("rows".to_string(), json!(data.rows())),
                ("dtype".into(), json!(dtype)),
                ("sample".into(), json!(sample)),
            ]);
            self.text.push_str("inputs are on the disk, and are read as they are needed\n");
        } else if data.columns.is_empty() || self.is_json {
            let range = Range::of_array(&data.inputs);
            let scaling = Scaling::fit(&data.inputs, &data.splits.train, Scale::Standardize)?;
            let [mean, deviation] =
                [&scaling.mean, &scaling.deviation].map(|one| one.to_f64().first().copied());
            self.object.extend([
                ("rows".to_string(), json!(data.rows())),
                ("dtype".into(), json!(dtype)),
                ("sample".into(), json!(sample)),
                ("inputs".into(), range.to_json()),
                ("mean".into(), json!(mean)),
                ("deviation".into(), json!(deviation)),
            ]);
            let [least, greatest] = [range.least, range.greatest].map(text::number);
            let [mean, deviation] = [mean, deviation].map(|one| text::number(one.unwrap_or(f64::NAN)));
            self.text.push_str(&format!(
                "inputs {least} to {greatest}, over the training rows mean {mean}, deviation {deviation}\n"
            ));
        }
        for input in &data.more_inputs {
            let (dtype, sample) = (input.values.dtype(), text::samples(&input.values.shape()[1..]));
            self.text.push_str(&format!("and the input {}, {dtype} {sample}\n", shown(&input.name)));
        }
        for column in &data.columns {
            let name = shown(&column.name);
            match &column.kind {
                ColumnKind::Text(vocabulary) => self.text.push_str(&format!(
                    "{name}: {} different token ids, the vocabulary of its embedding\n",
                    vocabulary.size()
                )),
                ColumnKind::Sequence(Sequence { length, features }) => self.text.push_str(&format!(
                    "{name}: sequences of up to {length} positions, of {features} numbers each\n"
                )),
                _ => {}
            }
        }
        if let Some(values) = data.targets.values() {
            let range = Range::of_array(values);
            let width = values.shape().get(1).copied().unwrap_or(1);
            let many = if width == 1 { String::new() } else { format!("{width} ") };
            self.say("targets", range.to_json(), format!("{many}target values: {range}"));
        }
        self.splits(data, model);
        Ok(())
    }

    /// The rows of each part, their origin, and their classes.
    fn splits(&mut self, data: &Dataset, model: Option<&Network>) {
        let told = Told::of(data, model);
        let parts: Vec<_> = data.parts().collect();
        let counts: Vec<Vec<usize>> = parts.iter().map(|part| data.class_counts(part.rows)).collect();
        let line = |name: &str, numbers: &mut dyn Iterator<Item = usize>| {
            std::iter::once(name.to_string()).chain(numbers.map(|n| n.to_string())).collect::<Vec<_>>()
        };
        let mut lines = vec![vec![String::new()]];
        lines[0].extend(parts.iter().map(|part| part.name.to_string()));
        lines.push(line("rows", &mut parts.iter().map(|part| part.rows.len())));
        // They are not counted where that would read all rows.
        let names = if counts.iter().any(Vec::is_empty) { &[] } else { data.targets.names() };
        for (class, name) in names.iter().enumerate().take(MOST_CLASSES) {
            lines.push(line(
                &format!("class {}", shown(name)),
                &mut counts.iter().map(|counts| counts[class]),
            ));
        }
        self.text.push_str(&format!("\n{}\n", told.lines().join("\n")));
        self.text.push_str(&format!("\n{}", text::table(&lines, 1)));
        if names.len() > MOST_CLASSES {
            self.text.push_str(&format!("and {} classes more\n", names.len() - MOST_CLASSES));
        }
        self.object.extend(told.as_json().map(|(key, value)| (key.to_string(), value)));
        let class = |(class, name): (usize, &String)| {
            let of =
                parts.iter().zip(&counts).map(|(part, counts)| (part.name.to_string(), counts[class].into()));
            json!({ "name": name, "rows": Value::Object(of.collect()) })
        };
        if !names.is_empty() {
            self.object.insert("classes".into(), names.iter().enumerate().map(class).collect());
        }
    }
}
