//! The folders for files of this package that belong to no project.

use std::path::PathBuf;

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The folder that the user named in `NEURAL_CACHE`.
pub(super) fn named() -> Option<PathBuf> {
    variable("NEURAL_CACHE")
}

/// The folder where none was named.
pub(super) fn usual() -> Option<PathBuf> {
    let caches = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
    Some(caches?.join("neural"))
}

/// The folder of `scripts/setup` and of compiled programs: the one that `NEURAL_CACHE` names, otherwise `neural` among
/// the user's caches. `None` for a user without a home.
///
/// ```
/// use neural::runtime::{Device, cache_folder};
/// let device = Device::cpu()?;
/// let device = cache_folder().map(|folder| device.with_programs(folder.join("programs"))).unwrap_or(device);
/// assert_eq!(device.name(), "cpu");
/// # Ok::<(), neural::Error>(())
/// ```
pub fn cache_folder() -> Option<PathBuf> {
    named().or_else(usual)
}
