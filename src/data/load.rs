//! Data sets from their sources: one input and one target, or several of either.

use super::cifar::{self, Cifar};
use super::images::{self, Form};
use super::rows::Rows;
use super::rows::files::{Files, Joined};
use super::tensors::{self, Tensor, Tensors};
use super::{Dataset, Format, Ignored, InputView, Parts, Scale, Source, Targets, Task, idx, padding, text};
use crate::array::{Array, DType};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Which tensors or columns are inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a name, a list of names, or a table of lists of columns")]
pub enum Inputs {
    /// The tensor of the only input.
    One(String),
    /// The tensors of several inputs, which have their names.
    Tensors(Vec<String>),
    /// The columns of a table that make up each input.
    Columns(BTreeMap<String, Vec<String>>),
}

impl From<&str> for Inputs {
    fn from(name: &str) -> Self {
        Self::One(name.to_string())
    }
}

/// The source of a derived target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    /// The inputs themselves.
    Inputs,
    /// The tokens that follow.
    Next,
}

impl Source {
    /// The target that is made of the inputs, if it is.
    pub(super) fn made(&self) -> Option<Made> {
        match self.target.as_deref() {
            Some("inputs") => Some(Made::Inputs),
            Some("next") => Some(Made::Next),
            _ => None,
        }
    }

    /// The names of the inputs, as a model's nodes refer to them.
    pub fn input_names(&self) -> Vec<&str> {
        match &self.inputs {
            None | Some(Inputs::One(_)) => {
                let own = self.columns.iter().filter(|(_, kind)| kind.is_input());
                std::iter::once("input").chain(own.map(|(name, _)| name.as_str())).collect()
            }
            Some(Inputs::Tensors(names)) => names.iter().map(String::as_str).collect(),
            Some(Inputs::Columns(groups)) => groups.keys().map(String::as_str).collect(),
        }
    }

    pub(super) fn check_names(&self) -> Result<()> {
        if !self.targets.is_empty() && self.target.is_some() {
            return Err(Error::value("targets", "no target beside it", "both"));
        }
        match (&self.inputs, self.format) {
            (Some(Inputs::One(_) | Inputs::Tensors(_)), Format::Table) => {
                let expected = "the columns of each input, as in inputs = { size = [\"rooms\", \"area\"] }";
                Err(Error::value("inputs", expected, "names"))
            }
            (Some(Inputs::Columns(_)), Format::Npy | Format::Safetensors) => {
                Err(Error::value("inputs", "the name of a tensor, or a list of them", "a table"))
            }
            (Some(Inputs::Tensors(names)), _) if names.is_empty() => {
                Err(Error::value("inputs", "the name of a tensor, or a list of them", "an empty list"))
            }
            _ => Ok(()),
        }
    }

    /// Reads, splits and scales; `task` gives the task of a target's loss by the target's name. The name of a single
    /// target is empty.
    ///
    /// # Errors
    /// As [`Source::load_for`].
    pub fn load_tasks(&self, task: &dyn Fn(&str) -> Option<Task>) -> Result<Dataset> {
        self.check_keys()?;
        let is_of_classes = |name: &str| matches!(task(name), Some(Task::Classes | Task::Labels));
        let all_classes = match &self.targets[..] {
            [] => self.made().is_none() && is_of_classes(""),
            names => names.iter().all(|name| is_of_classes(name)),
        };
        if self.scale_target != Scale::None && all_classes {
            let expected = "a loss of values, such as mean-squared-error";
            return Err(Error::value("scale_target", expected, "one of classes"));
        }
        let path = self.path.as_path();
        let form = Form { size: self.size, color: self.color, background: self.background };
        let mut notes = Vec::new();
        if self.on_disk && !matches!(self.format, Format::Npy | Format::Safetensors) {
            return self.of_rows(form);
        }
        let (inputs, targets, parts) = match self.format {
            Format::Table if self.made().is_some() => {
                return Err(Error::value(
                    "target",
                    "a column of the table",
                    self.target.as_deref().unwrap_or(""),
                ));
            }
            Format::Table => return self.load_table(task, None),
            Format::Text => return self.of_text(),
            Format::Npy => return self.of_tensors(Tensors::npy(path, self.layout, self.on_disk)?, task),
            Format::Safetensors => {
                return self.of_tensors(Tensors::safetensors(path, self.layout, self.on_disk)?, task);
            }
            Format::Idx => idx::load(path)?,
            Format::Images => {
                let (inputs, targets, parts, passed_over) = images::load(path, form)?;
                notes = passed_over;
                (inputs, targets, parts)
            }
            Format::Cifar10 => cifar::load(path, Cifar::Ten)?,
            Format::Cifar100 => cifar::load(path, Cifar::Hundred)?,
        };
        let targets = match self.made() {
            Some(made) => self.make(made, || Ok(inputs.values().fold(0.0, f64::max)))?,
            None => self.choose(targets)?,
        };
        let (splits, origins) = self.split(&targets, parts)?;
        let in_file = |e: Error| Error::format(path, e.to_string());
        let data = Dataset::new(inputs, targets, splits).map_err(in_file)?;
        let target = self.target.clone().unwrap_or_else(|| "class".into());
        self.scaled(Dataset { origins, target, notes, ..data }).map_err(in_file)
    }

