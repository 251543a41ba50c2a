//! Training shared by several processes: the first trains as one alone would, and the others do what it does.

use super::super::{interrupt, message};
use super::{Loaded, Train};
use crate::recipe::Recipe;
use crate::runs::host;
use crate::runtime::{Device, Processes};
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

/// The launcher that started the processes.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Launcher {
    /// MPI's mpiexec, or another launcher that speaks to MPI, such as Slurm's srun
    Mpi,
}

/// The command in one of several processes. An error in any of them ends all.
pub(super) fn run(command: &Train) -> anyhow::Result<ExitCode> {
    let processes = Processes::join()?;
    let trained = if processes.is_first() { lead(command, processes) } else { follow(command, processes) };
    trained.inspect(|_| processes.leave()).or_else(|error| {
        let name = match processes.rank() {
            0 => String::new(),
            rank => format!("process {rank} on {}: ", host()),
        };
        let _ = writeln!(io::stderr(), "error: {name}{}", message(&error));
        processes.abort(1)
    })
}

fn lead(command: &Train, processes: Processes) -> anyhow::Result<ExitCode> {
    interrupt::listen()?;
    let code = command.train_on(&command.device.open_in(processes)?)?;
    processes.broadcast(Vec::new())?;
    Ok(code)
}

fn follow(command: &Train, processes: Processes) -> anyhow::Result<ExitCode> {
    interrupt::leave_to_the_first()?;
    let device = command.device.open_in(processes)?;
    let mut loaded = Loaded::default();
    loop {
        let recipe = processes.broadcast(Vec::new())?;
        if recipe.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
        let recipe = Recipe::parse(&String::from_utf8(recipe)?, Path::new("the first process's recipe"))?;
        let data = loaded.data(&recipe)?;
        recipe.trainer_on(data)?.devices(command.all_devices(&device)).start(&device, data)?.follow()?;
    }
}

/// Has the other processes train the recipe, where there are others.
pub(super) fn share(device: &Device, recipe: &Recipe) -> crate::Result<()> {
    if let Some(processes) = device.processes() {
        processes.broadcast(recipe.to_toml()?.into_bytes())?;
    }
    Ok(())
}
