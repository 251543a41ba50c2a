//! Checks before a run begins.

use super::{Goal, Trainer, targets};
use crate::data::rows::Reader;
use crate::data::{Dataset, check_token_ids, check_token_scaling, real_positions};
use crate::error::{Error, Result};
use crate::loss::Outputs;
use crate::named;
use crate::nn::{Layer, Network, Summary};

impl Trainer {
    /// Checks that model, loss and data go together.
    pub(super) fn check(&self, data: &Dataset) -> Result<()> {
        for goal in self.goals().iter() {
            targets::check(&goal.loss, goal.target_of(data)?.targets, &data.splits)?;
            self.check_output(goal)?;
        }
        self.check_inputs(data)?;
        if (self.shuffle || self.balance) && data.reader.as_ref().is_some_and(Reader::is_sequential) {
            let expected = "false, and balance too, as the rows come one after another";
            return Err(Error::value("shuffle", expected, "true"));
        }
        for input in data.all_inputs() {
            if !self.model.is_masked(input.name) && real_positions(input.values).is_some() {
                let (expected, got) = match &self.model {
                    Network::Custom(_) => ("a function that masks it, as Network::masked says", "another"),
                    _ => ("\"masking\" as the first layer of all that reads it", "another layer"),
                };
                let expected = format!("{expected}, as some of its sequences are padded");
                return Err(Error::value(format!("input {}", input.name), expected, got));
            }
            let Some(vocabulary) = self.model.vocabulary(input.name) else { continue };
            check_token_scaling(input.scaling)?;
            if !self.augment.is_empty() && data.more_inputs.is_empty() {
                let expected = "no augmentation of token ids, which are names and not amounts";
                return Err(Error::value("augment", expected, format!("{:?}", self.augment).to_lowercase()));
            }
            check_token_ids(input.values, vocabulary)?;
        }
        Ok(())
    }

    /// Checks that the paths of `recompute` are parts of the model with this summary.
    pub(super) fn check_recompute(&self, summary: &Summary) -> Result<()> {
        let parts: Vec<&str> = summary.rows.iter().map(|row| row.path.as_str()).collect();
        match self.recompute.iter().find(|path| !parts.contains(&path.as_str())) {
            Some(path) => {
                Err(Error::value("recompute", "the path of a part of the model", named::got(path, &parts)))
            }
            None => Ok(()),
        }
    }

    /// Checks that the model takes all inputs of the data, and no others.
    fn check_inputs(&self, data: &Dataset) -> Result<()> {
        let (takes, has) =
            (self.model.inputs(), data.all_inputs().map(|input| input.name).collect::<Vec<_>>());
        if self.model.layers().is_some() {
            return match has.len() {
                1 => Ok(()),
                _ => {
                    Err(Error::value("model", "named nodes, as the data has several inputs", has.join(", ")))
                }
            };
        }
        match has.iter().find(|name| !takes.contains(name)) {
            Some(unused) => {
                let got = format!("an input {unused} that none takes");
                Err(Error::value("model.nodes", "a model that takes every input of the data", got))
            }
            None => Ok(()),
        }
    }

    /// Checks that the last layer's outputs fit the loss. Through a second softmax or sigmoid the scores differ by at most 1:
    /// such a model hardly learns, and its predictions are not probabilities.
    fn check_output(&self, goal: &Goal) -> Result<()> {
        let Some(last) = self.model.last(&goal.output) else {
            return match &self.model {
                // A join alone, or a function.
                Network::Nodes(_) | Network::Custom(_) => Ok(()),
                Network::Layers(_) => {
                    Err(Error::value("model.layers", "at least one layer, such as { dense = 2 }", "none"))
                }
            };
        };
        let name = goal.loss.kind();
        let takes = match goal.loss.outputs() {
            Outputs::Classes => format!("{name} applies the softmax itself, in predictions too"),
            Outputs::Labels => format!("{name} applies the sigmoid itself, in predictions too"),
            Outputs::Scores => format!("{name} compares scores of any size"),
            Outputs::Values => return Ok(()),
        };
        if matches!(last, Layer::Sigmoid | Layer::Softmax | Layer::LogSoftmax) {
            let expected = format!("a last layer that gives scores, as {takes}");
            let got = format!("\"{}\"; leave it out", last.kind());
            let place = match &*goal.output {
                "" => "model.layers".to_string(),
                node => format!("model.nodes.{node}"),
            };
            return Err(Error::value(place, expected, got));
        }
        Ok(())
    }
}
