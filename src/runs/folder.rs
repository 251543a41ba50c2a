//! The folder of a run.

use super::history::{LINES, TABLE};
use super::{History, Lock, Saved};
use crate::error::{Error, Result};
use crate::file;
use crate::model::Model;
use crate::recipe::Recipe;
use crate::train::{Epoch, Monitor};
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The folder of one run.
///
/// ```
/// use neural::{recipe::Recipe, runs::Folder};
/// let parent = tempfile::tempdir()?;
/// let recipe = Recipe::read("scripts/recipes/mnist.toml".as_ref(), &[])?;
/// let folder = Folder::create(parent.path().join("first"), &recipe)?;
/// let kept = Folder::open(folder.path())?.recipe()?;
/// assert_eq!(kept.train, recipe.train);
/// assert!(kept.data.path.is_absolute());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
}

/// Which of a run's checkpoints: `best`, `last`, or `epoch-N`.
///
/// ```
/// use neural::runs::Which;
/// assert_eq!("epoch-12".parse::<Which>()?, Which::Epoch(12));
/// assert_eq!(Which::Best.to_string(), "best");
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Which {
    /// After the best epoch.
    Best,
    /// The latest.
    Last,
    /// After the epoch of this number, from 1.
    Epoch(u64),
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Which::Best => f.write_str("best"),
            Which::Last => f.write_str("last"),
            Which::Epoch(number) => write!(f, "epoch-{number}"),
        }
    }
}

impl FromStr for Which {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "best" => Ok(Which::Best),
            "last" => Ok(Which::Last),
            _ => {
                let number = text.strip_prefix("epoch-").and_then(|number| number.parse().ok());
                number
                    .map(Which::Epoch)
                    .ok_or_else(|| Error::value("checkpoint", "best, last or epoch-N", text))
            }
        }
    }
}

const RECIPE: &str = "recipe.toml";
const ENDING: &str = ".safetensors";

impl Folder {
    /// Makes the folder of a new run, with its recipe.
    ///
    /// # Errors
    /// When there is such a folder already, or it cannot be made.
    pub fn create(path: impl Into<PathBuf>, recipe: &Recipe) -> Result<Self> {
        let path = path.into();
        let taken = || {
            let message = "expected a new folder, got one that exists; choose another --name, or continue with --resume";
            Error::format(&path, message)
        };
        if path.exists() {
            return Err(taken());
        }
        let failed = |e| Error::io("create the folder", &path, e);
        // Made beside its place and put there with its recipe in it, so that no half of a folder is left of a process
        // that is killed.
        let beside = Self { path: file::beside(&path) };
        file::create_folder(&beside.path).map_err(failed)?;
        beside.keep_recipe(recipe)?;
        std::fs::rename(&beside.path, &path).map_err(|e| match e.kind() {
            ErrorKind::AlreadyExists | ErrorKind::DirectoryNotEmpty => taken(),
            _ => failed(e),
        })?;
        file::sync_folder(file::parent(&path)).map_err(failed)?;
        Ok(Self { path })
    }

    /// Makes the folder of a new run under `parent`: `name-1`, or the first number that is free.
    ///
    /// ```
    /// # use neural::{recipe::Recipe, runs::Folder};
    /// # let parent = tempfile::tempdir()?;
    /// # let recipe = Recipe::read("scripts/recipes/mnist.toml".as_ref(), &[])?;
    /// let names = [1, 2].map(|_| Folder::create_numbered(parent.path(), "mnist", &recipe).map(|f| f.name()));
    /// assert!(matches!(&names, [Ok(one), Ok(two)] if one == "mnist-1" && two == "mnist-2"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Folder::create`].
    pub fn create_numbered(parent: &Path, name: &str, recipe: &Recipe) -> Result<Self> {
        let free = (1..=u32::MAX).map(|n| parent.join(format!("{name}-{n}"))).find(|path| !path.exists());
        // There are fewer folders than numbers.
        Self::create(free.unwrap_or_else(|| parent.join(name)), recipe)
    }

