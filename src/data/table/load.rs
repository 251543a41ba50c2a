//! A table as a data set: the part of [`Source`] for tables.

use super::{Column, ColumnKind, Features, Kind, Layout, Reading, Table, inputs_of, shown};
use crate::data::{Dataset, Parts, Scale, Source, TargetKind, Task};
use crate::error::{Error, Result};
use std::collections::HashMap;
use std::path::Path;

impl Column {
    /// How a table is read that this column is to encode.
    pub(crate) fn reading(&self) -> Reading {
        match &self.kind {
            // A number in another notation than the usual one may look like another number in that.
            ColumnKind::Number { notation, .. } if !notation.is_plain() => Reading::Names,
            ColumnKind::List { .. } | ColumnKind::Sequence(_) => Reading::Lists,
            ColumnKind::Category { .. } | ColumnKind::Text(_) | ColumnKind::Picture(_) => Reading::Names,
            _ => Reading::Values,
        }
    }

    /// How the columns of a table are read that `columns` are to encode, with texts in `id`.
    pub(crate) fn readings(header: &[String], columns: &[Column], id: Option<&str>) -> Vec<Reading> {
        let known: HashMap<&str, &Column> = columns.iter().map(|column| (&*column.name, column)).collect();
        let reading = |name: &String| match known.get(name.as_str()) {
            Some(column) => column.reading(),
            None if Some(name.as_str()) == id => Reading::Names,
            None => Reading::Skip,
        };
        header.iter().map(reading).collect()
    }
}

