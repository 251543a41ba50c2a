//! What the readers of binary files share.

use crate::array::{Array, DType, Element};
use crate::error::{Error, Result};
use crate::file;
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;

/// Deflate makes of one byte at most 1,032: a match of 258 bytes takes two bits or more.
pub(crate) const MAX_EXPANSION: usize = 1032;

/// The whole of a file.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>> {
    file::read("read", path)
}

/// A file from its beginning, and how many bytes it has.
pub(crate) fn open_file(path: &Path) -> Result<(BufReader<File>, usize)> {
    let (file, length) = file::open("read", path)?;
    Ok((BufReader::with_capacity(1 << 16, file), length))
}

/// Reads exactly the bytes that a header declares for elements of `element` bytes in `shape`, the rest of a
/// file that could hold `most` bytes. A header that declares more is refused before anything is allocated.
pub(crate) fn read_elements(
    path: &Path,
    reader: impl Read,
    element: usize,
    shape: &[usize],
    most: usize,
) -> Result<Vec<u8>> {
    let damaged = |got: String| {
        let message = format!(
            "its header declares {shape:?} elements of {element} bytes, got {got}; \
             the file is damaged or cut short, fetch or write it again"
        );
        Error::format(path, message)
    };
    let Some(expected) = size(element, shape).filter(|&expected| expected <= most) else {
        return Err(damaged(format!("a file that can hold no more than {most} bytes")));
    };
    let mut bytes = Vec::new();
    if bytes.try_reserve_exact(expected).is_err() {
        return Err(Error::format(path, format!("not enough memory for its {expected} bytes")));
    }
    match reader.take(expected as u64 + 1).read_to_end(&mut bytes) {
        Ok(got) if got == expected => Ok(bytes),
        Ok(got) if got < expected => Err(damaged(format!("{got} bytes"))),
        Ok(_) => Err(damaged(format!("more than {expected} bytes"))),
        Err(e) => Err(damaged(format!("{} bytes and then \"{e}\"", bytes.len()))),
    }
}

/// What a header that could not be read to its end is answered with.
pub(crate) fn short_header(path: &Path, kind: &str, error: &std::io::Error) -> Error {
    let got = match error.kind() {
        ErrorKind::UnexpectedEof => "a file that ends within it".to_string(),
        _ => format!("\"{error}\""),
    };
    Error::format(path, format!("expected the header of {kind} file, got {got}; fetch or write it again"))
}

/// The bytes of an array; `None` beyond what memory can address, whichever way its sizes are multiplied.
fn size(element: usize, shape: &[usize]) -> Option<usize> {
    let product = shape.iter().try_fold(element, |n, &d| n.checked_mul(d.max(1)))?;
    isize::try_from(product).ok()?;
    Some(if shape.contains(&0) { 0 } else { product })
}

/// Turns the bytes of every element around: big-endian to little-endian.
pub(crate) fn swap_bytes(bytes: &mut [u8], element: usize) {
    if element > 1 {
        bytes.chunks_exact_mut(element).for_each(<[u8]>::reverse);
    }
}

/// Widens elements of `N` bytes that [`DType`] lacks to a type that it has.
pub(crate) fn widen<const N: usize, T: Element>(
    shape: &[usize],
    bytes: &[u8],
    f: impl Fn([u8; N]) -> T,
) -> Result<Array> {
    let element = |bytes: &[u8]| {
        let mut one = [0; N];
        one.copy_from_slice(bytes);
        f(one)
    };
    Array::new(shape, bytes.chunks_exact(N).map(element).collect())
}

/// Refuses infinite values and NaN in an array `[n, ...]` of f32; u8 has none.
pub(crate) fn check_finite(array: &Array) -> Result<()> {
    if array.dtype() != DType::F32 {
        return Ok(());
    }
    let values = array.bytes().chunks_exact(DType::F32.size()).map(f32::from_bytes);
    for (i, value) in values.enumerate() {
        if !value.is_finite() {
            let row = i / (array.len() / array.shape()[0]).max(1);
            return Err(Error::value("values", "finite numbers of f32", format!("{value} in row {row}")));
        }
    }
    Ok(())
}

/// Arrays `[n, rest...]` of one type and one `rest`, one below the other; there is at least one. The first one's memory
/// is made longer, which where there is room behind it copies nothing of what may be most of the data.
pub(crate) fn concatenate(path: &Path, parts: Vec<Array>) -> Result<Array> {
    let (dtype, mut shape) = (parts[0].dtype(), parts[0].shape().to_vec());
    let mut size = 0;
    for part in &parts {
        if part.shape().get(1..) != shape.get(1..) || part.dtype() != dtype {
            let message = format!(
                "expected training and test rows of one shape and type, got {dtype}{shape:?} and {}{:?}",
                part.dtype(),
                part.shape()
            );
            return Err(Error::format(path, message));
        }
        size += part.bytes().len();
    }
    shape[0] = parts.iter().map(|part| part.shape()[0]).sum();
    let mut parts = parts.into_iter().map(Array::into_bytes);
    let mut bytes = parts.next().unwrap_or_default();
    bytes.reserve_exact(size - bytes.len());
    parts.for_each(|part| bytes.extend(part));
    Array::from_bytes(dtype, &shape, bytes)
}
