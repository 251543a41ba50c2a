//! Each layer in ONNX's operators, <https://onnx.ai/onnx/operators>.

use super::super::layout::filters_first;
use super::builder::{Builder, Value, float, int, ints};
use super::proto::{Attribute, DataType};
use crate::array::Array;
use crate::error::{Error, Result};
use crate::graph::Window;
use crate::nn::{Conv, Dense, Embedding, Layer, Pool, Residual, RmsNorm, Sequential};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_PI};

impl<'a> Builder<'a> {
    pub fn layers(&mut self, layers: &Sequential, x: Value) -> Result<Value> {
        let (mut x, mut place) = (x, 0);
        while place < layers.0.len() {
            let block = self.block(&layers.0[place..], place)?;
            let skipped = block.norm.as_ref().map(|_| place + 1);
            self.norm = block.norm;
            for i in (place..place + block.len).filter(|i| Some(*i) != skipped) {
                x = self.within(&i.to_string(), |builder| builder.finished_layer(&layers.0[i], x))?;
            }
            if let Some(range) = block.results {
                x = x.with(self.rounded(&x.name, range));
            }
            place += block.len;
        }
        Ok(x)
    }

    fn finished_layer(&mut self, layer: &Layer, x: Value) -> Result<Value> {
        let mut y = self.layer(layer, x)?;
        y.shape = self.result_shape()?;
        if ends_positions(layer) {
            self.positions = None;
        }
        Ok(y)
    }

    fn layer(&mut self, layer: &Layer, x: Value) -> Result<Value> {
        match layer {
            Layer::Dense(layer) => self.dense(layer, x),
            Layer::Conv(layer) => self.conv(layer, x),
            Layer::ConvTranspose(layer) => self.conv_transpose(layer, x),
            Layer::DepthwiseConv(layer) => {
                let channels = x.shape[x.rank() - 1];
                self.conv(&layer.conv(channels), x)
            }
            Layer::SeparableConv(layer) => {
                let channels = x.shape[x.rank() - 1];
                let (depthwise, pointwise) = layer.parts(x.rank() - 2);
                let x = self.within("depthwise", |builder| builder.conv(&depthwise.conv(channels), x))?;
                self.within("pointwise", |builder| builder.conv(&pointwise, x))
            }
            Layer::MaxPool(layer) => self.pool("MaxPool", layer, x),
            Layer::AvgPool(layer) => self.pool("AveragePool", layer, x),
            Layer::GlobalMaxPool | Layer::GlobalAvgPool if self.positions.is_some() => {
                Ok(self.masked_pool(*layer == Layer::GlobalMaxPool, x))
            }
            Layer::GlobalMaxPool => Ok(self.global_pool("GlobalMaxPool", x)),
            Layer::GlobalAvgPool => Ok(self.global_pool("GlobalAveragePool", x)),
            Layer::Flatten => Ok(self.over_last("Flatten", x, 1)),
            Layer::Upsample(layer) => Ok(self.upsample(layer, x)),
            Layer::Reshape(_) => {
                let x = self.channels_last(x);
                let shape = self.result_shape()?;
                Ok(self.reshaped(x, &shape[1..]))
            }
            Layer::Permute(layer) => {
                let x = self.channels_last(x);
                Ok(self.map("Transpose", x, vec![ints("perm", whole(&[&[0], &layer.axes[..]].concat()))]))
            }
            Layer::Repeat(layer) => {
                let (axis, times) = (self.ints(&[1]), self.ints(&[1, layer.times as i64, 1]));
                let column = self.node("Unsqueeze", &[&x.name, &axis], vec![]);
                Ok(x.with(self.node("Tile", &[&column, &times], vec![])))
            }
            Layer::Crop(layer) => Ok(self.crop(layer, x)),
            Layer::Pad(layer) => Ok(self.pad(layer, x)),
            Layer::GroupNorm(layer) => self.group_norm(layer.groups, layer.epsilon, layer.affine, x),
            Layer::InstanceNorm(layer) => {
                let channels = x.shape[x.rank() - 1];
                self.group_norm(channels, layer.epsilon, layer.affine, x)
            }
            Layer::RmsNorm(layer) => self.rms_norm(layer, x),
            Layer::Position(layer) => self.position(layer, x),
            Layer::ClassToken => self.class_token(x),
            Layer::FirstPosition => Ok(self.first_position(x)),
            Layer::BatchNorm(layer) => {
                let x = self.channels_first(x);
                let variables = ["weight", "bias", "running_mean", "running_var"];
                self.with_variables(
                    "BatchNormalization",
                    x,
                    &variables,
                    vec![float("epsilon", layer.epsilon)],
                )
            }
            Layer::LayerNorm(layer) => {
                let x = self.channels_last(x);
                let attributes = vec![int("axis", -1), float("epsilon", layer.epsilon)];
                self.with_variables("LayerNormalization", x, &["weight", "bias"], attributes)
            }
            Layer::Dropout(_) => Ok(x),
            Layer::Embedding(layer) => self.embedding(layer, x),
            Layer::Masking => Ok(self.masking(x)),
            Layer::Residual(layer) => self.residual(layer, x),
            Layer::Attention(layer) => self.attention(layer, x, None),
            Layer::Lstm(layer) => self.recurrent("LSTM", layer, x, &[0, 3, 1, 2]),
            Layer::Gru(layer) => self.recurrent("GRU", layer, x, &[1, 0, 2]),
            Layer::Relu6 => {
                let (low, high) = (self.scalar(0.0), self.scalar(6.0));
                Ok(x.with(self.node("Clip", &[&x.name, &low, &high], vec![])))
            }
            Layer::LeakyRelu(slope) => Ok(self.map("LeakyRelu", x, vec![float("alpha", *slope)])),
            Layer::Elu(scale) => Ok(self.map("Elu", x, vec![float("alpha", *scale)])),
            Layer::Gelu => Ok(self.gelu(x)),
            Layer::GeluTanh => Ok(self.gelu_tanh(x)),
            Layer::Silu => Ok(self.silu(x)),
            Layer::Glu => Ok(self.gated(x, |builder, gate| builder.map("Sigmoid", gate, vec![]))),
            Layer::SwiGlu => Ok(self.gated(x, Self::silu)),
            Layer::GeGlu => Ok(self.gated(x, Self::gelu)),
            Layer::Softmax => Ok(self.over_last("Softmax", x, -1)),
            Layer::LogSoftmax => Ok(self.over_last("LogSoftmax", x, -1)),
            plain => match operator(plain) {
                Some(operator) => Ok(self.map(operator, x, vec![])),
                None => {
                    Err(Error::value(plain.kind(), "a layer that has a form in ONNX", "one that has none"))
                }
            },
        }
    }

