//! Models in other tools' formats, read back by the formats' own readers where Rust has them. The other readers,
//! onnxruntime, JAX, `PyTorch` and `TensorBoard`, are in `tests/export/check.py`.

mod common;

use common::{device, difference, numbers};
use neural::data::Scaling;
use neural::data::table::{Column, Features, Layout, Missing, Table, Unknown};
use neural::export::{self, OnnxOptions};
use neural::model::{Description, Link, Model, OtherInput, OtherOutput, Others};
use neural::nn::{
    self, Architecture, LstmClassifier, Mlp, MobileNetV2, Network, ResNet18, Sequential, VitTiny,
};
use neural::tensorboard::Writer;
use neural::variables::{Role, Variable};
use neural::{Array, DType, Error};
use serde_json::json;
use std::collections::HashMap;
use std::path::Path;

/// A model with values that no fresh layer has: no bias is 0, no scale 1, and the outputs of two samples differ.
fn model(layers: serde_json::Value, link: Link, dtype: DType, sample: &[usize], scaling: Scaling) -> Model {
    let layers: Sequential = serde_json::from_value(layers).expect("layers");
    filled(Description { scaling, ..Description::new(layers, link, sample, dtype) })
}

fn filled(description: Description) -> Model {
    filled_within(description, 0.5)
}

/// A fresh model whose values are moved by less than `most`.
fn filled_within(description: Description, most: f64) -> Model {
    let value = |(i, v): (usize, Variable)| {
        let numbers = numbers(v.len(), 7 + i as u64);
        let values = v.initial(1).to_f64().into_iter().zip(numbers).map(|(initial, x)| match v.role {
            Role::Statistic => (initial + x.abs()) as f32,
            _ => (initial + most * x) as f32,
        });
        (v.name.clone(), Array::new(&v.shape, values.collect()).expect("as many values"))
    };
    let variables = description.declare().expect("layers that fit");
    let values: HashMap<_, _> = variables.into_iter().enumerate().map(value).collect();
    Model::new(description, |name| values.get(name).cloned()).expect("all values")
}

/// Samples that the models below take: the smallest of their vocabularies has 4 token ids.
fn samples(model: &Model, rows: usize) -> Array {
    let shape = [&[rows], &model.description.sample[..]].concat();
    let values = numbers(shape.iter().product(), 3);
    match model.description.dtype {
        DType::U8 => Array::new(&shape, values.iter().map(|x| (x * 127.0 + 128.0) as u8).collect()),
        DType::I32 => Array::new(&shape, values.iter().map(|x| (x * 2.0 + 2.0) as i32).collect()),
        _ => Array::new(&shape, values.iter().map(|x| (x * 4.0) as f32).collect()),
    }
    .expect("as many values")
}

/// Means and deviations within 1 of those given.
fn scaled(shape: &[usize], mean: f64, deviation: f64) -> Scaling {
    let around = |centre: f64, seed| {
        let values = numbers(shape.iter().product(), seed).into_iter().map(|x| (x + centre) as f32);
        Array::new(shape, values.collect()).expect("as many values")
    };
    Scaling { mean: around(mean, 5), deviation: around(deviation, 6) }
}

/// Every layer, and every way in and out, under the name of its files.
#[rustfmt::skip]
fn models() -> Vec<(&'static str, Model)> {
    let none = Scaling::none;
    vec![
        ("mlp", model(json!([{"dense": {"units": 16}}, "sigmoid", {"dense": {"units": 5}}]),
            Link::Softmax, DType::U8, &[12], scaled(&[12], 128.0, 60.0))),
        ("cnn", model(json!([
            {"conv": {"filters": 6, "kernel": [3, 3], "padding": "same"}}, {"batch-norm": {}}, "relu",
            {"max-pool": {"size": [2, 2]}},
            {"conv": {"filters": 8, "kernel": [2, 3], "stride": [1, 2], "padding": [[1, 0], [2, 1]], "groups": 2, "bias": false}},
            {"leaky-relu": 0.1}, {"avg-pool": {"size": [3, 3], "stride": [2, 2], "padding": "same"}},
            "flatten", {"dropout": {"rate": 0.5}}, {"dense": {"units": 4}}]),
            Link::Softmax, DType::U8, &[13, 10, 3], scaled(&[], 128.0, 60.0))),
        ("residual", model(json!([
            {"residual": {"layers": [{"conv": {"filters": 4, "kernel": [3, 3], "padding": "same", "dilation": [2, 1]}}, {"batch-norm": {}}, "silu"],
                          "shortcut": [{"conv": {"filters": 4, "kernel": [1, 1]}}]}},
            {"residual": {"layers": [{"layer-norm": {}}, {"dense": {"units": 4}}]}},
            {"max-pool": {"size": [3, 2], "stride": [2, 1], "padding": [[1, 1], [1, 0]]}},
            "global-avg-pool", {"dense": {"units": 3}}]),
            Link::Identity, DType::F32, &[7, 6, 2], none())),
        ("table", model(json!([{"dense": {"units": 8}}, "tanh", {"batch-norm": {}}, "relu6", {"dense": {"units": 1}}]),
            Link::Sigmoid, DType::F32, &[5], scaled(&[5], 0.0, 2.0))),
        ("flattened", model(json!([
            {"conv": {"filters": 5, "kernel": [3, 2]}}, {"batch-norm": {}}, "relu", "flatten", {"batch-norm": {}},
            {"layer-norm": {}}, {"dropout": {"rate": 0.5}}, "tanh", {"dense": {"units": 6}}, "relu", {"dense": {"units": 3}}]),
            Link::Softmax, DType::F32, &[5, 4, 3], none())),
        ("pixels", model(json!(["flatten", {"residual": {"layers": [{"layer-norm": {}}, "silu"]}}, {"dense": {"units": 4}}]),
            Link::Identity, DType::U8, &[3, 4, 3], scaled(&[3, 4, 3], 128.0, 60.0))),
        ("sequence", model(json!([{"conv": {"filters": 4, "kernel": [3]}}, {"lstm": {"units": 5, "sequences": true}}, "flatten", {"dense": {"units": 3}}]),
            Link::Identity, DType::F32, &[9, 2], none())),
        ("signal-flattened", model(json!([
            {"conv": {"filters": 4, "kernel": [3]}}, {"max-pool": {"size": [2]}}, "flatten", {"dense": {"units": 3}}]),
            Link::Identity, DType::F32, &[11, 3], none())),
        ("signal", model(json!([
            {"conv": {"filters": 4, "kernel": [5], "stride": [2], "padding": "same"}}, {"elu": 0.7},
            {"avg-pool": {"size": [3], "padding": [[1, 1]]}}, "global-max-pool", {"dense": {"units": 2}}, "log-softmax"]),
            Link::Identity, DType::F32, &[21, 3], none())),
        ("recurrent", model(json!([
            {"lstm": {"units": 6, "sequences": true}}, {"gru": {"units": 5, "sequences": true}}, {"lstm": {"units": 4}}, {"dense": {"units": 3}}]),
            Link::Softmax, DType::F32, &[9, 2], none())),
        ("gru", model(json!([{"embedding": {"vocabulary": 4, "units": 3}}, {"gru": {"units": 4}}, {"dense": {"units": 3}}, "softplus"]),
            Link::Identity, DType::F32, &[6], none())),
        ("transformer", model(json!([
            {"embedding": {"vocabulary": 256, "units": 8}},
            {"residual": {"layers": [{"layer-norm": {}}, {"attention": {"heads": 2, "causal": true}}]}},
            {"residual": {"layers": [{"dense": {"units": 16}}, "gelu", {"dense": {"units": 8}}]}},
            {"attention": {"heads": 4}}, "gelu-tanh", "softmax", "flatten", {"dense": {"units": 4}}]),
            Link::Softmax, DType::U8, &[6], none())),
        ("decoder", model(json!([
            {"conv": {"filters": 4, "kernel": [3, 3], "stride": [2, 2], "padding": "same"}}, {"group-norm": {"groups": 2}},
            {"conv-transpose": {"filters": 6, "kernel": [3, 3], "stride": [2, 2], "padding": "same"}}, "instance-norm",
            {"upsample": {"size": [2, 2], "method": "bilinear"}}, {"depthwise-conv": {"kernel": [3, 2]}}, {"upsample": [1, 3]},
            {"conv-transpose": {"filters": 4, "kernel": [2, 3], "stride": [3, 1], "padding": [[0, 1], [2, 1]], "output_padding": [2, 0], "groups": 2}},
            {"separable-conv": {"filters": 4, "kernel": [3, 3], "padding": "same"}}, {"crop": [[1, 0], [0, 2]]}, {"pad": [[0, 1], [2, 0]]},
            "tanh", {"max-pool": [6, 6]}, "flatten", {"dense": {"units": 3}}]),
            Link::Identity, DType::F32, &[6, 5, 3], none())),
        ("encoder", model(json!([
            {"embedding": {"vocabulary": 256, "units": 8}}, "position",
            {"residual": {"layers": ["rms-norm", {"attention": {"heads": 2, "rotary": true}}]}},
            {"position": "sinusoidal"}, {"dense": 12}, "swiglu", {"layer-norm": {}},
            {"lstm": {"units": 4, "layers": 2, "bidirectional": true, "sequences": true}}, {"layer-norm": {}}, "geglu",
            {"gru": {"units": 3, "bidirectional": true}}, {"repeat": 4}, {"permute": [2, 1]}, {"reshape": [-1]}, "glu", "rms-norm", {"dense": 3}]),
            Link::Identity, DType::U8, &[6], none())),
        ("patches", model(json!([
            {"conv": {"filters": 6, "kernel": [2, 2], "stride": [2, 2]}}, {"reshape": [-1, 6]}, "class-token", "position",
            {"residual": {"layers": [{"layer-norm": {"epsilon": 1e-6}}, {"attention": {"heads": 3}}]}}, "first-position", {"dense": 3}]),
            Link::Softmax, DType::F32, &[6, 4, 3], none())),
    ]
}

