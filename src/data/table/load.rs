//! A table as a data set: the part of [`Source`] that only tables have.

use super::{Column, ColumnKind, Encoded, Features, Layout, Reading, Table, TargetKind, shown};
use crate::data::{Dataset, Parts, Source, Task};
use crate::error::{Error, Result};

impl Column {
    /// How a table is read that this column is to encode.
    pub(crate) fn reading(&self) -> Reading {
        match &self.kind {
            // A number in another notation than the usual one may look like another number in that.
            ColumnKind::Number { notation, .. } if !notation.is_plain() => Reading::Names,
            ColumnKind::Category { .. } => Reading::Names,
            _ => Reading::Values,
        }
    }

    /// How the columns of a table are read that `columns` are to encode, with texts in `id`.
    pub(crate) fn readings(header: &[String], columns: &[Column], id: Option<&str>) -> Vec<Reading> {
        let reading = |name: &String| match columns.iter().find(|column| column.name == *name) {
            Some(column) => column.reading(),
            None if Some(name.as_str()) == id => Reading::Names,
            None => Reading::Skip,
        };
        header.iter().map(reading).collect()
    }
}

impl Source {
    /// How the table is written, with `known` among its columns.
    pub(crate) fn layout<'a>(&'a self, known: impl Iterator<Item = &'a String>) -> Layout {
        Layout {
            delimiter: self.delimiter,
            header: self.header,
            decimal: self.decimal,
            thousands: self.thousands,
            known: known.cloned().collect(),
        }
    }

    /// The table with all that the data set needs of it; with the other columns as well if `all` are to be looked at.
    pub(crate) fn read_table(
        &self,
        task: Option<Task>,
        columns: Option<&[Column]>,
        all: bool,
    ) -> Result<Table> {
        let fitted = columns.unwrap_or_default().iter().map(|column| &column.name);
        let keys = self.categorical.iter().chain(&self.ignore).chain(&self.id).chain(&self.target);
        let layout = match columns {
            Some(_) => self.layout(fitted.chain(&self.target)),
            None => self.layout(keys),
        };
        let is_class = match self.target_kind {
            Some(kind) => kind == TargetKind::Class,
            None => matches!(task, Some(Task::Classes | Task::Labels)),
        };
        Table::read_columns(&self.path, &layout, |header| {
            let target = self.target.as_ref().or(header.last());
            let mut readings = match columns {
                Some(columns) => Column::readings(header, columns, self.id.as_deref()),
                None => vec![Reading::Values; header.len()],
            };
            for (name, reading) in header.iter().zip(&mut readings) {
                if Some(name) == target {
                    *reading = if is_class { Reading::Names } else { Reading::Values };
                } else if Some(name) == self.id.as_ref()
                    || (columns.is_none() && self.categorical.contains(name))
                {
                    *reading = Reading::Names;
                } else if self.ignore.contains(name) {
                    *reading = if all { Reading::Values } else { Reading::Skip };
                }
            }
            readings
        })
    }

    /// The data set in a table, with features fitted to its training rows, or with those of `columns`.
    pub(crate) fn of_table(
        &self,
        table: Table,
        task: Option<Task>,
        columns: Option<&[Column]>,
    ) -> Result<Dataset> {
        let last = table.header().last().cloned().unwrap_or_default();
        let target = self.target.as_deref().unwrap_or(&last);
        if let Some(id) = &self.id {
            table.index(id)?;
            if id == target {
                let message = format!("expected another column as id than the target \"{}\"", shown(target));
                return Err(Error::format(&self.path, message));
            }
        }
        let targets = self.choose(table.targets(target, self.target_kind, task)?)?;
        let (splits, origins) = self.split(&targets, Parts::undivided(table.rows()))?;
        let (columns, left_out) = if let Some(columns) = columns {
            (columns.to_vec(), Vec::new())
        } else {
            let features = Features {
                categorical: self.categorical.clone(),
                ignore: self.ignore.iter().chain(&self.id).cloned().collect(),
                missing: self.missing,
                unknown: self.unknown,
                dates: self.dates,
            };
            table.features(target, &features, &splits.train)?
        };
        let in_file = |e: Error| Error::format(&self.path, e.to_string());
        let notes = table.notes().to_vec();
        let encoded = table.into_encoded(&columns)?;
        let unknown: Vec<String> = encoded.notes().collect();
        let Encoded { features, refused, .. } = encoded;
        if let Some((_, message)) = refused.into_iter().next() {
            return Err(Error::format(&self.path, message));
        }
        let mut data = Dataset::new(features, targets, splits).map_err(in_file)?;
        data.notes = notes.into_iter().chain(left_out).chain(unknown).collect();
        (data.columns, data.origins, data.target) = (columns, origins, target.into());
        match self.inputs {
            // Each input is scaled by itself.
            Some(_) => Ok(data),
            None => self.scaled(data).map_err(in_file),
        }
    }
}
