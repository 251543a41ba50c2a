//! XLA's CUDA plugin: where it is, the libraries it needs, and whether they fit each other.

use super::driver::{Driver, Version};
use super::folders;
use crate::error::{Error, Result};
use crate::library::Library;
use serde::Serialize;
use std::ffi::c_int;
use std::fmt;
use std::path::{Path, PathBuf};

/// XLA's CUDA plugin on this machine.
///
/// It lies in a folder laid out like the `site-packages` of a Python environment: the plugin in
/// `jax_plugins/xla_cuda13/xla_cuda_plugin.so`, NVIDIA's libraries in `nvidia/*/lib`. `scripts/setup --cuda` makes such
/// a folder, or a link to one, named `cuda` in the cache.
///
/// ```
/// use neural::runtime::CudaPlugin;
/// if let Ok(Some(plugin)) = CudaPlugin::find() {
///     assert!(plugin.path.is_file());
/// }
/// ```
#[derive(Clone, Debug, Serialize)]
pub struct CudaPlugin {
    /// The plugin's library.
    pub path: PathBuf,
    /// How it was found.
    pub origin: Origin,
    /// The major version of CUDA that the plugin was built for, if its folder's name tells it.
    pub cuda: Option<u32>,
}

/// How a plugin was found.
///
/// ```
/// use neural::runtime::{CudaPlugin, Origin};
/// if let Ok(Some(plugin)) = CudaPlugin::find() {
///     let origin: Origin = plugin.origin;
///     println!("{origin:?}");
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Origin {
    /// By the variable `XLA_PJRT_PLUGIN`.
    Environment,
    /// In the cache that `scripts/setup` fills.
    Cache,
    /// As the requested device, `plugin:cuda=PATH`.
    Argument,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Environment => "named by XLA_PJRT_PLUGIN",
            Self::Cache => "from scripts/setup",
            Self::Argument => "named by the device",
        })
    }
}

/// The versions of NVIDIA's libraries that the plugin will find, as they tell them.
///
/// ```
/// use neural::runtime::CudaPlugin;
/// if let Ok(Some(plugin)) = CudaPlugin::find() {
///     assert!(plugin.versions().cudnn.is_none_or(|cudnn| cudnn.major >= 9));
/// }
/// ```
#[derive(Clone, Copy, Debug, Serialize)]
#[non_exhaustive]
pub struct Versions {
    /// Of the CUDA runtime, if its library was found.
    pub runtime: Option<Version>,
    /// Of cuDNN, if its library was found.
    pub cudnn: Option<Version>,
}

/// The min version of cuDNN that the plugin's Python package requires (jax-cuda13-plugin 0.11.2: at least 9.12, below
/// 10).
const CUDNN: Version = Version { major: 9, minor: 12 };

/// NVIDIA's libraries in the order of their dependencies, without their versions.
const LIBRARIES: [&str; 11] = [
    "libcudart",
    "libnvrtc",
    "libnvJitLink",
    "libcublasLt",
    "libcublas",
    "libnccl",
    "libcupti",
    "libcusparse",
    "libcusolver",
    "libcufft",
    "libcudnn",
];

/// The libraries that every training run uses.
const USED_BY_ALL: [&str; 4] = ["libcudart", "libcublasLt", "libcublas", "libcudnn"];

