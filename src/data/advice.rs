//! What a data set suggests to whoever trains on it.

use super::{Dataset, Scale, Scaling, Targets};
use crate::array::DType;

/// Learning rates are made for numbers of about 1: a deviation above this calls for scaling.
const LARGE: f64 = 100.0;

impl Dataset {
    /// What is to be known before training, a sentence each: the notes of reading, what the loss is of, and what plainly
    /// needs scaling and has none.
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
        if let Targets::Values(values) = &self.targets {
            if self.target_scaling.is_none() {
                let scaling = Scaling::fit(values, &self.splits.train, Scale::StandardizeFeatures);
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
        if self.scaling.is_none() && self.inputs.dtype() == DType::F32 && self.sample_shape().len() == 1 {
            let scaling = Scaling::fit(&self.inputs, &self.splits.train, Scale::Unit);
            let ranges = scaling.map(|scaling| scaling.deviation.to_f64()).unwrap_or_default();
            if let Some((feature, range)) = ranges.iter().enumerate().find(|(_, range)| **range > LARGE) {
                let name = self
                    .feature_names()
                    .get(feature)
                    .map_or_else(|| format!("number {feature}"), |name| format!("\"{name}\""));
                advice.push(format!(
                    "feature {name} has a range of {range:.0} and is not scaled: data.scale = \"standardize-features\" brings \
                     all to a deviation of 1"
                ));
            }
        }
        advice
    }
}
