//! Training runs on disk: a folder for each, with all that is needed to go on, to compare, and to predict.
//!
//! | file | holds |
//! |---|---|
//! | `recipe.toml` | the recipe with every key that was replaced |
//! | `history.csv`, `history.jsonl` | a line an epoch |
//! | `last.safetensors` | the state to go on from |
//! | `best.safetensors` | the state after the best epoch |
//! | `loss.svg`, `loss.png`, `accuracy.svg`, `accuracy.png` | the curves |
//! | `report.md` | what was reached |
//! | `autotune.textproto` | of a run on a GPU, the kernels that XLA chose |

mod checkpoint;
mod history;
mod session;

pub use checkpoint::Saved;
pub use history::{History, curves};
pub use session::{EarlyStopping, Ending, Monitor, Session};

use crate::error::{Error, Result};
use crate::file;
use crate::model::{Description, Model};
use crate::recipe::Recipe;
use crate::train::Checkpoint;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The folder of one run.
///
/// ```
/// use neural::{recipe::Recipe, runs::Folder};
/// let parent = tempfile::tempdir()?;
/// let recipe = Recipe::read("scripts/recipes/mnist.toml".as_ref(), &[])?;
/// let folder = Folder::create(parent.path().join("first"), &recipe)?;
/// assert_eq!(Folder::open(folder.path())?.recipe()?, recipe);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
}

/// Which of a run's two checkpoints.
///
/// ```
/// # use neural::{recipe::Recipe, runs::Folder};
/// # let parent = tempfile::tempdir()?;
/// # let recipe = Recipe::read("scripts/recipes/mnist.toml".as_ref(), &[])?;
/// use neural::runs::Which;
/// let folder = Folder::create(parent.path().join("first"), &recipe)?;
/// assert!(folder.checkpoint(Which::Last).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    Best,
    Last,
}

impl Which {
    fn file(self) -> &'static str {
        match self {
            Which::Best => "best.safetensors",
            Which::Last => "last.safetensors",
        }
    }
}

const RECIPE: &str = "recipe.toml";

impl Folder {
    /// Makes the folder of a new run, with its recipe.
    ///
    /// ```
    /// # use neural::{recipe::Recipe, runs::Folder};
    /// # let parent = tempfile::tempdir()?;
    /// # let recipe = Recipe::read("scripts/recipes/mnist.toml".as_ref(), &[])?;
    /// assert!(Folder::create(parent.path().join("first"), &recipe).is_ok());
    /// assert!(Folder::create(parent.path().join("first"), &recipe).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When there is such a folder already, or it cannot be made.
    pub fn create(path: impl Into<PathBuf>, recipe: &Recipe) -> Result<Self> {
        let path = path.into();
        let taken = || {
            let message =
                "expected a new folder, got one that is there; choose another --name, or go on with --resume";
            Error::format(&path, message)
        };
        if path.exists() {
            return Err(taken());
        }
        let parent = path.parent().unwrap_or(Path::new(""));
        // Made beside its place and put there with its recipe in it, so that no half of a folder is left of a process
        // that is killed.
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let beside = Self { path: parent.join(format!(".{name}.{}", std::process::id())) };
        std::fs::create_dir_all(&beside.path).map_err(|e| Error::io("create the folder", &beside.path, e))?;
        beside.keep_recipe(recipe)?;
        std::fs::rename(&beside.path, &path).map_err(|e| match e.kind() {
            ErrorKind::AlreadyExists | ErrorKind::DirectoryNotEmpty => taken(),
            _ => Error::io("create the folder", &path, e),
        })?;
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

    /// The folder of a run that was begun.
    ///
    /// ```
    /// assert!(neural::runs::Folder::open("src").is_err());
    /// ```
    ///
    /// # Errors
    /// When there is no recipe in it.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let folder = Self { path: path.into() };
        if !folder.file(RECIPE).is_file() {
            let message =
                "expected the folder of a run, with a recipe.toml in it, got none; see the folder runs";
            return Err(Error::format(&folder.path, message));
        }
        Ok(folder)
    }

