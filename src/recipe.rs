//! A training run as a file: data, model, training.

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
    pub data: Source,
    pub model: Model,
    pub train: Train,
}

/// Bytes of a recipe; a longer file is something else.
const LONGEST: usize = 1 << 24;

impl Recipe {
    /// Reads a recipe in which keys are replaced, see [`Recipe::with_settings`]. Relative paths of data and weights are
    /// taken from the recipe's folder, those in the settings from the current folder.
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

    /// A recipe in which keys are replaced: each of `settings` is `section.key=value`, the value written as in the file,
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
        // Written out and read again, so that an error names the key as it stands after the change.
        let changed = toml::to_string(&table).map_err(|error| Error::format(path, error.to_string()))?;
        let mut recipe = read(&changed, text).map_err(|mistake| in_settings(mistake, path, settings, ""))?;
        model::find_lines(&mut recipe, text, Some(path));
        Ok(recipe)
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
    /// # Errors
    /// As [`Source::load_for`].
    pub fn load(&self) -> Result<Dataset> {
        let tasks = self.tasks();
        self.data.load_tasks(&|target| tasks.get(target).copied())
    }

    /// What the loss takes as targets, of several objectives the first one's.
    pub fn task(&self) -> Task {
        self.first_loss().map_or(Task::Values, task)
    }

    fn first_loss(&self) -> Option<&Loss> {
        let of_objectives = self.train.objectives.values().map(|objective| &objective.loss);
        self.train.loss.iter().chain(of_objectives).next()
    }

    /// What the loss of each target takes; the name of an only target is empty.
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
    /// When the file is not there or does not fit the model.
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

/// Writes `data.train` as `data.path`, of which it is another name.
fn one_path(table: &mut toml::Table) {
    if let Some(data) = table.get_mut("data").and_then(toml::Value::as_table_mut)
        && let Some(train) = data.remove("train")
    {
        data.insert("path".into(), train);
    }
}

/// What a loss takes as targets.
fn task(loss: &Loss) -> Task {
    match loss.outputs() {
        Outputs::Classes | Outputs::Scores => Task::Classes,
        Outputs::Labels => Task::Labels,
        Outputs::Values => Task::Values,
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

#[cfg(test)]
mod tests {
    use super::settings::DEEPEST;
    use super::*;

    const REFERENCE: &str = include_str!("../docs/recipes.md");

    #[test]
    fn the_reference_has_the_keys() {
        crate::named::reference::check("data", Source::REFERENCE);
        crate::named::reference::check("train", Train::REFERENCE);
    }

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
    fn the_reference_has_every_key() {
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

    /// The values of the reference's recipe, each by the words that lead to it.
    fn leaves(value: &toml::Value, path: &[String]) -> Vec<Vec<String>> {
        let below = |key: String, value| leaves(value, &[path, &[key]].concat());
        let deeper: Vec<_> = match value {
            toml::Value::Table(table) => {
                table.iter().flat_map(|(key, value)| below(key.clone(), value)).collect()
            }
            toml::Value::Array(list) => {
                list.iter().enumerate().flat_map(|(i, value)| below(i.to_string(), value)).collect()
            }
            _ => Vec::new(),
        };
        [vec![path.to_vec()], deeper].concat()
    }

    fn at<'a>(value: &'a mut toml::Value, path: &[String]) -> &'a mut toml::Value {
        path.iter().fold(value, |value, key| match value {
            toml::Value::Array(list) => &mut list[key.parse::<usize>().unwrap()],
            value => &mut value[key.as_str()],
        })
    }

    /// The keys of the reference's tables for a section.
    fn keys(section: &str) -> Vec<Vec<String>> {
        let (_, text) = REFERENCE.split_once(&format!("\n## `[{section}]`")).unwrap();
        let (_, table) =
            text.split_once("| --- | --- |\n").or_else(|| text.split_once("|---|---|\n")).unwrap();
        let rows = table.lines().take_while(|line| line.starts_with("| `"));
        let keys = rows.flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2));
        keys.map(|key| vec![section.to_string(), key.to_string()]).collect()
    }

    /// Words of Rust and of its readers that no user should meet.
    const RUST: [&str; 27] = [
        "usize", "u64", "u32", "i64", "f64", "f32", "struct", "enum", "variant", "newtype", "sequence",
        "tuple", "map", "untagged", "Rule", "Loss", "invalid", "type", "Option", "string", "boolean",
        "integer", "floating", "datetime", "field", "wanted", "found",
    ];

