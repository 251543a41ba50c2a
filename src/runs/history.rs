//! What each epoch came to, as files that spreadsheets and programs read.

use super::Folder;
use crate::error::{Error, Result};
use crate::file;
use crate::plot::Chart;
use crate::train::Epoch;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

pub(super) const LINES: &str = "history.jsonl";
pub(super) const TABLE: &str = "history.csv";
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

/// The epochs of a run, on disk as they are here. The files are for people and programs to read: what a run goes on
/// from stands in its checkpoints.
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
/// use neural::runs::History;
/// let mut history = History::open(&folder, Vec::new())?;
/// history.add(epoch.clone())?;
/// assert_eq!(History::read(&folder)?, [epoch]);
/// history.draw()?;
/// assert!(folder.file("loss.svg").is_file());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct History {
    folder: Folder,
    epochs: Vec<Epoch>,
}

impl History {
    /// The history of a run that has done these epochs: the files are made to hold them and no others.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn open(folder: &Folder, epochs: Vec<Epoch>) -> Result<Self> {
        let (path, table) = (folder.file(LINES), folder.file(TABLE));
        file::write(&path, lines(&path, &epochs)?.as_bytes())?;
        let rows = epochs.iter().map(|epoch| row(&table, epoch)).collect::<Result<String>>()?;
        file::write(&table, (HEADER.join(",") + "\n" + &rows).as_bytes())?;
        Ok(Self { folder: folder.clone(), epochs })
    }

    /// The epochs in a folder's files, without lines that are cut off or damaged.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(folder: &Folder) -> Result<Vec<Epoch>> {
        let path = folder.file(LINES);
        match std::fs::read(&path) {
            Ok(contents) => Ok(parse(&contents)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(e) => Err(Error::io("read the history", &path, e)),
        }
    }

    /// Adds an epoch to the history and its files.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn add(&mut self, epoch: Epoch) -> Result<()> {
        let (path, table) = (self.folder.file(LINES), self.folder.file(TABLE));
        append(&path, &lines(&path, std::slice::from_ref(&epoch))?)?;
        append(&table, &row(&table, &epoch)?)?;
        self.epochs.push(epoch);
        Ok(())
    }

    pub fn epochs(&self) -> &[Epoch] {
        &self.epochs
    }

    /// Draws the curves of loss and accuracy.
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

/// The epochs as JSON, a line each.
pub(super) fn lines(path: &Path, epochs: &[Epoch]) -> Result<String> {
    let line = |epoch| serde_json::to_string(epoch).map(|text| text + "\n");
    epochs.iter().map(line).collect::<Result<_, _>>().map_err(|e| Error::format(path, e.to_string()))
}

/// The epochs that can be read among [`lines`].
pub(super) fn parse(contents: &[u8]) -> Vec<Epoch> {
    contents.split(|&b| b == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
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
