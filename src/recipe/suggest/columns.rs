//! The choice of a table's target and input columns.

use crate::data::table::{DateKind, DateOrder, Kind, Missing, PictureKind, Summary, Table, TextKind, shown};
use crate::data::{Source, Task};
use crate::error::{Error, Result};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// Usual names of target columns, the surest first; compared without case and punctuation.
const TARGETS: [&str; 22] = [
    "target",
    "label",
    "labels",
    "y",
    "outcome",
    "survived",
    "churn",
    "churned",
    "exited",
    "attrition",
    "default",
    "fraud",
    "isfraud",
    "diagnosis",
    "species",
    "saleprice",
    "price",
    "medv",
    "charges",
    "quality",
    "class",
    "category",
];

/// Words that a target's name often ends in.
const ENDINGS: [&str; 8] =
    ["target", "label", "outcome", "survived", "churn", "churned", "diagnosis", "price"];

/// Names of columns that number the rows.
const IDS: [&str; 8] = ["id", "index", "rownames", "rownumber", "rowid", "row", "uuid", "unnamed0"];

/// Whole numbers count as classes with at most this many distinct values, and this many rows each on average.
const MOST_CLASSES: usize = 20;
const ROWS_A_CLASS: usize = 5;

/// A column of numbers and names with at most this many distinct cells counts as names.
const MOST_NAMES: usize = 20;

/// The max number of names of a column that become features, as in the encoding.
const MOST_FEATURES: usize = 256;

/// The choices so far.
pub(super) struct Columns {
    pub source: Source,
    pub task: Task,
    pub assumed: Vec<String>,
    pub comments: Vec<(&'static str, String)>,
}

impl Columns {
    pub fn assume(&mut self, sentence: String) {
        self.assumed.push(sentence);
    }

    pub fn comment(&mut self, key: &'static str, comment: impl Into<String>) {
        self.comments.push((key, comment.into()));
    }

    pub fn choose(source: Source) -> Result<Self> {
        let table = Source { missing: Missing::Mean, ..source.clone() }.read_table(&|_| None, None, true)?;
        let summaries = table.summaries()?;
        let mut choice = Self { source, task: Task::Values, assumed: Vec::new(), comments: Vec::new() };
        let target = choice.target(&table, &summaries)?;
        choice.task = choice.task_of(&table, target);
        let is_taken = |name: &String| {
            let source = &choice.source;
            source.ignore.contains(name)
                || source.categorical.contains(name)
                || source.columns.contains_key(name)
                || source.id.as_ref() == Some(name)
        };
        let open: Vec<&Summary> =
            summaries.iter().filter(|one| one.name != target.name && !is_taken(&one.name)).collect();
        let said = choice.assumed.len();
        for column in &open {
            choice.column(&table, column, target)?;
        }
        let is_kept =
            |name: &String| !choice.source.ignore.contains(name) && choice.source.id.as_ref() != Some(name);
        if !open.is_empty() && !summaries.iter().any(|one| one.name != target.name && is_kept(&one.name)) {
            let name = shown(&target.name);
            let reasons = choice.assumed[said..].join("; ");
            let message =
                format!("expected a column for a feature besides the target \"{name}\", got none: {reasons}");
            return Err(Error::format(&choice.source.path, message));
        }
        let gaps: Vec<&&Summary> = open
            .iter()
            .filter(|one| one.missing > 0 && one.missing < table.rows() && is_kept(&one.name))
            // An empty list, an empty text.
            .filter(|one| {
                !matches!(choice.source.columns.get(&one.name), Some(Kind::List(_) | Kind::Text(_)))
            })
            .collect();
        if !gaps.is_empty() && choice.source.missing == Missing::Refuse {
            let is_name =
                |one: &Summary| one.holds == "names" || choice.source.categorical.contains(&one.name);
            let listed = |names: bool| -> Vec<String> {
                let some = gaps.iter().filter(|one| is_name(one) == names);
                some.map(|one| format!("{} ({})", shown(&one.name), one.missing)).collect()
            };
            let (names, others) = (listed(true), listed(false));
            choice.source.missing = Missing::Median;
            if !others.is_empty() {
                let all = others.join(", ");
                choice.assume(format!("missing values are filled with the column's median: {all}"));
            }
            if !names.is_empty() {
                let all = names.join(", ");
                choice.assume(format!("missing names become a feature of their own: {all}"));
            }
            choice.comment(
                "missing",
                "What fills missing numbers; missing names become a feature of their own.",
            );
        }
        Ok(choice)
    }

