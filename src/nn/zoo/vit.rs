use super::check_sizes;
use super::parts::Parts;
use crate::error::Result;
use crate::nn::{Attention, Conv, Dense, Init, Layer, LayerNorm, position, reshape};
use serde::{Deserialize, Serialize};

/// A vision transformer (Dosovitskiy et al., 2021) of the size "tiny" (Touvron et al., 2021): square patches of a picture
/// as a sequence, with a class token before them. Norms come before attention and before the two dense layers.
///
/// Its variables in files have the names of timm's `vit_tiny_patch16_224`, whose pictures have 224 by 224 pixels, with
/// a vector for each of 14 by 14 patches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VitTiny {
    /// Features of the last layer, such as the number of classes; 1000 if absent.
    pub outputs: usize,
    /// The side of a patch in pixels.
    pub patch: usize,
    /// The features of each patch.
    pub units: usize,
    /// How many blocks there are.
    pub depth: usize,
    /// Heads of each attention.
    pub heads: usize,
}

impl Default for VitTiny {
    fn default() -> Self {
        Self { outputs: super::imagenet(), patch: 16, units: 192, depth: 12, heads: 3 }
    }
}

impl VitTiny {
    pub(super) fn check(&self) -> Result<()> {
        let Self { outputs, patch, units, depth, heads } = *self;
        check_sizes([
            ("outputs", outputs),
            ("patch", patch),
            ("units", units),
            ("depth", depth),
            ("heads", heads),
        ])
    }

    pub(super) fn parts(&self) -> Parts {
        let side = [self.patch, self.patch];
        let norm = || Layer::LayerNorm(LayerNorm { epsilon: 1e-6 });
        let mut net = Parts::default();
        net.add(
            "patch_embed.proj",
            Conv { stride: side.to_vec(), init: Init::LecunNormal, ..Conv::new(self.units, &side) },
        );
        net.then(reshape(&[-1, self.units as i64]));
        net.add_renamed([("cls_token".into(), "token")], Layer::ClassToken);
        net.add_renamed([("pos_embed".into(), "weight")], position());
        for block in 0..self.depth {
            let name = format!("blocks.{block}");
            let mut attention = Parts::default();
            attention.add(&format!("{name}.norm1"), norm());
            attention.add_renamed(
                [
                    (format!("{name}.attn.qkv.weight"), "in_proj_weight"),
                    (format!("{name}.attn.qkv.bias"), "in_proj_bias"),
                    (format!("{name}.attn.proj."), "out_proj."),
                ],
                Layer::Attention(Attention::new(self.heads)),
            );
            net.residual(attention, Parts::default());
            let mut perceptron = Parts::default();
            perceptron.add(&format!("{name}.norm2"), norm());
            perceptron.add(&format!("{name}.mlp.fc1"), dense(4 * self.units));
            perceptron.then(Layer::Gelu);
            perceptron.add(&format!("{name}.mlp.fc2"), dense(self.units));
            net.residual(perceptron, Parts::default());
        }
        net.add("norm", norm());
        net.then(Layer::FirstPosition);
        net.add("head", dense(self.outputs));
        net
    }
}

fn dense(units: usize) -> Dense {
    Dense { init: Init::TruncatedNormal(0.02), ..Dense::new(units) }
}
