//! A run in its folder: trained, kept, stopped early, and gone on with.

use super::{Folder, History, Saved, Which};
use crate::error::{Error, Result};
use crate::train::{Epoch, Event, Run};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// By what the epochs of a run are ranked.
///
/// ```
/// use neural::runs::Monitor;
/// assert_eq!(Monitor::chosen(None, true), Monitor::ValidationLoss);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Monitor {
    /// The loss over the training rows; the least is the best.
    Loss,
    ValidationLoss,
    ValidationAccuracy,
}

impl Monitor {
    /// The figure of an epoch, the smaller the better.
    ///
    /// ```
    /// # let epoch = neural::train::Epoch {
    /// #     number: 1,
    /// #     loss: 0.5,
    /// #     accuracy: None,
    /// #     validation: None,
    /// #     learning_rate: 0.1,
    /// #     seconds: 1.0,
    /// #     samples_per_second: 100.0,
    /// # };
    /// assert_eq!(neural::runs::Monitor::Loss.of(&epoch), Some(0.5));
    /// assert_eq!(neural::runs::Monitor::ValidationLoss.of(&epoch), None);
    /// ```
    pub fn of(self, epoch: &Epoch) -> Option<f64> {
        let validation = epoch.validation.as_ref();
        match self {
            Monitor::Loss => Some(epoch.loss),
            Monitor::ValidationLoss => Some(validation?.loss),
            Monitor::ValidationAccuracy => Some(-validation?.accuracy?),
        }
    }

    /// What a recipe asks for or, where it leaves that open, the validation loss if there are validation rows.
    ///
    /// ```
    /// use neural::runs::Monitor;
    /// assert_eq!(Monitor::chosen(None, false), Monitor::Loss);
    /// assert_eq!(Monitor::chosen(Some(Monitor::Loss), true), Monitor::Loss);
    /// ```
    pub fn chosen(asked: Option<Self>, has_validation: bool) -> Self {
        asked.unwrap_or(if has_validation { Self::ValidationLoss } else { Self::Loss })
    }

    /// The best of some epochs, the first of equals.
    ///
    /// ```
    /// # let epoch = neural::train::Epoch {
    /// #     number: 1,
    /// #     loss: 0.5,
    /// #     accuracy: None,
    /// #     validation: None,
    /// #     learning_rate: 0.1,
    /// #     seconds: 1.0,
    /// #     samples_per_second: 100.0,
    /// # };
    /// let better = neural::train::Epoch { number: 2, loss: 0.4, ..epoch.clone() };
    /// let epochs = [epoch, better];
    /// assert_eq!(neural::runs::Monitor::Loss.best(&epochs).map(|e| e.number), Some(2));
    /// ```
    pub fn best(self, epochs: &[Epoch]) -> Option<&Epoch> {
        let figure = |epoch: &&Epoch| self.of(epoch).unwrap_or(f64::INFINITY);
        epochs.iter().min_by(|a, b| figure(a).total_cmp(&figure(b)))
    }
}

/// Training ends when the monitored figure has not become better for a while.
///
/// ```
/// use neural::runs::EarlyStopping;
/// let stopping: EarlyStopping = toml::from_str("patience = 5")?;
/// assert_eq!(stopping, EarlyStopping { patience: 5, min_delta: 0.0 });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EarlyStopping {
    /// For so many epochs.
    pub patience: u64,
    /// Better by more than this.
    #[serde(default)]
    pub min_delta: f64,
}

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
pub enum Ending {
    /// All epochs are done.
    Finished,
    /// No progress any more, see [`EarlyStopping`].
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
    kept: Instant,
}

impl<'r, 'a> Session<'r, 'a> {
    /// Trains `run` in `folder`; where a checkpoint is there, it goes on from it.
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
    /// let mut run = trainer.start(&device, &data)?;
    /// assert!(neural::runs::Session::new(&mut run, folder).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When the checkpoint is damaged or was made of another model, optimizer or data.
    pub fn new(run: &'r mut Run<'a>, folder: Folder) -> Result<Self> {
        run.pin_kernels(folder.file(KERNELS));
        let settings = folder.recipe()?.train;
        let path = folder.file(Which::Last.file());
        if path.exists() {
            let Saved { checkpoint, description } = folder.checkpoint(Which::Last)?;
            if description != run.description() {
                let message = "expected a checkpoint of the recipe's model and data, got one of another model, or the data has changed";
                return Err(Error::format(&path, message));
            }
            run.restore(&checkpoint)?;
        }
        let history = History::open(&folder, run.epochs_reported())?;
        let has_validation = !run.data().splits.validation.is_empty();
        let monitor = Monitor::chosen(settings.monitor, has_validation);
        if monitor != Monitor::Loss && !has_validation {
            return Err(Error::value(
                "monitor",
                "loss, as the data has no validation rows",
                "a figure of theirs",
            ));
        }
        if monitor == Monitor::ValidationAccuracy && run.data().classes().is_none() {
            return Err(Error::value("monitor", "targets that are classes", "validation-accuracy of values"));
        }
        let every = Duration::try_from_secs_f64(settings.checkpoint_seconds).map_err(|_| {
            Error::value("checkpoint_seconds", "a number of at least 0", settings.checkpoint_seconds)
        })?;
        let stopping = settings.early_stopping;
        Ok(Self { run, folder, history, monitor, stopping, every, kept: Instant::now() })
    }