impl CudaPlugin {
    /// The plugin that `XLA_PJRT_PLUGIN=cuda:PATH` names, or else the one in the cache.
    ///
    /// ```
    /// use neural::runtime::CudaPlugin;
    /// match CudaPlugin::find() {
    ///     Ok(Some(plugin)) => println!("{}", plugin.path.display()),
    ///     Ok(None) => println!("looked in {:?}", CudaPlugin::places()),
    ///     Err(error) => println!("{error}"),
    /// }
    /// ```
    ///
    /// # Errors
    /// When the variable is not of that form, or names a missing file.
    pub fn find() -> Result<Option<Self>> {
        if let Some(value) = std::env::var_os("XLA_PJRT_PLUGIN").filter(|value| !value.is_empty()) {
            let value = value.to_string_lossy();
            let (name, path) = value.split_once(':').ok_or_else(|| {
                Error::value("XLA_PJRT_PLUGIN", "NAME:PATH, such as cuda:/path/to/plugin.so", &value)
            })?;
            if name == "cuda" {
                let path = PathBuf::from(path);
                if !path.is_file() {
                    let reason = format!(
                        "XLA_PJRT_PLUGIN names {}, which is not there; correct or unset it",
                        path.display()
                    );
                    return Err(Error::device("cuda", reason));
                }
                return Ok(Some(Self::at(path, Origin::Environment)));
            }
        }
        Ok(Self::places().iter().find_map(|place| Self::within(place)))
    }

    /// The folders searched for a plugin, without the environment's.
    pub fn places() -> Vec<PathBuf> {
        let mut places: Vec<PathBuf> = caches().into_iter().map(|cache| cache.join("cuda")).collect();
        places.dedup();
        places
    }

    /// The plugin of the newest CUDA in a folder of packages.
    fn within(packages: &Path) -> Option<Self> {
        let plugins = std::fs::read_dir(packages.join("jax_plugins")).ok()?;
        let mut plugins: Vec<_> = plugins
            .filter_map(|entry| Some(entry.ok()?.path().join("xla_cuda_plugin.so")))
            .filter(|path| path.is_file())
            .map(|path| Self::at(path, Origin::Cache))
            .collect();
        plugins.sort_by_key(|plugin| plugin.cuda);
        plugins.pop()
    }

    pub(super) fn at(path: PathBuf, origin: Origin) -> Self {
        // The plugin looks for libdevice and ptxas from its own place, so that must not be the name of a link.
        let path = path.canonicalize().unwrap_or(path);
        let folder = path.parent().and_then(Path::file_name).and_then(|name| name.to_str());
        let cuda = folder.and_then(|name| name.strip_prefix("xla_cuda")?.parse().ok());
        Self { path, origin, cuda }
    }

    /// The folder that holds `jax_plugins` and `nvidia`.
    pub fn packages(&self) -> Option<&Path> {
        self.path.ancestors().nth(3).filter(|folder| folder.join("nvidia").is_dir())
    }

    /// NVIDIA's libraries beside the plugin, in the order in which to load them.
    pub fn libraries(&self) -> Vec<PathBuf> {
        let Some(packages) = self.packages() else { return Vec::new() };
        let files = |folder: &Path| {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            entries.map(|entry| entry.path()).collect::<Vec<_>>()
        };
        let mut found: Vec<(usize, PathBuf)> = files(&packages.join("nvidia"))
            .iter()
            .flat_map(|package| files(&package.join("lib")))
            .filter_map(|path| {
                let (name, version) = path.file_name()?.to_str()?.split_once(".so.")?;
                // `libcudart.so.13`, not the `libcudart.so.13.0.48` that a toolkit has beside it.
                let version = version.bytes().all(|byte| byte.is_ascii_digit());
                let order = LIBRARIES.iter().position(|library| *library == name)?;
                version.then(|| (order, path.clone()))
            })
            .collect();
        found.sort();
        found.into_iter().map(|(_, path)| path).collect()
    }

    /// Loads NVIDIA's libraries beside the plugin that every run uses, so that the plugin and the libraries themselves
    /// find these by name, whatever else the machine has. The plugin finds the others beside it when it needs them;
    /// loading them all takes a second. One that does not load is left for the plugin to report.
    pub(super) fn load_libraries(&self) {
        let used = |path: &&PathBuf| {
            let name =
                path.file_name().and_then(|name| name.to_str()).and_then(|name| name.split_once(".so."));
            name.is_some_and(|(name, _)| USED_BY_ALL.contains(&name))
        };
        for path in self.libraries().iter().filter(used) {
            let _ = Library::open(path);
        }
    }

