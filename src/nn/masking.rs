use super::{Context, Layer, Network, Node, Sequential};
use crate::error::{Error, Result};
use crate::graph::Tensor;

/// Positions of `x` `[n, length, features]` all of whose features are not finite are padding, see [`Context::positions`]; there
/// the result is 0. A NaN beside numbers stays one.
pub(super) fn masking(x: &Tensor, cx: &mut Context) -> Result<Tensor> {
    if x.rank() != 3 || !x.dtype().is_float() {
        return Err(Error::shape("masking", "sequences of numbers [batch, length, features]", x.ty()));
    }
    let is_number = x.is_finite()?;
    let real = is_number.convert(x.dtype())?.max(&[2])?;
    let real = real.gt(&real.scalar_like(0.0))?;
    let y = real.unsqueeze(2)?.select(x, &x.scalar_like(0.0))?;
    cx.set_positions(Some(real));
    Ok(y)
}

impl Sequential {
    /// Whether the model takes padded sequences: if `masking` is its first layer.
    pub(crate) fn is_masked(&self) -> bool {
        matches!(self.0.first(), Some(Layer::Masking))
    }
}

impl Network {
    /// Whether an input may be padded sequences, see [`pad`](crate::data::pad): if `masking` is the first layer of all that
    /// reads it.
    pub fn is_masked(&self, input: &str) -> bool {
        let nodes = match self {
            Self::Layers(layers) => return layers.is_masked(),
            Self::Custom(custom) => {
                return custom.inputs.iter().any(|known| known.name == input && known.is_masked);
            }
            Self::Nodes(nodes) => nodes,
        };
        let takes = |node: &&Node| node.from.iter().any(|from| from == input);
        let mut takers = nodes.nodes.iter().filter(|(_, node)| takes(node)).peekable();
        takers.peek().is_some()
            && takers.all(|(name, node)| node.from.len() == 1 && nodes.layers(node, name).0.is_masked())
    }
}
