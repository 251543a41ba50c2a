//! A training run as a file: data, model, training.

use crate::data::{Dataset, LastBatch, Source, Task};
use crate::error::{Error, Result};
use crate::file;
use crate::loss::Loss;
use crate::metric::Metric;
use crate::named;
use crate::nn::Sequential;
use crate::optim::{Average, Group, Optimizer, Rule};
use crate::train::{Augment, EarlyStopping, Monitor, Trainer};
use serde::{Deserialize, Serialize};
use std::path::{Component, Path, PathBuf};

/// Everything that a training run depends on but the device.
///
/// ```
/// use neural::recipe::Recipe;
/// let recipe = Recipe::parse(r#"
///     [data]
///     format = "idx"
///     path = "data/mnist"
///     scale = "standardize"
///
///     [model]
///     layers = ["flatten", { dense = 128 }, "sigmoid", { dense = 10 }]
///
///     [train]
///     loss = "softmax-cross-entropy"
///     optimizer = { sgd = { learning_rate = 1.0 } }
///     batch_size = 256
///     epochs = 10
/// "#, "recipe.toml".as_ref())?;
/// assert_eq!(recipe.trainer().batch_size, 256);
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    pub data: Source,
    pub model: Model,
    pub train: Train,
}

/// ```
/// # let recipe = neural::recipe::Recipe::read("scripts/recipes/mnist.toml".as_ref(), &[])?;
/// assert!(!recipe.model.layers.is_empty());
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    pub layers: Sequential,
}

/// See [`Trainer`] and [`Optimizer`] for what the keys mean.
///
/// ```
/// # let recipe = neural::recipe::Recipe::read("scripts/recipes/mnist.toml".as_ref(), &[])?;
/// assert_eq!((recipe.train.batch_size, recipe.train.seed), (256, 1));
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Train {
    pub loss: Loss,
    pub optimizer: Rule,
    #[serde(default = "batch_size")]
    pub batch_size: usize,
    #[serde(default = "epochs")]
    pub epochs: u64,
    #[serde(default)]
    pub last_batch: LastBatch,
    #[serde(default = "yes")]
    pub shuffle: bool,
    #[serde(default)]
    pub balance: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub augment: Vec<Augment>,
    #[serde(default)]
    pub stream: bool,
    #[serde(default = "seed")]
    pub seed: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_value: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    #[serde(default)]
    pub l1: f64,
    #[serde(default = "one")]
    pub accumulate: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average: Option<Average>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Group>,
    /// The paths of what is not trained.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub freeze: Vec<String>,
    #[serde(default)]
    pub mixed_precision: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps_per_call: Option<usize>,
    /// The figures of the validation rows that each epoch is reported with; the task's usual ones if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
    /// The probability above which the second of two classes, or a label, counts as predicted.
    #[serde(default = "half", skip_serializing_if = "is_half")]
    pub threshold: f64,
    /// By what the best epoch is chosen; the validation loss, or without validation rows the loss, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitor: Option<Monitor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early_stopping: Option<EarlyStopping>,
    /// After so many seconds the state is kept on disk, and at the end in any case.
    #[serde(default = "checkpoint_seconds")]
    pub checkpoint_seconds: f64,
    /// After each epoch its state is kept as `epoch-N.safetensors`, and of these the last so many; 0 keeps none.
    #[serde(default)]
    pub keep_checkpoints: usize,
}

/// Bytes of a recipe; a longer file is something else.
const LONGEST: usize = 1 << 24;

fn batch_size() -> usize {
    32
}

fn epochs() -> u64 {
    10
}

fn seed() -> u64 {
    1
}

fn checkpoint_seconds() -> f64 {
    10.0
}

fn one() -> usize {
    1
}

