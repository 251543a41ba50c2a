//! How programs are compiled for GPUs: with XLA's settings as the plugin has them, but for those that are asked for.

use super::device::Device;
use super::kernels::Kernels;
use super::library::linked;
use super::xla_error;
use crate::error::{Error, Result};
use crate::lower::in_full_precision;
use std::ffi::{CStr, CString, c_char};
use xla::{PjRtLoadedExecutable, XlaComputation};

/// A setting of XLA as in `XLA_FLAGS`, without the dashes.
pub(super) type Setting = (&'static CStr, CString);

/// Compiles `computation` for the first `replicas` GPUs.
pub(super) fn compile(
    device: &Device,
    computation: &XlaComputation,
    replicas: usize,
) -> Result<PjRtLoadedExecutable> {
    let options = device.options();
    let mut settings = Vec::new();
    if !options.command_buffers {
        settings.push((c"xla_gpu_enable_command_buffer", CString::default()));
    }
    let kernels = device.kernels().map(Kernels::of).transpose()?;
    settings.extend(kernels.iter().flat_map(Kernels::settings));
    let precise = if options.tf32 { None } else { Some(in_full_precision(computation)?) };
    let computation = precise.as_ref().unwrap_or(computation);
    let client = device.client();
    let executable = with_settings(&settings, || match replicas {
        1 => client.compile(computation),
        several => client.compile_replicated(computation, several),
    })?
    .map_err(|error| xla_error("compile the program", &error));
    match kernels {
        Some(kernels) => kernels.keep(executable),
        None => executable,
    }
}

/// A [`Setting`] as `scripts/xla/options_glue.cc` has it.
#[repr(C)]
struct Given {
    name: *const c_char,
    value: *const c_char,
}

type CompileWith = unsafe extern "C" fn(*const Given, usize);

/// What `compile` returns, which has plugins compile with `settings`.
fn with_settings<T>(settings: &[Setting], compile: impl FnOnce() -> T) -> Result<T> {
    if settings.is_empty() {
        return Ok(compile());
    }
    // SAFETY: this is the function's type in scripts/xla/options_glue.cc.
    let Some(compile_with) = (unsafe { linked::<CompileWith>(c"xla_glue_compile_with") }) else {
        return Err(Error::Device(
            "this XLA takes no settings for a program; use that of scripts/setup, or --no-pinned-kernels and \
             XLA_FLAGS=--xla_gpu_enable_command_buffer= in place of --no-command-buffers"
                .into(),
        ));
    };
    let given: Vec<_> =
        settings.iter().map(|(name, value)| Given { name: name.as_ptr(), value: value.as_ptr() }).collect();
    // SAFETY: the function copies what it is given, for this thread.
    unsafe { compile_with(given.as_ptr(), given.len()) };
    let result = compile();
    // SAFETY: nothing is read where there are no settings.
    unsafe { compile_with(std::ptr::null(), 0) };
    Ok(result)
}
