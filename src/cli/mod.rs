//! The command line, with a file for each command, which parses, calls the library, prints and returns an exit code;
//! and code shared by the chapters in `scripts/`.

pub mod chapter;
mod compare;
#[cfg(feature = "dashboard")]
mod dashboard;
mod data;
mod devices;
mod evaluate;
mod explain;
mod export;
mod figures;
mod init;
mod interrupt;
mod live;
mod lr_find;
mod options;
mod page;
pub mod pictures;
mod predict;
mod processes;
mod recipe_options;
mod report;
mod runs;
mod screen;
#[cfg(feature = "serve")]
mod serve;
mod shell;
mod splits;
mod stdout;
mod summary;
mod sweep;
mod text;
mod train;
mod trained;
#[cfg(feature = "serve")]
mod watch;

pub use devices::DeviceArguments;
pub use options::{Columns, Options, Passes, Training};

use crate::error::Error;
use clap::{Parser, Subcommand};
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::OnceLock;

/// Trains neural networks on XLA
#[derive(Debug, Parser)]
#[command(
    name = "neural",
    version = version(),
    about = "Trains neural networks on XLA",
    long_about = None,
    after_help = "Exit codes: 0 for success, 1 after an error, 2 for an invalid command line, 3 when `predict --skip-bad`
left rows out, 130 after Ctrl-C. NO_COLOR turns colours off."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Init),
    Train(train::Train),
    LrFind(lr_find::LrFind),
    Sweep(sweep::Sweep),
    Compare(compare::Compare),
    Export(export::Export),
    Evaluate(evaluate::Evaluate),
    Explain(explain::Explain),
    Report(report::Report),
    #[cfg(feature = "serve")]
    Watch(watch::Watch),
    #[cfg(feature = "serve")]
    Serve(serve::Serve),
    Predict(predict::Predict),
    Runs(runs::Runs),
    Summary(summary::Summary),
    Data(data::Data),
    Devices(devices::Devices),
    Completions(shell::Completions),
    Man(shell::Man),
}

/// The version of this program and of the XLA that it is linked with.
fn version() -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    VERSION.get_or_init(|| {
        let own = env!("CARGO_PKG_VERSION");
        match crate::runtime::tensorflow() {
            Some(tensorflow) => format!("{own} (XLA of TensorFlow {tensorflow})"),
            None => own.to_string(),
        }
    })
}

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// Any error of the command.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        match &self.command {
            Command::Init(command) => command.run(),
            Command::Train(command) => command.run(),
            Command::LrFind(command) => command.run(),
            Command::Sweep(command) => command.run(),
            Command::Compare(command) => command.run(),
            Command::Export(command) => command.run(),
            Command::Evaluate(command) => command.run(),
            Command::Explain(command) => command.run(),
            Command::Report(command) => command.run(),
            #[cfg(feature = "serve")]
            Command::Watch(command) => command.run(),
            #[cfg(feature = "serve")]
            Command::Serve(command) => command.run(),
            Command::Predict(command) => command.run(),
            Command::Runs(command) => command.run(),
            Command::Summary(command) => command.run(),
            Command::Data(command) => command.run(),
            Command::Devices(command) => command.run(),
            Command::Completions(command) => command.run(),
            Command::Man(command) => command.run(),
        }
    }
}

/// Prints an error as one line on stderr and turns the result into an exit code: 0 or 1.
///
/// A reader that has gone away (`neural … | head`) is no error, as for ripgrep; a run is trained to its end all the same.
/// Output that could not be written for another reason is one.
pub fn finish<T: Into<Ending>>(result: anyhow::Result<T>) -> ExitCode {
    let delivered = |Ending(code)| stdout::delivered().map(|()| code);
    match result.map(Into::into).and_then(delivered) {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // Where no message can be written, the exit code remains.
            let _ = writeln!(io::stderr(), "error: {}", message(&error));
            ExitCode::FAILURE
        }
    }
}

/// How a program ends that met no error.
#[derive(Debug)]
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

/// An error with its causes in one line. The library's own errors include their cause.
fn message(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |line, cause| match &line[..] {
        "" => cause,
        line if line.ends_with(&cause) => line.to_string(),
        line => format!("{line}: {cause}"),
    })
}

/// Whether the reader of the output has gone away. A file of ours that could not be written is another matter.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind = |e: &(dyn std::error::Error + 'static)| e.downcast_ref::<io::Error>().map(io::Error::kind);
    let outside = error.chain().take_while(|e| !e.is::<Error>());
    outside.map(kind).any(|kind| kind == Some(io::ErrorKind::BrokenPipe))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use std::path::Path;

    #[test]
    fn a_cause_is_said_once() {
        let io = || io::Error::from(io::ErrorKind::NotFound);
        let own = Error::io("read", Path::new("a.csv"), io()).at("data");
        let line = format!("data: cannot read a.csv: {}", io());
        assert_eq!(message(&own.into()), line);
        let foreign = anyhow::Error::new(io()).context("cannot print");
        assert_eq!(message(&foreign), format!("cannot print: {}", io()));
    }

    #[test]
    fn only_the_outputs_pipe_may_break() {
        let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(is_broken_pipe(&broken().into()));
        assert!(!is_broken_pipe(&Error::io("write", Path::new("a"), broken()).into()));
    }

    /// The command and those below it, with the words that call them.
    fn all(command: &clap::Command, words: &[&str]) -> Vec<(Vec<String>, clap::Command)> {
        let words = [words, &[command.get_name()]].concat();
        let below = command.get_subcommands().flat_map(|command| all(command, &words));
        let own = (words.iter().map(ToString::to_string).collect(), command.clone());
        std::iter::once(own).chain(below).collect()
    }

    #[test]
    fn help_is_text_and_leaves_nothing_out() {
        let mut root = Cli::command();
        root.build();
        for (words, mut command) in all(&root, &[]) {
            let words = words.join(" ");
            let help = command.render_long_help().to_string();
            for code in ["```", "assert", "neural::", "unwrap", "::new"] {
                assert!(!help.contains(code), "{words} --help: {help}");
            }
            assert!(command.get_about().is_some(), "{words} has no line of help");
            for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
                assert!(argument.get_help().is_some(), "{words} {argument} has no help");
            }
        }
    }

    #[test]
    fn the_examples_in_help_are_commands() {
        let mut root = Cli::command();
        root.build();
        let mut count = 0;
        for (_, command) in all(&root, &[]) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            for line in help.lines().map(str::trim).filter(|line| line.starts_with("neural ")) {
                // The description follows the command, two spaces apart.
                let example = line.split("  ").next().unwrap_or_default();
                if let Err(error) = Cli::try_parse_from(example.split_whitespace()) {
                    panic!("{example}: {error}");
                }
                count += 1;
            }
        }
        assert!(count > 10, "{count} examples");
    }
}