    /// Pictures whose rows are read when they are needed.
    fn of_rows(&self, form: Form) -> Result<Dataset> {
        let path = self.path.as_path();
        let one = |(files, targets, parts): (Joined, _, _)| {
            (Box::new(Files(vec![files])) as Box<dyn Rows>, targets, parts, Vec::new())
        };
        let (rows, targets, parts, notes) = match self.format {
            Format::Images => images::open(path, form)?,
            Format::Cifar10 => one(cifar::open(path, Cifar::Ten)?),
            Format::Cifar100 => one(cifar::open(path, Cifar::Hundred)?),
            _ => one(idx::open(path)?),
        };
        let targets = match self.made() {
            Some(Made::Next) => return Err(Error::value("target", "a class, or the inputs", "next")),
            Some(Made::Inputs) => Targets::Inputs,
            None => self.choose(targets)?,
        };
        let (splits, origins) = self.split(&targets, parts)?;
        let target = self.target.clone().unwrap_or_else(|| "class".into());
        let data = Dataset::from_rows(rows, targets, splits)?;
        self.scaled(Dataset { origins, target, notes, ..data })
    }

    /// Makes the targets from the inputs; `greatest` is the max of all inputs.
    fn make(&self, made: Made, greatest: impl FnOnce() -> Result<f64>) -> Result<Targets> {
        if made == Made::Inputs {
            return Ok(Targets::Inputs);
        }
        let greatest = greatest()?;
        let names = (0..=greatest as usize).map(|token| token.to_string()).collect();
        let padding = match self.padding {
            Some(Ignored::Number(id)) => {
                Some(i32::try_from(id).map_err(|_| Error::value("padding", "a token id", id))?)
            }
            Some(Ignored::Nan) => return Err(Error::value("padding", "a token id", "nan")),
            None => None,
        };
        Ok(Targets::Next { names, padding })
    }

    /// A text, whose characters are each followed by the next.
    fn of_text(&self) -> Result<Dataset> {
        if self.made() != Some(Made::Next) {
            let got = self.target.as_deref().unwrap_or("none");
            return Err(Error::value("target", "\"next\", as a text has no other", got));
        }
        let (inputs, names) = text::load(&self.path, self.length.unwrap_or(64))?;
        let note =
            format!("{} different characters, which an embedding needs as its vocabulary", names.len());
        let targets = Targets::Next { names, padding: None };
        let (splits, origins) = self.split(&targets, Parts::undivided(inputs.shape()[0]))?;
        let in_file = |e: Error| Error::format(&self.path, e.to_string());
        let data = Dataset::new(inputs, targets, splits).map_err(in_file)?;
        self.scaled(Dataset { origins, target: "next".into(), notes: vec![note], ..data }).map_err(in_file)
    }