    /// An elementwise operator, which does not depend on the order of the axes.
    pub fn map(&mut self, op: &str, x: Value, attributes: Vec<Attribute>) -> Value {
        x.with(self.node(op, &[&x.name], attributes))
    }

    /// An operator with an axis, in this library's order of axes.
    fn over_last(&mut self, op: &str, x: Value, axis: i64) -> Value {
        let x = self.channels_last(x);
        self.map(op, x, vec![int("axis", axis)])
    }

    /// An operator whose further inputs are variables of the layer.
    fn with_variables(
        &mut self,
        op: &str,
        x: Value,
        variables: &[&str],
        attributes: Vec<Attribute>,
    ) -> Result<Value> {
        let mut inputs = vec![x.name.clone()];
        for name in variables {
            inputs.push(self.variable(name)?);
        }
        Ok(x.with(self.node(op, &inputs, attributes)))
    }

    fn bias(&self, is_there: bool) -> Result<Option<&'a Array>> {
        is_there.then(|| self.value("bias")).transpose()
    }

    fn dense(&mut self, layer: &Dense, x: Value) -> Result<Value> {
        let x = self.channels_last(x);
        if x.rank() != 2 {
            let bias = if layer.bias { Some("bias") } else { None };
            return self.linear(&x, "weight", bias);
        }
        let (weight, bias) = (self.value("weight")?, self.bias(layer.bias)?);
        let inputs = self.operands(&x.name, "weight", (weight, 0), bias)?;
        Ok(x.with(self.node("Gemm", &inputs, vec![int("transB", 1)])))
    }

    /// `x Wᵀ + b` along the last axis of any number of axes.
    pub fn linear(&mut self, x: &Value, weight: &str, bias: Option<&str>) -> Result<Value> {
        let matrix = self.value(weight)?.transpose(&[1, 0])?;
        let inputs = self.operands(&x.name, weight, (&matrix, 1), None)?;
        let y = self.node("MatMul", &inputs, vec![]);
        let Some(bias) = bias else {
            return Ok(x.with(y));
        };
        let bias = self.variable(bias)?;
        Ok(x.with(self.node("Add", &[&y, &bias], vec![])))
    }

    fn conv(&mut self, layer: &Conv, x: Value) -> Result<Value> {
        let window = layer.window(&x.shape)?;
        let x = self.channels_first(x);
        let (kernel, bias) = (filters_first(self.value("weight")?)?, self.bias(layer.bias)?);
        let inputs = self.operands(&x.name, "weight", (&kernel, 0), bias)?;
        let mut attributes = window_attributes(&window);
        attributes.push(ints("dilations", whole(&window.dilation)));
        attributes.push(int("group", layer.groups as i64));
        Ok(x.with(self.node("Conv", &inputs, attributes)))
    }

    fn pool(&mut self, op: &str, layer: &Pool, x: Value) -> Result<Value> {
        let window = layer.window(&x.shape)?;
        let mut padding = window.padding.iter().zip(&window.size);
        if !padding.all(|(&(low, high), &size)| low < size && high < size) {
            let expected = format!("padding below the window's {:?}, as ONNX's engines ask for", window.size);
            return Err(Error::value("pool", expected, format!("{:?}", window.padding)));
        }
        let x = self.channels_first(x);
        // In a mean, ONNX does not count the padding by default either.
        let pooled = self.map(op, x.clone(), window_attributes(&window));
        match op {
            "MaxPool" => Ok(pooled.with(self.still_rounded(&x.name, pooled.name.clone()))),
            _ => Ok(pooled),
        }
    }

    /// From `[n, channels, spatial…]` to `[n, channels]`.
    fn global_pool(&mut self, op: &str, x: Value) -> Value {
        let x = self.channels_first(x);
        let pooled = self.node(op, &[&x.name], vec![]);
        Value::new(&self.node("Flatten", &[&pooled], vec![int("axis", 1)]), &[])
    }

    fn embedding(&mut self, layer: &Embedding, x: Value) -> Result<Value> {
        let x = self.channels_last(x);
        let table = self.variable("weight")?;
        // An engine refuses ids beyond the table, but counts negative ones from its end, so they are moved beyond it.
        let ids = self.node("Cast", &[&x.name], vec![int("to", DataType::Int64 as i64)]);
        let (zero, beyond) = (self.ints(&[0]), self.ints(&[layer.vocabulary as i64]));
        let negative = self.node("Less", &[&ids, &zero], vec![]);
        let rows = self.node("Where", &[&negative, &beyond, &ids], vec![]);
        let y = self.node("Gather", &[&table, &rows], vec![int("axis", 0)]);
        let Some(padding) = layer.padding else {
            return Ok(x.with(y));
        };
        let padding = self.ints(&[padding as i64]);
        let filled_up = self.node("Equal", &[&ids, &padding], vec![]);
        let real = self.node("Not", &[&filled_up], vec![]);
        self.positions = Some(real.clone());
        Ok(x.with(self.where_real(&real, &y, 0.0)))
    }

    /// Positions all of whose features are NaN are padding.
    fn masking(&mut self, x: Value) -> Value {
        let x = self.channels_last(x);
        let is_nan = self.node("IsNaN", &[&x.name], vec![]);
        let is_nan = self.node("Cast", &[&is_nan], vec![int("to", DataType::Float as i64)]);
        let all = self.node("ReduceMin", &[&is_nan], vec![ints("axes", vec![-1]), int("keepdims", 0)]);
        let one = self.scalar(1.0);
        let real = self.node("Less", &[&all, &one], vec![]);
        self.positions = Some(real.clone());
        x.with(self.where_real(&real, &x.name, 0.0))
    }

    fn residual(&mut self, layer: &Residual, x: Value) -> Result<Value> {
        let positions = self.positions.clone();
        let y = self.within("layers", |builder| builder.layers(&layer.layers, x.clone()))?;
        self.positions = positions;
        let kept = self.within("shortcut", |builder| builder.layers(&layer.shortcut, x))?;
        let (y, kept) = self.alike(y, kept);
        let sum = self.node("Add", &[&y.name, &kept.name], vec![]);
        Ok(y.with(self.rounded_sum([&y.name, &kept.name], sum)?))
    }

    /// The same values, row by row, in another shape.
    pub fn reshaped(&mut self, x: Value, sample: &[usize]) -> Value {
        // 0 keeps the batch.
        let shape = self.ints(&whole(&[&[0], sample].concat()));
        x.with(self.node("Reshape", &[&x.name, &shape], vec![]))
    }

    /// The first half of the features times `activation` of the second half.
    fn gated(&mut self, x: Value, activation: fn(&mut Self, Value) -> Value) -> Value {
        let x = self.channels_last(x);
        let halves: Vec<String> = ["values", "gates"].iter().map(|part| self.fresh(part)).collect();
        self.push("Split", &[&x.name], halves.clone(), vec![int("axis", -1)]);
        let gate = activation(self, x.with(halves[1].clone()));
        x.with(self.node("Mul", &[&halves[0], &gate.name], vec![]))
    }

    /// x σ(x)
    fn silu(&mut self, x: Value) -> Value {
        let sigmoid = self.node("Sigmoid", &[&x.name], vec![]);
        x.with(self.node("Mul", &[&x.name, &sigmoid], vec![]))
    }

    /// x / √(mean(x²) + ε) · weight
    fn rms_norm(&mut self, layer: &RmsNorm, x: Value) -> Result<Value> {
        let x = self.channels_last(x);
        let square = self.node("Mul", &[&x.name, &x.name], vec![]);
        let mean = self.node("ReduceMean", &[&square], vec![ints("axes", vec![-1])]);
        let epsilon = self.scalar(layer.epsilon);
        let mean = self.node("Add", &[&mean, &epsilon], vec![]);
        let root = self.node("Sqrt", &[&mean], vec![]);
        let y = self.node("Div", &[&x.name, &root], vec![]);
        let weight = self.variable("weight")?;
        Ok(x.with(self.node("Mul", &[&y, &weight], vec![])))
    }

    /// x Φ(x)
    fn gelu(&mut self, x: Value) -> Value {
        let [root, one, half] = [FRAC_1_SQRT_2, 1.0, 0.5].map(|number| self.scalar(number));
        let scaled = self.node("Mul", &[&x.name, &root], vec![]);
        let erf = self.node("Erf", &[&scaled], vec![]);
        let doubled = self.node("Add", &[&erf, &one], vec![]);
        let halved = self.node("Mul", &[&x.name, &half], vec![]);
        x.with(self.node("Mul", &[&doubled, &halved], vec![]))
    }

    /// x/2 (1 + tanh(√(2/π) (x + 0.044715 x³)))
    fn gelu_tanh(&mut self, x: Value) -> Value {
        let numbers = [0.044_715, FRAC_2_PI.sqrt(), 1.0, 0.5];
        let [share, root, one, half] = numbers.map(|number| self.scalar(number));
        let square = self.node("Mul", &[&x.name, &x.name], vec![]);
        let square = self.node("Mul", &[&square, &share], vec![]);
        let factor = self.node("Add", &[&square, &one], vec![]);
        let cubic = self.node("Mul", &[&x.name, &factor], vec![]);
        let scaled = self.node("Mul", &[&cubic, &root], vec![]);
        let tanh = self.node("Tanh", &[&scaled], vec![]);
        let doubled = self.node("Add", &[&tanh, &one], vec![]);
        let halved = self.node("Mul", &[&x.name, &half], vec![]);
        x.with(self.node("Mul", &[&doubled, &halved], vec![]))
    }
}