impl Kind {
    /// How its cells are read.
    fn reading(&self) -> Reading {
        match self {
            Self::List(_) | Self::Sequence(_) => Reading::Lists,
            Self::Category(_) | Self::Text(_) | Self::Picture(_) => Reading::Names,
            Self::Number(_) | Self::Boolean(_) | Self::Date(_) => Reading::Values,
        }
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
            table: self.table.clone(),
            query: self.query.clone(),
        }
    }

    /// The columns to predict, each with the task of its loss: `task` of its name, or of "" where it is the only one.
    fn target_columns<'a>(
        &'a self,
        header: &'a [String],
        task: &dyn Fn(&str) -> Option<Task>,
    ) -> Vec<(&'a str, Option<Task>)> {
        if self.targets.is_empty() {
            let only = self.target.as_ref().or(header.last());
            return only.map(|name| (name.as_str(), task(""))).into_iter().collect();
        }
        self.targets.iter().map(|name| (name.as_str(), task(name))).collect()
    }

    /// The table with the columns that the data set needs; with the other columns as well if `all`.
    pub(crate) fn read_table(
        &self,
        task: &dyn Fn(&str) -> Option<Task>,
        columns: Option<&[Column]>,
        all: bool,
    ) -> Result<Table> {
        let fitted = columns.unwrap_or_default().iter().map(|column| &column.name);
        let targets = self.targets.iter().chain(&self.target);
        let keys = self.categorical.iter().chain(&self.ignore).chain(&self.id).chain(self.columns.keys());
        let layout = match columns {
            Some(_) => self.layout(fitted.chain(targets)),
            None => self.layout(keys.chain(targets)),
        };
        let is_class = |task| match self.target_kind {
            Some(kind) => kind == TargetKind::Class,
            None => matches!(task, Some(Task::Classes | Task::Labels)),
        };
        let paths: Vec<&Path> = self.files().into_iter().map(|(_, path)| path).collect();
        Table::read_all(&paths, &layout, |header| {
            let targets = self.target_columns(header, task);
            let mut readings = match columns {
                Some(columns) => Column::readings(header, columns, self.id.as_deref()),
                None => vec![Reading::Values; header.len()],
            };
            for (name, reading) in header.iter().zip(&mut readings) {
                if let Some((_, task)) = targets.iter().find(|(target, _)| target == name) {
                    *reading = if is_class(*task) { Reading::Names } else { Reading::Values };
                } else if Some(name) == self.id.as_ref() {
                    *reading = Reading::Names;
                } else if let Some(asked) = self.reading(name).filter(|_| columns.is_none()) {
                    *reading = asked;
                } else if self.ignore.contains(name) {
                    *reading = if all { Reading::Values } else { Reading::Skip };
                }
            }
            readings
        })
    }

    /// The division of the table's rows, where each part has its own files.
    fn parts(&self, table: &Table) -> Parts {
        let (files, mut parts) = (self.files(), Parts::undivided(table.rows()));
        if files.len() == 1 {
            return parts;
        }
        let mut before = 0;
        for ((key, path), &end) in files.into_iter().zip(table.ends()) {
            let (rows, origin) = match key {
                "validation" => (&mut parts.validation, &mut parts.origins.validation),
                "test" => (&mut parts.test, &mut parts.origins.test),
                _ => (&mut parts.train, &mut parts.origins.train),
            };
            *rows = end - before;
            *origin = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
            before = end;
        }
        parts
    }

    /// How the cells of a column are read, if the recipe decides it.
    fn reading(&self, column: &String) -> Option<Reading> {
        let is_name = self.categorical.contains(column);
        self.columns.get(column).map(Kind::reading).or(is_name.then_some(Reading::Names))
    }

    /// The data set in the table's files, with features fitted to its training rows, or with the given `columns`.
    pub(in crate::data) fn load_table(
        &self,
        task: &dyn Fn(&str) -> Option<Task>,
        columns: Option<&[Column]>,
    ) -> Result<Dataset> {
        self.of_table(self.read_table(task, columns, false)?, task, columns)
    }

    /// The data set in a table, with features fitted to its training rows, or with the given `columns`.
    pub(crate) fn of_table(
        &self,
        table: Table,
        task: &dyn Fn(&str) -> Option<Task>,
        columns: Option<&[Column]>,
    ) -> Result<Dataset> {
        let in_file = |e: Error| Error::format(&self.path, e.to_string());
        let header = table.header().to_vec();
        let names = self.target_columns(&header, task);
        if let Some(id) = &self.id {
            table.index(id)?;
            if names.iter().any(|(name, _)| name == id) {
                let message = format!("expected another column as id than the target \"{}\"", shown(id));
                return Err(Error::format(&self.path, message));
            }
        }
        let target = |(name, task): &(&str, Option<Task>)| {
            let targets = self.choose(table.targets(name, self.target_kind, *task)?)?;
            let is_of_values = matches!(task, None | Some(Task::Values));
            if is_of_values && targets.is_classes() && self.scale_target != Scale::None {
                let got = format!("classes in column \"{}\"", shown(name));
                return Err(in_file(Error::value("scale_target", "targets that are values", got)));
            }
            Ok(targets)
        };
        let mut targets = names.iter().map(target).collect::<Result<Vec<_>>>()?.into_iter();
        let mut others = names.iter().map(|(name, _)| (*name).to_string());
        let (Some(first), Some(target)) = (targets.next(), others.next()) else {
            return Err(Error::format(&self.path, "expected a column to predict, got none"));
        };
        let (splits, origins) = self.split(&first, self.parts(&table))?;
        let others: Vec<String> = others.collect();
        let (columns, left_out) = if let Some(columns) = columns {
            (columns.to_vec(), Vec::new())
        } else {
            let features = Features {
                categorical: self.categorical.clone(),
                ignore: self.ignore.iter().chain(&self.id).chain(&others).cloned().collect(),
                missing: self.missing,
                unknown: self.unknown,
                dates: self.dates,
                kinds: self.columns.clone(),
            };
            table.features(&target, &features, &splits.train)?
        };
        let notes = table.notes().to_vec();
        let encoded = table.into_encoded(&columns)?;
        let unknown: Vec<String> = encoded.notes().collect();
        if let Some((_, message)) = encoded.refused.first() {
            return Err(Error::format(&self.path, message));
        }
        let mut inputs = inputs_of(encoded, &columns, self.inputs.as_ref()).map_err(in_file)?.into_iter();
        let Some((input, values)) = inputs.next() else {
            return Err(Error::format(&self.path, "expected a column for an input, got none"));
        };
        let mut data = Dataset::new(values, first, splits).map_err(in_file)?;
        if input != data.input_name() {
            data.input = input;
        }
        for (name, values) in inputs {
            data = data.with_input(&name, values).map_err(in_file)?;
        }
        data.notes = notes.into_iter().chain(left_out).chain(unknown).collect();
        (data.columns, data.origins, data.target) = (columns, origins, target);
        for (name, targets) in others.iter().zip(targets) {
            data = data.with_target(name, targets).map_err(in_file)?;
        }
        self.scaled(data).map_err(in_file)
    }
}
