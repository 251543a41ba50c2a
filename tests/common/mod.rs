//! Functions that several test files share.
#![allow(dead_code, reason = "each test file uses a part")]

use neural::graph::{Function, Graph, Tensor};
use neural::runtime::{Device, DeviceOptions, DeviceSpec, Program};
use neural::{Array, DType, Result};
use std::sync::OnceLock;

/// The value of `--device` in tests: the CPU, or the value of `NEURAL_TEST_DEVICE`.
pub fn device_name() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| std::env::var("NEURAL_TEST_DEVICE").unwrap_or_else(|_| "cpu".into()))
}

/// One client for all tests of a file, on the device that [`device_name`] says.
pub fn device() -> &'static Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    DEVICE.get_or_init(|| {
        let spec: DeviceSpec =
            device_name().parse().unwrap_or_else(|error| panic!("NEURAL_TEST_DEVICE: {error}"));
        // Expected values are computed in full precision.
        let options = DeviceOptions { tf32: false, ..DeviceOptions::default() };
        Device::open_with(&spec, &options).unwrap_or_else(|error| panic!("{error}"))
    })
}

/// Numbers in [-1, 1) that look random and are the same everywhere: the fractional parts of multiples of √2.
pub fn numbers(n: usize, seed: u64) -> Vec<f64> {
    (0..n)
        .map(|i| ((i as f64 + 1.0 + 97.0 * seed as f64) * std::f64::consts::SQRT_2).fract() * 2.0 - 1.0)
        .collect()
}

pub fn array(shape: &[usize], values: &[f64]) -> Array {
    Array::new(shape, values.to_vec()).expect("as many values as the shape has elements")
}

/// An array of [`numbers`].
pub fn values(shape: &[usize], seed: u64) -> Array {
    array(shape, &numbers(shape.iter().product(), seed))
}

/// Builds a function of f64 parameters and runs it once.
pub fn evaluate(
    arguments: &[Array],
    build: impl FnOnce(&Graph, &[Tensor]) -> Result<Vec<Tensor>>,
) -> Vec<Array> {
    let graph = Graph::new();
    let parameters: Vec<_> = arguments.iter().map(|a| graph.parameter(a.dtype(), a.shape())).collect();
    let outputs = build(&graph, &parameters).expect("the graph is well formed");
    let program =
        Program::compile(device(), &Function::new(&graph, outputs), 0).expect("XLA compiles the graph");
    program.call(device(), arguments).expect("XLA runs the program")
}

/// The max difference, relative to the max magnitude of the two (at least 1e-3).
pub fn difference(got: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(got.len(), expected.len(), "as many numbers");
    let scale = got.iter().chain(expected).fold(1e-3f64, |m, x| m.max(x.abs()));
    let largest = got.iter().zip(expected).map(|(a, b)| if a == b { 0.0 } else { (a - b).abs() });
    largest.fold(0.0, |m: f64, d| if d.is_nan() { f64::INFINITY } else { m.max(d / scale) })
}

pub const F64: DType = DType::F64;
