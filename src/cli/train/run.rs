//! The training of one run, shown and kept in its folder.

use super::logs::{Logs, Wanted};
use super::progress;
#[cfg(feature = "dashboard")]
use crate::cli::dashboard::State;
use crate::cli::figures::{self, Scores, by_part};
use crate::cli::screen::{Screen, Verbosity, seconds};
use crate::cli::splits::Told;
use crate::cli::{interrupt, processes};
use crate::data::Dataset;
use crate::recipe::Recipe;
use crate::runs::{Ending, Folder, Session, Start, check_settings};
use crate::runtime::Device;
use crate::train::{Epoch, Event, Monitor, Run};
use anyhow::Context;
use serde_json::json;
#[cfg(feature = "dashboard")]
use std::io::{self, IsTerminal};
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::Instant;
/// The max number of tensors without given weights that are named.
const MOST_NAMES: usize = 6;

/// Where a run is trained.
pub(in crate::cli) struct Place {
    pub folder: Folder,
    pub start: Start,
    /// Whether the folder is new and thus has this recipe; an existing folder gets it once the run has begun.
    pub is_new: bool,
}

impl Place {
    /// The folder of a new run.
    pub fn new(folder: Folder) -> Self {
        Self { folder, start: Start::Last, is_new: true }
    }
}

/// The output of a run while it trains.
#[derive(Clone, Copy)]
pub(in crate::cli) struct Output<'a> {
    pub verbosity: Verbosity,
    /// Whether a dashboard is shown while it trains.
    pub dashboard: bool,
    /// How many devices share each batch.
    pub devices: usize,
    pub logs: Wanted<'a>,
}

/// Where a run pauses before its end, to be resumed later.
#[derive(Clone, Copy, Default)]
pub(in crate::cli) struct Until {
    /// After this many epochs.
    pub epochs: Option<u64>,
    pub time: Option<Instant>,
}

impl Until {
    fn is_reached(self, epochs: u64) -> bool {
        self.epochs.is_some_and(|most| epochs >= most) || self.time.is_some_and(|time| Instant::now() >= time)
    }
}

/// The outcome of a run.
pub(in crate::cli) struct Outcome {
    pub ending: Ending,
    /// Epochs that are done.
    pub epochs: u64,
    /// The scores of the weights after the best epoch, if the run finished.
    pub scores: Scores,
    pub best: Option<Epoch>,
    /// The figure by which it is the best.
    pub monitor: Monitor,
}

impl Outcome {
    pub fn exit_code(&self) -> ExitCode {
        match self.ending {
            Ending::Interrupted => ExitCode::from(interrupt::EXIT_CODE),
            Ending::Finished | Ending::StoppedEarly => ExitCode::SUCCESS,
        }
    }
}

