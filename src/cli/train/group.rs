//! The runs of `--repeat` and `--folds`.

use crate::recipe::Recipe;
use crate::runs::Folder;
use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::io;

/// Several runs of a recipe in one folder, recorded in a file there.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) struct Group {
    #[serde(default)]
    pub kind: Kind,
    pub times: u64,
}

/// The setting in which the runs of a group differ.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    #[default]
    Seeds,
    Folds,
}

impl Kind {
    pub fn of_several(self) -> &'static str {
        match self {
            Kind::Seeds => "seeds",
            Kind::Folds => "folds",
        }
    }

    pub fn of_one(self) -> &'static str {
        self.of_several().trim_end_matches('s')
    }
}

impl Group {
    const FILE: &str = "repeat.json";

    /// The runs' names in the group's folder, and their recipes.
    pub fn runs(self, recipe: &Recipe) -> Vec<(String, Recipe)> {
        let of = |i: u64| {
            let mut one = recipe.clone();
            let number = match self.kind {
                Kind::Seeds => {
                    one.train.seed = recipe.train.seed.saturating_add(i);
                    one.train.seed
                }
                Kind::Folds => {
                    let (folds, fold) = (Some(self.times as usize), i as usize);
                    (one.data.validation_fraction, one.data.folds, one.data.fold) = (None, folds, fold);
                    i
                }
            };
            (format!("{}-{number}", self.kind.of_one()), one)
        };
        (0..self.times).map(of).collect()
    }

    pub fn write(self, folder: &Folder) -> anyhow::Result<()> {
        Ok(folder.keep_text(Self::FILE, &serde_json::to_string(&self)?)?)
    }

    /// `None` where the folder belongs to a single run.
    pub fn read(folder: &Folder) -> anyhow::Result<Option<Self>> {
        let path = folder.file(Self::FILE);
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(serde_json::from_str(&text).with_context(|| path.display().to_string())?)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e).with_context(|| format!("cannot read {}", path.display())),
        }
    }
}
