//! Named tensors in a safetensors file, <https://huggingface.co/docs/safetensors>.

use super::bytes;
use super::rows::files::Stored;
use crate::array::{Array, DType};
use crate::error::{Error, Result};
use half::f16;
use safetensors::tensor::{Metadata, TensorView};
use safetensors::{Dtype, SafeTensorError, SafeTensors};
use std::collections::HashMap;
use std::fs;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// The contents of a file with the tensors `(name, values)`, and a text of the file's own, `(key, text)`.
///
/// There is one text at most because the format keeps several in no order, and the same tensors must give the same
/// bytes.
///
/// ```
/// use neural::{Array, data::safetensors};
/// use std::path::Path;
/// let weight = Array::vector(&[1f32, 2.0]);
/// let contents = safetensors::encode(&[("weight", &weight)], Some(("made-by", "hand")))?;
/// let path = Path::new("values.safetensors");
/// assert_eq!(safetensors::decode(path, &contents, "weight")?, Some(weight));
/// assert_eq!(safetensors::text(path, &contents, "made-by")?.as_deref(), Some("hand"));
/// # Ok::<(), neural::Error>(())
/// ```
///
/// # Errors
/// When the names and the text are more than the format allows, 100 MB.
pub fn encode(tensors: &[(&str, &Array)], text: Option<(&str, &str)>) -> Result<Vec<u8>> {
    let mut views = Vec::with_capacity(tensors.len());
    for (name, array) in tensors {
        let view = TensorView::new(stored(array.dtype()), array.shape().to_vec(), array.bytes());
        views.push((*name, view.map_err(|e| unfit(&e))?));
    }
    let text = text.map(|(key, text)| HashMap::from([(key.to_string(), text.to_string())]));
    safetensors::serialize(views, text).map_err(|e| unfit(&e))
}

/// The text that a file's contents hold under `key`; `None` when there is none. `path` is for the error only.
///
/// # Errors
/// When the contents are not safetensors.
pub fn text(path: &Path, contents: &[u8], key: &str) -> Result<Option<String>> {
    let (_, header) = SafeTensors::read_metadata(contents).map_err(|e| refused(path, &e))?;
    Ok(header.metadata().as_ref().and_then(|texts| texts.get(key).cloned()))
}

/// Decodes one tensor of a file's contents; `None` when it has no tensor of that name. `path` is for the
/// error only.
///
/// Types that [`DType`] lacks are widened: i8, i16 and u16 to i32, f16 to f32.
///
/// ```
/// use neural::{Array, data::safetensors::{decode, encode}};
/// let contents = encode(&[("x", &Array::scalar(1f32))], None)?;
/// assert_eq!(decode("a".as_ref(), &contents, "x")?, Some(Array::scalar(1f32)));
/// assert_eq!(decode("a".as_ref(), &contents, "y")?, None);
/// # Ok::<(), neural::Error>(())
/// ```
///
/// # Errors
/// When the contents are not safetensors, or the tensor's type has no place here (floats of 8 bits and
/// fewer).
pub fn decode(path: &Path, contents: &[u8], name: &str) -> Result<Option<Array>> {
    let Ok(tensor) = open(path, contents)?.tensor(name) else {
        return Ok(None);
    };
    array(path, name, tensor.dtype(), tensor.shape(), tensor.data().to_vec()).map(Some)
}

fn array(path: &Path, name: &str, dtype: Dtype, shape: &[usize], elements: Vec<u8>) -> Result<Array> {
    let dtype = match dtype {
        Dtype::I8 => return bytes::widen(shape, &elements, |x| i32::from(i8::from_le_bytes(x))),
        Dtype::I16 => return bytes::widen(shape, &elements, |x| i32::from(i16::from_le_bytes(x))),
        Dtype::U16 => return bytes::widen(shape, &elements, |x| i32::from(u16::from_le_bytes(x))),
        Dtype::F16 => return bytes::widen(shape, &elements, |x| f16::from_le_bytes(x).to_f32()),
        Dtype::BOOL => return bytes::widen(shape, &elements, |[x]| x != 0),
        Dtype::U8 => DType::U8,
        Dtype::I32 => DType::I32,
        Dtype::U32 => DType::U32,
        Dtype::I64 => DType::I64,
        Dtype::U64 => DType::U64,
        Dtype::BF16 => DType::BF16,
        Dtype::F32 => DType::F32,
        Dtype::F64 => DType::F64,
        other => {
            let message = format!("expected the tensor {name} in bool, whole or real numbers, got {other:?}");
            return Err(Error::format(path, message));
        }
    };
    Array::from_bytes(dtype, shape, elements)
}

/// A file whose tensors are read one at a time, each straight into its array.
#[derive(Debug)]
pub struct File {
    path: PathBuf,
    reader: BufReader<fs::File>,
    header: Metadata,
    /// The position of the tensors, after the header.
    start: u64,
}

