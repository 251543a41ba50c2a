//! A data set's targets: their form on the device, and checks that a loss accepts them.

use crate::array::{Array, DType};
use crate::data::{Splits, TargetView, Targets};
use crate::error::{Error, Result};
use crate::graph::Type;
use crate::loss::{Loss, Outputs};

/// How far the sum of a distribution may be from 1, enough for thirds written with three digits.
const TOLERANCE: f64 = 2e-3;

/// One row of targets on the device; `None` where targets are made of the inputs.
pub(super) fn stored(targets: &Targets) -> Option<Type> {
    match targets {
        Targets::Classes { .. } => Some(Type::new(DType::I32, &[])),
        Targets::Values(values) | Targets::Partial(values) => {
            Some(Type::new(DType::F32, &values.shape()[1..]))
        }
        Targets::Positions { labels, .. } => Some(Type::new(DType::I32, &labels.shape()[1..])),
        Targets::Inputs | Targets::Next { .. } => None,
    }
}

/// The values of targets in their form on the device, scaled if they are values.
pub(super) fn on_device(target: TargetView, values: &Array) -> Result<Array> {
    match target.targets {
        Targets::Values(_) | Targets::Partial(_) => target.scaling.apply(values),
        _ => Ok(values.clone()),
    }
}

/// The targets of all rows, which are in memory, as a device holds them; `None` as in [`stored`].
pub(super) fn all(target: TargetView) -> Result<Option<Array>> {
    match target.targets {
        Targets::Classes { labels, .. } => Ok(Some(Array::vector(labels))),
        Targets::Values(values) | Targets::Partial(values) | Targets::Positions { labels: values, .. } => {
            on_device(target, values).map(Some)
        }
        Targets::Inputs | Targets::Next { .. } => Ok(None),
    }
}

/// Refuses targets that the loss would take without a word and make a wrong number of, and weights that leave nothing
/// to divide by.
pub(super) fn check(loss: &Loss, targets: &Targets, splits: &Splits) -> Result<()> {
    let (class_weights, positive_weight) = (loss.class_weights(), loss.positive_weight());
    for (name, weights) in [("class_weights", class_weights), ("positive_weight", positive_weight)] {
        if let Some(wrong) = weights.iter().find(|weight| !(weight.is_finite() && **weight >= 0.0)) {
            return Err(Error::value(name, "numbers of at least 0", wrong));
        }
    }
    if !matches!(targets, Targets::Classes { .. })
        && !class_weights.is_empty()
        && class_weights.iter().all(|weight| *weight == 0.0)
    {
        return Err(Error::value("class_weights", "a number above 0 among them", "0 alone"));
    }
    match targets {
        Targets::Classes { labels, names } => check_weights(class_weights, splits, labels, names),
        Targets::Values(values) => check_values(loss, values, |row| row as u32),
        Targets::Partial(_) if loss.outputs() != Outputs::Values => {
            let expected = "a loss of values, such as mean-squared-error, as some targets are not known";
            Err(Error::value("loss", expected, loss.kind()))
        }
        Targets::Partial(_) | Targets::Positions { .. } | Targets::Inputs | Targets::Next { .. } => Ok(()),
    }
}

/// Refuses values that are not the probabilities a cross-entropy expects; `row_of` returns the number of a row.
pub(super) fn check_values(loss: &Loss, values: &Array, row_of: impl Fn(usize) -> u32) -> Result<()> {
    let is_distribution = match loss.outputs() {
        Outputs::Classes => true,
        Outputs::Labels => false,
        Outputs::Scores | Outputs::Values => return Ok(()),
    };
    let width = values.shape().last().copied().unwrap_or(1).max(1);
    let rows = values.shape().first().copied().unwrap_or(0);
    let each = (values.len() / width).checked_div(rows).unwrap_or(1).max(1);
    let all = values.to_f64();
    let mut targets = all.chunks_exact(width).enumerate();
    targets.try_for_each(|(i, target)| check_probabilities(is_distribution, row_of(i / each), target))
}

/// Checks that each part with a loss has a row with a weight.
fn check_weights(weights: &[f64], splits: &Splits, labels: &[i32], names: &[String]) -> Result<()> {
    if weights.is_empty() {
        return Ok(());
    }
    for (part, rows) in [("training", &splits.train), ("validation", &splits.validation)] {
        // A label without a weight is refused where the graph is built.
        let weighs =
            |row: &u32| weights.get(labels[*row as usize] as usize).is_none_or(|weight| *weight > 0.0);
        if let Some(first) = rows.first()
            && !rows.iter().any(weighs)
        {
            let class = names.get(labels[*first as usize] as usize).map_or("?", String::as_str);
            let expected = format!("a number above 0 for some class of the {part} rows");
            return Err(Error::value(
                "class_weights",
                expected,
                format!("0 for all of them, such as {class:?}"),
            ));
        }
    }
    Ok(())
}

fn check_probabilities(is_distribution: bool, row: u32, target: &[f64]) -> Result<()> {
    if let Some(wrong) = target.iter().find(|target| !(0.0..=1.0).contains(*target)) {
        let expected = "classes, or probabilities from 0 to 1, as the loss is a cross-entropy";
        return Err(Error::value("targets", expected, format!("{wrong} in row {row}")));
    }
    let sum: f64 = target.iter().sum();
    if is_distribution && (sum - 1.0).abs() > TOLERANCE {
        let expected = "classes, or a row of probabilities that add up to 1 (labels that may be there together want the \
                        loss sigmoid-cross-entropy)";
        return Err(Error::value("targets", expected, format!("a sum of {sum} in row {row}")));
    }
    Ok(())
}
