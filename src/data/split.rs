//! The division of rows into training, validation and test rows.

use super::random::{Place, Random};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Row numbers of a data set. The functions here keep each list in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Splits {
    /// Rows whose gradients move the weights.
    pub train: Vec<u32>,
    /// Rows that choose the best epoch and stop training early.
    pub validation: Vec<u32>,
    /// Rows that choose nothing.
    pub test: Vec<u32>,
}

impl Splits {
    pub(crate) fn check(&self, rows: usize) -> Result<()> {
        let mut all = self.train.iter().chain(&self.validation).chain(&self.test);
        if let Some(row) = all.find(|&&row| row as usize >= rows) {
            return Err(Error::value("splits", format!("row numbers below {rows}"), row));
        }
        if self.train.is_empty() {
            return Err(Error::value("splits", "at least one row for training", 0));
        }
        Ok(())
    }
}

/// The origin of each part's rows, in words, such as "20 % of the rows at random, seed 0". Empty for a data set that
/// was put together in memory.
///
/// ```
/// use neural::data::{Format, Source};
/// let source = Source { test_fraction: Some(0.2), ..Source::new(Format::Table, "data/pizza.txt") };
/// assert_eq!(source.load()?.origins.test, "20 % of the rows at random, seed 0");
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    /// The origin of the training rows.
    pub train: String,
    /// The origin of the validation rows.
    pub validation: String,
    /// The origin of the test rows.
    pub test: String,
}

impl Origins {
    pub(crate) fn new(train: &str, validation: &str, test: &str) -> Self {
        Self { train: train.into(), validation: validation.into(), test: test.into() }
    }
}

/// The number of rows that a reader found for each part, stored in this order; a source without a division is all
/// training.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) train: usize,
    pub(crate) validation: usize,
    pub(crate) test: usize,
    pub(crate) origins: Origins,
}

impl Parts {
    pub(crate) fn undivided(rows: usize) -> Self {
        Self { train: rows, validation: 0, test: 0, origins: Origins::new("all rows", "", "") }
    }

    pub(crate) fn is_divided(&self) -> bool {
        self.validation + self.test > 0
    }

    pub(crate) fn splits(&self) -> Splits {
        let end = self.train + self.validation;
        Splits {
            train: rows(0, self.train),
            validation: rows(self.train, end),
            test: rows(end, end + self.test),
        }
    }
}

/// Validation rows that are not a fraction of the training rows.
///
/// ```
/// use neural::data::{Format, Source, Validation};
/// let digits = Source { validation: Some(Validation::HalfOfTest), ..Source::new(Format::Idx, "data/mnist") }.load()?;
/// assert_eq!((digits.splits.validation.len(), digits.splits.test.len()), (5000, 5000));
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "PathBuf", into = "PathBuf")]
#[non_exhaustive]
pub enum Validation {
    /// The first half of the test rows that the data comes with.
    HalfOfTest,
    /// All rows of this table.
    File(PathBuf),
}

/// How [`Validation::HalfOfTest`] is written.
pub(super) const HALF_OF_TEST: &str = "half-of-test";

impl From<PathBuf> for Validation {
    fn from(path: PathBuf) -> Self {
        if path.as_os_str() == HALF_OF_TEST { Self::HalfOfTest } else { Self::File(path) }
    }
}

impl From<Validation> for PathBuf {
    fn from(validation: Validation) -> Self {
        match validation {
            Validation::HalfOfTest => HALF_OF_TEST.into(),
            Validation::File(path) => path,
        }
    }
}

/// The rows that the fractions take.
///
/// ```
/// use neural::data::{Format, Source, SplitOrder};
/// let fraction = Source { test_fraction: Some(0.2), ..Source::new(Format::Table, "data/pizza.txt") };
/// let data = Source { split: SplitOrder::Ordered, ..fraction }.load()?;
/// assert_eq!(data.splits.test.first(), Some(&(data.rows() as u32 - data.splits.test.len() as u32)));
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SplitOrder {
    /// Rows at random.
    #[default]
    Random,
    /// The last rows: those for the test end the file, those for validation come before them.
    Ordered,
}

/// Row numbers are u32; a data set with more rows is refused when it is put together.
fn rows(from: usize, to: usize) -> Vec<u32> {
    let row = |n| u32::try_from(n).unwrap_or(u32::MAX);
    (row(from)..row(to)).collect()
}

/// Takes a fraction of `rows` away at random; returns the remaining rows and the taken ones.
///
/// With `labels` (one for each row of the data set) the fraction is the same in every class, to within one
/// row.
///
/// ```
/// use neural::data::split;
/// let (train, test) = split::fraction("test_fraction", &[0, 1, 2, 3, 4], None, 0.4, 1)?;
/// assert_eq!((train.len(), test.len()), (3, 2));
/// # Ok::<(), neural::Error>(())
/// ```
///
/// # Errors
/// Under `name`, when `fraction` does not lie between 0 and 1, or leaves either part without a row; when a
/// row has no label.
pub fn fraction(
    name: &str,
    rows: &[u32],
    labels: Option<&[i32]>,
    fraction: f64,
    seed: u64,
) -> Result<(Vec<u32>, Vec<u32>)> {
    let total = rows.len();
    let count = count(name, total, fraction)?;
    // Every total/count-th row of a list in which classes are grouped.
    let dealt = dealt(rows, labels, seed)?;
    let taken = |i: usize| (i + 1) * count / total > i * count / total;
    Ok(divide(dealt, taken))
}

