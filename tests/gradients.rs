//! Every gradient rule against finite differences, in f64.

mod common;
#[path = "common/graphs.rs"]
mod graphs;

use common::{F64, array, device, difference, numbers, values};
use neural::graph::{
    DotDims, Function, Graph, Random, ScanInputs, StepOutputs, Tensor, Window, custom_gradient, gradients,
};
use neural::runtime::Program;
use neural::{Array, DType, Result};

type Build = fn(&[Tensor]) -> Result<Tensor>;

/// Inputs are drawn from [low, high), away from poles and kinks.
struct Case {
    name: &'static str,
    shapes: &'static [&'static [usize]],
    range: (f64, f64),
    build: Build,
}

const ANY: (f64, f64) = (-1.0, 1.0);
const POSITIVE: (f64, f64) = (0.5, 2.0);

fn window(size: &[usize], stride: &[usize], padding: &[(usize, usize)], dilation: &[usize]) -> Window {
    Window {
        size: size.to_vec(),
        stride: stride.to_vec(),
        padding: padding.to_vec(),
        dilation: dilation.to_vec(),
    }
}

fn dims(lhs: &[usize], rhs: &[usize], lhs_batch: &[usize], rhs_batch: &[usize]) -> DotDims {
    DotDims {
        lhs_contract: lhs.to_vec(),
        rhs_contract: rhs.to_vec(),
        lhs_batch: lhs_batch.to_vec(),
        rhs_batch: rhs_batch.to_vec(),
    }
}

fn indices(graph: &Graph, shape: &[usize], values: &[i32]) -> Result<Tensor> {
    Ok(graph.constant(Array::new(shape, values.to_vec())?))
}

/// A small recurrent network: h' = tanh(w h + x), y = h'².
fn recurrent(x: &[Tensor]) -> Result<Tensor> {
    let inputs = ScanInputs { constants: &x[..1], carries: &x[1..2], xs: &x[2..] };
    let (last, ys) = x[0].graph().scan(inputs, 4, |_, w, h, x| {
        let next = (h[0].linear(&w[0])? + &x[0])?.tanh()?;
        Ok(StepOutputs { ys: vec![next.square()?], carries: vec![next] })
    })?;
    last[0].sum_all()? * ys[0].sum_all()?
}

