//! Runs in the form of `MLflow`'s file store, which `mlflow ui --backend-store-uri DIR` shows.
//!
//! A store is a folder: an experiment is a folder in it, named by its number, and a run a folder in that, named by 32
//! hexadecimal digits. Both have a `meta.yaml`. A run has `params/NAME` and `tags/NAME`, whose contents are the value,
//! and `metrics/NAME` with a line `TIMESTAMP VALUE STEP` for each value, the time in milliseconds since 1970
//! (<https://mlflow.org/docs/latest/self-hosting/architecture/backend-store>).

use crate::error::{Error, Result};
use crate::file;
use sha2::{Digest, Sha256};
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// A run of a store, which is written while it is under way.
///
/// ```
/// use neural::mlflow::{Ending, Run, Writer};
/// # let folder = tempfile::tempdir()?;
/// # let store = folder.path().join("mlruns");
/// let files = "runs/guests-1".as_ref();
/// let run = Run { experiment: "guests", name: "guests-1", files, goes_on: false };
/// let mut log = Writer::open(&store, &run)?;
/// log.param("train.batch_size", "64")?;
/// log.metric("validation-loss", 1, 0.7)?;
/// log.metric("validation-loss", 2, 0.5)?;
/// log.end(Ending::Finished)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Writer {
    folder: PathBuf,
    meta: Meta,
}

/// A run's name, and the folder of its files.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// The experiment's name, under which runs are grouped.
    pub experiment: &'a str,
    /// The run's name.
    pub name: &'a str,
    /// The folder whose files are the run's artifacts. A run with the same folder is the same run.
    pub files: &'a Path,
    /// Whether the run resumes an earlier one, and keeps its start time.
    pub goes_on: bool,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// The run reached its end.
    Finished,
    /// The run ended with an error.
    Failed,
    /// Ended by its user; it may be resumed.
    Killed,
}

/// The numbers that `MLflow` has for the states of a run.
const RUNNING: u8 = 1;

impl Ending {
    fn status(self) -> u8 {
        match self {
            Self::Finished => 3,
            Self::Failed => 4,
            Self::Killed => 5,
        }
    }
}

/// The `meta.yaml` of a run.
#[derive(Debug)]
struct Meta {
    id: String,
    experiment: String,
    name: String,
    user: String,
    artifacts: String,
    start: u128,
}

/// A value of a parameter or tag is shown up to this number of bytes; `MLflow` refuses longer ones.
const LONGEST: usize = 6000;

