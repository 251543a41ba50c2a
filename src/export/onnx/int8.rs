//! Products and convolutions in eight bits: they read values and weights that `QuantizeLinear` rounds to 256 steps and
//! `DequantizeLinear` converts back, a form that engines recognise and compute in integers.

use super::builder::{Builder, int};
use super::proto::DataType;
use crate::array::Array;
use crate::error::{Error, Result};
use crate::model::Activations;
use crate::nn::{BatchNorm, Layer};
use std::collections::HashMap;

/// The ranges for a file in eight bits, and the outcome for each weight.
pub struct Int8<'a> {
    ranges: &'a Activations,
    /// The names of the weights that are in eight bits.
    pub weights: Vec<String>,
    /// Rounded tensors, with their ranges, by the tensors that they are rounded from.
    rounded: HashMap<String, (String, (f64, f64))>,
}

impl<'a> Int8<'a> {
    pub fn new(ranges: &'a Activations) -> Self {
        Self { ranges, weights: Vec::new(), rounded: HashMap::new() }
    }

    /// The range of the values at a place, if it was observed.
    fn range(&self, place: &str) -> Result<Option<(f64, f64)>> {
        match self.ranges.range(place) {
            Some((least, most)) if !(least.is_finite() && most.is_finite()) => {
                let name = format!("int8: the values at \"{place}\"");
                let expected = "finite numbers in all rows that the ranges are taken from";
                Err(Error::value(name, expected, format!("{least} to {most}")))
            }
            range => Ok(range),
        }
    }
}

/// Layers that are one operator to an engine: a convolution, the batch norm folded into its weights, and the activation
/// after it. Any other layer is a block by itself.
pub struct Block {
    /// The number of layers.
    pub len: usize,
    pub norm: Option<Norm>,
    /// The range of the results, if they are rounded: engines fuse a convolution with the rounding of its results,
    /// while products may return f32.
    pub results: Option<(f64, f64)>,
}

/// A batch norm as a factor and a term for each channel.
pub struct Norm {
    factors: Vec<f64>,
    terms: Vec<f64>,
}

/// Values as whole numbers of steps from the one at 0.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Steps {
    scale: f32,
    zero: i8,
}

impl Steps {
    /// Maps min to max onto -128 to 127, with 0 represented exactly.
    fn of((least, most): (f64, f64)) -> Self {
        let (least, most) = (least.min(0.0), most.max(0.0));
        let scale = ((most - least) / 255.0) as f32;
        if !(scale >= f32::MIN_POSITIVE && scale.is_finite()) {
            return Self { scale: 1.0, zero: 0 };
        }
        Self { scale, zero: (-128.0 - least / f64::from(scale)).round().clamp(-128.0, 127.0) as i8 }
    }
}