/// Trains in a folder, which is created once it is certain that the run can start; shows progress, and writes a report.
pub(in crate::cli) fn train(
    recipe: &Recipe,
    device: &Device,
    data: &Dataset,
    place: impl FnOnce() -> anyhow::Result<Place>,
    output: Output<'_>,
    until: Until,
) -> anyhow::Result<Outcome> {
    let Output { verbosity, dashboard, devices, logs } = output;
    let started = Instant::now();
    let mut run = processes::start(recipe, device, data, devices)?;
    let trainer = run.trainer().clone();
    check_settings(&run, &recipe.train)?;
    let Place { folder, start, is_new } = place()?;
    let mut session = Session::start(&mut run, folder.clone(), start)?;
    if !is_new {
        folder.keep_recipe(recipe)?;
    }
    let screen = Screen::new(verbosity, trainer.epochs);
    let told = Told::of(data, Some(&trainer.model));
    let mut summary = trainer.model.summary(crate::DType::F32, &data.sample_shapes())?;
    recipe.model.name_rows(&mut summary);
    let mut start = json!({
        "run": folder.path(),
        "device": device.to_string(),
        "rows": data.splits.train.len(),
        "parameters": summary.parameters(),
        "notes": summary.notes,
        "epochs": trainer.epochs,
    });
    for (key, value) in told.as_json() {
        start[key] = value;
    }
    screen.json("start", start);
    screen.line(&format!(
        "{} training rows on {device}, run {}",
        data.splits.train.len(),
        folder.path().display()
    ));
    told.lines().iter().for_each(|line| screen.line(line));
    screen.line(&summary.to_string());

    if !trainer.begin.is_empty() {
        let variables = session.run().variables().iter().filter(|variable| variable.role.is_of_model());
        let names: Vec<&str> = variables.map(|variable| variable.name.as_str()).collect();
        let given = |name: &&str| trainer.begin.iter().any(|(given, _)| given == name);
        let anew: Vec<&str> = names.iter().copied().filter(|name| !given(name)).collect();
        let count = names.len() - anew.len();
        let mut text = format!("{count} of {} tensors of the model start from given weights", names.len());
        if !anew.is_empty() {
            let more = if anew.len() > MOST_NAMES { ", …" } else { "" };
            text.push_str(&format!(", not {}{more}", anew[..anew.len().min(MOST_NAMES)].join(", ")));
        }
        screen.line(&text);
    }
    for note in session.notes() {
        screen.json("note", json!({ "text": note }));
        screen.line(note);
    }
    warn_of_outputs(session.run(), data, &screen);
    let mut logs = Logs::begin(logs, recipe, &session)?;
    if dashboard {
        open_dashboard(&screen, &mut session, device, trainer.epochs)?;
    }
    let mut epochs = session.run().epochs_reported();
    let traffic = processes::Meter::start(device, session.run());
    let mut beat = progress::Beat::new(&folder);
    let ending = if until.is_reached(epochs) {
        Ok(Ending::Interrupted)
    } else {
        session.train(|event| {
            screen.show(event);
            match event {
                Event::Epoch(epoch) => {
                    epochs = epoch.number;
                    logs.epoch(epoch);
                }
                Event::Progress(progress) => beat.show(progress),
                Event::Compiled(_) => {}
            }
            let is_over = logs.failed.is_err() || interrupt::asked() || until.is_reached(epochs);
            if is_over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    };
    screen.end();
    drop(beat);
    let logged = logs.end(ending.as_ref().ok().copied());
    let ending = ending.with_context(|| format!("run {}", folder.path().display()))?;
    logged?;
    if let Some(traffic) = traffic {
        traffic.show(session.run(), &screen);
    }
    let monitor = session.monitor();
    let best = session.best().cloned();
    if ending == Ending::Interrupted {
        if interrupt::asked() {
            screen.json("interrupted", json!({ "run": folder.path() }));
            screen.line(&format!(
                "interrupted; continue with: neural train --resume {}",
                folder.path().display()
            ));
        } else {
            screen.json("paused", json!({ "run": folder.path(), "epochs": epochs }));
            screen.line(&format!("paused after epoch {epochs}"));
        }
        return Ok(Outcome { ending, epochs, scores: Vec::new(), best, monitor });
    }
    if ending == Ending::StoppedEarly {
        screen.line(&format!("stopped early: {} got no better", session.monitor()));
    }
    let weights = session.restore_best()?;
    let scores = scores(session.run())?;
    let spent = started.elapsed().as_secs_f64();
    let table = format!("{}{weights}\n", figures::table(&scores));
    let parts = told.lines().join("\n");
    folder.keep_text("report.md", &report(&folder, device, &parts, &summary.to_string(), &table, spent))?;
    screen.json(
        "result",
        json!({ "run": folder.path(), "weights": weights, "scores": by_part(&scores), "seconds": spent }),
    );
    screen.result(&format!("\n{table}{} in all", seconds(spent)));
    Ok(Outcome { ending, epochs, scores, best, monitor })
}

/// Shows a dashboard where standard output is a terminal, and otherwise says why not.
#[cfg(feature = "dashboard")]
fn open_dashboard(screen: &Screen, session: &mut Session, device: &Device, most: u64) -> anyhow::Result<()> {
    if !io::stdout().is_terminal() {
        screen.line("no dashboard: standard output is not a terminal");
        return Ok(());
    }
    let title = format!("{} on {device}", session.folder().path().display());
    let state = State::new(title, session.monitor(), most, session.history().epochs());
    screen.open_dashboard(state)
}

#[cfg(not(feature = "dashboard"))]
fn open_dashboard(_: &Screen, _: &mut Session, _: &Device, _: u64) -> anyhow::Result<()> {
    no_dashboard()
}

#[cfg(not(feature = "dashboard"))]
pub(super) fn no_dashboard<T>() -> anyhow::Result<T> {
    anyhow::bail!("--dashboard needs a build with its feature: cargo build --release --features dashboard")
}

/// Warns of outputs without a class: they learn never to be chosen, which is seldom intended.
fn warn_of_outputs(run: &Run, data: &Dataset, screen: &Screen) {
    let Some(outputs) = run.width() else { return };
    if let Some(classes) = data.classes().filter(|classes| outputs > (*classes).max(2)) {
        let text =
            format!("the model has {outputs} outputs for {classes} classes: the others are never correct");
        screen.json("note", json!({ "text": text }));
        screen.line(&format!("note: {text}"));
    }
}

/// How good the model is on each part of the data.
fn scores(run: &mut Run) -> anyhow::Result<Scores> {
    let data = run.data();
    data.parts().map(|part| Ok((part.name, run.score(part.rows)?))).collect()
}

fn report(folder: &Folder, device: &Device, parts: &str, summary: &str, table: &str, spent: f64) -> String {
    format!(
        "# {}\n\nTrained on {device} in {}.\n\n```text\n{parts}\n\n{summary}\n\n{table}```\n",
        folder.name(),
        seconds(spent)
    )
}
