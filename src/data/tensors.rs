//! A data set in named tensors: a pair of inputs and targets, or a pair for each of training, validation and
//! test.

mod form;
mod shards;
mod targets;

pub use form::Layout;
pub(crate) use form::channels_last;
pub(crate) use targets::targets;

use super::rows::files::{Joined, Stored};
use super::{Origins, Parts, bytes, npy, safetensors};
use crate::array::Array;
use crate::error::{Error, Result};
use form::{Form, rounded};
use shards::files_of;
use std::fs;
use std::path::{Path, PathBuf};

/// A place that holds tensors by name.
pub(crate) struct Tensors<'a> {
    path: &'a Path,
    names: Vec<String>,
    form: Form,
    read: Box<Read<'a>>,
    /// Opens inputs whose rows are read when needed.
    open: Option<Box<Open<'a>>>,
}

/// A tensor of inputs, in the form that a data set has it in.
pub(crate) enum Tensor {
    Memory(Array),
    Disk(Joined),
}

/// A tensor as it lies in a file.
enum Found {
    Memory(Array),
    /// The files of its rows, and its shape.
    Disk(Vec<Stored>, Vec<usize>),
}

impl Found {
    fn shape(&self) -> &[usize] {
        match self {
            Self::Memory(array) => array.shape(),
            Self::Disk(_, shape) => shape,
        }
    }
}

/// Inputs and targets of one part, and the names of their tensors.
struct Rows {
    count: usize,
    x: Vec<Found>,
    y: Vec<Array>,
    origin: String,
    notes: Vec<String>,
}

/// Inputs, targets, the division of their rows, and notes.
pub(crate) type Loaded = (Vec<Tensor>, Vec<Array>, Parts, Vec<String>);

/// Reads the tensor of a name, if there is one.
type Read<'a> = dyn FnMut(&str) -> Result<Option<Array>> + 'a;

/// Opens the tensor of a name, if there is one, in one file or several.
type Open<'a> = dyn Fn(&str) -> Result<Option<Vec<Stored>>> + 'a;

impl<'a> Tensors<'a> {
    /// An `.npz` archive, or a folder of `.npy` files, of which a tensor may have several: its shards. Where the data stays
    /// `on disk`, inputs are opened and not read.
    pub(crate) fn npy(path: &'a Path, layout: Option<Layout>, is_on_disk: bool) -> Result<Self> {
        let form = Form { path: path.to_path_buf(), layout };
        if path.is_dir() {
            let entries = fs::read_dir(path).map_err(|e| Error::io("read", path, e))?;
            let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
            let mut names: Vec<String> =
                names.filter_map(|name| name.strip_suffix(".npy").map(String::from)).collect();
            names.sort();
            let all = names.clone();
            let files = move |name: &str| -> Result<Vec<PathBuf>> {
                let own = files_of(&all, name).map_err(|message| Error::format(path, message))?;
                Ok(own.into_iter().map(|file| path.join(format!("{file}.npy"))).collect())
            };
            let opened = files.clone();
            let read = move |name: &str| match &files(name)?[..] {
                [] => Ok(None),
                [one] => npy::read(one).map(Some),
                several => {
                    let arrays = several.iter().map(npy::read).collect::<Result<_>>()?;
                    bytes::concatenate(path, arrays).map(Some)
                }
            };
            let open: Box<Open> = Box::new(move |name| {
                let parts = opened(name)?.iter().map(|file| npy::open(file)).collect::<Result<Vec<_>>>()?;
                Ok(Some(parts).filter(|parts| !parts.is_empty()))
            });
            let open = is_on_disk.then_some(open);
            return Ok(Self { path, names, form, read: Box::new(read), open });
        }
        if path.extension().is_some_and(|extension| extension == "npy") {
            let message =
                "expected an .npz archive or a folder of .npy files with inputs and targets, got one array";
            return Err(Error::format(path, message));
        }
        if is_on_disk {
            let message =
                "expected a folder of .npy files, whose rows can be read alone, got an archive; unpack it";
            return Err(Error::format(path, message));
        }
        let mut archive = npy::Archive::open(path)?;
        let names = archive.names();
        Ok(Self { path, names, form, read: Box::new(move |name| archive.array(name)), open: None })
    }

    pub(crate) fn safetensors(path: &'a Path, layout: Option<Layout>, is_on_disk: bool) -> Result<Self> {
        let form = Form { path: path.to_path_buf(), layout };
        let (mut file, rows) = (safetensors::File::open(path)?, safetensors::File::open(path)?);
        let open: Box<Open> = Box::new(move |name| Ok(rows.open_rows(name)?.map(|one| vec![one])));
        let (names, open) = (file.names(), is_on_disk.then_some(open));
        Ok(Self { path, names, form, read: Box::new(move |name| file.array(name)), open })
    }

