//! A training run as a file: data, model and training settings.

use crate::data::{Dataset, Source, Task};
use crate::error::{Error, Result};
use crate::export::{weights, weights_of};
use crate::file;
use crate::loss::{Loss, Outputs, softmax_cross_entropy};
use crate::optim::{Group, Optimizer};
use crate::train::Trainer;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

mod messages;
mod model;
mod read;
mod settings;
mod suggest;
#[cfg(test)]
mod tests;
mod train;

use messages::{malformed, not_a_recipe};
pub use model::{Model, Objective};
pub(crate) use read::source_with_settings;
use read::{in_settings, read};
use settings::set;
pub use suggest::{Suggestion, suggest};
pub use train::Train;

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
    /// The section `[data]`.
    pub data: Source,
    /// The section `[model]`.
    pub model: Model,
    /// The section `[train]`.
    pub train: Train,
}

/// Bytes of a recipe; a longer file is something else.
const LONGEST: usize = 1 << 24;

impl Recipe {
    /// Reads a recipe and replaces keys, see [`Recipe::with_settings`]. Relative paths of data and weights are resolved
    /// against the recipe's folder, paths in the settings against the current folder.
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
    /// When the file cannot be read or is not a recipe; the error names the line, the key and the expected value.
    pub fn read(path: &Path, settings: &[String]) -> Result<Self> {
        if let Some(message) = not_a_recipe(path) {
            return Err(Error::format(path, message));
        }
        let text = file::read_text("read the recipe", path, LONGEST)?;
        let mut recipe = Self::with_settings(&text, path, settings)?;
        let Some(folder) = path.parent() else { return Ok(recipe) };
        let sets = |section: &str, key: &str| {
            let mut keys = settings.iter().filter_map(|setting| Some(setting.split_once('=')?.0.trim()));
            keys.any(|set| set == section || set.split_once('.') == Some((section, key)))
        };
        for (key, file) in recipe.data.files_mut() {
            if !(sets("data", key) || (key == "path" && sets("data", "train"))) {
                *file = join(folder, file);
            }
        }
        if let (Some(from), false) = (&recipe.model.from, sets("model", "from")) {
            recipe.model.from = Some(join(folder, from));
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
        let mut recipe = read(text, text).map_err(|mistake| Error::format(path, mistake.to_string()))?;
        model::find_lines(&mut recipe, text, Some(path));
        Ok(recipe)
    }

    /// Reads a recipe and replaces keys: each of `settings` is `section.key=value`, the value written as in the file,
    /// or `-section.key`, which drops the key. A number is a place in a list: `model.layers.1.dense=32`.
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
        let mut table: toml::Table =
            toml::from_str(text).map_err(|error| Error::format(path, malformed(&error, text).to_string()))?;
        // So that a setting of either name replaces the other.
        one_path(&mut table);
        for setting in settings {
            set(&mut table, setting)?;
        }
        one_path(&mut table);
        // Written and read again, so that an error names the key after the change.
        let changed = toml::to_string(&table).map_err(|error| Error::format(path, error.to_string()))?;
        let mut recipe = read(&changed, text).map_err(|mistake| in_settings(mistake, path, settings, ""))?;
        model::find_lines(&mut recipe, text, Some(path));
        Ok(recipe)
    }