#[rustfmt::skip]
const CASES: &[Case] = &[
    Case { name: "neg", shapes: &[&[3]], range: ANY, build: |x| x[0].neg() },
    Case { name: "abs", shapes: &[&[5]], range: ANY, build: |x| x[0].abs() },
    Case { name: "exp", shapes: &[&[2, 3]], range: ANY, build: |x| x[0].exp() },
    Case { name: "expm1", shapes: &[&[3]], range: ANY, build: |x| x[0].expm1() },
    Case { name: "log", shapes: &[&[3]], range: POSITIVE, build: |x| x[0].log() },
    Case { name: "log1p", shapes: &[&[3]], range: POSITIVE, build: |x| x[0].log1p() },
    Case { name: "sqrt", shapes: &[&[3]], range: POSITIVE, build: |x| x[0].sqrt() },
    Case { name: "rsqrt", shapes: &[&[3]], range: POSITIVE, build: |x| x[0].rsqrt() },
    Case { name: "tanh", shapes: &[&[3]], range: ANY, build: |x| x[0].tanh() },
    Case { name: "logistic", shapes: &[&[3]], range: (-4.0, 4.0), build: |x| x[0].logistic() },
    Case { name: "erf", shapes: &[&[3]], range: ANY, build: |x| x[0].erf() },
    Case { name: "sin", shapes: &[&[3]], range: ANY, build: |x| x[0].sin() },
    Case { name: "cos", shapes: &[&[3]], range: ANY, build: |x| x[0].cos() },
    Case { name: "softplus", shapes: &[&[7]], range: (-9.0, 9.0), build: |x| x[0].softplus() },
    Case { name: "clamp", shapes: &[&[9]], range: ANY, build: |x| x[0].clamp(-0.5, 0.25) },

    Case { name: "add, scalar edge", shapes: &[&[2, 3], &[]], range: ANY, build: |x| &x[0] + &x[1] },
    Case { name: "sub, row edge", shapes: &[&[3], &[2, 3]], range: ANY, build: |x| &x[0] - &x[1] },
    Case { name: "mul, both edges", shapes: &[&[2, 1, 3], &[4, 1]], range: ANY, build: |x| &x[0] * &x[1] },
    Case { name: "div, column edge", shapes: &[&[2, 3], &[2, 1]], range: POSITIVE, build: |x| &x[0] / &x[1] },
    Case { name: "rem", shapes: &[&[4], &[4]], range: POSITIVE, build: |x| (&x[0] * 3.1)?.rem(&x[1]) },
    Case { name: "maximum", shapes: &[&[6], &[6]], range: ANY, build: |x| x[0].maximum(&x[1]) },
    Case { name: "minimum", shapes: &[&[6], &[6]], range: ANY, build: |x| x[0].minimum(&x[1]) },
    Case { name: "pow", shapes: &[&[5], &[5]], range: POSITIVE, build: |x| x[0].pow(&x[1]) },
    Case { name: "select", shapes: &[&[5], &[5]], range: ANY, build: |x| x[0].gt(&x[1])?.select(&x[0].square()?, &x[1]) },
    Case { name: "used twice", shapes: &[&[3]], range: ANY, build: |x| &x[0].exp()? * &x[0] },

    Case { name: "reshape", shapes: &[&[2, 3]], range: ANY, build: |x| x[0].reshape(&[3, 2])?.square() },
    Case { name: "broadcast", shapes: &[&[1, 3, 1]], range: ANY, build: |x| x[0].broadcast_to(&[2, 2, 3, 4])?.square() },
    Case { name: "transpose", shapes: &[&[2, 3, 4]], range: ANY, build: |x| x[0].transpose(&[2, 0, 1])?.square() },
    Case { name: "reverse", shapes: &[&[2, 3]], range: ANY, build: |x| x[0].reverse(&[1])?.cumulative_sum(1)?.square() },
    Case { name: "slice, strided", shapes: &[&[7, 5]], range: ANY, build: |x| x[0].slice(&[1, 0], &[6, 5], &[2, 3])?.square() },
    Case { name: "narrow", shapes: &[&[3, 5]], range: ANY, build: |x| x[0].narrow(1, 2, 4)?.square() },
    Case { name: "pad, interior", shapes: &[&[3, 2]], range: ANY, build: |x| x[0].pad(&[1, 0], &[0, 2], &[2, 1])?.square() },
    Case { name: "concatenate", shapes: &[&[2, 3], &[2, 1], &[2, 2]], range: ANY, build: |x| Tensor::concatenate(&[&x[0], &x[1], &x[2]], 1)?.square() },

    Case { name: "sum", shapes: &[&[2, 3, 4]], range: ANY, build: |x| x[0].sum(&[0, 2])?.square() },
    Case { name: "mean", shapes: &[&[2, 3, 4]], range: ANY, build: |x| x[0].mean(&[1])?.square() },
    Case { name: "max", shapes: &[&[3, 5]], range: ANY, build: |x| x[0].max(&[1])?.square() },
    Case { name: "min", shapes: &[&[3, 5]], range: ANY, build: |x| x[0].min(&[0, 1])?.square() },
    Case { name: "cumulative sum", shapes: &[&[3, 5]], range: ANY, build: |x| x[0].cumulative_sum(1)?.square() },
    Case { name: "softmax", shapes: &[&[3, 5]], range: (-3.0, 3.0), build: |x| x[0].softmax()?.square() },
    Case { name: "log softmax differentiated twice", shapes: &[&[3, 5]], range: (-3.0, 3.0), build: |x| {
        gradients(&x[0].log_softmax()?.square()?.sum_all()?, &[&x[0]])?.remove(0).square()
    } },
    Case { name: "log softmax", shapes: &[&[3, 5]], range: (-3.0, 3.0), build: |x| x[0].log_softmax()?.square() },

    Case { name: "matmul", shapes: &[&[2, 3], &[3, 4]], range: ANY, build: |x| x[0].matmul(&x[1])?.square() },
    Case { name: "matmul, batched", shapes: &[&[2, 3, 4], &[2, 4, 5]], range: ANY, build: |x| x[0].matmul(&x[1])?.square() },
    Case { name: "matmul, batch on the left", shapes: &[&[2, 3, 4], &[4, 5]], range: ANY, build: |x| x[0].matmul(&x[1])?.square() },
    Case { name: "linear", shapes: &[&[2, 3, 4], &[5, 4]], range: ANY, build: |x| x[0].linear(&x[1])?.square() },
    Case { name: "dot, two axes crossed", shapes: &[&[2, 3, 4], &[4, 5, 2]], range: ANY, build: |x| x[0].dot(&x[1], dims(&[0, 2], &[2, 0], &[], &[]))?.square() },
    Case { name: "dot, inner batch", shapes: &[&[3, 2, 4], &[4, 5, 2]], range: ANY, build: |x| x[0].dot(&x[1], dims(&[2], &[0], &[1], &[2]))?.square() },
    Case { name: "dot, outer product", shapes: &[&[3], &[2]], range: ANY, build: |x| x[0].dot(&x[1], dims(&[], &[], &[], &[]))?.square() },

    Case { name: "conv", shapes: &[&[2, 5, 4, 3], &[3, 2, 3, 2]], range: ANY, build: |x| x[0].conv(&x[1], window(&[3, 2], &[1, 1], &[(0, 0), (0, 0)], &[1, 1]), 1)?.square() },
    Case { name: "conv, stride and padding", shapes: &[&[1, 7, 6, 2], &[3, 3, 2, 3]], range: ANY, build: |x| x[0].conv(&x[1], window(&[3, 3], &[2, 3], &[(1, 2), (0, 1)], &[1, 1]), 1)?.square() },
    Case { name: "conv, dilation", shapes: &[&[1, 7, 7, 1], &[2, 3, 1, 2]], range: ANY, build: |x| x[0].conv(&x[1], window(&[2, 3], &[1, 2], &[(1, 0), (1, 1)], &[3, 2]), 1)?.square() },
    Case { name: "conv, groups", shapes: &[&[2, 4, 4, 4], &[2, 2, 2, 6]], range: ANY, build: |x| x[0].conv(&x[1], window(&[2, 2], &[1, 2], &[(1, 1), (0, 0)], &[1, 1]), 2)?.square() },
    Case { name: "conv, depthwise", shapes: &[&[1, 4, 4, 3], &[3, 3, 1, 3]], range: ANY, build: |x| x[0].conv(&x[1], window(&[3, 3], &[1, 1], &[(1, 1), (1, 1)], &[1, 1]), 3)?.square() },
    Case { name: "conv, one axis", shapes: &[&[2, 9, 3], &[4, 3, 2]], range: ANY, build: |x| x[0].conv(&x[1], window(&[4], &[2], &[(2, 1)], &[1]), 1)?.square() },
    Case { name: "conv, stride beyond the window", shapes: &[&[1, 9, 2], &[2, 2, 2]], range: ANY, build: |x| x[0].conv(&x[1], window(&[2], &[4], &[(0, 0)], &[1]), 1)?.square() },
    Case { name: "conv differentiated twice", shapes: &[&[1, 5, 2], &[3, 2, 2]], range: ANY, build: |x| {
        let loss = x[0].conv(&x[1], window(&[3], &[2], &[(1, 0)], &[1]), 1)?.square()?.sum_all()?;
        let grads = gradients(&loss, &[&x[0], &x[1]])?;
        grads[0].square()?.sum_all()? + grads[1].square()?.sum_all()?
    } },
    Case { name: "max pool", shapes: &[&[2, 6, 4, 3]], range: ANY, build: |x| x[0].max_pool(window(&[2, 2], &[2, 2], &[(0, 0), (0, 0)], &[1, 1]))?.square() },
    Case { name: "max pool, overlapping and padded", shapes: &[&[1, 7, 6, 2]], range: ANY, build: |x| x[0].max_pool(window(&[3, 3], &[2, 1], &[(1, 1), (0, 1)], &[1, 1]))?.square() },
    Case { name: "max pool, with gaps", shapes: &[&[1, 9, 2]], range: ANY, build: |x| x[0].max_pool(window(&[2], &[3], &[(0, 0)], &[2]))?.square() },
    Case { name: "max pool after a bias and a relu", shapes: &[&[1, 6, 5, 2], &[2]], range: ANY, build: |x| {
        let zero = x[0].graph().scalar(0f64);
        let y = (&x[0] + &x[1])?;
        y.gt(&zero)?.select(&y, &zero)?.max_pool(window(&[3, 2], &[2, 2], &[(1, 0), (0, 1)], &[1, 1]))?.square()
    } },
    Case { name: "max pool of an array with other readers", shapes: &[&[1, 6, 5, 2], &[2]], range: ANY, build: |x| {
        let y = (&x[0].relu()? + &x[1])?.relu()?;
        let pooled = y.max_pool(window(&[3, 2], &[2, 1], &[(1, 0), (0, 1)], &[1, 1]))?;
        pooled.square()?.sum_all()? + y.square()?.sum_all()?
    } },
    Case { name: "sum pool", shapes: &[&[1, 5, 6, 2]], range: ANY, build: |x| x[0].sum_pool(window(&[3, 2], &[1, 2], &[(1, 1), (0, 0)], &[1, 1]))?.square() },

    Case { name: "take", shapes: &[&[4, 3]], range: ANY, build: |x| x[0].take(&indices(x[0].graph(), &[2, 3], &[3, 0, 3, 1, 3, 0])?)?.square() },
    Case { name: "dynamic slice", shapes: &[&[5, 4]], range: ANY, build: |x| {
        let at = |i: i32| x[0].graph().scalar(i);
        x[0].dynamic_slice(&[at(2), at(1)], &[2, 3])?.square()
    } },
    Case { name: "dynamic update slice", shapes: &[&[5, 4], &[2, 2]], range: ANY, build: |x| {
        let at = |i: i32| x[0].graph().scalar(i);
        x[0].dynamic_update_slice(&x[1], &[at(3), at(1)])?.square()
    } },
    Case { name: "scan", shapes: &[&[3, 3], &[2, 3], &[4, 2, 3]], range: ANY, build: recurrent },
    Case { name: "scan from the end", shapes: &[&[3], &[4, 3]], range: ANY, build: |x| {
        let inputs = ScanInputs { carries: &x[..1], xs: &x[1..], ..ScanInputs::default() };
        let (last, ys) = x[0].graph().scan_back(inputs, 4, |_, _, h, x| {
            let next = (&(&h[0] * 0.5)? + &x[0])?.sin()?;
            Ok(StepOutputs { ys: vec![next.clone()], carries: vec![next] })
        })?;
        last[0].square()?.sum_all()? + ys[0].exp()?.sum_all()?
    } },
    Case { name: "repeat", shapes: &[&[3]], range: ANY, build: |x| {
        let inputs = ScanInputs { carries: x, ..ScanInputs::default() };
        let (last, _) = x[0].graph().repeat(inputs, 3, |_, _, h, _| {
            Ok(StepOutputs { ys: vec![], carries: vec![(h[0].sin()? + &h[0])?] })
        })?;
        last[0].square()
    } },
    Case { name: "max pool differentiated twice", shapes: &[&[1, 5, 4, 2]], range: ANY, build: |x| {
        let pooled = x[0].max_pool(window(&[3, 2], &[1, 2], &[(1, 1), (0, 1)], &[1, 1]))?;
        gradients(&(pooled.square()? * &pooled)?.sum_all()?, &[&x[0]])?.remove(0).square()
    } },
    Case { name: "transposed conv", shapes: &[&[2, 3, 4, 2], &[3, 2, 3, 2]], range: ANY, build: |x| {
        x[0].conv_transpose(&x[1], window(&[3, 2], &[2, 1], &[(1, 0), (0, 0)], &[1, 2]), 1, &[6, 6])?.square()
    } },
    Case { name: "recomputed", shapes: &[&[2, 3], &[3, 3]], range: ANY, build: |x| {
        x[0].graph().recomputed(|| x[0].matmul(&x[1])?.tanh()?.matmul(&x[1])?.sin())
    } },
    Case { name: "a gradient of one's own", shapes: &[&[3], &[3]], range: ANY, build: |x| {
        // x² y, whose gradients are 2 x y and x².
        custom_gradient(
            &[&x[0], &x[1]],
            |x| x[0].square()? * &x[1],
            |x, _, dy| Ok(vec![(dy * (2.0 * (&x[0] * &x[1])?)?)?, (dy * x[0].square()?)?]),
        )
    } },
    Case { name: "operators", shapes: &[&[3]], range: POSITIVE, build: |x| ((-&x[0])? + (1.0 - (2.0 / x[0].relu()?)?)?)? * (3.0 + &x[0])? },
];

