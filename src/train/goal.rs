//! The goals of training for the outputs of a model.

use super::Trainer;
use super::head::{Gaps, Head, Target};
use super::targets::stored;
use crate::data::{Dataset, TargetView, Targets, may_be_padded};
use crate::error::{Error, Result};
use crate::loss::Loss;

/// One output of a model with its loss and its target. Training minimises the sum of the losses of all goals, each
/// times its weight.
#[derive(Clone, Debug, PartialEq)]
pub struct Goal {
    /// The prefix of its figures, as in `kind.accuracy`.
    pub name: String,
    /// The name of the output; empty for a list of layers.
    pub output: String,
    /// The distance between output and target.
    pub loss: Loss,
    /// One of the data's targets, by its name; the only one if empty.
    pub target: String,
    /// A factor on its loss; 1 counts it once.
    pub weight: f64,
}

impl Goal {
    /// A goal of weight 1.
    pub fn new(name: &str, output: &str, loss: Loss, target: &str) -> Self {
        Self { name: name.into(), output: output.into(), loss, target: target.into(), weight: 1.0 }
    }

    /// The same with a weight in the sum of all losses.
    #[must_use]
    pub fn weight(self, weight: f64) -> Self {
        Self { weight, ..self }
    }

    /// The goal's target among the data's.
    pub(crate) fn target_of<'d>(&self, data: &'d Dataset) -> Result<TargetView<'d>> {
        let is_any = self.target.is_empty() && data.more_targets.is_empty();
        data.all_targets().find(|target| is_any || target.name == self.target).ok_or_else(|| {
            let names: Vec<&str> = data.all_targets().map(|target| target.name).collect();
            let expected = format!("a target of the data, one of {}", names.join(", "));
            Error::value(format!("objective {}: target", self.name), expected, format!("{:?}", self.target))
        })
    }

    /// The goal with its output and its target as indices into the model's and the data's.
    pub(super) fn head(&self, trainer: &Trainer, data: &Dataset) -> Result<Head> {
        let outputs = trainer.model.outputs();
        let Some(output) = outputs.iter().position(|output| *output == self.output) else {
            let expected = format!("an output of the model, one of {}", outputs.join(", "));
            return Err(Error::value(format!("objective {}: from", self.name), expected, &self.output));
        };
        if !(self.weight.is_finite() && self.weight > 0.0) {
            return Err(Error::value(
                format!("objective {}: weight", self.name),
                "a number above 0",
                self.weight,
            ));
        }
        let TargetView { name, targets, .. } = self.target_of(data)?;
        let classes = targets.names().len();
        let target = match targets {
            Targets::Inputs => {
                // Inputs that are read may only be padded where the model masks them.
                let has_gaps = may_be_padded(&data.inputs) && trainer.model.is_masked(data.input_name());
                let gaps = if has_gaps { Gaps::Values } else { Gaps::None };
                Target::Input { place: 0, gaps }
            }
            Targets::Next { padding, .. } => Target::Next { input: 0, padding: *padding },
            targets => Target::Stored {
                place: data
                    .all_targets()
                    .take_while(|target| target.name != name)
                    .filter(|target| stored(target.targets).is_some())
                    .count(),
                gaps: match targets {
                    Targets::Positions { .. } => Gaps::Classes,
                    Targets::Partial(_) => Gaps::Values,
                    _ => Gaps::None,
                },
            },
        };
        let (target_name, loss) = (name.to_string(), self.loss.clone());
        Ok(Head { name: self.name.clone(), output, loss, weight: self.weight, target, target_name, classes })
    }
}
