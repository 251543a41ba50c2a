//! The kernels that XLA chose for a GPU by timing them, kept in a file so that a later process chooses the same.

use super::gpu::Setting;
use crate::error::{Error, Result};
use crate::file;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// The file for a compilation.
#[derive(Debug)]
pub(super) struct Kernels {
    file: PathBuf,
    /// The file to read, if it exists.
    load: Option<String>,
    /// XLA writes here, beside the file, so that the file is always whole or absent. The extension is the same, as it
    /// tells XLA text from binary.
    dump: String,
}

impl Kernels {
    pub fn of(file: &Path) -> Result<Self> {
        let mut name = OsString::from(format!(".{}.", std::process::id()));
        name.push(file.file_name().unwrap_or_default());
        let text = |path: PathBuf| match path.into_os_string().into_string() {
            Ok(path) if !path.contains('\0') => Ok(path),
            _ => Err(Error::format(
                file,
                "expected a path in UTF-8 for XLA, got other bytes; rename the folder",
            )),
        };
        Ok(Self {
            file: file.to_path_buf(),
            load: file.is_file().then(|| text(file.to_path_buf())).transpose()?,
            dump: text(file.with_file_name(name))?,
        })
    }

    /// Settings with which XLA reads the kernels of the file, if it exists, and writes all kernels chosen so far.
    pub fn settings(&self) -> impl Iterator<Item = Setting> {
        let load = self.load.clone().map(|file| ("xla_gpu_load_autotune_results_from".into(), file));
        let dump = ("xla_gpu_dump_autotune_results_to".into(), self.dump.clone());
        load.into_iter().chain([dump])
    }

    /// Replaces the file with XLA's new one, if XLA had anything to choose.
    pub fn keep<T>(self, compiled: Result<T>) -> Result<T> {
        let dump = PathBuf::from(self.dump);
        match compiled {
            Ok(_) if dump.is_file() => {
                file::put(&dump, &self.file).map_err(|e| Error::io("write", &self.file, e))?;
            }
            _ => {
                let _ = fs::remove_file(&dump);
            }
        }
        compiled.map_err(|error| match error {
            Error::Xla { action, message, cause } if self.load.is_some() => {
                let advice = format!("if {} was written with another plugin, delete it", self.file.display());
                Error::Xla { action, message: format!("{message}; {advice}"), cause }
            }
            error => error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    fn settings(kernels: &Kernels) -> Vec<(String, PathBuf)> {
        kernels.settings().map(|(name, value)| (name, PathBuf::from(value))).collect()
    }

    #[test]
    fn what_is_there_is_read_and_what_is_chosen_takes_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("autotune.textproto");
        let first = Kernels::of(&file).unwrap();
        let [(name, dump)] = &settings(&first)[..] else { panic!("{:?}", settings(&first)) };
        assert_eq!(name, "xla_gpu_dump_autotune_results_to");
        assert_eq!((dump.parent(), dump.extension()), (Some(folder.path()), file.extension()));
        assert_ne!(*dump, file);
        fs::write(dump, "chosen").unwrap();
        first.keep(Ok(())).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"chosen");
        let second = Kernels::of(&file).unwrap();
        let expected = [
            ("xla_gpu_load_autotune_results_from".into(), file.clone()),
            ("xla_gpu_dump_autotune_results_to".into(), dump.clone()),
        ];
        assert_eq!(settings(&second), expected);
        // A failed compilation leaves the file unchanged, and its error is returned.
        fs::write(dump, "half").unwrap();
        let failed =
            Err::<(), _>(Error::Xla { action: "compile the program", message: "no".into(), cause: None });
        let error = second.keep(failed).unwrap_err().to_string();
        assert!(error.contains("autotune.textproto was written with another plugin"), "{error}");
        assert_eq!(fs::read(&file).unwrap(), b"chosen");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn paths_that_xla_cannot_take_are_refused() {
        for name in [&b"a\xff.textproto"[..], b"a\0.textproto"] {
            let error = Kernels::of(Path::new(OsStr::from_bytes(name))).unwrap_err().to_string();
            assert!(error.contains("UTF-8"), "{error}");
        }
    }
}
