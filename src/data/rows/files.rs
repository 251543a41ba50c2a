//! Arrays in files, whose rows are read from their places.

use super::reader::PIECE;
use super::{ReadError, Rows, ascending};
use crate::array::Array;
use crate::data::{bytes, gather};
use crate::error::{Error, Result};
use crate::file;
use std::fmt;
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Makes an array of this shape of the bytes of a file.
type Decode = Box<dyn Fn(&[usize], Vec<u8>) -> Result<Array> + Send + Sync>;

/// Converts an array of rows to the form of a data set.
pub(in crate::data) type Prepare = Box<dyn Fn(Array) -> Result<Array> + Send + Sync>;

/// An array `[n, …]` in a file, row after row.
pub(in crate::data) struct Stored {
    path: PathBuf,
    file: File,
    /// When the file was last written before it was opened.
    written: (i64, i64),
    /// The position of the first row.
    start: u64,
    row_bytes: usize,
    /// The shape of the whole array.
    pub shape: Vec<usize>,
    decode: Decode,
}

impl Stored {
    /// The array of this shape that begins at `start` in a file, whose rows have `row_bytes` bytes.
    ///
    /// # Errors
    /// When the file cannot be read, or is too short for it.
    pub fn open(
        path: &Path,
        start: u64,
        row_bytes: usize,
        shape: &[usize],
        decode: impl Fn(&[usize], Vec<u8>) -> Result<Array> + Send + Sync + 'static,
    ) -> Result<Self> {
        let (file, length) = file::open("read", path)?;
        let rows = shape.first().copied().unwrap_or(0);
        let end = (row_bytes as u64).checked_mul(rows as u64).and_then(|bytes| bytes.checked_add(start));
        if shape.is_empty() || end.is_none_or(|end| end > length as u64) {
            let message = format!(
                "expected an array {shape:?} of {row_bytes} bytes a row, got a file of {length} bytes"
            );
            return Err(Error::format(path, message + "; fetch or write it again"));
        }
        let written = written(&file).map_err(|e| Error::io("read", path, e))?;
        let (path, shape) = (path.to_path_buf(), shape.to_vec());
        Ok(Self { path, file, written, start, row_bytes, shape, decode: Box::new(decode) })
    }

    fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(0)
    }

    /// Reads the bytes of rows, which ascend, neighbours together.
    fn read(&self, rows: &[usize]) -> Result<Vec<u8>> {
        let failed = |e| Error::io("read", &self.path, e);
        let mut bytes = vec![0; rows.len() * self.row_bytes];
        let mut left = &mut bytes[..];
        for run in rows.chunk_by(|one, next| one + 1 == *next) {
            let (place, rest) = left.split_at_mut(run.len() * self.row_bytes);
            left = rest;
            let offset = self.start + run[0] as u64 * self.row_bytes as u64;
            if let Err(error) = self.file.read_exact_at(place, offset) {
                // A file that was cut off was written to.
                self.check_unchanged()?;
                return Err(failed(error));
            }
        }
        // Afterwards, so that no write while it was read is missed.
        self.check_unchanged()?;
        Ok(bytes)
    }

    fn check_unchanged(&self) -> Result<()> {
        if written(&self.file).map_err(|e| Error::io("read", &self.path, e))? == self.written {
            return Ok(());
        }
        let message = "expected the file as it was when the data was opened, got one that was written to since; start anew";
        Err(Error::format(&self.path, message))
    }
}

fn written(file: &File) -> std::io::Result<(i64, i64)> {
    let metadata = file.metadata()?;
    Ok((metadata.mtime(), metadata.mtime_nsec()))
}

/// An input in one or several files, one after another.
pub(in crate::data) struct Joined {
    parts: Vec<Stored>,
    prepare: Prepare,
}

impl Joined {
    pub fn new(parts: Vec<Stored>, prepare: Prepare) -> Self {
        Self { parts, prepare }
    }

    /// The same, followed by another conversion.
    pub fn then(self, next: impl Fn(Array) -> Result<Array> + Send + Sync + 'static) -> Self {
        let Self { parts, prepare } = self;
        Self { parts, prepare: Box::new(move |array| next(prepare(array)?)) }
    }

    pub fn rows(&self) -> usize {
        self.parts.iter().map(Stored::rows).sum()
    }

    /// The rows with these numbers, in the form of a data set.
    pub fn read(&self, rows: &[u32]) -> Result<Array> {
        // In the order of the files.
        let (sorted, places) = ascending(rows);
        let (mut first, mut parts) = (0, Vec::new());
        for part in &self.parts {
            let end = first + part.rows();
            let from = sorted.partition_point(|&row| (row as usize) < first);
            let to = sorted.partition_point(|&row| (row as usize) < end);
            if from < to {
                let own: Vec<usize> = sorted[from..to].iter().map(|&row| row as usize - first).collect();
                let shape = [&[own.len()], &part.shape[1..]].concat();
                parts.push((part.decode)(&shape, part.read(&own)?)?);
            }
            first = end;
        }
        let Some(path) = self.parts.first().map(|part| &part.path) else {
            return Err(Error::value("rows", "a file", "none"));
        };
        if parts.is_empty() || sorted.last().is_some_and(|&row| row as usize >= first) {
            return Err(Error::format(path, format!("expected rows below {first}, got others")));
        }
        let values = (self.prepare)(bytes::concatenate(path, parts)?)?;
        gather(&values, &places)
    }

    /// The max over all rows.
    pub fn greatest(&self) -> Result<f64> {
        let rows: Vec<u32> = (0..self.rows() as u32).collect();
        let width = self.parts.first().map_or(1, |part| part.row_bytes.max(1));
        rows.chunks((PIECE / width).max(1))
            .try_fold(0.0, |greatest: f64, rows| Ok(self.read(rows)?.values().fold(greatest, f64::max)))
    }
}

/// The inputs of a data set, each in its own files.
pub(in crate::data) struct Files(pub Vec<Joined>);

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths = self.0.iter().map(|input| input.parts.iter().map(|part| &part.path).collect::<Vec<_>>());
        f.debug_list().entries(paths).finish()
    }
}

impl Rows for Files {
    fn count(&self) -> usize {
        self.0.first().map_or(0, Joined::rows)
    }

    fn read(&self, rows: &[u32]) -> Result<Vec<Array>, ReadError> {
        Ok(self.0.iter().map(|input| input.read(rows)).collect::<Result<_>>()?)
    }
}
