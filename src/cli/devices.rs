//! `neural devices`, and the flags that choose one.

use super::text;
use crate::error::Result;
use crate::runtime::{
    Device, DeviceOptions, DeviceSpec, OpenedDevice, Processes, Report, cache_folder, tune_process,
};
use std::io::{self, Write};
use std::process::ExitCode;

/// Show the devices of this machine, the one that `auto` takes, and what CUDA lacks
#[derive(Debug, clap::Args)]
pub struct Devices {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Devices {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let report = Report::new();
        let mut out = io::stdout();
        if self.json {
            let devices = OpenedDevice::all(&report);
            let devices: Vec<_> = devices
                .iter()
                .map(|device| match device {
                    Ok(device) => serde_json::json!(device),
                    Err(reason) => serde_json::json!({ "error": reason }),
                })
                .collect();
            let mut value = serde_json::to_value(&report)?;
            value["devices"] = devices.into();
            writeln!(out, "{value:#}")?;
            return Ok(ExitCode::SUCCESS);
        }
        // Printed before a device is opened, in case a plugin ends the process.
        let found: Vec<Vec<String>> = report.rows().into_iter().map(|row| row.to_vec()).collect();
        write!(out, "{}", text::words(&found))?;
        out.flush()?;
        let opened = OpenedDevice::all(&report).into_iter().map(|device| match device {
            Ok(device) => vec![device.name.clone(), device.describes()],
            Err(reason) => vec!["problem".into(), reason],
        });
        let head = ["device", "opens as"].map(String::from).to_vec();
        let rows: Vec<Vec<String>> = std::iter::once(head).chain(opened).collect();
        write!(out, "\n{}", text::words(&rows))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The flags of every program that computes.
#[derive(Clone, Debug, clap::Args)]
pub struct DeviceArguments {
    /// Where to compute: auto, cpu, cuda, cuda:N or plugin:NAME=PATH
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    pub device: String,

    /// Compile every program for the CPU anew, and keep none for later
    #[arg(long)]
    pub no_kept_programs: bool,

    /// The largest part of the GPU's memory to take
    #[arg(long, value_name = "PART", help_heading = "GPU")]
    pub memory_fraction: Option<f32>,

    /// Take that part at once
    #[arg(long, help_heading = "GPU")]
    pub preallocate: bool,

    /// Compute products and convolutions of f32 in full precision
    #[arg(long, help_heading = "GPU")]
    pub no_tf32: bool,

    /// Launch every kernel alone, not in CUDA graphs
    #[arg(long, help_heading = "GPU")]
    pub no_command_buffers: bool,

    /// Let every process choose its kernels anew, and keep no choice in the run's folder
    #[arg(long, help_heading = "GPU")]
    pub no_pinned_kernels: bool,

    /// A setting of XLA as in `XLA_FLAGS`, such as `xla_gpu_autotune_level=0`; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting, help_heading = "GPU")]
    pub xla: Vec<(String, String)>,
}

impl DeviceArguments {
    /// Opens the device. If `auto` took the CPU though parts of CUDA are installed, stderr says why.
    ///
    /// # Errors
    /// When the flags name no device, or a missing one.
    pub fn open(&self) -> Result<Device> {
        self.open_several(1)
    }

    /// The same with the `count` GPUs that share each batch, from the chosen one on.
    ///
    /// # Errors
    /// As [`DeviceArguments::open`].
    pub fn open_several(&self, count: usize) -> Result<Device> {
        tune_process();
        let device = Device::open_with(&self.device.parse::<DeviceSpec>()?, &self.options(count))?;
        if let Some(note) = device.note() {
            let _ = writeln!(io::stderr(), "{note}");
        }
        Ok(self.keep_programs(device))
    }

    /// The device of one of several processes, with `count` GPUs for this process.
    pub(super) fn open_in(&self, processes: Processes, count: usize) -> Result<Device> {
        tune_process();
        let device = processes.open(&self.device.parse::<DeviceSpec>()?, &self.options(count))?;
        Ok(self.keep_programs(device))
    }

    fn options(&self, count: usize) -> DeviceOptions {
        DeviceOptions {
            memory_fraction: self.memory_fraction,
            preallocate: self.preallocate,
            tf32: !self.no_tf32,
            command_buffers: !self.no_command_buffers,
            pin_kernels: !self.no_pinned_kernels,
            xla: self.xla.clone(),
            count,
        }
    }

    fn keep_programs(&self, device: Device) -> Device {
        match cache_folder().filter(|_| !self.no_kept_programs) {
            Some(folder) => device.with_programs(folder.join("programs")),
            None => device,
        }
    }
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) =
        text.split_once('=').ok_or("expected NAME=VALUE, such as xla_gpu_autotune_level=0")?;
    Ok((name.trim_start_matches('-').into(), value.into()))
}
