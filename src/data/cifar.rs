//! The binary versions of CIFAR-10 and CIFAR-100.
//!
//! <https://www.cs.toronto.edu/~kriz/cifar.html>: records of one label byte (CIFAR-100: coarse, then fine)
//! and 3,072 bytes of pixels, the red plane first, then green and blue, each 32 rows of 32.

use super::rows::files::{Joined, Stored};
use super::{Dataset, Origins, Parts, Targets, bytes};
use crate::array::{Array, DType};
use crate::error::{Error, Result};
use std::path::Path;

const SIDE: usize = 32;
const PIXELS: usize = SIDE * SIDE;
const CHANNELS: usize = 3;

/// Which of the two data sets.
///
/// ```
/// use neural::data::cifar::{Cifar, decode};
/// let (pictures, labels) = decode("b".as_ref(), &[&[7][..], &[0; 3072]].concat(), Cifar::Ten)?;
/// assert_eq!((pictures.shape(), labels), (&[1, 32, 32, 3][..], vec![7]));
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cifar {
    /// Ten classes: `data_batch_1.bin` to `data_batch_5.bin`, and `test_batch.bin`.
    Ten,
    /// A hundred (fine) classes: `train.bin` and `test.bin`.
    Hundred,
}

impl Cifar {
    fn train_files(self) -> Vec<String> {
        match self {
            Cifar::Ten => (1..=5).map(|i| format!("data_batch_{i}.bin")).collect(),
            Cifar::Hundred => vec!["train.bin".into()],
        }
    }

    fn test_file(self) -> &'static str {
        match self {
            Cifar::Ten => "test_batch.bin",
            Cifar::Hundred => "test.bin",
        }
    }

    fn names_file(self) -> &'static str {
        match self {
            Cifar::Ten => "batches.meta.txt",
            Cifar::Hundred => "fine_label_names.txt",
        }
    }

    fn classes(self) -> usize {
        match self {
            Cifar::Ten => 10,
            Cifar::Hundred => 100,
        }
    }

    /// Label bytes before the pixels of a record; the last is the class.
    fn labels(self) -> usize {
        match self {
            Cifar::Ten => 1,
            Cifar::Hundred => 2,
        }
    }
}

/// Reads a folder of CIFAR binaries: u8 `[n, 32, 32, 3]`, height, width, channel (red, green, blue).
///
/// The test file's rows are for testing, and no rows for validation, see [`Dataset::halve_test`]. Classes have the
/// names in `batches.meta.txt` or `fine_label_names.txt` if that file exists, else their numbers.
///
/// # Errors
/// When a file is missing, is not a whole number of records, or holds a label that is out of range.
pub fn read(folder: impl AsRef<Path>, which: Cifar) -> Result<Dataset> {
    let folder = folder.as_ref();
    let (inputs, targets, parts) = load(folder, which)?;
    let data =
        Dataset::new(inputs, targets, parts.splits()).map_err(|e| Error::format(folder, e.to_string()))?;
    Ok(Dataset { origins: parts.origins, ..data })
}

pub(crate) fn load(folder: &Path, which: Cifar) -> Result<(Array, Targets, Parts)> {
    let mut labels = Vec::new();
    let mut file = |name: &str| {
        let path = folder.join(name);
        if !path.exists() {
            let message =
                format!("expected a folder with the file {name}, got none; unpack the binary version there");
            return Err(Error::format(folder, message));
        }
        let (pictures, more) = decode(&path, &bytes::read_file(&path)?, which)?;
        labels.extend(more);
        Ok(pictures)
    };
    let mut pictures = which.train_files().iter().map(|name| file(name)).collect::<Result<Vec<_>>>()?;
    pictures.push(file(which.test_file())?);

    let test = pictures[pictures.len() - 1].shape()[0];
    let inputs = bytes::concatenate(folder, pictures)?;
    let origins = Origins::new("the training files", "", "the test file");
    let parts = Parts { train: labels.len() - test, validation: 0, test, origins };
    Ok((inputs, Targets::Classes { labels, names: names(folder, which)? }, parts))
}

/// As [`load`], for pictures that are read when needed. The labels are stored between them, so each file is read once
/// for its labels.
pub(super) fn open(folder: &Path, which: Cifar) -> Result<(Joined, Targets, Parts)> {
    let (mut labels, mut parts) = (Vec::new(), Vec::new());
    let record = which.labels() + CHANNELS * PIXELS;
    for name in which.train_files().into_iter().chain([which.test_file().to_string()]) {
        let path = folder.join(name);
        let (_, more) = decode(&path, &bytes::read_file(&path)?, which)?;
        let (shape, named) = ([more.len(), SIDE, SIDE, CHANNELS], path.clone());
        labels.extend(more);
        let pictures = move |_: &[usize], records: Vec<u8>| Ok(decode(&named, &records, which)?.0);
        parts.push(Stored::open(&path, 0, record, &shape, pictures)?);
    }
    let test = parts.last().map_or(0, |part| part.shape[0]);
    let origins = Origins::new("the training files", "", "the test file");
    let divided = Parts { train: labels.len() - test, validation: 0, test, origins };
    let files = Joined::new(parts, Box::new(Ok));
    Ok((files, Targets::Classes { labels, names: names(folder, which)? }, divided))
}

/// Decodes the contents of one file: pictures u8 `[n, 32, 32, 3]` and their classes; `path` is for the error
/// only.
///
/// # Errors
/// When it is not a whole number of records, at least one, or a label is out of range.
pub fn decode(path: &Path, contents: &[u8], which: Cifar) -> Result<(Array, Vec<i32>)> {
    let record = which.labels() + CHANNELS * PIXELS;
    if contents.is_empty() || !contents.len().is_multiple_of(record) {
        let message = format!(
            "expected one or more records of {record} bytes, got {} bytes; fetch the file again",
            contents.len()
        );
        return Err(Error::format(path, message));
    }
    let rows = contents.len() / record;
    let mut labels = Vec::with_capacity(rows);
    let mut pictures = Vec::with_capacity(rows * CHANNELS * PIXELS);
    for (row, record) in contents.chunks_exact(record).enumerate() {
        let (label, planes) = record.split_at(which.labels());
        let label = label[label.len() - 1];
        if usize::from(label) >= which.classes() {
            let expected = which.classes() - 1;
            let message = format!("expected labels from 0 to {expected}, got {label} in record {row}");
            return Err(Error::format(path, message));
        }
        labels.push(i32::from(label));
        pictures.extend((0..PIXELS).flat_map(|i| [planes[i], planes[PIXELS + i], planes[2 * PIXELS + i]]));
    }
    Ok((Array::from_bytes(DType::U8, &[rows, SIDE, SIDE, CHANNELS], pictures)?, labels))
}

fn names(folder: &Path, which: Cifar) -> Result<Vec<String>> {
    let path = folder.join(which.names_file());
    if !path.exists() {
        return Ok((0..which.classes()).map(|class| class.to_string()).collect());
    }
    let contents = bytes::read_file(&path)?;
    let Ok(text) = std::str::from_utf8(&contents) else {
        return Err(Error::format(&path, "expected a class name on each line, got bytes that are not UTF-8"));
    };
    let names: Vec<String> =
        text.lines().map(str::trim).filter(|s| !s.is_empty()).map(String::from).collect();
    if names.len() != which.classes() {
        let message = format!("expected {} class names, one a line, got {}", which.classes(), names.len());
        return Err(Error::format(&path, message));
    }
    Ok(names)
}
