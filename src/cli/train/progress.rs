//! A run's progress within its epoch, as a file for `neural watch`.

use crate::runs::Folder;
use crate::train::Progress;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// At most a file a second; short runs have none.
const EVERY: Duration = Duration::from_secs(1);

pub(in crate::cli) const FILE: &str = "progress.json";

/// The file exists while the run trains. Failed writes are ignored.
pub(super) struct Beat {
    path: PathBuf,
    last: Instant,
}

impl Beat {
    pub fn new(folder: &Folder) -> Self {
        Self { path: folder.file(FILE), last: Instant::now() }
    }

    pub fn show(&mut self, progress: &Progress) {
        if self.last.elapsed() < EVERY {
            return;
        }
        self.last = Instant::now();
        if let Ok(text) = serde_json::to_string(progress) {
            let _ = fs::write(&self.path, text);
        }
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
