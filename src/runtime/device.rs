//! Devices, on which programs run.

use super::cuda::{CudaPlugin, Origin};
use super::driver::Driver;
use super::memory;
use super::processes::Processes;
use super::settings::prepare;
use super::spec::{Choice, DeviceOptions, DeviceSpec};
use crate::error::{Error, Result};
use crate::lower::{Target, kernels_are_known};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xla::{PjRtClient, PluginOption};

/// An open device. Clones share it.
#[derive(Clone)]
pub struct Device {
    client: PjRtClient,
    /// The same for all clones.
    opened: Arc<()>,
    target: Target,
    name: String,
    note: Option<String>,
    /// The index of the client's device that holds buffers.
    ordinal: usize,
    options: DeviceOptions,
    kernels: Option<PathBuf>,
    programs: Option<PathBuf>,
    processes: Option<Processes>,
    /// XLA's numbers of the devices of each of several processes.
    numbers: Arc<[Vec<usize>]>,
}

impl Device {
    /// The device that `spec` names, with the default options.
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
    /// When it does not exist or does not start, with the remedy. A requested device never falls back to another;
    /// `auto` takes the CPU where a plugin, a driver or a GPU is missing, and [`Device::note`] says so.
    pub fn open_with(spec: &DeviceSpec, options: &DeviceOptions) -> Result<Self> {
        options.check()?;
        match Choice::of(spec)? {
            Choice::Cpu { instead } => {
                let note = instead.filter(|_| *spec == DeviceSpec::Auto);
                Ok(Self { note: note.map(|reason| format!("on the CPU: {reason}")), ..Self::cpu()? })
            }
            Choice::Cuda { plugin, index, .. } => Self::cuda(&plugin, index, options, None),
            Choice::Plugin { name, path } if name == "cuda" => {
                Self::cuda(&CudaPlugin::at(path, Origin::Argument), 0, options, None)
            }
            Choice::Plugin { name, path } => {
                Ok(Self { options: options.clone(), ..Self::plugin(&name, &path, &[])? })
            }
        }
    }

    /// The device of one of several processes.
    pub(super) fn spanning(processes: Processes, choice: Choice, options: &DeviceOptions) -> Result<Self> {
        options.check()?;
        let device = match choice {
            Choice::Cpu { .. } => {
                prepare();
                Self::of_cpu(processes.open_cpu()?)
            }
            Choice::Cuda { plugin, index, .. } => Self::cuda(&plugin, index, options, Some(processes))?,
            Choice::Plugin { name, path } if name == "cuda" => {
                Self::cuda(&CudaPlugin::at(path, Origin::Argument), 0, options, Some(processes))?
            }
            plugin @ Choice::Plugin { .. } => {
                let reason = "several processes compute on CPUs or by CUDA; take --device cpu or cuda";
                return Err(Error::device(plugin.name(), reason));
            }
        };
        Ok(Self { processes: Some(processes), ..device })
    }

    fn cuda(
        plugin: &CudaPlugin,
        index: usize,
        options: &DeviceOptions,
        processes: Option<Processes>,
    ) -> Result<Self> {
        plugin.load_libraries();
        let open = |options: &[_]| Self::plugin("cuda", &plugin.path, options);
        let device = match processes {
            None => open(&options.of_plugin(index)),
            Some(processes) => {
                let mut given = options.of_plugin(own_gpu(index, options.count, processes.place()));
                given.push(("num_nodes", PluginOption::Int(processes.count() as i64)));
                given.push(("node_id", PluginOption::Int(processes.rank() as i64)));
                processes.connected(|| open(&given))?
            }
        };
        Ok(Self { options: options.clone(), ..device? })
    }

