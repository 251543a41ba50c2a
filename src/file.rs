//! Files that are whole or not there.

use crate::error::{Error, Result};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

/// Writes a file beside its place, brings it to the disk, and puts it in its place: at every moment, a power cut
/// included, there is the old file or the new one.
pub(crate) fn write(path: &Path, contents: &[u8]) -> Result<()> {
    let failed = |e| Error::io("write", path, e);
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = folder.join(format!(".{name}.{}", std::process::id()));
    let written = File::create(&beside).and_then(|mut file| {
        file.write_all(contents)?;
        file.sync_all()
    });
    written.and_then(|()| fs::rename(&beside, path)).map_err(|e| {
        // What is left of a file that found no room would take the room of the next one.
        let _ = fs::remove_file(&beside);
        failed(e)
    })?;
    // The new name is on the disk when its folder is.
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}