/// Every architecture of the zoo, small.
fn zoo() -> Vec<(&'static str, Model)> {
    // Many layers one after the other would make large values of large weights, and small ones of small weights.
    let small = |zoo: Architecture, sample: &[usize], dtype| {
        let most = if matches!(zoo, Architecture::MobileNetV2(_)) { 0.15 } else { 0.05 };
        filled_within(Description::new(zoo.layers(), Link::Softmax, sample, dtype), most)
    };
    let vit = VitTiny { outputs: 4, patch: 4, units: 12, depth: 3, heads: 3 };
    let reads_words = json!({ "outputs": 3, "units": 5, "layers": 2, "bidirectional": true, "vocabulary": 4, "embedding": 6 });
    let lstm: LstmClassifier = serde_json::from_value(reads_words).expect("settings");
    let perceptron: Mlp = serde_json::from_value(json!({ "outputs": 3, "dropout": 0.1 })).expect("settings");
    vec![
        ("resnet18", small(ResNet18 { outputs: 4, width: 4 }.into(), &[40, 33, 3], DType::F32)),
        (
            "mobilenet-v2",
            small(MobileNetV2 { outputs: 4, width: 0.25, dropout: 0.2 }.into(), &[40, 33, 3], DType::F32),
        ),
        ("vit-tiny", small(vit.into(), &[12, 8, 3], DType::F32)),
        ("perceptron", small(perceptron.into(), &[4, 3, 2], DType::F32)),
        ("words", small(lstm.into(), &[6], DType::I32)),
    ]
}

/// A model of named nodes with `inputs` and `outputs`; the second output, if there is one, is of scaled values.
fn network(
    nodes: serde_json::Value,
    inputs: &[(&str, DType, &[usize], Scaling)],
    outputs: &[(&str, &str, Link)],
) -> Model {
    let names: Vec<&str> = outputs.iter().map(|(_, output, _)| *output).collect();
    let network: Network = serde_json::from_value(json!({"nodes": nodes, "outputs": names})).expect("nodes");
    let input = |(name, dtype, sample, scaling): &(&str, DType, &[usize], Scaling)| OtherInput {
        name: (*name).into(),
        sample: sample.to_vec(),
        dtype: *dtype,
        scaling: scaling.clone(),
    };
    let output = |(name, output, link): &(&str, &str, Link)| OtherOutput {
        name: (*name).into(),
        output: (*output).into(),
        link: *link,
        target: String::new(),
        target_scaling: scaled(&[], 50.0, 20.0),
        classes: Vec::new(),
    };
    let ((name, dtype, sample, scaling), (answer, node, link)) = (&inputs[0], outputs[0]);
    filled(Description {
        scaling: scaling.clone(),
        others: Others {
            input: (*name).into(),
            inputs: inputs[1..].iter().map(input).collect(),
            name: if outputs.len() > 1 { answer.into() } else { String::new() },
            output: node.into(),
            outputs: outputs[1..].iter().map(output).collect(),
        },
        ..Description::new(network, link, sample, *dtype)
    })
}

