//! Helpers of the readers of binary files.

use crate::array::{Array, Element};
use crate::error::{Error, Result};
use crate::file;
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;

/// Deflate expands one byte to at most 1,032: a match of 258 bytes takes two bits or more.
pub(crate) const MAX_EXPANSION: usize = 1032;

/// How a gzipped file begins.
pub(crate) const GZIP: [u8; 2] = [0x1f, 0x8b];

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
    let damaged = |got| damaged(path, element, shape, got);
    let (mut bytes, expected) = room(path, element, shape, most)?;
    match reader.take(expected as u64 + 1).read_to_end(&mut bytes) {
        Ok(got) if got == expected => Ok(bytes),
        Ok(got) if got < expected => Err(damaged(format!("{got} bytes"))),
        Ok(_) => Err(damaged(format!("more than {expected} bytes"))),
        Err(e) => Err(damaged(format!("{} bytes and then \"{e}\"", bytes.len()))),
    }
}

/// [`read_elements`] of a file in which the first index changes fastest; in the result the last one does. The elements
/// go to their places as they are read, so that they are in memory once.
pub(crate) fn read_transposed(
    path: &Path,
    mut reader: impl Read,
    element: usize,
    shape: &[usize],
    most: usize,
) -> Result<Vec<u8>> {
    let (mut bytes, expected) = room(path, element, shape, most)?;
    bytes.resize(expected, 0);
    // The bytes from one element to the next along each axis, where the last changes fastest.
    let mut strides = vec![element; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    let mut index = vec![0; shape.len()];
    let (mut at, mut got) = (0, 0);
    let mut block = vec![0; (expected.min(BLOCK) / element.max(1)).max(1) * element];
    while got < expected {
        let length = block.len().min(expected - got);
        let read = read_fully(&mut reader, &mut block[..length])
            .map_err(|e| damaged(path, element, shape, format!("{got} bytes and then \"{e}\"")))?;
        if read < length {
            return Err(damaged(path, element, shape, format!("{} bytes", got + read)));
        }
        got += length;
        for one in block[..length].chunks_exact(element) {
            bytes[at..at + element].copy_from_slice(one);
            for axis in 0..shape.len() {
                index[axis] += 1;
                at += strides[axis];
                if index[axis] < shape[axis] {
                    break;
                }
                at -= strides[axis] * shape[axis];
                index[axis] = 0;
            }
        }
    }
    match read_fully(&mut reader, &mut [0]) {
        Ok(0) => Ok(bytes),
        _ => Err(damaged(path, element, shape, format!("more than {expected} bytes"))),
    }
}

/// Bytes of a file that are turned around at a time.
const BLOCK: usize = 1 << 20;

/// Reads until the buffer is full or the end is reached, and returns the number of bytes.
fn read_fully(reader: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match reader.read(&mut buffer[read..]) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(read)
}

fn damaged(path: &Path, element: usize, shape: &[usize], got: String) -> Error {
    let message = format!(
        "its header declares {shape:?} elements of {element} bytes, got {got}; \
         the file is damaged or cut short, fetch or write it again"
    );
    Error::format(path, message)
}

/// Room for the elements that a header declares, and their bytes.
fn room(path: &Path, element: usize, shape: &[usize], most: usize) -> Result<(Vec<u8>, usize)> {
    let Some(expected) = size(element, shape).filter(|&expected| expected <= most) else {
        let got = format!("a file that can hold no more than {most} bytes");
        return Err(damaged(path, element, shape, got));
    };
    let mut bytes = Vec::new();
    if bytes.try_reserve_exact(expected).is_err() {
        return Err(Error::format(path, format!("not enough memory for its {expected} bytes")));
    }
    Ok((bytes, expected))
}

/// The error for a truncated header.
pub(crate) fn short_header(path: &Path, kind: &str, error: &std::io::Error) -> Error {
    let got = match error.kind() {
        ErrorKind::UnexpectedEof => "a file that ends within it".to_string(),
        _ => format!("\"{error}\""),
    };
    Error::format(path, format!("expected the header of {kind} file, got {got}; fetch or write it again"))
}

/// The bytes of an array; `None` where its sizes, in any order of multiplication, exceed addressable memory.
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

/// Arrays `[n, rest...]` of one type and one `rest`, one below the other; there is at least one. The first one's memory
/// is extended, which copies nothing of it, often most of the data, where there is room behind it.
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
