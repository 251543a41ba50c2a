//! A run in its folder: training, checkpoints, early stopping and resuming.

use super::background::Background;
use super::start::{self, Begun};
use super::{Folder, History, Lock, Saved, Start, Weights, Which};
use crate::data::Fingerprint;
use crate::error::{Error, Result};
use crate::metric::Task;
use crate::recipe::Train;
use crate::train::{EarlyStopping, Epoch, Event, Monitor, Run};
use std::fmt;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// How training ended.
///
/// ```
/// # use neural::{Array, data::{Dataset, Splits, Targets}, nn, runtime::Device, train::Trainer};
/// # let inputs = Array::new(&[4, 1], vec![-2f32, -1.0, 1.0, 2.0])?;
/// # let splits = Splits { train: vec![0, 1, 2, 3], ..Splits::default() };
/// # let data = Dataset::new(inputs, Targets::numbered(vec![0, 0, 1, 1])?, splits)?;
/// # let device = Device::cpu()?;
/// # let trainer = Trainer::new(nn::sequential([nn::dense(2)])).epochs(2);
/// # use neural::{recipe::Recipe, runs::Folder};
/// # let parent = tempfile::tempdir()?;
/// # let recipe = Recipe::read("scripts/recipes/mnist.toml".as_ref(), &[])?;
/// # let folder = Folder::create(parent.path().join("first"), &recipe)?;
/// use neural::runs::{Ending, Session};
/// let mut run = trainer.start(&device, &data)?;
/// let ending = Session::new(&mut run, folder)?.train(|_| std::ops::ControlFlow::Break(()))?;
/// assert_eq!(ending, Ending::Interrupted);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// All epochs are done.
    Finished,
    /// No more progress, see [`EarlyStopping`].
    StoppedEarly,
    /// The observer broke off; the run can be resumed.
    Interrupted,
}

const KERNELS: &str = "autotune.textproto";

/// A run with its folder.
///
/// ```
/// # use neural::{Array, data::{Dataset, Splits, Targets}, nn, runtime::Device, train::Trainer};
/// # let inputs = Array::new(&[4, 1], vec![-2f32, -1.0, 1.0, 2.0])?;
/// # let splits = Splits { train: vec![0, 1, 2, 3], ..Splits::default() };
/// # let data = Dataset::new(inputs, Targets::numbered(vec![0, 0, 1, 1])?, splits)?;
/// # let device = Device::cpu()?;
/// # let trainer = Trainer::new(nn::sequential([nn::dense(2)])).epochs(2);
/// # use neural::{recipe::Recipe, runs::Folder};
/// # let parent = tempfile::tempdir()?;
/// # let recipe = Recipe::read("scripts/recipes/mnist.toml".as_ref(), &[])?;
/// # let folder = Folder::create(parent.path().join("first"), &recipe)?;
/// use neural::runs::{Ending, Session};
/// let mut run = trainer.start(&device, &data)?;
/// let mut session = Session::new(&mut run, folder)?;
/// assert_eq!(session.train(|_| std::ops::ControlFlow::Continue(()))?, Ending::Finished);
/// assert_eq!(session.history().epochs().len(), 2);
/// assert!(session.folder().model().is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Session<'r, 'a> {
    run: &'r mut Run<'a>,
    folder: Folder,
    history: History,
    monitor: Monitor,
    stopping: Option<EarlyStopping>,
    every: Duration,
    /// How many numbered checkpoints are kept.
    numbered: usize,
    kept: Instant,
    data: Fingerprint,
    notes: Vec<String>,
    /// Writes the checkpoints. Dropped before the lock: a write under way still belongs to this session.
    writer: Background,
    _lock: Lock,
}

impl fmt::Debug for Session<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("run", &self.run)
            .field("folder", &self.folder)
            .field("monitor", &self.monitor)
            .finish_non_exhaustive()
    }
}

