//! Architectures by name, with the names that torchvision and timm give their variables.

mod mobilenet;
mod parts;
mod perceptron;
mod resnet;
mod sequence;
mod vit;

pub use mobilenet::MobileNetV2;
pub use perceptron::Mlp;
pub use resnet::ResNet18;
pub use sequence::LstmClassifier;
pub use vit::VitTiny;

use super::{Sequential, Summary};
use crate::error::{Error, Result};
use crate::named;
use parts::Parts;
use std::collections::BTreeMap;

named::table! {
    /// A model by the name of its architecture. Variables are named by the places of the layers, as in any model;
    /// [`Architecture::names`] leads to them from the names that files of weights have.
    ///
    /// ```
    /// use neural::{DType, nn::{Architecture, ResNet18}};
    /// let model = Architecture::from(ResNet18 { outputs: 10, ..ResNet18::default() });
    /// assert_eq!(model.layers().summary(DType::F32, &[224, 224, 3])?.parameters(), 11_181_642);
    /// assert_eq!(model.paths("layer1.0.conv1"), ["4.layers.0"]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    #[derive(Clone, Debug, PartialEq)]
    pub enum Architecture: "an architecture" {
        /// ResNet-18 (He et al., 2016), torchvision's `resnet18`. `outputs`, `width` (the filters of the first stage, 64)
        ResNet18(ResNet18) = "resnet18", short "outputs";
        /// MobileNetV2 (Sandler et al., 2018), torchvision's `mobilenet_v2`. `outputs`, `width` (a factor on all numbers of
        /// channels, 1.0), `dropout`
        MobileNetV2(MobileNetV2) = "mobilenet-v2", short "outputs";
        /// A vision transformer (Dosovitskiy et al., 2021), timm's `vit_tiny_patch16_224`. `outputs`, `patch` (the side of a
        /// patch in pixels, 16), `units` (192), `depth` (12), `heads` (3)
        VitTiny(VitTiny) = "vit-tiny" | "vittinypatch16224", short "outputs";
        /// Dense layers with `relu` between them, torchvision's `MLP`. `outputs`, `hidden` (the widths of the layers before
        /// the last, `[128, 64]`), `dropout`
        Mlp(Mlp) = "mlp", short "outputs";
        /// An LSTM whose last state a dense layer `fc` reads. `outputs`, `units` (128), `layers` (1), `bidirectional`,
        /// `dropout` (between layers); of token ids `vocabulary`, `embedding` (the width of their vectors, 64) and `padding`
        Lstm(LstmClassifier) = "lstm", short "outputs";
    }
}

/// Implements the functions that depend on the type of an architecture's settings.
macro_rules! architectures {
    ($($Variant:ident($Settings:ident)),+ $(,)?) => {
        $(
            impl From<$Settings> for Architecture {
                fn from(settings: $Settings) -> Self {
                    Self::$Variant(settings)
                }
            }
        )+

        impl Architecture {
            fn parts(&self) -> Parts {
                match self {
                    $(Self::$Variant(settings) => settings.parts(),)+
                }
            }

            /// Checks that the settings are in range. Building the model checks what depends on the samples.
            ///
            /// # Errors
            /// When a size is 0 or too large.
            pub fn check(&self) -> Result<()> {
                match self {
                    $(Self::$Variant(settings) => settings.check(),)+
                }
            }
        }
    };
}

architectures!(
    ResNet18(ResNet18),
    MobileNetV2(MobileNetV2),
    VitTiny(VitTiny),
    Mlp(Mlp),
    Lstm(LstmClassifier),
);

impl Architecture {
    /// The layers that it consists of.
    pub fn layers(&self) -> Sequential {
        super::sequential(self.parts().layers)
    }

    /// The prefixes of the variables' names in files of weights, each with its prefix here: `layer1.0.conv1.` with
    /// `4.layers.0.`.
    pub fn names(&self) -> BTreeMap<String, String> {
        self.parts().names.into_iter().collect()
    }

    /// The prefix of the names of the last layer's variables, which depend on the number of outputs.
    pub fn head(&self) -> String {
        self.parts().names.last().map_or_else(String::new, |(_, here)| here.clone())
    }

    /// The paths of the parts whose names in files begin with `path`, as with `layer1` and `blocks.0.attn`; any other
    /// path, such as `4` or `bias`, is returned unchanged.
    pub fn paths(&self, path: &str) -> Vec<String> {
        let asked: Vec<&str> = path.trim_end_matches('.').split('.').collect();
        if asked[0].parse::<usize>().is_ok() {
            return vec![path.to_string()];
        }
        let of_parts = self.parts().names.into_iter().filter_map(|(there, here)| {
            let there: Vec<&str> = there.trim_end_matches('.').split('.').collect();
            let here = here.trim_end_matches('.').to_string();
            match asked.strip_prefix(&there[..]) {
                // A variable of the part.
                Some(rest @ [_, ..]) => Some(format!("{here}.{}", rest.join("."))),
                _ => there.starts_with(&asked).then_some(here),
            }
        });
        let paths: Vec<String> = of_parts.collect();
        if paths.is_empty() { vec![path.to_string()] } else { paths }
    }

    /// Sets the names of variables in files in the rows of the model's summary.
    pub fn name_rows(&self, summary: &mut Summary) {
        let names = self.parts().names;
        for row in &mut summary.rows {
            let within = format!("{}.", row.path);
            let there = names.iter().filter(|(_, here)| here.starts_with(&within));
            let segments = there.map(|(there, _)| there.trim_end_matches('.').split('.').collect::<Vec<_>>());
            // The common prefix of the names of a block's parts is the block's.
            let common = segments.reduce(|one, other| {
                let alike = one.iter().zip(&other).take_while(|(a, b)| a == b).count();
                one[..alike].to_vec()
            });
            row.name = common.unwrap_or_default().join(".");
        }
    }
}

/// Layers, blocks and outputs that no network has more of.
const MOST: usize = 100_000;

/// Refuses sizes of 0, and sizes too large for a list.
fn check_sizes<const N: usize>(sizes: [(&str, usize); N]) -> Result<()> {
    sizes.into_iter().try_for_each(|(name, size)| match size {
        1..=MOST => Ok(()),
        _ => Err(Error::value(name, format!("a whole number from 1 to {MOST}"), size)),
    })
}

/// The classes of `ImageNet`, of which the published weights are.
fn imagenet() -> usize {
    1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_has_the_table() {
        named::reference::check("architectures", Architecture::REFERENCE);
    }

    #[test]
    fn paths_are_those_of_files_or_of_layers() {
        let vit = Architecture::from(VitTiny { depth: 2, ..VitTiny::default() });
        assert_eq!(vit.paths("head"), ["10"]);
        assert_eq!(vit.paths("blocks.1.norm1"), ["6.layers.0"]);
        assert_eq!(vit.paths("blocks.1.norm1.bias"), ["6.layers.0.bias"]);
        assert_eq!(vit.paths("blocks.0.attn.qkv"), ["4.layers.1.in_proj_weight", "4.layers.1.in_proj_bias"]);
        assert_eq!(vit.paths("blocks.0").len(), 7);
        assert_eq!(vit.paths("blocks").len(), 14);
        for path in ["3", "3.layers.0", "bias", "block", "attn"] {
            assert_eq!(vit.paths(path), [path]);
        }
    }
}
