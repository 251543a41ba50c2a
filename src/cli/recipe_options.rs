//! The options of every command that trains a recipe.

use super::init;
use crate::recipe::Recipe;
use anyhow::bail;
use std::path::{Path, PathBuf};

/// A recipe and the keys that are replaced in it.
#[derive(Clone, Debug, clap::Args)]
pub struct RecipeOptions {
    /// The recipe, a TOML file; the digits of MNIST if absent
    recipe: Option<PathBuf>,

    /// Take data in place of a recipe, and use the recipe that `neural init` would write for it
    #[arg(long, requires = "recipe")]
    auto: bool,

    /// The column to predict
    #[arg(long, value_name = "NAME", requires = "auto")]
    target: Option<String>,

    /// Passes over the training rows
    #[arg(long, value_name = "N")]
    pub(super) epochs: Option<u64>,

    /// Rows in a batch
    #[arg(long, value_name = "N")]
    batch_size: Option<usize>,

    /// A constant learning rate
    #[arg(long, value_name = "RATE")]
    lr: Option<f64>,

    /// The seed of everything that is random
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Where the data is, in place of the recipe's
    #[arg(long, value_name = "PATH")]
    pub(super) data: Option<PathBuf>,

    /// Replace a key of the recipe
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    settings: Vec<String>,

    /// Drop a key of the recipe, so that its default applies
    #[arg(long, value_name = "SECTION.KEY")]
    unset: Vec<String>,
}

/// The default recipe.
const DEFAULT: &str = include_str!("../../scripts/recipes/mnist.toml");

impl RecipeOptions {
    /// The recipe, with `more` settings after the command line's.
    pub(super) fn read(&self, more: &[String]) -> anyhow::Result<Recipe> {
        let dropped = self.unset.iter().map(|key| format!("-{key}"));
        let mut settings: Vec<String> = dropped.chain(self.settings.iter().cloned()).collect();
        let mut set = |key: &str, value: Option<String>| {
            settings.extend(value.map(|value| format!("train.{key}={value}")));
        };
        set("epochs", self.epochs.map(|v| v.to_string()));
        set("batch_size", self.batch_size.map(|v| v.to_string()));
        set("seed", self.seed.map(|v| v.to_string()));
        settings.extend_from_slice(more);
        let mut recipe = if let (Some(path), true) = (&self.recipe, self.auto) {
            let suggestion = init::automatic(path, self.target.as_deref())?;
            Recipe::with_settings(&suggestion.text(path), path, &settings)?
        } else if let Some(path) = &self.recipe {
            Recipe::read(path, &settings)?
        } else {
            settings.insert(0, "data.path=data/mnist".into());
            Recipe::with_settings(DEFAULT, Path::new("the default recipe"), &settings)?
        };
        if let Some(path) = &self.data {
            recipe.data.path.clone_from(path);
        }
        self.check_place(&recipe.data.path)?;
        if let Some(rate) = self.lr {
            recipe.train.optimizer = recipe.train.optimizer.with_learning_rate(rate);
        }
        Ok(recipe)
    }

    /// Refuses a data path that is missing beside the recipe but exists in the current folder, which may have been meant.
    fn check_place(&self, data: &Path) -> anyhow::Result<()> {
        let folder = self.recipe.as_deref().and_then(Path::parent).filter(|f| !f.as_os_str().is_empty());
        let written = folder.and_then(|folder| data.strip_prefix(folder).ok());
        match written {
            Some(written) if !data.exists() && written.exists() => bail!(
                "{} does not exist: a recipe's paths start at its own folder; --data {} names the one in this folder",
                data.display(),
                written.display()
            ),
            _ => Ok(()),
        }
    }

    /// The name for runs of the recipe.
    pub(super) fn name(&self) -> String {
        let stem = self.recipe.as_deref().and_then(Path::file_stem);
        stem.map_or_else(|| "mnist".to_string(), |stem| stem.to_string_lossy().into_owned())
    }
}
