//! Samples without targets, in every format of data sets, for predictions.

use super::bytes::GZIP;
use super::cifar::{self, Cifar};
use super::images::Pictures;
use super::tensors::{Layout, channels_last};
use super::{Format, Inputs, Source, bytes, idx, npy, safetensors};
use crate::array::Array;
use crate::error::{Error, Result};
use crate::file;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The contents of a place.
pub(crate) enum Samples {
    /// Samples `[n, …]`, or a single one.
    Arrays(Array),
    /// Files of pictures, and notes on skipped files.
    Pictures(Vec<PathBuf>, Vec<String>),
    /// The contents of a file in none of the known binary formats, such as a table.
    Text(Vec<u8>),
    /// The contents of a picture that is no file.
    Picture(Vec<u8>),
}

const NPY: &[u8] = b"\x93NUMPY";
const ZIP: &[u8] = b"PK\x03\x04";
const PICTURES: [&[u8]; 2] = [b"\x89PNG", b"\xff\xd8\xff"];

impl Source {
    /// The samples in a file or a folder, whose format its contents tell; in archives and folders of arrays the tensor
    /// `inputs`.
    pub(crate) fn samples(&self, path: &Path) -> Result<Samples> {
        if path.is_dir() {
            return self.samples_of_folder(path);
        }
        let (mut file, _) = file::open("read", path)?;
        let mut start = Vec::new();
        file.by_ref().take(8).read_to_end(&mut start).map_err(|e| Error::io("read", path, e))?;
        let is_cifar = path.extension().is_some_and(|ending| ending == "bin");
        let array = match &start {
            start if start.starts_with(NPY) => npy::read(path)?,
            start if start.starts_with(ZIP) => {
                let mut archive = npy::Archive::open(path)?;
                self.named(path, archive.names(), |name| archive.array(name))?
            }
            start if is_idx(start) || (start.starts_with(&GZIP) && self.format != Format::Table) => {
                return Ok(Samples::Arrays(idx::read(path)?));
            }
            start if PICTURES.iter().any(|magic| start.starts_with(magic)) => {
                return Ok(Samples::Pictures(vec![path.to_path_buf()], Vec::new()));
            }
            _ if Format::detect(path) == Some(Format::Safetensors) => {
                let mut file = safetensors::File::open(path)?;
                self.named(path, file.names(), |name| file.array(name))?
            }
            _ if is_cifar => return self.cifar(path),
            _ => return Ok(Samples::Text(bytes::read_file(path)?)),
        };
        self.laid_out(array).map(Samples::Arrays)
    }

    /// The same for contents from elsewhere; `path` is only for errors.
    pub(crate) fn samples_of(&self, path: &Path, contents: Vec<u8>) -> Result<Samples> {
        let array = match &contents {
            start if start.starts_with(NPY) => npy::decode(path, &contents)?,
            start if start.starts_with(ZIP) => {
                let mut archive = npy::Archive::new(path, contents)?;
                self.named(path, archive.names(), |name| archive.array(name))?
            }
            start if is_idx(start) || (start.starts_with(&GZIP) && self.format != Format::Table) => {
                return idx::decode(path, &contents).map(Samples::Arrays);
            }
            start if PICTURES.iter().any(|magic| start.starts_with(magic)) => {
                return Ok(Samples::Picture(contents));
            }
            _ => return Ok(Samples::Text(contents)),
        };
        self.laid_out(array).map(Samples::Arrays)
    }

    fn samples_of_folder(&self, path: &Path) -> Result<Samples> {
        match Format::detect(path) {
            Some(Format::Idx) => idx::test_images(path).map(Samples::Arrays),
            Some(Format::Cifar10) => self.cifar(&path.join("test_batch.bin")),
            Some(Format::Cifar100) => self.cifar(&path.join("test.bin")),
            Some(Format::Npy) => {
                let array = npy::read(path.join(format!("{}.npy", self.inputs_name())))?;
                self.laid_out(array).map(Samples::Arrays)
            }
            _ => {
                let pictures = Pictures::within(path)?;
                if pictures.files.is_empty() {
                    return Err(Error::format(path, "expected pictures or arrays in the folder, got none"));
                }
                let notes = pictures.notes();
                Ok(Samples::Pictures(pictures.files, notes))
            }
        }
    }

    fn cifar(&self, path: &Path) -> Result<Samples> {
        let which = if self.format == Format::Cifar100 { Cifar::Hundred } else { Cifar::Ten };
        let (pictures, _) = cifar::decode(path, &bytes::read_file(path)?, which)?;
        Ok(Samples::Arrays(pictures))
    }

    fn inputs_name(&self) -> &str {
        match &self.inputs {
            Some(Inputs::One(name)) => name,
            _ => "x",
        }
    }

    /// The tensor of the inputs among several; a single tensor may have any name.
    fn named(
        &self,
        path: &Path,
        mut names: Vec<String>,
        mut read: impl FnMut(&str) -> Result<Option<Array>>,
    ) -> Result<Array> {
        let name = match &names[..] {
            [only] => only.clone(),
            _ => self.inputs_name().to_string(),
        };
        if let Some(array) = read(&name)? {
            return Ok(array);
        }
        names.sort();
        let got = if names.is_empty() { "none".to_string() } else { names.join(", ") };
        let message = format!("expected samples in a tensor {name}, got {got}; name it with --inputs");
        Err(Error::format(path, message))
    }

    fn laid_out(&self, array: Array) -> Result<Array> {
        let array = self.marked(array)?;
        match (self.layout, array.shape().len()) {
            (Some(Layout::Nchw), 4) => channels_last(array),
            // A single picture.
            (Some(Layout::Nchw), 3) => {
                let shape = [&[1], array.shape()].concat();
                channels_last(array.reshape(&shape)?)
            }
            _ => Ok(array),
        }
    }
}

/// Two bytes 0, a type, and at most four dimensions, as samples have.
fn is_idx(start: &[u8]) -> bool {
    matches!(start, [0, 0, 0x08 | 0x09 | 0x0B..=0x0E, 1..=4, ..])
}
