//! Decoding of PNG and JPEG.

use super::{Color, Form, jpeg};
use crate::array::{Array, DType};
use crate::data::bytes;
use crate::error::{Error, Result};
use image::imageops::FilterType;
use image::{DynamicImage, GrayImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};
use std::io::Cursor;
use std::path::Path;

/// The longest side of a picture.
const MAX_SIDE: usize = 1 << 14;

/// Decodes the contents of a PNG or JPEG file; `path` is for the error only.
///
/// ```
/// use neural::data::images::{Form, decode};
/// let error = decode("a.gif".as_ref(), b"GIF89a", Form::default()).unwrap_err();
/// assert!(error.to_string().starts_with("a.gif: expected a PNG or JPEG picture"));
/// ```
///
/// # Errors
/// See [`read`](super::read).
pub fn decode(path: &Path, contents: &[u8], form: Form) -> Result<Array> {
    let refuse = |message: String| Error::format(path, message);
    let format = match image::guess_format(contents) {
        Ok(format @ (ImageFormat::Png | ImageFormat::Jpeg)) => format,
        Ok(other) => {
            let name = format!("{other:?}").to_uppercase();
            return Err(refuse(format!("expected a PNG or JPEG picture, got {name}; convert it")));
        }
        Err(_) => return Err(refuse("expected a PNG or JPEG picture, got a file that is none".into())),
    };
    if format == ImageFormat::Jpeg && !jpeg::is_whole(contents) {
        return Err(refuse("cut short: the picture's end is missing; fetch or write it again".into()));
    }
    let mut picture = decode_as(format, contents).map_err(|e| refuse(format!("cannot be decoded: {e}")))?;
    if picture.color().has_alpha() {
        picture = opaque(picture, form.background.rgb());
    }
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

/// The picture, rotated upright. It takes no more memory than its bytes can fill, whatever its header claims.
fn decode_as(format: ImageFormat, contents: &[u8]) -> image::ImageResult<DynamicImage> {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE as u32);
    limits.max_image_height = Some(MAX_SIDE as u32);
    limits.max_alloc = Some((contents.len() as u64 + 64).saturating_mul(bytes::MAX_EXPANSION as u64 * 4));
    let mut reader = ImageReader::with_format(Cursor::new(contents), format);
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder()?;
    limits.reserve(decoder.total_bytes())?;
    // Metadata that cannot be read turns nothing.
    let orientation = decoder.orientation();
    let mut picture = DynamicImage::from_decoder(decoder)?;
    if let Ok(orientation) = orientation {
        picture.apply_orientation(orientation);
    }
    Ok(picture)
}

/// A picture laid over a background: alpha x + (1 - alpha) background, rounded.
fn opaque(picture: DynamicImage, background: [u8; 3]) -> DynamicImage {
    let blend = |x: u16, background: u8, alpha: u16| {
        let [x, background, alpha] = [x, u16::from(background) * 257, alpha].map(u64::from);
        let blended = (x * alpha + background * (65_535 - alpha) + 32_767) / 65_535;
        ((blended + 128) / 257) as u8
    };
    let [red, green, blue] = background;
    let (width, height) = (picture.width(), picture.height());
    let blended = if !picture.color().has_color() && red == green && green == blue {
        let pixels = picture.into_luma_alpha16();
        let pixels = pixels.pixels().map(|pixel| blend(pixel[0], red, pixel[1])).collect();
        GrayImage::from_raw(width, height, pixels).map(DynamicImage::from)
    } else {
        let pixels = picture.into_rgba16();
        let blended = |pixel: &image::Rgba<u16>| [0, 1, 2].map(|i| blend(pixel[i], background[i], pixel[3]));
        RgbImage::from_raw(width, height, pixels.pixels().flat_map(blended).collect()).map(DynamicImage::from)
    };
    // The number of bytes matches the pixels.
    blended.unwrap_or_default()
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
