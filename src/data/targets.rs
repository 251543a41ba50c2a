//! The targets of a data set.

use super::{place, positions};
use crate::array::{Array, DType};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// Class labels lie below this, so that one lying label cannot ask for two billion classes.
pub(super) const MAX_CLASSES: usize = 1 << 16;

/// The kind of a target.
///
/// ```
/// # use neural::data::table::{Layout, Table};
/// # let table = Table::parse("t.csv".as_ref(), b"a,c\n1,yes\n,no\n", &Layout::default())?;
/// use neural::data::TargetKind;
/// assert_eq!(table.targets("c", Some(TargetKind::Class), None)?.names(), ["no", "yes"]);
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TargetKind {
    /// One of several classes.
    Class,
    /// A number.
    Value,
}

/// The expected answer for each row.
///
/// ```
/// use neural::data::Targets;
/// let targets = Targets::numbered(vec![1, 0, 1])?;
/// assert_eq!((targets.rows(), targets.names().len()), (Some(3), 2));
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Targets {
    /// A class for each row, an index into `names`.
    Classes {
        /// One for each row.
        labels: Vec<i32>,
        /// The names of the classes, in their order.
        names: Vec<String>,
    },
    /// f32 or f64 `[n, k]` or `[n, …, k]`, finite as f32. Training rounds them to f32; figures are of them as they are.
    Values(Array),
    /// As `Values`, with some unknown ones: NaN stands for these, and they count in no loss and no figure. See
    /// [`Targets::partial`].
    Partial(Array),
    /// A class for each position of a sequence or pixel of a picture, i32 `[n, …]`, an index into `names`. A negative
    /// one means none: such positions, padding for instance, count in no loss and no figure.
    Positions {
        /// i32 `[n, …]`.
        labels: Array,
        /// The names of the classes, in their order.
        names: Vec<String>,
    },
    /// The inputs themselves, scaled, which an autoencoder reproduces.
    Inputs,
    /// The token after each position of sequences of token ids `[n, length]`. The last position has none, nor does one
    /// before `padding`.
    Next {
        /// The tokens, in the order of their ids.
        names: Vec<String>,
        /// The id that fills short sequences up.
        padding: Option<i32>,
    },
}

impl Targets {
    /// The name of a row's class, where rows have one.
    pub(crate) fn class_of(&self, row: u32) -> Option<&str> {
        let Self::Classes { labels, names } = self else { return None };
        names.get(*labels.get(row as usize)? as usize).map(String::as_str)
    }
}

impl Targets {
    /// Classes known only by number, named 0, 1, 2 and so on, up to the max label.
    ///
    /// ```
    /// use neural::data::Targets;
    /// assert_eq!(Targets::numbered(vec![0, 2])?.names(), ["0", "1", "2"]);
    /// assert!(Targets::numbered(vec![-1]).is_err());
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When a label is negative or 65,536 or above.
    pub fn numbered(labels: Vec<i32>) -> Result<Self> {
        let range = 0..MAX_CLASSES as i32;
        if let Some((row, label)) = labels.iter().enumerate().find(|(_, label)| !range.contains(label)) {
            let expected = format!("classes from 0 to {}", MAX_CLASSES - 1);
            return Err(Error::value("labels", expected, format!("{label} in row {row}")));
        }
        let greatest = labels.iter().max().copied().unwrap_or(-1);
        let names = (0..=greatest).map(|class| class.to_string()).collect();
        Ok(Targets::Classes { labels, names })
    }

    /// Classes known by number: the occurring labels, named by number and in numerical order. So labels from 1 to 26
    /// are 26 classes.
    ///
    /// ```
    /// use neural::data::Targets;
    /// let targets = Targets::of_labels(&[3, 7, 3])?;
    /// assert_eq!((targets.labels(), targets.names()), (Some(&[0, 1, 0][..]), &["3".into(), "7".into()][..]));
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When there are more than 65,536 different labels.
    pub fn of_labels(labels: &[i64]) -> Result<Self> {
        let mut distinct = labels.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        if distinct.len() > MAX_CLASSES {
            return Err(Error::value("labels", format!("at most {MAX_CLASSES} classes"), distinct.len()));
        }
        let class = |label| distinct.binary_search(label).map_or(0, |class| class as i32);
        let labels = labels.iter().map(class).collect();
        Ok(Targets::Classes { labels, names: distinct.iter().map(ToString::to_string).collect() })
    }

