//! PNG and JPEG files: single pictures, and folders of them by class. Decoding them needs the feature `images`.

#[cfg(feature = "images")]
mod decode;
mod folder;
#[cfg(feature = "images")]
mod jpeg;

#[cfg(feature = "images")]
pub use decode::decode;
pub use folder::folder;
pub(crate) use folder::{Pictures, load, open};

use super::bytes;
use crate::array::Array;
#[cfg(not(feature = "images"))]
use crate::error::Error;
use crate::error::Result;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The size that pictures of different sizes are brought to where nobody names one.
pub(crate) const COMMON_SIZE: [usize; 2] = [64, 64];

/// The channels of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Color {
    /// Brightness alone: u8 `[height, width, 1]`; of colours, the luma of ITU-R BT.601.
    Gray,
    /// Red, green, blue: u8 `[height, width, 3]`.
    Rgb,
}

/// The colour behind transparent pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Background {
    /// Transparent pixels become white.
    #[default]
    White,
    /// Transparent pixels become black.
    Black,
    /// Red, green, blue.
    Color([u8; 3]),
}

impl Background {
    fn rgb(self) -> [u8; 3] {
        match self {
            Background::White => [255; 3],
            Background::Black => [0; 3],
            Background::Color(rgb) => rgb,
        }
    }
}

/// The target format of pictures; `None` leaves them as they are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// Height and width to resize to, without regard to their ratio.
    pub size: Option<[usize; 2]>,
    /// Grey or RGB; as the first file has it if `None`.
    pub color: Option<Color>,
    /// The colour behind transparent pixels.
    pub background: Background,
}

impl Form {
    /// The form of samples of this shape; `None` when they are no pictures.
    ///
    /// ```
    /// use neural::data::images::Form;
    /// assert_eq!(Form::of_sample(&[32, 24, 3]).and_then(|form| form.size), Some([32, 24]));
    /// assert_eq!(Form::of_sample(&[28, 28]), Form::of_sample(&[28, 28, 1]));
    /// assert_eq!(Form::of_sample(&[784]), None);
    /// ```
    pub fn of_sample(shape: &[usize]) -> Option<Self> {
        let color = match shape {
            [_, _] | [_, _, 1] => Color::Gray,
            [_, _, 3] => Color::Rgb,
            _ => return None,
        };
        Some(Self { size: Some([shape[0], shape[1]]), color: Some(color), ..Self::default() })
    }
}

/// Reads a PNG or JPEG file, recognised by its contents: u8 `[height, width, 1]` or `[height, width, 3]`.
///
/// A picture is rotated by its EXIF orientation and composed over the background where it is transparent; 16 bits are
/// rounded to 8.
///
/// # Errors
/// When the file cannot be read, is not PNG or JPEG, is damaged or cut short, or declares a size that its bytes
/// cannot fill.
pub fn read(path: impl AsRef<Path>, form: Form) -> Result<Array> {
    let path = path.as_ref();
    decode(path, &bytes::read_file(path)?, form)
}

/// Decodes nothing: the feature `images` is not part of this build.
///
/// # Errors
/// Always.
#[cfg(not(feature = "images"))]
pub fn decode(path: &Path, _contents: &[u8], _form: Form) -> Result<Array> {
    Err(Error::without_feature(path, "images"))
}
