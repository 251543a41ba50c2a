//! What each epoch came to, as files that spreadsheets and programs read.

use super::Folder;
use crate::error::{Error, Result};
use crate::file;
use crate::plot::Chart;
use crate::train::Epoch;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

const LINES: &str = "history.jsonl";
const TABLE: &str = "history.csv";
const HEADER: [&str; 10] = [
    "epoch",
    "loss",
    "accuracy",
    "validation_loss",
    "validation_accuracy",
    "validation_mean_error",
    "validation_r2",
    "learning_rate",
    "seconds",
    "samples_per_second",
];

/// The epochs of a run, on disk as they are here.
///
/// ```
/// # use neural::{recipe::Recipe, runs::Folder};
/// # let parent = tempfile::tempdir()?;
/// # let recipe = Recipe::read("scripts/recipes/mnist.toml".as_ref(), &[])?;
/// # let folder = Folder::create(parent.path().join("first"), &recipe)?;
/// use neural::runs::History;
/// assert!(History::open(&folder, 0)?.epochs().is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct History {
    folder: Folder,
    epochs: Vec<Epoch>,
}

impl History {
    /// The history of a run that has done `epochs` epochs. Later ones that were written before the run was cut off
    /// are taken out of the files, since the run does them again.
    ///
    /// ```
    /// # use neural::{recipe::Recipe, runs::Folder};
    /// # let parent = tempfile::tempdir()?;
    /// # let recipe = Recipe::read("scripts/recipes/mnist.toml".as_ref(), &[])?;
    /// # let folder = Folder::create(parent.path().join("first"), &recipe)?;
    /// use neural::runs::History;
    /// assert!(History::open(&folder, 0).is_ok() && History::open(&folder, 3).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When the files cannot be read or written, or an epoch is missing.
    pub fn open(folder: &Folder, epochs: u64) -> Result<Self> {
        let mut history = Self { folder: folder.clone(), epochs: Self::read(folder)? };
        let path = folder.file(LINES);
        history.epochs.truncate(epochs as usize);
        if history.epochs.len() as u64 != epochs {
            let message =
                format!("expected the {epochs} epochs of the checkpoint, got {}", history.epochs.len());
            return Err(Error::format(&path, message));
        }
        let lines = history.epochs.iter().map(|e| line(&path, e)).collect::<Result<Vec<_>>>()?;
        file::write(&path, lines.concat().as_bytes())?;
        let rows = history.epochs.iter().map(|e| row(&folder.file(TABLE), e)).collect::<Result<Vec<_>>>()?;
        let header = HEADER.join(",") + "\n";
        file::write(&folder.file(TABLE), ([&[header], &rows[..]].concat()).concat().as_bytes())?;
        Ok(history)
    }

    /// The epochs in a folder's files, without a last line that was cut off.
    ///
    /// ```
    /// # use neural::{recipe::Recipe, runs::Folder};
    /// # let parent = tempfile::tempdir()?;
    /// # let recipe = Recipe::read("scripts/recipes/mnist.toml".as_ref(), &[])?;
    /// # let folder = Folder::create(parent.path().join("first"), &recipe)?;
    /// assert!(neural::runs::History::read(&folder)?.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(folder: &Folder) -> Result<Vec<Epoch>> {
        let path = folder.file(LINES);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(Error::io("read the history", &path, e)),
        };
        Ok(text.lines().map_while(|line| serde_json::from_str(line).ok()).collect())
    }

    /// Adds an epoch to the history and its files.
    ///
    /// ```
    /// # use neural::{recipe::Recipe, runs::Folder};
    /// # let parent = tempfile::tempdir()?;
    /// # let recipe = Recipe::read("scripts/recipes/mnist.toml".as_ref(), &[])?;
    /// # let folder = Folder::create(parent.path().join("first"), &recipe)?;
    /// # let epoch = neural::train::Epoch {
    /// #     number: 1,
    /// #     loss: 0.5,
    /// #     accuracy: None,
    /// #     validation: None,
    /// #     learning_rate: 0.1,
    /// #     seconds: 1.0,
    /// #     samples_per_second: 100.0,
    /// # };
    /// let mut history = neural::runs::History::open(&folder, 0)?;
    /// history.add(epoch.clone())?;
    /// assert_eq!(neural::runs::History::read(&folder)?, [epoch]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn add(&mut self, epoch: Epoch) -> Result<()> {
        let (lines, table) = (self.folder.file(LINES), self.folder.file(TABLE));
        append(&lines, &line(&lines, &epoch)?)?;
        append(&table, &row(&table, &epoch)?)?;
        self.epochs.push(epoch);
        Ok(())
    }

    /// ```
    /// # use neural::{recipe::Recipe, runs::Folder};
    /// # let parent = tempfile::tempdir()?;
    /// # let recipe = Recipe::read("scripts/recipes/mnist.toml".as_ref(), &[])?;
    /// # let folder = Folder::create(parent.path().join("first"), &recipe)?;
    /// assert!(neural::runs::History::open(&folder, 0)?.epochs().is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn epochs(&self) -> &[Epoch] {
        &self.epochs
    }

    /// Draws the curves of loss and accuracy.
    ///
    /// ```
    /// # use neural::{recipe::Recipe, runs::Folder};
    /// # let parent = tempfile::tempdir()?;
    /// # let recipe = Recipe::read("scripts/recipes/mnist.toml".as_ref(), &[])?;
    /// # let folder = Folder::create(parent.path().join("first"), &recipe)?;
    /// # let epoch = neural::train::Epoch {
    /// #     number: 1,
    /// #     loss: 0.5,
    /// #     accuracy: None,
    /// #     validation: None,
    /// #     learning_rate: 0.1,
    /// #     seconds: 1.0,
    /// #     samples_per_second: 100.0,
    /// # };
    /// let mut history = neural::runs::History::open(&folder, 0)?;
    /// history.add(epoch)?;
    /// history.draw()?;
    /// assert!(folder.file("loss.svg").is_file());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn draw(&self) -> Result<()> {
        let named = [(self.folder.name(), &self.epochs[..])];
        for (quantity, chart) in curves(&named) {
            for form in ["svg", "png"] {
                chart.save(self.folder.file(&format!("{quantity}.{form}")))?;
            }
        }
        Ok(())
    }
}

