//! A model whose scores are divided by a temperature.

use super::{Description, Link, Model};
use crate::array::Array;
use crate::error::{Error, Result};
use crate::nn::{Layer, Network, Sequential};

impl Model {
    /// This model with its scores divided by `temperature`, which calibrates its probabilities; the likeliest class
    /// stays the same. The values of the last layer are divided, so the temperature goes wherever the model goes.
    ///
    /// ```
    /// use neural::runtime::Device;
    /// use neural::{Array, DType, model::{Description, Link, Model}, nn};
    /// let description = Description::new(nn::sequential([nn::dense(1)]), Link::Sigmoid, &[1], DType::F32);
    /// let model = Model::new(description, |name| match name {
    ///     "0.weight" => Array::new(&[1, 1], vec![2f32]).ok(),
    ///     _ => Some(Array::vector(&[1f32])),
    /// })?;
    /// let calibrated = model.with_temperature(4.0)?;
    /// let answer = calibrated.predict(&Device::cpu()?, &Array::new(&[1, 1], vec![3f32])?)?.to_vec::<f32>()?[0];
    /// let score = (2.0 * 3.0 + 1.0) / 4.0f32;
    /// assert!((answer - 1.0 / (1.0 + (-score).exp())).abs() < 1e-6);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the model gives no probabilities, has several outputs, or ends with another layer than a dense one; when the
    /// temperature is not a number above 0.
    pub fn with_temperature(mut self, temperature: f64) -> Result<Self> {
        if !(temperature > 0.0 && temperature.is_finite()) {
            return Err(Error::value("temperature", "a number above 0", temperature));
        }
        let last = last_layer(&self.description)?;
        for (variable, value) in &mut self.variables {
            if variable.name.rsplit_once('.').is_some_and(|(layer, _)| layer == last) {
                let divided = value.to_f64().iter().map(|value| (value / temperature) as f32).collect();
                *value = Array::new(value.shape(), divided)?;
            }
        }
        Ok(self)
    }
}

/// The probability of yes, or of the second of two classes, after its score is divided by a temperature: σ(ln(p / (1 -
/// p)) / T).
pub(crate) fn tempered(probability: f64, temperature: f64) -> f64 {
    let score = (probability / (1.0 - probability)).ln() / temperature;
    1.0 / (1.0 + (-score).exp())
}

/// The place of the dense layer that gives the scores.
fn last_layer(description: &Description) -> Result<String> {
    let refused = |got: &str| {
        Err(Error::value(
            "temperature",
            "a model of one output of probabilities that ends with a dense layer",
            got,
        ))
    };
    if !description.others.outputs.is_empty() {
        return refused("one of several outputs");
    }
    if description.link == Link::Identity {
        return refused("one without probabilities");
    }
    let end = |layers: &Sequential| match layers.0.last() {
        Some(Layer::Dense(_)) => Some(layers.0.len() - 1),
        _ => None,
    };
    let found = match &description.layers {
        Network::Layers(layers) => end(layers).map(|place| place.to_string()),
        Network::Nodes(nodes) => nodes.outputs.first().and_then(|name| {
            let node = nodes.nodes.get(name)?;
            // Values that other nodes use too are not the output's alone.
            let is_shared = node.like.is_some()
                || nodes
                    .nodes
                    .values()
                    .any(|other| other.like.as_ref() == Some(name) || other.from.contains(name));
            (!is_shared).then(|| end(&node.layers)).flatten().map(|place| format!("{name}.{place}"))
        }),
        Network::Custom(_) => None,
    };
    found.map_or_else(|| refused("one that ends otherwise"), Ok)
}