impl Builder<'_> {
    /// The block that begins with `layers[0]`, which is at `place`.
    pub fn block(&self, layers: &[Layer], place: usize) -> Result<Block> {
        let alone = Block { len: 1, norm: None, results: None };
        let Some(int8) = &self.int8 else { return Ok(alone) };
        let range = |place: &str| int8.range(&self.local(place));
        let is_conv = matches!(layers[0], Layer::Conv(_) | Layer::DepthwiseConv(_));
        if !is_conv || range(&format!("{place}.weight"))?.is_none() {
            return Ok(alone);
        }
        let norm = match layers.get(1) {
            Some(Layer::BatchNorm(layer)) => Some(self.norm(layer, &(place + 1).to_string())?),
            _ => None,
        };
        let mut len = 1 + usize::from(norm.is_some());
        len += usize::from(matches!(layers.get(len), Some(Layer::Relu | Layer::Relu6)));
        Ok(Block { len, norm, results: range(&(place + len - 1).to_string())? })
    }

    fn norm(&self, layer: &BatchNorm, place: &str) -> Result<Norm> {
        let of = |name: &str| self.value(&format!("{place}.{name}")).map(Array::to_f64);
        let (weight, bias) = (of("weight")?, of("bias")?);
        let (mean, variance) = (of("running_mean")?, of("running_var")?);
        let factors: Vec<f64> =
            weight.iter().zip(variance).map(|(weight, var)| weight / (var + layer.epsilon).sqrt()).collect();
        let terms = bias.iter().zip(&mean).zip(&factors).map(|((bias, mean), factor)| bias - mean * factor);
        Ok(Norm { terms: terms.collect(), factors })
    }

    /// The operands of an operator: the values `x`, its weights, with an output at each place of `axis`, and its bias.
    /// A waiting batch norm is folded into weights and bias. A part of a weight is called `weight:part`.
    pub fn operands(
        &mut self,
        x: &str,
        name: &str,
        (weights, axis): (&Array, usize),
        bias: Option<&Array>,
    ) -> Result<Vec<String>> {
        let full_name = self.local(name);
        let range = self.int8.as_ref().map_or(Ok(None), |int8| int8.range(&full_name))?;
        let Some(range) = range else {
            let mut inputs = vec![x.to_string(), self.constant(name, weights)];
            inputs.extend(bias.map(|bias| self.constant("bias", bias)));
            return Ok(inputs);
        };
        // Values that are rounded already keep their steps, and engines take a bias to be in these steps times the weights'.
        let range = self.known_rounding(x).map_or(range, |(_, range)| *range);
        let shape = weights.shape();
        let (outputs, inner) = (shape[axis], shape[axis + 1..].iter().product::<usize>());
        let output = |i: usize| i / inner % outputs;
        let (mut values, mut bias) = (weights.to_f64(), bias.map(Array::to_f64));
        if let Some(Norm { factors, terms }) = self.norm.take() {
            values.iter_mut().enumerate().for_each(|(i, value)| *value *= factors[output(i)]);
            let given = bias.unwrap_or_else(|| vec![0.0; outputs]);
            let normed = given.iter().zip(&factors).zip(&terms).map(|((bias, f), term)| bias * f + term);
            bias = Some(normed.collect());
        }

        let steps = Steps::of(range);
        let mut largest = vec![0f64; outputs];
        for (i, value) in values.iter().enumerate() {
            largest[output(i)] = largest[output(i)].max(value.abs());
        }
        let scales: Vec<f32> = (0..outputs)
            .map(|i| {
                // A bias is 32 bits of steps of both scales: where it is beyond them, these are widened.
                let bias = bias.as_ref().map_or(0.0, |bias| bias[i].abs());
                let least = bias / f64::from(i32::MAX / 2) / f64::from(steps.scale);
                let scale = (largest[i] / 127.0).max(least) as f32;
                if scale >= f32::MIN_POSITIVE { scale } else { 1.0 }
            })
            .collect();
        let whole = |(i, value): (usize, &f64)| (value / f64::from(scales[output(i)])).round() as i8 as u8;
        let bytes = values.iter().enumerate().map(whole).collect();
        let stored = self.stored(name, DataType::Int8, shape, bytes);
        let x = self.rounded(x, range);
        let mut inputs = vec![x, self.scaled_back(name, &stored, DataType::Int8, &scales, axis)];
        if let Some(bias) = bias {
            let scales: Vec<f32> = scales.iter().map(|scale| scale * steps.scale).collect();
            let whole = |(bias, scale): (&f64, &f32)| (bias / f64::from(*scale)).round() as i32;
            let bytes = bias.iter().zip(&scales).map(whole).flat_map(i32::to_le_bytes).collect();
            let stored = self.stored("bias", DataType::Int32, &[outputs], bytes);
            inputs.push(self.scaled_back("bias", &stored, DataType::Int32, &scales, 0));
        }
        if let Some(int8) = &mut self.int8 {
            int8.weights.push(full_name.split(':').next().unwrap_or_default().to_string());
        }
        Ok(inputs)
    }

    /// A constant of whole numbers times its scales along `axis`.
    fn scaled_back(
        &mut self,
        name: &str,
        stored: &str,
        elements: DataType,
        scales: &[f32],
        axis: usize,
    ) -> String {
        let zeros = vec![0; scales.len() * if elements == DataType::Int8 { 1 } else { 4 }];
        let zero = self.stored(&format!("{name}.zero_point"), elements, &[scales.len()], zeros);
        let scale = self.constant(&format!("{name}.scale"), &Array::vector(scales));
        self.node("DequantizeLinear", &[stored, &scale, &zero], vec![int("axis", axis as i64)])
    }

    /// Marks the max of rounded values, which is one of their steps, as rounded too, so that an engine stays in eight
    /// bits.
    pub fn still_rounded(&mut self, x: &str, y: String) -> String {
        match self.range_of_rounded(x) {
            Some(range) => self.rounded(&y, range),
            None => y,
        }
    }

    /// The sum of two values, rounded where both are.
    pub fn rounded_sum(&mut self, [a, b]: [&str; 2], y: String) -> Result<String> {
        let is_rounded = self.range_of_rounded(a).is_some() && self.range_of_rounded(b).is_some();
        let int8 = self.int8.as_ref().filter(|_| is_rounded);
        let range = int8.map_or(Ok(None), |int8| int8.range(&self.place()))?;
        Ok(match range {
            Some(range) => self.rounded(&y, range),
            None => y,
        })
    }

    /// The tensor that `x` was rounded to, with its range.
    fn known_rounding(&self, x: &str) -> Option<&(String, (f64, f64))> {
        self.int8.as_ref()?.rounded.get(x)
    }

    fn range_of_rounded(&self, x: &str) -> Option<(f64, f64)> {
        let (y, range) = self.known_rounding(x)?;
        (x == y).then_some(*range)
    }

    /// `x`, whose values are in `range`, rounded to its steps.
    pub fn rounded(&mut self, x: &str, range: (f64, f64)) -> String {
        if let Some((known, _)) = self.known_rounding(x) {
            return known.clone();
        }
        let Steps { scale, zero } = Steps::of(range);
        let scale = self.operand(&Array::scalar(scale));
        let name = format!("zero_point_{}", self.constants());
        let zero = self.stored(&name, DataType::Int8, &[], vec![zero as u8]);
        let whole = self.node("QuantizeLinear", &[x, &scale, &zero], vec![]);
        let y = self.node("DequantizeLinear", &[&whole, &scale, &zero], vec![]);
        if let Some(int8) = &mut self.int8 {
            // Values that are rounded already are not rounded again.
            let rounded = (y.clone(), range);
            int8.rounded.extend([(x.to_string(), rounded.clone()), (y.clone(), rounded)]);
        }
        y
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_reach_from_end_to_end_and_hold_zero() {
        // onnxruntime.quantization.quant_utils.compute_scale_zp(rmin, rmax, -128, 127)
        let of = |range| {
            let Steps { scale, zero } = Steps::of(range);
            (f64::from(scale), zero)
        };
        let close = |(scale, zero): (f64, i8), expected: (f64, i8)| {
            assert!((scale - expected.0).abs() < 1e-7 && zero == expected.1, "{scale} {zero}");
        };
        close(of((0.0, 2.55)), (0.01, -128));
        close(of((-1.0, 3.0)), (0.015_686_275, -64));
        close(of((0.5, 2.0)), (0.007_843_137, -128));
        close(of((-2.0, -1.0)), (0.007_843_137, 127));
        close(of((0.0, 0.0)), (1.0, 0));
        close(of((f64::NAN, f64::NAN)), (1.0, 0));
    }
}
