//! Where programs run.

use super::cuda::CudaPlugin;
use super::driver::{Driver, Gpu};
use super::xla_error;
use crate::error::{Error, Result};
use crate::lower::Target;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Once, OnceLock};
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

/// How to use a GPU. The CPU has no such settings.
///
/// ```
/// use neural::runtime::{Device, DeviceOptions, DeviceSpec};
/// let options = DeviceOptions { tf32: false, ..DeviceOptions::default() };
/// assert_eq!(Device::open_with(&DeviceSpec::Cpu, &options)?.name(), "cpu");
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceOptions {
    /// The largest part of the GPU's memory that the process takes, in (0, 1]; XLA's own default, three quarters, if
    /// absent.
    pub memory_fraction: Option<f32>,
    /// Takes that part at the start, in place of growing into it: a little faster, and nothing is left for others.
    pub preallocate: bool,
    /// Lets products and convolutions of f32 round their inputs to TF32, which has 10 bits of mantissa in place of 23:
    /// NVIDIA's default since its Ampere generation. It holds for all devices of the process.
    pub tf32: bool,
    /// Launches kernels in groups, CUDA graphs, as XLA does unless told otherwise. It holds for all devices of the
    /// process.
    pub command_buffers: bool,
    /// Whether [`Device::with_kernels`] has an effect.
    pub pin_kernels: bool,
    /// How many GPUs are opened together, from the chosen one on, see [`Device::replica`].
    pub count: usize,
}

impl Default for DeviceOptions {
    fn default() -> Self {
        Self {
            memory_fraction: None,
            preallocate: false,
            tf32: true,
            command_buffers: true,
            pin_kernels: true,
            count: 1,
        }
    }
}

impl DeviceOptions {
    fn check(&self) -> Result<()> {
        match self.memory_fraction {
            Some(fraction) if !(fraction > 0.0 && fraction <= 1.0) => {
                Err(Error::value("memory_fraction", "a number above 0 and at most 1", fraction))
            }
            _ => Ok(()),
        }
    }

