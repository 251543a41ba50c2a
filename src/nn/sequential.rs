use super::{Context, Layer, Module, Network, Summary};
use crate::array::DType;
use crate::error::Result;
use crate::graph::Tensor;
use crate::variables::Variable;
use serde::{Deserialize, Serialize};

/// Layers one after another. A layer's variables are named after its position, as in `PyTorch`: `0.weight`.
///
/// ```
/// use neural::{DType, nn};
/// let model = nn::sequential([nn::dense(128), nn::sigmoid(), nn::dense(10)]);
/// let summary = model.summary(DType::F32, &[784])?;
/// assert_eq!(summary.parameters(), 785 * 128 + 129 * 10);
/// println!("{summary}");
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sequential(pub Vec<Layer>);

/// See [`Sequential`].
pub fn sequential(layers: impl IntoIterator<Item = Layer>) -> Sequential {
    Sequential(layers.into_iter().collect())
}

impl Sequential {
    /// Whether there is no layer.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The layer whose results are the model's outputs, within a residual too; a flatten or a dropout changes none.
    pub(crate) fn last(&self) -> Option<&Layer> {
        match self.0.iter().rfind(|layer| !matches!(layer, Layer::Flatten | Layer::Dropout(_)))? {
            Layer::Residual(residual) => residual.layers.last(),
            layer => Some(layer),
        }
    }

    /// The variables that the model has for samples of this shape, and the table of its layers.
    ///
    /// ```
    /// use neural::{DType, nn};
    /// let (variables, _, output) = nn::sequential([nn::dense(5)]).declare(DType::F32, &[3])?;
    /// let names: Vec<_> = variables.iter().map(|v| &*v.name).collect();
    /// assert_eq!((names, output), (vec!["0.weight", "0.bias"], vec![5]));
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When a layer does not fit its input; the error names the layer.
    pub fn declare(&self, dtype: DType, sample: &[usize]) -> Result<(Vec<Variable>, Summary, Vec<usize>)> {
        let (variables, summary, mut outputs) = Network::from(self).declare(dtype, &[("", sample)])?;
        Ok((variables, summary, outputs.remove(0)))
    }

    /// A remark if attention cannot see the order of its sequence, as no layer before it adds positions.
    pub(super) fn orderless(&self, prefix: &str, ordered: &mut bool) -> Option<String> {
        self.0.iter().enumerate().find_map(|(i, layer)| {
            let path = format!("{prefix}{i}");
            match layer {
                Layer::Attention(layer) if !*ordered && !layer.rotary && !layer.causal => Some(format!(
                    "layer {path} (attention) does not see the order of its sequence; put \"position\" before it, or give it rotary = true"
                )),
                Layer::Residual(layer) => {
                    let within = layer.layers.orderless(&format!("{path}.layers."), ordered);
                    within.or_else(|| layer.shortcut.orderless(&format!("{path}.shortcut."), ordered))
                }
                Layer::Attention(_)
                | Layer::Position(_)
                | Layer::Conv(_)
                | Layer::DepthwiseConv(_)
                | Layer::SeparableConv(_)
                | Layer::ConvTranspose(_)
                | Layer::Lstm(_)
                | Layer::Gru(_) => {
                    *ordered = true;
                    None
                }
                _ => None,
            }
        })
    }

    /// The table of the model's layers for samples of this shape.
    ///
    /// # Errors
    /// When a layer does not fit its input; the error names the layer.
    pub fn summary(&self, dtype: DType, sample: &[usize]) -> Result<Summary> {
        Ok(self.declare(dtype, sample)?.1)
    }
}

impl Module for Sequential {
    fn forward(&self, x: &Tensor, cx: &mut Context) -> Result<Tensor> {
        let mut layers = self.0.iter().enumerate();
        layers.try_fold(x.clone(), |x, (i, layer)| cx.part(&i.to_string(), layer.name(), layer, &x))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Attention, Network, Node, attention, dense, embedding, lstm, position, residual};
    use super::*;

    #[test]
    fn attention_that_sees_no_order_is_noted() -> Result<()> {
        let notes = |layers: Vec<Layer>| -> Result<Vec<String>> {
            Ok(sequential(layers).summary(DType::F32, &[6])?.notes)
        };
        let words = || embedding(9, 4);
        let noted = notes(vec![words(), dense(4), residual([attention(2)]), Layer::GlobalAvgPool])?;
        assert_eq!(noted.len(), 1);
        assert!(noted[0].starts_with("layer 2.layers.0 (attention) does not see the order"), "{noted:?}");
        let rotary = Layer::Attention(Attention { rotary: true, ..Attention::new(2) });
        let states =
            Layer::Lstm(super::super::Recurrent { sequences: true, ..super::super::Recurrent::new(4) });
        let nodes = |first: Layer| -> Result<Vec<String>> {
            let nodes =
                [("words", Node::new("ids", [words(), first])), ("all", Node::new("words", [attention(2)]))];
            Ok(Network::of_nodes(nodes, ["all"])?.summary(DType::F32, &[("ids", &[6])])?.notes)
        };
        assert!(nodes(dense(4))?[0].starts_with("layer all.0 (attention) does not see the order"));
        assert!(nodes(position())?.is_empty());
        for seen in [position(), rotary, states] {
            assert!(notes(vec![words(), seen, attention(2), lstm(3)])?.is_empty());
        }
        Ok(())
    }
}
