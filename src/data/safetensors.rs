//! Named tensors in a safetensors file, <https://huggingface.co/docs/safetensors>.

use super::bytes;
use crate::array::{Array, DType};
use crate::error::{Error, Result};
use half::f16;
use safetensors::{Dtype, SafeTensors};
use std::path::Path;

/// Decodes one tensor of a file's contents; `None` when it has no tensor of that name. `path` is for the
/// error only.
///
/// Types that [`DType`] lacks are widened: i8, i16 and u16 to i32, f16 to f32.
///
/// # Errors
/// When the contents are not safetensors, or the tensor's type has no place here (floats of 8 bits and
/// fewer).
pub fn decode(path: &Path, contents: &[u8], name: &str) -> Result<Option<Array>> {
    let Ok(tensor) = open(path, contents)?.tensor(name) else {
        return Ok(None);
    };
    let (shape, elements) = (tensor.shape(), tensor.data());
    let dtype = match tensor.dtype() {
        Dtype::I8 => return bytes::widen(shape, elements, |x| i32::from(i8::from_le_bytes(x))).map(Some),
        Dtype::I16 => return bytes::widen(shape, elements, |x| i32::from(i16::from_le_bytes(x))).map(Some),
        Dtype::U16 => return bytes::widen(shape, elements, |x| i32::from(u16::from_le_bytes(x))).map(Some),
        Dtype::F16 => return bytes::widen(shape, elements, |x| f16::from_le_bytes(x).to_f32()).map(Some),
        Dtype::BOOL => return bytes::widen(shape, elements, |[x]| x != 0).map(Some),
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
    Array::from_bytes(dtype, shape, elements.to_vec()).map(Some)
}

/// The names of the tensors in a file's contents.
///
/// # Errors
/// When the contents are not safetensors.
pub fn names(path: &Path, contents: &[u8]) -> Result<Vec<String>> {
    Ok(open(path, contents)?.names().into_iter().map(String::from).collect())
}

fn open<'a>(path: &Path, contents: &'a [u8]) -> Result<SafeTensors<'a>> {
    SafeTensors::deserialize(contents)
        .map_err(|e| Error::format(path, format!("expected a safetensors file, got: {e}; write it again")))
}
