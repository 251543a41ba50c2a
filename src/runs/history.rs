//! The result of each epoch, in files for spreadsheets and programs.

use super::Folder;
use crate::error::{Error, Result};
use crate::file;
use crate::train::{Epoch, Monitor};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

pub(super) const LINES: &str = "history.jsonl";
pub(super) const TABLE: &str = "history.csv";

/// The epochs of a run, kept in files for people and programs to read. A run resumes from its checkpoints, not from
/// these.
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
/// #     peak_memory: None,
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
    pub(super) folder: Folder,
    pub(super) epochs: Vec<Epoch>,
}

impl History {
    /// Opens the history of a run that has done these epochs: the files are rewritten to hold exactly these.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn open(folder: &Folder, epochs: Vec<Epoch>) -> Result<Self> {
        let (path, table) = (folder.file(LINES), folder.file(TABLE));
        file::write(&path, lines(&path, &epochs)?.as_bytes())?;
        file::write(&table, csv(&table, &columns(&epochs), &epochs)?.as_bytes())?;
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
        let before = columns(&self.epochs);
        self.epochs.push(epoch);
        let columns = columns(&self.epochs);
        if columns == before {
            let rows = csv(&table, &columns, &self.epochs[self.epochs.len() - 1..])?;
            // Without the header.
            return append(&table, rows.split_once('\n').map_or("", |(_, row)| row));
        }
        file::write(&table, csv(&table, &columns, &self.epochs)?.as_bytes())
    }

    /// The epochs so far, the first one first.
    pub fn epochs(&self) -> &[Epoch] {
        &self.epochs
    }
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

/// The columns of the table: those figures that some epoch has.
fn columns(epochs: &[Epoch]) -> Vec<Monitor> {
    let mut columns = vec![Monitor::Last, Monitor::Loss];
    let figures = |epoch: &Epoch| {
        let validation = epoch.validation.iter().flat_map(|score| {
            let figures = score.figures.iter().map(|(metric, _)| Monitor::Validation(metric));
            std::iter::once(Monitor::ValidationLoss).chain(figures)
        });
        epoch.accuracy.map(|_| Monitor::Accuracy).into_iter().chain(validation).collect::<Vec<_>>()
    };
    for figure in epochs.iter().flat_map(figures) {
        if !columns.contains(&figure) {
            columns.push(figure);
        }
    }
    columns
}

/// The table with its header; a value that an epoch does not have, or that is undefined, is empty.
fn csv(path: &Path, columns: &[Monitor], epochs: &[Epoch]) -> Result<String> {
    let failed = |e: String| Error::format(path, e);
    let mut writer = csv::Writer::from_writer(Vec::new());
    let names = columns.iter().map(|column| match column {
        Monitor::Last => "epoch".to_string(),
        figure => figure.to_string(),
    });
    let header =
        names.chain(["learning_rate", "seconds", "samples_per_second", "peak_memory"].map(String::from));
    writer.write_record(header).map_err(|e| failed(e.to_string()))?;
    for epoch in epochs {
        let number = |column: &Monitor| match column.of(epoch) {
            Some(value) if !value.is_nan() => value.to_string(),
            _ => String::new(),
        };
        let rest = [epoch.learning_rate, epoch.seconds, epoch.samples_per_second];
        let memory = epoch.peak_memory.map_or_else(String::new, |bytes| bytes.to_string());
        let cells = columns.iter().map(number).chain(rest.map(|value| value.to_string())).chain([memory]);
        writer.write_record(cells).map_err(|e| failed(e.to_string()))?;
    }
    let bytes = writer.into_inner().map_err(|e| failed(e.to_string()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn append(path: &Path, text: &str) -> Result<()> {
    let file = OpenOptions::new().append(true).create(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|e| Error::io("write", path, e))
}
