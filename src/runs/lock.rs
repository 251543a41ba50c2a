//! One process at a time in a run's folder.

use crate::error::{Error, Result};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::Path;

const FILE: &str = ".lock";

/// The right to write into a run's folder, which one holder at a time has. The lock is advisory (`flock`, on NFS a lock
/// of the server): readers need none, and it ends with its process, however that ends.
#[derive(Debug)]
pub struct Lock {
    /// Absent where the file system has no locks.
    file: Option<File>,
}

impl Lock {
    pub(super) fn take(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let failed = |e| Error::io("lock", &path, e);
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = open.map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Who holds it stands in the file, if its disk had room for that.
                let _ = file.read_to_string(&mut holder);
                let holder = if holder.is_empty() { "another process".into() } else { holder };
                return Err(Error::InUse { path: folder.to_path_buf(), holder });
            }
            Err(TryLockError::Error(e)) if is_unsupported(&e) => return Ok(Self { file: None }),
            Err(TryLockError::Error(e)) => return Err(failed(e)),
        }
        let holder = format!("process {} on {}", std::process::id(), host());
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(holder.as_bytes()));
        Ok(Self { file: Some(file) })
    }

    /// Whether the folder is guarded: some network file systems have no locks.
    pub fn is_guarded(&self) -> bool {
        self.file.is_some()
    }
}

fn is_unsupported(error: &std::io::Error) -> bool {
    error.kind() == ErrorKind::Unsupported || error.raw_os_error() == Some(libc::ENOLCK)
}

fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "this machine".into() } else { name.trim().into() }
}
