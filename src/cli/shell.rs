//! What a shell and `man` want to know of the commands.

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
  neural completions bash > ~/.local/share/bash-completion/completions/neural
  neural completions zsh > ~/.zfunc/_neural              (a folder in $fpath)
  neural completions fish > ~/.config/fish/completions/neural.fish")]
pub struct Completions {
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
  neural man ~/.local/share/man/man1 && man neural-train")]
pub struct Man {
    /// The folder for the pages, which is made if it is not there
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
