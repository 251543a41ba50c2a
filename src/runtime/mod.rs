//! Devices, the programs compiled for them, and the buffers that live on them.

mod buffer;
mod cause;
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
mod program;
mod report;
mod settings;
mod spec;

pub use buffer::Buffer;
pub use cause::Cause;
pub use cuda::{CudaPlugin, Origin, Versions};
pub use device::Device;
pub use driver::{Driver, Gpu, Version};
pub use folders::cache_folder;
pub use program::Program;
pub use report::{Auto, Cpu, OpenedDevice, PluginReport, Report, Xla};
pub use settings::tune_process;
pub use spec::{DeviceOptions, DeviceSpec};

use crate::error::Error;

/// XLA's errors in our words: without its backtrace, and with a remedy where one is known.
pub(crate) fn xla_error(action: &'static str, error: &xla::Error) -> Error {
    let text = match error {
        xla::Error::XlaError { msg, .. } => msg.clone(),
        other => other.to_string(),
    };
    // What follows the first line is XLA's state in detail.
    let first = text.trim().lines().next().unwrap_or_default().trim_end();
    let message = match Cause::of(&text) {
        Some(cause) => format!("{cause} ({first})"),
        None => first.to_string(),
    };
    Error::Xla { action, message }
}
