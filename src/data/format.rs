//! The formats of stored data, and their detection.

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The form in which data is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Format {
    /// A folder with the four files of MNIST or its likes: [`idx::mnist`](super::idx::mnist).
    Idx,
    /// A table, as delimited text, JSON lines, Parquet or Arrow, in one file or several: `data::table::Table`.
    Table,
    /// A folder of PNG and JPEG files by class: [`images::folder`](super::images::folder).
    Images,
    /// A folder with the binary version of CIFAR-10: [`cifar::read`](super::cifar::read).
    Cifar10,
    /// A folder with the binary version of CIFAR-100: [`cifar::read`](super::cifar::read).
    Cifar100,
    /// An NPZ archive, or a folder of NPY files.
    Npy,
    /// A safetensors file.
    Safetensors,
    /// A text, as sequences of its characters.
    Text,
}

impl Format {
    /// The format of the file or folder at `path`, detected by its name or the folder's contents; `None` if neither
    /// tells.
    ///
    /// ```
    /// use neural::data::Format;
    /// assert_eq!(Format::detect("pizza.csv".as_ref()), Some(Format::Table));
    /// assert_eq!(Format::detect("pizza".as_ref()), None);
    /// ```
    pub fn detect(path: &Path) -> Option<Self> {
        let holds = |name: &str| path.join(name).exists();
        let ends = |path: &Path, endings: &[&str]| {
            path.extension().is_some_and(|e| endings.iter().any(|ending| e.eq_ignore_ascii_case(ending)))
        };
        if !path.is_dir() {
            let known: [(Format, &[&str]); 4] = [
                (Format::Table, &["csv", "tsv", "txt", "tab", "dat", "data", "jsonl", "ndjson"]),
                (Format::Table, &["parquet", "feather", "arrow", "arrows", "ipc", "db", "sqlite", "sqlite3"]),
                (Format::Npy, &["npz", "npy"]),
                (Format::Safetensors, &["safetensors"]),
            ];
            let of = |path: &Path| {
                known.iter().find(|(_, endings)| ends(path, endings)).map(|(format, _)| *format)
            };
            let unzipped = if ends(path, &["gz", "zst"]) { path.file_stem().map(Path::new) } else { None };
            return match unzipped {
                Some(stem) => of(stem).filter(|format| *format == Format::Table),
                None => of(path),
            };
        }
        if holds("data_batch_1.bin") {
            return Some(Format::Cifar10);
        }
        if holds("train.bin") {
            return Some(Format::Cifar100);
        }
        let entries: Vec<PathBuf> =
            path.read_dir().ok()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
        let named = |start: &str| {
            entries
                .iter()
                .any(|p| p.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(start.as_bytes())))
        };
        if named("train-images") || named("t10k-images") {
            return Some(Format::Idx);
        }
        if entries.iter().any(|entry| ends(entry, &["npy"])) {
            return Some(Format::Npy);
        }
        if entries.iter().any(|entry| entry.is_dir()) {
            return Some(Format::Images);
        }
        entries.iter().any(|entry| Self::detect(entry) == Some(Format::Table)).then_some(Format::Table)
    }
}
