//! Files that are whole or not there.

use crate::error::{Error, Result};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Writes a file beside its place, brings it to the disk, and puts it in its place: at every moment, a power cut
/// included, there is the old file or the new one.
pub(crate) fn write(path: &Path, contents: &[u8]) -> Result<()> {
    let beside = beside(path);
    let written = File::create(&beside).and_then(|mut file| file.write_all(contents));
    written.and_then(|()| put(&beside, path)).map_err(|e| {
        // What is left of a file that found no room would take the room of the next one.
        let _ = fs::remove_file(&beside);
        Error::io("write", path, e)
    })
}

/// Puts a file that was written beside its place there, once its contents are on the disk.
pub(crate) fn put(beside: &Path, path: &Path) -> io::Result<()> {
    File::open(beside)?.sync_all()?;
    fs::rename(beside, path)?;
    sync_folder(parent(path))
}

/// The name under which a file or folder is made before it is put in its place.
pub(crate) fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    parent(path).join(format!(".{name}.{}", std::process::id()))
}

/// Whether `name` is one that [`beside`] gave to a file `of` in this process or another.
pub(crate) fn is_beside(name: &str, of: &str) -> bool {
    let process = name.strip_prefix('.').and_then(|rest| rest.strip_prefix(of)?.strip_prefix('.'));
    process.is_some_and(|id| !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit()))
}

/// Makes a folder and those above it; all of them are on the disk when this returns.
pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    create_folder(parent(path))?;
    match fs::create_dir(path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made.and_then(|()| sync_folder(parent(path))),
    }
}

/// Brings the names in a folder to the disk: a file is safe when its contents and its name are.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// The folder that a path is in.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
