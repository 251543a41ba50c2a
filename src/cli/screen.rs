//! The output of a run: on a terminal a live line, otherwise a line an epoch, or JSON for programs.

#[cfg(feature = "dashboard")]
use super::dashboard::{Dashboard, State};
use super::live::Live;
use super::stdout;
use crate::train::{Compiled, Epoch, Event};
use serde_json::{Value, json};
#[cfg(feature = "dashboard")]
use std::cell::RefCell;
use std::fmt::Write as _;

/// How much is printed, and in which format.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct Verbosity {
    /// Nothing but the table at the end
    #[arg(long, short, conflicts_with = "verbose")]
    quiet: bool,

    /// A line for every call of the device too
    #[arg(long, short)]
    verbose: bool,

    /// A JSON object a line on standard output instead, each with its kind under "event"
    #[arg(long, conflicts_with_all = ["quiet", "verbose"])]
    pub json: bool,
}

pub(super) struct Screen {
    verbosity: Verbosity,
    epochs: u64,
    live: Live,
    /// While it has the terminal.
    #[cfg(feature = "dashboard")]
    dashboard: RefCell<Option<Dashboard>>,
}

impl Screen {
    pub fn new(verbosity: Verbosity, epochs: u64) -> Self {
        Self {
            verbosity,
            epochs,
            live: Live::new(epochs),
            #[cfg(feature = "dashboard")]
            dashboard: RefCell::new(None),
        }
    }

    /// Hands the terminal to a dashboard until [`Screen::end`].
    #[cfg(feature = "dashboard")]
    pub fn open_dashboard(&self, state: State) -> anyhow::Result<()> {
        *self.dashboard.borrow_mut() = Some(Dashboard::open(state)?);
        Ok(())
    }

    /// Calls `show` with the dashboard if there is one, and returns whether there is.
    #[cfg(feature = "dashboard")]
    fn on_dashboard(&self, show: impl FnOnce(&Dashboard)) -> bool {
        self.dashboard.borrow().as_ref().map(show).is_some()
    }

    /// Something to read, which programs do not want.
    pub fn line(&self, text: &str) {
        if let Verbosity { quiet: false, json: false, .. } = self.verbosity {
            self.print(text);
        }
    }

    /// Prints the result, unless the reader is a program.
    pub fn result(&self, text: &str) {
        if !self.verbosity.json {
            self.print(text);
        }
    }

    /// Something that programs want.
    pub fn json(&self, kind: &str, value: Value) {
        if !self.verbosity.json {
            return;
        }
        let mut object = serde_json::Map::from_iter([("event".to_string(), kind.into())]);
        if let Value::Object(fields) = value {
            object.extend(fields);
        }
        self.print(&Value::Object(object).to_string());
    }

    fn print(&self, text: &str) {
        #[cfg(feature = "dashboard")]
        if self.on_dashboard(|dashboard| dashboard.line(text)) {
            return;
        }
        self.live.aside(|| stdout::print(&format!("{text}\n")));
    }

    pub fn show(&self, event: &Event) {
        match event {
            Event::Compiled(Compiled { what, time, was_kept }) => {
                let time = time.as_secs_f64();
                self.json("compiled", json!({ "program": what, "seconds": time, "kept": was_kept }));
                let earlier = if *was_kept { " in an earlier run; read" } else { "" };
                self.line(&format!("compiled {what},{earlier} in {}", seconds(time)));
            }
            Event::Progress(progress) => {
                let Verbosity { quiet, verbose, json } = self.verbosity;
                self.json("progress", json!(progress));
                if verbose {
                    let (epoch, step, steps) = (progress.epoch, progress.step, progress.steps);
                    let (loss, speed) = (progress.loss, progress.samples_per_second);
                    self.line(&format!(
                        "epoch {epoch}/{}  step {step}/{steps}  loss {loss:.4}  {speed:.0} rows/s",
                        self.epochs
                    ));
                }
                #[cfg(feature = "dashboard")]
                if self.on_dashboard(|dashboard| dashboard.progress(*progress)) {
                    return;
                }
                if !quiet && !json {
                    self.live.show(*progress);
                }
            }
            Event::Epoch(epoch) => {
                self.json("epoch", json!(epoch));
                #[cfg(feature = "dashboard")]
                self.on_dashboard(|dashboard| dashboard.epoch(epoch));
                self.line(&self.epoch(epoch));
            }
        }
    }

    fn epoch(&self, epoch: &Epoch) -> String {
        let mut text = format!("epoch {}/{}  loss {:.4}", epoch.number, self.epochs, epoch.loss);
        // Writing to a string does not fail.
        if let Some(accuracy) = epoch.accuracy {
            let _ = write!(text, "  accuracy {:.2}%", 100.0 * accuracy);
        }
        if let Some(validation) = &epoch.validation {
            let _ = write!(text, "  validation: {validation}");
        }
        let _ = write!(text, "  {}", seconds(epoch.seconds));
        text
    }

    pub fn end(&self) {
        // Lines printed while the dashboard was open appear in the terminal after it.
        #[cfg(feature = "dashboard")]
        if let Some(dashboard) = self.dashboard.borrow_mut().take() {
            dashboard.close().iter().for_each(|line| stdout::print(&format!("{line}\n")));
        }
        self.live.end();
    }
}

pub(super) fn seconds(seconds: f64) -> String {
    format!("{seconds:.2} s")
}
