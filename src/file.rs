//! Reads only regular files, and writes files atomically.

use crate::error::{Error, Result};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A regular file from its beginning, and the number of bytes in it. Folders, devices, pipes and sockets are refused:
/// their length is unknown, and reading them may never end.
pub(crate) fn open(action: &'static str, path: &Path) -> Result<(File, usize)> {
    let failed = |e| Error::io(action, path, e);
    // Checked before it is opened, as opening a device may act on it.
    check_regular(path, &fs::metadata(path).map_err(failed)?)?;
    // Checked once more after opening, as the name may refer to another file by now; without `O_NONBLOCK` a pipe would
    // wait for a writer.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    check_regular(path, &metadata)?;
    Ok((file, usize::try_from(metadata.len()).unwrap_or(usize::MAX)))
}

/// The whole of a regular file, as long as it was when it was opened.
pub(crate) fn read(action: &'static str, path: &Path) -> Result<Vec<u8>> {
    let (file, length) = open(action, path)?;
    let mut contents = Vec::new();
    if contents.try_reserve_exact(length).is_err() {
        return Err(Error::format(path, format!("not enough memory for its {length} bytes")));
    }
    file.take(length as u64).read_to_end(&mut contents).map_err(|e| Error::io(action, path, e))?;
    Ok(contents)
}

/// The whole of a regular file of UTF-8, at most `most` bytes.
pub(crate) fn read_text(action: &'static str, path: &Path, most: usize) -> Result<String> {
    let (_, length) = open(action, path)?;
    if length > most {
        let message =
            format!("expected a text of at most {most} bytes, got a file of {length}; name another file");
        return Err(Error::format(path, message));
    }
    String::from_utf8(read(action, path)?)
        .map_err(|_| Error::io(action, path, io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8")))
}

fn check_regular(path: &Path, metadata: &Metadata) -> Result<()> {
    let kind = metadata.file_type();
    let got = match () {
        () if kind.is_file() => return Ok(()),
        () if kind.is_dir() => "a folder; name a file in it",
        () if kind.is_fifo() => "a pipe; write what comes through it into a file",
        () if kind.is_socket() => "a socket",
        () => "a device",
    };
    Err(Error::format(path, format!("expected a regular file, got {got}")))
}

/// Writes a file beside its place, syncs it to the disk, and moves it into place: at every moment, even in a power cut,
/// there is the old file or the new one.
pub(crate) fn write(path: &Path, contents: &[u8]) -> Result<()> {
    write_with_mode(path, contents, 0o666)
}

/// The same with these permissions, reduced by the process's umask.
pub(crate) fn write_with_mode(path: &Path, contents: &[u8], mode: u32) -> Result<()> {
    let beside = beside(path);
    let created = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&beside);
    let written = created.and_then(|mut file| file.write_all(contents));
    written.and_then(|()| put(&beside, path)).map_err(|e| {
        // Remove the partial file if the disk is full.
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

/// The temporary name of a file or folder before it is moved into place.
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

/// Syncs the names in a folder to the disk: a file is safe when both its contents and its name are.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// The folder that a path is in.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reading must not block on any of these.
    #[test]
    fn what_is_no_regular_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let [pipe, socket, file] = ["pipe", "socket", "file"].map(|name| folder.path().join(name));
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for (path, got) in [
            (pipe.as_path(), "got a pipe"),
            (&socket, "got a socket"),
            (Path::new("/dev/zero"), "got a device"),
            (folder.path(), "got a folder; name a file in it"),
        ] {
            let said = read("read", path).unwrap_err().to_string();
            assert!(said.contains("expected a regular file") && said.contains(got), "{said}");
        }
        fs::write(&file, "text").unwrap();
        assert_eq!(read("read", &file).unwrap(), b"text");
        assert_eq!(read_text("read", &file, 4).unwrap(), "text");
        assert!(read_text("read", &file, 3).unwrap_err().to_string().contains("at most 3 bytes"));
        fs::write(&file, b"\xff").unwrap();
        assert!(read_text("read", &file, 3).unwrap_err().to_string().contains("not UTF-8"));
    }
}