    /// ```
    /// # use neural::{recipe::Recipe, runs::Folder};
    /// # let parent = tempfile::tempdir()?;
    /// # let recipe = Recipe::read("scripts/recipes/mnist.toml".as_ref(), &[])?;
    /// # let folder = Folder::create(parent.path().join("first"), &recipe)?;
    /// assert!(folder.path().ends_with("first"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The last part of the folder's path.
    ///
    /// ```
    /// # use neural::{recipe::Recipe, runs::Folder};
    /// # let parent = tempfile::tempdir()?;
    /// # let recipe = Recipe::read("scripts/recipes/mnist.toml".as_ref(), &[])?;
    /// # let folder = Folder::create(parent.path().join("first"), &recipe)?;
    /// assert_eq!(folder.name(), "first");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn name(&self) -> String {
        self.path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    /// The path of a file in the folder.
    ///
    /// ```
    /// # use neural::{recipe::Recipe, runs::Folder};
    /// # let parent = tempfile::tempdir()?;
    /// # let recipe = Recipe::read("scripts/recipes/mnist.toml".as_ref(), &[])?;
    /// # let folder = Folder::create(parent.path().join("first"), &recipe)?;
    /// assert!(folder.file("recipe.toml").is_file());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// ```
    /// # use neural::{recipe::Recipe, runs::Folder};
    /// # let parent = tempfile::tempdir()?;
    /// # let recipe = Recipe::read("scripts/recipes/mnist.toml".as_ref(), &[])?;
    /// # let folder = Folder::create(parent.path().join("first"), &recipe)?;
    /// assert_eq!(folder.recipe()?, recipe);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn recipe(&self) -> Result<Recipe> {
        Recipe::read(&self.file(RECIPE), &[])
    }

    /// Writes the recipe anew.
    ///
    /// ```
    /// # use neural::{recipe::Recipe, runs::Folder};
    /// # let parent = tempfile::tempdir()?;
    /// # let recipe = Recipe::read("scripts/recipes/mnist.toml".as_ref(), &[])?;
    /// # let folder = Folder::create(parent.path().join("first"), &recipe)?;
    /// let mut longer = recipe.clone();
    /// longer.train.epochs = 20;
    /// folder.keep_recipe(&longer)?;
    /// assert_eq!(folder.recipe()?.train.epochs, 20);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_recipe(&self, recipe: &Recipe) -> Result<()> {
        file::write(&self.file(RECIPE), recipe.to_toml()?.as_bytes())
    }

    /// ```
    /// # use neural::{recipe::Recipe, runs::Folder};
    /// # let parent = tempfile::tempdir()?;
    /// # let recipe = Recipe::read("scripts/recipes/mnist.toml".as_ref(), &[])?;
    /// # let folder = Folder::create(parent.path().join("first"), &recipe)?;
    /// assert!(folder.checkpoint(neural::runs::Which::Best).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When the file is not there or is not a checkpoint.
    pub fn checkpoint(&self, which: Which) -> Result<Saved> {
        Saved::read(&self.file(which.file()))
    }

    /// Writes a checkpoint; the one before stands until this one is whole and on the disk.
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
    /// use neural::runs::Which;
    /// let mut run = trainer.start(&device, &data)?;
    /// folder.keep_checkpoint(Which::Last, &*run.checkpoint()?, &run.description())?;
    /// assert_eq!(folder.checkpoint(Which::Last)?.checkpoint.position.step, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_checkpoint(
        &self,
        which: Which,
        checkpoint: &Checkpoint,
        description: &Description,
    ) -> Result<()> {
        checkpoint::write(&self.file(which.file()), checkpoint, description)
    }

    /// The model after the best epoch or, before there is one, as it was last kept.
    ///
    /// ```
    /// # use neural::{recipe::Recipe, runs::Folder};
    /// # let parent = tempfile::tempdir()?;
    /// # let recipe = Recipe::read("scripts/recipes/mnist.toml".as_ref(), &[])?;
    /// # let folder = Folder::create(parent.path().join("first"), &recipe)?;
    /// assert!(folder.model().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When there is no checkpoint or it is damaged.
    pub fn model(&self) -> Result<Model> {
        let which = if self.file(Which::Best.file()).is_file() { Which::Best } else { Which::Last };
        self.checkpoint(which)?.model()
    }

    /// Writes a text that is whole or not there, such as a report.
    ///
    /// ```
    /// # use neural::{recipe::Recipe, runs::Folder};
    /// # let parent = tempfile::tempdir()?;
    /// # let recipe = Recipe::read("scripts/recipes/mnist.toml".as_ref(), &[])?;
    /// # let folder = Folder::create(parent.path().join("first"), &recipe)?;
    /// folder.keep_text("report.md", "# First\n")?;
    /// assert_eq!(std::fs::read_to_string(folder.file("report.md"))?, "# First\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_text(&self, name: &str, text: &str) -> Result<()> {
        file::write(&self.file(name), text.as_bytes())
    }
}
