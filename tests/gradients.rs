//! Every gradient rule against finite differences, in f64.

mod common;

use common::{F64, array, device, difference, numbers};
use neural::graph::{DotDims, Function, Graph, ScanInputs, StepOutputs, Tensor, Window, gradients};
use neural::runtime::Program;
use neural::{Array, DType, Result};

type Build = fn(&[Tensor]) -> Result<Tensor>;

/// Inputs are drawn from [low, high): away from poles and kinks where a function has some.
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
];

/// A scalar that weighs every element of the case's result differently.
fn loss(case: &Case, parameters: &[Tensor]) -> Result<Tensor> {
    let y = (case.build)(parameters)?;
    let weights = y.graph().constant(array(y.shape(), &numbers(y.shape().iter().product(), 7)));
    (y * weights)?.sum_all()
}

fn check(case: &Case) {
    let inputs: Vec<Array> = case
        .shapes
        .iter()
        .enumerate()
        .map(|(i, shape)| {
            let (low, high) = case.range;
            let unit = numbers(shape.iter().product(), i as u64);
            array(shape, &unit.iter().map(|u| low + (u + 1.0) / 2.0 * (high - low)).collect::<Vec<_>>())
        })
        .collect();
    let compile = |outputs: fn(&Case, &[Tensor]) -> Result<Vec<Tensor>>| {
        let graph = Graph::new();
        let parameters: Vec<_> = case.shapes.iter().map(|shape| graph.parameter(F64, shape)).collect();
        let outputs = outputs(case, &parameters).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        Program::compile(device(), &Function::new(&graph, outputs), 0)
            .unwrap_or_else(|error| panic!("{}: {error}", case.name))
    };
    let value = compile(|case, x| Ok(vec![loss(case, x)?]));
    let slopes = compile(|case, x| gradients(&loss(case, x)?, &x.iter().collect::<Vec<_>>()));

    let at = |inputs: &[Array]| value.call(device(), inputs).expect("runs")[0].to_f64()[0];
    let got = slopes.call(device(), &inputs).expect("runs");
    for (i, input) in inputs.iter().enumerate() {
        let values = input.to_f64();
        let step = 1e-6;
        let expected: Vec<_> = (0..values.len())
            .map(|j| {
                let moved = |by: f64| {
                    let (mut inputs, mut values) = (inputs.clone(), values.clone());
                    values[j] += by;
                    inputs[i] = array(input.shape(), &values);
                    at(&inputs)
                };
                (moved(step) - moved(-step)) / (2.0 * step)
            })
            .collect();
        let off = difference(&got[i].to_f64(), &expected);
        assert!(
            off < 1e-7,
            "{}, input {i}: off by {off:e}\n got {:?}\nwant {expected:?}",
            case.name,
            got[i].to_f64()
        );
    }
}

#[test]
fn every_rule_agrees_with_finite_differences() {
    for case in CASES {
        check(case);
    }
}

#[test]
fn nothing_flows_through_a_stopped_gradient() {
    let graph = Graph::new();
    let x = graph.parameter(F64, &[2]);
    let y = (x.stop_gradient().unwrap() * &x).unwrap().sum_all().unwrap();
    let grads = gradients(&y, &[&x]).unwrap();
    let program = Program::compile(device(), &Function::new(&graph, grads), 0).unwrap();
    let got = program.call(device(), &[Array::vector(&[3f64, -2.0])]).unwrap();
    // d (c x) / dx = c, where 2 x would come of a gradient through both factors.
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
