//! What is known to go wrong before a run begins.

use super::Trainer;
use crate::data::{Dataset, check_token_ids, check_token_scaling};
use crate::error::{Error, Result};
use crate::loss::Loss;
use crate::nn::Layer;

impl Trainer {
    /// That model, loss and data go together.
    pub(super) fn check(&self, data: &Dataset) -> Result<()> {
        self.check_outputs()?;
        let Some(vocabulary) = self.model.vocabulary() else { return Ok(()) };
        check_token_scaling(&data.scaling)?;
        if !self.augment.is_empty() {
            let expected = "no augmentation of token ids, which are names and not amounts";
            return Err(Error::value("augment", expected, format!("{:?}", self.augment).to_lowercase()));
        }
        check_token_ids(&data.inputs, vocabulary)
    }

    /// That the last layer gives what the loss takes. Through a second softmax or sigmoid the scores differ by at most 1:
    /// such a model hardly learns, and its predictions are no probabilities.
    fn check_outputs(&self) -> Result<()> {
        let Some(last) = self.model.last() else {
            return Err(Error::value("model.layers", "at least one layer, such as { dense = 2 }", "none"));
        };
        let takes = match self.loss {
            Loss::SoftmaxCrossEntropy(_) => {
                "softmax-cross-entropy applies the softmax itself, in predictions too"
            }
            Loss::SigmoidCrossEntropy(_) => {
                "sigmoid-cross-entropy applies the sigmoid itself, in predictions too"
            }
            Loss::Hinge => "hinge compares scores of any size",
            Loss::MeanSquaredError | Loss::MeanAbsoluteError | Loss::Huber(_) | Loss::Custom(_) => {
                return Ok(());
            }
        };
        if matches!(last, Layer::Sigmoid | Layer::Softmax | Layer::LogSoftmax) {
            let expected = format!("a last layer that gives scores, as {takes}");
            let got = format!("\"{}\"; leave it out", last.kind());
            return Err(Error::value("model.layers", expected, got));
        }
        Ok(())
    }
}