    /// The column that is named, has a usual name, ends in one, or is the last.
    fn target<'a>(&mut self, table: &Table, summaries: &'a [Summary]) -> Result<&'a Summary> {
        let of = |name: &str| summaries.iter().find(|one| one.name == name);
        let usual: Vec<&Summary> = TARGETS
            .iter()
            .flat_map(|usual| summaries.iter().filter(move |one| plain(&one.name) == *usual))
            .filter(|one| !self.source.ignore.contains(&one.name))
            .collect();
        let chosen = match (&self.source.target, &usual[..]) {
            (Some(name), _) => {
                table.index(name)?;
                of(name)
            }
            (None, [first, others @ ..]) => {
                let others: Vec<String> =
                    others.iter().map(|one| format!("--target {}", shown(&one.name))).collect();
                let others =
                    if others.is_empty() { String::new() } else { format!(" (or {})", others.join(", ")) };
                self.assume(format!("target: \"{}\", a usual name for one{others}", shown(&first.name)));
                Some(*first)
            }
            (None, []) => {
                let (found, why) = match ending(summaries) {
                    Some(one) => (Some(one), "by the end of its name"),
                    None => (summaries.last(), "the last column"),
                };
                if let Some(one) = found {
                    let name = shown(&one.name);
                    self.assume(format!("target: \"{name}\", {why}; --target NAME takes another"));
                }
                found
            }
        };
        let target = chosen.ok_or_else(|| Error::format(&self.source.path, "expected columns, got none"))?;
        if target.holds == "nothing" {
            return Err(Error::value("target", "a column with values", shown(&target.name)));
        }
        self.source.target = Some(target.name.clone());
        self.comment("target", "The column to predict.");
        Ok(target)
    }

    /// Whether the target is classes or values.
    fn task_of(&mut self, table: &Table, target: &Summary) -> Task {
        let name = shown(&target.name);
        if target.numbers.is_none() {
            return if target.holds == "dates" { Task::Values } else { Task::Classes };
        }
        let is_whole = (0..table.rows()).all(|row| {
            let text = table.text(row, &target.name).unwrap_or_default();
            text.parse::<f64>().is_ok_and(|number| number.fract() == 0.0)
        });
        let is_few = !target.is_more
            && target.distinct <= MOST_CLASSES
            && target.distinct * ROWS_A_CLASS <= table.rows();
        if !(is_whole && is_few) {
            self.assume(format!("\"{name}\" is a value: the model is to come near its numbers"));
            return Task::Values;
        }
        if target.distinct > 2 {
            self.assume(format!(
                "the {} whole numbers in \"{name}\" are classes; if they are amounts, set loss = \"mean-squared-error\", \
                 one unit in the last layer, and scale_target = \"standardize\"",
                target.distinct
            ));
        }
        Task::Classes
    }

    /// Leaves a column out that is no feature, or takes it as names.
    fn column(&mut self, table: &Table, column: &Summary, target: &Summary) -> Result<()> {
        let name = shown(&column.name);
        if let Some(kind) = seems(table, column)? {
            self.assume(match &kind {
                Kind::List(list) => format!(
                    "\"{name}\" holds lists of names with {} between them: each name is a feature",
                    list.separator
                ),
                Kind::Picture(PictureKind { size: [height, width], .. }) => format!(
                    "\"{name}\" holds paths of pictures: the model reads them at {height} x {width} pixels, as an input of its own"
                ),
                _ => format!("\"{name}\" holds sequences of numbers: the model reads them, as an input of its own"),
            });
            self.kind(column, kind);
        } else if is_id(column, table.rows()) {
            if self.source.id.is_none() {
                self.source.id = Some(column.name.clone());
                self.assume(format!(
                    "\"{name}\" numbers the rows: it is not a feature, and predictions repeat it"
                ));
                self.comment("id", "Not a feature; predictions repeat it.");
            } else {
                self.ignore(column, format!("\"{name}\" is left out, as it numbers the rows"));
            }
        } else if self.task == Task::Classes && tells(table, column, target)? {
            let reason = format!(
                "\"{name}\" is left out, as it tells \"{}\" in every row by itself",
                shown(&target.name)
            );
            self.ignore(column, reason);
        } else if column.holds == "numbers and names" {
            let different = different(table, &column.name, MOST_NAMES + 1)?;
            if different.len() <= MOST_NAMES {
                self.source.categorical.push(column.name.clone());
                self.assume(format!("\"{name}\" holds numbers and names: both are taken as names"));
            } else {
                self.ignore(column, format!("\"{name}\" is left out, as only some of its cells are numbers"));
            }
        } else if column.holds == "text" {
            self.kind(column, Kind::Text(TextKind::default()));
            self.assume(format!(
                "\"{name}\" holds texts: the model reads their words, as an input of its own"
            ));
        } else if column.holds == "dates that can be read in two ways" && self.source.dates.is_none() {
            let order = Some(DateOrder::DayFirst);
            self.kind(column, Kind::Date(DateKind { order, ..DateKind::default() }));
            self.assume(format!(
                "the dates in \"{name}\" begin with the day; if with the month, set order = \"month-first\" in [data.columns]"
            ));
        } else if column.holds == "names"
            && column.distinct > MOST_FEATURES
            && column.distinct * 2 <= table.rows()
        {
            let reason = format!("\"{name}\" is left out, as it holds {} different names", column.distinct);
            self.ignore(column, reason);
        }
        Ok(())
    }

    fn kind(&mut self, column: &Summary, kind: Kind) {
        self.source.columns.insert(column.name.clone(), kind);
        self.comment("columns", "Kinds that the cells alone do not tell; docs/recipes.md has all of them.");
    }

    fn ignore(&mut self, column: &Summary, reason: String) {
        self.source.ignore.push(column.name.clone());
        self.assume(reason);
    }
}

