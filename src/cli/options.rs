//! Command-line options shared by several programs.

use super::DeviceArguments;
use crate::data::table::{Layout, Table};
use crate::data::{self, Dataset, Format, Source, TargetKind};
use crate::error::{Error, Result};
use crate::plot;
use crate::runtime::Device;
use std::path::{Path, PathBuf};

/// The options of every program that trains.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    #[command(flatten)]
    pub device: DeviceArguments,

    /// The seed of the first weights and of everything else that is random
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,

    /// The folder of the data: the four IDX files of MNIST, gzipped or not
    #[arg(long, default_value = "data/mnist", value_name = "DIR")]
    pub data: PathBuf,

    /// Save a picture, .svg or .png
    #[arg(long, value_name = "FILE", value_parser = plot::file)]
    pub plot: Option<PathBuf>,
}

impl Options {
    /// # Errors
    /// When there is no such device.
    pub fn open_device(&self) -> Result<Device> {
        self.device.open()
    }

    /// The digits, the first half of the test images for validation as in the original.
    ///
    /// # Errors
    /// When a file is missing or invalid.
    pub fn mnist(&self) -> Result<Dataset> {
        Ok(data::mnist(&self.data)?.halve_test())
    }
}

/// The options of a program that makes its data. `mut_arg` sets another number of epochs.
#[derive(Clone, Debug, clap::Args)]
pub struct Training {
    #[command(flatten)]
    pub device: DeviceArguments,

    /// The seed of the first weights and of the order of the rows
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,

    /// Passes over the rows
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub epochs: u64,
}

/// How long to train on images, and on how many.
#[derive(Clone, Debug, clap::Args)]
pub struct Passes {
    /// Passes over the training images
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub epochs: u64,

    /// Train on the first N images only
    #[arg(long, value_name = "N")]
    pub images: Option<usize>,
}

impl Passes {
    /// The data with the requested number of training rows.
    pub fn limit(&self, mut data: Dataset) -> Dataset {
        data.splits.train.truncate(self.images.unwrap_or(usize::MAX));
        data
    }
}

/// Which columns of a table to learn.
#[derive(Clone, Debug, clap::Args)]
pub struct Columns {
    /// The column to predict; the table's last if absent
    #[arg(long, value_name = "NAME")]
    pub target: Option<String>,

    /// How many of the other columns to predict from, the first ones of the table
    #[arg(long, default_value_t = 3, value_name = "N")]
    pub columns: usize,
}

impl Columns {
    /// The table at `path` with a target of numbers.
    ///
    /// # Errors
    /// When the table cannot be read or does not have such columns.
    pub fn values(&self, path: &Path) -> Result<Dataset> {
        self.read(path, TargetKind::Value)
    }

    /// The table at `path` with a target of two classes: no, which is 0, and yes.
    ///
    /// # Errors
    /// As [`Columns::values`], and when the target holds more than two answers.
    pub fn answers(&self, path: &Path) -> Result<Dataset> {
        let data = self.read(path, TargetKind::Class)?;
        match data.classes() {
            Some(2) => Ok(data),
            classes => Err(Error::value(
                "--target",
                "a column of two answers",
                format!("{} in {}", classes.unwrap_or(0), self.target.as_deref().unwrap_or("the last one")),
            )),
        }
    }

    fn read(&self, path: &Path, kind: TargetKind) -> Result<Dataset> {
        let table = Table::read(path, &Layout::default())?;
        let last = table.header().last().cloned().unwrap_or_default();
        let target = self.target.clone().unwrap_or(last);
        let others: Vec<String> = table.header().iter().filter(|name| **name != target).cloned().collect();
        let most = others.len();
        if !(1..=most).contains(&self.columns) {
            let path = path.display();
            let expected = format!("a number from 1 to {most}, as {path} has that many besides {target}");
            return Err(Error::value("--columns", expected, self.columns));
        }
        let ignore = others[self.columns..].to_vec();
        let (target, target_kind) = (Some(target), Some(kind));
        Source { target, target_kind, ignore, ..Source::new(Format::Table, path) }.load()
    }
}
