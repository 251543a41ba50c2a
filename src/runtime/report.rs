//! The devices of this machine that XLA can use, and the missing pieces.

use super::cuda::{CudaPlugin, Versions};
use super::device::Device;
use super::driver::Driver;
use super::settings::prepare;
use super::spec::{Choice, DeviceSpec};
use crate::error::gib;
use crate::library;
use serde::Serialize;
use std::ffi::{CStr, c_char};
use std::fmt;
use std::path::{Path, PathBuf};

/// The report on this machine, made without opening a device.
///
/// It displays as text for a reader; serialised, it is for a program.
///
/// ```
/// use neural::runtime::Report;
/// let report = Report::new();
/// assert!(report.cpu.cores > 0);
/// println!("{report}");
/// ```
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// XLA and its library.
    pub xla: Xla,
    /// Cores and memory of this machine.
    pub cpu: Cpu,
    /// NVIDIA's driver.
    #[serde(serialize_with = "found_or_reason")]
    pub driver: Result<Driver, String>,
    /// The CUDA plugin.
    pub plugin: Option<PluginReport>,
    /// The places searched for a plugin.
    pub places: Vec<PathBuf>,
    /// The device that `auto` takes, and why.
    pub auto: Auto,
    /// Missing and mismatched pieces, each with its remedy.
    pub problems: Vec<String>,
}

/// The XLA that the program runs on.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Xla {
    /// The release of TensorFlow that holds it, if its library tells it.
    pub tensorflow: Option<String>,
    /// Its version of PJRT, the interface to plugins, where its headers lie beside it.
    pub pjrt: Option<String>,
    /// The library that is loaded.
    pub library: Option<PathBuf>,
}

/// This machine's own processors.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Cpu {
    /// The cores that this process may use.
    pub cores: usize,
    /// Bytes in all, used or not.
    pub memory: u64,
}

/// A CUDA plugin and the libraries found for it.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct PluginReport {
    /// The plugin and its origin.
    #[serde(flatten)]
    pub plugin: CudaPlugin,
    /// The libraries that it would load.
    #[serde(flatten)]
    pub versions: Versions,
    /// Its version of PJRT; unknown without a driver, as the plugin is not started then.
    pub pjrt: Option<String>,
    /// How many of NVIDIA's libraries lie beside it.
    pub libraries: usize,
}

/// The device that `auto` takes.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Auto {
    /// The device, as `--device` takes it.
    pub device: String,
    /// The reason for that choice.
    pub why: String,
}

/// A device that was opened.
///
/// ```
/// use neural::runtime::{OpenedDevice, Report};
/// let devices = OpenedDevice::all(&Report::new());
/// assert!(devices.iter().flatten().any(|device| device.name == "cpu"));
/// ```
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct OpenedDevice {
    /// The name for `--device`.
    pub name: String,
    /// XLA's name for the kind of device.
    pub kind: String,
    /// The version that its client reports.
    pub version: String,
}

impl Report {
    /// Examines the machine. Nothing is an error: the report lists missing pieces.
    pub fn new() -> Self {
        // The plugin asks when it is loaded how much to log.
        prepare();
        let driver = Driver::load();
        let mut problems = Vec::new();
        let found = CudaPlugin::find().unwrap_or_else(|error| {
            problems.push(error.to_string());
            None
        });
        let plugin = found.map(|plugin| {
            let versions = plugin.versions();
            problems.extend(driver.as_ref().ok().and_then(|driver| plugin.driver_misfit(driver)));
            problems.extend(plugin.library_misfits(versions));
            let pjrt = driver.is_ok().then(|| pjrt_of(&plugin.path)).flatten();
            PluginReport { versions, pjrt, libraries: plugin.libraries().len(), plugin }
        });
        match (&driver, &plugin) {
            (Err(reason), Some(_)) => problems.insert(0, reason.clone()),
            (Ok(_), None) if problems.is_empty() => {
                problems.push("there is a GPU, but no CUDA plugin; scripts/setup --cuda fetches one".into());
            }
            _ => {}
        }
        let auto = match Choice::of(&DeviceSpec::Auto) {
            Ok(choice) => Auto { device: choice.name(), why: choice.why() },
            Err(error) => Auto { device: "none".into(), why: error.to_string() },
        };
        Self {
            xla: Xla::new(),
            cpu: Cpu::new(),
            driver,
            plugin,
            places: CudaPlugin::places(),
            auto,
            problems,
        }
    }
}

