//! How programs are compiled for GPUs: with the plugin's own settings, except for the requested ones.

use super::device::Device;
use super::glue::COMPILE_WITH;
use super::kernels::Kernels;
use super::processes::Processes;
use crate::error::{Error, Result};
use crate::lower::in_full_precision;
use prost::Message;
use std::collections::BTreeMap;
use xla::{PjRtLoadedExecutable, XlaComputation};

/// The commands that go into command buffers: XLA's default ones, and convolutions.
const CAPTURED: &str = "FUSION,CUBLAS,CUBLASLT,CUSTOM_CALL,CUDNN,DYNAMIC_SLICE_FUSION,CONVOLUTION";

/// A setting of XLA as in `XLA_FLAGS`, without the dashes.
pub(super) type Setting = (String, String);

/// Compiles `computation` for the first `replicas` GPUs, of each of several processes where they share it.
pub(super) fn compile(
    device: &Device,
    computation: &XlaComputation,
    replicas: usize,
    processes: Option<Processes>,
) -> Result<PjRtLoadedExecutable> {
    let options = device.options();
    let mut settings = Vec::new();
    if !options.command_buffers {
        settings.push(("xla_gpu_enable_command_buffer".into(), String::new()));
    } else if COMPILE_WITH.is_some() {
        settings.push(("xla_gpu_enable_command_buffer".into(), CAPTURED.into()));
        // A kernel in a graph waits only for those whose results it reads or overwrites.
        settings.push(("xla_gpu_command_buffer_scheduling_mode".into(), "CONCURRENT".into()));
    }
    let kernels = device.kernels().map(Kernels::of).transpose()?;
    settings.extend(kernels.iter().flat_map(Kernels::settings));
    settings.extend(options.xla.iter().cloned());
    let placed = device.processes().map(|own| {
        // Each process tunes its kernels by itself. To share the work, all would have to compile each program.
        settings.push(("xla_gpu_shard_autotuning".into(), "false".into()));
        let all = device.numbers();
        placed(if processes.is_some() { all } else { &all[own.rank()..=own.rank()] }, replicas)
    });
    let precise = if options.tf32 { None } else { Some(in_full_precision(computation)?) };
    let computation = precise.as_ref().unwrap_or(computation);
    let client = device.client();
    let is_placed = placed.is_some();
    let executable = with_settings(&settings, placed, || match replicas {
        several @ 2.. if !is_placed => client.compile_replicated(computation, several),
        _ => client.compile(computation),
    })?
    .map_err(|error| Error::xla("compile the program", &error));
    match kernels {
        Some(kernels) => kernels.keep(executable),
        None => executable,
    }
}

/// The fields of `CompileOptionsProto` in XLA's `compile_options.proto` that are used here.
#[derive(Message)]
struct CompileOptions {
    #[prost(message, optional, tag = "3")]
    executable_build_options: Option<BuildOptions>,
    #[prost(btree_map = "string, message", tag = "7")]
    env_option_overrides: BTreeMap<String, OptionOverride>,
}

/// `ExecutableBuildOptionsProto`.
#[derive(Clone, PartialEq, Message)]
struct BuildOptions {
    #[prost(int64, tag = "4")]
    num_replicas: i64,
    #[prost(message, optional, tag = "9")]
    device_assignment: Option<DeviceAssignment>,
}

/// `DeviceAssignmentProto` of XLA's `xla_data.proto`.
#[derive(Clone, PartialEq, Message)]
struct DeviceAssignment {
    #[prost(int32, tag = "1")]
    replica_count: i32,
    #[prost(int32, tag = "2")]
    computation_count: i32,
    #[prost(message, repeated, tag = "3")]
    computation_devices: Vec<ComputationDevice>,
}

#[derive(Clone, PartialEq, Message)]
struct ComputationDevice {
    #[prost(int64, repeated, tag = "1")]
    replica_device_ids: Vec<i64>,
}

/// A replica on each of the first `replicas` devices of every process, whose numbers are given.
fn placed(processes: &[Vec<usize>], replicas: usize) -> BuildOptions {
    let first =
        |numbers: &Vec<usize>| numbers.iter().take(replicas).map(|&number| number as i64).collect::<Vec<_>>();
    let replica_device_ids: Vec<i64> = processes.iter().flat_map(first).collect();
    let count = replica_device_ids.len();
    BuildOptions {
        num_replicas: count as i64,
        device_assignment: Some(DeviceAssignment {
            replica_count: count as i32,
            computation_count: 1,
            computation_devices: vec![ComputationDevice { replica_device_ids }],
        }),
    }
}

/// `OptionOverrideProto`, with the one of its kinds that takes a setting as `XLA_FLAGS` does.
#[derive(Clone, PartialEq, Message)]
struct OptionOverride {
    #[prost(string, optional, tag = "1")]
    string_field: Option<String>,
}

/// A value as PJRT spells it: `XLA_FLAGS` has its own words for yes and no.
fn spelled(value: &str) -> &str {
    match value {
        "true" => "True",
        "false" => "False",
        other => other,
    }
}

/// Returns the result of `compile`, during which plugins compile with `settings`, for the devices of `placed` where
/// given.
fn with_settings<T>(
    settings: &[Setting],
    placed: Option<BuildOptions>,
    compile: impl FnOnce() -> T,
) -> Result<T> {
    if settings.is_empty() && placed.is_none() {
        return Ok(compile());
    }
    let Some(compile_with) = COMPILE_WITH else {
        return Err(Error::device(
            "cuda",
            "this XLA takes no settings for a program; use that of scripts/setup, or --no-pinned-kernels and \
             XLA_FLAGS=--xla_gpu_enable_command_buffer= in place of --no-command-buffers",
        ));
    };
    let overrides = settings
        .iter()
        .map(|(name, value)| (name.clone(), OptionOverride { string_field: Some(spelled(value).into()) }));
    let options =
        CompileOptions { executable_build_options: placed, env_option_overrides: overrides.collect() };
    let fields = options.encode_to_vec();
    // SAFETY: the function copies the bytes, for this thread.
    unsafe { compile_with(fields.as_ptr(), fields.len()) };
    let result = compile();
    // SAFETY: the same, of no bytes.
    unsafe { compile_with(fields.as_ptr(), 0) };
    Ok(result)
}
