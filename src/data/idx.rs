//! IDX files, gzipped or not, and data sets that consist of four of them, such as MNIST.
//!
//! The format is described at the end of <http://yann.lecun.com/exdb/mnist/>: two bytes 0, the type of the
//! elements, the number of dimensions, each dimension as a big-endian u32, then the elements, big-endian.

use super::bytes::{self, GZIP, MAX_EXPANSION};
use super::rows::files::{Joined, Stored};
use super::{Dataset, Origins, Parts, Targets};
use crate::array::{Array, DType};
use crate::error::{Error, Result};
use flate2::bufread::MultiGzDecoder;
use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};
use std::thread;

/// Reads an IDX file, gzipped or not, whatever its name.
///
/// Types that [`DType`] lacks are widened: i8 and i16 to i32.
///
/// ```
/// let labels = neural::data::idx::read("data/mnist/t10k-labels-idx1-ubyte.gz")?;
/// assert_eq!(labels.shape(), [10_000]);
/// # Ok::<(), neural::Error>(())
/// ```
///
/// # Errors
/// When the file cannot be read, is not IDX, or does not hold exactly what its header declares.
pub fn read(path: impl AsRef<Path>) -> Result<Array> {
    let path = path.as_ref();
    let (reader, length) = bytes::open_file(path)?;
    unpack(path, reader, length)
}

/// Decodes the contents of an IDX file; `path` is for the error only.
///
/// ```
/// let labels = neural::data::idx::decode("labels".as_ref(), &[0, 0, 8, 1, 0, 0, 0, 2, 7, 3])?;
/// assert_eq!(labels.to_vec::<u8>()?, [7, 3]);
/// # Ok::<(), neural::Error>(())
/// ```
///
/// # Errors
/// See [`read`].
pub fn decode(path: &Path, contents: &[u8]) -> Result<Array> {
    unpack(path, contents, contents.len())
}

/// Parses `length` bytes, which may be gzipped.
fn unpack(path: &Path, mut reader: impl BufRead, length: usize) -> Result<Array> {
    if reader.fill_buf().map_err(|e| Error::io("read", path, e))?.starts_with(&GZIP) {
        parse(path, MultiGzDecoder::new(reader), length.saturating_mul(MAX_EXPANSION))
    } else {
        parse(path, reader, length)
    }
}

/// An element type of the format; [`DType`] lacks two of them.
#[derive(Clone, Copy)]
enum Kind {
    Plain(DType),
    I8,
    I16,
}

fn parse(path: &Path, mut reader: impl Read, most: usize) -> Result<Array> {
    let mut word = || {
        let mut word = [0; 4];
        match reader.read_exact(&mut word) {
            Ok(()) => Ok(word),
            Err(e) => Err(bytes::short_header(path, "an IDX", &e)),
        }
    };
    let magic = word()?;
    let kind = match magic[2] {
        0x08 => Some(Kind::Plain(DType::U8)),
        0x09 => Some(Kind::I8),
        0x0B => Some(Kind::I16),
        0x0C => Some(Kind::Plain(DType::I32)),
        0x0D => Some(Kind::Plain(DType::F32)),
        0x0E => Some(Kind::Plain(DType::F64)),
        _ => None,
    };
    let (Some(kind), [0, 0, _, rank]) = (kind, magic) else {
        let message =
            format!("expected an IDX file, which starts 00 00 and a type from 08 to 0e, got {magic:02x?}");
        return Err(Error::format(path, message));
    };
    let mut shape = Vec::with_capacity(usize::from(rank));
    for _ in 0..rank {
        shape.push(u32::from_be_bytes(word()?) as usize);
    }

    let size = match kind {
        Kind::Plain(dtype) => dtype.size(),
        Kind::I8 => 1,
        Kind::I16 => 2,
    };
    let mut elements = bytes::read_elements(path, reader, size, &shape, most)?;
    bytes::swap_bytes(&mut elements, size);
    match kind {
        Kind::Plain(dtype) => Array::from_bytes(dtype, &shape, elements),
        Kind::I8 => bytes::widen(&shape, &elements, |x| i32::from(i8::from_le_bytes(x))),
        Kind::I16 => bytes::widen(&shape, &elements, |x| i32::from(i16::from_le_bytes(x))),
    }
}

/// Reads the four files of MNIST, or of a data set of the same form such as Fashion-MNIST, from a folder:
/// `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and
/// `t10k-labels-idx1-ubyte`, each with or without `.gz`.
///
/// Inputs are u8 `[n, height, width, 1]`, the training file's rows first. Labels are classes named by their numbers. No
/// row is for validation, see [`Dataset::halve_test`].
///
/// ```
/// let digits = neural::data::mnist("data/mnist")?;
/// assert_eq!(digits.inputs.shape(), [70_000, 28, 28, 1]);
/// # Ok::<(), neural::Error>(())
/// ```
///
/// # Errors
/// When a file is missing or damaged, or images and labels do not belong together.
pub fn mnist(folder: impl AsRef<Path>) -> Result<Dataset> {
    let folder = folder.as_ref();
    let (inputs, targets, parts) = load(folder)?;
    let data =
        Dataset::new(inputs, targets, parts.splits()).map_err(|e| Error::format(folder, e.to_string()))?;
    Ok(Dataset { origins: parts.origins, ..data })
}

