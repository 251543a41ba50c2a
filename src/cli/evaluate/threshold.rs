//! `neural evaluate --threshold`

use super::Evaluate;
use crate::error::{Error, Result};
use crate::metric::number;
use crate::train::Evaluation;
use std::str::FromStr;

/// Which probability divides yes from no.
#[derive(Clone, Copy, Debug)]
pub(super) enum Threshold {
    At(f64),
    BestF1,
}

impl FromStr for Threshold {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text.parse::<f64>() {
            _ if text == "best-f1" => Ok(Self::BestF1),
            Ok(part) if (0.0..=1.0).contains(&part) => Ok(Self::At(part)),
            _ => Err("expected a number from 0 to 1, or best-f1".to_string()),
        }
    }
}

impl Evaluate {
    /// The model's outputs for the rows, read with the requested threshold or the run's `own`, and its origin.
    pub(super) fn evaluation(
        &self,
        own: f64,
        mut evaluate: impl FnMut(&[u32]) -> Result<Evaluation>,
        rows: &[u32],
        validation: &[u32],
    ) -> Result<(Evaluation, Option<String>)> {
        let evaluation = evaluate(rows)?;
        if !evaluation.has_threshold() {
            if self.threshold.is_some() {
                let expected = "a model of two classes, or of labels, with probabilities";
                return Err(Error::value("--threshold", expected, "another"));
            }
            return Ok((evaluation, None));
        }
        let (threshold, from) = match self.threshold {
            None => (own, String::new()),
            Some(Threshold::At(threshold)) => (threshold, String::new()),
            // Chosen on other rows than the measured ones, where there are any.
            Some(Threshold::BestF1)
                if self.data.is_none() && !validation.is_empty() && validation != rows =>
            {
                let from = format!(", of the best F1 on the {} validation rows", validation.len());
                (evaluate(validation)?.best_threshold(), from)
            }
            Some(Threshold::BestF1) => {
                (evaluation.best_threshold(), ", of the best F1 on these very rows".to_string())
            }
        };
        let said = format!("threshold {}{from}", number(threshold));
        Ok((evaluation.with_threshold(threshold), Some(said)))
    }
}
