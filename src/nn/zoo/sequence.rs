use super::check_sizes;
use super::parts::Parts;
use crate::error::{Error, Result};
use crate::nn::{Dense, Embedding, Layer, Recurrent};
use serde::{Deserialize, Serialize};

/// An LSTM (Hochreiter and Schmidhuber, 1997) over sequences `[length, features]`, or over `[length]` token ids of a
/// vocabulary, and a dense layer that reads its last state.
///
/// Its variables in files have the names of a `PyTorch` module with the parts `embedding`, `lstm` and `fc`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LstmClassifier {
    /// Features of the last layer, such as the number of classes.
    pub outputs: usize,
    /// Numbers of the state in each direction; 128 if absent.
    #[serde(default = "units")]
    pub units: usize,
    /// Stacked LSTMs; 1 if absent.
    #[serde(default = "one")]
    pub layers: usize,
    /// Whether a second LSTM reads from the end; `false` if absent.
    #[serde(default)]
    pub bidirectional: bool,
    /// The rate of a dropout between the layers.
    #[serde(default)]
    pub dropout: f64,
    /// The number of token ids, where the sequences consist of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vocabulary: Option<usize>,
    /// The width of the tokens' vectors.
    #[serde(default = "width")]
    pub embedding: usize,
    /// The id that fills sequences up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub padding: Option<usize>,
}

fn units() -> usize {
    128
}

fn one() -> usize {
    1
}

fn width() -> usize {
    64
}

impl LstmClassifier {
    pub(super) fn check(&self) -> Result<()> {
        if self.padding.is_some() && self.vocabulary.is_none() {
            return Err(Error::value("padding", "a vocabulary beside it, as it is a token id", "none"));
        }
        let Self { outputs, units, layers, embedding, .. } = *self;
        check_sizes([("outputs", outputs), ("units", units), ("layers", layers), ("embedding", embedding)])
    }

    pub(super) fn parts(&self) -> Parts {
        let mut net = Parts::default();
        if let Some(vocabulary) = self.vocabulary {
            let layer = Embedding { padding: self.padding, ..Embedding::new(vocabulary, self.embedding) };
            net.add("embedding", Layer::Embedding(layer));
        }
        let Self { layers, bidirectional, dropout, .. } = *self;
        net.add(
            "lstm",
            Layer::Lstm(Recurrent { layers, bidirectional, dropout, ..Recurrent::new(self.units) }),
        );
        net.add("fc", Dense::new(self.outputs));
        net
    }
}
