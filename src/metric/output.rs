//! Figures of one of several outputs.

use super::Metric;
use std::sync::{Mutex, PoisonError};

/// The name of an output and one of its figures.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct OutputMetric {
    /// The output's name.
    pub output: String,
    /// The figure of that output.
    pub metric: Metric,
}

/// All names so far: a [`Metric`] is `Copy` and refers to them. Their number is a model's outputs times the figures of
/// each.
static KNOWN: Mutex<Vec<&'static OutputMetric>> = Mutex::new(Vec::new());

pub(super) fn kept(output: &str, metric: Metric) -> &'static OutputMetric {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = known.iter().find(|of| of.output == output && of.metric == metric) {
        return found;
    }
    let new: &'static OutputMetric = Box::leak(Box::new(OutputMetric { output: output.into(), metric }));
    known.push(new);
    new
}
