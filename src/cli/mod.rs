//! The command line: a command a file, each of which parses, calls the library, prints, and says how it ended.

mod compare;
mod devices;
mod interrupt;
mod lr_find;
mod options;
mod screen;
mod sweep;
mod train;

pub use devices::DeviceArguments;
pub use options::Options;

use clap::{Parser, Subcommand};
use std::io;
use std::process::ExitCode;

/// Trains neural networks on XLA
#[derive(Debug, Parser)]
#[command(name = "neural", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Train(train::Train),
    LrFind(lr_find::LrFind),
    Sweep(sweep::Sweep),
    Compare(compare::Compare),
    Devices(devices::Devices),
}

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// Those of the command.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        match &self.command {
            Command::Train(command) => command.run(),
            Command::LrFind(command) => command.run(),
            Command::Sweep(command) => command.run(),
            Command::Compare(command) => command.run(),
            Command::Devices(command) => command.run(),
        }
    }
}

/// Prints an error as one line on stderr and turns the result into an exit code: 0 or 1.
///
/// A reader that has gone away (`neural … | head`) is no error.
pub fn finish<T: Into<Ending>>(result: anyhow::Result<T>) -> ExitCode {
    match result.map(Into::into) {
        Ok(Ending(code)) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// How a program ends that met no error.
pub struct Ending(ExitCode);

impl From<()> for Ending {
    fn from((): ()) -> Self {
        Self(ExitCode::SUCCESS)
    }
}

impl From<ExitCode> for Ending {
    fn from(code: ExitCode) -> Self {
        Self(code)
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind = |e: &(dyn std::error::Error + 'static)| e.downcast_ref::<io::Error>().map(io::Error::kind);
    error.chain().any(|e| kind(e) == Some(io::ErrorKind::BrokenPipe))
}
