//! Checkpoints as safetensors files: a tensor for each variable, and as metadata what the model is and where the run was.

use super::file;
use crate::array::{Array, DType};
use crate::error::{Error, Result};
use crate::model::{Description, Model};
use crate::train::{Checkpoint, Position};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;

/// A checkpoint with the description of its model.
#[derive(Clone, Debug, PartialEq)]
pub struct Saved {
    pub checkpoint: Checkpoint,
    pub description: Description,
}

/// The key of the file's metadata that holds what is ours, as JSON. There is one only, since a file's keys have no
/// order and equal checkpoints are to be equal files.
const KEY: &str = "neural";

#[derive(Serialize, Deserialize)]
struct Metadata {
    model: Description,
    position: Position,
}

impl Saved {
    /// # Errors
    /// When the file cannot be read, is damaged, or is not a checkpoint.
    pub fn read(path: &Path) -> Result<Self> {
        let contents = std::fs::read(path).map_err(|e| Error::io("read the checkpoint", path, e))?;
        let damaged = |e: &dyn std::fmt::Display| {
            Error::format(path, format!("expected a checkpoint, got a damaged or foreign file: {e}"))
        };
        let (_, header) = SafeTensors::read_metadata(&contents).map_err(|e| damaged(&e))?;
        let tensors = SafeTensors::deserialize(&contents).map_err(|e| damaged(&e))?;
        let Some(text) = header.metadata().as_ref().and_then(|metadata| metadata.get(KEY)) else {
            return Err(damaged(&"it does not say of which model it is"));
        };
        let metadata: Metadata = serde_json::from_str(text).map_err(|e| damaged(&e))?;
        let mut tensors = tensors
            .iter()
            .map(|(name, view)| {
                let dtype = dtype(view.dtype()).ok_or_else(|| damaged(&format!("{:?}", view.dtype())))?;
                Ok((name.to_string(), Array::from_bytes(dtype, view.shape(), view.data().to_vec())?))
            })
            .collect::<Result<Vec<_>>>()?;
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        let checkpoint = Checkpoint { position: metadata.position, tensors };
        Ok(Self { checkpoint, description: metadata.model })
    }

    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let failed = |e: String| Error::format(path, format!("the checkpoint cannot be written: {e}"));
        let metadata = Metadata { model: self.description.clone(), position: self.checkpoint.position };
        let text = serde_json::to_string(&metadata).map_err(|e| failed(e.to_string()))?;
        let metadata = HashMap::from([(KEY.to_string(), text)]);
        let view = |array| view(array).map_err(|e| failed(e.to_string()));
        let tensors: Vec<(&str, TensorView)> = self
            .checkpoint
            .tensors
            .iter()
            .map(|(name, array)| Ok((name.as_str(), view(array)?)))
            .collect::<Result<_>>()?;
        let bytes = safetensors::serialize(tensors, Some(metadata)).map_err(|e| failed(e.to_string()))?;
        file::write(path, &bytes)
    }

    /// The model that was kept, or its moving average where one was.
    ///
    /// # Errors
    /// When the tensors are not those of the described model.
    pub fn model(self) -> Result<Model> {
        let tensors: HashMap<String, Array> = self.checkpoint.tensors.into_iter().collect();
        let find =
            |name: &str| tensors.get(&format!("average.{name}")).or_else(|| tensors.get(name)).cloned();
        Model::new(self.description, find)
    }
}

fn view(array: &Array) -> std::result::Result<TensorView<'_>, safetensors::SafeTensorError> {
    let dtype = match array.dtype() {
        DType::Bool => Dtype::BOOL,
        DType::U8 => Dtype::U8,
        DType::I32 => Dtype::I32,
        DType::U32 => Dtype::U32,
        DType::I64 => Dtype::I64,
        DType::U64 => Dtype::U64,
        DType::BF16 => Dtype::BF16,
        DType::F32 => Dtype::F32,
        DType::F64 => Dtype::F64,
    };
    TensorView::new(dtype, array.shape().to_vec(), array.bytes())
}

fn dtype(dtype: Dtype) -> Option<DType> {
    Some(match dtype {
        Dtype::BOOL => DType::Bool,
        Dtype::U8 => DType::U8,
        Dtype::I32 => DType::I32,
        Dtype::U32 => DType::U32,
        Dtype::I64 => DType::I64,
        Dtype::U64 => DType::U64,
        Dtype::BF16 => DType::BF16,
        Dtype::F32 => DType::F32,
        Dtype::F64 => DType::F64,
        _ => return None,
    })
}