/// A chart of losses and, where there are any, one of accuracies, for one run or several in the same picture.
///
/// ```
/// assert!(neural::runs::curves(&[("first".to_string(), &[])]).is_empty());
/// ```
pub fn curves(runs: &[(String, &[Epoch])]) -> Vec<(&'static str, Chart)> {
    type Figure = fn(&Epoch) -> Option<f64>;
    let chart = |quantity: &'static str, unit: &str, figures: [(&str, Figure); 2]| {
        let mut chart = Chart::new(quantity).x_label("epoch").y_label(unit);
        let mut drawn = false;
        for (name, epochs) in runs {
            for (part, figure) in figures {
                let of = |epoch: &Epoch| Some((epoch.number as f64, figure(epoch)?));
                let points: Vec<(f64, f64)> = epochs.iter().filter_map(of).collect();
                if points.iter().any(|(_, y)| y.is_finite()) {
                    let name = if runs.len() == 1 { part.to_string() } else { format!("{name}, {part}") };
                    chart = chart.line(name, &points);
                    drawn = true;
                }
            }
        }
        drawn.then_some((quantity, chart))
    };
    let loss: [(&str, Figure); 2] =
        [("training", |e| Some(e.loss)), ("validation", |e| Some(e.validation.as_ref()?.loss))];
    let accuracy: [(&str, Figure); 2] = [
        ("training", |e| Some(100.0 * e.accuracy?)),
        ("validation", |e| Some(100.0 * e.validation.as_ref()?.accuracy?)),
    ];
    [chart("loss", "loss", loss), chart("accuracy", "accuracy, %", accuracy)].into_iter().flatten().collect()
}

fn line(path: &Path, epoch: &Epoch) -> Result<String> {
    let text = serde_json::to_string(epoch).map_err(|e| Error::format(path, e.to_string()))?;
    Ok(text + "\n")
}

fn row(path: &Path, epoch: &Epoch) -> Result<String> {
    let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    let score = epoch.validation.as_ref();
    let errors = score.and_then(|s| s.errors);
    let cells = [
        epoch.number.to_string(),
        epoch.loss.to_string(),
        number(epoch.accuracy),
        number(score.map(|s| s.loss)),
        number(score.and_then(|s| s.accuracy)),
        number(errors.map(|e| e.absolute)),
        number(errors.map(|e| e.r2)),
        epoch.learning_rate.to_string(),
        epoch.seconds.to_string(),
        epoch.samples_per_second.to_string(),
    ];
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&cells).map_err(|e| Error::format(path, e.to_string()))?;
    let bytes = writer.into_inner().map_err(|e| Error::format(path, e.to_string()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn append(path: &Path, text: &str) -> Result<()> {
    let file = OpenOptions::new().append(true).create(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|e| Error::io("write", path, e))
}
