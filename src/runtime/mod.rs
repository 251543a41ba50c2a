//! Devices, programs compiled for them, and buffers on them.

mod buffer;
mod cuda;
mod device;
mod driver;
mod folders;
mod glue;
mod gpu;
mod kept;
mod kernels;
mod memory;
mod private;
mod processes;
mod program;
mod report;
mod settings;
mod spec;
mod written;

pub use buffer::Buffer;
pub use cuda::{CudaPlugin, Origin, Versions};
pub use device::Device;
pub use driver::{Driver, Gpu, Version};
pub use folders::cache_folder;
pub use memory::peak_memory;
pub use processes::{Processes, Traffic};
pub use program::Program;
#[cfg(feature = "cli")]
pub(crate) use report::tensorflow;
pub use report::{Auto, Cpu, OpenedDevice, PluginReport, Report, Xla};
pub use settings::tune_process;
pub use spec::{DeviceOptions, DeviceSpec};
