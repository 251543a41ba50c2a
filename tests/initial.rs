//! Initial weights of layers, beside PyTorch's initialisers: see tests/golden/initial.py.

use neural::DType;
use neural::nn::Sequential;
use serde_json::Value;

/// Fans are the layer's: a group of a convolution reads its own channels alone.
#[test]
fn weights_are_spread_as_those_of_pytorch() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("golden/initial.json")).expect("JSON");
    assert_eq!(cases.len(), 18);
    for case in cases {
        let name = case["name"].as_str().expect("a name");
        let layers: Sequential =
            serde_json::from_value(Value::Array(vec![case["layer"].clone()])).expect("layers");
        let sample: Vec<usize> = serde_json::from_value(case["sample"].clone()).expect("a shape");
        let (variables, ..) = layers.declare(DType::F64, &sample).expect("layers that fit");
        let weight = variables.iter().find(|variable| variable.name == "0.weight").expect("a weight");
        let drawn: Vec<f64> = (0..20).flat_map(|seed| weight.initial(seed).to_f64()).collect();
        let deviation = (drawn.iter().map(|x| x * x).sum::<f64>() / drawn.len() as f64).sqrt();
        let expected = case["deviation"].as_f64().expect("a number");
        // More than 60,000 numbers: three of their standard errors are 0.9 %.
        assert!((deviation / expected - 1.0).abs() < 0.01, "{name}: {deviation}, expected {expected}");
    }
}
