//! Layers' settings, the forms of a module, and padding.

mod common;

use common::{array, device, difference, numbers};
use neural::graph::{Function, Graph, Random, Tensor};
use neural::loss::Mask;
use neural::nn::{self, Attention, Context, Dense, Layer, Module, Sequential};
use neural::runtime::Program;
use neural::variables::{Variable, Variables};
use neural::{Array, DType, Result};
use std::sync::Arc;

fn layer(json: serde_json::Value) -> Layer {
    serde_json::from_value(json).expect("a layer")
}

#[test]
fn settings_that_do_not_fit_are_refused() {
    use serde_json::json;
    let cases: &[(serde_json::Value, &[usize], &str)] = &[
        (
            json!({"reshape": [5, -1]}),
            &[12],
            "shape: expected a shape of 12 values, those of a sample [12], got [5, -1]",
        ),
        (json!({"reshape": [-1, -1]}), &[12], "expected a shape of 12 values"),
        (json!({"reshape": [-2, -6]}), &[12], "expected a shape of 12 values"),
        (json!({"permute": [1, 1]}), &[3, 4], "axes: expected each of the axes 1 to 2 once, got [1, 1]"),
        (json!({"permute": [0, 1]}), &[3, 4], "expected each of the axes 1 to 2 once"),
        (json!({"repeat": 0}), &[3], "times: expected a whole number above 0, got 0"),
        (json!({"repeat": 2}), &[3, 4], "repeat: expected vectors [batch, features]"),
        (
            json!({"crop": [[2, 2]]}),
            &[4, 3],
            "crop: expected cells that leave something of [4, 3], got [(2, 2)]",
        ),
        (json!({"crop": [[0, 9]]}), &[4, 3], "expected cells that leave something"),
        (json!({"pad": [[1, 1]]}), &[4, 4, 3], "pad: expected [batch, 1 spatial axes, channels]"),
        (json!({"upsample": [2, 0]}), &[4, 4, 3], "size: expected a whole number above 0, got 0"),
        (json!({"upsample": [2]}), &[4, 4, 3], "upsample: expected [batch, 1 spatial axes, channels]"),
        (json!({"group-norm": 4}), &[4, 6], "groups: expected a divisor of the 6 channels, got 4"),
        (json!("instance-norm"), &[1, 6], "at least two places"),
        (json!("glu"), &[5], "gated linear unit: expected an even number of features"),
        (json!({"position": {"length": 3}}), &[4, 6], "position: expected a sequence of at most 3 positions"),
        (json!("position"), &[4], "position: expected [batch, length, features]"),
        (
            json!({"attention": {"heads": 2, "rotary": true}}),
            &[4, 6],
            "rotary: expected heads with an even number of features, got 3",
        ),
        (
            json!({"attention": {"heads": 2, "dropout": 1.0}}),
            &[4, 6],
            "rate: expected a probability from 0 to below 1, got 1",
        ),
        (
            json!({"lstm": {"units": 2, "layers": 0}}),
            &[4, 6],
            "layers: expected a whole number above 0, got 0",
        ),
        (
            json!({"conv-transpose": {"filters": 2, "kernel": [3], "stride": [2], "output_padding": [2]}}),
            &[4, 6],
            "output_padding: expected a number below the stride for each axis, of [2], got [2]",
        ),
        (
            json!({"conv-transpose": {"filters": 2, "kernel": [3], "padding": [[3, 3]]}}),
            &[4, 6],
            "padding: expected padding that leaves something of 6 cells, got (3, 3)",
        ),
        (
            json!({"conv-transpose": {"filters": 2, "kernel": [3], "groups": 4}}),
            &[4, 6],
            "groups: expected channels and filters in 4 groups",
        ),
        (
            json!({"conv-transpose": {"filters": 2, "kernel": [3, 3]}}),
            &[4, 6],
            "conv-transpose: expected [batch, 2 spatial axes, channels]",
        ),
        (
            json!({"depthwise-conv": {"kernel": [3], "multiplier": 0}}),
            &[4, 6],
            "multiplier: expected a whole number above 0, got 0",
        ),
    ];
    for (json, sample, words) in cases {
        let error = nn::sequential([layer(json.clone())])
            .summary(DType::F32, sample)
            .expect_err("refused")
            .to_string();
        assert!(error.starts_with("layer 0 ("), "{json}: {error}");
        assert!(error.contains(words), "{json}: {error}");
    }
    let padded = json!({"embedding": {"vocabulary": 9, "units": 4, "padding": 9}});
    let error = nn::sequential([layer(padded)]).summary(DType::F32, &[5]).expect_err("refused").to_string();
    assert!(error.contains("padding: expected an id of the vocabulary, below 9, got 9"), "{error}");
    // A layer in between changes the length, so that the place of the padding is unknown.
    let padded = json!({"embedding": {"vocabulary": 9, "units": 4, "padding": 0}});
    let conv = json!({"conv": {"filters": 4, "kernel": [3]}});
    let model = nn::sequential([layer(padded), layer(conv), Layer::GlobalAvgPool]);
    let error = model.summary(DType::F32, &[5]).expect_err("refused").to_string();
    assert!(
        error.contains("layer 2 (global-avg-pool): padding: expected sequences of 5 positions"),
        "{error}"
    );
}