/// Models of named nodes, and of sequences with padding, with samples of each input.
#[rustfmt::skip]
fn networks() -> Vec<(&'static str, Model, Vec<Array>)> {
    let none = Scaling::none;
    let conv = |filters: usize| json!({"conv": {"filters": filters, "kernel": [3, 3], "padding": "same"}});
    let words = json!({"embedding": {"vocabulary": 9, "units": 6, "padding": 0}});
    let models = vec![
        ("two-inputs", network(json!({
            "seen": {"from": "picture", "layers": [conv(4), "relu", "flatten", {"dense": 5}]},
            "known": {"from": "table", "layers": [{"dense": 4}]},
            "both": {"from": ["seen", "known"], "join": "concatenate", "layers": ["tanh"]},
            "kind": {"from": "both", "layers": [{"dense": 3}]},
            "value": {"from": "both", "layers": [{"dense": 1}]}}),
            &[("picture", DType::U8, &[6, 5, 2], scaled(&[], 128.0, 60.0)), ("table", DType::F32, &[3], scaled(&[3], 0.0, 2.0))],
            &[("class", "kind", Link::Softmax), ("price", "value", Link::Identity)])),
        ("unet", network(json!({
            "fine": {"from": "input", "layers": [conv(4), "relu"]},
            "deep": {"from": "fine", "layers": [{"max-pool": [2, 2]}, conv(6), "batch-norm", "relu", {"upsample": [2, 2]}]},
            "pixels": {"from": ["fine", "deep"], "join": "concatenate", "layers": [conv(3)]}}),
            &[("input", DType::F32, &[6, 8, 1], none())], &[("", "pixels", Link::Softmax)])),
        // The second picture is smaller, and every join comes up.
        ("siamese", network(json!({
            "left": {"from": "a", "layers": [conv(4), "relu", "global-avg-pool", {"dense": 5}]},
            "right": {"from": "b", "like": "left"},
            "apart": {"from": ["left", "right"], "join": "subtract", "layers": [{"dense": {"units": 5, "bias": false}}]},
            "same": {"from": ["left", "right"], "join": "multiply"},
            "all": {"from": ["apart", "same", "left"], "join": "add", "layers": ["tanh", {"dense": 1}]}}),
            &[("a", DType::F32, &[6, 7, 2], none()), ("b", DType::F32, &[5, 4, 2], none())],
            &[("", "all", Link::Sigmoid)])),
        ("tagging", model(json!([words,
            {"residual": {"layers": [{"attention": 2}]}},
            {"lstm": {"units": 4, "sequences": true, "bidirectional": true, "layers": 2}}, {"dense": 3}]),
            Link::Softmax, DType::I32, &[7], none())),
        ("padding", network(json!({
            "read": {"from": "input", "layers": [words, {"gru": {"units": 4, "sequences": true}}]},
            "last": {"from": "read", "layers": [{"lstm": {"units": 4, "bidirectional": true}}]},
            "most": {"from": "read", "layers": ["global-max-pool"]},
            "mean": {"from": "read", "layers": ["global-avg-pool"]},
            "all": {"from": ["last", "most", "mean"], "join": "concatenate", "layers": [{"dense": 3}]}}),
            &[("input", DType::I32, &[7], none())], &[("", "all", Link::Identity)])),
        ("masked", network(json!({
            "read": {"from": "input", "layers": ["masking", {"gru": {"units": 4, "sequences": true}}]},
            "seen": {"from": "read", "layers": [{"attention": 2}, "global-max-pool"]},
            "mean": {"from": "input", "layers": ["masking", {"dense": 4}, "global-avg-pool"]},
            "all": {"from": ["seen", "mean"], "join": "concatenate", "layers": [{"dense": 3}]}}),
            &[("input", DType::F32, &[7, 3], scaled(&[7, 3], 0.0, 2.0))], &[("", "all", Link::Identity)])),
        ("attending", network(json!({
            "asked": {"from": "question", "layers": [words, {"gru": {"units": 6, "sequences": true}}]},
            "known": {"from": "memory", "layers": [{"embedding": {"vocabulary": 9, "units": 6, "padding": 0}}]},
            "found": {"from": ["asked", "known"], "join": {"attention": 2}, "layers": ["layer-norm"]},
            "all": {"from": ["asked", "found"], "join": "add", "layers": ["global-avg-pool", {"dense": 3}]}}),
            &[("question", DType::I32, &[5], none()), ("memory", DType::I32, &[7], none())],
            &[("", "all", Link::Softmax)])),
        ("series", network(json!({
            "asked": {"from": "a", "layers": [{"dense": 4}]},
            "found": {"from": ["asked", "b"], "join": {"attention": {"heads": 2, "causal": true}}, "layers": [{"dense": 3}]}}),
            &[("a", DType::F32, &[5, 3], none()), ("b", DType::F32, &[6, 4], none())],
            &[("", "found", Link::Identity)])),
        ("inputs", filled(Description {
            target_scaling: scaled(&[2, 3], 50.0, 20.0),
            ..Description::new(nn::sequential([nn::flatten(), nn::dense(6)]), Link::Identity, &[2, 3], DType::F32)
        })),
    ];
    let of = |(name, model): (&'static str, Model)| {
        let reads = model.description.reads();
        let samples = reads.iter().map(|read| {
            let values = values_of(read.dtype, &[&[4], read.sample].concat());
            if read.is_masked { padded(&values) } else { values }
        });
        let samples = samples.collect();
        (name, model, samples)
    };
    models.into_iter().map(of).collect()
}

/// Numbers of a type; token ids from 1 to 8, with zeros after the end of rows 1, 2 and so on.
fn values_of(dtype: DType, shape: &[usize]) -> Array {
    let values = numbers(shape.iter().product(), 3).into_iter();
    match dtype {
        DType::U8 => Array::new(shape, values.map(|x| (x * 127.0 + 128.0) as u8).collect()),
        DType::I32 => {
            let (length, real) = (shape[1], |x: f64| 1 + ((x + 1.0) * 3.99) as i32);
            let id = |(i, x)| if i % length + 2 * (i / length) < length { real(x) } else { 0 };
            Array::new(shape, values.enumerate().map(id).collect())
        }
        _ => Array::new(shape, values.map(|x| (x * 4.0) as f32).collect()),
    }
    .expect("as many values")
}

/// Sequences `[n, length, features]` with padding after the end of rows 1, 2 and so on.
fn padded(values: &Array) -> Array {
    let &[_, length, features] = values.shape() else { panic!("sequences, not {values:?}") };
    let number = |(i, x): (usize, f64)| {
        let (row, position) = (i / (length * features), i / features % length);
        if position + 2 * row < length { x as f32 } else { f32::NAN }
    };
    Array::new(values.shape(), values.to_f64().into_iter().enumerate().map(number).collect())
        .expect("as many values")
}

fn named(name: &str) -> Model {
    models().into_iter().find(|(known, _)| *known == name).expect("one of the models").1
}

#[test]
fn a_model_comes_back_from_its_safetensors() {
    let networks = networks().into_iter().map(|(name, model, _)| (name, model));
    for (name, model) in models().into_iter().chain(networks) {
        let bytes = export::safetensors(&model).expect("writes");
        assert_eq!(bytes, export::safetensors(&model).expect("writes"), "{name}: the same bytes each time");
        let back = export::from_safetensors(Path::new(name), &bytes).expect("reads");
        assert_eq!(back.description, model.description, "{name}");
        for ((variable, value), (_, read)) in model.variables.iter().zip(&back.variables) {
            assert_eq!(value, read, "{name}: {}", variable.name);
        }
        assert_eq!(back.variables.len(), model.variables.len());
    }
}