    /// As the CUDA plugin takes them.
    fn of_plugin(&self, index: usize) -> Vec<(&'static str, PluginOption)> {
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

/// What a [`DeviceSpec`] comes to on this machine.
#[derive(Debug)]
pub(super) enum Choice {
    /// The CPU; with the reason, where `auto` had more to choose from.
    Cpu {
        instead: Option<String>,
    },
    /// A GPU by its number and name.
    Cuda {
        plugin: CudaPlugin,
        index: usize,
        gpu: String,
    },
    Plugin {
        name: String,
        path: PathBuf,
    },
}

impl Choice {
    pub fn of(spec: &DeviceSpec) -> Result<Self> {
        let failed = |reason: String| Error::Device(format!("{spec}: {reason}"));
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
                // Not worth starting the driver for: its kernel module says enough.
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

    /// As the user would ask for it.
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

/// An open device. Clones share it.
///
/// ```
/// use neural::runtime::Device;
/// let device = Device::cpu()?;
/// assert_eq!((device.name(), device.count()), ("cpu", 1));
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone)]
pub struct Device {
    client: PjRtClient,
    target: Target,
    name: String,
    note: Option<String>,
    /// Which of the client's devices buffers are brought to.
    ordinal: usize,
    pins_kernels: bool,
    kernels: Option<PathBuf>,
}

impl Device {
    /// The device that `spec` names, with the default options.
    ///
    /// ```
    /// use neural::runtime::{Device, DeviceSpec};
    /// assert_eq!(Device::open(&DeviceSpec::Cpu)?.name(), "cpu");
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Device::open_with`].
    pub fn open(spec: &DeviceSpec) -> Result<Self> {
        Self::open_with(spec, &DeviceOptions::default())
    }

    /// The device that `spec` names.
    ///
    /// ```
    /// use neural::runtime::{Device, DeviceOptions, DeviceSpec};
    /// let options = DeviceOptions { memory_fraction: Some(2.0), ..DeviceOptions::default() };
    /// assert!(Device::open_with(&DeviceSpec::Cpu, &options).is_err());
    /// ```
    ///
    /// # Errors
    /// When it is not there or does not start, with what to do about it. Nothing falls back from a device that was
    /// asked for; `auto` takes the CPU where a plugin, a driver or a GPU is missing, and [`Device::note`] says so.
    pub fn open_with(spec: &DeviceSpec, options: &DeviceOptions) -> Result<Self> {
        options.check()?;
        match Choice::of(spec)? {
            Choice::Cpu { instead } => {
                let note = instead.filter(|_| *spec == DeviceSpec::Auto);
                Ok(Self { note: note.map(|reason| format!("on the CPU: {reason}")), ..Self::cpu()? })
            }
            Choice::Cuda { plugin, index, .. } => {
                Settings::of(options).settle()?;
                plugin.load_libraries();
                let device = Self::plugin("cuda", &plugin.path, &options.of_plugin(index))?;
                Ok(Self { pins_kernels: options.pin_kernels, ..device })
            }
            Choice::Plugin { name, path } => Self::plugin(&name, &path, &[]),
        }
    }

    /// ```no_run
    /// let device = neural::runtime::Device::auto()?;
    /// println!("{device}");
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the device that was found cannot be opened.
    pub fn auto() -> Result<Self> {
        Self::open(&DeviceSpec::Auto)
    }

    /// All cores of this machine.
    ///
    /// ```
    /// assert_eq!(neural::runtime::Device::cpu()?.name(), "cpu");
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When XLA cannot start.
    pub fn cpu() -> Result<Self> {
        prepare();
        let client = PjRtClient::cpu().map_err(|error| xla_error("open the CPU", &error))?;
        Ok(Self::new(client, Target::Cpu, "cpu"))
    }

    fn plugin(name: &str, path: &Path, options: &[(&str, PluginOption)]) -> Result<Self> {
        prepare();
        if !path.is_file() {
            return Err(Error::Device(format!("{name}: there is no plugin at {}", path.display())));
        }
        let client = PjRtClient::plugin_with_options(name, path, options)
            .map_err(|error| Error::Device(format!("{name}: {}", xla_error("open the plugin", &error))))?;
        let platform = client.platform_name().to_lowercase();
        let target = if ["cuda", "rocm", "gpu"].iter().any(|gpu| platform.contains(gpu)) {
            Target::Gpu
        } else {
            Target::Cpu
        };
        Ok(Self::new(client, target, name))
    }

    fn new(client: PjRtClient, target: Target, name: &str) -> Self {
        Self { client, target, name: name.into(), note: None, ordinal: 0, pins_kernels: true, kernels: None }
    }

    /// The same device, for programs that take their kernels from `file`. For a GPU, XLA chooses among kernels by
    /// timing them, and two processes may choose differently. The first program leaves the choice in the file, and
    /// a process that finds the file there chooses as it says; XLA reads one such file in a process. The name must end
    /// in `.textproto`. It has no effect on the CPU and on programs that run on several devices.
    ///
    /// ```
    /// use neural::runtime::Device;
    /// let device = Device::cpu()?.with_kernels("runs/mnist-1/autotune.textproto");
    /// assert_eq!(device.name(), "cpu");
    /// # Ok::<(), neural::Error>(())
    /// ```
    #[must_use]
    pub fn with_kernels(&self, file: impl Into<PathBuf>) -> Self {
        Self { kernels: self.pins_kernels.then(|| file.into()), ..self.clone() }
    }

    pub(super) fn kernels(&self) -> Option<&Path> {
        self.kernels.as_deref()
    }

    pub(super) fn client(&self) -> &PjRtClient {
        &self.client
    }

    /// How many devices there are of this kind, see [`Device::replica`].
    ///
    /// ```
    /// assert_eq!(neural::runtime::Device::cpu()?.count(), 1);
    /// # Ok::<(), neural::Error>(())
    /// ```
    pub fn count(&self) -> usize {
        self.client.addressable_device_count()
    }

    /// The `ordinal`-th of the devices that were opened together, the first being 0: where the buffers go of a
    /// program that runs on several, see [`Program::compile_replicated`](super::Program::compile_replicated).
    ///
    /// ```
    /// let device = neural::runtime::Device::cpu()?;
    /// assert!(device.replica(0).is_ok() && device.replica(1).is_err());
    /// # Ok::<(), neural::Error>(())
    /// ```
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

    /// ```
    /// assert_eq!(neural::runtime::Device::cpu()?.target(), neural::lower::Target::Cpu);
    /// # Ok::<(), neural::Error>(())
    /// ```
    pub fn target(&self) -> Target {
        self.target
    }

    /// The name of the platform, such as `cpu` or `cuda`.
    ///
    /// ```
    /// assert_eq!(neural::runtime::Device::cpu()?.name(), "cpu");
    /// # Ok::<(), neural::Error>(())
    /// ```
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Why `auto` took the CPU though something of CUDA is there: a line for the user to read.
    ///
    /// ```
    /// assert_eq!(neural::runtime::Device::cpu()?.note(), None);
    /// # Ok::<(), neural::Error>(())
    /// ```
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// XLA's name for the kind of device, such as `NVIDIA H100 80GB HBM3`.
    pub(super) fn kind(&self) -> String {
        self.client.addressable_devices().first().map(xla::PjRtDevice::kind).unwrap_or_default()
    }

    /// What XLA says of the version of the platform.
    pub(super) fn version(&self) -> String {
        self.client.platform_version().split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.target {
            Target::Gpu => write!(f, "{} ({})", self.name, self.kind()),
            Target::Cpu => {
                let cores = std::thread::available_parallelism().map_or(1, usize::from);
                write!(f, "{} ({cores} cores)", self.name)
            }
        }
    }
}

/// What is settled once for a process, because XLA and NVIDIA's libraries read it from the environment when they start.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Settings {
    tf32: bool,
    command_buffers: bool,
}

impl Settings {
    fn of(options: &DeviceOptions) -> Self {
        Self { tf32: options.tf32, command_buffers: options.command_buffers }
    }