#[test]
fn every_form_of_a_module_is_one() -> Result<()> {
    let dense = Dense::new(3);
    let twice = |x: &Tensor, cx: &mut Context| dense.forward(x, cx)? * 2.0;
    let list = nn::sequential([nn::dense(3)]);
    let forms: Vec<Box<dyn Module + '_>> = vec![
        Box::new(Dense::new(3)),
        Box::new(twice),
        Box::new(&twice),
        Box::new(Arc::new(Dense::new(3))),
        Box::new(&list),
        Box::new(Box::new(nn::dense(3)) as Box<dyn Module>),
    ];
    for module in &forms {
        let graph = Graph::new();
        let mut variables = Variables::declare(&graph, DType::F32);
        let x = graph.parameter(DType::F32, &[2, 4]);
        let y = module.forward(&x, &mut Context::evaluation(&mut variables))?;
        assert_eq!(y.shape(), [2, 3]);
    }
    Ok(())
}

/// The results of `model` for rows of ids, with the same values for its variables whatever the length of the rows.
fn results(model: &Sequential, rows: usize, ids: &[i32]) -> Result<Vec<f64>> {
    let (declared, ..) = model.declare(DType::F64, &[ids.len() / rows])?;
    let graph = Graph::new();
    let tensors: Vec<_> = declared.iter().map(|v| graph.parameter(v.dtype, &v.shape)).collect();
    let x = graph.parameter(DType::I32, &[rows, ids.len() / rows]);
    let mut variables = Variables::given(&graph, DType::F64, &declared, &tensors);
    let y = model.forward(&x, &mut Context::evaluation(&mut variables))?;
    let mut arguments: Vec<Array> =
        declared.iter().enumerate().map(|(i, v)| array(&v.shape, &numbers(v.len(), i as u64))).collect();
    arguments.push(Array::new(&[rows, ids.len() / rows], ids.to_vec())?);
    let program = Program::compile(device(), &Function::new(&graph, vec![y]), 0)?;
    Ok(program.call(device(), &arguments)?[0].to_f64())
}