    /// Opens the folder of an existing run.
    ///
    /// # Errors
    /// When there is no recipe in it.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let folder = Self { path: path.into() };
        if !folder.file(RECIPE).is_file() {
            // The default folder of `neural train`, for users who omit it.
            let usual = Path::new("runs").join(&folder.path);
            let hint = match usual.join(RECIPE).is_file() {
                true => format!("did you mean {}?", usual.display()),
                false => "see the folder runs".to_string(),
            };
            let message = format!("expected the folder of a run, with a recipe.toml in it, got none; {hint}");
            return Err(Error::format(&folder.path, message));
        }
        Ok(folder)
    }

    /// Locks the folder for writing, which one process at a time may do.
    ///
    /// # Errors
    /// [`Error::InUse`] when another has it.
    pub fn lock(&self) -> Result<Lock> {
        Lock::take(&self.path)
    }

    /// The path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name of the folder, which is the run's name.
    pub fn name(&self) -> String {
        self.path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    /// The path of a file in the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The recipe of the run.
    ///
    /// # Errors
    /// As [`Recipe::read`].
    pub fn recipe(&self) -> Result<Recipe> {
        // A relative path is of an old run, which took it from the folder that it was started in.
        let path = self.file(RECIPE);
        let text = std::fs::read_to_string(&path).map_err(|e| Error::io("read the recipe", &path, e))?;
        Recipe::parse(&text, &path)
    }

    /// Stores a changed recipe. The path of its data is stored as an absolute one, which stays valid wherever the run
    /// is resumed.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_recipe(&self, recipe: &Recipe) -> Result<()> {
        let mut recipe = recipe.clone();
        for (_, path) in recipe.data.files_mut() {
            let absolute = std::fs::canonicalize(&path).or_else(|_| std::path::absolute(&path));
            *path = absolute.map_err(|e| Error::io("find", path, e))?;
        }
        file::write(&self.file(RECIPE), recipe.to_toml()?.as_bytes())
    }

    /// The file of a checkpoint, which may not exist.
    pub fn checkpoint_file(&self, which: Which) -> PathBuf {
        self.file(&format!("{which}{ENDING}"))
    }

    /// # Errors
    /// When there is no such checkpoint, or it is damaged.
    pub fn checkpoint(&self, which: Which) -> Result<Saved> {
        let path = self.checkpoint_file(which);
        if !path.exists() {
            let others: Vec<String> = self.checkpoints()?.iter().map(ToString::to_string).collect();
            let others = if others.is_empty() { "none".to_string() } else { others.join(", ") };
            return Err(Error::format(&path, format!("there is no such checkpoint; the run has {others}")));
        }
        Saved::read(&path)
    }

    /// The existing checkpoints: the epochs in order, then best and last.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn checkpoints(&self) -> Result<Vec<Which>> {
        let names = self.names()?;
        let of = |name: &String| name.strip_suffix(ENDING)?.parse::<Which>().ok();
        let mut found: Vec<Which> = names.iter().filter_map(of).collect();
        found.sort_by_key(|which| match which {
            Which::Epoch(number) => *number,
            Which::Best => u64::MAX - 1,
            Which::Last => u64::MAX,
        });
        Ok(found)
    }

    /// The best checkpoint, or the last where no epoch was finished or the recipe monitors `last`.
    ///
    /// # Errors
    /// When there is none, or it is damaged.
    pub fn best(&self) -> Result<Saved> {
        self.chosen(None)
    }

    /// The requested checkpoint; if none, the one of [`Folder::best`].
    ///
    /// # Errors
    /// When the checkpoint of the best epoch is missing, or the run's recipe or history cannot be read.
    pub(crate) fn which(&self, asked: Option<Which>) -> Result<Which> {
        if let Some(which) = asked {
            return Ok(which);
        }
        let (monitor, epochs) = self.monitored()?;
        if monitor == Monitor::Last {
            return Ok(Which::Last);
        }
        let path = self.checkpoint_file(Which::Best);
        // Anything of the name counts: if it is no file, reading it is refused.
        if path.symlink_metadata().is_ok() {
            return Ok(Which::Best);
        }
        let Some(best) = monitor.best(&epochs) else { return Ok(Which::Last) };
        let message = format!(
            "expected the best checkpoint, of epoch {}, got none; --last takes the last one",
            best.number
        );
        Err(Error::format(&path, message))
    }

    /// The figure that chooses the run's best epoch, and the epochs in its history.
    pub(crate) fn monitored(&self) -> Result<(Monitor, Vec<Epoch>)> {
        let epochs = History::read(self)?;
        let has_validation = epochs.iter().any(|epoch| epoch.validation.is_some());
        Ok((Monitor::chosen(self.recipe()?.train.monitor, has_validation), epochs))
    }

    /// The requested checkpoint, or [`Folder::best`].
    ///
    /// # Errors
    /// As [`Folder::checkpoint`], and when none is requested and that of the best epoch is missing.
    pub fn chosen(&self, which: Option<Which>) -> Result<Saved> {
        self.checkpoint(self.which(which)?)
    }

    /// The trained model, from [`Folder::best`].
    ///
    /// # Errors
    /// When there is none, or it is damaged.
    pub fn model(&self) -> Result<Model> {
        self.best()?.model()
    }

    /// Keeps a text, such as the report, in a file of this name.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_text(&self, name: &str, text: &str) -> Result<()> {
        file::write(&self.file(name), text.as_bytes())
    }

    /// Removes the run's results, its last checkpoint at the end: until then the run can be resumed.
    pub(super) fn clear(&self) -> Result<()> {
        [LINES, TABLE].into_iter().try_for_each(|name| self.remove(name))?;
        self.checkpoints()?.into_iter().try_for_each(|which| self.remove_checkpoint(which))
    }

    pub(super) fn remove_checkpoint(&self, which: Which) -> Result<()> {
        self.remove(&format!("{which}{ENDING}"))
    }

    /// Removes the unfinished files of killed processes.
    pub(super) fn tidy(&self) -> Result<()> {
        let kept = |name: &String| {
            let begun = |of: &str| file::is_beside(name, of);
            let checkpoint = || name.split(ENDING).next().and_then(|stem| stem.strip_prefix('.'));
            [RECIPE, LINES, TABLE].into_iter().any(begun)
                || checkpoint()
                    .is_some_and(|stem| stem.parse::<Which>().is_ok() && begun(&format!("{stem}{ENDING}")))
        };
        self.names()?.iter().filter(|name| kept(name)).try_for_each(|name| self.remove(name))
    }

    /// Removes all of the numbered checkpoints but the last `most`.
    pub(super) fn keep_latest(&self, most: usize) -> Result<()> {
        let mut numbered = self.checkpoints()?;
        numbered.retain(|which| matches!(which, Which::Epoch(_)));
        let old = numbered.len().saturating_sub(most);
        numbered[..old].iter().try_for_each(|which| self.remove_checkpoint(*which))
    }

    fn names(&self) -> Result<Vec<String>> {
        let entries =
            std::fs::read_dir(&self.path).map_err(|e| Error::io("read the folder", &self.path, e))?;
        Ok(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
    }

    fn remove(&self, name: &str) -> Result<()> {
        let path = self.file(name);
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::io("remove", &path, e)),
            _ => Ok(()),
        }
    }
}