    fn settle(self) -> Result<()> {
        static SETTLED: OnceLock<Settings> = OnceLock::new();
        let settled = *SETTLED.get_or_init(|| {
            let flags = std::env::var("XLA_FLAGS").unwrap_or_default();
            // SAFETY: no GPU has been opened, so neither NVIDIA's libraries nor the plugin's XLA have started a thread;
            // a program that opens its device first, as those here do, has no thread that reads the environment.
            unsafe {
                if !self.tf32 {
                    std::env::set_var("NVIDIA_TF32_OVERRIDE", "0");
                }
                if let Some(flags) = self.flags(&flags) {
                    std::env::set_var("XLA_FLAGS", flags);
                }
            }
            self
        });
        let differ = [
            ("tf32", settled.tf32, self.tf32),
            ("command_buffers", settled.command_buffers, self.command_buffers),
        ];
        let show = |on| if on { "on" } else { "off" };
        match differ.into_iter().find(|(_, settled, wanted)| settled != wanted) {
            None => Ok(()),
            Some((name, settled, wanted)) => {
                let expected = format!("{}, as for the GPU opened before in this process", show(settled));
                Err(Error::value(name, expected, show(wanted)))
            }
        }
    }

    /// The user's flags with those that turn off what is not wanted; `None` if there is nothing to add. What the user
    /// has set stays.
    fn flags(self, given: &str) -> Option<String> {
        // Both copies of XLA in the process, the program's and the plugin's, know these flags. One that is unknown to
        // either would end the process. XLA's own kernels for products round to TF32 too.
        let unwanted = [
            (self.tf32, "--xla_gpu_enable_triton_gemm", "false"),
            (self.command_buffers, "--xla_gpu_enable_command_buffer", ""),
        ];
        let mut flags = given.trim().to_string();
        for (_, flag, value) in
            unwanted.into_iter().filter(|(wanted, flag, _)| !wanted && !given.contains(flag))
        {
            flags = format!("{flags} {flag}={value}").trim_start().to_string();
        }
        (flags != given.trim()).then_some(flags)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_turn_off_what_is_not_wanted_and_leave_what_the_user_set() {
        let flags = |tf32, command_buffers, given| Settings { tf32, command_buffers }.flags(given);
        assert_eq!(flags(true, true, "--a=1"), None);
        assert_eq!(flags(false, true, "").as_deref(), Some("--xla_gpu_enable_triton_gemm=false"));
        assert_eq!(flags(true, false, " --a=1 ").as_deref(), Some("--a=1 --xla_gpu_enable_command_buffer="));
        let both = "--xla_gpu_enable_triton_gemm=false --xla_gpu_enable_command_buffer=";
        assert_eq!(flags(false, false, "").as_deref(), Some(both));
        assert_eq!(
            flags(false, false, "--xla_gpu_enable_triton_gemm=true --xla_gpu_enable_command_buffer=FUSION"),
            None
        );
    }
}