/// The kind of a column of texts that are no names.
fn seems(table: &Table, column: &Summary) -> Result<Option<Kind>> {
    match column.holds {
        "names" | "text" => Ok(table.guess(table.index(&column.name)?)),
        _ => Ok(None),
    }
}

/// The only column whose name ends in the name of a target, such as `m2_price`.
fn ending(summaries: &[Summary]) -> Option<&Summary> {
    let is_one = |one: &&Summary| {
        let mut words = one.name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        words.next_back().is_some_and(|word| ENDINGS.contains(&&plain(word)[..]))
    };
    let mut found = summaries.iter().filter(is_one);
    found.next().filter(|_| found.next().is_none())
}

/// A name without case and punctuation.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Whether a column numbers the rows: by its name and as many values as rows, or by counting from 0 or 1.
fn is_id(column: &Summary, rows: usize) -> bool {
    let is_each = column.missing == 0 && (column.is_more || column.distinct == rows);
    let is_named = {
        let ends = column.name.ends_with("_id") || column.name.ends_with("ID") || column.name.ends_with("Id");
        ends || IDS.contains(&&plain(&column.name)[..])
    };
    let is_whole = |number: f64| number.fract() == 0.0;
    match column.numbers {
        Some([least, mean, greatest]) => {
            let counts = (least == 0.0 || least == 1.0)
                && greatest - least == rows as f64 - 1.0
                && (mean - f64::midpoint(least, greatest)).abs() < 1e-6 * greatest.max(1.0);
            // Ten rows that count up may be measurements.
            is_each && ((is_named && is_whole(least) && is_whole(greatest)) || (counts && rows > 20))
        }
        None => is_each && is_named && column.holds == "names",
    }
}

/// Whether each value of a column occurs with a single class, and each class with a single value.
fn tells(table: &Table, column: &Summary, target: &Summary) -> Result<bool> {
    if column.distinct > MOST_CLASSES || column.distinct < 2 || column.is_more || column.missing > 0 {
        return Ok(false);
    }
    let mut of: BTreeMap<Cow<str>, Cow<str>> = BTreeMap::new();
    for row in 0..table.rows() {
        let (value, class) = (table.text(row, &column.name)?, table.text(row, &target.name)?);
        if *of.entry(value).or_insert_with(|| class.clone()) != class {
            return Ok(false);
        }
    }
    let classes: BTreeSet<&Cow<str>> = of.values().collect();
    Ok(classes.len() == of.len())
}

/// The different cells of a column, up to a number of them.
fn different<'a>(table: &'a Table, name: &str, most: usize) -> Result<BTreeSet<Cow<'a, str>>> {
    let mut different = BTreeSet::new();
    for row in 0..table.rows() {
        different.insert(table.text(row, name)?);
        if different.len() >= most {
            break;
        }
    }
    Ok(different)
}