    /// Trains to the end, or until `observe` breaks off. However it ends, the last good state is kept.
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
    /// let mut run = trainer.start(&device, &data)?;
    /// let mut session = neural::runs::Session::new(&mut run, folder)?;
    /// session.train(|_| std::ops::ControlFlow::Continue(()))?;
    /// assert!(session.folder().file("last.safetensors").is_file());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When the device fails, a file cannot be written, or the loss is no longer a finite number.
    pub fn train(&mut self, mut observe: impl FnMut(&Event) -> ControlFlow<()>) -> Result<Ending> {
        let mut is_stuck = self.is_stuck();
        let ending = loop {
            if is_stuck {
                break Ending::StoppedEarly;
            }
            let event = match self.run.proceed() {
                Ok(Some(event)) => event,
                Ok(None) => break Ending::Finished,
                Err(error @ Error::NotFinite(_)) => {
                    self.keep(Which::Last)?;
                    return Err(error);
                }
                Err(error) => return Err(error),
            };
            if let Event::Epoch(epoch) = &event {
                self.history.add(epoch.clone())?;
                if self.best().is_some_and(|best| best.number == epoch.number) {
                    self.keep(Which::Best)?;
                }
                is_stuck = self.is_stuck();
            }
            let flow = observe(&event);
            if flow.is_break() {
                break Ending::Interrupted;
            }
            if self.kept.elapsed() >= self.every {
                self.keep(Which::Last)?;
            }
        };
        self.keep(Which::Last)?;
        if !self.history.epochs().is_empty() {
            self.history.draw()?;
        }
        Ok(ending)
    }

    fn keep(&mut self, which: Which) -> Result<()> {
        let checkpoint = self.run.checkpoint()?;
        self.folder.keep_checkpoint(which, &checkpoint, &self.run.description())?;
        if which == Which::Last {
            self.kept = Instant::now();
        }
        Ok(())
    }

    /// The best epoch so far, the first of equals.
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
    /// # let mut run = trainer.start(&device, &data)?;
    /// # let mut session = neural::runs::Session::new(&mut run, folder)?;
    /// assert!(session.best().is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn best(&self) -> Option<&Epoch> {
        self.monitor.best(self.history.epochs())
    }

    fn is_stuck(&self) -> bool {
        let Some(EarlyStopping { patience, min_delta }) = self.stopping else { return false };
        let (mut best, mut since) = (f64::INFINITY, 0);
        for figure in self.history.epochs().iter().filter_map(|epoch| self.monitor.of(epoch)) {
            if figure < best - min_delta {
                (best, since) = (figure, 0);
            } else {
                since += 1;
            }
        }
        since > 0 && since >= patience
    }

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
    /// # let mut run = trainer.start(&device, &data)?;
    /// # let mut session = neural::runs::Session::new(&mut run, folder)?;
    /// assert_eq!(session.monitor(), neural::runs::Monitor::Loss);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn monitor(&self) -> Monitor {
        self.monitor
    }

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
    /// # let mut run = trainer.start(&device, &data)?;
    /// # let mut session = neural::runs::Session::new(&mut run, folder)?;
    /// assert_eq!(session.run().step(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn run(&mut self) -> &mut Run<'a> {
        self.run
    }

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
    /// # let mut run = trainer.start(&device, &data)?;
    /// # let mut session = neural::runs::Session::new(&mut run, folder)?;
    /// assert!(session.history().epochs().is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn history(&self) -> &History {
        &self.history
    }

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
    /// # let mut run = trainer.start(&device, &data)?;
    /// # let mut session = neural::runs::Session::new(&mut run, folder)?;
    /// assert_eq!(session.folder().name(), "first");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn folder(&self) -> &Folder {
        &self.folder
    }
}