fn half() -> f64 {
    0.5
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_half(value: &f64) -> bool {
    *value == 0.5
}

fn yes() -> bool {
    true
}

impl Recipe {
    /// Reads a recipe in which keys are replaced, see [`Recipe::with_settings`]. A relative path of the data is taken
    /// from the recipe's folder, one in the settings from the current folder.
    ///
    /// ```
    /// use neural::recipe::Recipe;
    /// let settings = ["train.epochs=3".to_string()];
    /// let recipe = Recipe::read("scripts/recipes/mnist.toml".as_ref(), &settings)?;
    /// assert_eq!(recipe.train.epochs, 3);
    /// assert_eq!(recipe.data.path, std::path::Path::new("data/mnist"));
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the file cannot be read or is not a recipe; the error names the line, the key and what was expected.
    pub fn read(path: &Path, settings: &[String]) -> Result<Self> {
        let text = file::read_text("read the recipe", path, LONGEST)?;
        let mut recipe = Self::with_settings(&text, path, settings)?;
        let sets_path = |setting: &String| {
            setting.split_once('=').is_some_and(|(key, _)| ["data", "data.path"].contains(&key.trim()))
        };
        if let (Some(folder), false) = (path.parent(), settings.iter().any(sets_path)) {
            recipe.data.path = join(folder, &recipe.data.path);
        }
        Ok(recipe)
    }

    /// A recipe from its text; `path` is for messages.
    ///
    /// ```
    /// use neural::recipe::Recipe;
    /// let error = Recipe::parse("[data]\nformat = 'idx'\npaths = 'x'", "r.toml".as_ref()).unwrap_err();
    /// assert!(error.to_string().starts_with("r.toml: line 3: "));
    /// ```
    ///
    /// # Errors
    /// As [`Recipe::read`].
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        toml::from_str(text).map_err(|error| describe(&error, text, path))
    }

    /// A recipe in which keys are replaced: each of `settings` is `section.key=value`, the value written as in the file.
    ///
    /// ```
    /// # let recipe = neural::recipe::Recipe::read("scripts/recipes/mnist.toml".as_ref(), &[])?;
    /// use neural::recipe::Recipe;
    /// let text = recipe.to_toml()?;
    /// let wider = Recipe::with_settings(&text, "r.toml".as_ref(), &["train.seed=7".into()])?;
    /// assert_eq!(wider.train.seed, 7);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Recipe::read`], and when a setting is not of that form.
    pub fn with_settings(text: &str, path: &Path, settings: &[String]) -> Result<Self> {
        if settings.is_empty() {
            return Self::parse(text, path);
        }
        let mut table: toml::Table = toml::from_str(text).map_err(|error| describe(&error, text, path))?;
        for setting in settings {
            set(&mut table, setting)?;
        }
        // Written out and read again, so that an error names the key as it stands after the change.
        let text = toml::to_string(&table).map_err(|error| Error::format(path, error.to_string()))?;
        toml::from_str(&text).map_err(|error| match settings {
            [one] => Error::value(format!("--set {one}"), "a recipe", one_line(error.message())),
            _ => Error::value("--set", "a recipe", one_line(error.message())),
        })
    }

    /// The recipe as a file.
    ///
    /// ```
    /// # let recipe = neural::recipe::Recipe::read("scripts/recipes/mnist.toml".as_ref(), &[])?;
    /// assert_eq!(neural::recipe::Recipe::parse(&recipe.to_toml()?, "r.toml".as_ref())?, recipe);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When a value cannot be written as TOML.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|error| Error::value("recipe", "values that TOML can hold", error))
    }

    /// Reads the data, with targets that the loss takes.
    ///
    /// ```
    /// # let recipe = neural::recipe::Recipe::read("scripts/recipes/mnist.toml".as_ref(), &[])?;
    /// assert_eq!(recipe.load()?.classes(), Some(10));
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Source::load_for`].
    pub fn load(&self) -> Result<Dataset> {
        self.data.load_for(Some(self.task()))
    }

    /// What the loss takes as targets.
    ///
    /// ```
    /// # let recipe = neural::recipe::Recipe::read("scripts/recipes/mnist.toml".as_ref(), &[])?;
    /// assert_eq!(recipe.task(), neural::data::Task::Classes);
    /// # Ok::<(), neural::Error>(())
    /// ```
    pub fn task(&self) -> Task {
        match self.train.loss {
            Loss::SoftmaxCrossEntropy(_) | Loss::Hinge => Task::Classes,
            Loss::SigmoidCrossEntropy(_) => Task::Labels,
            Loss::MeanSquaredError | Loss::MeanAbsoluteError | Loss::Huber(_) => Task::Values,
        }
    }

    /// ```
    /// # let recipe = neural::recipe::Recipe::read("scripts/recipes/mnist.toml".as_ref(), &[])?;
    /// assert_eq!(recipe.trainer().epochs, recipe.train.epochs);
    /// # Ok::<(), neural::Error>(())
    /// ```
    pub fn trainer(&self) -> Trainer {
        let train = self.train.clone();
        let optimizer = Optimizer {
            rule: train.optimizer,
            clip_value: train.clip_value,
            clip_norm: train.clip_norm,
            l1: train.l1,
            accumulate: train.accumulate,
            average: train.average,
            groups: train.groups,
            freeze: train.freeze,
        };
        Trainer {
            model: self.model.layers.clone(),
            loss: train.loss,
            optimizer,
            batch_size: train.batch_size,
            epochs: train.epochs,
            last_batch: train.last_batch,
            shuffle: train.shuffle,
            balance: train.balance,
            augment: train.augment,
            stream: train.stream,
            seed: train.seed,
            mixed_precision: train.mixed_precision,
            devices: 1,
            steps_per_call: train.steps_per_call,
            metrics: train.metrics,
            threshold: train.threshold,
        }
    }
}