    /// The versions that the CUDA runtime and cuDNN report. They are loaded for it, preferably from beside the plugin.
    pub fn versions(&self) -> Versions {
        let libraries = self.libraries();
        let open = |name: &str| {
            let beside = libraries.iter().find(|path| {
                path.file_name().and_then(|file| file.to_str()).is_some_and(|file| file.starts_with(name))
            });
            beside.and_then(|path| Library::open(path).ok())
        };
        let runtime =
            open("libcudart.so").or_else(|| Library::open(format!("libcudart.so.{}", self.cuda?)).ok());
        let cudnn =
            open("libcudnn.so").or_else(|| Library::open(format!("libcudnn.so.{}", CUDNN.major)).ok());
        // SAFETY: the types match the declarations in cuda_runtime_api.h and cudnn_version.h.
        unsafe {
            let runtime = runtime.and_then(|library| {
                let get: unsafe extern "C" fn(*mut c_int) -> c_int =
                    library.function(c"cudaRuntimeGetVersion")?;
                let mut version = 0;
                (get(&raw mut version) == 0).then(|| Version::of_cuda(version))
            });
            let cudnn = cudnn.and_then(|library| {
                let get: unsafe extern "C" fn() -> usize = library.function(c"cudnnGetVersion")?;
                Some(cudnn_version(get()))
            });
            Versions { runtime, cudnn }
        }
    }

    /// Why the driver cannot run this plugin, with the remedy; `None` where it can.
    ///
    /// ```
    /// if let Ok(Some(plugin)) = neural::runtime::CudaPlugin::find() {
    ///     if let Ok(driver) = neural::runtime::Driver::load() {
    ///         println!("{:?}", plugin.driver_misfit(&driver));
    ///     }
    /// }
    /// ```
    pub fn driver_misfit(&self, driver: &Driver) -> Option<String> {
        let cuda = self.cuda.filter(|&cuda| driver.cuda.major < cuda)?;
        Some(format!(
            "the driver runs CUDA up to {}, and the plugin is made for CUDA {cuda}; install a newer driver",
            driver.cuda
        ))
    }

    /// NVIDIA's libraries that are missing or do not fit the plugin, each with the remedy.
    ///
    /// ```
    /// if let Ok(Some(plugin)) = neural::runtime::CudaPlugin::find() {
    ///     for misfit in plugin.library_misfits(plugin.versions()) {
    ///         println!("{misfit}");
    ///     }
    /// }
    /// ```
    pub fn library_misfits(&self, versions: Versions) -> Vec<String> {
        let fetch = "scripts/setup --cuda fetches libraries that fit";
        let mut misfits = Vec::new();
        match versions.runtime {
            None => misfits.push(format!("the CUDA runtime (libcudart.so) was not found; {fetch}")),
            Some(runtime) if self.cuda.is_some_and(|cuda| cuda != runtime.major) => misfits.push(format!(
                "the CUDA runtime is {runtime}, and the plugin is made for another CUDA, {}; {fetch}",
                self.cuda.unwrap_or_default()
            )),
            Some(_) => {}
        }
        match versions.cudnn {
            None => misfits.push(format!("cuDNN (libcudnn.so.{}) was not found; {fetch}", CUDNN.major)),
            Some(cudnn) if cudnn < CUDNN || cudnn.major != CUDNN.major => misfits.push(format!(
                "cuDNN is {cudnn}, and the plugin needs at least {CUDNN} and below {}.0; {fetch}",
                CUDNN.major + 1
            )),
            Some(_) => {}
        }
        misfits
    }
}

/// From cuDNN's own form: 10000 major + 100 minor + patch since 9, 1000 major + 100 minor before.
fn cudnn_version(number: usize) -> Version {
    let number = u32::try_from(number).unwrap_or(0);
    let (thousand, hundred) = if number >= 90000 { (10000, 100) } else { (1000, 100) };
    Version { major: number / thousand, minor: number % thousand / hundred }
}

