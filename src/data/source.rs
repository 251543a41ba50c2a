//! Where a data set comes from: the `[data]` section of a recipe.

use super::cifar::{self, Cifar};
use super::images::{self, Color, Form};
use super::table::{Delimiter, Missing, Table, TargetKind};
use super::tensors::Tensors;
use super::{Dataset, Parts, Scale, Splits, Targets, idx, split};
use crate::array::Array;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The form in which data is stored.
///
/// ```
/// use neural::data::Format;
/// assert_eq!(Format::detect("data/mnist".as_ref()), Some(Format::Idx));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// A folder with the four files of MNIST or its likes: [`idx::mnist`].
    Idx,
    /// A delimited table: [`Table`].
    Table,
    /// A folder of PNG and JPEG files by class: [`images::folder`].
    Images,
    /// A folder with the binary version of CIFAR-10: [`cifar::read`].
    Cifar10,
    /// A folder with the binary version of CIFAR-100: [`cifar::read`].
    Cifar100,
    /// An NPZ archive, or a folder of NPY files.
    Npy,
    /// A safetensors file.
    Safetensors,
}

impl Format {
    /// The format of what lies at `path`, told by its name or by what the folder holds; `None` when nothing
    /// tells.
    ///
    /// ```
    /// use neural::data::Format;
    /// assert_eq!(Format::detect("pizza.csv".as_ref()), Some(Format::Table));
    /// assert_eq!(Format::detect("pizza".as_ref()), None);
    /// ```
    pub fn detect(path: &Path) -> Option<Self> {
        let holds = |name: &str| path.join(name).exists();
        let ends = |path: &Path, endings: &[&str]| {
            path.extension().is_some_and(|e| endings.iter().any(|ending| e.eq_ignore_ascii_case(ending)))
        };
        if !path.is_dir() {
            let known: [(Format, &[&str]); 3] = [
                (Format::Table, &["csv", "tsv", "txt", "tab", "dat"]),
                (Format::Npy, &["npz", "npy"]),
                (Format::Safetensors, &["safetensors"]),
            ];
            return known.iter().find(|(_, endings)| ends(path, endings)).map(|(format, _)| *format);
        }
        if holds("data_batch_1.bin") {
            return Some(Format::Cifar10);
        }
        if holds("train.bin") {
            return Some(Format::Cifar100);
        }
        let entries: Vec<PathBuf> =
            path.read_dir().ok()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
        let named = |start: &str| {
            entries
                .iter()
                .any(|p| p.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(start.as_bytes())))
        };
        if named("train-images") || named("t10k-images") {
            return Some(Format::Idx);
        }
        if entries.iter().any(|entry| ends(entry, &["npy"])) {
            return Some(Format::Npy);
        }
        entries.iter().any(|entry| entry.is_dir()).then_some(Format::Images)
    }
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
    pub path: PathBuf,

    /// `table`: the column to predict, the last if none is named. `npy`, `safetensors`: the tensor, `y` if
    /// none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// `table`, `npy`, `safetensors`: told by the target's values if not here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_kind: Option<TargetKind>,
    /// The class to be told from all others, which become one; see [`Targets::one_vs_rest`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one_vs_rest: Option<String>,
    /// `npy`, `safetensors`: the tensor of inputs, `x` if none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<String>,
    /// `table`: told by the header if not here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<Delimiter>,
    /// `table`: columns of numbers that are names all the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categorical: Vec<String>,
    /// `table`: columns to leave out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<String>,
    /// `table`: what becomes of missing values.
    #[serde(default, skip_serializing_if = "is_default")]
    pub missing: Missing,
    /// `images`: height and width to resize to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<[usize; 2]>,
    /// `images`: as they are stored if not here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<Color>,

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
    /// Whether every class is split in the same proportion.
    #[serde(default, skip_serializing_if = "is_default")]
    pub stratify: bool,
    /// What the split depends on.
    #[serde(default, skip_serializing_if = "is_default")]
    pub seed: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    pub scale: Scale,
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
            target: None,
            target_kind: None,
            one_vs_rest: None,
            inputs: None,
            delimiter: None,
            categorical: Vec::new(),
            ignore: Vec::new(),
            missing: Missing::default(),
            size: None,
            color: None,
            test_fraction: None,
            validation_fraction: None,
            folds: None,
            fold: 0,
            stratify: false,
            seed: 0,
            scale: Scale::default(),
        }
    }

    /// Reads, splits and scales.
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
        self.check_keys()?;
        let path = self.path.as_path();
        let form = Form { size: self.size, color: self.color };
        let (inputs, targets, parts) = match self.format {
            Format::Table => return self.load_table(),
            Format::Idx => idx::load(path)?,
            Format::Images => images::load(path, form)?,
            Format::Cifar10 => cifar::load(path, Cifar::Ten)?,
            Format::Cifar100 => cifar::load(path, Cifar::Hundred)?,
            Format::Npy => self.load_tensors(Tensors::npy(path)?)?,
            Format::Safetensors => self.load_tensors(Tensors::safetensors(path)?)?,
        };
        let targets = self.choose(targets)?;
        let splits = self.split(&targets, parts)?;
        let in_file = |e: Error| Error::format(path, e.to_string());
        Dataset::new(inputs, targets, splits).and_then(|data| data.scaled(self.scale)).map_err(in_file)
    }

    fn load_tensors(&self, tensors: Tensors) -> Result<(Array, Targets, Parts)> {
        let inputs = self.inputs.as_deref().unwrap_or("x");
        tensors.load(inputs, self.target.as_deref().unwrap_or("y"), self.target_kind)
    }

    fn load_table(&self) -> Result<Dataset> {
        let table = Table::read(&self.path, self.delimiter)?;
        let last = table.header().last().map_or("", String::as_str);
        let target = self.target.as_deref().unwrap_or(last);
        let targets = self.choose(table.targets(target, self.target_kind)?)?;
        let splits = self.split(&targets, Parts::undivided(table.rows()))?;
        let columns = table.features(target, &self.categorical, &self.ignore, self.missing, &splits.train)?;
        let in_file = |e: Error| Error::format(&self.path, e.to_string());
        let data = Dataset::new(table.encode(&columns)?, targets, splits).map_err(in_file)?;
        Dataset { columns, ..data }.scaled(self.scale).map_err(in_file)
    }

    fn choose(&self, targets: Targets) -> Result<Targets> {
        match &self.one_vs_rest {
            Some(class) => targets.one_vs_rest(class),
            None => Ok(targets),
        }
    }

    /// Refuses keys that have no meaning for the format or without another key.
    fn check_keys(&self) -> Result<()> {
        use Format::{Images, Npy, Safetensors, Table};
        let uses: [(&str, bool, &[Format]); 8] = [
            ("target", self.target.is_some(), &[Table, Npy, Safetensors]),
            ("target_kind", self.target_kind.is_some(), &[Table, Npy, Safetensors]),
            ("inputs", self.inputs.is_some(), &[Npy, Safetensors]),
            ("delimiter", self.delimiter.is_some(), &[Table]),
            ("categorical", !self.categorical.is_empty(), &[Table]),
            ("ignore", !self.ignore.is_empty(), &[Table]),
            ("missing", !is_default(&self.missing), &[Table]),
            ("size", self.size.is_some(), &[Images]),
        ];
        let color = ("color", self.color.is_some(), &[Images][..]);
        for (key, given, formats) in uses.into_iter().chain([color]) {
            if given && !formats.contains(&self.format) {
                let expected = format!("a format that uses it, one of {formats:?}").to_lowercase();
                return Err(Error::value(key, expected, format!("{:?}", self.format).to_lowercase()));
            }
        }
        if self.fold > 0 && self.folds.is_none() {
            return Err(Error::value("fold", "the number of folds as well", self.fold));
        }
        if self.folds.is_some() && self.validation_fraction.is_some() {
            return Err(Error::value("folds", "no validation_fraction beside it", "both"));
        }
        Ok(())
    }

    fn split(&self, targets: &Targets, parts: Parts) -> Result<Splits> {
        let labels = match (self.stratify, targets.labels()) {
            (false, _) => None,
            (true, Some(labels)) => Some(labels),
            (true, None) => return Err(Error::value("stratify", "targets that are classes", "values")),
        };
        let mut splits = parts.splits();
        if let Some(fraction) = self.test_fraction {
            if parts.is_divided() {
                let expected = "no such key, as the data has test or validation rows of its own";
                return Err(Error::value("test_fraction", expected, fraction));
            }
            (splits.train, splits.test) =
                split::fraction("test_fraction", &splits.train, labels, fraction, self.seed)?;
        }
        if self.validation_fraction.is_none() && self.folds.is_none() {
            return Ok(match self.format {
                Format::Idx | Format::Cifar10 | Format::Cifar100 => parts.halved(),
                _ => splits,
            });
        }
        if parts.validation > 0 {
            let key = if self.folds.is_some() { "folds" } else { "validation_fraction" };
            let expected = "no such key, as the data has validation rows of its own";
            return Err(Error::value(key, expected, "it"));
        }
        if let Some(fraction) = self.validation_fraction {
            (splits.train, splits.validation) =
                split::fraction("validation_fraction", &splits.train, labels, fraction, self.seed)?;
        }
        if let Some(folds) = self.folds {
            (splits.train, splits.validation) =
                split::k_fold(&splits.train, labels, folds, self.fold, self.seed)?;
        }
        Ok(splits)
    }
}