/// ONNX's name of a layer without settings that works element by element, if it has one.
fn operator(layer: &Layer) -> Option<&'static str> {
    match layer {
        Layer::Sigmoid => Some("Sigmoid"),
        Layer::Tanh => Some("Tanh"),
        Layer::Relu => Some("Relu"),
        Layer::Softplus => Some("Softplus"),
        _ => None,
    }
}

/// Whether the layer's result is no longer a sequence of the same positions.
fn ends_positions(layer: &Layer) -> bool {
    match layer {
        Layer::Flatten | Layer::GlobalMaxPool | Layer::GlobalAvgPool | Layer::FirstPosition => true,
        Layer::Reshape(_) | Layer::Permute(_) | Layer::Repeat(_) => true,
        Layer::Upsample(layer) => layer.size.iter().any(|&factor| factor > 1),
        Layer::Lstm(layer) | Layer::Gru(layer) => !layer.sequences,
        _ => false,
    }
}

pub fn window_attributes(window: &Window) -> Vec<Attribute> {
    let (low, high): (Vec<usize>, Vec<usize>) = window.padding.iter().copied().unzip();
    vec![
        ints("kernel_shape", whole(&window.size)),
        ints("strides", whole(&window.stride)),
        ints("pads", whole(&[low, high].concat())),
    ]
}

pub fn whole(numbers: &[usize]) -> Vec<i64> {
    numbers.iter().map(|&n| n as i64).collect()
}
