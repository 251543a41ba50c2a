//! A model with the rows that its answers are explained on.

use crate::array::Array;
use crate::cli::evaluate::is_picture;
use crate::cli::trained::Answers;
use crate::data::table::{Column, ColumnKind};
use crate::data::{Dataset, Targets};
use crate::error::{Error, Result};
use crate::metric::number;
use crate::model::{Description, Link};
use crate::runs::Folder;
use anyhow::bail;
use std::ops::Range;

/// A model, and the rows that its answers are explained on.
pub(super) struct Subject {
    pub description: Description,
    pub answers: Answers,
    pub data: Dataset,
    pub part: &'static str,
    pub rows: Vec<u32>,
    /// `[rows, sample…]`
    pub samples: Array,
    /// The requested columns; all if empty.
    pub chosen: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Table,
    Pictures,
    Texts,
}

impl Subject {
    /// The requested columns, with the places of their features.
    pub fn columns(&self) -> Result<Vec<(String, Range<usize>)>> {
        let names: Vec<&str> = self.description.columns.iter().map(|column| column.name.as_str()).collect();
        if let Some(unknown) = self.chosen.iter().find(|name| !names.contains(&name.as_str())) {
            return Err(Error::value("--column", format!("one of {}", names.join(", ")), unknown));
        }
        let mut from = 0;
        let place = |column: &Column| {
            let features = from..from + column.width();
            from = features.end;
            (column.name.clone(), features)
        };
        let all: Vec<_> = self.description.columns.iter().map(place).collect();
        let is_chosen = |(name, _): &(String, _)| self.chosen.is_empty() || self.chosen.contains(name);
        Ok(all.into_iter().filter(is_chosen).collect())
    }

    /// Checks that the model predicts one class or one value for each row, whose figure can be explained.
    pub fn check_single(&self) -> Result<()> {
        let answers = &self.answers;
        let got = match answers.names.len() {
            _ if answers.is_at_positions => "one that gives a class at each position".to_string(),
            several if several > 1 && !answers.is_class => format!("one that gives {several} values"),
            _ => return Ok(()),
        };
        Err(Error::value("explain", "a model that gives one class or one value for each row", got))
    }

    pub fn column(&self, name: &str) -> Option<&Column> {
        self.description.columns.iter().find(|column| column.name == name)
    }

    /// The target of a row as people read it.
    pub fn truth(&self, row: u32) -> String {
        match (&self.data.targets, self.data.targets.class_of(row)) {
            (_, Some(name)) => name.to_string(),
            (Targets::Values(values) | Targets::Partial(values), None) => {
                values.row(row as usize).map_or_else(
                    |_| String::new(),
                    |row| row.to_f64().into_iter().map(number).collect::<Vec<_>>().join(", "),
                )
            }
            _ => String::new(),
        }
    }
}

impl Kind {
    /// The kind of the model's input.
    ///
    /// # Errors
    /// When it is none that can be explained.
    pub fn of(description: &Description, folder: &Folder) -> anyhow::Result<Self> {
        let columns = &description.columns;
        let is_text = matches!(&columns[..], [one] if matches!(one.kind, ColumnKind::Text(_)));
        let kind = match columns.is_empty() {
            _ if !description.others.is_none() => None,
            true => is_picture(&description.sample).then_some(Kind::Pictures),
            false if is_text => Some(Kind::Texts),
            false => Some(Kind::Table),
        };
        let Some(kind) = kind else {
            bail!(
                "expected a model of one table's columns, of pictures or of texts, and one target, got {}",
                folder.path().display()
            );
        };
        if let (Kind::Table, Some(column)) = (kind, columns.iter().find(|column| column.is_input())) {
            bail!(
                "expected columns that are features, got texts, pictures or sequences in \"{}\"",
                column.name
            );
        }
        if description.link == Link::Identity && !description.classes.is_empty() {
            bail!("expected a model that gives probabilities of its classes, got one that gives scores");
        }
        Ok(kind)
    }
}