    /// One class against all others: class 1 for `class`, and class 0 for any other.
    ///
    /// ```
    /// use neural::data::Targets;
    /// let is_five = Targets::numbered(vec![5, 0, 5, 3])?.one_vs_rest("5")?;
    /// let names = vec!["not 5".to_string(), "5".to_string()];
    /// assert_eq!(is_five, Targets::Classes { labels: vec![1, 0, 1, 0], names });
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the targets are values, or no class has this name.
    pub fn one_vs_rest(&self, class: &str) -> Result<Self> {
        let Targets::Classes { labels, names } = self else {
            return Err(Error::value("one_vs_rest", "targets that are classes", "values"));
        };
        let Some(one) = names.iter().position(|name| name == class) else {
            return Err(Error::value("one_vs_rest", format!("one of {}", names.join(", ")), class));
        };
        let labels = labels.iter().map(|&label| i32::from(label as usize == one)).collect();
        Ok(Targets::Classes { labels, names: vec![format!("not {class}"), class.to_string()] })
    }

    /// The number of rows; `None` where targets are made of the inputs.
    pub fn rows(&self) -> Option<usize> {
        match self {
            Targets::Classes { labels, .. } => Some(labels.len()),
            Targets::Values(values)
            | Targets::Partial(values)
            | Targets::Positions { labels: values, .. } => values.shape().first().copied(),
            Targets::Inputs | Targets::Next { .. } => None,
        }
    }

    /// Whether they are read with the inputs, indicated by an array of 0 rows.
    pub(crate) fn is_read(&self) -> bool {
        matches!(self, Targets::Values(values) | Targets::Positions { labels: values, .. }
            if values.shape().len() >= 2 && values.shape()[0] == 0)
    }

    /// Checks that an array of targets is of this type.
    pub(super) fn check_read(&self, (dtype, row): &(DType, Vec<usize>)) -> Result<()> {
        let (known, values) = match self {
            Targets::Values(values) => (DType::F32, values),
            Targets::Positions { labels, .. } => (DType::I32, labels),
            _ => return Ok(()),
        };
        let expected = format!("{known}{:?}", &values.shape()[1..]);
        if values.dtype() == known && *dtype == known && row[..] == values.shape()[1..] && !row.contains(&0) {
            return Ok(());
        }
        Err(Error::shape(
            "targets",
            format!("{expected} a row, as the targets say, with no size of 0"),
            format!("{dtype}{row:?}"),
        ))
    }

    /// The class of every row, if the targets are classes.
    pub fn labels(&self) -> Option<&[i32]> {
        match self {
            Targets::Classes { labels, .. } => Some(labels),
            _ => None,
        }
    }

    /// The values of every row, if the targets are values; NaN where they are not known.
    pub fn values(&self) -> Option<&Array> {
        match self {
            Targets::Values(values) | Targets::Partial(values) => Some(values),
            _ => None,
        }
    }

    /// Whether there is a class for each row or position.
    pub fn is_classes(&self) -> bool {
        self.values().is_none() && !matches!(self, Targets::Inputs)
    }

    /// The names of the classes, of each row or position; empty if the targets are values.
    pub fn names(&self) -> &[String] {
        match self {
            Targets::Classes { names, .. }
            | Targets::Positions { names, .. }
            | Targets::Next { names, .. } => names,
            Targets::Values(_) | Targets::Partial(_) | Targets::Inputs => &[],
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        match self {
            Targets::Classes { labels, names } => {
                let named = |label: i32| usize::try_from(label).is_ok_and(|i| i < names.len());
                if let Some(label) = labels.iter().find(|&&label| !named(label)) {
                    let expected = format!("classes below {}, the number of their names", names.len());
                    return Err(Error::value("labels", expected, label));
                }
                if labels.iter().all(|label| label == &labels[0]) {
                    let got = labels.first().map_or("no rows".to_string(), |&i| {
                        format!("only \"{}\" in {} rows", names[i as usize], labels.len())
                    });
                    return Err(Error::value("labels", "rows of at least two classes", got));
                }
                Ok(())
            }
            Targets::Values(values) | Targets::Partial(values) => {
                let is_float = matches!(values.dtype(), DType::F32 | DType::F64);
                if !is_float || values.shape().len() < 2 || values.is_empty() {
                    let expected = "values f32 or f64 [n, k] or [n, …, k]";
                    return Err(Error::shape("targets", expected, format!("{values:?}")));
                }
                let is_partial = matches!(self, Targets::Partial(_));
                let is_wrong = |value: f64| !((value as f32).is_finite() || is_partial && value.is_nan());
                match values.find(is_wrong) {
                    Some((i, value)) => {
                        let hint = if value.is_nan() { ", or data.ignored = \"nan\"" } else { "" };
                        let got = format!("{value} in {}", place(values.shape(), i));
                        Err(Error::value("targets", format!("finite numbers of f32{hint}"), got))
                    }
                    None if values.values().all(f64::is_nan) => {
                        Err(Error::value("targets", "some that are known", "NaN alone"))
                    }
                    None => Ok(()),
                }
            }
            Targets::Positions { labels, names } => positions::check(labels, names, None),
            Targets::Inputs | Targets::Next { .. } => Ok(()),
        }
    }
}