/// `path` as seen from `folder`, without the detours through `..` that it is safe to leave out: not those that lead
/// through links.
fn join(folder: &Path, path: &Path) -> PathBuf {
    let mut joined = folder.to_path_buf();
    for part in path.components() {
        let is_folder = |path: &Path| path.symlink_metadata().is_ok_and(|data| data.is_dir());
        match part {
            Component::ParentDir if joined.file_name().is_some() && is_folder(&joined) => {
                joined.pop();
            }
            Component::CurDir => {}
            // An absolute path begins anew.
            part => joined.push(part),
        }
    }
    joined
}

/// How many names the key of a setting may have. Tables that lie much deeper than any recipe's would be written and dropped
/// by as many calls one inside the other.
const DEEPEST: usize = 32;

/// Puts the value of `a.b=value` into the table, making tables on the way.
pub(crate) fn set(table: &mut toml::Table, setting: &str) -> Result<()> {
    let form = || Error::value("--set", "section.key=value", setting);
    let (path, value) = setting.split_once('=').ok_or_else(form)?;
    // What is not a value of TOML's is taken as a string, so that quotes need not be quoted in a shell.
    let value = toml::from_str::<toml::Table>(&format!("value = {value}"))
        .ok()
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| toml::Value::String(value.to_string()));
    let mut keys: Vec<&str> = path.split('.').map(str::trim).collect();
    if keys.len() > DEEPEST {
        let got = format!("{} that begin with {}", keys.len(), keys[..3].join("."));
        return Err(Error::value("--set", format!("a key of at most {DEEPEST} names"), got));
    }
    let last = keys.pop().filter(|key| !key.is_empty()).ok_or_else(form)?;
    let mut at = table;
    for key in keys {
        let next = at.entry(key).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        if !next.is_table() {
            *next = toml::Value::Table(toml::Table::new());
        }
        at = next.as_table_mut().ok_or_else(form)?;
    }
    at.insert(last.to_string(), value);
    Ok(())
}

/// An error of the TOML reader, with its line and, for an unknown key, the nearest known one.
fn describe(error: &toml::de::Error, text: &str, path: &Path) -> Error {
    let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    let place = line.map_or_else(String::new, |line| format!("line {line}: "));
    Error::format(path, format!("{place}{}", one_line(error.message())))
}

