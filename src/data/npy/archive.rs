//! Archives of NumPy's arrays, `.npz`.

use super::parse;
use crate::array::Array;
use crate::data::bytes::{self, MAX_EXPANSION};
use crate::error::{Error, Result};
use std::fmt;
use std::io::{Cursor, Read, Seek};
use std::path::{Path, PathBuf};
use zip::ZipArchive;

/// An `.npz` archive.
pub struct Archive {
    path: PathBuf,
    /// Bytes of the whole archive: no entry's compressed form has more, whatever the archive claims.
    size: usize,
    zip: ZipArchive<Box<dyn ReadSeek>>,
}

/// A file, or its contents in memory.
trait ReadSeek: Read + Seek {}

impl<T: Read + Seek> ReadSeek for T {}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Archive").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Archive {
    /// Opens an `.npz` file, whose arrays are read on demand.
    ///
    /// # Errors
    /// When the file cannot be read or is not a ZIP archive.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let (reader, length) = bytes::open_file(path)?;
        Self::of(path, Box::new(reader), length)
    }

    /// An archive with these contents; `path` is only for the error.
    ///
    /// # Errors
    /// When they are not a ZIP archive.
    pub fn new(path: &Path, contents: Vec<u8>) -> Result<Self> {
        let size = contents.len();
        Self::of(path, Box::new(Cursor::new(contents)), size)
    }

    fn of(path: &Path, reader: Box<dyn ReadSeek>, size: usize) -> Result<Self> {
        let zip = ZipArchive::new(reader)
            .map_err(|e| Error::format(path, format!("expected an NPZ archive, got: {e}")))?;
        Ok(Self { path: path.to_path_buf(), size, zip })
    }

    /// The names of the arrays.
    pub fn names(&self) -> Vec<String> {
        self.zip.file_names().filter_map(|name| name.ok()?.strip_suffix(".npy").map(String::from)).collect()
    }

    /// The array of this name; `None` when there is none.
    ///
    /// # Errors
    /// See [`read`](super::read).
    pub fn array(&mut self, name: &str) -> Result<Option<Array>> {
        let Some(index) = self.zip.index_for_name(&format!("{name}.npy")) else {
            return Ok(None);
        };
        let path = self.path.join(name);
        let entry =
            self.zip.by_index(index).map_err(|e| Error::format(&path, format!("cannot be opened: {e}")))?;
        let compressed = usize::try_from(entry.compressed_size()).unwrap_or(usize::MAX).min(self.size);
        parse(&path, entry, compressed.saturating_mul(MAX_EXPANSION)).map(Some)
    }
}