/// `PyTorch` has kernels as `[filters, channels, height, width]`, this library as `[height, width, channels, filters]`.
#[test]
fn kernels_in_safetensors_are_laid_out_as_in_pytorch() {
    let cnn = named("cnn");
    let bytes = export::safetensors(&cnn).expect("writes");
    let tensors = safetensors::SafeTensors::deserialize(&bytes).expect("the crate reads it");
    let stored = tensors.tensor("0.weight").expect("is there");
    assert_eq!(stored.shape(), [6, 3, 3, 3]);
    let floats = |bytes: &[u8]| -> Vec<f32> {
        bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
    };
    let (stored, own) = (floats(stored.data()), floats(cnn.variables[0].1.bytes()));
    for (filter, channel, row, column) in [(0, 0, 0, 0), (5, 2, 1, 0), (3, 0, 2, 1), (4, 1, 0, 2)] {
        let torch = ((filter * 3 + channel) * 3 + row) * 3 + column;
        assert_eq!(stored[torch], own[((row * 3 + column) * 3 + channel) * 6 + filter]);
    }
    // A bias of six numbers has no such order.
    assert_eq!(tensors.tensor("0.bias").expect("is there").shape(), [6]);
}

/// A flatten in `PyTorch` has channels first: `[channels, height, width]` where this library has
/// `[height, width, channels]`.
#[test]
fn features_after_a_flatten_are_laid_out_as_in_pytorch() {
    let model = named("flattened");
    let bytes = export::safetensors(&model).expect("writes");
    let path = Path::new("model.safetensors");
    let stored = |name: &str| {
        let value = neural::data::safetensors::decode(path, &bytes, name).expect("reads").expect("is there");
        value.to_vec::<f32>().expect("f32")
    };
    let own = |name: &str| {
        let (_, value) =
            model.variables.iter().find(|(variable, _)| variable.name == name).expect("is there");
        value.to_vec::<f32>().expect("f32")
    };
    // 3 x 3 cells of 5 channels.
    let (dense, norm) =
        ((stored("8.weight"), own("8.weight")), (stored("4.running_var"), own("4.running_var")));
    for (row, column, channel) in [(0, 0, 1), (2, 1, 4), (1, 2, 0)] {
        let (torch, here) = (channel * 9 + row * 3 + column, (row * 3 + column) * 5 + channel);
        assert_eq!(norm.0[torch], norm.1[here]);
        assert_eq!(dense.0[2 * 45 + torch], dense.1[2 * 45 + here]);
    }
    // The second dense layer's inputs are no flattened cells.
    assert_eq!(stored("10.weight"), own("10.weight"));

    // Files from before the order was converted do not mention it.
    let description = serde_json::to_string(&model.description).expect("serialises");
    let values: Vec<_> = model
        .variables
        .iter()
        .map(|(v, value)| match v.name == "0.weight" {
            true => (
                v.name.as_str(),
                neural::data::safetensors::decode(path, &bytes, "0.weight")
                    .expect("reads")
                    .expect("is there"),
            ),
            false => (v.name.as_str(), value.clone()),
        })
        .collect();
    let tensors: Vec<_> = values.iter().map(|(name, value)| (*name, value)).collect();
    let old = neural::data::safetensors::encode(&tensors, Some((export::DESCRIPTION, &description)));
    let back = export::from_safetensors(path, &old.expect("encodes")).expect("reads");
    for ((variable, value), (_, read)) in model.variables.iter().zip(&back.variables) {
        assert_eq!(value, read, "{}", variable.name);
    }
}

#[test]
fn features_in_an_order_that_pytorch_cannot_know_are_refused() {
    let conv = json!({"conv": {"filters": 4, "kernel": [3, 3]}});
    for (layers, words) in [
        (json!([conv, "flatten"]), "a layer between a flatten and the outputs"),
        (
            json!([conv, {"layer-norm": {}}, "flatten", {"dense": 2}]),
            "2: flatten: expected channels that are known",
        ),
        (
            json!([conv, "flatten", {"residual": {"layers": [{"dense": 16}]}}]),
            "2: residual: expected summands",
        ),
    ] {
        let model = model(layers, Link::Identity, DType::F32, &[4, 4, 3], Scaling::none());
        let error = export::safetensors(&model).expect_err("refused").to_string();
        assert!(error.contains(words) && error.contains("export to onnx"), "{error}");
    }
}

#[test]
fn bytes_that_are_no_model_are_refused() {
    let table = named("table");
    let path = Path::new("model.safetensors");
    let refusal = |bytes: &[u8]| match export::from_safetensors(path, bytes) {
        Ok(_) => panic!("{} bytes were taken for a model", bytes.len()),
        Err(error @ Error::Format { .. }) => error.to_string(),
        Err(other) => panic!("not an error of the format: {other}"),
    };
    let bytes = export::safetensors(&table).expect("writes");
    for length in [0, 7, 100, bytes.len() - 1] {
        assert!(refusal(&bytes[..length]).contains("expected a safetensors file"));
    }

    let weight = Array::vector(&[1f32]);
    let with = |text: Option<(&str, &str)>| {
        refusal(&neural::data::safetensors::encode(&[("0.weight", &weight)], text).expect("encodes"))
    };
    assert!(with(None).contains("got a file without one"));
    assert!(with(Some((export::DESCRIPTION, "{}"))).contains("missing field"));
    let description = serde_json::to_string(&table.description).expect("serialises");
    assert!(with(Some((export::DESCRIPTION, &description))).contains("0.weight: expected"));

    let other = serde_json::to_string(&models()[0].1.description).expect("serialises");
    let tensors: Vec<_> = table.variables.iter().map(|(v, a)| (v.name.as_str(), a)).collect();
    let mixed = neural::data::safetensors::encode(&tensors, Some((export::DESCRIPTION, &other)));
    assert!(refusal(&mixed.expect("encodes")).contains("another model's values"));
}

/// XLA's own parser reads the text, and the compiled program gives the same numbers: no constant was left out.
#[test]
fn hlo_runs_by_itself() {
    let client = xla::PjRtClient::cpu().expect("a CPU");
    let lists = models().into_iter().map(|(name, model)| {
        let samples = vec![samples(&model, 4)];
        (name, model, samples)
    });
    for (name, model, samples) in lists.chain(networks()) {
        let text = export::hlo(&model, 4).expect("writes");
        assert!(!text.contains("{...}"), "{name}");
        let module = xla::HloModuleProto::parse_and_return_unverified_module(text.as_bytes()).expect(name);
        let program = client.compile(&xla::XlaComputation::from_proto(&module)).expect(name);
        let literal = |samples: &Array| {
            let ty = match samples.dtype() {
                DType::U8 => xla::ElementType::U8,
                DType::I32 => xla::ElementType::S32,
                _ => xla::ElementType::F32,
            };
            xla::Literal::create_from_shape_and_untyped_data(ty, samples.shape(), samples.bytes())
                .expect("a literal")
        };
        let arguments: Vec<xla::Literal> = samples.iter().map(literal).collect();
        let results = program.execute::<xla::Literal>(&arguments).expect(name);
        let results = &results[0];
        let expected = model.predict_all(device(), &samples).expect("predicts");
        assert_eq!(results.len(), expected.len(), "{name}");
        for (result, expected) in results.iter().zip(expected) {
            let result = result.to_literal_sync().expect("downloads").to_vec::<f32>().expect("f32");
            let got: Vec<f64> = result.into_iter().map(f64::from).collect();
            let off = difference(&got, &expected.to_f64());
            assert!(off < 1e-5, "{name}: off by {off:e}");
        }
    }
}

