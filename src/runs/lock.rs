//! A lock that admits one process at a time to a run's folder.

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
                // The file names the holder, if its disk had room for that.
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

/// The file locks held on this machine, from `/proc/locks`; empty on systems other than Linux.
///
/// ```
/// use neural::runs::{Folder, Locks};
/// # use neural::recipe::Recipe;
/// # let parent = tempfile::tempdir()?;
/// # let recipe = Recipe::read("scripts/recipes/mnist.toml".as_ref(), &[])?;
/// # let folder = Folder::create(parent.path().join("first"), &recipe)?;
/// assert_eq!(Locks::now().holder(folder.path()), None);
/// # #[cfg(target_os = "linux")]
/// # {
/// let lock = folder.lock()?;
/// assert_eq!(Locks::now().holder(folder.path()), Some(std::process::id()));
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Locks {
    /// The process and the file's inode of each.
    held: Vec<(u32, u64)>,
}

impl Locks {
    /// Reads the locks that processes hold at the moment.
    pub fn now() -> Self {
        let text = std::fs::read_to_string("/proc/locks").unwrap_or_default();
        // `1: FLOCK  ADVISORY  WRITE 1234 fd:01:5678 0 EOF`, where 5678 is the inode.
        let held = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [_, "FLOCK", _, "WRITE", process, file, ..] = words[..] else { return None };
            Some((process.parse().ok()?, file.rsplit(':').next()?.parse().ok()?))
        };
        Self { held: text.lines().filter_map(held).collect() }
    }

    /// The process that trains in a run's folder. Nothing is locked to find out.
    #[cfg(unix)]
    pub fn holder(&self, folder: &Path) -> Option<u32> {
        use std::os::unix::fs::MetadataExt;
        let path = folder.join(FILE);
        let inode = std::fs::metadata(&path).ok()?.ino();
        // Inodes are numbers of one file system: who holds the lock has written its name into the file too.
        let written = std::fs::read_to_string(&path).ok()?;
        let process = written.strip_prefix("process ")?.split(' ').next()?.parse().ok()?;
        self.held.contains(&(process, inode)).then_some(process)
    }

    #[cfg(not(unix))]
    pub fn holder(&self, _: &Path) -> Option<u32> {
        None
    }
}

fn is_unsupported(error: &std::io::Error) -> bool {
    error.kind() == ErrorKind::Unsupported || error.raw_os_error() == Some(libc::ENOLCK)
}

/// The name of this machine.
pub(crate) fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "this machine".into() } else { name.trim().into() }
}
