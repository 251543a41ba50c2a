//! Files that nobody but the user can have written.

use crate::error::{Error, Result};
use crate::file;
use std::fmt;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A folder that belongs to the user, to which nobody else can write and which nobody else can put another in the place
/// of.
pub(super) struct PrivateFolder {
    /// The path with links resolved.
    path: PathBuf,
}

/// Why a folder or a file is left alone.
#[derive(Debug)]
pub(super) enum Refused {
    Io(io::Error),
    /// Somebody else may have written it. The text names the path.
    Distrusted(String),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Io(error) => error.fmt(f),
            Refused::Distrusted(reason) => f.write_str(reason),
        }
    }
}

impl PrivateFolder {
    /// Opens a folder, and creates it if it is missing.
    pub fn open(path: &Path) -> Result<Self, Refused> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let folder =
            OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY | libc::O_CLOEXEC).open(path)?;
        // The folder that was opened, wherever the path leads by now.
        let path = fs::read_link(format!("/proc/self/fd/{}", folder.as_raw_fd()))?;
        owned(&path, &folder.metadata()?)?;
        for above in path.ancestors().skip(1) {
            let metadata = fs::symlink_metadata(above)?;
            let others = !is_ours(&metadata) && metadata.uid() != 0;
            // Where a folder is sticky, others cannot rename files that they do not own.
            let sticky = metadata.mode() & 0o1000 != 0;
            if others || metadata.mode() & 0o022 != 0 && !sticky {
                return Err(distrusted(above, &metadata));
            }
        }
        Ok(Self { path })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The contents of a file of at most `most` bytes, which is marked as used; `None` if it is missing.
    pub fn read(&self, name: &str, most: u64) -> Result<Option<Vec<u8>>, Refused> {
        let path = self.path.join(name);
        // A link is refused, and a pipe does not keep this waiting.
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
        let file = match OpenOptions::new().read(true).custom_flags(flags).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.raw_os_error() == Some(libc::ELOOP) => {
                return Err(Refused::Distrusted(format!("{} is a link", path.display())));
            }
            file => file?,
        };
        let metadata = file.metadata()?;
        owned(&path, &metadata)?;
        if !metadata.is_file() {
            return Err(Refused::Distrusted(format!("{} is not a file", path.display())));
        }
        if metadata.len() > most {
            let reason = format!("{} has {} bytes, more than {most}", path.display(), metadata.len());
            return Err(Refused::Distrusted(reason));
        }
        let mut contents = Vec::new();
        (&file).take(most).read_to_end(&mut contents)?;
        let _ = touch(&file);
        Ok(Some(contents))
    }

    /// Puts a file into the folder that nobody else can read.
    pub fn write(&self, name: &str, contents: &[u8]) -> Result<(), Error> {
        file::write_with_mode(&self.path.join(name), contents, 0o600)
    }
}

fn touch(file: &File) -> io::Result<()> {
    file.set_modified(std::time::SystemTime::now())
}

/// Checks that it belongs to the user, and others cannot write to it.
fn owned(path: &Path, metadata: &Metadata) -> Result<(), Refused> {
    let fits = is_ours(metadata) && metadata.mode() & 0o022 == 0;
    if fits { Ok(()) } else { Err(distrusted(path, metadata)) }
}

fn is_ours(metadata: &Metadata) -> bool {
    // SAFETY: geteuid only looks the number up.
    metadata.uid() == unsafe { libc::geteuid() }
}

fn distrusted(path: &Path, metadata: &Metadata) -> Refused {
    let path = path.display();
    Refused::Distrusted(if is_ours(metadata) {
        format!(
            "others can write to {path} (mode {:o}); chmod go-w {path} makes it yours alone",
            metadata.mode() & 0o7777
        )
    } else {
        format!("{path} belongs to another user (uid {})", metadata.uid())
    })
}
