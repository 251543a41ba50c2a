//! `neural init`

use super::data::{self, detected, with_settings};
use super::text;
use crate::data::{Format, Source};
use crate::error::{Error, Result};
use crate::recipe::{Suggestion, suggest};
use anyhow::bail;
use serde_json::json;
use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Write a recipe for data: looks at it, chooses target, columns, split, model and training, and says what it assumed
#[derive(Debug, clap::Args)]
#[command(after_help = "The recipe works at once and explains its keys. The same data gives the same recipe.

Examples:
  neural init houses.csv                    writes houses.toml
  neural init houses.csv --target price
  neural init photographs -o photos.toml    a folder of pictures for each class
  neural init sales.csv --set 'ignore=[\"comment\"]' --set decimal=,
  neural init houses.csv -o -               on standard output")]
pub struct Init {
    /// A table, a folder of pictures by class, IDX or CIFAR files, arrays
    data: PathBuf,

    #[command(flatten)]
    choices: Choices,

    /// The recipe's file, - for standard output; named after the data and in the current folder if absent
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Replace an existing recipe
    #[arg(long)]
    force: bool,

    /// Say what was chosen as one JSON object
    #[arg(long)]
    json: bool,
}

/// Choices that the command line makes.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Choices {
    /// The column to predict, or the tensor of targets
    #[arg(long, value_name = "NAME")]
    target: Option<String>,

    /// The form of the data, where its name does not tell: idx, table, images, cifar10, cifar100, npy, safetensors
    #[arg(long, value_name = "FORMAT", value_parser = data::format)]
    format: Option<Format>,

    /// Set a key of the recipe's section [data] before the rest is chosen
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
}

impl Choices {
    /// The recipe that fits the data at `path`.
    pub fn suggest(&self, path: &Path) -> Result<Suggestion> {
        suggest(self.source(path)?)
    }

    fn source(&self, path: &Path) -> Result<Source> {
        let source = with_settings(detected(path, self.format)?, &self.settings)?;
        Ok(Source { target: self.target.clone().or(source.target.clone()), ..source })
    }
}

/// The recipe for the data at `path`, with everything but the target chosen by `neural init`.
pub(super) fn automatic(path: &Path, target: Option<&str>) -> Result<Suggestion> {
    Choices { target: target.map(String::from), format: None, settings: Vec::new() }.suggest(path)
}

impl Init {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let suggestion = self.choices.suggest(&self.data)?;
        let stem = self.data.file_name().map(Path::new).and_then(|name| name.to_str()).unwrap_or("data");
        let is_name = |stem: &&str| !stem.is_empty() && !stem.contains(['*', '?', '[']);
        let stem = stem.split('.').next().filter(is_name).unwrap_or("data");
        let output = self.output.clone().unwrap_or_else(|| PathBuf::from(format!("{stem}.toml")));
        let recipe = suggestion.text(&as_seen_from(&output, &self.data)?);
        let mut out = io::stdout().lock();
        if output == Path::new("-") {
            out.write_all(recipe.as_bytes())?;
            return Ok(ExitCode::SUCCESS);
        }
        self.write(&output, &recipe)?;
        if self.json {
            let recipe: serde_json::Value = json!(suggestion.recipe()?);
            writeln!(out, "{}", json!({ "recipe": output, "assumed": suggestion.assumed, "keys": recipe }))?;
            return Ok(ExitCode::SUCCESS);
        }
        writeln!(out, "wrote {}", text::path(&output))?;
        suggestion.assumed.iter().try_for_each(|sentence| writeln!(out, "- {sentence}"))?;
        writeln!(out, "\ntrain it: neural train {}", text::path(&output))?;
        Ok(ExitCode::SUCCESS)
    }

    fn write(&self, output: &Path, recipe: &str) -> anyhow::Result<()> {
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(true).create_new(!self.force);
        let written = options.open(output).and_then(|mut file| file.write_all(recipe.as_bytes()));
        match written {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                bail!("{} exists already; --force replaces it, --output FILE names another", output.display())
            }
            written => Ok(written.map_err(|error| Error::io("write the recipe", output, error))?),
        }
    }
}

/// The path of the data as written in the recipe, where a relative path starts at the recipe's own folder.
fn as_seen_from(recipe: &Path, data: &Path) -> Result<PathBuf> {
    let folder = recipe.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(_) if data.is_relative() => {
            std::path::absolute(data).map_err(|error| Error::io("find", data, error))
        }
        _ => Ok(data.to_path_buf()),
    }
}
