//! Devices, the programs compiled for them, and the buffers that live on them.

mod buffer;
mod device;
mod program;

pub use buffer::Buffer;
pub use device::{Device, DeviceSpec};
pub use program::Program;

use crate::error::Error;

/// XLA's errors in our words: without its backtrace, and with a remedy where one is known.
pub(crate) fn xla_error(action: &'static str, error: &xla::Error) -> Error {
    let text = match error {
        xla::Error::XlaError { msg, .. } => msg.clone(),
        other => other.to_string(),
    };
    let mut message = text.trim().to_string();
    if message.contains("RESOURCE_EXHAUSTED") || message.to_lowercase().contains("out of memory") {
        message = format!("the device's memory is full; try a smaller batch_size ({message})");
    }
    Error::Xla { action, message }
}
