use clap::Parser;
use neural::cli::{self, Cli};
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::finish(Cli::parse().run())
}
