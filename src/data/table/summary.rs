//! A summary of a table's columns.

use super::cells::Cell;
use super::holds::{Holds, Unclear};
use super::{Table, is_missing, shown};
use crate::error::Result;
use foldhash::fast::RandomState;
use rayon::prelude::*;
use std::collections::HashSet;

/// Different numbers are counted up to here.
const MOST: usize = 1000;

/// Names that are kept of a column.
const NAMES: usize = 7;

/// The contents of a column.
///
/// ```
/// use neural::data::table::{Layout, Table};
/// let table = Table::parse("t.csv".as_ref(), b"a,c\n1,yes\n,no\n4,no\n", &Layout::default())?;
/// let [a, c] = &table.summaries()?[..] else { panic!("two columns") };
/// assert_eq!((a.missing, a.numbers), (1, Some([1.0, 2.5, 4.0])));
/// assert_eq!((c.holds, c.distinct, &c.texts[..]), ("yes or no", 2, &["no".to_string(), "yes".into()][..]));
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Summary {
    /// The column's heading.
    pub name: String,
    /// Numbers, yes or no, dates, names, text, numbers and names, or nothing.
    pub holds: &'static str,
    /// Cells without a value.
    pub missing: usize,
    /// Different values, counted up to `is_more` than 1000 of numbers.
    pub distinct: usize,
    /// Whether there are more distinct values than `distinct`, where counting stopped.
    pub is_more: bool,
    /// The min, mean and max of numbers.
    pub numbers: Option<[f64; 3]>,
    /// Some of the texts of other columns, in order; for dates the first and the last.
    pub texts: Vec<String>,
}

/// The number of distinct texts from which a column is no list of kinds.
const MANY: usize = 20;

/// Words that the texts of a column have on average, where they are sentences and no names.
const WORDS: usize = 6;

/// Whether the distinct texts are sentences rather than names: most rows have their own text, and it has many words.
fn is_text(texts: &[&str], rows: usize) -> bool {
    let words = || texts.iter().map(|text| text.split_whitespace().count()).sum::<usize>();
    texts.len() > MANY && texts.len() * 2 > rows && words() >= WORDS * texts.len()
}

impl Table {
    /// A summary of each column, in the order of the header.
    ///
    /// # Errors
    /// When a column was left out in reading.
    pub fn summaries(&self) -> Result<Vec<Summary>> {
        self.header.par_iter().map(|name| Ok(self.summary(self.read_index(name)?))).collect()
    }

    fn summary(&self, column: usize) -> Summary {
        let cells = &self.cells[column];
        let holds = self.holds(column, None);
        let is_gap: Vec<bool> = cells.texts().map(is_missing).collect();
        let missing = match is_gap.contains(&true) {
            true => cells.iter().filter(|cell| matches!(cell, Cell::Text(place) if is_gap[*place])).count(),
            false => 0,
        };
        let mut summary = Summary {
            name: self.header[column].clone(),
            holds: match holds {
                Holds::Nothing => "nothing",
                Holds::Numbers(_) => "numbers",
                Holds::Booleans => "yes or no",
                Holds::Dates(_) => "dates",
                Holds::Names => "names",
                Holds::Mixture => "numbers and names",
                Holds::Unclear(Unclear::Numbers(..)) => "numbers that can be read in two ways",
                Holds::Unclear(Unclear::Dates) => "dates that can be read in two ways",
            },
            missing,
            distinct: 0,
            is_more: false,
            numbers: None,
            texts: Vec::new(),
        };
        if let Holds::Numbers(_) | Holds::Dates(_) = holds {
            let numbers = self.numbers(column, holds);
            let (mut least, mut greatest, mut sum) = (f64::INFINITY, f64::NEG_INFINITY, 0.0);
            let (mut first, mut last) = (0, 0);
            let mut distinct = HashSet::with_hasher(RandomState::default());
            for row in 0..self.rows {
                let Some(number) = numbers.get(row) else { continue };
                if number < least {
                    (least, first) = (number, row);
                }
                if number > greatest {
                    (greatest, last) = (number, row);
                }
                sum += number;
                if !summary.is_more {
                    distinct.insert((number + 0.0).to_bits());
                    summary.is_more = distinct.len() > MOST;
                }
            }
            summary.distinct = distinct.len().min(MOST);
            match holds {
                Holds::Dates(_) => {
                    summary.texts =
                        [first, last].map(|row| self.cell_text(row, column).into_owned()).to_vec();
                }
                _ => summary.numbers = Some([least, sum / (self.rows - missing) as f64, greatest]),
            }
            return summary;
        }
        let mut texts: Vec<&str> = cells.texts().filter(|text| !is_missing(text)).collect();
        if summary.holds == "names" && is_text(&texts, self.rows) {
            summary.holds = "text";
        }
        texts.sort_unstable();
        summary.distinct = texts.len();
        // One text is enough as an example.
        let most = if summary.holds == "text" { 1 } else { NAMES };
        summary.texts = texts.into_iter().take(most).map(|text| shown(text).into_owned()).collect();
        summary
    }
}
