//! PNG and JPEG files: single pictures, and folders of them by class.

use super::{Dataset, Origins, Parts, Targets, bytes};
use crate::array::{Array, DType};
use crate::error::{Error, Result};
use image::imageops::FilterType;
use image::{DynamicImage, ImageFormat, ImageReader, Limits};
use serde::{Deserialize, Serialize};
use std::fs::{self, DirEntry};
use std::io::Cursor;
use std::path::{Path, PathBuf};

/// The longest side of a picture.
const MAX_SIDE: usize = 1 << 14;

/// The channels of a picture.
///
/// ```
/// use neural::data::images::{Color, Form};
/// assert_eq!(Form::of_sample(&[28, 28, 1]).and_then(|form| form.color), Some(Color::Gray));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Color {
    /// Brightness alone: u8 `[height, width, 1]`; of colours, the luma of ITU-R BT.601.
    Gray,
    /// Red, green, blue: u8 `[height, width, 3]`.
    Rgb,
}

/// What pictures are turned into; `None` leaves them as they are stored.
///
/// ```
/// use neural::data::images::Form;
/// assert_eq!(Form::default(), Form { size: None, color: None });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// Height and width to resize to, without regard to their ratio.
    pub size: Option<[usize; 2]>,
    pub color: Option<Color>,
}

impl Form {
    /// The form of samples of this shape; `None` when they are no pictures.
    ///
    /// ```
    /// use neural::data::images::Form;
    /// assert_eq!(Form::of_sample(&[32, 24, 3]).and_then(|form| form.size), Some([32, 24]));
    /// assert_eq!(Form::of_sample(&[784]), None);
    /// ```
    pub fn of_sample(shape: &[usize]) -> Option<Self> {
        let color = match shape {
            [_, _, 1] => Color::Gray,
            [_, _, 3] => Color::Rgb,
            _ => return None,
        };
        Some(Self { size: Some([shape[0], shape[1]]), color: Some(color) })
    }
}

/// Reads a PNG or JPEG file, known by its contents: u8 `[height, width, 1]` or `[height, width, 3]`.
///
/// Transparency is left out, and of 16 bits the upper 8 are kept.
///
/// ```
/// use neural::data::images::{Form, read};
/// assert!(read("Cargo.toml", Form::default()).is_err());
/// ```
///
/// # Errors
/// When the file cannot be read, is not PNG or JPEG, is damaged, or declares a size that its bytes cannot
/// fill.
pub fn read(path: impl AsRef<Path>, form: Form) -> Result<Array> {
    let path = path.as_ref();
    decode(path, &bytes::read_file(path)?, form)
}

/// Decodes the contents of a PNG or JPEG file; `path` is for the error only.
///
/// ```
/// use neural::data::images::{Form, decode};
/// let error = decode("a.gif".as_ref(), b"GIF89a", Form::default()).unwrap_err();
/// assert!(error.to_string().starts_with("a.gif: expected a PNG or JPEG picture"));
/// ```
///
/// # Errors
/// See [`read`].
pub fn decode(path: &Path, contents: &[u8], form: Form) -> Result<Array> {
    let refuse = |message: String| Error::format(path, message);
    let format = image::guess_format(contents).ok();
    let Some(format @ (ImageFormat::Png | ImageFormat::Jpeg)) = format else {
        return Err(refuse("expected a PNG or JPEG picture, got something else; convert it".into()));
    };
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE as u32);
    limits.max_image_height = Some(MAX_SIDE as u32);
    limits.max_alloc = Some((contents.len() as u64 + 64).saturating_mul(bytes::MAX_EXPANSION as u64 * 4));
    let mut reader = ImageReader::with_format(Cursor::new(contents), format);
    reader.limits(limits);
    let mut picture = reader.decode().map_err(|e| refuse(format!("cannot be decoded: {e}")))?;

    if let Some([height, width]) = form.size {
        if ![height, width].iter().all(|side| (1..=MAX_SIDE).contains(side)) {
            let got = format!("{height} x {width}");
            return Err(Error::value("size", format!("a height and width from 1 to {MAX_SIDE}"), got));
        }
        if (picture.height() as usize, picture.width() as usize) != (height, width) {
            picture = picture.resize_exact(width as u32, height as u32, FilterType::Triangle);
        }
    }
    let (height, width) = (picture.height() as usize, picture.width() as usize);
    let colored = picture.color().has_color();
    match form.color.unwrap_or(if colored { Color::Rgb } else { Color::Gray }) {
        Color::Gray if colored => Array::from_bytes(DType::U8, &[height, width, 1], luma(picture)),
        Color::Gray => Array::from_bytes(DType::U8, &[height, width, 1], picture.into_luma8().into_raw()),
        Color::Rgb => Array::from_bytes(DType::U8, &[height, width, 3], picture.into_rgb8().into_raw()),
    }
}