/// The monitor that chooses the best epoch of a run, and how often its state is kept.
///
/// # Errors
/// When the data has no such figure, or the settings do not go together. [`Session::start`] refuses them too; this does
/// so before there is a folder.
pub fn check_settings(run: &Run, settings: &Train) -> Result<(Monitor, Duration)> {
    let has_validation = !run.data().splits.validation.is_empty();
    let monitor = Monitor::chosen(settings.monitor, has_validation);
    if monitor.is_of_validation() && !has_validation {
        let expected = "loss, accuracy or last, as the data has no validation rows";
        return Err(Error::value("monitor", expected, monitor));
    }
    if !run.has(monitor) && run.tasks().len() > 1 {
        let example = run.metrics().last().map_or(String::new(), |metric| format!("validation-{metric}"));
        let expected = format!("validation-loss, or a figure of an objective, such as {example}");
        return Err(Error::value("monitor", expected, monitor));
    }
    if !run.has(monitor) {
        let (targets, example) = match run.task() {
            Task::Classes { .. } | Task::Positions { .. } => ("classes", "validation-accuracy"),
            Task::Labels => ("labels", "validation-f1-macro"),
            Task::Values => ("values", "validation-rmse"),
        };
        let expected = format!("a figure of these {targets}, such as {example}");
        return Err(Error::value("monitor", expected, monitor));
    }
    if settings.early_stopping.is_some() && monitor == Monitor::Last {
        return Err(Error::value("early_stopping", "a monitor that is a figure", "monitor = \"last\""));
    }
    let every = Duration::try_from_secs_f64(settings.checkpoint_seconds).map_err(|_| {
        Error::value("checkpoint_seconds", "a number of at least 0", settings.checkpoint_seconds)
    })?;
    Ok((monitor, every))
}

impl<'r, 'a> Session<'r, 'a> {
    /// Trains `run` in `folder`, and resumes from its checkpoint if there is one.
    ///
    /// # Errors
    /// As [`Session::start`].
    pub fn new(run: &'r mut Run<'a>, folder: Folder) -> Result<Self> {
        Self::start(run, folder, Start::Last)
    }

    /// Trains `run` in `folder`, from `start` on.
    ///
    /// # Errors
    /// When another process trains there; when the checkpoint is missing or damaged, or was made with another model,
    /// optimizer or batch size or with other data; when more epochs are done than the run has. Nothing on the disk is
    /// changed then.
    pub fn start(run: &'r mut Run<'a>, folder: Folder, start: Start) -> Result<Self> {
        let lock = folder.lock()?;
        folder.tidy()?;
        run.pin_kernels(folder.file(KERNELS));
        let settings = folder.recipe()?.train;
        let (monitor, every) = check_settings(run, &settings)?;
        if let Some(metric) = monitor.metric() {
            run.watch(metric)?;
        }
        let data = run.data().fingerprint();
        let Begun { epochs, mut notes } = start::begin(run, &folder, start, &data)?;
        if !lock.is_guarded() {
            notes.push(
                "this file system has no locks: see that no second process trains in the folder".into(),
            );
        }
        let history = History::open(&folder, epochs)?;
        let mut session = Self {
            run,
            folder,
            history,
            monitor,
            stopping: settings.early_stopping,
            every,
            numbered: settings.keep_checkpoints,
            kept: Instant::now(),
            data,
            notes,
            writer: Background::default(),
            _lock: lock,
        };
        if let Start::From(_) = start {
            session.renew_best()?;
        }
        Ok(session)
    }

    /// Trains to the end, or until `observe` breaks. However it ends, the last good state is saved.
    ///
    /// Checkpoints are written on another thread while training goes on: the last one every `checkpoint_seconds`, the
    /// best one after its epoch, unless a better one comes while it waits, and with `keep_checkpoints` one after every
    /// epoch, which waits for the earlier ones.
    ///
    /// # Errors
    /// When the device fails, a file cannot be written, or the loss is no longer a finite number.
    pub fn train(&mut self, mut observe: impl FnMut(&Event) -> ControlFlow<()>) -> Result<Ending> {
        // A run is never without a last checkpoint, so that one which is missing was removed.
        self.keep(Which::Last)?;
        let mut is_stuck = self.is_stuck();
        let ending = loop {
            if is_stuck {
                break Ending::StoppedEarly;
            }
            let event = match self.run.proceed() {
                Ok(Some(event)) => event,
                Ok(None) => break Ending::Finished,
                Err(error @ Error::NotFinite { .. }) => {
                    self.keep(Which::Last)?;
                    self.writer.finish()?;
                    return Err(error);
                }
                Err(error) => return Err(error),
            };
            if let Event::Epoch(epoch) = &event {
                self.end_epoch(epoch)?;
                is_stuck = self.is_stuck();
            }
            let flow = observe(&event);
            if flow.is_break() {
                break Ending::Interrupted;
            }
            if self.writer.is_idle()? && self.kept.elapsed() >= self.every {
                self.keep(Which::Last)?;
            }
        };
        self.keep(Which::Last)?;
        self.writer.finish()?;
        if !self.history.epochs().is_empty() {
            #[cfg(feature = "plot")]
            self.history.draw()?;
        }
        Ok(ending)
    }