#[test]
fn programs_say_which_input_and_output_comes_where() {
    let (_, model, _) = networks().remove(0);
    let first = "// inputs: picture, table; outputs: class, price\n";
    assert!(export::stablehlo(&model, 2).expect("writes").starts_with(first));
    assert!(export::hlo(&model, 2).expect("writes").starts_with(first));
}

/// The names of the inputs and outputs, and the number of copies of each shared weight.
#[test]
fn onnx_keeps_the_names_of_nodes() {
    let file_of = |place: usize| {
        let (_, model, _) = networks().remove(place);
        let file = export::onnx(&model, &OnnxOptions::default()).expect("writes");
        let graph = all(&file, 7)[0].clone();
        let names = |number: u64, of: u64| -> Vec<String> {
            all(graph.bytes(), number).iter().map(|one| all(one.bytes(), of)[0].text()).collect()
        };
        (names(11, 1), names(12, 1), names(5, 8))
    };
    let (inputs, outputs, _) = file_of(0);
    assert_eq!((inputs, outputs), (owned(&["picture", "table"]), owned(&["class", "price"])));
    let (inputs, outputs, stored) = file_of(2);
    assert_eq!((inputs, outputs), (owned(&["a", "b"]), owned(&["output"])));
    assert_eq!(stored.iter().filter(|name| name.starts_with("left.")).count(), 4, "{stored:?}");
    assert!(!stored.iter().any(|name| name.starts_with("right.")), "{stored:?}");
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

#[test]
fn stablehlo_takes_the_samples_alone() {
    let table = named("table");
    let text = export::stablehlo(&table, 2).expect("writes");
    assert!(text.contains("@main(%arg0: tensor<2x5xf32>)"), "{text}");
    assert!(text.contains("stablehlo.dot_general"));
    assert!(export::stablehlo(&table, 0).is_err());
    // Token ids are whole numbers, however the model was described.
    let text = export::stablehlo(&named("gru"), 2).expect("writes");
    assert!(text.contains("@main(%arg0: tensor<2x6xi32>)"), "{text}");
    assert!(export::hlo(&table, 0).is_err());
}

/// Fields of a protobuf message, <https://protobuf.dev/programming-guides/encoding>: a number and a value.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Field)> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return value;
            }
        }
        panic!("a varint of more than ten bytes");
    }
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let length = match key & 7 {
            0 => {
                fields.push((key >> 3, Field::Varint(varint(&mut bytes))));
                continue;
            }
            1 => 8,
            2 => varint(&mut bytes) as usize,
            5 => 4,
            other => panic!("wire type {other}"),
        };
        fields.push((key >> 3, Field::Bytes(bytes[..length].to_vec())));
        bytes = &bytes[length..];
    }
    fields
}

#[derive(Clone, Debug, PartialEq)]
enum Field {
    Varint(u64),
    Bytes(Vec<u8>),
}

impl Field {
    fn bytes(&self) -> &[u8] {
        match self {
            Field::Bytes(bytes) => bytes,
            Field::Varint(value) => panic!("expected bytes, got {value}"),
        }
    }

    fn text(&self) -> String {
        String::from_utf8(self.bytes().to_vec()).expect("UTF-8")
    }
}

fn all(message: &[u8], number: u64) -> Vec<Field> {
    fields(message).into_iter().filter(|(n, _)| *n == number).map(|(_, field)| field).collect()
}

/// The numbers of the fields are from onnx.proto.
#[test]
fn onnx_holds_the_model() {
    let mlp = named("mlp");
    let file = export::onnx(&mlp, &OnnxOptions::default()).expect("writes");
    assert_eq!(all(&file, 1), [Field::Varint(8)], "ir_version");
    assert_eq!(fields(all(&file, 8)[0].bytes()).pop(), Some((2, Field::Varint(17))), "opset");
    let metadata = all(&file, 14)[0].clone();
    assert_eq!(all(metadata.bytes(), 1)[0].text(), export::DESCRIPTION);
    let description: Description = serde_json::from_str(&all(metadata.bytes(), 2)[0].text()).expect("JSON");
    assert_eq!(description, mlp.description);

    let graph = all(&file, 7)[0].clone();
    let ops: Vec<_> = all(graph.bytes(), 1).iter().map(|node| all(node.bytes(), 4)[0].text()).collect();
    assert_eq!(ops, ["Cast", "Sub", "Div", "Gemm", "Sigmoid", "Gemm", "Softmax"]);
    let stored: HashMap<_, _> = all(graph.bytes(), 5)
        .iter()
        .map(|tensor| (all(tensor.bytes(), 8)[0].text(), all(tensor.bytes(), 9)[0].bytes().to_vec()))
        .collect();
    for (variable, value) in &mlp.variables {
        assert_eq!(stored[&variable.name], value.bytes(), "{}", variable.name);
    }

    // input: name, type { tensor_type { elem_type: UINT8, shape { dim_param: "batch", dim_value: 12 } } }
    let input = all(graph.bytes(), 11)[0].clone();
    assert_eq!(all(input.bytes(), 1)[0].text(), "input");
    let ty = all(all(input.bytes(), 2)[0].bytes(), 1)[0].clone();
    assert_eq!(all(ty.bytes(), 1), [Field::Varint(2)]);
    let dims = all(all(ty.bytes(), 2)[0].bytes(), 1);
    assert_eq!(fields(dims[0].bytes()), [(2, Field::Bytes(b"batch".to_vec()))]);
    assert_eq!(fields(dims[1].bytes()), [(1, Field::Varint(12))]);
    assert_eq!(dims.len(), 2);
}

/// The constants of an ONNX file by their names: the number of their type, and their bytes.
fn constants(file: &[u8]) -> HashMap<String, (Field, Vec<u8>)> {
    let graph = all(file, 7)[0].clone();
    let constant = |tensor: &Field| {
        let tensor = tensor.bytes();
        (all(tensor, 8)[0].text(), (all(tensor, 2)[0].clone(), all(tensor, 9)[0].bytes().to_vec()))
    };
    all(graph.bytes(), 5).iter().map(constant).collect()
}