impl File {
    /// ```
    /// use neural::{Array, data::safetensors::{File, encode}};
    /// let path = tempfile::tempdir()?.keep().join("a.safetensors");
    /// std::fs::write(&path, encode(&[("x", &Array::scalar(1f32))], None)?)?;
    /// assert_eq!(File::open(&path)?.array("x")?, Some(Array::scalar(1f32)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When the file cannot be read or is not safetensors.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let (mut reader, length) = bytes::open_file(path)?;
        let refuse = |got: &dyn std::fmt::Display| {
            Error::format(path, format!("expected a safetensors file, got: {got}; write it again"))
        };
        let mut size = [0; 8];
        reader.read_exact(&mut size).map_err(|e| refuse(&e))?;
        let size = u64::from_le_bytes(size);
        if size > length.saturating_sub(8) as u64 {
            return Err(refuse(&format!("a header of {size} bytes in a file of {length}")));
        }
        let mut header = Vec::new();
        reader.by_ref().take(size).read_to_end(&mut header).map_err(|e| Error::io("read", path, e))?;
        let header: Metadata = serde_json::from_slice(&header).map_err(|e| refuse(&e))?;
        if (header.data_len() as u64).checked_add(8 + size) != Some(length as u64) {
            let got = format!("{length} bytes for a header of {size} and tensors of {}", header.data_len());
            return Err(refuse(&got));
        }
        Ok(Self { path: path.to_path_buf(), reader, header, start: 8 + size })
    }

    /// The names of the tensors, in the order of the file.
    pub fn names(&self) -> Vec<String> {
        self.header.offset_keys()
    }

    /// The tensor of this name, with the types of [`decode`]; `None` when there is none.
    ///
    /// # Errors
    /// As [`decode`], and when the file has become shorter.
    pub fn array(&mut self, name: &str) -> Result<Option<Array>> {
        let Some(info) = self.header.info(name) else { return Ok(None) };
        let (from, to) = info.data_offsets;
        let failed = |e| Error::io("read", &self.path, e);
        self.reader.seek(SeekFrom::Start(self.start + from as u64)).map_err(failed)?;
        let mut elements = Vec::new();
        if elements.try_reserve_exact(to - from).is_err() {
            let message = format!("not enough memory for the {} bytes of {name}", to - from);
            return Err(Error::format(&self.path, message));
        }
        self.reader.by_ref().take((to - from) as u64).read_to_end(&mut elements).map_err(failed)?;
        array(&self.path, name, info.dtype, &info.shape, elements).map(Some)
    }
}

impl File {
    /// The tensor of this name, whose rows are read when they are needed; `None` when there is none.
    pub(super) fn open_rows(&self, name: &str) -> Result<Option<Stored>> {
        let Some(info) = self.header.info(name) else { return Ok(None) };
        let (from, to) = info.data_offsets;
        let (start, dtype) = (self.start + from as u64, info.dtype);
        let row = (to - from) / info.shape.first().copied().unwrap_or(1).max(1);
        let (path, named) = (self.path.clone(), name.to_string());
        let decode = move |shape: &[usize], bytes| array(&path, &named, dtype, shape, bytes);
        Stored::open(&self.path, start, row, &info.shape, decode).map(Some)
    }
}

/// The names of the tensors in a file's contents.
///
/// # Errors
/// When the contents are not safetensors.
pub fn names(path: &Path, contents: &[u8]) -> Result<Vec<String>> {
    Ok(open(path, contents)?.names().into_iter().map(String::from).collect())
}

/// All tensors of a file's contents, with their names.
pub(crate) fn all(path: &Path, contents: &[u8]) -> Result<Vec<(String, Array)>> {
    let names = names(path, contents)?.into_iter();
    let named = names.map(|name| Ok(decode(path, contents, &name)?.map(|array| (name, array))));
    named.filter_map(Result::transpose).collect()
}

fn open<'a>(path: &Path, contents: &'a [u8]) -> Result<SafeTensors<'a>> {
    SafeTensors::deserialize(contents).map_err(|e| refused(path, &e))
}

fn stored(dtype: DType) -> Dtype {
    match dtype {
        DType::Bool => Dtype::BOOL,
        DType::U8 => Dtype::U8,
        DType::I32 => Dtype::I32,
        DType::U32 => Dtype::U32,
        DType::I64 => Dtype::I64,
        DType::U64 => Dtype::U64,
        DType::BF16 => Dtype::BF16,
        DType::F32 => Dtype::F32,
        DType::F64 => Dtype::F64,
    }
}

fn unfit(error: &SafeTensorError) -> Error {
    Error::value("safetensors", "tensors that fit the format", error)
}

fn refused(path: &Path, error: &SafeTensorError) -> Error {
    Error::format(path, format!("expected a safetensors file, got: {error}; write it again"))
}