/// A scalar that weighs every element of the case's result differently.
fn loss(case: &Case, parameters: &[Tensor]) -> Result<Tensor> {
    let y = (case.build)(parameters)?;
    let weights = y.graph().constant(values(y.shape(), 7));
    (y * weights)?.sum_all()
}

fn inputs(case: &Case) -> Vec<Array> {
    case.shapes
        .iter()
        .enumerate()
        .map(|(i, shape)| {
            let (low, high) = case.range;
            let unit = numbers(shape.iter().product(), i as u64);
            array(shape, &unit.iter().map(|u| low + (u + 1.0) / 2.0 * (high - low)).collect::<Vec<_>>())
        })
        .collect()
}

fn compile(case: &Case, outputs: fn(&Case, &[Tensor]) -> Result<Vec<Tensor>>) -> Program {
    let graph = Graph::new();
    let parameters: Vec<_> = case.shapes.iter().map(|shape| graph.parameter(F64, shape)).collect();
    let outputs = outputs(case, &parameters).unwrap_or_else(|error| panic!("{}: {error}", case.name));
    Program::compile(device(), &Function::new(&graph, outputs), 0)
        .unwrap_or_else(|error| panic!("{}: {error}", case.name))
}

/// The slopes of `at` for each element of input `i`, by central differences.
fn differences(inputs: &[Array], i: usize, at: impl Fn(&[Array]) -> f64) -> Vec<f64> {
    let (values, step) = (inputs[i].to_f64(), 1e-6);
    let moved = |j: usize, by: f64| {
        let (mut inputs, mut values) = (inputs.to_vec(), values.clone());
        values[j] += by;
        inputs[i] = array(inputs[i].shape(), &values);
        at(&inputs)
    };
    (0..values.len()).map(|j| (moved(j, step) - moved(j, -step)) / (2.0 * step)).collect()
}

