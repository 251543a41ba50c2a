//! Folders of pictures by class.

use super::{Form, read};
use crate::array::{Array, DType, count};
use crate::data::{Dataset, Origins, Parts, ReadError, Rows, Targets};
use crate::error::{Error, Result};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The names that the parts' folders go by, in any case of letters.
const TRAIN: [&str; 2] = ["train", "training"];
const VALIDATION: [&str; 3] = ["validation", "valid", "val"];
const TEST: [&str; 2] = ["test", "testing"];

/// Files among pictures that are none: left by systems and tools, or notes, by name or extension.
const JUNK: [&str; 4] = ["thumbs.db", "desktop.ini", "readme", "license"];
const NOTES: [&str; 13] =
    ["txt", "md", "rst", "json", "csv", "tsv", "xml", "yaml", "yml", "ini", "log", "html", "pdf"];

/// Folders that archives and tools leave.
const JUNK_FOLDERS: [&str; 2] = ["__macosx", "@eadir"];

/// Reads a folder that holds a folder of PNG and JPEG files for each class, or holds folders `train` and optionally
/// `validation` (or `valid`, `val`) and `test` that do. Pictures may lie in subfolders of the classes' folders; links
/// are followed. Classes and files come in the order of their names.
///
/// Hidden files and well-known files that are no pictures (`Thumbs.db`, `README`, `*.txt`) are skipped;
/// [`Dataset::notes`] counts them.
///
/// # Errors
/// When there are no pictures, a class to train on has none, something else in a class's folder is not one, a link leads
/// back to a folder that it lies in, or the pictures are not all of one size and colour and `form` does not make them so.
pub fn folder(path: impl AsRef<Path>, form: Form) -> Result<Dataset> {
    let path = path.as_ref();
    let (inputs, targets, parts, notes) = load(path, form)?;
    let data =
        Dataset::new(inputs, targets, parts.splits()).map_err(|e| Error::format(path, e.to_string()))?;
    Ok(Dataset { origins: parts.origins, notes, ..data })
}

pub(crate) fn load(path: &Path, form: Form) -> Result<(Array, Targets, Parts, Vec<String>)> {
    let (files, targets, parts, notes) = scan(path)?;
    let shape = read(&files[0], form)?.shape().to_vec();
    Ok((decode_all(&files, (&files[0], &shape), form)?, targets, parts, notes))
}

/// Pictures that are decoded when needed, with targets, parts and notes as from [`load`].
type Opened = (Box<dyn Rows>, Targets, Parts, Vec<String>);

/// As [`load`], without decoding the pictures.
pub(crate) fn open(path: &Path, form: Form) -> Result<Opened> {
    let (files, targets, parts, notes) = scan(path)?;
    let shape = read(&files[0], form)?.shape().to_vec();
    Ok((Box::new(Files { paths: files, shape, form }), targets, parts, notes))
}

/// The files of pictures, each of which is a row.
struct Files {
    paths: Vec<PathBuf>,
    /// The shape of each picture.
    shape: Vec<usize>,
    form: Form,
}

impl Rows for Files {
    fn count(&self) -> usize {
        self.paths.len()
    }

    fn read(&self, rows: &[u32]) -> Result<Vec<Array>, ReadError> {
        let files: Vec<PathBuf> =
            rows.iter().filter_map(|&row| self.paths.get(row as usize).cloned()).collect();
        Ok(vec![decode_all(&files, (&self.paths[0], &self.shape), self.form)?])
    }
}

