//! A list of layers under construction, with the names of their variables in files.

use crate::nn::{Conv, Init, Layer, Padding, Residual, Sequential, sequential};

/// Layers, and the prefixes of names in files with the prefixes here, in the order of the layers.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub layers: Vec<Layer>,
    pub names: Vec<(String, String)>,
}

impl Parts {
    /// Adds a layer that has no name in files.
    pub fn then(&mut self, layer: Layer) {
        self.layers.push(layer);
    }

    /// Adds a layer whose variables have the same names in files, under `name`.
    pub fn add(&mut self, name: &str, layer: impl Into<Layer>) {
        self.names.push((format!("{name}."), format!("{}.", self.layers.len())));
        self.layers.push(layer.into());
    }

    /// Adds a layer whose variables, or parts, have other names in files: pairs of the name there and here.
    pub fn add_renamed<const N: usize>(&mut self, names: [(String, &str); N], layer: impl Into<Layer>) {
        let place = self.layers.len();
        self.names.extend(names.into_iter().map(|(there, here)| (there, format!("{place}.{here}"))));
        self.layers.push(layer.into());
    }

    /// A residual block; an empty shortcut is the identity.
    pub fn residual(&mut self, layers: Parts, shortcut: Parts) {
        let place = self.layers.len();
        let mut within = |part: &str, Parts { layers, names }: Parts| -> Sequential {
            let names = names.into_iter().map(|(there, here)| (there, format!("{place}.{part}.{here}")));
            self.names.extend(names);
            sequential(layers)
        };
        let block = Residual { layers: within("layers", layers), shortcut: within("shortcut", shortcut) };
        self.layers.push(Layer::Residual(block));
    }
}

/// A convolution without a bias, as a batch norm follows it, padded by half of its kernel.
pub(super) fn conv(filters: usize, kernel: usize, stride: usize) -> Conv {
    Conv {
        stride: vec![stride; 2],
        padding: Padding::Explicit(vec![(kernel / 2, kernel / 2); 2]),
        bias: false,
        init: Init::HeNormal,
        ..Conv::new(filters, &[kernel, kernel])
    }
}
