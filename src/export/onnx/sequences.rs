//! Layers of sequences in ONNX's operators.

use super::builder::{Builder, Value, int, ints, text};
use super::layers::whole;
use super::proto::{Attribute, DataType};
use crate::array::{Array, DType};
use crate::error::{Error, Result};
use crate::graph::HIDDEN;
use crate::nn::{Attention, Position, PositionKind, Recurrent, rotation, waves};
use std::ops::Range;

impl Builder<'_> {
    pub fn position(&mut self, layer: &Position, x: Value) -> Result<Value> {
        let x = self.channels_last(x);
        let &[_, length, features] = &x.shape[..] else {
            return Err(Error::shape("position", "[batch, length, features]", format!("{:?}", x.shape)));
        };
        let vectors = match layer.kind {
            PositionKind::Learned => {
                let weight = self.value("weight")?;
                let bytes = weight.bytes()[..length * features * weight.dtype().size()].to_vec();
                Array::from_bytes(weight.dtype(), &[length, features], bytes)?
            }
            PositionKind::Sinusoidal => waves(length, features)?.cast(DType::F32),
        };
        let vectors = self.constant("weight", &vectors);
        Ok(x.with(self.node("Add", &[&x.name, &vectors], vec![])))
    }

    /// The same vector before each sequence of the batch.
    pub fn class_token(&mut self, x: Value) -> Result<Value> {
        let x = self.channels_last(x);
        let features = x.shape[x.rank() - 1];
        let token = self.value("token")?.clone().reshape(&[1, 1, features])?;
        let token = self.constant("token", &token);
        let (first, rest) = (self.ints(&[0]), self.ints(&whole(&[1, features])));
        let shape = self.node("Shape", &[&x.name], vec![]);
        let batch = self.node("Gather", &[&shape, &first], vec![int("axis", 0)]);
        let shape = self.node("Concat", &[&batch, &rest], vec![int("axis", 0)]);
        let tokens = self.node("Expand", &[&token, &shape], vec![]);
        if let Some(real) = self.positions.take() {
            // The token counts even where the first position is padding.
            let one = self.ints(&[1]);
            let position = self.node("Slice", &[&real, &first, &one, &one], vec![]);
            let filled_up = self.node("Not", &[&position], vec![]);
            let always = self.node("Or", &[&position, &filled_up], vec![]);
            self.positions = Some(self.node("Concat", &[&always, &real], vec![int("axis", 1)]));
        }
        Ok(x.with(self.node("Concat", &[&tokens, &x.name], vec![int("axis", 1)])))
    }

    pub fn first_position(&mut self, x: Value) -> Value {
        let x = self.channels_last(x);
        let first = self.operand(&Array::scalar(0i64));
        x.with(self.node("Gather", &[&x.name, &first], vec![int("axis", 1)]))
    }

    /// Attention of `x` to itself, or to a memory, whose padding the builder's positions then mask.
    pub fn attention(&mut self, layer: &Attention, x: Value, memory: Option<Value>) -> Result<Value> {
        let x = self.channels_last(x);
        let &[_, length, features] = &x.shape[..] else {
            return Err(Error::shape("attention", "[batch, length, features]", format!("{:?}", x.shape)));
        };
        let size = features / layer.heads;
        let (others, parts) = match memory {
            None => (length, self.projected(&x, "", 0..3)?),
            Some(memory) => {
                let memory = self.channels_last(memory);
                let queries = self.projected(&x, ":queries", 0..1)?;
                (memory.shape[1], [queries, self.projected(&memory, ":memory", 1..3)?].concat())
            }
        };
        let mut heads = Vec::new();
        for (part, length) in parts.iter().zip([length, others, others]) {
            // 0 keeps the batch. [n, length, features] -> [n, heads, length, size]
            let split = self.ints(&whole(&[0, length, layer.heads, size]));
            let part = self.node("Reshape", &[part, &split], vec![]);
            heads.push(self.node("Transpose", &[&part], vec![ints("perm", vec![0, 2, 1, 3])]));
        }
        if layer.rotary {
            for (part, length) in heads.iter_mut().zip([length, others]) {
                *part = self.rotated(part, length, size)?;
            }
        }
        let keys = self.node("Transpose", &[&heads[1]], vec![ints("perm", vec![0, 1, 3, 2])]);

        let scale = self.scalar(1.0 / (size as f64).sqrt());
        let queries = self.node("Mul", &[&heads[0], &scale], vec![]);
        let mut scores = self.node("MatMul", &[&queries, &keys], vec![]);
        if layer.causal {
            let later = |i: usize| if i % others > i / others { f32::NEG_INFINITY } else { 0.0 };
            let mask = Array::new(&[length, others], (0..length * others).map(later).collect())?;
            let mask = self.constant("mask", &mask);
            scores = self.node("Add", &[&scores, &mask], vec![]);
        }
        if let Some(real) = self.positions.clone() {
            let axes = self.ints(&[1, 2]);
            let real = self.node("Unsqueeze", &[&real, &axes], vec![]);
            let hidden = self.scalar(HIDDEN);
            scores = self.node("Where", &[&real, &scores, &hidden], vec![]);
        }
        let weights = self.node("Softmax", &[&scores], vec![int("axis", -1)]);
        let mixed = self.node("MatMul", &[&weights, &heads[2]], vec![]);
        let mixed = self.node("Transpose", &[&mixed], vec![ints("perm", vec![0, 2, 1, 3])]);
        let mixed = self.reshaped(x.with(mixed), &[length, features]);
        self.linear(&mixed, "out_proj.weight", Some("out_proj.bias"))
    }

    /// Some of the queries, keys and values of `x`: `parts` of the projection, whose constants get the `ending`.
    fn projected(&mut self, x: &Value, ending: &str, parts: Range<usize>) -> Result<Vec<String>> {
        let features = x.shape[x.rank() - 1];
        let rows = |all: &Array| -> Result<Array> {
            let row = all.bytes().len() / (3 * features).max(1);
            let bytes = all.bytes()[parts.start * features * row..parts.end * features * row].to_vec();
            Array::from_bytes(all.dtype(), &[&[parts.len() * features], &all.shape()[1..]].concat(), bytes)
        };
        let weight = rows(self.value("in_proj_weight")?)?.transpose(&[1, 0])?;
        let bias = rows(self.value("in_proj_bias")?)?;
        let inputs = self.operands(&x.name, &format!("in_proj_weight{ending}"), (&weight, 1), None)?;
        let product = self.node("MatMul", &inputs, vec![]);
        let bias = self.constant(&format!("in_proj_bias{ending}"), &bias);
        let sum = self.node("Add", &[&product, &bias], vec![]);
        if parts.len() == 1 {
            return Ok(vec![sum]);
        }
        let names: Vec<String> =
            ["queries", "keys", "values"][parts].iter().map(|part| self.fresh(part)).collect();
        self.push("Split", &[&sum], names.clone(), vec![int("axis", 2)]);
        Ok(names)
    }

    /// `x` `[n, length, features]` where positions are real, `other` where they are padding.
    pub fn where_real(&mut self, real: &str, x: &str, other: f64) -> String {
        let axis = self.ints(&[2]);
        let real = self.node("Unsqueeze", &[real, &axis], vec![]);
        let other = self.scalar(other);
        self.node("Where", &[&real, x, &other], vec![])
    }

    /// The max or the mean of each feature over the real positions; 0 where there are none.
    pub fn masked_pool(&mut self, is_max: bool, x: Value) -> Value {
        let x = self.channels_last(x);
        let Some(real) = self.positions.clone() else { return x };
        let axis = self.ints(&[1]);
        let counted = self.node("Cast", &[&real], vec![int("to", DataType::Float as i64)]);
        let count = self.node("ReduceSum", &[&counted, &axis], vec![int("keepdims", 1)]);
        let y = if is_max {
            let values = self.where_real(&real, &x.name, f64::from(f32::MIN));
            let most = self.node("ReduceMax", &[&values], vec![ints("axes", vec![1]), int("keepdims", 0)]);
            let zero = self.scalar(0.0);
            let is_there = self.node("Greater", &[&count, &zero], vec![]);
            self.node("Where", &[&is_there, &most, &zero], vec![])
        } else {
            let values = self.where_real(&real, &x.name, 0.0);
            let sum = self.node("ReduceSum", &[&values, &axis], vec![int("keepdims", 0)]);
            let one = self.scalar(1.0);
            let count = self.node("Max", &[&count, &one], vec![]);
            self.node("Div", &[&sum, &count], vec![])
        };
        Value::new(&y, &[])
    }

    /// How many positions of each sequence are real, i32 `[batch]`. ONNX's recurrent layers take padding only at the
    /// end: an engine refuses a sequence with padding before a real position, by an index beyond the end of an array.
    fn lengths(&mut self, real: &str, length: usize) -> String {
        let real = self.node("Cast", &[real], vec![int("to", DataType::Int32 as i64)]);
        let axis = self.ints(&[1]);
        let lengths = self.node("ReduceSum", &[&real, &axis], vec![int("keepdims", 0)]);
        if length < 2 {
            return lengths;
        }
        let mut part = |from: i64, to: i64| {
            let (from, to) = (self.ints(&[from]), self.ints(&[to]));
            self.node("Slice", &[&real, &from, &to, &axis], vec![])
        };
        let (before, after) = (part(0, length as i64 - 1), part(1, length as i64));
        let begins_again = self.node("Greater", &[&after, &before], vec![]);
        let index = self.node("Cast", &[&begins_again], vec![int("to", DataType::Int64 as i64)]);
        let zero = self.operand(&Array::vector(&[0i32]));
        let zeros = self.node("Gather", &[&zero, &index], vec![int("axis", 0)]);
        let zero = self.node("ReduceSum", &[&zeros, &axis], vec![int("keepdims", 0)]);
        self.node("Add", &[&lengths, &zero], vec![])
    }

    /// Heads `[n, heads, length, size]` turned by their positions.
    fn rotated(&mut self, x: &str, length: usize, size: usize) -> Result<String> {
        let (sin, cos) = rotation(length, size)?;
        let [sin, cos] = [sin, cos].map(|table| self.operand(&table.cast(DType::F32)));
        let halves: Vec<String> = ["first", "second"].iter().map(|part| self.fresh(part)).collect();
        self.push("Split", &[x], halves.clone(), vec![int("axis", 3)]);
        let mut product =
            |half: usize, table: &str| self.node("Mul", &[halves[half].as_str(), table], vec![]);
        let (a_cos, b_sin) = (product(0, &cos), product(1, &sin));
        let (b_cos, a_sin) = (product(1, &cos), product(0, &sin));
        let first = self.node("Sub", &[&a_cos, &b_sin], vec![]);
        let second = self.node("Add", &[&b_cos, &a_sin], vec![]);
        Ok(self.node("Concat", &[&first, &second], vec![int("axis", 3)]))
    }

    /// `gates` are ONNX's gates by their places in this library, i, o, f, g of an LSTM and z, r, n of a GRU.
    pub fn recurrent(&mut self, op: &str, layer: &Recurrent, x: Value, gates: &[usize]) -> Result<Value> {
        let x = self.channels_last(x);
        let mut attributes = vec![int("hidden_size", layer.units as i64)];
        if op == "GRU" {
            attributes.push(int("linear_before_reset", 1));
        }
        if layer.bidirectional {
            attributes.push(text("direction", "bidirectional"));
        }
        // The empty name stands for an absent input.
        let lengths = match self.positions.clone() {
            Some(real) => self.lengths(&real, x.shape[1]),
            None => String::new(),
        };
        let mut steps = self.node("Transpose", &[&x.name], vec![ints("perm", vec![1, 0, 2])]);
        let mut features = x.shape[x.rank() - 1];
        for i in 0..layer.layers {
            let sequences = layer.sequences || i + 1 < layer.layers;
            steps = self.recurrent_layer(
                op,
                layer,
                i,
                [&steps, &lengths],
                features,
                gates,
                &attributes,
                sequences,
            )?;
            features = layer.units * if layer.bidirectional { 2 } else { 1 };
        }
        Ok(x.with(match layer.sequences {
            true => self.node("Transpose", &[&steps], vec![ints("perm", vec![1, 0, 2])]),
            false => steps,
        }))
    }

    /// Layer `i`, from `[length, n, features]` to `[length, n, directions · units]`, or to the last state.
    #[expect(clippy::too_many_arguments, reason = "all that a layer of two directions is made of")]
    fn recurrent_layer(
        &mut self,
        op: &str,
        layer: &Recurrent,
        i: usize,
        [steps, lengths]: [&str; 2],
        features: usize,
        gates: &[usize],
        attributes: &[Attribute],
        sequences: bool,
    ) -> Result<String> {
        let (units, width) = (layer.units, gates.len() * layer.units);
        let directions = if layer.bidirectional { &["", "_reverse"][..] } else { &[""] };
        let count = directions.len();
        let parts = |names: &[&str], shape: &[usize]| -> Result<Array> {
            let mut bytes = Vec::new();
            for direction in directions {
                for name in names {
                    let value = self.value(&format!("{name}_l{i}{direction}"))?;
                    let gate = value.bytes().len() / gates.len();
                    gates
                        .iter()
                        .for_each(|&i| bytes.extend_from_slice(&value.bytes()[i * gate..(i + 1) * gate]));
                }
            }
            Array::from_bytes(DType::F32, shape, bytes)
        };
        let input_weight = parts(&["weight_ih"], &[count, width, features])?;
        let weight = parts(&["weight_hh"], &[count, width, units])?;
        let bias = parts(&["bias_ih", "bias_hh"], &[count, 2 * width])?;
        let input_weight = self.constant(&format!("weight_ih_l{i}"), &input_weight);
        let weight = self.constant(&format!("weight_hh_l{i}"), &weight);
        let bias = self.constant(&format!("bias_l{i}"), &bias);

        let (all, last) = (self.fresh("states"), self.fresh("state"));
        let outputs = if sequences { vec![all.clone()] } else { vec![String::new(), last.clone()] };
        let inputs = [steps, &input_weight, &weight, &bias, lengths];
        let count_of_inputs = if lengths.is_empty() { 4 } else { 5 };
        self.push(op, &inputs[..count_of_inputs], outputs, attributes.to_vec());
        // ONNX has an axis for the directions: [length, directions, n, units] and [directions, n, units].
        let (state, perm, shape) = match sequences {
            true => (all, vec![0, 2, 1, 3], vec![0, 0, (count * units) as i64]),
            false => (last, vec![1, 0, 2], vec![0, (count * units) as i64]),
        };
        let states = self.node("Transpose", &[&state], vec![ints("perm", perm)]);
        let shape = self.ints(&shape);
        Ok(self.node("Reshape", &[&states, &shape], vec![]))
    }
}
