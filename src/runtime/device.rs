//! Where programs run.

use super::xla_error;
use crate::error::{Error, Result};
use crate::lower::Target;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Once;
use xla::{PjRtClient, PluginOption, TfLogLevel};

/// Which device to run on, as the user writes it: `auto`, `cpu`, `cuda`, `cuda:1` or `plugin:NAME=PATH`.
///
/// ```
/// use neural::runtime::DeviceSpec;
/// assert_eq!("cuda:1".parse::<DeviceSpec>()?, DeviceSpec::Cuda { index: 1 });
/// assert!("gpu".parse::<DeviceSpec>().is_err());
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DeviceSpec {
    /// CUDA where a plugin and a GPU are found, otherwise the CPU.
    #[default]
    Auto,
    Cpu,
    Cuda {
        index: usize,
    },
    /// A PJRT plugin by the name of its platform and the path of its library.
    Plugin {
        name: String,
        path: PathBuf,
    },
}

impl FromStr for DeviceSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let unknown = || Error::value("device", "auto, cpu, cuda, cuda:N or plugin:NAME=PATH", text);
        match text.split_once(':') {
            None => match text {
                "auto" => Ok(Self::Auto),
                "cpu" => Ok(Self::Cpu),
                "cuda" => Ok(Self::Cuda { index: 0 }),
                _ => Err(unknown()),
            },
            Some(("cuda", index)) => Ok(Self::Cuda { index: index.parse().map_err(|_| unknown())? }),
            Some(("plugin", rest)) => {
                let (name, path) = rest.split_once('=').ok_or_else(unknown)?;
                Ok(Self::Plugin { name: name.into(), path: path.into() })
            }
            Some(_) => Err(unknown()),
        }
    }
}

impl fmt::Display for DeviceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda { index } => write!(f, "cuda:{index}"),
            Self::Plugin { name, path } => write!(f, "plugin:{name}={}", path.display()),
        }
    }
}

/// An open device. Clones share it.
#[derive(Clone)]
pub struct Device {
    client: PjRtClient,
    target: Target,
    name: String,
    /// Which of the client's devices buffers are brought to.
    ordinal: usize,
}

impl Device {
    /// The device that `spec` names.
    ///
    /// # Errors
    /// When it is not there; nothing falls back to another device except `auto`, which looks for a plugin first.
    pub fn open(spec: &DeviceSpec) -> Result<Self> {
        match spec {
            DeviceSpec::Auto => match cuda_plugin() {
                Some(path) => Self::cuda(path, 0),
                None => Self::cpu(),
            },
            DeviceSpec::Cpu => Self::cpu(),
            DeviceSpec::Cuda { index } => match cuda_plugin() {
                Some(path) => Self::cuda(path, *index),
                None => Err(Error::Device(
                    "cuda: no CUDA plugin was found; name one in XLA_PJRT_PLUGIN=cuda:PATH, or use --device cpu"
                        .into(),
                )),
            },
            DeviceSpec::Plugin { name, path } => Self::plugin(name, path.clone(), &[]),
        }
    }

    /// # Errors
    /// When the device that was found cannot be opened.
    pub fn auto() -> Result<Self> {
        Self::open(&DeviceSpec::Auto)
    }

    /// All cores of this machine.
    ///
    /// # Errors
    /// When XLA cannot start.
    pub fn cpu() -> Result<Self> {
        prepare();
        let client = PjRtClient::cpu().map_err(|error| xla_error("open the CPU", &error))?;
        Ok(Self { client, target: Target::Cpu, name: "cpu".into(), ordinal: 0 })
    }

    fn cuda(path: PathBuf, index: usize) -> Result<Self> {
        let options = [
            ("visible_devices", PluginOption::IntList(vec![index as i64])),
            ("preallocate", PluginOption::Bool(false)),
        ];
        Self::plugin("cuda", path, &options)
    }

    fn plugin(name: &str, path: PathBuf, options: &[(&str, PluginOption)]) -> Result<Self> {
        prepare();
        if !path.is_file() {
            return Err(Error::Device(format!("{name}: there is no plugin at {}", path.display())));
        }
        let client = PjRtClient::plugin_with_options(name, &path, options)
            .map_err(|error| Error::Device(format!("{name}: {}", xla_error("open the plugin", &error))))?;
        let platform = client.platform_name().to_lowercase();
        let target = if ["cuda", "rocm", "gpu"].iter().any(|gpu| platform.contains(gpu)) {
            Target::Gpu
        } else {
            Target::Cpu
        };
        Ok(Self { client, target, name: name.into(), ordinal: 0 })
    }

    pub(super) fn client(&self) -> &PjRtClient {
        &self.client
    }

    /// How many devices there are of this kind, see [`Device::replica`].
    pub fn count(&self) -> usize {
        self.client.addressable_device_count()
    }

    /// The `ordinal`-th of the devices that were opened together, the first being 0: where the buffers go of a
    /// program that runs on several, see [`Program::compile_replicated`](super::Program::compile_replicated).
    ///
    /// # Errors
    /// When there are not so many.
    pub fn replica(&self, ordinal: usize) -> Result<Self> {
        let count = self.count();
        if ordinal < count {
            return Ok(Self { ordinal, ..self.clone() });
        }
        let more = match self.target {
            Target::Cpu => "; XLA_FLAGS=--xla_force_host_platform_device_count=N makes N of the CPU",
            Target::Gpu => "",
        };
        let message = format!("{}: expected at least {} devices, got {count}{more}", self.name, ordinal + 1);
        Err(Error::Device(message))
    }

    pub(super) fn ordinal(&self) -> usize {
        self.ordinal
    }

    pub fn target(&self) -> Target {
        self.target
    }

    /// The name of the platform, such as `cpu` or `cuda`.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.client.addressable_devices().first() {
            Some(device) if self.target == Target::Gpu => write!(f, "{} ({})", self.name, device.kind()),
            _ => {
                let cores = std::thread::available_parallelism().map_or(1, usize::from);
                write!(f, "{} ({cores} cores)", self.name)
            }
        }
    }
}

/// The path in `XLA_PJRT_PLUGIN=cuda:PATH`.
fn cuda_plugin() -> Option<PathBuf> {
    let plugin = std::env::var("XLA_PJRT_PLUGIN").ok()?;
    let (name, path) = plugin.split_once(':')?;
    (name == "cuda").then(|| path.into())
}

/// What must be set before XLA starts, once.
fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let level = match std::env::var_os("RUST_LOG") {
            Some(_) => TfLogLevel::Info,
            None => TfLogLevel::Fatal,
        };
        xla::set_tf_min_log_level(level);
        xla::set_min_log_level(level);
        keep_freed_memory();
    });
}

/// XLA's CPU backend takes the memory for a program's temporaries from malloc on every call. Large blocks glibc maps
/// afresh each time and returns at once, so that every call pays for the page faults again. Here they come from the
/// heap, which is kept.
fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt only sets parameters of the allocator; it is called before XLA starts its threads.
    unsafe {
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
        libc::mallopt(libc::M_TOP_PAD, 64 << 20);
    }
}