/// The files of all parts, at least one, with their classes, and notes on skipped files.
fn scan(path: &Path) -> Result<(Vec<PathBuf>, Targets, Parts, Vec<String>)> {
    let mut pictures = Pictures::default();
    let top = pictures.classes(path)?;
    let [train, validation, test] = [&TRAIN[..], &VALIDATION, &TEST].map(|names| part(path, &top, names));
    let [train, validation, test] = [train?, validation?, test?];
    let (names, labels, parts) = match train {
        None => {
            let names = class_names(path, &top)?;
            let labels = pictures.part(&top, &names, true)?;
            let parts = Parts::undivided(labels.len());
            (names, labels, parts)
        }
        Some(train) => {
            let known = [Some(train), validation, test];
            pictures.pass_over(top.iter().filter(|folder| !known.contains(&Some(*folder))));
            let classes = pictures.classes(train)?;
            let names = class_names(train, &classes)?;
            let mut labels = pictures.part(&classes, &names, true)?;
            let mut ends = vec![labels.len()];
            for part in [validation, test] {
                if let Some(part) = part {
                    let classes = pictures.classes(part)?;
                    labels.extend(pictures.part(&classes, &names, false)?);
                }
                ends.push(labels.len());
            }
            let origin = |part: Option<&PathBuf>| {
                part.map_or_else(String::new, |part| format!("the folder {}", name(part)))
            };
            let origins =
                Origins { train: origin(Some(train)), validation: origin(validation), test: origin(test) };
            let parts =
                Parts { train: ends[0], validation: ends[1] - ends[0], test: ends[2] - ends[1], origins };
            (names, labels, parts)
        }
    };
    if labels.is_empty() {
        return Err(Error::format(
            path,
            "expected PNG or JPEG files in the folders of the classes, got none",
        ));
    }
    let notes = pictures.notes();
    Ok((pictures.files, Targets::Classes { labels, names }, parts, notes))
}

/// The folder of a part, if it exists under one of its names and holds folders.
fn part<'a>(path: &Path, folders: &'a [PathBuf], names: &[&str]) -> Result<Option<&'a PathBuf>> {
    let mut found = Vec::new();
    for folder in folders {
        if names.iter().any(|known| name(folder).eq_ignore_ascii_case(known)) && holds_folder(folder)? {
            found.push(folder);
        }
    }
    match found[..] {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        [one, other, ..] => {
            let message =
                format!("expected one of {} and {}, got both; merge or rename them", name(one), name(other));
            Err(Error::format(path, message))
        }
    }
}

fn holds_folder(path: &Path) -> Result<bool> {
    Ok(Pictures::default().entries(path)?.iter().any(|(_, metadata)| metadata.is_dir()))
}

/// The files of pictures in folders, and the skipped files.
#[derive(Default)]
pub(crate) struct Pictures {
    pub(crate) files: Vec<PathBuf>,
    /// The number of skipped files and folders of each name.
    passed: BTreeMap<String, usize>,
}

impl Pictures {
    /// The pictures in a folder and in the folders within it.
    pub(crate) fn within(path: &Path) -> Result<Self> {
        let mut pictures = Self::default();
        pictures.walk(path, &mut Vec::new())?;
        Ok(pictures)
    }

    /// A sentence about the skipped files.
    pub(crate) fn notes(&self) -> Vec<String> {
        let count: usize = self.passed.values().sum();
        if count == 0 {
            return Vec::new();
        }
        let named = |(name, count): (&String, &usize)| match count {
            1 => name.clone(),
            _ => format!("{name} ({count})"),
        };
        let mut names: Vec<String> = self.passed.iter().take(SHOWN).map(named).collect();
        if self.passed.len() > SHOWN {
            names.push("…".into());
        }
        let files = if count == 1 {
            "file that is no picture of a class"
        } else {
            "files that are no pictures of a class"
        };
        vec![format!("passed over {count} {files}: {}", names.join(", "))]
    }

    /// The folders in a folder; files beside them are of no class.
    fn classes(&mut self, path: &Path) -> Result<Vec<PathBuf>> {
        let (folders, files): (Vec<_>, Vec<_>) =
            self.entries(path)?.into_iter().partition(|(_, metadata)| metadata.is_dir());
        self.pass_over(files.iter().map(|(path, _)| path));
        Ok(folders.into_iter().map(|(path, _)| path).collect())
    }

    /// Adds the pictures of every class, and returns their labels.
    fn part(&mut self, classes: &[PathBuf], names: &[String], is_train: bool) -> Result<Vec<i32>> {
        let mut labels = Vec::new();
        for class in classes {
            let name = name(class);
            let Some(label) = names.iter().position(|known| *known == name) else {
                let message = format!("expected one of the classes {}, got \"{name}\"", names.join(", "));
                return Err(Error::format(class, message));
            };
            let before = self.files.len();
            self.walk(class, &mut Vec::new())?;
            if is_train && self.files.len() == before && classes.len() > 1 {
                let message =
                    "expected PNG or JPEG files of this class to train on, got none; remove the folder";
                return Err(Error::format(class, message));
            }
            labels.resize(self.files.len() - before + labels.len(), label as i32);
        }
        Ok(labels)
    }

