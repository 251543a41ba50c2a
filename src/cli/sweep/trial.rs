//! One trial of a sweep, trained here or in its own process.

use super::journal::{End, Job, Journal, Reached};
use super::{Sweep, jobs};
use crate::cli::screen::Screen;
use crate::cli::train::{Loaded, Outcome, Output, Place, Until, Wanted, train};
use crate::cli::{interrupt, message, stdout};
use crate::error::Error;
use crate::runs::{Ending, Folder, History};
use crate::runtime::Device;
use crate::train::Monitor;
use anyhow::ensure;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

impl Sweep {
    /// The command that trains one trial, see [`Sweep::work`].
    pub(super) fn command(
        &self,
        journal: &Journal,
        job: &Job,
        time: Option<Instant>,
    ) -> anyhow::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("sweep").arg("--resume").arg(journal.group.path());
        command.args(["--trial", &job.number.to_string(), "--device", &self.device.device]);
        command.arg(if self.verbosity.json { "--json" } else { "--quiet" });
        if self.device.no_kept_programs {
            command.arg("--no-kept-programs");
        }
        if let Some(epochs) = job.epochs {
            command.args(["--pause", &epochs.to_string()]);
        }
        if let Some(time) = time {
            let left = time.saturating_duration_since(Instant::now());
            command.args(["--seconds", &left.as_secs_f64().to_string()]);
        }
        Ok(command)
    }

    /// Trains one trial of a sweep as a worker of another process: the last line that it prints is the result.
    pub(super) fn work(&self, number: usize, path: &Path) -> anyhow::Result<ExitCode> {
        jobs::become_worker(&self.cores)?;
        interrupt::listen()?;
        let device = self.device.open()?;
        let journal = Journal::open(path)?;
        ensure!(number < journal.trials.len(), "the sweep has no trial {number}");
        let left = self.seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let time = left.and_then(|left| Instant::now().checked_add(left));
        let (job, screen) = (Job { number, epochs: self.pause }, Screen::new(self.verbosity, 0));
        let reached = self.train(&journal, &job, &device, &mut Loaded::default(), time, &screen)?;
        stdout::print(&format!("{}\n", serde_json::to_string(&reached)?));
        Ok(if interrupt::asked() { ExitCode::from(interrupt::EXIT_CODE) } else { ExitCode::SUCCESS })
    }

    /// Trains a trial; `None` when the user interrupted it or the time was up.
    pub(super) fn train(
        &self,
        journal: &Journal,
        job: &Job,
        device: &Device,
        loaded: &mut Loaded,
        time: Option<Instant>,
        screen: &Screen,
    ) -> anyhow::Result<Option<Reached>> {
        let began = Instant::now();
        let (number, path) = (job.number, journal.path(job.number));
        let trial = &journal.trials[number];
        let goes_on = trial
            .reached
            .last()
            .map_or_else(String::new, |before| format!(" continues from epoch {}", before.epochs));
        screen.result(&format!("\ntrial {}{goes_on}: {}", number + 1, trial.settings.join(", ")));
        let (verbosity, devices) = (self.verbosity, self.sharing.count(device));
        let output = Output { verbosity, dashboard: false, devices, logs: Wanted::default() };
        let until = Until { epochs: job.epochs, time };
        let trained = journal.recipe(number).and_then(|recipe| {
            let data = loaded.data(&recipe, device)?;
            let place = || {
                let folder =
                    if path.exists() { Folder::open(&path)? } else { Folder::create(&path, &recipe)? };
                Ok(Place::new(folder))
            };
            train(&recipe, device, data, place, output, until)
        });
        let seconds = began.elapsed().as_secs_f64();
        let trained = match trained {
            Ok(trained) => trained,
            Err(error) if is_fatal(&error, device) => return Err(error),
            Err(error) => {
                let _ = writeln!(io::stderr(), "trial {} failed: {}", number + 1, message(&error));
                let epochs = Folder::open(&path).and_then(|folder| History::read(&folder));
                let epochs = epochs.map_or(0, |epochs| epochs.len() as u64);
                let (ending, monitor) = (End::Failed, Monitor::Last);
                let scores = BTreeMap::new();
                return Ok(Some(Reached { ending, epochs, best: None, monitor, scores, seconds }));
            }
        };
        let Outcome { ending, scores, best, monitor, epochs, .. } = trained;
        let ending = match ending {
            Ending::Finished | Ending::StoppedEarly => End::Finished,
            Ending::Interrupted if job.epochs.is_some_and(|most| epochs >= most) => End::Paused,
            Ending::Interrupted => return Ok(None),
        };
        let scores = scores.into_iter().map(|(part, score)| (part.to_string(), score)).collect();
        Ok(Some(Reached { ending, epochs, best, monitor, scores, seconds }))
    }
}

/// Whether an error ends the sweep: a rate that is too high is a finding, a full disk is none. Where XLA fails in one of
/// several processes, the others may wait within the call.
fn is_fatal(error: &anyhow::Error, device: &Device) -> bool {
    match error.downcast_ref() {
        Some(Error::Io { .. } | Error::InUse { .. } | Error::Rows { .. }) => true,
        Some(Error::Xla { .. }) => device.processes().is_some(),
        _ => false,
    }
}