fn check(case: &Case) {
    let inputs = inputs(case);
    let value = compile(case, |case, x| Ok(vec![loss(case, x)?]));
    let slopes = compile(case, |case, x| gradients(&loss(case, x)?, &x.iter().collect::<Vec<_>>()));
    let at = |inputs: &[Array]| value.call(device(), inputs).expect("runs")[0].to_f64()[0];
    let got = slopes.call(device(), &inputs).expect("runs");
    for i in 0..inputs.len() {
        let (got, expected) = (got[i].to_f64(), differences(&inputs, i, at));
        let off = difference(&got, &expected);
        assert!(off < 1e-7, "{}, input {i}: off by {off:e}\n got {got:?}\nwant {expected:?}", case.name);
    }
}

/// Checks how every gradient, weighted element by element, changes with the inputs.
fn check_second(case: &Case) {
    let inputs = inputs(case);
    let weights: Vec<Vec<f64>> = inputs.iter().zip(11..).map(|(x, seed)| numbers(x.len(), seed)).collect();
    let first = compile(case, |case, x| gradients(&loss(case, x)?, &x.iter().collect::<Vec<_>>()));
    let second = compile(case, |case, x| {
        let wanted: Vec<_> = x.iter().collect();
        let mut total = x[0].graph().scalar(0f64);
        for (grad, seed) in gradients(&loss(case, x)?, &wanted)?.iter().zip(11..) {
            let weights = values(grad.shape(), seed);
            total = (total + (grad * grad.graph().constant(weights))?.sum_all()?)?;
        }
        gradients(&total, &wanted)
    });
    let at = |inputs: &[Array]| -> f64 {
        let grads = first.call(device(), inputs).expect("runs");
        let weighed = |(grad, weights): (&Array, &Vec<f64>)| -> f64 {
            grad.to_f64().iter().zip(weights).map(|(grad, weight)| grad * weight).sum()
        };
        grads.iter().zip(&weights).map(weighed).sum()
    };
    let got = second.call(device(), &inputs).expect("runs");
    for (i, got) in got.iter().enumerate() {
        let off = difference(&got.to_f64(), &differences(&inputs, i, at));
        assert!(off < 1e-6, "second derivative of {}, input {i}: off by {off:e}", case.name);
    }
}

