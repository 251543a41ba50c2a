//! `neural completions` and `neural man`

use super::Cli;
use crate::error::Error;
use clap::CommandFactory;
use clap_complete::Shell;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Print completions for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  source <(neural completions bash)                                   for this shell; the same line in ~/.bashrc for all
  source <(neural completions zsh)                                    in ~/.zshrc, after compinit
  neural completions fish                                             into ~/.config/fish/completions/neural.fish")]
pub struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "neural", &mut script);
        io::stdout().write_all(&script)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Write manual pages, one a command
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  neural man ~/.local/share/man/man1               then: man neural-train")]
pub struct Man {
    /// The folder for the pages; created if missing
    folder: PathBuf,
}

impl Man {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let failed = |error| Error::io("write manual pages into", &self.folder, error);
        std::fs::create_dir_all(&self.folder).map_err(failed)?;
        clap_mangen::generate_to(Cli::command(), &self.folder).map_err(failed)?;
        Ok(ExitCode::SUCCESS)
    }
}
