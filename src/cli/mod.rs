//! The command line: a command a file, each of which parses, calls the library, prints, and says how it ended.

mod devices;
mod options;
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
    Devices(devices::Devices),
    Train(train::Train),
}

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// Those of the command.
    pub fn run(&self) -> anyhow::Result<()> {
        match &self.command {
            Command::Devices(command) => command.run(),
            Command::Train(command) => command.run(),
        }
    }
}

/// Prints an error as one line on stderr and turns the result into an exit code: 0 or 1.
///
/// A reader that has gone away (`neural … | head`) is no error.
pub fn finish(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind = |e: &(dyn std::error::Error + 'static)| e.downcast_ref::<io::Error>().map(io::Error::kind);
    error.chain().any(|e| kind(e) == Some(io::ErrorKind::BrokenPipe))
}