    /// The recipe as a file.
    ///
    /// # Errors
    /// When a value cannot be written as TOML.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|error| Error::value("recipe", "values that TOML can hold", error))
    }

    /// Reads the data, with targets that the loss takes.
    ///
    /// # Errors
    /// As [`Source::load_for`].
    pub fn load(&self) -> Result<Dataset> {
        let tasks = self.tasks();
        self.data.load_tasks(&|target| tasks.get(target).copied())
    }

    /// The kind of targets that the loss takes; of several objectives, the first one's.
    pub fn task(&self) -> Task {
        self.first_loss().map_or(Task::Values, task)
    }

    fn first_loss(&self) -> Option<&Loss> {
        let of_objectives = self.train.objectives.values().map(|objective| &objective.loss);
        self.train.loss.iter().chain(of_objectives).next()
    }

    /// The kind of targets that each loss takes; the name of an only target is empty.
    pub fn tasks(&self) -> BTreeMap<String, Task> {
        let train = &self.train;
        let of_objective = |objective: &Objective| (objective.target.clone(), task(&objective.loss));
        let mut tasks: BTreeMap<String, Task> = train.objectives.values().map(of_objective).collect();
        if self.data.targets.is_empty() {
            // An objective may name the only target or leave that out.
            tasks.extend(self.first_loss().map(|loss| (String::new(), task(loss))));
        }
        tasks
    }

    /// The trainer, with the weights of `model.from` to begin with.
    ///
    /// # Errors
    /// When the file is missing or does not fit the model.
    pub fn trainer_on(&self, data: &Dataset) -> Result<Trainer> {
        let mut trainer = self.trainer();
        if let Some(from) = &self.model.from {
            let description = trainer.describe(data)?;
            trainer.begin = match &self.model.zoo {
                Some(zoo) => weights_of(zoo, from, &self.model.rename, &description)?,
                None => weights(from, &self.model.rename, &description)?,
            };
        }
        Ok(trainer)
    }

    /// A group for each part of the model that the group of the recipe names.
    fn groups(&self, group: &Group) -> Vec<Group> {
        let of = |name: String| Group { name, ..group.clone() };
        self.model.paths(&group.name).into_iter().map(of).collect()
    }

    /// The trainer that the recipe describes, without the weights that it may begin with.
    pub fn trainer(&self) -> Trainer {
        let model = self.model.network(&self.train);
        let train = self.train.clone();
        let optimizer = Optimizer {
            clip_value: train.clip_value,
            clip_norm: train.clip_norm,
            l1: train.l1,
            accumulate: train.accumulate,
            average: train.average,
            groups: train.groups.iter().flat_map(|group| self.groups(group)).collect(),
            freeze: train.freeze.iter().flat_map(|path| self.model.paths(path)).collect(),
            freeze_epochs: train.freeze_epochs,
            ..train.optimizer.into()
        };
        Trainer {
            model,
            begin: Vec::new(),
            goals: train.objectives.iter().map(|(name, objective)| objective.goal(name)).collect(),
            loss: train.loss.unwrap_or_else(softmax_cross_entropy),
            optimizer,
            batch_size: train.batch_size,
            epochs: train.epochs,
            last_batch: train.last_batch,
            shuffle: train.shuffle,
            shuffle_blocks: train.shuffle_blocks,
            balance: train.balance,
            augment: train.augment,
            stream: train.stream,
            seed: train.seed,
            mixed_precision: train.mixed_precision,
            recompute: train.recompute,
            devices: 1,
            steps_per_call: train.steps_per_call,
            metrics: train.metrics,
            threshold: train.threshold,
        }
    }
}

/// Writes `data.train` as `data.path`, its other name.
fn one_path(table: &mut toml::Table) {
    if let Some(data) = table.get_mut("data").and_then(toml::Value::as_table_mut)
        && let Some(train) = data.remove("train")
    {
        data.insert("path".into(), train);
    }
}

/// The kind of targets that a loss takes.
fn task(loss: &Loss) -> Task {
    match loss.outputs() {
        Outputs::Classes | Outputs::Scores => Task::Classes,
        Outputs::Labels => Task::Labels,
        Outputs::Values => Task::Values,
    }
}

/// `path` relative to `folder`, without the detours through `..` that are safe to leave out: those through links stay.
fn join(folder: &Path, path: &Path) -> PathBuf {
    let mut joined = folder.to_path_buf();
    for part in path.components() {
        let is_folder = |path: &Path| path.symlink_metadata().is_ok_and(|data| data.is_dir());
        match part {
            Component::ParentDir if joined.file_name().is_some() && is_folder(&joined) => {
                joined.pop();
            }
            Component::CurDir => {}
            // An absolute path replaces the rest.
            part => joined.push(part),
        }
    }
    if joined.as_os_str().is_empty() { ".".into() } else { joined }
}