/// 0.299 red + 0.587 green + 0.114 blue, rounded, as most libraries do; the crate's own conversion is BT.709.
fn luma(picture: DynamicImage) -> Vec<u8> {
    let weigh = |pixel: &[u8]| {
        let weighted =
            [299, 587, 114].iter().zip(pixel).map(|(weight, &x)| weight * u32::from(x)).sum::<u32>();
        ((weighted + 500) / 1000) as u8
    };
    picture.into_rgb8().chunks_exact(3).map(weigh).collect()
}

/// Reads a folder that holds a folder of PNG and JPEG files for each class, or holds `train`, `test` and
/// `validation` (or `val`) folders that do. Classes and files come in the order of their names; hidden ones,
/// links, and files beside the classes' folders are passed over.
///
/// ```
/// use neural::data::images::{Form, folder};
/// assert!(folder("no/such/folder", Form::default()).is_err());
/// ```
///
/// # Errors
/// When there are no pictures, something in a class's folder is not one, or they are not all of one size and
/// colour and `form` does not make them so.
pub fn folder(path: impl AsRef<Path>, form: Form) -> Result<Dataset> {
    let path = path.as_ref();
    let (inputs, targets, parts) = load(path, form)?;
    Dataset::new(inputs, targets, parts.splits()).map_err(|e| Error::format(path, e.to_string()))
}

pub(crate) fn load(path: &Path, form: Form) -> Result<(Array, Targets, Parts)> {
    let mut pictures = Pictures { form, shape: Vec::new(), first: PathBuf::new(), bytes: Vec::new() };
    let train = path.join("train");
    if !train.is_dir() || folders(&train)?.is_empty() {
        let names = class_names(path)?;
        let labels = pictures.part(path, &names)?;
        let parts = Parts::undivided(labels.len());
        return Ok((pictures.array(path, labels.len())?, Targets::Classes { labels, names }, parts));
    }
    let names = class_names(&train)?;
    let mut labels = pictures.part(&train, &names)?;
    let mut ends = vec![labels.len()];
    for part in [&["validation", "val"][..], &["test"]] {
        if let Some(part) = part.iter().map(|name| path.join(name)).find(|part| part.is_dir()) {
            labels.extend(pictures.part(&part, &names)?);
        }
        ends.push(labels.len());
    }
    let origins = Origins::new("the folder train", "the folder validation", "the folder test");
    let parts = Parts { train: ends[0], validation: ends[1] - ends[0], test: ends[2] - ends[1], origins };
    Ok((pictures.array(path, labels.len())?, Targets::Classes { labels, names }, parts))
}

/// Pictures of one shape, one after the other.
struct Pictures {
    form: Form,
    shape: Vec<usize>,
    first: PathBuf,
    bytes: Vec<u8>,
}

impl Pictures {
    /// Adds the pictures of every class in one folder, and returns their labels.
    fn part(&mut self, path: &Path, names: &[String]) -> Result<Vec<i32>> {
        let mut labels = Vec::new();
        for class in folders(path)? {
            let name = name(&class);
            let Some(label) = names.iter().position(|known| *known == name) else {
                let message = format!("expected one of the classes {}, got \"{name}\"", names.join(", "));
                return Err(Error::format(&class, message));
            };
            for file in entries(&class)? {
                self.add(&file.path())?;
                labels.push(label as i32);
            }
        }
        Ok(labels)
    }

    fn add(&mut self, path: &Path) -> Result<()> {
        let picture = read(path, self.form)?;
        if self.bytes.is_empty() {
            self.shape = picture.shape().to_vec();
            self.first = path.to_path_buf();
        }
        if picture.shape() != self.shape {
            let message = format!(
                "expected a picture of shape {:?} as {} is, got {:?}; set size or color to make all alike",
                self.shape,
                self.first.display(),
                picture.shape()
            );
            return Err(Error::format(path, message));
        }
        self.bytes.extend_from_slice(picture.bytes());
        Ok(())
    }

    fn array(self, path: &Path, rows: usize) -> Result<Array> {
        if rows == 0 {
            return Err(Error::format(
                path,
                "expected PNG or JPEG files in the folders of the classes, got none",
            ));
        }
        Array::from_bytes(DType::U8, &[&[rows], &self.shape[..]].concat(), self.bytes)
    }
}

fn class_names(path: &Path) -> Result<Vec<String>> {
    let names: Vec<String> = folders(path)?.iter().map(|folder| name(folder)).collect();
    if names.is_empty() {
        return Err(Error::format(
            path,
            "expected a folder of PNG or JPEG files for each class, got no folder",
        ));
    }
    Ok(names)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn folders(path: &Path) -> Result<Vec<PathBuf>> {
    let entries = entries(path)?.into_iter().map(|entry| entry.path());
    Ok(entries.filter(|path| path.is_dir()).collect())
}

/// What a folder holds, by name, without links and hidden files.
fn entries(path: &Path) -> Result<Vec<DirEntry>> {
    let failed = |e| Error::io("read", path, e);
    let mut entries = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if !hidden && !entry.file_type().map_err(failed)?.is_symlink() {
            entries.push(entry);
        }
    }
    entries.sort_by_key(DirEntry::file_name);
    Ok(entries)
}