#[test]
fn every_rule_is_differentiated_again() {
    for case in CASES {
        check_second(case);
    }
}

#[test]
fn every_rule_agrees_with_finite_differences() {
    for case in CASES {
        check(case);
    }
}

/// First and second derivatives of random graphs along a direction `d`: of the loss L, the slope S = ∇L · d, and its own
/// slope ∇S · d.
#[test]
fn random_graphs_agree_with_finite_differences() {
    let at = graphs::arguments(1);
    let direction = graphs::arguments(7);
    let moved = |step: f64| -> Vec<Array> {
        let of = |(at, direction): (&Array, &Array)| {
            let both = at.to_f64().into_iter().zip(direction.to_f64());
            array(at.shape(), &both.map(|(x, d)| x + step * d).collect::<Vec<_>>())
        };
        at.iter().zip(&direction).map(of).collect()
    };
    graphs::for_random_graphs(6, |steps| {
        let graph = Graph::new();
        let x = graphs::parameters(&graph, F64);
        let wanted: Vec<_> = x.iter().collect();
        let along = |of: &Tensor| -> Result<Tensor> {
            let mut total = graph.scalar(0f64);
            for (grad, direction) in gradients(of, &wanted)?.iter().zip(&direction) {
                total = (total + (grad * graph.constant(direction.clone()))?.sum_all()?)?;
            }
            Ok(total)
        };
        let build = || {
            let loss = graphs::loss(&graphs::results(&x, steps))?;
            let slope = along(&loss)?;
            let curvature = along(&slope)?;
            Ok::<_, neural::Error>(vec![loss, slope, curvature])
        };
        let function = Function::new(&graph, build().expect("has derivatives"));
        let program = Program::compile(device(), &function, 0).expect("compiles");
        let run = |step| -> Vec<f64> {
            let results = program.call(device(), &moved(step)).expect("runs");
            results.iter().map(|result| result.to_f64()[0]).collect()
        };
        let step = 1e-5;
        let (here, before, after) = (run(0.0), run(-step), run(step));
        for (name, i) in [("slope", 0), ("curvature", 1)] {
            let (got, expected) = (here[i + 1], (after[i] - before[i]) / (2.0 * step));
            let off = (got - expected).abs() / expected.abs().max(1.0);
            assert!(off < 1e-6, "{name}: {got} for {expected}");
        }
    });
}