impl Default for Report {
    fn default() -> Self {
        Self::new()
    }
}

impl OpenedDevice {
    /// Describes each device: the CPU, and every GPU of the report if it has a plugin. A device that cannot be opened
    /// has its error instead.
    pub fn all(report: &Report) -> Vec<Result<Self, String>> {
        let gpus = match (&report.plugin, &report.driver) {
            (Some(_), Ok(driver)) => driver.gpus.len(),
            _ => 0,
        };
        let specs = std::iter::once(DeviceSpec::Cpu).chain((0..gpus).map(|index| DeviceSpec::Cuda { index }));
        specs
            .map(|spec| {
                let device = Device::open(&spec).map_err(|error| error.to_string())?;
                Ok(Self { name: spec.to_string(), kind: device.kind(), version: device.version() })
            })
            .collect()
    }
}

impl Xla {
    fn new() -> Self {
        let library = xla_library();
        let header = library
            .as_deref()
            .and_then(Path::parent)
            .map(|lib| lib.join("../include/xla/pjrt/c/pjrt_c_api.h"));
        let pjrt = header.and_then(|path| std::fs::read_to_string(path).ok()).and_then(|text| {
            let number = |name: &str| {
                let line = text.lines().find_map(|line| line.strip_prefix(name))?;
                line.trim().parse::<u32>().ok()
            };
            Some(format!("{}.{}", number("#define PJRT_API_MAJOR ")?, number("#define PJRT_API_MINOR ")?))
        });
        Self { tensorflow: tensorflow(), pjrt, library }
    }
}

impl Cpu {
    fn new() -> Self {
        // SAFETY: sysconf only looks the values up.
        let (pages, size) =
            unsafe { (libc::sysconf(libc::_SC_PHYS_PAGES), libc::sysconf(libc::_SC_PAGESIZE)) };
        let memory = u64::try_from(pages).unwrap_or(0) * u64::try_from(size).unwrap_or(0);
        Self { cores: std::thread::available_parallelism().map_or(1, usize::from), memory }
    }
}

/// The version from TensorFlow's C API, if XLA came as a part of TensorFlow.
pub(crate) fn tensorflow() -> Option<String> {
    // SAFETY: the type matches the declaration in tensorflow/c/c_api.h; the string is never freed.
    unsafe {
        let version = library::linked::<unsafe extern "C" fn() -> *const c_char>(c"TF_Version")?;
        Some(CStr::from_ptr(version()).to_string_lossy().into_owned())
    }
}

/// The file of the XLA that the program is linked with, from the wheel or from the archive.
pub(super) fn xla_library() -> Option<PathBuf> {
    library::loaded_file("libtensorflow_cc.so").or_else(|| library::loaded_file("libxla_extension.so"))
}

/// The PJRT version of a plugin.
fn pjrt_of(plugin: &Path) -> Option<String> {
    /// The beginnings of `PJRT_Api` and of the `PJRT_Api_Version` in it, which are the same in every version.
    #[repr(C)]
    struct Api {
        size: usize,
        extensions: *const u8,
        version_size: usize,
        version_extensions: *const u8,
        major: i32,
        minor: i32,
    }
    // SAFETY: a PJRT plugin exports this function, and the returned struct lives as long as the library.
    unsafe {
        let get = library::Library::open(plugin)
            .ok()?
            .function::<unsafe extern "C" fn() -> *const Api>(c"GetPjrtApi")?;
        let api = get().as_ref()?;
        (api.size >= size_of::<Api>()).then(|| format!("{}.{}", api.major, api.minor))
    }
}