impl Writer {
    /// A run in the store. The store, the experiment and the run are created where they do not exist. The run's earlier
    /// metrics are removed: they are written again.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn open(store: &Path, run: &Run) -> Result<Self> {
        let files = std::path::absolute(run.files).map_err(|e| Error::io("find", run.files, e))?;
        let experiment = find_experiment(store, run.experiment)?;
        let artifacts = location(&files);
        let id =
            Sha256::digest(artifacts.as_bytes()).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let name = run.name.to_string();
        let user = std::env::var("USER").unwrap_or_default();
        let mut meta =
            Meta { id, name, user, artifacts, start: now(), experiment: experiment_number(&experiment) };
        let folder = experiment.join(&meta.id);
        match fs::remove_dir_all(folder.join("metrics")) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(Error::io("empty", &folder, e)),
            _ => {}
        }
        for part in ["metrics", "params", "tags", "artifacts"] {
            make(&folder.join(part))?;
        }
        if let (true, Some(start)) = (run.goes_on, value_of(&folder.join(META), "start_time")) {
            meta.start = start.parse().unwrap_or(meta.start);
        }
        let mut writer = Self { folder, meta };
        writer.keep(RUNNING, None)?;
        let tags = [
            ("mlflow.runName", writer.meta.name.clone()),
            ("mlflow.user", writer.meta.user.clone()),
            ("mlflow.source.name", "neural".into()),
            ("mlflow.source.type", "LOCAL".into()),
        ];
        tags.iter().try_for_each(|(name, value)| writer.tag(name, value))?;
        Ok(writer)
    }

    /// Notes a setting. Longer values than `MLflow` takes are cut.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn param(&mut self, name: &str, value: &str) -> Result<()> {
        self.put("params", name, value)
    }

    /// Notes a text to find the run by.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn tag(&mut self, name: &str, value: &str) -> Result<()> {
        self.put("tags", name, value)
    }

    /// Notes the value of a figure at a step, with the time of now.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn metric(&mut self, name: &str, step: u64, value: f64) -> Result<()> {
        let path = self.folder.join("metrics").join(name);
        let line = format!("{} {value} {step}\n", now());
        let file = OpenOptions::new().append(true).create(true).open(&path);
        file.and_then(|mut file| file.write_all(line.as_bytes())).map_err(|e| Error::io("write", &path, e))
    }

    /// Records that the run is over, and how it ended.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn end(&mut self, ending: Ending) -> Result<()> {
        self.keep(ending.status(), Some(now()))
    }

    /// The folder of the run in the store.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn put(&self, part: &str, name: &str, value: &str) -> Result<()> {
        let path = self.folder.join(part).join(name);
        let value = value.replace(['\n', '\r'], " ");
        let end = (0..=value.len().min(LONGEST)).rev().find(|&end| value.is_char_boundary(end)).unwrap_or(0);
        fs::write(&path, &value[..end]).map_err(|e| Error::io("write", &path, e))
    }

    fn keep(&self, status: u8, end: Option<u128>) -> Result<()> {
        let Meta { id, experiment, name, user, artifacts, start } = &self.meta;
        let end = end.map_or("null".to_string(), |end| end.to_string());
        let [name, user, artifacts, experiment] =
            [name, user, artifacts, experiment].map(|text| quoted(text));
        let text = format!(
            "artifact_uri: {artifacts}\nend_time: {end}\nentry_point_name: ''\nexperiment_id: {experiment}\n\
             lifecycle_stage: active\nrun_id: {id:?}\nrun_name: {name}\nrun_uuid: {id:?}\nsource_name: ''\n\
             source_type: 4\nsource_version: ''\nstart_time: {start}\nstatus: {status}\ntags: []\nuser_id: {user}\n"
        );
        file::write(&self.folder.join(META), text.as_bytes())
    }
}

const META: &str = "meta.yaml";

/// The folder of the experiment of this name, made if there is none.
fn find_experiment(store: &Path, name: &str) -> Result<PathBuf> {
    make(store)?;
    let entries = fs::read_dir(store).map_err(|e| Error::io("read the folder", store, e))?;
    let mut free = 1u64;
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let Ok(number) = experiment_number(&path).parse::<u64>() else { continue };
        if value_of(&path.join(META), "name").is_some_and(|known| known == name || known == quoted(name)) {
            return Ok(path);
        }
        free = free.max(number.saturating_add(1));
    }
    let folder = store.join(free.to_string());
    make(&folder)?;
    let place = std::path::absolute(&folder).map_err(|e| Error::io("find", &folder, e))?;
    let (location, name, now) = (quoted(&location(&place)), quoted(name), now());
    let text = format!(
        "artifact_location: {location}\ncreation_time: {now}\nexperiment_id: '{free}'\nlast_update_time: {now}\n\
         lifecycle_stage: active\nname: {name}\n"
    );
    file::write(&folder.join(META), text.as_bytes())?;
    Ok(folder)
}

fn experiment_number(folder: &Path) -> String {
    folder.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// The value in a line `key: value` of a YAML file of plain values.
fn value_of(path: &Path, key: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let value = |line: &str| Some(line.strip_prefix(key)?.strip_prefix(": ")?.trim().to_string());
    text.lines().find_map(value)
}

/// A text as YAML reads it back: JSON's strings are YAML's too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A folder as a URI.
fn location(folder: &Path) -> String {
    let mut uri = "file://".to_string();
    for byte in folder.to_string_lossy().bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => {
                uri.push(byte.into());
            }
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri
}

fn make(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|e| Error::io("make the folder", folder, e))
}

/// Milliseconds since 1970.
fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis())
}