#[test]
fn nothing_flows_through_a_stopped_gradient() {
    let graph = Graph::new();
    let x = graph.parameter(F64, &[2]);
    let y = (x.stop_gradient().unwrap() * &x).unwrap().sum_all().unwrap();
    let grads = gradients(&y, &[&x]).unwrap();
    let program = Program::compile(device(), &Function::new(&graph, grads), 0).unwrap();
    let got = program.call(device(), &[Array::vector(&[3f64, -2.0])]).unwrap();
    // d (c x) / dx = c, where a gradient through both factors would give 2 x.
    assert_eq!(got[0].to_f64(), [3.0, -2.0]);
}

/// The slopes of functions at places where a naive formula gives NaN.
#[test]
fn extreme_inputs_have_finite_slopes() {
    type Slope = (&'static str, fn(&Tensor) -> Result<Tensor>, &'static [(f64, f64)]);
    let cases: &[Slope] = &[
        ("logistic", |x| x.logistic(), &[(-1e4, 0.0), (1e4, 0.0), (0.0, 0.25)]),
        ("softplus", |x| x.softplus(), &[(-1e4, 0.0), (1e4, 1.0), (0.0, 0.5)]),
        ("tanh", |x| x.tanh(), &[(-1e4, 0.0), (1e4, 0.0), (0.0, 1.0)]),
        // x √x has the slope 3/2 √x.
        ("x sqrt x", |x| x * x.sqrt()?, &[(0.0, 0.0), (4.0, 3.0)]),
        ("x to the 3/2", |x| x.pow(&x.full_like(1.5)?), &[(0.0, 0.0), (4.0, 3.0)]),
        ("abs", |x| x.abs(), &[(0.0, 0.0), (-2.0, -1.0)]),
    ];
    for (name, f, points) in cases {
        for &(x, slope) in *points {
            let got =
                common::evaluate(&[Array::vector(&[x])], |_, p| gradients(&f(&p[0])?.sum_all()?, &[&p[0]]));
            assert!((got[0].to_f64()[0] - slope).abs() < 1e-12, "{name} at {x}: {got:?}, expected {slope}");
        }
    }
    // -ln softmax of a class that is certain, and of one that is impossible: softmax - one-hot.
    let got = common::evaluate(&[Array::vector(&[1e4f64, -1e4, 0.0])], |_, p| {
        gradients(&p[0].log_softmax()?.narrow(0, 1, 2)?.sum_all()?, &[&p[0]])
    });
    assert_eq!(got[0].to_f64(), [-1.0, 1.0, 0.0]);
}

#[test]
fn only_a_scalar_is_differentiated() {
    let graph = Graph::new();
    let x = graph.parameter(F64, &[2]);
    assert!(gradients(&x, &[&x]).is_err());
    let n = graph.parameter(DType::I32, &[]);
    assert!(gradients(&n, &[&x]).is_err());
}