    fn end_epoch(&mut self, epoch: &Epoch) -> Result<()> {
        if self.history.epochs().is_empty() {
            // No history is written before the checkpoint at the start of a run.
            self.writer.finish()?;
        }
        self.history.add(epoch.clone())?;
        if self.monitor != Monitor::Last && self.best().is_some_and(|best| best.number == epoch.number) {
            self.keep(Which::Best)?;
        }
        if self.numbered > 0 {
            self.keep(Which::Epoch(epoch.number))?;
        }
        Ok(())
    }

    /// Hands the state to the thread that writes checkpoints.
    fn keep(&mut self, which: Which) -> Result<()> {
        let saved = Saved {
            checkpoint: self.run.checkpoint()?,
            description: self.run.description(),
            epochs: Some(self.history.epochs().to_vec()),
            data: Some(self.data.clone()),
            temperature: None,
            conformal: None,
        };
        let write = saved.job(self.folder.checkpoint_file(which))?;
        match which {
            Which::Best => self.writer.run_latest(write),
            Which::Last => {
                self.kept = Instant::now();
                self.writer.run(write)
            }
            Which::Epoch(_) => {
                let (folder, numbered) = (self.folder.clone(), self.numbered);
                self.writer.run(Box::new(move || write().and_then(|()| folder.keep_latest(numbered))))
            }
        }
    }

    /// Makes sure that the best checkpoint is not of an epoch that will be repeated.
    fn renew_best(&mut self) -> Result<()> {
        let is_later = |best: &Saved| best.checkpoint.position.step > self.run.step();
        if !self.folder.checkpoint(Which::Best).is_ok_and(|best| is_later(&best)) {
            return Ok(());
        }
        if self.best().is_some_and(|best| best.number == self.run.epochs_reported()) {
            return self.keep(Which::Best);
        }
        self.notes.push("the best checkpoint was of a later epoch and is removed".into());
        self.folder.remove_checkpoint(Which::Best)
    }

    /// Notes for the user when a run begins: where it resumes, and any repairs.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The best epoch so far, the first of equals.
    pub fn best(&self) -> Option<&Epoch> {
        self.monitor.best(self.history.epochs())
    }

    /// Sets the run to the weights of the best epoch, and returns which they are. The run keeps its own where the best
    /// epoch has no checkpoint, as after a start from another one.
    ///
    /// # Errors
    /// When the checkpoint of the best epoch cannot be read.
    pub fn restore_best(&mut self) -> Result<Weights> {
        if self.monitor == Monitor::Last || !self.folder.checkpoint_file(Which::Best).exists() {
            return Ok(Weights {
                epoch: self.history.epochs().last().map(|epoch| epoch.number),
                by: Some(Monitor::Last),
            });
        }
        let saved = self.folder.checkpoint(Which::Best)?;
        if saved.checkpoint.position.step != self.run.step() {
            self.run.restore(&saved.checkpoint)?;
        }
        let epoch = saved.epoch().or(self.best().map(|epoch| epoch.number));
        Ok(Weights { epoch, by: Some(self.monitor) })
    }

    fn is_stuck(&self) -> bool {
        self.stopping.is_some_and(|stopping| stopping.is_due(self.monitor, self.history.epochs()))
    }

    /// The figure that ranks the epochs.
    pub fn monitor(&self) -> Monitor {
        self.monitor
    }

    /// The run that the session keeps.
    pub fn run(&mut self) -> &mut Run<'a> {
        self.run
    }

    /// The epochs so far.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The folder of the session.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }
}
