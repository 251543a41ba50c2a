//! Shared libraries that are looked for while the program runs.

use std::ffi::{CStr, CString, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;

/// A loaded library. It is never unloaded: threads that it started may still be running.
#[derive(Clone, Copy)]
pub(crate) struct Library(NonNull<c_void>);

// SAFETY: the handle is only handed to dlsym, which any thread may call.
unsafe impl Send for Library {}
unsafe impl Sync for Library {}

impl Library {
    /// Loads the library at a path, or one that the system's search finds by its name alone.
    ///
    /// # Errors
    /// The loader's own message.
    pub fn open(name: impl AsRef<Path>) -> Result<Self, String> {
        let name = CString::new(name.as_ref().as_os_str().as_bytes()).map_err(|error| error.to_string())?;
        // SAFETY: the name ends in a nul byte. The library's initialisers run: NVIDIA's and XLA's, or those in a file
        // that the user named as a plugin, which runs anyway.
        NonNull::new(unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_LAZY | libc::RTLD_LOCAL) })
            .map(Self)
            .ok_or_else(loader_message)
    }

    /// A function of the library.
    ///
    /// # Safety
    /// `F` must be a function pointer of the type that the library documents for `name`.
    pub unsafe fn function<F: Copy>(self, name: &CStr) -> Option<F> {
        const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
        // SAFETY: the handle belongs to a loaded library.
        let address = unsafe { libc::dlsym(self.0.as_ptr(), name.as_ptr()) };
        // SAFETY: an address that is not null points to the function, whose type the caller vouches for.
        (!address.is_null()).then(|| unsafe { std::mem::transmute_copy(&address) })
    }
}

/// The loader's message about its last failure.
fn loader_message() -> String {
    // SAFETY: the message belongs to this thread and is copied before the next call of the loader.
    unsafe {
        let message = libc::dlerror();
        match message.is_null() {
            true => "the loader gave no reason".into(),
            false => CStr::from_ptr(message).to_string_lossy().into_owned(),
        }
    }
}

/// A function among the libraries that the program was linked with.
///
/// # Safety
/// As [`Library::function`].
pub(crate) unsafe fn linked<F: Copy>(name: &CStr) -> Option<F> {
    const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
    // SAFETY: the name ends in a nul byte.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    // SAFETY: as in `Library::function`.
    (!address.is_null()).then(|| unsafe { std::mem::transmute_copy(&address) })
}

/// The file of a loaded library, by the prefix of its name.
pub(crate) fn loaded_file(name: &str) -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let mut files = maps.lines().filter_map(|line| line.find('/').map(|at| Path::new(&line[at..])));
    let is_it = |path: &&Path| {
        path.file_name().and_then(|file| file.to_str()).is_some_and(|file| file.starts_with(name))
    };
    files.find(is_it).map(Path::to_path_buf)
}
