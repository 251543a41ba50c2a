//! Advice for training on a data set.

use super::moments::ranges;
use super::{Dataset, Scale, Scaling};

/// Learning rates suit numbers of about 1: a deviation above this calls for scaling.
const LARGE: f64 = 100.0;

impl Dataset {
    /// Advice before training, a sentence each: the reader's notes, the unit of the loss, and a hint where targets
    /// plainly need scaling and have none.
    ///
    /// ```
    /// use neural::{Array, data::{Dataset, Scale, Splits, Targets}};
    /// let splits = Splits { train: vec![0, 1], ..Splits::default() };
    /// let prices = Targets::Values(Array::new(&[2, 1], vec![100_000f64, 300_000.0])?);
    /// let houses = Dataset::new(Array::new(&[2, 1], vec![1f32, 2.0])?, prices, splits)?;
    /// assert!(houses.advice()[0].contains("scale_target = \"standardize\""));
    /// assert!(houses.scaled_target(Scale::Standardize)?.advice()[0].starts_with("the loss is of scaled targets"));
    /// # Ok::<(), neural::Error>(())
    /// ```
    pub fn advice(&self) -> Vec<String> {
        let mut advice = self.notes.clone();
        if let Some(values) = self.targets.values() {
            if self.target_scaling.is_none() {
                let scaling = Scaling::of_targets(values, &self.splits.train, Scale::StandardizeFeatures);
                let largest = scaling
                    .map(|scaling| scaling.deviation.to_f64())
                    .unwrap_or_default()
                    .into_iter()
                    .fold(0.0, f64::max);
                if largest > LARGE {
                    advice.push(format!(
                        "the targets have a deviation of {largest:.0}, and so have the errors that gradients are made of: \
                         data.scale_target = \"standardize\" trains on scaled targets and predicts in their own unit"
                    ));
                }
            } else {
                advice.push(
                    "the loss is of scaled targets; errors and predictions are in the targets' own unit"
                        .into(),
                );
            }
        }
        advice
    }

    /// A sentence on features that plainly need scaling and have none. Not for token ids, which are names.
    pub fn unscaled(&self) -> Option<String> {
        if !self.scaling.is_none() {
            return None;
        }
        let ranges = ranges(&self.inputs, &self.splits.train)?;
        let (feature, range) = ranges.iter().enumerate().find(|(_, range)| **range > LARGE)?;
        let which = match (self.sample_shape(), self.feature_names().get(feature)) {
            (_, Some(name)) => format!("feature \"{name}\" has"),
            ([_], None) => format!("feature number {feature} has"),
            _ => "the inputs have".to_string(),
        };
        let how = match self.sample_shape() {
            [_] => "data.scale = \"standardize-features\" brings each to a deviation of 1",
            _ => "data.scale = \"standardize\" brings them to a deviation of 1",
        };
        Some(format!("{which} a range of {range:.0} and no scaling: {how}"))
    }
}