    /// CUDA where a plugin and a GPU are found, and the CPU otherwise.
    ///
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
        let client = PjRtClient::cpu().map_err(|error| Error::xla("open the CPU", &error))?;
        Ok(Self::of_cpu(client))
    }

    fn of_cpu(client: PjRtClient) -> Self {
        let target = if kernels_are_known() { Target::Cpu } else { Target::CpuPlugin };
        Self::new(client, target, "cpu")
    }

    fn plugin(name: &str, path: &Path, options: &[(&str, PluginOption)]) -> Result<Self> {
        prepare();
        if !path.is_file() {
            return Err(Error::device(name, format!("there is no plugin at {}", path.display())));
        }
        let client = PjRtClient::plugin_with_options(name, path, options)
            .map_err(|error| Error::xla("open the plugin", &error).at(name))?;
        let platform = client.platform_name().to_lowercase();
        let target = if ["cuda", "rocm", "gpu"].iter().any(|gpu| platform.contains(gpu)) {
            Target::Gpu
        } else {
            Target::CpuPlugin
        };
        Ok(Self::new(client, target, name))
    }

    fn new(client: PjRtClient, target: Target, name: &str) -> Self {
        Self {
            client,
            opened: Arc::new(()),
            target,
            name: name.into(),
            note: None,
            ordinal: 0,
            options: DeviceOptions::default(),
            kernels: None,
            programs: None,
            processes: None,
            numbers: Arc::new([]),
        }
    }

    /// The same device, with XLA's numbers of the devices of each process.
    pub(super) fn numbered(self, numbers: Vec<Vec<usize>>) -> Self {
        Self { numbers: numbers.into(), ..self }
    }

    /// XLA's numbers of the devices of each of several processes; empty where there is one.
    pub(super) fn numbers(&self) -> &[Vec<usize>] {
        &self.numbers
    }

    /// The processes with which this one shares its batches, see [`Processes::open`].
    pub fn processes(&self) -> Option<Processes> {
        self.processes
    }

    /// The same device, with the choice of kernels kept in `file`. For a GPU, XLA chooses among kernels by timing them,
    /// and two processes may choose differently. The first program writes its choice to the file, and later processes
    /// that find it choose the same; XLA reads one such file in a process. The name must end in `.textproto`. It has no
    /// effect on the CPU.
    #[must_use]
    pub fn with_kernels(&self, file: impl Into<PathBuf>) -> Self {
        Self { kernels: self.options.pin_kernels.then(|| file.into()), ..self.clone() }
    }

    pub(super) fn options(&self) -> &DeviceOptions {
        &self.options
    }

    pub(super) fn kernels(&self) -> Option<&Path> {
        self.kernels.as_deref()
    }

    /// The same device, with compiled programs kept in `folder`: a process that finds a program there reads it instead
    /// of compiling it. A program is found by its computation, this package, XLA and the processor; the folder keeps up
    /// to 256 MiB. It has no effect on GPUs, on plugins, on programs for several devices, where `XLA_FLAGS` is set, or
    /// with an XLA that is not from `scripts/setup`.
    ///
    /// ```
    /// use neural::{Array, graph::{Function, Graph}, runtime::{Device, Program}};
    /// let graph = Graph::new();
    /// let seven = Function::new(&graph, vec![graph.scalar(7f32)]);
    /// # let folder = tempfile::tempdir().expect("a temporary folder");
    /// # let folder = folder.path();
    /// let device = Device::cpu()?.with_programs(folder);
    /// assert!(!Program::compile(&device, &seven, 0)?.was_kept());
    /// let again = Program::compile(&device, &seven, 0)?;
    /// assert_eq!(again.call(&device, &[])?, [Array::scalar(7f32)]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    #[must_use]
    pub fn with_programs(&self, folder: impl Into<PathBuf>) -> Self {
        Self { programs: Some(folder.into()), ..self.clone() }
    }

    pub(super) fn programs(&self) -> Option<&Path> {
        self.programs.as_deref()
    }

    pub(super) fn client(&self) -> &PjRtClient {
        &self.client
    }

    /// Whether the two share programs and buffers: clones of one device, and the same replica.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.opened, &other.opened) && self.ordinal == other.ordinal
    }

    /// How many devices there are of this kind, see [`Device::replica`].
    pub fn count(&self) -> usize {
        self.client.addressable_device_count()
    }

    /// The `ordinal`-th of the devices that were opened together, the first being 0: where the buffers go of a
    /// program that runs on several, see [`Program::compile_replicated`](super::Program::compile_replicated).
    ///
    /// # Errors
    /// When there are fewer.
    pub fn replica(&self, ordinal: usize) -> Result<Self> {
        let count = self.count();
        if ordinal < count {
            return Ok(Self { ordinal, ..self.clone() });
        }
        let more = match self.target {
            Target::Cpu | Target::CpuPlugin => {
                "; XLA_FLAGS=--xla_force_host_platform_device_count=N makes N of the CPU"
            }
            Target::Gpu => "",
        };
        let reason = format!("expected at least {} devices, got {count}{more}", ordinal + 1);
        Err(Error::device(&self.name, reason))
    }

    /// How many bytes are free for programs and their arrays: of this machine's memory, within the limits of the process's
    /// control groups, or all that the largest GPU has. `None` where the system does not tell.
    pub fn free_memory(&self) -> Option<u64> {
        match self.target {
            Target::Cpu | Target::CpuPlugin => memory::free(Path::new("/")),
            Target::Gpu => Driver::load().ok()?.gpus.iter().map(|gpu| gpu.memory).max(),
        }
    }

    pub(super) fn ordinal(&self) -> usize {
        self.ordinal
    }

    /// The kind of device that programs are lowered for.
    pub fn target(&self) -> Target {
        self.target
    }

    /// The name of the platform, such as `cpu` or `cuda`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Why `auto` took the CPU although parts of CUDA are installed: a line for the user.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// XLA's name for the kind of device, such as `NVIDIA H100 80GB HBM3`.
    pub(super) fn kind(&self) -> String {
        self.client.addressable_devices().first().map(xla::PjRtDevice::kind).unwrap_or_default()
    }

    /// The platform version that XLA reports.
    pub(super) fn version(&self) -> String {
        self.client.platform_version().split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// The first GPU of a process, the one in this place on its machine: each has `count`, from `index` on, where there are enough.
/// Otherwise its launcher shows each process its own alone.
fn own_gpu(index: usize, count: usize, place: usize) -> usize {
    let there = Driver::load().map_or(0, |driver| driver.gpus.len());
    let own = index + place * count;
    if own + count <= there { own } else { index }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device({self}, {})", self.ordinal)
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.target {
            Target::Gpu => write!(f, "{} ({})", self.name, self.kind())?,
            Target::Cpu | Target::CpuPlugin => {
                let cores = std::thread::available_parallelism().map_or(1, usize::from);
                write!(f, "{} ({cores} cores)", self.name)?;
            }
        }
        self.processes.map_or(Ok(()), |p| write!(f, " in each of {} processes", p.count()))
    }
}
