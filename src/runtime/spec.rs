//! The requested device and its options, resolved on this machine.

use super::cuda::CudaPlugin;
use super::driver::{Driver, Gpu};
use crate::error::{Error, Result};
use crate::setters::setters;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use xla::PluginOption;

/// Which device to run on, as the user writes it: `auto`, `cpu`, `cuda`, `cuda:1` or `plugin:NAME=PATH`.
///
/// ```
/// use neural::runtime::DeviceSpec;
/// assert_eq!("cuda:1".parse::<DeviceSpec>()?, DeviceSpec::Cuda { index: 1 });
/// assert!("gpu".parse::<DeviceSpec>().is_err());
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceSpec {
    /// CUDA where a plugin and a GPU are found, otherwise the CPU.
    #[default]
    Auto,
    /// XLA's own CPU client, with all cores.
    Cpu,
    /// A GPU, through the CUDA plugin.
    Cuda {
        /// Its number among the GPUs that the process sees, from 0.
        index: usize,
    },
    /// A PJRT plugin by the name of its platform and the path of its library.
    Plugin {
        /// The name that the plugin is loaded under.
        name: String,
        /// The shared library.
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

/// How to use a GPU. The CPU has no such settings.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceOptions {
    /// The largest part of the GPU's memory that the process takes, in (0, 1]; XLA's own default, three quarters, if
    /// absent.
    pub memory_fraction: Option<f32>,
    /// Takes that part at the start, in place of growing into it: a little faster, and nothing is left for others.
    pub preallocate: bool,
    /// Lets products and convolutions of f32 round their inputs to TF32, which has 10 bits of mantissa in place of 23:
    /// NVIDIA's default since its Ampere generation.
    pub tf32: bool,
    /// Launches kernels in groups, as CUDA graphs, which is XLA's default.
    pub command_buffers: bool,
    /// Whether [`Device::with_kernels`](super::Device::with_kernels) has an effect.
    pub pin_kernels: bool,
    /// Settings of the plugin's XLA by name, as in `XLA_FLAGS` without the dashes. They win over all others.
    pub xla: Vec<(String, String)>,
    /// How many GPUs are opened together, from the chosen one on, see [`Device::replica`](super::Device::replica).
    pub count: usize,
}

setters! {
    DeviceOptions {
        memory_fraction: f32,
        preallocate: bool,
        tf32: bool,
        command_buffers: bool,
        pin_kernels: bool,
        xla: impl Into<Vec<(String, String)>>,
        count: usize,
    }
}

impl Default for DeviceOptions {
    fn default() -> Self {
        Self {
            memory_fraction: None,
            preallocate: false,
            tf32: true,
            command_buffers: true,
            pin_kernels: true,
            xla: Vec::new(),
            count: 1,
        }
    }
}

impl DeviceOptions {
    pub(super) fn check(&self) -> Result<()> {
        match self.memory_fraction {
            Some(fraction) if !(fraction > 0.0 && fraction <= 1.0) => {
                Err(Error::value("memory_fraction", "a number above 0 and at most 1", fraction))
            }
            _ => Ok(()),
        }
    }

    /// The options in the form of the CUDA plugin.
    pub(super) fn of_plugin(&self, index: usize) -> Vec<(&'static str, PluginOption)> {
        let mut options = vec![
            (
                "visible_devices",
                PluginOption::IntList((index..index + self.count).map(|i| i as i64).collect()),
            ),
            ("preallocate", PluginOption::Bool(self.preallocate)),
        ];
        options
            .extend(self.memory_fraction.map(|fraction| ("memory_fraction", PluginOption::Float(fraction))));
        options
    }
}

/// The device of a [`DeviceSpec`] on this machine.
#[derive(Debug)]
pub(super) enum Choice {
    /// The CPU; with the reason, where `auto` had more to choose from.
    Cpu { instead: Option<String> },
    /// A GPU by its number and name.
    Cuda { plugin: CudaPlugin, index: usize, gpu: String },
    Plugin {
        /// The name that the plugin is loaded under.
        name: String,
        /// The shared library.
        path: PathBuf,
    },
}

impl Choice {
    pub fn of(spec: &DeviceSpec) -> Result<Self> {
        let failed = |reason: String| Error::device(spec, reason);
        match spec {
            DeviceSpec::Cpu => Ok(Self::Cpu { instead: None }),
            DeviceSpec::Plugin { name, path } => Ok(Self::Plugin { name: name.clone(), path: path.clone() }),
            DeviceSpec::Cuda { index } => match CudaPlugin::find()? {
                Some(plugin) => Self::gpu(plugin, *index).map_err(failed),
                None => Err(failed(
                    "no CUDA plugin was found; scripts/setup --cuda fetches one, and XLA_PJRT_PLUGIN=cuda:PATH names one"
                        .into(),
                )),
            },
            DeviceSpec::Auto => Ok(match CudaPlugin::find()? {
                Some(plugin) => Self::gpu(plugin, 0).unwrap_or_else(|reason| Self::Cpu { instead: Some(reason) }),
                // Starting the driver is not worth it: its kernel module tells enough.
                None => Self::Cpu {
                    instead: Path::new("/proc/driver/nvidia/version").exists().then(|| {
                        "NVIDIA's driver is there, but no CUDA plugin; scripts/setup --cuda fetches one".into()
                    }),
                },
            }),
        }
    }

    /// The GPU of that number, or why it cannot be used.
    fn gpu(plugin: CudaPlugin, index: usize) -> Result<Self, String> {
        let driver = Driver::load()?;
        if let Some(misfit) = plugin.driver_misfit(&driver) {
            return Err(misfit);
        }
        let names = |(i, gpu): (usize, &Gpu)| format!("cuda:{i} ({})", gpu.name);
        let gpu = driver.gpus.get(index).ok_or_else(|| {
            let there: Vec<_> = driver.gpus.iter().enumerate().map(names).collect();
            format!("there is no such GPU, only {}", there.join(", "))
        })?;
        Ok(Self::Cuda { index, gpu: gpu.name.clone(), plugin })
    }

    /// The kind of device, without its index.
    pub fn kind(&self) -> &str {
        match self {
            Self::Cpu { .. } => "cpu",
            Self::Cuda { .. } => "cuda",
            Self::Plugin { name, .. } => name,
        }
    }

    /// The user's name for it.
    pub fn name(&self) -> String {
        match self {
            Self::Cpu { .. } => "cpu".into(),
            Self::Cuda { index, .. } => format!("cuda:{index}"),
            Self::Plugin { name, path } => format!("plugin:{name}={}", path.display()),
        }
    }

    /// Why it was chosen.
    pub fn why(&self) -> String {
        match self {
            Self::Cpu { instead: Some(reason) } => reason.clone(),
            Self::Cpu { instead: None } => "there is neither a CUDA plugin nor NVIDIA's driver".into(),
            Self::Cuda { gpu, .. } => format!("there is a CUDA plugin and a GPU, {gpu}"),
            Self::Plugin { .. } => "it was asked for".into(),
        }
    }
}