#[test]
fn onnx_in_eight_bits_holds_weights_as_steps_of_a_scale_for_each_output() {
    let layers = json!([
        { "conv": { "filters": 4, "kernel": [3, 3], "bias": false } }, "batch-norm", "relu", { "max-pool": [2, 2] },
        "flatten", { "dense": 3 }
    ]);
    let model = model(layers, Link::Softmax, DType::F32, &[6, 6, 2], Scaling::none());
    let ranges = model.activations(device(), &[samples(&model, 5)]).expect("ranges");
    let made = export::onnx_int8(&model, &OnnxOptions::default(), &ranges).expect("writes");
    assert_eq!((made.int8, made.float), (owned(&["0.weight", "5.weight"]), owned(&[])));
    let graph = all(&made.file, 7)[0].clone();
    let ops: Vec<_> = all(graph.bytes(), 1).iter().map(|node| all(node.bytes(), 4)[0].text()).collect();
    let count = |op: &str| ops.iter().filter(|one| *one == op).count();
    // Before the convolution, after its activation, after the pool: the dense layer's input is rounded already.
    assert_eq!((count("QuantizeLinear"), count("BatchNormalization")), (4, 0), "{ops:?}");

    let constants = constants(&made.file);
    let floats = |name: &str| -> Vec<f64> {
        constants[name].1.chunks(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]).into()).collect()
    };
    let value = |name: &str| model.value(name).expect("is there").to_f64();
    // A batch norm of constants is a factor and a term of each channel, which are folded into the convolution.
    let (weight, var) = (value("1.weight"), value("1.running_var"));
    let factor = |channel: usize| weight[channel] / (var[channel] + 1e-5).sqrt();
    let (kernel, scales) = (value("0.weight"), floats("0.weight.scale"));
    let (kind, stored) = &constants["0.weight"];
    assert_eq!((kind, stored.len()), (&Field::Varint(3), kernel.len()));
    for (i, whole) in stored.iter().enumerate() {
        // [filters, channels, 3, 3] of a kernel [3, 3, channels, filters]
        let (filter, channel, cell) = (i / 18, i / 9 % 2, i % 9);
        let expected = kernel[cell * 8 + channel * 4 + filter] * factor(filter);
        let got = f64::from(*whole as i8) * scales[filter];
        assert!((got - expected).abs() <= 0.5001 * scales[filter], "{i}: {got} {expected}");
    }
    let (bias, mean) = (value("1.bias"), value("1.running_mean"));
    let scales = floats("0.bias.scale");
    for (channel, b) in constants["0.bias"].1.chunks(4).enumerate() {
        let got = f64::from(i32::from_le_bytes([b[0], b[1], b[2], b[3]])) * scales[channel];
        let expected = bias[channel] - mean[channel] * factor(channel);
        assert!((got - expected).abs() <= 0.5001 * scales[channel], "{channel}: {got} {expected}");
    }
    let (matrix, scales) = (value("5.weight"), floats("5.weight.scale"));
    for (i, whole) in constants["5.weight"].1.iter().enumerate() {
        let row = i / (matrix.len() / 3);
        let got = f64::from(*whole as i8) * scales[row];
        assert!((got - matrix[i]).abs() <= 0.5001 * scales[row], "{i}: {got} {}", matrix[i]);
    }

    let words = self::model(
        json!([{ "embedding": { "vocabulary": 4, "units": 2 } }, { "lstm": 3 }]),
        Link::Identity,
        DType::I32,
        &[5],
        Scaling::none(),
    );
    let ranges = words.activations(device(), &[samples(&words, 3)]).expect("ranges");
    let error =
        export::onnx_int8(&words, &OnnxOptions::default(), &ranges).expect_err("no layer can").to_string();
    assert!(error.contains("dense layers, convolutions or attention"), "{error}");
}

/// A memory of much larger values than the queries is not cut at the queries' range.
#[test]
fn onnx_in_eight_bits_rounds_queries_and_memory_by_their_own_ranges() {
    let (_, model, mut samples) =
        networks().into_iter().find(|(name, ..)| *name == "series").expect("one of the networks");
    let large = samples[1].to_f64().iter().map(|x| (100.0 * x) as f32).collect();
    samples[1] = Array::new(samples[1].shape(), large).expect("as many values");
    let ranges = model.activations(device(), &samples).expect("ranges");
    let made = export::onnx_int8(&model, &OnnxOptions::default(), &ranges).expect("writes");
    let weights = ["asked.0.weight", "found.0.weight", "found.attention.in_proj_weight"];
    assert_eq!(made.int8, [&weights[..], &["found.attention.out_proj.weight"]].concat());
    assert!(!made.float.iter().any(|name| name.contains("in_proj")), "{:?}", made.float);
    let most =
        |part: &str| ranges.range(&format!("found.attention.in_proj_weight:{part}")).expect("observed").1;
    let largest = samples[1].to_f64().into_iter().fold(0.0, f64::max);
    assert!((most("memory") - largest).abs() < 1e-3 && most("queries") < largest / 10.0);
    let constants = constants(&made.file);
    let of = |name: &str| constants.keys().filter(|known| known.contains(name)).count();
    assert!(of("in_proj_weight:queries") > 0 && of("in_proj_weight:memory") > 0, "{:?}", constants.keys());
}

/// Engines add a bias in whole multiples of the step of the values times the step of the weights, for any range of
/// values.
#[test]
fn onnx_in_eight_bits_has_biases_in_steps_of_values_times_weights() {
    let layers = json!([
        { "conv": { "filters": 4, "kernel": [3, 3] } }, "relu", { "max-pool": [2, 2] },
        { "conv": { "filters": 2, "kernel": [2, 2] } }
    ]);
    let model = model(layers, Link::Identity, DType::F32, &[7, 7, 1], Scaling::none());
    // Results are 5 x 5, of which the pool leaves out the last row and column, which hold the max.
    let mut values: Vec<f32> = numbers(2 * 49, 3).into_iter().map(|x| x as f32).collect();
    (values[48], values[97]) = (100.0, -100.0);
    let rows = Array::new(&[2, 7, 7, 1], values).expect("as many values");
    let ranges = model.activations(device(), &[rows]).expect("ranges");
    let most = |place: &str| ranges.range(place).expect("observed").1;
    assert!(most("1") > 2.0 * most("3.weight"), "{} {}", most("1"), most("3.weight"));

    let file = export::onnx_int8(&model, &OnnxOptions::default(), &ranges).expect("writes").file;
    let constants = constants(&file);
    let graph = all(&file, 7)[0].clone();
    // input, output, op_type
    let texts =
        |node: &Field, field| -> Vec<_> { all(node.bytes(), field).iter().map(Field::text).collect() };
    let nodes = all(graph.bytes(), 1);
    let scales = |y: &String| -> Vec<f32> {
        let node = nodes.iter().find(|node| texts(node, 2).contains(y)).expect("a node");
        assert_eq!(texts(node, 4), ["DequantizeLinear"], "{y}");
        let bytes = constants[&texts(node, 1)[1]].1.chunks(4);
        bytes.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
    };
    let convolutions: Vec<_> = nodes.iter().filter(|node| texts(node, 4) == ["Conv"]).collect();
    assert_eq!(convolutions.len(), 2);
    for node in convolutions {
        let [x, weight, bias] = [0, 1, 2].map(|i| scales(&texts(node, 1)[i]));
        assert_eq!(bias, weight.iter().map(|weight| x[0] * weight).collect::<Vec<_>>());
    }
}