pub(crate) fn load(folder: &Path) -> Result<(Array, Targets, Parts)> {
    let (train, test) = (Pair::find(folder, "train")?, Pair::find(folder, "t10k")?);
    let ((train, train_labels), (test, test_labels)) = thread::scope(|scope| {
        let test = scope.spawn(|| test.read());
        let train = train.read()?;
        Ok((train, test.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?))
    })?;
    let labels = [train_labels.bytes(), test_labels.bytes()].concat();
    let origins = Origins::new("the training files", "", "the test files");
    let parts = Parts { train: train.shape()[0], validation: 0, test: test.shape()[0], origins };
    let inputs = bytes::concatenate(folder, vec![train, test])?;
    // The channel that images have everywhere else.
    let shape = [inputs.shape(), &[1]].concat();
    let inputs = inputs.reshape(&shape)?;
    let labels: Vec<i64> = labels.into_iter().map(i64::from).collect();
    Ok((inputs, Targets::of_labels(&labels)?, parts))
}

/// As [`load`], for images that are read when needed.
pub(super) fn open(folder: &Path) -> Result<(Joined, Targets, Parts)> {
    let (mut labels, mut parts) = (Vec::new(), Vec::new());
    for part in ["train", "t10k"] {
        let pair = Pair::find(folder, part)?;
        labels.push(read_u8(&pair.labels, 1, "labels u8[n]")?);
        parts.push(open_images(&pair.images)?);
    }
    if let Some((images, labels)) = parts.iter().zip(&labels).find(|(a, b)| a.shape[0] != b.shape()[0]) {
        let message = format!(
            "expected a label for each of {} images, got {}; take both files from one data set",
            images.shape[0],
            labels.shape()[0]
        );
        return Err(Error::format(folder, message));
    }
    let origins = Origins::new("the training files", "", "the test files");
    let divided = Parts { train: parts[0].shape[0], validation: 0, test: parts[1].shape[0], origins };
    let labels: Vec<i64> =
        labels.iter().flat_map(|part| part.bytes().iter().map(|&b| i64::from(b))).collect();
    Ok((Joined::new(parts, Box::new(Ok)), Targets::of_labels(&labels)?, divided))
}

/// Images u8 `[n, height, width]`, which lie one after another behind a header of 16 bytes.
fn open_images(path: &Path) -> Result<Stored> {
    let (mut reader, _) = bytes::open_file(path)?;
    let mut header = [0; 16];
    reader.read_exact(&mut header).map_err(|e| bytes::short_header(path, "an IDX", &e))?;
    if header.starts_with(&GZIP) {
        let message = "expected images that are not packed, whose rows can be read alone, got a gzipped file; unpack it";
        return Err(Error::format(path, message));
    }
    if header[..4] != [0, 0, 8, 3] {
        let got = &header[..4];
        return Err(Error::format(path, format!("expected images u8[n, height, width], got {got:02x?}")));
    }
    let size =
        |i: usize| u32::from_be_bytes([header[i], header[i + 1], header[i + 2], header[i + 3]]) as usize;
    let shape = [size(4), size(8), size(12), 1];
    let row = shape[1].saturating_mul(shape[2]);
    Stored::open(path, 16, row, &shape, |shape, pixels| Array::from_bytes(DType::U8, shape, pixels))
}

/// The images of the test alone, u8 `[n, height, width, 1]`.
pub(crate) fn test_images(folder: &Path) -> Result<Array> {
    let images = read_u8(&find(folder, "t10k-images", "idx3-ubyte")?, 3, "images u8[n, height, width]")?;
    let shape = [images.shape(), &[1]].concat();
    images.reshape(&shape)
}

/// The files of one part.
struct Pair {
    images: PathBuf,
    labels: PathBuf,
}

impl Pair {
    fn find(folder: &Path, part: &str) -> Result<Self> {
        Ok(Self {
            images: find(folder, &format!("{part}-images"), "idx3-ubyte")?,
            labels: find(folder, &format!("{part}-labels"), "idx1-ubyte")?,
        })
    }

    /// The images u8 `[n, height, width]` and labels u8 `[n]`.
    fn read(&self) -> Result<(Array, Array)> {
        let labels = read_u8(&self.labels, 1, "labels u8[n]")?;
        let images = read_u8(&self.images, 3, "images u8[n, height, width]")?;
        if images.shape()[0] != labels.shape()[0] {
            let message = format!(
                "expected a label for each of the {} images in {}, got {}; take both files from one data set",
                images.shape()[0],
                self.images.display(),
                labels.shape()[0]
            );
            return Err(Error::format(&self.labels, message));
        }
        Ok((images, labels))
    }
}

fn read_u8(path: &Path, rank: usize, expected: &str) -> Result<Array> {
    let array = read(path)?;
    if array.dtype() != DType::U8 || array.shape().len() != rank {
        let got = format!("{}{:?}", array.dtype(), array.shape());
        return Err(Error::format(path, format!("expected {expected}, got {got}")));
    }
    Ok(array)
}

/// The file under one of the names that it goes by; some archives write `images.idx3-ubyte`.
fn find(folder: &Path, stem: &str, kind: &str) -> Result<PathBuf> {
    let names = ["-", "."].map(|dash| format!("{stem}{dash}{kind}"));
    let mut candidates = names.iter().flat_map(|name| [folder.join(name), folder.join(format!("{name}.gz"))]);
    candidates.find(|path| path.exists()).ok_or_else(|| {
        let message = format!(
            "expected a folder with the file {0} or {0}.gz, got neither; \
             put the four files of the data set there",
            names[0]
        );
        Error::format(folder, message)
    })
}
