//! NumPy arrays: `.npy` files, and with the feature `npz` archives of them.
//!
//! Format versions 1.0 to 3.0, <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.

use super::bytes;
use super::rows::files::Stored;
use crate::array::{Array, DType, count};
use crate::error::{Error, Result};
use half::f16;
use std::io::{Read, Seek};
use std::path::Path;

#[cfg(feature = "npz")]
mod archive;
#[cfg(not(feature = "npz"))]
#[path = "npy/no_archive.rs"]
mod archive;

pub use archive::Archive;

/// Longer headers belong to structured types, which are refused anyway. NumPy stops at 10,000 bytes.
const MAX_HEADER: usize = 1 << 16;

/// Reads an `.npy` file. Big-endian and Fortran-ordered arrays are converted to the order of [`Array`], and types that
/// [`DType`] lacks are widened: i1, i2 and u2 to i32, f2 to f32.
///
/// # Errors
/// When the file cannot be read, is not NPY, is of a type that has no place here (complex, text, records,
/// objects), or does not hold exactly what its header declares.
pub fn read(path: impl AsRef<Path>) -> Result<Array> {
    let path = path.as_ref();
    let (reader, length) = bytes::open_file(path)?;
    parse(path, reader, length)
}

/// Decodes the contents of an `.npy` file; `path` is for the error only.
///
/// ```
/// use neural::{Array, data::npy};
/// let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (3,)}";
/// let start = [&b"\x93NUMPY\x01\x00"[..], &[header.len() as u8, 0], header.as_bytes()].concat();
/// assert_eq!(npy::decode("x.npy".as_ref(), &[&start[..], &[1, 2, 3]].concat())?, Array::vector(&[1u8, 2, 3]));
/// assert!(npy::decode("x.npy".as_ref(), &start).is_err());
/// # Ok::<(), neural::Error>(())
/// ```
///
/// # Errors
/// See [`read`].
pub fn decode(path: &Path, contents: &[u8]) -> Result<Array> {
    parse(path, contents, contents.len())
}

/// The header's description of its array.
struct Header {
    kind: Kind,
    /// Whether the first index changes fastest.
    fortran: bool,
    shape: Vec<usize>,
}

impl Header {
    fn read(path: &Path, reader: &mut impl Read) -> Result<Self> {
        let header = read_header(path, reader)?;
        let refuse = |message: String| Error::format(path, message);
        let missing = |key| refuse(format!("expected an NPY header with '{key}', got {header:?}"));

        let descr = field(&header, "descr").and_then(quoted).ok_or_else(|| missing("descr"))?;
        let kind = Kind::of(descr).ok_or_else(|| {
            refuse(format!(
                "expected an array of bool, whole or real numbers, got the type '{descr}'; save it as float32"
            ))
        })?;
        let fortran = match field(&header, "fortran_order") {
            Some(rest) if rest.starts_with("True") => true,
            Some(rest) if rest.starts_with("False") => false,
            _ => return Err(missing("fortran_order")),
        };
        let shape = field(&header, "shape").and_then(tuple).ok_or_else(|| missing("shape"))?;
        Ok(Self { kind, fortran, shape })
    }
}

fn parse(path: &Path, mut reader: impl Read, most: usize) -> Result<Array> {
    let Header { kind, fortran, shape } = Header::read(path, &mut reader)?;
    let elements = match fortran {
        true => bytes::read_transposed(path, reader, kind.size, &shape, most)?,
        false => bytes::read_elements(path, reader, kind.size, &shape, most)?,
    };
    kind.array(&shape, elements)
}

/// A file whose rows are read when they are needed.
pub(super) fn open(path: &Path) -> Result<Stored> {
    let (mut reader, _) = bytes::open_file(path)?;
    let Header { kind, fortran, shape } = Header::read(path, &mut reader)?;
    if fortran {
        let message = "expected rows one after another, got an array in Fortran's order, whose rows cannot be read alone; \
                       save numpy.ascontiguousarray of it";
        return Err(Error::format(path, message));
    }
    let start = reader.stream_position().map_err(|e| Error::io("read", path, e))?;
    let row = kind.size.saturating_mul(count(shape.get(1..).unwrap_or(&[])));
    Stored::open(path, start, row, &shape, move |shape, elements| kind.array(shape, elements))
}

