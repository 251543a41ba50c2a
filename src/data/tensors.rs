//! A data set in named tensors: a pair of inputs and targets, or a pair for each of training, validation and
//! test.

use super::{Parts, TargetKind, Targets, bytes, npy, place, safetensors};
use crate::array::{Array, DType};
use crate::error::{Error, Result};
use std::fs;
use std::path::Path;

/// A place that holds tensors by name.
pub(crate) struct Tensors<'a> {
    path: &'a Path,
    names: Vec<String>,
    read: Box<Read<'a>>,
}

/// Reads the tensor of a name, if there is one.
type Read<'a> = dyn FnMut(&str) -> Result<Option<Array>> + 'a;

impl<'a> Tensors<'a> {
    /// An `.npz` archive, or a folder of `.npy` files.
    pub(crate) fn npy(path: &'a Path) -> Result<Self> {
        if path.is_dir() {
            let entries = fs::read_dir(path).map_err(|e| Error::io("read", path, e))?;
            let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
            let names = names.filter_map(|name| name.strip_suffix(".npy").map(String::from)).collect();
            let read = move |name: &str| {
                let file = path.join(format!("{name}.npy"));
                if file.exists() { npy::read(file).map(Some) } else { Ok(None) }
            };
            return Ok(Self { path, names, read: Box::new(read) });
        }
        if path.extension().is_some_and(|extension| extension == "npy") {
            let message =
                "expected an .npz archive or a folder of .npy files with inputs and targets, got one array";
            return Err(Error::format(path, message));
        }
        let mut archive = npy::Archive::open(path)?;
        Ok(Self { path, names: archive.names(), read: Box::new(move |name| archive.array(name)) })
    }

    pub(crate) fn safetensors(path: &'a Path) -> Result<Self> {
        let contents = bytes::read_file(path)?;
        let names = safetensors::names(path, &contents)?;
        Ok(Self { path, names, read: Box::new(move |name| safetensors::decode(path, &contents, name)) })
    }

    /// The tensors `inputs` and `target`; or where they are not there, those with `_train`, and with
    /// `_validation` (or `_val`) and `_test` as far as these are there.
    pub(crate) fn load(
        mut self,
        inputs: &str,
        target: &str,
        kind: Option<TargetKind>,
    ) -> Result<(Array, Targets, Parts)> {
        if let Some((x, y)) = self.pair(inputs, target, "")? {
            let rows = x.shape()[0];
            return Ok((x, targets(self.path, &y, kind)?, Parts::undivided(rows)));
        }
        let Some(train) = self.pair(inputs, target, "_train")? else {
            self.names.sort();
            let there = if self.names.is_empty() { "none".to_string() } else { self.names.join(", ") };
            let message = format!(
                "expected the tensors {inputs} and {target}, or {inputs}_train and {target}_train, got {there}; \
                 tell the right names as inputs and target"
            );
            return Err(Error::format(self.path, message));
        };
        let validation = match self.pair(inputs, target, "_validation")? {
            None => self.pair(inputs, target, "_val")?,
            some => some,
        };
        let test = self.pair(inputs, target, "_test")?;

        let rows = |pair: &Option<(Array, Array)>| pair.as_ref().map_or(0, |(x, _)| x.shape()[0]);
        let parts = Parts { train: train.0.shape()[0], validation: rows(&validation), test: rows(&test) };
        let (x, y): (Vec<_>, Vec<_>) = [Some(train), validation, test].into_iter().flatten().unzip();
        let y = bytes::concatenate(self.path, y)?;
        Ok((bytes::concatenate(self.path, x)?, targets(self.path, &y, kind)?, parts))
    }

    /// Inputs u8, i32 or f32 `[n, sample...]` and targets `[n, ...]` of as many rows.
    fn pair(&mut self, inputs: &str, target: &str, suffix: &str) -> Result<Option<(Array, Array)>> {
        let (x_name, y_name) = (format!("{inputs}{suffix}"), format!("{target}{suffix}"));
        let (x, y) = match ((self.read)(&x_name)?, (self.read)(&y_name)?) {
            (Some(x), Some(y)) => (x, y),
            (None, None) => return Ok(None),
            (x, _) => {
                let (there, lacking) = if x.is_some() { (x_name, y_name) } else { (y_name, x_name) };
                let message = format!("expected the tensor {lacking} that belongs to {there}, got none");
                return Err(Error::format(self.path, message));
            }
        };
        if x.shape().is_empty() || y.shape().is_empty() || x.shape()[0] != y.shape()[0] {
            let message = format!(
                "expected {x_name}[n, ...] and {y_name}[n, ...] of as many rows, got {:?} and {:?}",
                x.shape(),
                y.shape()
            );
            return Err(Error::format(self.path, message));
        }
        let x = stored(x).map_err(|e| Error::format(self.path, format!("{x_name}: {e}")))?;
        // A vector is a sample of one number each.
        let shape = if let &[n] = x.shape() { vec![n, 1] } else { x.shape().to_vec() };
        Ok(Some((x.reshape(&shape)?, y)))
    }
}

/// Whole numbers, one a row, are classes unless told otherwise; all else are values.
/// Inputs in one of the types that a data set holds: whole numbers as u8 or i32, others as f32.
fn stored(x: Array) -> Result<Array> {
    match x.dtype() {
        DType::U8 | DType::I32 | DType::F32 => Ok(x),
        DType::Bool => Ok(x.cast(DType::U8)),
        DType::BF16 | DType::F64 => Ok(x.cast(DType::F32)),
        DType::U32 | DType::I64 | DType::U64 => {
            let range = f64::from(i32::MIN)..=f64::from(i32::MAX);
            if let Some((i, value)) = x.values().enumerate().find(|(_, value)| !range.contains(value)) {
                let expected = "whole numbers that i32 holds; store amounts beyond them as float32";
                return Err(Error::value("values", expected, format!("{value} in {}", place(x.shape(), i))));
            }
            Ok(x.cast(DType::I32))
        }
    }
}

fn targets(path: &Path, array: &Array, kind: Option<TargetKind>) -> Result<Targets> {
    let rows = array.shape()[0];
    let single = array.len() == rows;
    let kind = kind.unwrap_or(match array.dtype().is_float() || !single {
        true => TargetKind::Value,
        false => TargetKind::Class,
    });
    if kind == TargetKind::Value {
        let width = array.len().checked_div(rows).unwrap_or(0);
        return Ok(Targets::Values(array.cast(DType::F32).reshape(&[rows, width])?));
    }
    if !single {
        let message = format!("expected one class a row, got targets of shape {:?}", array.shape());
        return Err(Error::format(path, message));
    }
    let values = array.to_f64();
    if let Some((row, value)) = values.iter().enumerate().find(|(_, value)| value.fract() != 0.0) {
        let message = format!("expected classes as whole numbers, got {value} in row {row}");
        return Err(Error::format(path, message));
    }
    // `as` saturates, and what it saturates to is no class.
    Targets::numbered(values.into_iter().map(|value| value as i32).collect())
        .map_err(|e| Error::format(path, e.to_string()))
}