    /// Loads the tensors `inputs` and `targets`; or if they are missing, the ones with `_train`, and optionally
    /// `_validation` (or `_val`, `_valid`) and `_test`. `x_train` may also be written `train_x`.
    pub(crate) fn load(mut self, inputs: &[&str], targets: &[&str]) -> Result<Loaded> {
        let plain = |name: &str| name.to_string();
        if let Some(rows) = self.rows(inputs, targets, &plain)? {
            let count = rows.count;
            let x = rows.x.into_iter().map(|x| self.whole(vec![x])).collect::<Result<_>>()?;
            return Ok((x, rows.y, Parts::undivided(count), rows.notes));
        }
        let Some(train) = self.part(inputs, targets, &["train"])? else {
            self.names.sort();
            let there = if self.names.is_empty() { "none".to_string() } else { self.names.join(", ") };
            let all = || inputs.iter().chain(targets);
            let names = all().copied().collect::<Vec<_>>().join(" and ");
            let parts = all().map(|name| format!("{name}_train")).collect::<Vec<_>>().join(" and ");
            let message = format!(
                "expected the tensors {names}, or {parts}, got {there}; name the correct ones as inputs and target"
            );
            return Err(Error::format(self.path, message));
        };
        let validation = self.part(inputs, targets, &["validation", "val", "valid"])?;
        let test = self.part(inputs, targets, &["test"])?;

        let rows = |part: &Option<Rows>| part.as_ref().map_or(0, |rows| rows.count);
        let origin = |part: &Option<Rows>| part.as_ref().map_or("", |rows| &rows.origin).to_string();
        let parts = Parts {
            train: train.count,
            validation: rows(&validation),
            test: rows(&test),
            origins: Origins {
                train: train.origin.clone(),
                validation: origin(&validation),
                test: origin(&test),
            },
        };
        let notes = train.notes.clone();
        let mut x: Vec<Vec<Found>> = inputs.iter().map(|_| Vec::new()).collect();
        let mut y = vec![Vec::new(); targets.len()];
        for rows in [Some(train), validation, test].into_iter().flatten() {
            x.iter_mut().zip(rows.x).for_each(|(parts, part)| parts.push(part));
            y.iter_mut().zip(rows.y).for_each(|(parts, part)| parts.push(part));
        }
        let x = x.into_iter().map(|parts| self.whole(parts)).collect::<Result<_>>()?;
        let y = y.into_iter().map(|parts| bytes::concatenate(self.path, parts)).collect::<Result<_>>()?;
        Ok((x, y, parts, notes))
    }

    /// The parts of an input, one after another.
    fn whole(&self, parts: Vec<Found>) -> Result<Tensor> {
        let (mut arrays, mut files) = (Vec::new(), Vec::new());
        for part in parts {
            match part {
                Found::Memory(array) => arrays.push(array),
                Found::Disk(more, _) => files.extend(more),
            }
        }
        if files.is_empty() {
            return bytes::concatenate(self.path, arrays).map(Tensor::Memory);
        }
        let form = self.form.clone();
        Ok(Tensor::Disk(Joined::new(files, Box::new(move |array| form.of(array, "inputs")))))
    }
}

impl Tensors<'_> {
    /// The rows of a part under one of the names that it goes by.
    fn part(&mut self, inputs: &[&str], targets: &[&str], names: &[&str]) -> Result<Option<Rows>> {
        for part in names {
            let rows = match self.rows(inputs, targets, &|name| format!("{name}_{part}"))? {
                None => self.rows(inputs, targets, &|name| format!("{part}_{name}"))?,
                rows => rows,
            };
            if rows.is_some() {
                return Ok(rows);
            }
        }
        Ok(None)
    }

    /// Inputs u8, i32 or f32 `[n, sample...]` and targets `[n, ...]` of the same rows, under the names from `called`.
    fn rows(
        &mut self,
        inputs: &[&str],
        targets: &[&str],
        called: &dyn Fn(&str) -> String,
    ) -> Result<Option<Rows>> {
        let names: Vec<String> = inputs.iter().chain(targets).map(|name| called(name)).collect();
        let found = |(i, name): (usize, &String)| match &self.open {
            Some(open) if i < inputs.len() => Ok(open(name)?.map(|parts| {
                let shape = joined_shape(&parts);
                Found::Disk(parts, shape)
            })),
            _ => Ok((self.read)(name)?.map(Found::Memory)),
        };
        let arrays = names.iter().enumerate().map(found).collect::<Result<Vec<_>>>()?;
        let is_there = |wanted: bool| arrays.iter().position(|array| array.is_some() == wanted);
        if let (Some(lacking), Some(there)) = (is_there(false), is_there(true)) {
            let (lacking, there) = (&names[lacking], &names[there]);
            let message = format!("expected the tensor {lacking} that belongs to {there}, got none");
            return Err(Error::format(self.path, message));
        }
        let arrays: Vec<Found> = arrays.into_iter().flatten().collect();
        let Some(first) = arrays.first() else { return Ok(None) };
        let count = first.shape().first().copied();
        if let Some(other) =
            arrays.iter().position(|array| count.is_none() || array.shape().first() != count.as_ref())
        {
            let other = if other == 0 { arrays.len() - 1 } else { other };
            let message = format!(
                "expected {}[n, ...] and {}[n, ...] of as many rows, got {:?} and {:?}",
                names[0],
                names[other],
                first.shape(),
                arrays[other].shape()
            );
            return Err(Error::format(self.path, message));
        }
        let mut x = arrays;
        let y = x.split_off(inputs.len()).into_iter().map(|found| match found {
            Found::Memory(array) => Ok(array),
            Found::Disk(..) => Err(Error::format(self.path, "expected targets in memory")),
        });
        let y = y.collect::<Result<_>>()?;
        let mut notes = Vec::new();
        let input = |(x, name): (Found, &String)| match x {
            Found::Memory(array) => {
                notes.extend(rounded(&array, name));
                self.form.of(array, name).map(Found::Memory)
            }
            disk @ Found::Disk(..) => Ok(disk),
        };
        let x = x.into_iter().zip(&names).map(input).collect::<Result<_>>()?;
        Ok(Some(Rows { count: count.unwrap_or(0), x, y, origin: names.join(" and "), notes }))
    }
}

/// The shape of arrays one after another.
fn joined_shape(parts: &[Stored]) -> Vec<usize> {
    let mut shape = parts.first().map_or_else(Vec::new, |part| part.shape.clone());
    if let Some(rows) = shape.first_mut() {
        *rows = parts.iter().map(|part| part.shape.first().copied().unwrap_or(0)).sum();
    }
    shape
}
