//! A command that several processes execute: the first acts as it would alone, and the others train with it.

use super::screen::Screen;
use super::train::Loaded;
use super::{DeviceArguments, interrupt, message};
use crate::data::Dataset;
use crate::recipe::Recipe;
use crate::runs::host;
use crate::runtime::{Device, Processes, Traffic};
use crate::train::Run;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

/// How long a process that failed waits for the launcher to read its error.
const PASSED_ON: Duration = Duration::from_millis(200);

/// Which devices share each batch.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Sharing {
    /// How many devices share each batch; with several processes, the devices of each
    #[arg(long, default_value_t = 1, value_name = "N")]
    devices: usize,

    /// Share each batch with the other processes that a launcher has started: mpiexec -n 4 neural train … --processes mpi.
    /// scripts/setup --mpi sets it up
    #[arg(long, value_name = "LAUNCHER")]
    processes: Option<Launcher>,
}

/// The launcher that started the processes.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Launcher {
    /// MPI's mpiexec, or another launcher that speaks to MPI, such as Slurm's srun
    Mpi,
}

/// The commands of the first process to the others, with the recipe in TOML.
#[derive(Serialize, Deserialize)]
enum Order {
    /// Read the data.
    Load(String),
    /// Train with it, until it is done.
    Train(String),
    /// Leave.
    Leave,
}

impl Sharing {
    /// How many devices share each batch in all.
    pub fn count(self, device: &Device) -> usize {
        self.devices * device.processes().map_or(1, |processes| processes.count())
    }

    /// Runs `work` on the device. In every process but the first, follows the first one instead. An error in any of
    /// them ends all.
    pub fn run(
        self,
        device: &DeviceArguments,
        work: impl FnOnce(&Device) -> anyhow::Result<ExitCode>,
    ) -> anyhow::Result<ExitCode> {
        let Some(Launcher::Mpi) = self.processes else {
            interrupt::listen()?;
            return work(&device.open_several(self.devices)?);
        };
        let processes = Processes::join()?;
        let lead = || -> anyhow::Result<ExitCode> {
            interrupt::listen()?;
            let device = device.open_in(processes, self.devices)?;
            let code = work(&device)?;
            tell(&device, || Ok(Order::Leave))?;
            Ok(code)
        };
        let follow = || -> anyhow::Result<ExitCode> {
            interrupt::leave_to_the_first()?;
            self.follow(processes, &device.open_in(processes, self.devices)?)
        };
        let done = if processes.is_first() { lead() } else { follow() };
        done.inspect(|_| processes.leave()).or_else(|error| {
            let name = match processes.rank() {
                0 => String::new(),
                rank => format!("process {rank} on {}: ", host()),
            };
            let _ = writeln!(io::stderr(), "error: {name}{}", message(&error));
            // The launcher drops output that it has not read when the processes end.
            thread::sleep(PASSED_ON);
            processes.abort(1)
        })
    }

    fn follow(self, processes: Processes, device: &Device) -> anyhow::Result<ExitCode> {
        let mut loaded = Loaded::default();
        let read = |recipe: String| Recipe::parse(&recipe, Path::new("the first process's recipe"));
        loop {
            match serde_json::from_slice::<Order>(&processes.broadcast(Vec::new()))? {
                // Whether it can be read counts only if the first process could.
                Order::Load(recipe) => drop(loaded.read(&read(recipe)?)),
                Order::Train(recipe) => {
                    let recipe = read(recipe)?;
                    let data = loaded.read(&recipe)?;
                    recipe.trainer_on(data)?.devices(self.count(device)).follow(device, data)?;
                }
                Order::Leave => return Ok(ExitCode::SUCCESS),
            }
        }
    }
}

/// Makes the other processes, if any, read the data of the recipe.
pub(super) fn load(device: &Device, recipe: &Recipe) -> crate::Result<()> {
    tell(device, || Ok(Order::Load(recipe.to_toml()?)))
}

/// Starts the recipe's run on `devices` devices, in the other processes too where there are others.
pub(super) fn start<'d>(
    recipe: &Recipe,
    device: &Device,
    data: &'d Dataset,
    devices: usize,
) -> crate::Result<Run<'d>> {
    let trainer = recipe.trainer_on(data)?.devices(devices);
    tell(device, || Ok(Order::Train(recipe.to_toml()?)))?;
    trainer.start(device, data)
}

/// Measures the sums of a run over all processes.
pub(super) struct Meter {
    processes: Processes,
    /// At the beginning: the process's traffic, and the step.
    before: (Traffic, u64),
}

impl Meter {
    /// Measures the steps of the run from here on, if several processes share them.
    pub fn start(device: &Device, run: &Run) -> Option<Self> {
        device.processes().map(|processes| Self { processes, before: (processes.traffic(), run.step()) })
    }

    pub fn show(self, run: &Run, screen: &Screen) {
        let Traffic { sums, bytes, time, .. } = self.processes.traffic();
        let (before, first) = self.before;
        // On GPUs the sums are NCCL's, which counts none.
        if sums == before.sums {
            return;
        }
        let (processes, steps) = (self.processes.count(), run.step().saturating_sub(first));
        // Each of the process's devices takes part in each sum.
        let devices = (run.trainer().devices / processes).max(1) as f64;
        let sums = (sums - before.sums) as f64 / devices;
        let (bytes, seconds) =
            (bytes - before.bytes, time.saturating_sub(before.time).as_secs_f64() / devices);
        screen.json("traffic", json!({ "steps": steps, "sums": sums, "bytes": bytes, "seconds": seconds }));
        let each = |total: f64| total / steps.max(1) as f64;
        screen.line(&format!(
            "sums over {processes} processes, for each of {steps} steps: {:.2}, {:.1} kB sent by this process, {:.2} ms",
            each(sums),
            each(bytes as f64 / 1e3),
            each(1e3 * seconds)
        ));
    }
}

fn tell(device: &Device, order: impl FnOnce() -> crate::Result<Order>) -> crate::Result<()> {
    if let Some(processes) = device.processes() {
        let order = serde_json::to_vec(&order()?);
        processes.broadcast(order.map_err(|error| crate::Error::value("processes", "an order", error))?);
    }
    Ok(())
}