    /// Adds the pictures in a folder, by name, and those in the folders within it. `above` are the folders that it lies
    /// in, as links may lead back to one.
    fn walk(&mut self, path: &Path, above: &mut Vec<(u64, u64)>) -> Result<()> {
        let metadata = fs::metadata(path).map_err(|e| Error::io("read", path, e))?;
        let this = (metadata.dev(), metadata.ino());
        if above.contains(&this) {
            let message = "expected pictures, got a link to a folder that it lies in; remove the link";
            return Err(Error::format(path, message));
        }
        above.push(this);
        for (path, metadata) in self.entries(path)? {
            if metadata.is_dir() {
                self.walk(&path, above)?;
            } else if is_junk(&name(&path)) {
                self.pass_over([&path]);
            } else {
                self.files.push(path);
            }
        }
        above.pop();
        Ok(())
    }

    fn pass_over<'a>(&mut self, paths: impl IntoIterator<Item = &'a PathBuf>) {
        for path in paths {
            *self.passed.entry(name(path)).or_default() += 1;
        }
    }

    /// The entries of a folder by name, with links followed. Hidden ones are skipped.
    fn entries(&mut self, path: &Path) -> Result<Vec<(PathBuf, fs::Metadata)>> {
        let failed = |path: &Path| {
            let path = path.to_path_buf();
            move |e| Error::io("read", &path, e)
        };
        let mut entries = Vec::new();
        for entry in fs::read_dir(path).map_err(failed(path))? {
            let path = entry.map_err(failed(path))?.path();
            let name = name(&path);
            if name.starts_with('.') || JUNK_FOLDERS.contains(&&*name.to_ascii_lowercase()) {
                self.pass_over([&path]);
                continue;
            }
            let metadata = fs::metadata(&path).map_err(failed(&path))?;
            entries.push((path, metadata));
        }
        entries.sort_by(|(a, _), (b, _)| a.file_name().cmp(&b.file_name()));
        Ok(entries)
    }
}

/// The number of names of skipped files in a note.
const SHOWN: usize = 6;

fn is_junk(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let (stem, ending) = name.rsplit_once('.').unwrap_or((&name, ""));
    JUNK.contains(&&*name) || JUNK.contains(&stem) || NOTES.contains(&ending)
}

/// Pictures of one shape, `[n, height, width, channels]` in the order of the files, decoded on all cores. The file
/// `first` determines the `shape`; if several are refused, the first one is named.
fn decode_all(files: &[PathBuf], (first, shape): (&Path, &[usize]), form: Form) -> Result<Array> {
    let size = files.len().saturating_mul(count(shape));
    let mut bytes = Vec::new();
    if bytes.try_reserve_exact(size).is_err() {
        let message = format!(
            "not enough memory for the {size} bytes of {} pictures of shape {shape:?}; set a smaller size",
            files.len()
        );
        return Err(Error::format(first, message));
    }
    bytes.resize(size, 0);
    let decode = |(slot, path): (&mut [u8], &PathBuf)| {
        let picture = read(path, form)?;
        if picture.shape() != shape {
            let message = format!(
                "expected a picture of shape {shape:?} as {} is, got {:?}; set size or color to make all alike",
                first.display(),
                picture.shape()
            );
            return Err(Error::format(path, message));
        }
        slot.copy_from_slice(picture.bytes());
        Ok(())
    };
    let slots = bytes.par_chunks_mut(count(shape)).zip(files);
    match slots.map(|one| decode(one).err()).find_map_first(|refused| refused) {
        Some(error) => Err(error),
        None => Array::from_bytes(DType::U8, &[&[files.len()], shape].concat(), bytes),
    }
}

fn class_names(path: &Path, classes: &[PathBuf]) -> Result<Vec<String>> {
    let is_part = |folder: &PathBuf| {
        [&TRAIN[..], &VALIDATION, &TEST].concat().iter().any(|part| name(folder).eq_ignore_ascii_case(part))
    };
    if classes.is_empty() {
        return Err(Error::format(
            path,
            "expected a folder of PNG or JPEG files for each class, got no folder",
        ));
    }
    if classes.iter().all(is_part) {
        let names: Vec<String> = classes.iter().map(|class| name(class)).collect();
        let message = format!(
            "expected a folder train with a folder of pictures for each class beside other parts, got {}",
            names.join(", ")
        );
        return Err(Error::format(path, message));
    }
    Ok(classes.iter().map(|class| name(class)).collect())
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