/// `{"found": …}` or `{"missing": "the reason"}`.
fn found_or_reason<S: serde::Serializer>(
    driver: &Result<Driver, String>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    #[serde(rename_all = "lowercase")]
    enum Found<'a> {
        Found(&'a Driver),
        Missing(&'a str),
    }
    match driver {
        Ok(driver) => Found::Found(driver),
        Err(reason) => Found::Missing(reason),
    }
    .serialize(serializer)
}

impl Report {
    /// The name and text of each line; a line without a name continues the one above it.
    pub(crate) fn rows(&self) -> Vec<[String; 2]> {
        let known = |version: Option<&String>| version.map_or("unknown", String::as_str).to_string();
        let mut rows = Vec::new();
        let mut row = |name: &str, value: String| rows.push([name.to_string(), value]);
        let release = match &self.xla.tensorflow {
            Some(version) => format!("as in TensorFlow {version}"),
            None => "of your own".into(),
        };
        row("XLA", format!("{release}, PJRT {}", known(self.xla.pjrt.as_ref())));
        if let Some(library) = &self.xla.library {
            row("", library.display().to_string());
        }
        row("CPU", format!("{} cores, {} of memory", self.cpu.cores, gib(self.cpu.memory)));
        match &self.driver {
            Err(reason) => row("driver", format!("none: {reason}")),
            Ok(driver) => {
                let release = known(driver.release.as_ref());
                row("driver", format!("NVIDIA {release}, CUDA up to {}", driver.cuda));
                for (i, gpu) in driver.gpus.iter().enumerate() {
                    let (capability, memory) = (gpu.compute_capability, gib(gpu.memory));
                    let text = format!("{}, {memory} of memory, compute capability {capability}", gpu.name);
                    row(&format!("cuda:{i}"), text);
                }
            }
        }
        match &self.plugin {
            None => {
                let places: Vec<_> = self.places.iter().map(|place| place.display().to_string()).collect();
                row("plugin", format!("no CUDA plugin in {} nor XLA_PJRT_PLUGIN", places.join(", ")));
            }
            Some(report) => {
                let plugin = &report.plugin;
                let mut text =
                    format!("CUDA {}", plugin.cuda.map_or_else(|| "unknown".into(), |cuda| cuda.to_string()));
                if let Some(pjrt) = &report.pjrt {
                    text.push_str(&format!(", PJRT {pjrt}"));
                }
                row("plugin", format!("{text}, {}", plugin.origin));
                row("", plugin.path.display().to_string());
                let version = |version: Option<super::Version>| {
                    version.map_or_else(|| "missing".into(), |v| v.to_string())
                };
                let Versions { runtime, cudnn } = report.versions;
                let text = format!("CUDA runtime {}, cuDNN {}", version(runtime), version(cudnn));
                row("", format!("{text}; {} of NVIDIA's libraries beside it", report.libraries));
            }
        }
        row("auto", format!("{}: {}", self.auto.device, self.auto.why));
        // The driver's problem is in its row.
        for problem in self.problems.iter().filter(|&problem| self.driver.as_ref().err() != Some(problem)) {
            row("problem", problem.clone());
        }
        rows
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.rows();
        let width = rows.iter().map(|[name, _]| name.len()).max().unwrap_or(0);
        rows.iter().try_for_each(|[name, value]| writeln!(f, "{name:<width$}  {value}"))
    }
}

impl OpenedDevice {
    /// Its kind, and the version that its client reports.
    pub(crate) fn describes(&self) -> String {
        if self.version == self.kind { self.kind.clone() } else { format!("{}, {}", self.kind, self.version) }
    }
}

impl fmt::Display for OpenedDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  opens: {}", self.name, self.describes())
    }
}
