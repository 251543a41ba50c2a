//! The meaning of a tensor of targets.

use crate::array::{Array, DType};
use crate::data::{Ignored, TargetKind, Targets, Task};
use crate::error::{Error, Result};
use std::path::Path;

/// The meaning of an array's numbers: classes or values.
pub(crate) fn targets(
    path: &Path,
    array: &Array,
    kind: Option<TargetKind>,
    task: Option<Task>,
    ignored: Option<Ignored>,
) -> Result<Targets> {
    let rows = array.shape()[0];
    let width = array.len().checked_div(rows).unwrap_or(0);
    let is_value = kind.map_or(task == Some(Task::Values), |kind| kind == TargetKind::Value);
    let values = || {
        let values = array.cast(DType::F32).reshape(&[rows, width])?;
        match ignored {
            Some(ignored) => Targets::partial(&values, ignored),
            None => Ok(Targets::Values(values)),
        }
    };
    if is_value {
        return values();
    }
    let refuse = |message: String| Err(Error::format(path, message));
    let numbers = array.to_f64();
    let fraction = numbers.iter().position(|number| number.fract() != 0.0);
    let is_one_hot = width > 1 && numbers.chunks_exact(width).all(is_one_hot);
    // A whole number at each position.
    let many_axes = array.shape().len() > 2;
    if width > 1
        && fraction.is_none()
        && (task == Some(Task::Classes) || kind == Some(TargetKind::Class))
        && (many_axes || !is_one_hot)
    {
        return Targets::at_positions(array, ignored).map_err(|e| Error::format(path, e.to_string()));
    }
    let is_class = match (kind, task) {
        (Some(_), _) => true,
        (None, Some(Task::Classes)) => width == 1 || is_one_hot,
        (None, Some(Task::Labels)) => width == 1 && fraction.is_none(),
        (None, None | Some(Task::Values)) if array.dtype().is_float() => {
            width == 1 && numbers.iter().all(|number| matches!(number, 0.0 | 1.0))
        }
        (None, None | Some(Task::Values)) => width == 1,
    };
    if !is_class {
        return values();
    }
    if ignored.is_some() {
        return refuse(format!(
            "expected values, or classes at positions [n, positions…], beside ignored, got one class a row in {:?}",
            array.shape()
        ));
    }
    if is_one_hot {
        let class =
            |row: &[f64]| row.iter().position(|&number| number == 1.0).map_or(0, |class| class as i32);
        let labels = numbers.chunks_exact(width).map(class).collect();
        return Ok(Targets::Classes { labels, names: (0..width).map(|class| class.to_string()).collect() });
    }
    if width != 1 {
        return refuse(format!(
            "expected one class a row, a number or a row of zeros with a single one, got targets of shape {:?}",
            array.shape()
        ));
    }
    if let Some(row) = fraction {
        return refuse(format!(
            "expected classes as whole numbers, got {} in row {row} of the targets; for a target of values, choose a loss \
             of values, such as mean-squared-error",
            numbers[row]
        ));
    }
    // `as` saturates far beyond the whole numbers that f64 can distinguish.
    let labels: Vec<i64> = numbers.into_iter().map(|number| number as i64).collect();
    Targets::of_labels(&labels).map_err(|e| Error::format(path, e.to_string()))
}

/// Whether a row is zeros with a single one.
fn is_one_hot(row: &[f64]) -> bool {
    row.iter().all(|number| matches!(number, 0.0 | 1.0)) && row.iter().sum::<f64>() == 1.0
}