    #[test]
    fn wrong_values_are_answered_in_the_words_of_toml() {
        let text = REFERENCE.rsplit("```toml\n").next().unwrap().split("```").next().unwrap();
        let whole: toml::Value = toml::Value::Table(toml::from_str(text).unwrap());
        let wrong = "a = [\"nonsense\", -1, 1.5, true, [1, \"x\"], { nonsense = 1 }, [], {}, [[1]], [{ a = 1 }], nan, 2024-01-01]";
        let wrong = toml::from_str::<toml::Table>(wrong).unwrap()["a"].as_array().unwrap().clone();
        let (mut refused, mut bad, mut places) = (0, Vec::new(), leaves(&whole, &[]));
        places.retain(|path| path.len() > 1);
        places.extend(
            [keys("data"), keys("train")]
                .concat()
                .into_iter()
                .filter(|key| !places.contains(key))
                .collect::<Vec<_>>(),
        );
        for path in &places {
            for value in &wrong {
                let mut recipe = whole.clone();
                if let [section, key] = &path[..] {
                    recipe[section].as_table_mut().unwrap().insert(key.clone(), true.into());
                }
                *at(&mut recipe, path) = value.clone();
                let text = toml::to_string(&recipe).unwrap();
                let Err(error) = Recipe::parse(&text, Path::new("r.toml")) else { continue };
                refused += 1;
                let error = error.to_string();
                let words: Vec<_> = error.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
                let said = RUST.iter().any(|word| words.contains(word)) || error.contains(['`', '$']);
                if said || !error.starts_with("r.toml: ") || !error.contains(path[1].as_str()) {
                    bad.push(format!("{path:?} = {value}: {error}"));
                }
            }
        }
        assert!(bad.is_empty(), "{}", bad.join("\n"));
        assert!(places.len() > 90 && refused > 5 * places.len(), "{refused} of {} keys", places.len());
    }

    #[test]
    fn a_setting_that_does_not_fit_is_named_among_others() {
        let text = "[data]\nformat = 'idx'\npath = 'x'\n[model]\nlayers = ['relu']\n[train]\nloss = 'hinge'\noptimizer = 'sgd'";
        let refused = |settings: &[&str]| {
            let settings: Vec<String> = settings.iter().map(ToString::to_string).collect();
            Recipe::with_settings(text, Path::new("r.toml"), &settings).unwrap_err().to_string()
        };
        for (settings, expected) in [
            (
                &["train.epochs=3", "data.targets=price"][..],
                "--set data.targets=price: expected a list, as in [\"price\"], got \"price\"",
            ),
            (
                &["data.scale=true", "train.epochs=3"],
                "--set data.scale=true: expected one of none, unit, standardize, standardize-features, got true",
            ),
            (
                &["train.epochs=3", "model.layers.0=rellu"],
                "r.toml: --set model.layers.0=rellu: rellu is not a layer; did you mean relu?",
            ),
            (&["train.seed=2", "-data"], "r.toml: expected data.format and data.path, got a recipe without"),
        ] {
            assert!(refused(settings).starts_with(expected), "{}", refused(settings));
        }
        let source = Source::new(crate::data::Format::Table, "t.csv");
        let error = source_with_settings(&source, &["id=a".into(), "targets=price".into()]).unwrap_err();
        assert!(error.to_string().starts_with("--set targets=price: expected a list"), "{error}");
    }

    #[test]
    fn a_mistyped_key_is_named_before_those_that_are_missing() {
        let error = |text: &str| Recipe::parse(text, Path::new("r.toml")).unwrap_err().to_string();
        let mistyped = error("[data]\nformat = 'idx'\npaths = 'x'");
        assert_eq!(mistyped, "r.toml: line 3: data.paths: paths is not a key here; did you mean path?");
        let lacking = error("[data]\nformat = 'idx'\npath = 'x'");
        assert!(lacking.contains("model.layers, train.loss and train.optimizer"), "{lacking}");
    }

    #[test]
    fn names_of_other_libraries_are_understood() {
        let recipe = |layers: &str, loss: &str, optimizer: &str| {
            let text = format!(
                "[data]\nformat = 'idx'\npath = 'x'\n[model]\nlayers = {layers}\n[train]\nloss = {loss}\noptimizer = {optimizer}\n"
            );
            Recipe::parse(&text, Path::new("r.toml"))
        };
        let ours = recipe(
            "[{ conv = { filters = 4, kernel = [3, 3] } }, 'batch-norm', 'relu', { max-pool = [2, 2] }, 'flatten', { dense = 10 }]",
            "'softmax-cross-entropy'",
            "{ adam = { learning_rate = 0.001 } }",
        )
        .unwrap();
        let theirs = "[{ Conv2d = { out_channels = 4, kernel_size = [3, 3] } }, 'BatchNorm2d', 'ReLU', { MaxPooling2D = { pool_size = [2, 2] } }, 'Flatten', { Linear = { out_features = 10 } }]";
        for (loss, optimizer) in [
            ("'categorical_crossentropy'", "'adam'"),
            ("'CrossEntropyLoss'", "{ Adam = { lr = 0.001 } }"),
            ("'cross_entropy'", "{ adam = 0.001 }"),
        ] {
            assert_eq!(recipe(theirs, loss, optimizer).unwrap(), ours, "{loss} {optimizer}");
        }
        // They are written out under the names of this library.
        assert!(ours.to_toml().unwrap().contains("softmax-cross-entropy"));
        let error =
            recipe("[{ conv3d = { filters = 4, kernel = [3, 3, 3] } }]", "'mse'", "'sgd'").unwrap_err();
        assert!(error.to_string().contains("did you mean conv?"), "{error}");
    }

    #[test]
    fn data_in_place_of_a_recipe_is_answered_with_a_recipe() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |path: &Path| Recipe::read(path, &[]).unwrap_err().to_string();
        let table = refused(&folder.path().join("house.csv"));
        assert!(table.contains("neural init ") && table.contains("house.csv writes a recipe"), "{table}");
        assert!(refused(folder.path()).contains("got a folder; if it holds data, neural init "));
        std::fs::write(folder.path().join("recipe.toml"), "").unwrap();
        assert!(refused(folder.path()).contains("--resume"));
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