fn read_header(path: &Path, reader: &mut impl Read) -> Result<String> {
    let short = |e| bytes::short_header(path, "an NPY", &e);
    let mut start = [0; 8];
    reader.read_exact(&mut start).map_err(short)?;
    let (magic, version) = start.split_at(6);
    if magic != b"\x93NUMPY" {
        let message = format!("expected an NPY file, which starts with \"\\x93NUMPY\", got {magic:02x?}");
        return Err(Error::format(path, message));
    }
    let length = match version[0] {
        1 => {
            let mut length = [0; 2];
            reader.read_exact(&mut length).map_err(short)?;
            usize::from(u16::from_le_bytes(length))
        }
        2 | 3 => {
            let mut length = [0; 4];
            reader.read_exact(&mut length).map_err(short)?;
            u32::from_le_bytes(length) as usize
        }
        other => {
            let message = format!("expected an NPY file of version 1, 2 or 3, got version {other}");
            return Err(Error::format(path, message));
        }
    };
    if length > MAX_HEADER {
        let message = format!("expected an NPY header of at most {MAX_HEADER} bytes, got {length}");
        return Err(Error::format(path, message));
    }
    let mut header = vec![0; length];
    reader.read_exact(&mut header).map_err(short)?;
    String::from_utf8(header)
        .map_err(|_| Error::format(path, "expected an NPY header in UTF-8, got other bytes"))
}

/// The text after a key in the header, a Python dictionary.
fn field<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let after = |quote: char| header.split_once(&format!("{quote}{key}{quote}")).map(|(_, rest)| rest);
    after('\'').or_else(|| after('"'))?.trim_start().strip_prefix(':').map(str::trim_start)
}

fn quoted(rest: &str) -> Option<&str> {
    let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    rest[1..].split_once(quote).map(|(inside, _)| inside)
}

/// The whole numbers of `(2, 3)`, `(2,)` or `()`.
fn tuple(rest: &str) -> Option<Vec<usize>> {
    let (inside, _) = rest.strip_prefix('(')?.split_once(')')?;
    let inside = inside.trim();
    let inside = inside.strip_suffix(',').unwrap_or(inside);
    if inside.is_empty() {
        return Some(Vec::new());
    }
    // Python 2 wrote long numbers with an L.
    inside.split(',').map(|size| size.trim().trim_end_matches('L').parse().ok()).collect()
}

/// An element type as NumPy writes it: byte order, letter, bytes.
struct Kind {
    big_endian: bool,
    letter: char,
    size: usize,
}

impl Kind {
    fn of(descr: &str) -> Option<Self> {
        let mut chars = descr.chars();
        let big_endian = match chars.next()? {
            '<' | '|' | '=' => false,
            '>' => true,
            _ => return None,
        };
        let letter = chars.next()?;
        let size = chars.as_str().parse().ok()?;
        let known = matches!((letter, size), ('b', 1) | ('i' | 'u', 1 | 2 | 4 | 8) | ('f', 2 | 4 | 8));
        known.then_some(Self { big_endian, letter, size })
    }

    fn array(&self, shape: &[usize], mut elements: Vec<u8>) -> Result<Array> {
        if self.big_endian {
            bytes::swap_bytes(&mut elements, self.size);
        }
        let dtype = match (self.letter, self.size) {
            ('i', 1) => return bytes::widen(shape, &elements, |x| i32::from(i8::from_le_bytes(x))),
            ('i', 2) => return bytes::widen(shape, &elements, |x| i32::from(i16::from_le_bytes(x))),
            ('u', 2) => return bytes::widen(shape, &elements, |x| i32::from(u16::from_le_bytes(x))),
            ('f', 2) => return bytes::widen(shape, &elements, |x| f16::from_le_bytes(x).to_f32()),
            ('b', _) => return bytes::widen(shape, &elements, |[x]| x != 0),
            ('u', 1) => DType::U8,
            ('u', 4) => DType::U32,
            ('u', _) => DType::U64,
            ('i', 4) => DType::I32,
            ('i', _) => DType::I64,
            ('f', 4) => DType::F32,
            _ => DType::F64,
        };
        Array::from_bytes(dtype, shape, elements)
    }
}