/// A table with all kinds of columns, of which every fifth cell is missing; two are named as parts of the graph are.
fn table() -> Table {
    let mut text = String::from("id,seconds,0.weight,output,wet,day,when,kind\n");
    for (i, x) in numbers(60, 11).into_iter().enumerate() {
        let or = |place: usize, cell: String| if i % 5 == place { String::new() } else { cell };
        let cells = [
            format!("row {i}"),
            or(0, format!("{}", 1_700_000_000 + (x * 300.0) as i64)),
            or(1, format!("{x:.4}")),
            or(2, format!("{}", i * 7 % 13)),
            or(3, ["yes", "No", "TRUE", "false"][i % 4].into()),
            or(4, ["sat", "sun", "\u{4e00}", "a \"b\""][i % 4].replace('"', "\"\"")),
            or(0, format!("{}-{:02}-{:02}T{:02}:30:00Z", 1583 + i * 14, 1 + i * 5 % 12, 1 + i % 28, i % 24)),
            ["good", "bad"][i % 2].into(),
        ];
        text += &cells.map(|cell| format!("\"{cell}\"")).join(",");
        text.push('\n');
    }
    // The first and last days of years, of leap ones and of those that would be.
    for date in [
        "1899-12-31",
        "1900-02-29T23:00:00Z",
        "1900-03-01",
        "2000-01-01",
        "2000-12-31T23:59:59Z",
        "2024-02-29",
        "2400-12-31",
    ] {
        let date = if date.starts_with("1900-02") { "1900-02-28T23:00:00Z" } else { date };
        text += &format!("last,1700000000,0.5,3,yes,sat,{date},good\n");
    }
    Table::parse("table.csv".as_ref(), text.as_bytes(), &Layout::default()).expect("reads")
}

/// A model of the columns of [`table`] that are fitted on its first 40 rows.
fn model_of_columns(how: &Features, layers: serde_json::Value, link: Link, classes: &[&str]) -> Model {
    let how = Features { ignore: vec!["id".into()], ..how.clone() };
    let train: Vec<u32> = (0..40).collect();
    let (columns, notes) = table().features("kind", &how, &train).expect("columns");
    assert_eq!(notes, [""; 0]);
    let width = columns.iter().map(|column| column.features().len()).sum::<usize>();
    // Days are the largest: hundreds of years.
    let mut model = model(layers, link, DType::F32, &[width], scaled(&[width], 0.0, 2.0));
    let features = table().try_encode(&columns).expect("the columns are there").features.to_f64();
    let largest =
        |i: usize| features.iter().skip(i).step_by(width).fold(1.0, |m: f64, x| m.max(x.abs())) as f32;
    model.description.scaling.deviation = Array::vector(&(0..width).map(largest).collect::<Vec<_>>());
    model.description.columns = columns;
    model.description.classes = classes.iter().map(ToString::to_string).collect();
    model
}

/// Models of tables with the threshold of each.
fn models_of_columns() -> Vec<(&'static str, Model, f64)> {
    let layers = |units: usize| json!([{"dense": 8}, "tanh", {"dense": units}]);
    let missing = |missing| Features { missing, ..Features::default() };
    vec![
        (
            "two-classes",
            model_of_columns(&missing(Missing::Mean), layers(2), Link::Softmax, &["bad", "good"]),
            0.3,
        ),
        (
            "one-output",
            model_of_columns(&missing(Missing::Median), layers(1), Link::Sigmoid, &["bad", "good"]),
            0.6,
        ),
        (
            "scores",
            model_of_columns(
                &missing(Missing::Constant(2.5)),
                layers(3),
                Link::Identity,
                &["a", "b", "\u{df}"],
            ),
            0.5,
        ),
        ("labels", model_of_columns(&missing(Missing::Mean), layers(3), Link::Sigmoid, &[]), 0.4),
        ("values", model_of_columns(&missing(Missing::Mean), layers(2), Link::Identity, &[]), 0.5),
        (
            "refusing",
            model_of_columns(
                &Features { unknown: Unknown::Refuse, ..Features::default() },
                layers(2),
                Link::Softmax,
                &["bad", "good"],
            ),
            0.5,
        ),
    ]
}

#[test]
fn onnx_takes_the_columns_of_a_table_and_names_the_class() {
    let (_, model, threshold) = models_of_columns().swap_remove(0);
    let named = OnnxOptions { threshold, ..OnnxOptions::default() };
    let plain = OnnxOptions { names: Some(false), ..named.clone() };
    // Of each input or output its name, the type of its elements, and the number of its axes.
    let interface = |file: &[u8], number: u64| -> Vec<(String, u64, usize)> {
        let graph = all(file, 7)[0].clone();
        let one = |info: &Field| {
            let ty = all(all(info.bytes(), 2)[0].bytes(), 1)[0].clone();
            let Field::Varint(elements) = all(ty.bytes(), 1)[0] else { panic!("no type") };
            let axes = all(all(ty.bytes(), 2)[0].bytes(), 1).len();
            (all(info.bytes(), 1)[0].text(), elements, axes)
        };
        all(graph.bytes(), number).iter().map(one).collect()
    };
    let owned = |list: &[(&str, u64, usize)]| -> Vec<(String, u64, usize)> {
        list.iter().map(|(name, elements, axes)| (name.to_string(), *elements, *axes)).collect()
    };
    // FLOAT is 1, STRING 8, DOUBLE 11.
    let file = export::onnx(&model, &named).expect("writes");
    let inputs = [
        ("seconds", 11, 2),
        ("0.weight", 11, 2),
        ("output_", 11, 2),
        ("wet", 8, 2),
        ("day", 8, 2),
        ("when", 11, 2),
    ];
    assert_eq!(interface(&file, 11), owned(&inputs));
    assert_eq!(interface(&file, 12), owned(&[("output", 1, 2), ("label", 8, 1)]));
    let metadata: HashMap<String, String> = all(&file, 14)
        .iter()
        .map(|entry| (all(entry.bytes(), 1)[0].text(), all(entry.bytes(), 2)[0].text()))
        .collect();
    assert_eq!(metadata["neural.threshold"], "0.3");

    let file = export::onnx(&model, &plain).expect("writes");
    assert_eq!(interface(&file, 11), owned(&[("input", 1, 2)]));
    assert_eq!(interface(&file, 12), owned(&[("output", 1, 2)]));
    // Pictures with names of classes stay as they are unless names are asked for.
    let mut pictures = self::named("cnn");
    pictures.description.classes = ["a", "b", "c", "d"].map(String::from).to_vec();
    let outputs = |options: &OnnxOptions| interface(&export::onnx(&pictures, options).expect("writes"), 12);
    assert_eq!(outputs(&OnnxOptions::default()), owned(&[("output", 1, 2)]));
    let named = OnnxOptions { names: Some(true), ..OnnxOptions::default() };
    assert_eq!(outputs(&named), owned(&[("output", 1, 2), ("label", 8, 1)]));
}

