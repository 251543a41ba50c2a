//! What the user sees of a run: on a terminal a live line, otherwise a line an epoch, or JSON for programs.

use crate::train::{Compiled, Epoch, Event};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::Duration;

/// How much is said, and in which form.
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
    bar: ProgressBar,
}

impl Screen {
    pub fn new(verbosity: Verbosity, epochs: u64) -> Self {
        let bar = ProgressBar::hidden();
        let style = ProgressStyle::with_template("epoch {prefix} {bar:24} {pos}/{len}  {msg}  {elapsed}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { verbosity, epochs, bar }
    }

    /// Something to read, which programs do not want.
    pub fn line(&self, text: &str) -> io::Result<()> {
        match self.verbosity {
            Verbosity { quiet: false, json: false, .. } => self.print(text),
            _ => Ok(()),
        }
    }

    /// Something that programs want.
    pub fn json(&self, kind: &str, value: Value) -> io::Result<()> {
        if !self.verbosity.json {
            return Ok(());
        }
        let mut object = serde_json::Map::from_iter([("event".to_string(), kind.into())]);
        if let Value::Object(fields) = value {
            object.extend(fields);
        }
        self.print(&Value::Object(object).to_string())
    }

    fn print(&self, text: &str) -> io::Result<()> {
        self.bar.suspend(|| writeln!(io::stdout(), "{text}"))
    }

    pub fn show(&self, event: &Event) -> io::Result<()> {
        match event {
            Event::Compiled(Compiled { what, time, was_kept }) => {
                let time = time.as_secs_f64();
                self.json("compiled", json!({ "program": what, "seconds": time, "kept": was_kept }))?;
                let earlier = if *was_kept { " in an earlier run; read" } else { "" };
                self.line(&format!("compiled {what},{earlier} in {}", seconds(time)))
            }
            Event::Progress(progress) => {
                let Verbosity { quiet, verbose, json } = self.verbosity;
                self.json("progress", json!(progress))?;
                let speed = format!("loss {:.4}  {:.0} rows/s", progress.loss, progress.samples_per_second);
                if verbose {
                    let (epoch, step, steps) = (progress.epoch, progress.step, progress.steps);
                    self.line(&format!("epoch {epoch}/{}  step {step}/{steps}  {speed}", self.epochs))?;
                }
                if self.bar.is_hidden() && !quiet && !json {
                    // indicatif draws only if stderr is a terminal; the clock shows life during a long call.
                    self.bar.set_draw_target(ProgressDrawTarget::stderr());
                    self.bar.enable_steady_tick(Duration::from_millis(500));
                }
                let epochs = self.epochs.saturating_sub(progress.epoch) as f64;
                let steps = epochs * progress.steps as f64 + (progress.steps - progress.step) as f64;
                let left = steps / progress.steps_per_second;
                self.bar.set_length(progress.steps as u64);
                self.bar.set_prefix(format!("{}/{}", progress.epoch, self.epochs));
                self.bar.set_message(format!("{speed}  {} left", clock(left)));
                self.bar.set_position(progress.step as u64);
                Ok(())
            }
            Event::Epoch(epoch) => {
                self.json("epoch", json!(epoch))?;
                self.line(&self.epoch(epoch))
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
        self.bar.finish_and_clear();
    }
}

pub(super) fn seconds(seconds: f64) -> String {
    format!("{seconds:.2} s")
}

/// `1:02:03` or `2:03`.
fn clock(seconds: f64) -> String {
    let all = seconds as u64;
    let (hours, minutes, seconds) = (all / 3600, all / 60 % 60, all % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}
