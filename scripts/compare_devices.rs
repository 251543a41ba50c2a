//! Compares a device with the CPU: every layer with its gradients, in f64 and in f32.

use clap::Parser;
use neural::cli::{self, DeviceArguments};
use neural::graph::{Function, Graph, Random, gradients};
use neural::nn::{Context, Layer, Module, Sequential};
use neural::runtime::{Device, Program};
use neural::variables::Variables;
use neural::{Array, DType, Result};
use std::io::{self, Write};
use std::process::ExitCode;

/// Compares every layer and its gradients on a device with the CPU in f64
#[derive(Parser)]
#[command(after_help = "The differences are relative to the largest number of each result.")]
struct Arguments {
    #[command(flatten)]
    device: DeviceArguments,
}

/// Layers as a recipe has them, with the shape of an input. Those at the end have the sizes of real models, for which
/// a device may choose other kernels.
const CASES: &[(&str, &[usize])] = &[
    (r#"{"dense": 4}"#, &[3, 5]),
    (r#"{"dense": {"units": 4, "bias": false}}"#, &[2, 3, 5]),
    (r#"{"conv": {"filters": 4, "kernel": [3, 3]}}"#, &[2, 7, 6, 3]),
    (r#"{"conv": {"filters": 4, "kernel": [4, 3], "padding": "same"}}"#, &[2, 7, 6, 3]),
    (r#"{"conv": {"filters": 4, "kernel": [3, 3], "stride": [2, 3], "padding": "same"}}"#, &[2, 8, 7, 3]),
    (
        r#"{"conv": {"filters": 4, "kernel": [3, 3], "dilation": [2, 1], "padding": [[1, 2], [0, 1]]}}"#,
        &[2, 8, 7, 3],
    ),
    (r#"{"conv": {"filters": 4, "kernel": [2, 2], "stride": [3, 3]}}"#, &[2, 7, 7, 3]),
    (r#"{"conv": {"filters": 4, "kernel": [1, 1], "stride": [2, 2]}}"#, &[2, 7, 7, 3]),
    (r#"{"conv": {"filters": 6, "kernel": [3, 3], "groups": 2}}"#, &[2, 6, 6, 4]),
    (r#"{"conv": {"filters": 6, "kernel": [3, 3], "groups": 3, "stride": [2, 2]}}"#, &[2, 7, 6, 3]),
    (
        r#"{"conv": {"filters": 4, "kernel": [3], "stride": [2], "dilation": [2], "padding": [[3, 1]]}}"#,
        &[2, 9, 3],
    ),
    (r#"{"max-pool": [2, 2]}"#, &[2, 6, 6, 3]),
    (r#"{"max-pool": {"size": [3, 3], "stride": [2, 2], "padding": [[0, 2], [1, 0]]}}"#, &[2, 7, 6, 3]),
    (r#"{"max-pool": {"size": [2], "stride": [3]}}"#, &[2, 9, 3]),
    (r#"{"avg-pool": [2, 2]}"#, &[2, 6, 6, 3]),
    (r#"{"avg-pool": {"size": [3, 3], "stride": [2, 2], "padding": "same"}}"#, &[2, 7, 6, 3]),
    (r#""global-max-pool""#, &[2, 5, 4, 3]),
    (r#""global-avg-pool""#, &[2, 5, 4, 3]),
    (r#""flatten""#, &[2, 5, 4, 3]),
    (r#"{"batch-norm": {}}"#, &[4, 5, 4, 3]),
    (r#"{"layer-norm": {}}"#, &[4, 5, 6]),
    (r#"{"dropout": 0.5}"#, &[16, 64]),
    (r#"{"embedding": {"vocabulary": 11, "units": 4}}"#, &[3, 5]),
    (r#"{"residual": {"layers": [{"dense": 4}, "relu"], "shortcut": [{"dense": 4}]}}"#, &[3, 5]),
    (r#"{"attention": 2}"#, &[2, 5, 6]),
    (r#"{"attention": {"heads": 2, "causal": true}}"#, &[2, 5, 6]),
    (r#"{"lstm": {"units": 4, "sequences": true}}"#, &[2, 5, 3]),
    (r#"{"gru": {"units": 4, "sequences": false}}"#, &[2, 5, 3]),
    (r#""sigmoid""#, &[4, 9]),
    (r#""tanh""#, &[4, 9]),
    (r#""relu""#, &[4, 9]),
    (r#"{"leaky-relu": 0.1}"#, &[4, 9]),
    (r#"{"elu": 1.0}"#, &[4, 9]),
    (r#""gelu""#, &[4, 9]),
    (r#""gelu-tanh""#, &[4, 9]),
    (r#""silu""#, &[4, 9]),
    (r#""softplus""#, &[4, 9]),
    (r#""softmax""#, &[4, 9]),
    (r#""log-softmax""#, &[4, 9]),
    (r#"{"dense": 128}"#, &[256, 784]),
    (r#"{"conv": {"filters": 32, "kernel": [3, 3]}}"#, &[32, 28, 28, 1]),
    (r#"{"conv": {"filters": 64, "kernel": [3, 3]}}"#, &[32, 13, 13, 32]),
    (r#"{"lstm": 64}"#, &[32, 28, 28]),
];

/// In f64 devices differ in the order of sums alone.
const F64_TOLERANCE: f64 = 1e-9;
const F32_TOLERANCE: f64 = 1e-4;
/// TF32 keeps 10 bits of each factor.
const TF32_TOLERANCE: f64 = 1e-2;

fn main() -> ExitCode {
    cli::finish(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    // First, as its settings must be made before anything of XLA runs.
    let device = arguments.device.open()?;
    let cpu = Device::cpu()?;
    let tf32 = device.name() == "cuda" && !arguments.device.no_tf32;
    let tolerance = if tf32 { TF32_TOLERANCE } else { F32_TOLERANCE };
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{device} against the CPU in f64; allowed: {F64_TOLERANCE:e} in f64, {tolerance:e} in f32\n"
    )?;
    writeln!(out, "| layer | input | f64 | f32 | f32 on the CPU | |\n|---|---|---|---|---|---|")?;
    let mut failed = 0;
    for (layer, shape) in CASES {
        let compare = || -> anyhow::Result<[f64; 3]> {
            let model = Sequential(vec![serde_json::from_str::<Layer>(layer)?]);
            let expected = results(&cpu, &model, shape, DType::F64)?;
            let off =
                |device, dtype| anyhow::Ok(difference(&results(device, &model, shape, dtype)?, &expected));
            Ok([off(&device, DType::F64)?, off(&device, DType::F32)?, off(&cpu, DType::F32)?])
        };
        match compare() {
            Ok([double, single, cpu]) => {
                let good = double <= F64_TOLERANCE && single <= tolerance;
                failed += usize::from(!good);
                let verdict = if good { "ok" } else { "**off**" };
                writeln!(
                    out,
                    "| `{layer}` | {shape:?} | {double:.1e} | {single:.1e} | {cpu:.1e} | {verdict} |"
                )?;
            }
            Err(error) => {
                failed += 1;
                writeln!(out, "| `{layer}` | {shape:?} | | | | **failed**: {error:#} |")?;
            }
        }
    }
    writeln!(out, "\n{} of {} agree", CASES.len() - failed, CASES.len())?;
    anyhow::ensure!(failed == 0, "{failed} layers differ on {device}");
    Ok(())
}

/// The layer's output in training, the gradients of a weighted sum of it for every variable and for the input, and the
/// statistics after the step.
fn results(device: &Device, model: &Sequential, shape: &[usize], dtype: DType) -> Result<Vec<Vec<f64>>> {
    let whole = model.0.iter().any(|layer| matches!(layer, Layer::Embedding(_)));
    let x = match whole {
        true => Array::new(shape, (0..shape.iter().product()).map(|i: usize| (7 * i % 11) as i32).collect())?,
        false => Array::new(shape, numbers(shape.iter().product(), 0))?.cast(dtype),
    };
    let random = |graph: &Graph| Random::new(graph.scalar(1u64), graph.scalar(2u64));

    let graph = Graph::new();
    let mut store = Variables::declare(&graph, DType::F64);
    let input = graph.full(x.dtype(), shape, 0.0)?.convert(if whole { x.dtype() } else { DType::F64 })?;
    model.forward(&input, &mut Context::training(&mut store, &mut random(&graph)))?;
    let mut variables: Vec<_> = store.variables().cloned().collect();
    let mut arguments: Vec<_> = variables.iter().map(|variable| variable.initial(1).cast(dtype)).collect();
    variables.iter_mut().for_each(|variable| variable.dtype = dtype);
    arguments.push(x);

    let graph = Graph::new();
    let tensors: Vec<_> = arguments.iter().map(|a| graph.parameter(a.dtype(), a.shape())).collect();
    let (weights, input) = tensors.split_at(variables.len());
    let mut store = Variables::given(&graph, dtype, &variables, weights);
    let y = model.forward(&input[0], &mut Context::training(&mut store, &mut random(&graph)))?;
    let after = store.after();
    let cotangent =
        graph.constant(Array::new(y.shape(), numbers(y.shape().iter().product(), 1))?.cast(dtype));
    let loss = (&y * &cotangent)?.sum_all()?;
    let wanted: Vec<_> = weights.iter().chain(input.iter().filter(|_| !whole)).collect();
    let mut outputs = gradients(&loss, &wanted)?;
    outputs.push(y);
    outputs.extend(after);
    let program = Program::compile(device, &Function::new(&graph, outputs), 0)?;
    Ok(program.call(device, &arguments)?.iter().map(Array::to_f64).collect())
}

/// Numbers in [-1, 1) that look random and are the same everywhere: the fractional parts of multiples of √2.
fn numbers(n: usize, seed: usize) -> Vec<f64> {
    (0..n).map(|i| (((i + 97 * seed) as f64 + 1.0) * std::f64::consts::SQRT_2).fract() * 2.0 - 1.0).collect()
}

/// The largest difference of a result, relative to the largest number of that result (at least 1e-3).
fn difference(got: &[Vec<f64>], expected: &[Vec<f64>]) -> f64 {
    let one = |got: &[f64], expected: &[f64]| {
        let scale = expected.iter().fold(1e-3f64, |largest, x| largest.max(x.abs()));
        let off = got.iter().zip(expected).map(|(a, b)| (a - b).abs() / scale);
        off.fold(0.0, |largest: f64, x| if x.is_nan() { f64::INFINITY } else { largest.max(x) })
    };
    got.iter().zip(expected).map(|(got, expected)| one(got, expected)).fold(0.0, f64::max)
}