/// Takes a fraction of `rows` away from their end, as usual with time series; returns the remaining rows and the taken
/// ones.
///
/// ```
/// use neural::data::split;
/// assert_eq!(split::tail("test_fraction", &[0, 1, 2, 3, 4], 0.4)?, (vec![0, 1, 2], vec![3, 4]));
/// # Ok::<(), neural::Error>(())
/// ```
///
/// # Errors
/// Under `name`, when `fraction` does not lie between 0 and 1, or leaves either part without a row.
pub fn tail(name: &str, rows: &[u32], fraction: f64) -> Result<(Vec<u32>, Vec<u32>)> {
    let (rest, part) = rows.split_at(rows.len() - count(name, rows.len(), fraction)?);
    Ok((rest.to_vec(), part.to_vec()))
}

/// The rows to train on and to validate with in fold number `fold` of `folds`. Over all folds each row is used for
/// validation exactly once; the folds' sizes differ by at most one row, and with `labels` (one for each row of the data
/// set) so do each class's.
///
/// ```
/// use neural::data::split::k_fold;
/// let (train, validation) = k_fold(&[0, 1, 2, 3], None, 2, 0, 1)?;
/// assert_eq!((train.len(), validation.len()), (2, 2));
/// # Ok::<(), neural::Error>(())
/// ```
///
/// # Errors
/// When `folds` is below 2 or above the number of rows, `fold` is not below `folds`, or a row has no label.
pub fn k_fold(
    rows: &[u32],
    labels: Option<&[i32]>,
    folds: usize,
    fold: usize,
    seed: u64,
) -> Result<(Vec<u32>, Vec<u32>)> {
    if folds < 2 || folds > rows.len() {
        return Err(Error::value("folds", format!("a number from 2 to the {} rows", rows.len()), folds));
    }
    if fold >= folds {
        return Err(Error::value("fold", format!("a number from 0 to {}", folds - 1), fold));
    }
    Ok(divide(dealt(rows, labels, seed)?, |i| i % folds == fold))
}

/// How many of `total` rows a fraction is.
fn count(name: &str, total: usize, fraction: f64) -> Result<usize> {
    if !(fraction > 0.0 && fraction < 1.0) {
        return Err(Error::value(name, "a number above 0 and below 1", fraction));
    }
    let count = (total as f64 * fraction).round() as usize;
    if count == 0 || count >= total {
        let expected = format!("a fraction that leaves at least one of {total} rows on each side");
        return Err(Error::value(name, expected, fraction));
    }
    Ok(count)
}

/// The rows shuffled, or with labels shuffled within each class and class after class.
fn dealt(rows: &[u32], labels: Option<&[i32]>, seed: u64) -> Result<Vec<u32>> {
    let mut random = Random::new(seed, Place::Split, 0);
    let mut classes = match labels {
        Some(labels) => by_class(rows, labels)?,
        None => vec![rows.to_vec()],
    };
    classes.iter_mut().for_each(|members| random.shuffle(members));
    Ok(classes.concat())
}

/// The rows at positions that are not `taken`, and the taken ones, each in ascending order.
fn divide(dealt: Vec<u32>, taken: impl Fn(usize) -> bool) -> (Vec<u32>, Vec<u32>) {
    let (mut rest, mut part) = (Vec::new(), Vec::new());
    for (i, row) in dealt.into_iter().enumerate() {
        if taken(i) { part.push(row) } else { rest.push(row) }
    }
    rest.sort_unstable();
    part.sort_unstable();
    (rest, part)
}

/// The rows of each class that occurs among them, by class.
pub(crate) fn by_class(rows: &[u32], labels: &[i32]) -> Result<Vec<Vec<u32>>> {
    let mut classes: BTreeMap<i32, Vec<u32>> = BTreeMap::new();
    for &row in rows {
        let Some(&label) = labels.get(row as usize) else {
            return Err(Error::value("row", format!("a number below {}", labels.len()), row));
        };
        classes.entry(label).or_default().push(row);
    }
    Ok(classes.into_values().collect())
}

/// Makes the first half of the test rows the validation rows.
pub(super) fn halve_test(splits: &mut Splits, origins: &mut Origins) {
    let second = splits.test.split_off(splits.test.len() / 2);
    splits.validation = std::mem::replace(&mut splits.test, second);
    let of = std::mem::take(&mut origins.test);
    if !of.is_empty() {
        origins.validation = format!("the first half of {of}");
        origins.test = format!("the second half of {of}");
    }
}
