//! Where a data set comes from: the `[data]` section of a recipe.

use super::images::{Background, Color};
use super::load::Inputs;
use super::table::{Column, DateOrder, Decimal, Delimiter, Kind, Missing, TargetKind, Thousands, Unknown};
use super::tensors::Layout;
use super::{Dataset, Format, Ignored, Origins, Parts, Scale, Splits, Targets, split};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a loss takes as targets. It decides what the targets in a file are where the recipe has no `target_kind`.
///
/// ```
/// use neural::data::{Format, Source, Task};
/// let police = Source { target: Some("Police".into()), ..Source::new(Format::Table, "data/pizza.txt") };
/// assert_eq!(police.load_for(Some(Task::Values))?.classes(), None);
/// assert_eq!(police.load_for(Some(Task::Classes))?.classes(), Some(2));
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Task {
    /// One class a row: whole numbers, names and one-hot rows are classes. Rows of probabilities stay values.
    Classes,
    /// Yes or no for each output: a single column of whole numbers or names is classes, several columns are values.
    Labels,
    /// Numbers: all targets are values.
    Values,
}

/// Rows to validate with that no fraction names.
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
const HALF_OF_TEST: &str = "half-of-test";

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

/// Which rows the fractions take.
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

/// Where a data set comes from, and how it is split and scaled.
///
/// A key that means nothing to the format is refused when the data is loaded.
///
/// ```
/// use neural::data::{Format, Scale, Source};
/// let section = "format = 'table'\npath = 'pizza.csv'\nscale = 'standardize'";
/// let source: Source = toml::from_str(section).unwrap();
/// let built = Source::new(Format::Table, "pizza.csv");
/// assert_eq!(source, Source { scale: Scale::Standardize, ..built });
/// assert!(source.load().unwrap_err().to_string().starts_with("cannot read pizza.csv"));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    pub format: Format,
    /// Of a table also a folder of files, or a pattern such as `data/*.csv`; as `train` where `test` or `validation` name
    /// other files.
    #[serde(alias = "train")]
    pub path: PathBuf,
    /// `table`: the test rows, where they have a file of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<PathBuf>,

    /// `table`: the column to predict, the last if none is named. `npy`, `safetensors`: the tensor, `y` if
    /// none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Several targets, by the names of their columns or tensors, in place of `target`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<String>,
    /// What stands where there is no target: of classes at positions besides all negative numbers, of values alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignored: Option<Ignored>,
    /// `text`: how many characters a row has; 64 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<usize>,
    /// Of token ids that are to be followed by the next, the one that only fills rows up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub padding: Option<i32>,
    /// `table`, `npy`, `safetensors`: told by the target's values if not here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_kind: Option<TargetKind>,
    /// The class to be told from all others, which become one; see [`Targets::one_vs_rest`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one_vs_rest: Option<String>,
    /// `npy`, `safetensors`: the tensor of inputs, `x` if none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Inputs>,
    /// `npy`, `safetensors`: the order of the axes of pictures; `nhwc` if they do not look otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<Layout>,
    /// `table`: told by the header if not here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<Delimiter>,
    /// `table`: whether the first line holds the columns' names; told by what is below it if not here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<bool>,
    /// `table`: what stands before the fraction of all numbers, and between their thousands; told by each column if
    /// neither is here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decimal: Option<Decimal>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thousands: Option<Thousands>,
    /// `table`: how dates such as 03/04/2024 are read, where their column does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dates: Option<DateOrder>,
    /// `table`, of a database: the name of the table, which may be left out where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// `table`, of a database: what to ask of it, in place of a table's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// `table`: a column that is no feature and stands beside the predictions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `table`: columns of numbers that are names all the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categorical: Vec<String>,
    /// `table`: the kinds of columns that their cells do not tell.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, Kind>,
    /// `table`: columns to leave out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<String>,
    /// `table`: what becomes of missing values.
    #[serde(default, skip_serializing_if = "is_default")]
    pub missing: Missing,
    /// `table`: what becomes of names that were in no training row.
    #[serde(default, skip_serializing_if = "is_default")]
    pub unknown: Unknown,
    /// `images`: height and width to resize to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<[usize; 2]>,
    /// `images`: as they are stored if not here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<Color>,
    /// `images`: what shows through where they are transparent.
    #[serde(default, skip_serializing_if = "is_default")]
    pub background: Background,

    /// The part of all rows to test with, where the data does not come with test rows of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_fraction: Option<f64>,
    /// The part of the rows that are not for the test to validate with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_fraction: Option<f64>,
    /// Instead of `validation_fraction`: the number of folds for cross-validation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folds: Option<usize>,
    /// The fold to validate with, from 0.
    #[serde(default, skip_serializing_if = "is_default")]
    pub fold: usize,
    /// Validation rows that no fraction names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<Validation>,
    /// Which rows the fractions take.
    #[serde(default, skip_serializing_if = "is_default")]
    pub split: SplitOrder,
    /// Whether every class is split in the same proportion.
    #[serde(default, skip_serializing_if = "is_default")]
    pub stratify: bool,
    /// What the split depends on.
    #[serde(default, skip_serializing_if = "is_default")]
    pub seed: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    pub scale: Scale,
    /// Of several inputs, the scale of each of these in place of `scale`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub scales: BTreeMap<String, Scale>,
    /// How targets that are values are scaled for the loss; predictions and figures are brought back.
    #[serde(default, skip_serializing_if = "is_default")]
    pub scale_target: Scale,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Source {
    /// Everything but format and path as it is when nothing is said.
    ///
    /// ```
    /// use neural::data::{Format, Scale, Source};
    /// assert_eq!(Source::new(Format::Idx, "data/mnist").scale, Scale::None);
    /// ```
    pub fn new(format: Format, path: impl Into<PathBuf>) -> Self {
        Self {
            format,
            path: path.into(),
            test: None,
            target: None,
            targets: Vec::new(),
            ignored: None,
            length: None,
            padding: None,
            target_kind: None,
            one_vs_rest: None,
            inputs: None,
            layout: None,
            delimiter: None,
            header: None,
            decimal: None,
            thousands: None,
            dates: None,
            table: None,
            query: None,
            id: None,
            categorical: Vec::new(),
            columns: BTreeMap::new(),
            ignore: Vec::new(),
            missing: Missing::default(),
            unknown: Unknown::default(),
            size: None,
            color: None,
            background: Background::default(),
            test_fraction: None,
            validation_fraction: None,
            folds: None,
            fold: 0,
            validation: None,
            split: SplitOrder::default(),
            stratify: false,
            seed: 0,
            scale: Scale::default(),
            scales: BTreeMap::new(),
            scale_target: Scale::default(),
        }
    }

    /// The same without keys that split: all rows are one part, as far as the data does not come divided.
    ///
    /// ```
    /// use neural::data::{Format, Source};
    /// let pizza = Source::new(Format::Table, "data/pizza.txt");
    /// assert_eq!(Source { test_fraction: Some(0.5), ..pizza.clone() }.undivided(), pizza);
    /// ```
    #[must_use]
    pub fn undivided(self) -> Self {
        Self {
            test: None,
            test_fraction: None,
            validation_fraction: None,
            folds: None,
            fold: 0,
            validation: None,
            split: SplitOrder::default(),
            stratify: false,
            ..self
        }
    }

    /// [`Source::load_for`] without a task: what the targets are is told by their values.
    ///
    /// ```
    /// use neural::data::{Format, Source};
    /// let pizza = Source::new(Format::Table, "data/pizza.txt").load()?;
    /// assert_eq!(pizza.feature_names().len(), pizza.sample_shape()[0]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When a key means nothing to the format, the files are not what they should be, or cannot be split as
    /// told.
    pub fn load(&self) -> Result<Dataset> {
        self.load_for(None)
    }

    /// Reads, splits and scales, with targets that a loss for this task takes.
    ///
    /// ```
    /// use neural::data::{Format, Source, Task};
    /// let digits = Source::new(Format::Idx, "data/mnist").load_for(Some(Task::Classes))?;
    /// assert_eq!(digits.origins.test, "the test files");
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Source::load`], and when targets cannot be taken as what the task needs.
    pub fn load_for(&self, task: Option<Task>) -> Result<Dataset> {
        self.load_tasks(&|_| task)
    }

    /// The data set in a table with the features that a model was trained on, as far as they are those of a table;
    /// what the targets are has to be told by `target_kind`.
    ///
    /// ```
    /// use neural::data::{Format, Source, TargetKind};
    /// let pizza = Source { target_kind: Some(TargetKind::Value), ..Source::new(Format::Table, "data/pizza.txt") };
    /// let columns = pizza.load()?.columns[..1].to_vec();
    /// assert_eq!(pizza.load_with(&columns)?.sample_shape(), [1]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Source::load`], and when the table lacks one of the columns.
    pub fn load_with(&self, columns: &[Column]) -> Result<Dataset> {
        self.load_tasks_with(columns, &|_| None)
    }

    /// [`Source::load_with`] of a source with several targets, see [`Source::load_tasks`].
    ///
    /// # Errors
    /// As [`Source::load`].
    pub(crate) fn load_tasks_with(
        &self,
        columns: &[Column],
        task: &dyn Fn(&str) -> Option<Task>,
    ) -> Result<Dataset> {
        if self.format != Format::Table || columns.is_empty() {
            return self.load_tasks(task);
        }
        self.check_keys()?;
        self.of_table(self.read_table(task, Some(columns), false)?, task, Some(columns))
    }

    /// The places of the data by their keys: of all rows, or of those for training, validation and test.
    pub(crate) fn files(&self) -> Vec<(&'static str, &Path)> {
        let mut files = vec![("path", self.path.as_path())];
        if let Some(Validation::File(path)) = &self.validation {
            files.push(("validation", path));
        }
        files.extend(self.test.as_deref().map(|path| ("test", path)));
        files
    }

    /// [`Source::files`] to be changed.
    pub(crate) fn files_mut(&mut self) -> Vec<(&'static str, &mut PathBuf)> {
        let mut files = vec![("path", &mut self.path)];
        if let Some(Validation::File(path)) = &mut self.validation {
            files.push(("validation", path));
        }
        files.extend(self.test.as_mut().map(|path| ("test", path)));
        files
    }

    pub(super) fn choose(&self, targets: Targets) -> Result<Targets> {
        match &self.one_vs_rest {
            Some(class) => targets.one_vs_rest(class),
            None => Ok(targets),
        }
    }

    /// Refuses keys that have no meaning for the format or without another key.
    pub(crate) fn check_keys(&self) -> Result<()> {
        use Format::{Images, Npy, Safetensors, Table, Text};
        let uses: [(&str, bool, &[Format]); 14] = [
            ("target", self.target.is_some() && self.made().is_none(), &[Table, Npy, Safetensors]),
            ("target_kind", self.target_kind.is_some(), &[Table, Npy, Safetensors]),
            ("inputs", self.inputs.is_some(), &[Table, Npy, Safetensors]),
            ("delimiter", self.delimiter.is_some(), &[Table]),
            ("header", self.header.is_some(), &[Table]),
            ("decimal", self.decimal.is_some(), &[Table]),
            ("thousands", self.thousands.is_some(), &[Table]),
            ("dates", self.dates.is_some(), &[Table]),
            ("id", self.id.is_some(), &[Table]),
            ("unknown", !is_default(&self.unknown), &[Table]),
            ("categorical", !self.categorical.is_empty(), &[Table]),
            ("ignore", !self.ignore.is_empty(), &[Table]),
            ("missing", !is_default(&self.missing), &[Table]),
            ("size", self.size.is_some(), &[Images]),
        ];
        let more = [
            ("color", self.color.is_some(), &[Images][..]),
            ("background", !is_default(&self.background), &[Images]),
            ("layout", self.layout.is_some(), &[Npy, Safetensors]),
            ("targets", !self.targets.is_empty(), &[Table, Npy, Safetensors]),
            ("ignored", self.ignored.is_some(), &[Npy, Safetensors]),
            ("columns", !self.columns.is_empty(), &[Table]),
            ("test", self.test.is_some(), &[Table]),
            ("table", self.table.is_some(), &[Table]),
            ("query", self.query.is_some(), &[Table]),
            ("length", self.length.is_some(), &[Text]),
        ];
        for (key, given, formats) in uses.into_iter().chain(more) {
            if given && !formats.contains(&self.format) {
                let expected = format!("a format that uses it, one of {formats:?}").to_lowercase();
                return Err(Error::value(key, expected, format!("{:?}", self.format).to_lowercase()));
            }
        }
        if let (Some(Validation::File(path)), false) = (&self.validation, self.format == Table) {
            let expected = format!("{HALF_OF_TEST}, as only tables have files for their parts");
            return Err(Error::value("validation", expected, path.display()));
        }
        self.check_names()?;
        if self.fold > 0 && self.folds.is_none() {
            return Err(Error::value("fold", "the number of folds as well", self.fold));
        }
        let fraction = ("validation_fraction", self.validation_fraction.is_some());
        let (folds, validation) =
            (("folds", self.folds.is_some()), ("validation", self.validation.is_some()));
        for [(key, given), (other, beside)] in
            [[folds, fraction], [validation, fraction], [validation, folds]]
        {
            if given && beside {
                return Err(Error::value(key, format!("no {other} beside it"), "both"));
            }
        }
        if self.split == SplitOrder::Ordered {
            for (key, given) in [("stratify", self.stratify), folds] {
                if given {
                    return Err(Error::value("split", format!("no {key} beside \"ordered\""), "both"));
                }
            }
            if self.test_fraction.is_none() && !fraction.1 {
                let expected = "test_fraction or validation_fraction beside \"ordered\"";
                return Err(Error::value("split", expected, "neither"));
            }
        }
        Ok(())
    }

    /// Which rows are for what, and where they come from.
    pub(super) fn split(&self, targets: &Targets, parts: Parts) -> Result<(Splits, Origins)> {
        let labels = match (self.stratify, targets.labels()) {
            (false, _) => None,
            (true, Some(labels)) => Some(labels),
            (true, None) => return Err(Error::value("stratify", "targets that are classes", "values")),
        };
        let how = if self.stratify { "at random in every class" } else { "at random" };
        let take = |key, rows: &[u32], fraction: f64, of: &str| {
            let percent = (fraction * 1e6).round() / 1e4;
            let ((rest, part), origin) = match self.split {
                SplitOrder::Random => (
                    split::fraction(key, rows, labels, fraction, self.seed)?,
                    format!("{percent} % of {of} {how}, seed {}", self.seed),
                ),
                SplitOrder::Ordered => (
                    split::tail(key, rows, fraction)?,
                    format!("the last {percent} % of {of}, in the order of the file"),
                ),
            };
            Ok::<_, Error>((rest, part, origin))
        };
        let mut splits = parts.splits();
        let mut origins = parts.origins.clone();
        let mut rest = if parts.is_divided() { origins.train.clone() } else { "the rows".to_string() };
        if let Some(fraction) = self.test_fraction {
            if parts.is_divided() {
                let expected = "no such key, as the data has test or validation rows of its own";
                return Err(Error::value("test_fraction", expected, fraction));
            }
            (splits.train, splits.test, origins.test) =
                take("test_fraction", &splits.train, fraction, "the rows")?;
            origins.train = "the other rows".into();
            rest.clone_from(&origins.train);
        }
        let keys = [
            ("folds", self.folds.is_some()),
            ("validation_fraction", self.validation_fraction.is_some()),
            ("validation", self.validation == Some(Validation::HalfOfTest)),
        ];
        if let Some((key, _)) = keys.iter().find(|(_, given)| *given && parts.validation > 0) {
            let expected = "no such key, as the data has validation rows of its own";
            return Err(Error::value(*key, expected, "it"));
        }
        if let Some(fraction) = self.validation_fraction {
            (splits.train, splits.validation, origins.validation) =
                take("validation_fraction", &splits.train, fraction, &rest)?;
            origins.train = format!("what is left of {rest}");
        }
        if let Some(folds) = self.folds {
            (splits.train, splits.validation) =
                split::k_fold(&splits.train, labels, folds, self.fold, self.seed)?;
            origins.validation =
                format!("fold {} of 0 to {} of {rest}, {how}, seed {}", self.fold, folds - 1, self.seed);
            origins.train = "the other folds".into();
        }
        if self.validation == Some(Validation::HalfOfTest) {
            if splits.test.len() < 2 {
                let expected = "data with test rows of its own, of which one half becomes validation rows";
                return Err(Error::value("validation", expected, format!("{} test rows", splits.test.len())));
            }
            halve_test(&mut splits, &mut origins);
        }
        Ok((splits, origins))
    }
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