#[test]
fn padding_changes_no_result() -> Result<()> {
    let states = |json| layer(json);
    use serde_json::json;
    let models = [
        vec![Layer::Attention(Attention { rotary: true, ..Attention::new(2) }), Layer::GlobalAvgPool],
        vec![layer(json!({"position": "sinusoidal"})), layer(json!({"attention": 2})), Layer::GlobalMaxPool],
        vec![states(json!({"lstm": {"units": 3, "layers": 2, "bidirectional": true}}))],
        vec![
            states(json!({"gru": {"units": 3, "sequences": true, "bidirectional": true}})),
            nn::layer_norm(),
            Layer::GlobalAvgPool,
        ],
    ];
    for layers in models {
        let model = Sequential([vec![words()], layers].concat());
        let short = results(&model, 2, &[3, 5, 2, 8, 1, 4])?;
        let long = results(&model, 2, &[3, 5, 2, 0, 0, 8, 1, 4, 0, 0])?;
        assert!(difference(&short, &long) < 1e-12, "{model:?}: {short:?} {long:?}");
        // A row of padding alone gives no NaN, and changes no other row.
        let beside = results(&model, 2, &[3, 5, 2, 0, 0, 0, 0, 0, 0, 0])?;
        assert!(beside.iter().all(|x| x.is_finite()), "{beside:?}");
        assert!(difference(&short[..short.len() / 2], &beside[..beside.len() / 2]) < 1e-12);
    }
    Ok(())
}

#[test]
fn batch_norm_counts_no_padding() -> Result<()> {
    let model = Sequential(vec![words(), nn::batch_norm()]);
    // Above 0, as variances are.
    let value = |seed: u64, len| numbers(len, seed).iter().map(|x| x.abs() + 0.5).collect::<Vec<_>>();
    let train = |ids: &[i32], length: usize, counted: Option<i32>| -> Result<Vec<Vec<f64>>> {
        let (declared, ..) = model.declare(DType::F64, &[length])?;
        let graph = Graph::new();
        let tensors: Vec<_> = declared.iter().map(|v| graph.parameter(v.dtype, &v.shape)).collect();
        let rows = ids.len() / length;
        let x = graph.parameter(DType::I32, &[rows, length]);
        let mut variables = Variables::given(&graph, DType::F64, &declared, &tensors);
        let mut random = Random::new(graph.scalar(0u64), graph.scalar(0u64));
        let mut cx = Context::training(&mut variables, &mut random);
        let mask = counted.map(|n| Mask::first(&graph.scalar(n), rows)).transpose()?;
        if let Some(mask) = &mask {
            cx = cx.masked(mask)?;
        }
        let y = model.forward(&x, &mut cx)?;
        let outputs = [variables.after(), vec![y]].concat();
        let with_value = |(i, v): (usize, &Variable)| array(&v.shape, &value(i as u64, v.len()));
        let mut arguments: Vec<Array> = declared.iter().enumerate().map(with_value).collect();
        arguments.push(Array::new(&[rows, length], ids.to_vec())?);
        let program = Program::compile(device(), &Function::new(&graph, outputs), 0)?;
        Ok(program.call(device(), &arguments)?.iter().map(Array::to_f64).collect())
    };
    // The same words, the second time with padding and a row that does not count.
    let plain = train(&[3, 5, 2, 8], 2, None)?;
    let padded = train(&[3, 5, 0, 2, 8, 0, 7, 7, 7], 3, Some(2))?;
    // Running mean and variance.
    let statistics = plain.len() - 3..plain.len() - 1;
    for (short, long) in plain[statistics.clone()].iter().zip(&padded[statistics]) {
        assert!(difference(short, long) < 1e-12, "{short:?} {long:?}");
    }
    let (short, long) = (&plain[plain.len() - 1], &padded[padded.len() - 1]);
    assert!(difference(&short[..8], &long[..8]) < 1e-12 && difference(&short[8..], &long[12..20]) < 1e-12);
    // A single real position has no variance: the running statistics stay.
    let lone = train(&[3, 0, 0, 0], 2, None)?;
    assert!(lone.iter().flatten().all(|x| x.is_finite()));
    assert!(difference(&lone[3], &value(3, 4)) < 1e-12 && difference(&lone[4], &value(4, 4)) < 1e-12);
    Ok(())
}

fn words() -> Layer {
    layer(serde_json::json!({"embedding": {"vocabulary": 9, "units": 4, "padding": 0}}))
}