fn one_line(message: &str) -> String {
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    match &quoted[..] {
        [unknown, known @ ..] if message.starts_with("unknown field") && !known.is_empty() => {
            named::unknown("a key here", unknown, known)
        }
        _ => ["usize", "u64"].iter().fold(message, |message, kind| {
            message.replace(&format!("expected {kind}"), "expected a whole number of at least 0")
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::named::Named;
    use crate::nn::Layer;
    use crate::optim::Schedule;

    const REFERENCE: &str = include_str!("../docs/recipes.md");

    #[test]
    fn the_recipes_of_the_documents_are_recipes() {
        let documents = [("docs/recipes.md", REFERENCE), ("README.md", include_str!("../README.md"))];
        let mut count = 0;
        for (name, text) in documents {
            for block in text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()) {
                Recipe::parse(block, Path::new(name)).unwrap();
                count += 1;
            }
        }
        assert!(count >= 2);
    }

    #[test]
    fn the_reference_names_everything_that_can_be_named() {
        let names = [Layer::NAMES, Loss::NAMES, Rule::NAMES, Schedule::NAMES, Augment::NAMES].concat();
        let written =
            |name: &str| [" ", "`"].iter().any(|before| REFERENCE.contains(&format!("{before}{name}")));
        let missing: Vec<_> = names.iter().filter(|name| !written(name)).collect();
        assert!(missing.is_empty(), "{missing:?}");
        // Every key that a recipe can have, as it is written out.
        let full = Recipe::parse(
            REFERENCE.rsplit("```toml\n").next().unwrap().split("```").next().unwrap(),
            Path::new(""),
        )
        .unwrap();
        let table: toml::Table = toml::from_str(&full.to_toml().unwrap()).unwrap();
        for section in ["data", "train"] {
            for key in table[section].as_table().unwrap().keys() {
                assert!(REFERENCE.contains(&format!("`{key}`")), "{section}.{key}");
            }
        }
    }

    #[test]
    fn no_depth_is_too_deep_for_a_sentence() {
        let text = "[data]\nformat = 'idx'\npath = 'x'\n";
        for n in [DEEPEST, DEEPEST + 1, 100_000] {
            let nested = |open: &str, close: &str| format!("{}1{}", open.repeat(n), close.repeat(n));
            for setting in [
                format!("{}a=1", "a.".repeat(n)),
                format!("train.seed={}", nested("[", "]")),
                format!("train.seed={}", nested("{ a = ", " }")),
            ] {
                let error =
                    Recipe::with_settings(text, Path::new("r.toml"), &[setting]).unwrap_err().to_string();
                assert!(!error.is_empty());
            }
            for value in [nested("[", "]"), nested("{ a = ", " }")] {
                let error = Recipe::parse(&format!("{text}size = {value}"), Path::new("r.toml")).unwrap_err();
                assert!(error.to_string().starts_with("r.toml: "), "{error}");
            }
            let tables = format!("{text}[{}a]", "a.".repeat(n));
            assert!(Recipe::parse(&tables, Path::new("r.toml")).is_err());
        }
        let long =
            Recipe::with_settings(text, Path::new("r.toml"), &[format!("{}a=1", "a.".repeat(100_000))]);
        assert!(long.unwrap_err().to_string().len() < 200);
    }

    #[test]
    fn unknown_keys_are_refused_at_every_depth() {
        let recipe = |optimizer: &str, layer: &str| {
            let text = format!(
                "[data]\nformat = 'idx'\npath = 'x'\n[model]\nlayers = [{layer}]\n[train]\nloss = 'hinge'\noptimizer = {optimizer}\n"
            );
            Recipe::parse(&text, Path::new("r.toml"))
        };
        assert!(recipe("{ sgd = { learning_rate = 1 } }", "{ dense = 3 }").is_ok());
        for (optimizer, layer) in [
            ("{ sgd = { learning_rate = 1, momentun = 0.9 } }", "'relu'"),
            ("{ sgd = { learning_rate = { cosine = { initial = 1, steps = 2, end = 0 } } } }", "'relu'"),
            ("{ sgd = { learning_rate = 1 } }", "{ dense = { unit = 3 } }"),
            ("{ sgd = { learning_rate = 1 } }", "{ conv = { filters = 3, kernal = [3, 3] } }"),
        ] {
            let error = recipe(optimizer, layer).unwrap_err().to_string();
            assert!(error.starts_with("r.toml: line "), "{error}");
        }
    }
}
