//! The form of inputs: their type, and the order of their axes.

use crate::array::{Array, DType, count};
use crate::data::place;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The order of a picture's axes in arrays of pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// `[n, height, width, channels]`, as everything here has them.
    Nhwc,
    /// `[n, channels, height, width]`, as `PyTorch` has them.
    Nchw,
}

/// The requested form of inputs.
#[derive(Clone)]
pub(super) struct Form {
    pub path: PathBuf,
    pub layout: Option<Layout>,
}

impl Form {
    /// Inputs as a data set has them.
    pub fn of(&self, x: Array, name: &str) -> Result<Array> {
        let x = stored(x).map_err(|e| Error::format(&self.path, format!("{name}: {e}")))?;
        let x = self.laid_out(x, name)?;
        // A vector is a sample of one number each.
        let shape = if let &[n] = x.shape() { vec![n, 1] } else { x.shape().to_vec() };
        x.reshape(&shape)
    }

    /// Inputs with their channels last. Without a layout, inputs that seem to have them first are refused: they would
    /// be taken for pictures of few rows and many channels.
    fn laid_out(&self, x: Array, name: &str) -> Result<Array> {
        let few = |size: usize| matches!(size, 1 | 3 | 4);
        match (self.layout, x.shape()) {
            (Some(Layout::Nchw), [_, _, _, _]) => channels_last(x),
            (Some(Layout::Nchw), shape) => {
                let message = format!(
                    "{name}: expected [n, channels, height, width] for layout \"nchw\", got {shape:?}"
                );
                Err(Error::format(&self.path, message))
            }
            (None, &[_, channels, height, width]) if few(channels) && !few(width) && height > 4 => {
                let message = format!(
                    "{name}: expected pictures [n, height, width, channels], got {:?}, which looks like channels first; \
                     set layout = \"nchw\" if it is, or layout = \"nhwc\" if these are pictures of {channels} x {height} \
                     with {width} channels",
                    x.shape()
                );
                Err(Error::format(&self.path, message))
            }
            _ => Ok(x),
        }
    }
}

/// Inputs in one of the types that a data set holds: whole numbers as u8 or i32, others as f32.
fn stored(x: Array) -> Result<Array> {
    match x.dtype() {
        DType::U8 | DType::I32 | DType::F32 => Ok(x),
        DType::Bool => Ok(x.cast(DType::U8)),
        DType::BF16 | DType::F64 => Ok(x.cast(DType::F32)),
        DType::U32 | DType::I64 | DType::U64 => {
            let range = f64::from(i32::MIN)..=f64::from(i32::MAX);
            if let Some((i, value)) = x.find(|value| !range.contains(&value)) {
                let expected = "whole numbers that i32 holds; store amounts beyond them as float32";
                return Err(Error::value("values", expected, format!("{value} in {}", place(x.shape(), i))));
            }
            Ok(x.cast(DType::I32))
        }
    }
}

/// The narrowest range of a feature, in steps of f32, in which f32 distinguishes enough values.
const STEPS: f64 = 4096.0;

/// A note on the first feature whose values lie so close together for their size that many become equal in f32, in
/// which they are scaled.
pub(super) fn rounded(x: &Array, name: &str) -> Option<String> {
    if !matches!(x.dtype(), DType::F64 | DType::I64 | DType::I32 | DType::U32 | DType::U64) {
        return None;
    }
    let features = count(x.shape().get(1..)?);
    let mut ranges = vec![(f64::INFINITY, f64::NEG_INFINITY, true); features];
    for (i, value) in x.values().enumerate() {
        let (least, greatest, is_exact) = &mut ranges[i % features];
        (*least, *greatest) = (least.min(value), greatest.max(value));
        *is_exact &= f64::from(value as f32) == value;
    }
    let (feature, (least, greatest, step)) = ranges.into_iter().enumerate().find_map(|(i, range)| {
        let (least, greatest, is_exact) = range;
        let step = f64::from(f32::EPSILON) * least.abs().max(greatest.abs()).log2().floor().exp2();
        let is_near = least < greatest && greatest - least < STEPS * step;
        (!is_exact && is_near).then_some((i, (least, greatest, step)))
    })?;
    let which = if features == 1 { String::new() } else { format!("feature {feature} ") };
    Some(format!(
        "{name}: {which}from {least} to {greatest} is rounded to multiples of {step} by f32, in which it is scaled; subtract \
         its mean before saving it"
    ))
}

/// Arrays `[n, channels, …]` as `[n, …, channels]`.
pub(crate) fn channels_last(x: Array) -> Result<Array> {
    let &[n, channels, ref rest @ ..] = x.shape() else {
        return Err(Error::shape("layout", "[n, channels, height, width]", format!("{:?}", x.shape())));
    };
    let shape = [&[n], rest, &[channels]].concat();
    let (dtype, size, pixels) = (x.dtype(), x.dtype().size(), count(rest));
    let mut bytes = x.into_bytes();
    let mut planes = vec![0; channels * pixels * size];
    for sample in bytes.chunks_exact_mut(planes.len().max(1)) {
        planes.copy_from_slice(sample);
        for (i, element) in sample.chunks_exact_mut(size).enumerate() {
            let from = (i % channels * pixels + i / channels) * size;
            element.copy_from_slice(&planes[from..from + size]);
        }
    }
    Array::from_bytes(dtype, &shape, bytes)
}
