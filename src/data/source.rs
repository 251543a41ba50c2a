//! The source of a data set: the `[data]` section of a recipe.

use super::columns::{Column, DateOrder, Decimal, Delimiter, Kind, Missing, Thousands, Unknown};
use super::images::{Background, Color};
use super::load::Inputs;
use super::targets::TargetKind;
use super::tensors::Layout;
use super::{
    Dataset, Format, Ignored, Origins, Parts, Scale, SplitOrder, Splits, Targets, Validation, split,
};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The kind of targets that a loss takes. It decides how the targets in a file are read if the recipe has no `target_kind`.
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

/// Declares [`Source`] from the table of its keys. The text before a key is its row in docs/recipes.md; `of` lists the
/// formats that it applies to, if not all.
macro_rules! source {
    (
        $(#[$attribute:meta])*
        pub struct Source {
            $(
                $(#[doc = $doc:literal])+
                $key:ident: $Type:ty $(, of $($format:ident)+)?;
            )+
        }
    ) => {
        $(#[$attribute])*
        pub struct Source {
            /// The form in which the data is stored.
            pub format: Format,
            /// The file or folder, of a table also a pattern such as `data/*.csv`.
            #[serde(alias = "train")]
            pub path: PathBuf,
            $(
                $(#[doc = $doc])+
                #[serde(default, skip_serializing_if = "is_default")]
                pub $key: $Type,
            )+
        }

        impl Source {
            /// Each key with its documentation.
            #[cfg(test)]
            pub(crate) const REFERENCE: &'static [(&'static str, &'static str)] =
                &[$((stringify!($key), concat!($($doc),+))),+];

            /// The defaults of everything but format and path.
            pub fn new(format: Format, path: impl Into<PathBuf>) -> Self {
                Self { format, path: path.into(), $($key: <$Type>::default(),)+ }
            }

            /// The keys that apply only to some formats: their names, whether they are set, and their formats.
            fn uses(&self) -> impl Iterator<Item = (&'static str, bool, &'static [Format])> {
                [$($((stringify!($key), !is_default(&self.$key), &[$(Format::$format),+] as &[Format]),)?)+].into_iter()
            }
        }
    };
}

source! {
    /// The source of a data set, with its splits and scaling: the section `[data]` of a recipe.
    ///
    /// A key that does not apply to the format is refused when the data is loaded.
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
        /// of `table`: the file of the test rows; `validation` may name one, too. `path` is then that of the training
        /// rows, and may be written `train`
        test: Option<PathBuf>, of Table;
        /// `none`, `unit` (to 0..1), `standardize` (one mean and deviation), `standardize-features` (one of each a
        /// feature); fitted on the training rows alone and saved with the model
        scale: Scale;
        /// of several inputs the `scale` of some by their names, `{ picture = "unit" }`
        scales: BTreeMap<String, Scale>;
        /// the same as `scale` for targets that are values, each output by itself: the loss is of scaled targets, while
        /// predictions, figures and exported models keep the targets' own unit. A network that starts near 0 takes long
        /// to reach prices of 300,000 without it
        scale_target: Scale;
        /// `true` leaves the inputs on the disk and reads rows as they are needed, for data larger than memory; targets are
        /// in memory. See Data larger than memory below
        on_disk: bool, of Idx Images Cifar10 Cifar100 Npy Safetensors;
        /// the part of the rows to test with, where the data has no test rows of its own; see Splits below
        test_fraction: Option<f64>;
        /// the part of the rows that are not for the test to validate with
        validation_fraction: Option<f64>;
        /// cross-validation in place of `validation_fraction`: how many folds
        folds: Option<usize>;
        /// which of the folds validates, from 0
        fold: usize;
        /// `half-of-test` makes the first half of the data's own test rows the validation rows; of `table`, also their file
        validation: Option<Validation>;
        /// `random`, or `ordered`: the fractions take the last rows, test rows last
        split: SplitOrder;
        /// `true` splits every class in the same proportion
        stratify: bool;
        /// what the split depends on
        seed: u64;
        /// the column to predict (`table`; the last one if absent), or the tensor of targets (`npy`, `safetensors`; `y`).
        /// `"inputs"` trains on the inputs themselves, as an autoencoder does, `"next"` on the token after each one: see
        /// Targets below
        target: Option<String>, of Table Npy Safetensors;
        /// several columns or tensors in place of `target`, each for one of `train.objectives`
        targets: Vec<String>, of Table Npy Safetensors;
        /// a whole number, such as 255, or `"nan"`, that stands where there is no target: see Targets below
        ignored: Option<Ignored>, of Npy Safetensors;
        /// `class` or `value`; told by the loss if absent, see Targets below
        target_kind: Option<TargetKind>, of Table Npy Safetensors;
        /// the class to be told from all others, which become one
        one_vs_rest: Option<String>;
        /// how many characters a row of `text` has; 64 if absent
        length: Option<usize>, of Text;
        /// what pads short rows: with `target = "next"` a token id; for sequences of numbers the number, or `"nan"`,
        /// that all features of a padded position have: see Padding below
        padding: Option<Ignored>;
        /// the tensor of inputs (`npy`, `safetensors`; `x`). Several inputs are a list of tensors, `["picture", "size"]`,
        /// or of a table the columns of each, `{ house = ["rooms", "area"], place = ["lat", "lon"] }`: see Nodes below
        inputs: Option<Inputs>, of Table Npy Safetensors;
        /// of pictures in `npy`, `safetensors`: `nhwc`, or `nchw` for `[n, channels, height, width]`; asked for where
        /// they look like it
        layout: Option<Layout>, of Npy Safetensors;
        /// `comma`, `semicolon`, `tab`, `pipe` or `whitespace`; found from the first lines if absent
        delimiter: Option<Delimiter>, of Table;
        /// `true` if the first line holds the columns' names, `false` if it is a row; decided by the rows below it if
        /// absent, see Tables below
        header: Option<bool>, of Table;
        /// `"."` or `","` before the fraction of all numbers; each column tells it if neither this nor `thousands` is
        /// set
        decimal: Option<Decimal>, of Table;
        /// `","`, `"."`, `" "`, `"'"` or `"_"` between the thousands of all numbers
        thousands: Option<Thousands>, of Table;
        /// `day-first` or `month-first`, for dates such as 03/04/2024
        dates: Option<DateOrder>, of Table;
        /// kinds of columns, in a section of its own: see Columns below
        columns: BTreeMap<String, Kind>, of Table;
        /// of a database, the name of the table; neither this nor `query` where there is one table
        table: Option<String>, of Table;
        /// of a database, an SQL query in place of a table's name
        query: Option<String>, of Table;
        /// a column that is not a feature and is repeated beside each prediction
        id: Option<String>, of Table;
        /// columns of numbers to read as names
        categorical: Vec<String>, of Table;
        /// columns to leave out
        ignore: Vec<String>, of Table;
        /// what fills missing values: `mean`, `median` or `{ constant = 0.0 }`; `refuse` if absent
        missing: Missing, of Table;
        /// how names that no training row has are treated: `unknown` (the default) counts them and gives them no
        /// feature, `refuse` makes them an error
        unknown: Unknown, of Table;
        /// of `images`: `[height, width]` to resize them to
        size: Option<[usize; 2]>, of Images;
        /// of `images`: `gray` or `rgb`; as they are stored if absent
        color: Option<Color>, of Images;
        /// of `images`: the colour behind transparent pixels: `white`, `black` or `{ color = [255, 0, 0] }`
        background: Background, of Images;
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Source {
    /// The same without keys that split: all rows are one part, unless the data itself is divided.
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

    /// [`Source::load_for`] without a task: the values of the targets tell their kind.
    ///
    /// # Errors
    /// When a key does not apply to the format, the files are invalid, or the rows cannot be split as requested.
    pub fn load(&self) -> Result<Dataset> {
        self.load_for(None)
    }

    /// Reads, splits and scales, with targets that a loss for this task takes.
    ///
    /// # Errors
    /// As [`Source::load`], and when the targets do not suit the task.
    pub fn load_for(&self, task: Option<Task>) -> Result<Dataset> {
        self.load_tasks(&|_| task)
    }

    /// The data set in a table with the features that a model was trained on. `target_kind` must give the kind of the
    /// targets.
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
        self.load_table(task, Some(columns))
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
        for (key, is_given, formats) in self.uses() {
            // All formats allow a target that is made of the inputs.
            let is_made = key == "target" && self.made().is_some();
            if is_given && !is_made && !formats.contains(&self.format) {
                let expected = format!("a format that uses it, one of {formats:?}").to_lowercase();
                return Err(Error::value(key, expected, format!("{:?}", self.format).to_lowercase()));
            }
        }
        if let (Some(Validation::File(path)), false) = (&self.validation, self.format == Format::Table) {
            let expected = format!("{}, as only tables have files for their parts", split::HALF_OF_TEST);
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

    /// The division of the rows, and where each part comes from.
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
            split::halve_test(&mut splits, &mut origins);
        }
        Ok((splits, origins))
    }
}
