use super::check_sizes;
use super::parts::Parts;
use crate::error::{Error, Result};
use crate::nn::{Dense, Init, Layer, dropout};
use serde::{Deserialize, Serialize};

/// Dense layers with `relu` and dropout between them, on samples of any shape.
///
/// Its variables in files have the names of torchvision's `MLP`, where activations and dropouts count too: `0.weight`,
/// `3.weight`, `6.weight`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mlp {
    /// Features of the last layer, such as the number of classes.
    pub outputs: usize,
    /// The widths of the layers before the last.
    #[serde(default = "hidden")]
    pub hidden: Vec<usize>,
    /// The rate of the dropout after each layer before the last; 0 if absent.
    #[serde(default)]
    pub dropout: f64,
}

fn hidden() -> Vec<usize> {
    vec![128, 64]
}

impl Mlp {
    pub(super) fn check(&self) -> Result<()> {
        check_sizes([("outputs", self.outputs)])?;
        match self.hidden.contains(&0) {
            true => Err(Error::value("hidden", "whole numbers above 0", format!("{:?}", self.hidden))),
            false => Ok(()),
        }
    }

    pub(super) fn parts(&self) -> Parts {
        let mut net = Parts::default();
        net.then(Layer::Flatten);
        for (i, &width) in self.hidden.iter().enumerate() {
            net.add(&(3 * i).to_string(), Dense { init: Init::HeNormal, ..Dense::new(width) });
            net.then(Layer::Relu);
            net.then(dropout(self.dropout));
        }
        net.add(&(3 * self.hidden.len()).to_string(), Dense::new(self.outputs));
        net
    }
}
