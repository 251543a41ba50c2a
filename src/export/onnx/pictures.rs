//! Layers of pictures and signals in ONNX's operators.

use super::super::layout::filters_first;
use super::builder::{Builder, Value, float, int, ints, text};
use super::layers::{whole, window_attributes};
use crate::array::{Array, DType};
use crate::error::Result;
use crate::nn::{ConvTranspose, Edges, Interpolation, Upsample};

impl Builder<'_> {
    pub fn conv_transpose(&mut self, layer: &ConvTranspose, x: Value) -> Result<Value> {
        let (window, lengths) = layer.window(&x.shape)?;
        let x = self.channels_first(x);
        let kernel = filters_first(self.value("weight")?)?;
        let mut inputs = vec![x.name.clone(), self.constant("weight", &kernel)];
        if layer.bias {
            inputs.push(self.variable("bias")?);
        }
        // The length beyond the one that stride, kernel and padding give.
        let added = (0..lengths.len()).map(|i| {
            let (low, high) = window.padding[i];
            let made = (x.shape[i + 1] - 1) * window.stride[i] + window.extent(i);
            (lengths[i] + low + high).saturating_sub(made)
        });
        let mut attributes = window_attributes(&window);
        attributes.push(ints("output_padding", whole(&added.collect::<Vec<_>>())));
        attributes.push(ints("dilations", whole(&window.dilation)));
        attributes.push(int("group", layer.groups as i64));
        Ok(x.with(self.node("ConvTranspose", &inputs, attributes)))
    }

    pub fn upsample(&mut self, layer: &Upsample, x: Value) -> Value {
        let x = self.channels_first(x);
        let factors = [1.0, 1.0].into_iter().chain(layer.size.iter().map(|&n| n as f32));
        let factors = self.operand(&Array::vector(&factors.collect::<Vec<_>>()));
        let mode = match layer.method {
            Interpolation::Nearest => "nearest",
            Interpolation::Bilinear => "linear",
        };
        let attributes = vec![text("mode", mode), text("coordinate_transformation_mode", "half_pixel")];
        x.with(self.node("Resize", &[x.name.as_str(), "", &factors], attributes))
    }

    pub fn crop(&mut self, layer: &Edges, x: Value) -> Value {
        let x = self.channels_last(x);
        let starts: Vec<_> = layer.cells.iter().map(|cells| cells.0).collect();
        let ends: Vec<_> = (1..).zip(&layer.cells).map(|(axis, cells)| x.shape[axis] - cells.1).collect();
        let axes: Vec<_> = (1..=layer.cells.len()).collect();
        let [starts, ends, axes] = [starts, ends, axes].map(|numbers| self.ints(&whole(&numbers)));
        x.with(self.node("Slice", &[&x.name, &starts, &ends, &axes], vec![]))
    }

    pub fn pad(&mut self, layer: &Edges, x: Value) -> Value {
        let x = self.channels_last(x);
        let side = |of: fn(&(usize, usize)) -> usize| {
            std::iter::once(0).chain(layer.cells.iter().map(of)).chain([0]).collect::<Vec<_>>()
        };
        let cells = self.ints(&whole(&[side(|cells| cells.0), side(|cells| cells.1)].concat()));
        x.with(self.node("Pad", &[&x.name, &cells], vec![]))
    }

    /// A group norm by ONNX's normalisation of each channel, for which the channels of a group are laid out as one.
    pub fn group_norm(&mut self, groups: usize, epsilon: f64, affine: bool, x: Value) -> Result<Value> {
        let x = self.channels_first(x);
        let (channels, spatial) = (x.shape[x.rank() - 1], x.shape[1..x.rank() - 1].to_vec());
        let parts = self.ints(&[0, groups as i64, -1]);
        let grouped = self.node("Reshape", &[&x.name, &parts], vec![]);
        let [ones, zeros] = [1.0, 0.0].map(|value| self.operand(&Array::full(DType::F32, &[groups], value)));
        let attributes = vec![float("epsilon", epsilon)];
        let y = self.node("InstanceNormalization", &[&grouped, &ones, &zeros], attributes);
        let shape = self.ints(&whole(&[&[0, channels], &spatial[..]].concat()));
        let mut y = self.node("Reshape", &[&y, &shape], vec![]);
        if affine {
            for (op, name) in [("Mul", "weight"), ("Add", "bias")] {
                let column = [&[channels], &vec![1; spatial.len()][..]].concat();
                let value = self.value(name)?.clone().reshape(&column)?;
                let value = self.constant(name, &value);
                y = self.node(op, &[&y, &value], vec![]);
            }
        }
        Ok(x.with(y))
    }
}