    fn of_tensors(&self, tensors: Tensors, task: &dyn Fn(&str) -> Option<Task>) -> Result<Dataset> {
        let path = self.path.as_path();
        let inputs: Vec<&str> = match &self.inputs {
            None => vec!["x"],
            Some(Inputs::One(name)) => vec![name],
            Some(Inputs::Tensors(names)) => names.iter().map(String::as_str).collect(),
            Some(Inputs::Columns(_)) => Vec::new(),
        };
        let names: Vec<&str> = match (self.made(), &self.targets[..]) {
            (Some(_), _) => Vec::new(),
            (None, []) => vec![self.target.as_deref().unwrap_or("y")],
            (None, names) => names.iter().map(String::as_str).collect(),
        };
        let (arrays, targets, parts, notes) = tensors.load(&inputs, &names)?;
        let (mut memory, mut files) = (Vec::new(), Vec::new());
        for tensor in arrays {
            match tensor {
                Tensor::Memory(array) => memory.push(self.marked(array)?),
                Tensor::Disk(joined) => files.push(match (self.made(), self.padding) {
                    (Some(Made::Next), _) | (_, None) => joined,
                    (_, padding) => joined.then(move |array| padding::marked(array, padding)),
                }),
            }
        }
        if memory.is_empty() && files.is_empty() {
            return Err(Error::value("inputs", "the name of a tensor", "none"));
        }
        let is_only = self.targets.is_empty();
        let target = |(array, name): (Array, &&str)| {
            let task = task(if is_only { "" } else { name });
            tensors::targets(path, &array, self.target_kind, task, self.ignored)
        };
        let mut targets =
            targets.into_iter().zip(&names).map(target).collect::<Result<Vec<_>>>()?.into_iter();
        let chosen = match (self.made(), targets.next()) {
            (Some(made), _) => self.make(made, || match (files.first(), memory.first()) {
                (Some(joined), _) => joined.greatest(),
                (None, first) => Ok(first.map_or(0.0, |first| first.values().fold(0.0, f64::max))),
            })?,
            (None, Some(targets)) => self.choose(targets)?,
            (None, None) => return Err(Error::value("target", "the name of a tensor", "none")),
        };
        let (splits, origins) = self.split(&chosen, parts)?;
        let in_file = |e: Error| Error::format(path, e.to_string());
        let names_of: Vec<&str> = match &self.inputs {
            Some(Inputs::Tensors(_)) => inputs.clone(),
            _ => vec!["input"],
        };
        let mut memory = memory.into_iter();
        let mut data = match memory.next() {
            None => Dataset::from_named_rows(Files(files), &names_of, chosen, splits)?,
            Some(first) => Dataset::new(first, chosen, splits).map_err(in_file)?,
        };
        (data.origins, data.notes) = (origins, notes);
        data.target = names.first().copied().or(self.target.as_deref()).unwrap_or_default().to_string();
        if matches!(self.inputs, Some(Inputs::Tensors(_))) {
            data.input = inputs[0].to_string();
        }
        for (array, name) in memory.zip(inputs.iter().skip(1)) {
            data = data.with_input(name, array).map_err(in_file)?;
        }
        for (targets, name) in targets.zip(names.iter().skip(1)) {
            data = data.with_target(name, targets).map_err(in_file)?;
        }
        self.scaled(data).map_err(in_file)
    }

    /// The tensors of these names, as stored in an archive.
    pub(crate) fn arrays(&self, path: &Path, names: &[&str]) -> Result<Vec<Array>> {
        let tensors = match Format::detect(path) {
            Some(Format::Safetensors) => Tensors::safetensors(path, self.layout, false)?,
            _ => Tensors::npy(path, self.layout, false)?,
        };
        let arrays = tensors.load(names, &[])?.0.into_iter().filter_map(|tensor| match tensor {
            Tensor::Memory(array) => Some(array),
            Tensor::Disk(_) => None,
        });
        arrays.map(|array| self.marked(array)).collect()
    }

    /// Sequences of numbers with NaN for their padding, see [`pad`](super::pad).
    pub(super) fn marked(&self, array: Array) -> Result<Array> {
        match self.made() {
            // The padding is a token id.
            Some(Made::Next) => Ok(array),
            _ => padding::marked(array, self.padding),
        }
    }

    /// The scaling of an input. `scale` applies to the features of a table; beside them, token ids are left unscaled,
    /// and pictures are scaled to 0..1.
    fn scale_of(&self, input: &InputView) -> Scale {
        let usual = match (self.format, input.values.dtype()) {
            (Format::Table, DType::I32) => Scale::None,
            (Format::Table, DType::U8) => Scale::Unit,
            _ => self.scale,
        };
        self.scales.get(input.name).copied().unwrap_or(usual)
    }

    /// The scalings of all inputs and of the targets that are values.
    pub(super) fn scaled(&self, data: Dataset) -> Result<Dataset> {
        let known: Vec<String> = data.all_inputs().map(|input| input.name.to_string()).collect();
        if let Some(name) = self.scales.keys().find(|name| !known.contains(name)) {
            return Err(Error::value("scales", format!("the names of inputs, {}", known.join(", ")), name));
        }
        let scales: Vec<Scale> = data.all_inputs().map(|input| self.scale_of(&input)).collect();
        let mut data = data.scaled(scales[0])?;
        if !data.targets.is_classes() {
            data = data.scaled_target(self.scale_target)?;
        } else if data.more_targets.is_empty() && self.scale_target != Scale::None {
            return Err(Error::value("scale_target", "targets that are values", "classes"));
        }
        for (i, scale) in scales[1..].iter().enumerate() {
            data.more_inputs[i].scaling = data.fit_input(1 + i, *scale)?;
        }
        for i in 0..data.more_targets.len() {
            if data.more_targets[i].targets.values().is_some() {
                data.more_targets[i].scaling = data.fit_target(1 + i, self.scale_target)?;
            }
        }
        Ok(data)
    }
}