/// The folders that `scripts/setup` may have filled: the one from the environment, the one that holds the XLA of this
/// program, and the default one.
fn caches() -> Vec<PathBuf> {
    let beside_xla = super::report::xla_library().and_then(|file| {
        let lib = file.canonicalize().ok()?;
        Some(lib.ancestors().nth(3)?.to_path_buf())
    });
    [folders::named(), beside_xla, folders::usual()].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A plugin in a folder of packages with these libraries, all of them empty files.
    fn packages(plugins: &[&str], libraries: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let touch = |path: String| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().expect("it has a folder")).expect("writable");
            std::fs::write(path, "").expect("writable");
        };
        plugins.iter().for_each(|name| touch(format!("jax_plugins/{name}/xla_cuda_plugin.so")));
        libraries.iter().for_each(|name| touch(format!("nvidia/{name}")));
        folder
    }

    fn driver(major: u32, minor: u32) -> Driver {
        Driver { release: None, cuda: Version { major, minor }, gpus: Vec::new() }
    }

    #[test]
    fn the_plugin_of_the_newest_cuda_is_taken() {
        let folder = packages(&["xla_cuda12", "xla_cuda13", "xla_rocm7"], &[]);
        let plugin = CudaPlugin::within(folder.path()).expect("there is one");
        assert_eq!(plugin.cuda, Some(13));
        assert!(CudaPlugin::within(&folder.path().join("jax_plugins")).is_none());
    }

    #[test]
    fn libraries_are_loaded_before_those_that_need_them() {
        let folder = packages(
            &["xla_cuda13"],
            &[
                "cudnn/lib/libcudnn.so.9",
                "cu13/lib/libcusolver.so.12",
                "cu13/lib/libcublas.so.13",
                "cu13/lib/libcublasLt.so.13",
                "cu13/lib/libcudart.so.13",
                "cu13/lib/libcudart.so.13.5.37",
                "cu13/lib/libnvrtc-builtins.so.13.5",
                "cu13/bin/ptxas",
            ],
        );
        let plugin = CudaPlugin::within(folder.path()).expect("there is one");
        let names: Vec<_> = plugin
            .libraries()
            .iter()
            .map(|path| path.file_name().expect("a file").to_string_lossy().into_owned())
            .collect();
        let expected =
            ["libcudart.so.13", "libcublasLt.so.13", "libcublas.so.13", "libcusolver.so.12", "libcudnn.so.9"];
        assert_eq!(names, expected);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let plugin = CudaPlugin { path: "plugin.so".into(), origin: Origin::Cache, cuda: Some(13) };
        let version = |major, minor| Some(Version { major, minor });
        let good = Versions { runtime: version(13, 0), cudnn: version(9, 12) };
        assert_eq!(plugin.library_misfits(good), [""; 0]);
        let one = |versions, words: &str| {
            let misfits = plugin.library_misfits(versions);
            assert!(misfits.len() == 1 && misfits[0].contains(words), "{words}: {misfits:?}");
        };
        one(Versions { runtime: version(12, 9), ..good }, "runtime is 12.9");
        one(Versions { runtime: None, ..good }, "libcudart");
        one(Versions { cudnn: version(9, 10), ..good }, "cuDNN is 9.10");
        one(Versions { cudnn: version(8, 9), ..good }, "cuDNN is 8.9");
        one(Versions { cudnn: None, ..good }, "libcudnn.so.9");

        // A driver of the same major version runs every CUDA of it: NVIDIA's minor version compatibility.
        assert_eq!(plugin.driver_misfit(&driver(13, 0)), None);
        assert_eq!(plugin.driver_misfit(&driver(14, 2)), None);
        assert!(plugin.driver_misfit(&driver(12, 8)).expect("too old").contains("a newer driver"));
    }

    #[test]
    fn cudnn_changed_how_it_counts() {
        // CUDNN_MAJOR * 1000 + CUDNN_MINOR * 100 + CUDNN_PATCHLEVEL before 9, from then on 10000 and 100.
        assert_eq!(cudnn_version(8907), Version { major: 8, minor: 9 });
        assert_eq!(cudnn_version(91301), Version { major: 9, minor: 13 });
    }
}
