//! `neural train --dashboard`: the curves of a run on the whole terminal while it trains.
//!
//! A separate thread draws ten times a second, so that the clock advances during a long call of the device and the
//! picture follows the terminal's size.

mod terminal;
mod view;

pub(super) use terminal::leave;

use crate::train::{Epoch, Monitor, Progress};
use anyhow::Context;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use std::io;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_millis(100);

/// The run so far.
pub(super) struct State {
    pub title: String,
    /// The figure by which the best epoch is chosen.
    pub monitor: Monitor,
    /// The number of epochs that the run will have.
    pub most: u64,
    pub epochs: Vec<Epoch>,
    pub progress: Option<Progress>,
    /// The run's messages.
    pub lines: Vec<String>,
    pub began: Instant,
}

impl State {
    pub fn new(title: String, monitor: Monitor, most: u64, epochs: &[Epoch]) -> Self {
        let (progress, lines, began) = (None, Vec::new(), Instant::now());
        Self { title, monitor, most, epochs: epochs.to_vec(), progress, lines, began }
    }
}

/// The dashboard while it holds the terminal, which dropping it restores.
pub(super) struct Dashboard {
    state: Arc<Mutex<State>>,
    /// Dropping it ends the thread.
    goes_on: Option<Sender<()>>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Dashboard {
    /// Takes the terminal.
    pub fn open(state: State) -> anyhow::Result<Self> {
        terminal::enter().context("cannot draw on the terminal")?;
        let state = Arc::new(Mutex::new(state));
        let shown = state.clone();
        let (goes_on, ended) = mpsc::channel();
        let thread = std::thread::Builder::new().name("dashboard".into()).spawn(move || {
            let mut terminal = Terminal::new(CrosstermBackend::new(io::stdout()))?;
            loop {
                let draw = || terminal.draw(|frame| view::draw(&lock(&shown), frame)).map(|_| ());
                terminal::while_taken(draw).unwrap_or(Ok(()))?;
                if ended.recv_timeout(EVERY) == Err(RecvTimeoutError::Disconnected) {
                    return Ok(());
                }
            }
        });
        let thread = thread.inspect_err(|_| leave()).context("cannot draw on the terminal")?;
        Ok(Self { state, goes_on: Some(goes_on), thread: Some(thread) })
    }

    pub fn line(&self, text: &str) {
        lock(&self.state).lines.extend(text.lines().map(String::from));
    }

    pub fn progress(&self, progress: Progress) {
        lock(&self.state).progress = Some(progress);
    }

    pub fn epoch(&self, epoch: &Epoch) {
        lock(&self.state).epochs.push(epoch.clone());
    }

    /// Restores the terminal, and returns the messages that it has shown.
    pub fn close(mut self) -> Vec<String> {
        self.stop();
        std::mem::take(&mut lock(&self.state).lines)
    }

    fn stop(&mut self) {
        drop(self.goes_on.take());
        // A drawing error is no reason to end a run.
        let _ = self.thread.take().map(JoinHandle::join);
        leave();
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        self.stop();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
