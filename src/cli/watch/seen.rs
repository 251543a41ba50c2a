//! Polls the folders of runs, and tracks what each page has not received yet.

use crate::cli::compare;
use crate::cli::train::progress;
use crate::runs::{Folder, Locks};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// A run as it was found.
#[derive(Debug)]
pub(super) struct Run {
    /// Its path, as its identifier.
    pub id: String,
    name: String,
    monitor: String,
    keys: Map<String, Value>,
    epochs: Vec<Value>,
    /// The number of the best epoch.
    best: Option<u64>,
    /// Changes when the run must be read again.
    stamp: Stamp,
}

type Stamp = [Option<(u64, SystemTime)>; 2];

/// A run, and its state that changes apart from its history.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub run: Arc<Run>,
    /// The process that trains it.
    pub process: Option<u32>,
    progress: Value,
}

/// All runs in `folders` or their subfolders; runs whose files have not changed are taken from `before`.
pub(super) fn look(folders: &[PathBuf], before: &[Seen]) -> Vec<Seen> {
    let locks = Locks::now();
    let known: BTreeMap<&str, &Seen> = before.iter().map(|seen| (&seen.run.id[..], seen)).collect();
    let paths = folders.iter().flat_map(|path| compare::all_runs_in(path));
    let look = |path: PathBuf| {
        let id = path.display().to_string();
        let stamp = ["recipe.toml", "history.jsonl"].map(|name| stamp(&path.join(name)));
        let run = match known.get(&id[..]) {
            Some(seen) if seen.run.stamp == stamp => seen.run.clone(),
            _ => Arc::new(Run::read(id, &path, stamp)?),
        };
        let process = locks.holder(&path);
        let text = process.and_then(|_| fs::read_to_string(path.join(progress::FILE)).ok());
        let progress = text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or(Value::Null);
        Some(Seen { run, process, progress })
    };
    paths.filter_map(look).collect()
}

fn stamp(path: &Path) -> Option<(u64, SystemTime)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.len(), metadata.modified().ok()?))
}

impl Run {
    /// When it last ended an epoch, or began, in seconds since 1970.
    fn time(&self) -> u64 {
        let times = self.stamp.iter().flatten().filter_map(|(_, time)| time.duration_since(UNIX_EPOCH).ok());
        times.map(|time| time.as_secs()).max().unwrap_or(0)
    }

    /// `None` where there is no run, or one that is being made or removed.
    fn read(id: String, path: &Path, stamp: Stamp) -> Option<Self> {
        let row = compare::read(&Folder::open(path).ok()?).ok()?;
        Some(Self {
            id,
            monitor: row.monitor.to_string(),
            best: row.monitor.best(&row.epochs).map(|epoch| epoch.number),
            keys: row.keys.into_iter().map(|(key, value)| (key, value.into())).collect(),
            epochs: row.epochs.iter().map(|epoch| json!(epoch)).collect(),
            name: row.name,
            stamp,
        })
    }
}

/// The state that one page has received.
#[derive(Default)]
pub(super) struct Told(BTreeMap<String, Seen>);

impl Told {
    /// The news for the page, if there are any: for each changed run the epochs that the page does not have, and with
    /// the first of them all else.
    pub fn news(&mut self, now: &[Seen]) -> Option<Value> {
        let mut runs = Vec::new();
        for seen in now {
            let before = self.0.get(&seen.run.id);
            let is_same = before.is_some_and(|before| {
                Arc::ptr_eq(&before.run, &seen.run)
                    && before.process == seen.process
                    && before.progress == seen.progress
            });
            if is_same {
                continue;
            }
            let known = before.map_or(0, |before| {
                // Repeated epochs may differ from the ones that were sent.
                let is_begun =
                    seen.run.epochs.starts_with(&before.run.epochs) && before.run.keys == seen.run.keys;
                if is_begun { before.run.epochs.len() } else { 0 }
            });
            let Run { id, name, monitor, keys, epochs, best, .. } = &*seen.run;
            let mut object = json!({
                "id": id,
                "from": known,
                "epochs": epochs[known..],
                "best": best,
                "time": seen.run.time(),
                "running": seen.process.is_some(),
                "progress": seen.progress,
            });
            if known == 0 {
                object["name"] = json!(name);
                object["monitor"] = json!(monitor);
                object["keys"] = json!(keys);
            }
            runs.push(object);
        }
        let is_there = |id: &String| now.iter().any(|seen| seen.run.id == *id);
        let gone: Vec<String> = self.0.keys().filter(|id| !is_there(id)).cloned().collect();
        self.0 = now.iter().map(|seen| (seen.run.id.clone(), seen.clone())).collect();
        let is_news = !runs.is_empty() || !gone.is_empty();
        is_news.then(|| json!({ "runs": runs, "gone": gone }))
    }
}
