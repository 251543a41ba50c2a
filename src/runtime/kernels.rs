//! The kernels that XLA chose for a GPU by trying them, kept in a file so that a later process chooses the same.

use super::xla_error;
use crate::error::{Error, Result};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use xla::{PjRtClient, PjRtLoadedExecutable, XlaComputation};

/// Compiles with the kernels of `file`, where it is there, and leaves in it those that XLA has chosen so far.
pub(super) fn compile(
    client: &PjRtClient,
    computation: &XlaComputation,
    file: &Path,
) -> Result<PjRtLoadedExecutable> {
    let Files { load, dump } = Files::of(file)?;
    let executable =
        client.compile_with_autotune_cache(computation, load.as_deref(), Some(&dump)).map_err(|error| {
            match xla_error("compile the program", &error) {
                Error::Xla { action, message } if load.is_some() => {
                    let advice = format!("should {} be of another plugin, delete it", file.display());
                    Error::Xla { action, message: format!("{message}; {advice}") }
                }
                error => error,
            }
        });
    match executable {
        // XLA writes only where it had something to choose.
        Ok(executable) if Path::new(&dump).is_file() => {
            fs::rename(&dump, file).map_err(|e| Error::io("write", file, e))?;
            Ok(executable)
        }
        other => {
            let _ = fs::remove_file(&dump);
            other
        }
    }
}

/// What a compilation reads and writes, as XLA takes it.
#[derive(Debug, PartialEq)]
struct Files {
    load: Option<String>,
    /// Beside the file, so that at every moment that is whole or not there. The ending is the same: by it XLA
    /// tells text from binary.
    dump: String,
}

impl Files {
    fn of(file: &Path) -> Result<Self> {
        let mut name = OsString::from(format!(".{}.", std::process::id()));
        name.push(file.file_name().unwrap_or_default());
        let beside = file.with_file_name(name);
        let text = |path: PathBuf| match path.to_str() {
            Some(text) if !text.contains('\0') => Ok(text.to_string()),
            _ => Err(Error::format(
                file,
                "expected a path in UTF-8 for XLA, got other bytes; rename the folder",
            )),
        };
        let load = file.is_file().then(|| text(file.to_path_buf())).transpose()?;
        Ok(Self { load, dump: text(beside)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn what_is_there_is_read_and_what_is_chosen_lands_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("autotune.textproto");
        let first = Files::of(&file).unwrap();
        assert_eq!(first.load, None);
        let dump = Path::new(&first.dump);
        assert_eq!((dump.parent(), dump.extension()), (Some(folder.path()), file.extension()));
        assert_ne!(dump, file);
        fs::write(&file, "").unwrap();
        let second = Files::of(&file).unwrap();
        assert_eq!((second.load.as_deref(), second.dump), (file.to_str(), first.dump));
    }

    #[test]
    fn paths_that_xla_cannot_take_are_refused() {
        for name in [&b"a\xff.textproto"[..], b"a\0.textproto"] {
            let error = Files::of(Path::new(OsStr::from_bytes(name))).unwrap_err().to_string();
            assert!(error.contains("UTF-8"), "{error}");
        }
    }
}