#[test]
fn a_rule_of_ones_own_replaces_that_of_the_operations() {
    let got = common::evaluate(&[Array::vector(&[1.4f64, -0.6])], |_, p| {
        // Rounded values are constant almost everywhere; the gradient passes by this rule.
        let y = custom_gradient(&[&p[0]], |x| x[0].round(), |_, _, dy| Ok(vec![dy.clone()]))?;
        let grads = gradients(&y.square()?.sum_all()?, &[&p[0]])?;
        Ok(vec![y, grads[0].clone()])
    });
    assert_eq!(got[0].to_f64(), [1.0, -1.0]);
    assert_eq!(got[1].to_f64(), [2.0, -2.0]);
    // A gradient that does not fit is refused where it is needed.
    let graph = Graph::new();
    let x = graph.parameter(F64, &[2]);
    let y = custom_gradient(&[&x], |x| x[0].round(), |_, _, dy| Ok(vec![dy.sum_all()?])).unwrap();
    let error = gradients(&y.sum_all().unwrap(), &[&x]).unwrap_err().to_string();
    assert_eq!(error, "custom gradient: expected f64[2], got f64[]");
}

/// The result and the gradients of a part that draws random numbers, kept and made again.
#[test]
fn what_is_recomputed_is_the_same() {
    let inputs = [values(&[4, 3], 1), values(&[3, 3], 2)];
    let program = |again: bool| {
        common::evaluate(&inputs, |graph, p| {
            let mut random = Random::new(graph.scalar(3u64), graph.scalar(5u64));
            let mut part = || {
                let drawn = random.uniform(DType::F32, &[4, 3])?.convert(F64)?;
                (p[0].matmul(&p[1])?.tanh()? * drawn)?.matmul(&p[1])?.tanh()
            };
            let y = if again { graph.recomputed(part)? } else { part()? };
            let mut results = gradients(&y.square()?.sum_all()?, &[&p[0], &p[1]])?;
            results.push(y);
            Ok(results)
        })
    };
    let (kept, again) = (program(false), program(true));
    for (kept, again) in kept.iter().zip(&again) {
        assert!(difference(&kept.to_f64(), &again.to_f64()) < 1e-14);
    }
}

#[test]
fn tensors_of_two_graphs_do_not_mix() {
    let (here, there) = (Graph::new(), Graph::new());
    let [x, other] = [&here, &there].map(|graph| graph.parameter(F64, &[2]));
    let scan = |step: fn(&Tensor, &Tensor) -> Result<Tensor>| {
        let inputs = ScanInputs { carries: std::slice::from_ref(&x), ..ScanInputs::default() };
        here.scan(inputs, 3, |_, _, h, _| Ok(StepOutputs { carries: vec![step(&h[0], &x)?], ys: vec![] }))
            .map(|_| ())
    };
    let own = Function::new(&here, vec![x.clone()]);
    let refused: [(&str, Result<()>); 8] = [
        ("add", (&x + &other).map(drop)),
        ("concatenate", Tensor::concatenate(&[&x, &other], 0).map(drop)),
        ("select", x.gt(&x).unwrap().select(&x, &other).map(drop)),
        ("gradient", gradients(&x.sum_all().unwrap(), &[&other]).map(drop)),
        ("call", own.call(&here, std::slice::from_ref(&other)).map(drop)),
        ("mul", scan(|h, x| h * x)),
        ("scan", scan(|_, x| Ok(x.clone()))),
        ("function", Program::compile(device(), &Function::new(&here, vec![other.clone()]), 0).map(drop)),
    ];
    for (op, result) in refused {
        match result {
            Err(neural::Error::OtherGraph { op: named }) => assert_eq!(named, op),
            other => panic!("{op}: {other:?}"),
        }
    }
}

#[test]
fn graphs_are_built_in_other_threads() {
    let graph = Graph::new();
    let x = graph.parameter(F64, &[2]);
    let function = std::thread::spawn(move || {
        let y = x.square().unwrap().sum_all().unwrap();
        Function::new(x.graph(), gradients(&y, &[&x]).unwrap())
    });
    let function = function.join().unwrap();
    let program = Program::compile(device(), &function, 0).unwrap();
    assert_eq!(program.call(device(), &[Array::vector(&[3f64, -2.0])]).unwrap()[0].to_f64(), [6.0, -4.0]);
}
