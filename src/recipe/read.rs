//! Text as a recipe or as its section of data, and mistakes in it as errors.

use super::messages::{self, Complaint, Mistake, missing};
use super::settings::set;
use super::{Recipe, model};
use crate::data::Source;
use crate::error::{Error, Result};
use crate::named::shown;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Reads a recipe. Line numbers of nodes refer to `original`, the text before settings changed it.
pub(super) fn read(text: &str, original: &str) -> Result<Recipe, Mistake> {
    let (mut recipe, table): (Recipe, _) = messages::read(text).map_err(|mistake| {
        let table = toml::from_str(text).ok().filter(|_| mistake.is_missing);
        table.as_ref().and_then(missing).map_or(mistake, Mistake::of_all)
    })?;
    if let Some(lacking) = missing(&table) {
        return Err(Mistake::of_all(lacking));
    }
    model::find_lines(&mut recipe, original, None);
    recipe.check().map_err(|error| Mistake::of_all(error.to_string()))?;
    Ok(recipe)
}

/// The error for a mistake in a text that settings have changed: it names the setting to blame, without the `section` that
/// the user does not write.
pub(super) fn in_settings(mistake: Mistake, path: &Path, settings: &[String], section: &str) -> Error {
    let key = mistake.key.replace('[', ".").replace(']', "");
    let begins = |one: &str, other: &str| {
        one.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let is_to_blame = |setting: &&String| {
        let name = setting.split('=').next().unwrap_or_default().trim().trim_start_matches('-');
        begins(&key, name) || (!key.is_empty() && begins(name, &key))
    };
    let name = settings.iter().rev().find(is_to_blame).map(|setting| match setting.strip_prefix('-') {
        Some(key) => format!("--unset {}", shown(key.strip_prefix(section).unwrap_or(key))),
        None => format!("--set {}", shown(setting.strip_prefix(section).unwrap_or(setting))),
    });
    match (name, mistake.complaint) {
        (Some(name), Complaint::Expected { expected, got }) => Error::value(name, expected, got),
        (Some(name), Complaint::Other(message)) => Error::format(path, format!("{name}: {message}")),
        // The line numbers do not match the file.
        (None, complaint) => {
            let mistake = Mistake { line: String::new(), complaint, ..mistake };
            Error::format(path, mistake.to_string())
        }
    }
}

/// A source of data in which keys are replaced, each of `settings` as `key=value`.
pub(crate) fn source_with_settings(source: &Source, settings: &[String]) -> Result<Source> {
    #[derive(Serialize, Deserialize)]
    struct Section {
        data: Source,
    }
    let settings: Vec<String> = settings.iter().map(|setting| format!("data.{setting}")).collect();
    let unwritten = |error: toml::ser::Error| Error::format(&source.path, error.to_string());
    let mut table = toml::Table::try_from(Section { data: source.clone() }).map_err(unwritten)?;
    settings.iter().try_for_each(|setting| set(&mut table, setting))?;
    let text = toml::to_string(&table).map_err(unwritten)?;
    let read = messages::read::<Section>(&text);
    read.map(|(section, _)| section.data)
        .map_err(|mistake| in_settings(mistake, &source.path, &settings, "data."))
}