#[test]
fn onnx_has_no_pool_of_padding_alone() {
    let layers = json!([{"max-pool": {"size": [2], "stride": [1], "padding": [[2, 0]]}}, "flatten"]);
    let model = model(layers, Link::Identity, DType::F32, &[4, 1], Scaling::none());
    let error = export::onnx(&model, &OnnxOptions::default()).expect_err("cannot be written").to_string();
    assert!(error.contains("expected padding below the window's [2]"), "{error}");
}

/// Reflected, as RFC 3720 has it: a bit at a time.
fn crc32c(data: &[u8]) -> u32 {
    !data.iter().fold(!0, |crc: u32, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 * (crc & 1)))
    })
}

#[test]
fn event_files_are_records_of_events() {
    let dir = tempfile::tempdir().expect("a directory");
    let runs = dir.path().join("runs/first");
    let mut log = Writer::create(&runs).expect("creates");
    log.scalar("loss/train", 300, 0.25).expect("writes");
    log.scalar("accuracy", 0, 0.0).expect("writes");
    log.flush().expect("flushes");
    let second = Writer::create(&runs).expect("creates another in the same second");
    assert_ne!(log.path(), second.path());
    assert!(log.path().file_name().is_some_and(|name| name.to_string_lossy().contains("tfevents")));

    // RFC 3720, B.4: 32 bytes of zeros.
    assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
    let masked = |data: &[u8]| crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes();
    let bytes = std::fs::read(log.path()).expect("reads");
    let mut rest = &bytes[..];
    let mut events = Vec::new();
    while !rest.is_empty() {
        let length = u64::from_le_bytes(rest[..8].try_into().expect("8 bytes")) as usize;
        assert_eq!(rest[8..12], masked(&rest[..8]));
        let event = &rest[12..12 + length];
        assert_eq!(rest[12 + length..16 + length], masked(event));
        events.push(event.to_vec());
        rest = &rest[16 + length..];
    }
    assert_eq!(events.len(), 3);
    assert_eq!(all(&events[0], 3)[0].text(), "brain.Event:2");
    let wall_time = f64::from_le_bytes(all(&events[0], 1)[0].bytes().try_into().expect("8 bytes"));
    assert!(wall_time > 1.6e9, "{wall_time} is before this was written");

    // step: 300; summary { value { tag: "loss/train", simple_value: 0.25 } }
    assert_eq!(all(&events[1], 2), [Field::Varint(300)]);
    let value = all(all(&events[1], 5)[0].bytes(), 1)[0].clone();
    assert_eq!(
        fields(value.bytes()),
        [(1, Field::Bytes(b"loss/train".to_vec())), (2, Field::Bytes(vec![0x00, 0x00, 0x80, 0x3e])),]
    );
    // A value of 0 is one that is there.
    let value = all(all(&events[2], 5)[0].bytes(), 1)[0].clone();
    assert_eq!(all(value.bytes(), 2), [Field::Bytes(vec![0; 4])]);
}

/// Files for `tests/export/check.py`, in the directory that `NEURAL_EXPORTS` names.
#[test]
#[ignore = "writes the files that tests/export/check.py reads"]
fn write_exports() {
    let dir = std::env::var("NEURAL_EXPORTS").expect("NEURAL_EXPORTS names a directory");
    let dir = Path::new(&dir);
    std::fs::create_dir_all(dir).expect("a directory");
    for (name, model) in models().into_iter().chain(zoo()) {
        let write = |kind: &str, contents: &[u8]| {
            std::fs::write(dir.join(format!("{name}.{kind}")), contents).expect("writes");
        };
        let samples = samples(&model, 4);
        let outputs = model.predict(device(), &samples).expect("predicts");
        let pair = [("samples", &samples), ("outputs", &outputs)];
        write("expected", &neural::data::safetensors::encode(&pair, None).expect("encodes"));
        write("safetensors", &export::safetensors(&model).expect("writes"));
        write("onnx", &export::onnx(&model, &OnnxOptions::default()).expect("writes"));
        let ranges = model.activations(device(), std::slice::from_ref(&samples)).expect("ranges");
        if let Ok(made) = export::onnx_int8(&model, &OnnxOptions::default(), &ranges) {
            write("int8", &made.file);
        }
        write("mlir", export::stablehlo(&model, 4).expect("writes").as_bytes());
        write("hlo", export::hlo(&model, 4).expect("writes").as_bytes());
    }
    for (name, model, samples) in networks() {
        let write = |kind: &str, contents: &[u8]| {
            std::fs::write(dir.join(format!("{name}.{kind}")), contents).expect("writes");
        };
        let outputs = model.predict_all(device(), &samples).expect("predicts");
        let (reads, answers) = (model.description.reads(), model.description.answers());
        let output = |name: &str| if name.is_empty() { "output".into() } else { name.to_string() };
        let inputs = reads.iter().map(|read| format!("input:{}", read.name)).zip(&samples);
        let outputs = answers.iter().map(|answer| format!("output:{}", output(answer.name))).zip(&outputs);
        let pairs: Vec<(String, &Array)> = inputs.chain(outputs).collect();
        let pairs: Vec<(&str, &Array)> = pairs.iter().map(|(name, array)| (name.as_str(), *array)).collect();
        write("networks", &neural::data::safetensors::encode(&pairs, None).expect("encodes"));
        write("safetensors", &export::safetensors(&model).expect("writes"));
        write("onnx", &export::onnx(&model, &OnnxOptions::default()).expect("writes"));
        write("mlir", export::stablehlo(&model, 4).expect("writes").as_bytes());
        write("hlo", export::hlo(&model, 4).expect("writes").as_bytes());
    }
    for (name, model, threshold) in models_of_columns() {
        let options = OnnxOptions { threshold, ..OnnxOptions::default() };
        std::fs::write(dir.join(format!("{name}.onnx")), export::onnx(&model, &options).expect("writes"))
            .expect("writes");
        let table = table();
        let columns = &model.description.columns;
        let encoded = table.try_encode(columns).expect("the columns are there");
        let outputs = model.predict(device(), &encoded.features).expect("predicts");
        let cells = |column: &Column| -> Vec<String> {
            (0..table.rows()).map(|row| table.text(row, &column.name).expect("is there").into()).collect()
        };
        let expected = json!({
            "columns": columns.iter().map(|column| json!({"name": column.name, "kind": column.kind, "cells": cells(column)})).collect::<Vec<_>>(),
            "outputs": outputs.to_f64().chunks(outputs.shape()[1]).collect::<Vec<_>>(),
            "refused": encoded.refused.iter().map(|(row, _)| row).collect::<Vec<_>>(),
            "classes": model.description.classes,
            "threshold": threshold,
        });
        std::fs::write(dir.join(format!("{name}.columns")), expected.to_string()).expect("writes");
    }
    let mut log = Writer::create(&dir.join("events")).expect("creates");
    for step in 1..=100 {
        log.scalar("loss/train", step, 1.0 / step as f64).expect("writes");
        log.scalar("accuracy", step, step as f64 / 100.0).expect("writes");
    }
    log.flush().expect("flushes");
}
