//! The forms in which operations reach XLA.

mod common;
#[path = "common/graphs.rs"]
mod graphs;

use common::{array, device, difference, numbers, values};
use neural::graph::{
    Cell, DotDims, Function, Graph, Random, RecurrentInputs, ScanInputs, StepOutputs, Tensor, Window,
    gradients,
};
use neural::lower::{Target, hlo_text};
use neural::nn::{Attention, Context, Module};
use neural::optim::{Adagrad, Adam, Group, Inputs, Lion, Optimizer, RmsProp, Sgd, Share, adamw};
use neural::runtime::Program;
use neural::variables::{Init, Role, Variables};
use neural::{Array, DType, Result};

struct Conv {
    input: &'static [usize],
    kernel: &'static [usize],
    stride: &'static [usize],
    padding: &'static [(usize, usize)],
    dilation: &'static [usize],
    groups: usize,
}

#[rustfmt::skip]
const CONVS: &[Conv] = &[
    Conv { input: &[2, 7, 6, 3], kernel: &[3, 3, 3, 4], stride: &[1, 1], padding: &[(0, 0), (0, 0)], dilation: &[1, 1], groups: 1 },
    Conv { input: &[2, 7, 6, 3], kernel: &[3, 2, 3, 4], stride: &[2, 3], padding: &[(1, 2), (0, 1)], dilation: &[1, 1], groups: 1 },
    Conv { input: &[1, 9, 9, 2], kernel: &[3, 3, 2, 2], stride: &[1, 2], padding: &[(2, 2), (1, 0)], dilation: &[2, 3], groups: 1 },
    Conv { input: &[2, 5, 5, 4], kernel: &[3, 3, 2, 6], stride: &[2, 1], padding: &[(1, 1), (1, 1)], dilation: &[1, 1], groups: 2 },
    Conv { input: &[2, 5, 5, 4], kernel: &[3, 3, 1, 8], stride: &[1, 1], padding: &[(1, 1), (1, 1)], dilation: &[1, 1], groups: 4 },
    Conv { input: &[2, 6, 7, 8], kernel: &[3, 3, 8, 5], stride: &[1, 1], padding: &[(1, 1), (1, 1)], dilation: &[1, 1], groups: 1 },
    Conv { input: &[2, 9, 8, 12], kernel: &[3, 2, 4, 6], stride: &[2, 1], padding: &[(0, 2), (1, 0)], dilation: &[2, 1], groups: 3 },
    Conv { input: &[1, 8, 9, 8], kernel: &[6, 6, 8, 3], stride: &[1, 2], padding: &[(0, 0), (2, 3)], dilation: &[1, 1], groups: 1 },
    Conv { input: &[2, 9, 9, 3], kernel: &[5, 4, 3, 2], stride: &[2, 1], padding: &[(2, 2), (0, 1)], dilation: &[1, 2], groups: 1 },
    Conv { input: &[2, 8, 3], kernel: &[3, 3, 2], stride: &[2], padding: &[(3, 1)], dilation: &[1], groups: 1 },
    Conv { input: &[2, 8, 3], kernel: &[2, 3, 2], stride: &[3], padding: &[(0, 0)], dilation: &[1], groups: 1 },
];

impl Conv {
    /// The convolution and its two gradients.
    fn function(&self, dtype: DType) -> Result<(Function, Vec<Array>)> {
        let graph = Graph::new();
        let parameter = |shape: &[usize]| graph.parameter(dtype, shape);
        let (x, k) = (parameter(self.input), parameter(self.kernel));
        let axes = self.stride.len();
        let window = Window {
            size: self.kernel[..axes].to_vec(),
            stride: self.stride.to_vec(),
            padding: self.padding.to_vec(),
            dilation: self.dilation.to_vec(),
        };
        let y = x.conv(&k, window, self.groups)?;
        let mut outputs = gradients(&y.square()?.sum_all()?, &[&x, &k])?;
        outputs.push(y);
        Ok((Function::new(&graph, outputs), vec![values(self.input, 1), values(self.kernel, 2)]))
    }
}

#[test]
fn both_forms_of_a_convolution_agree() {
    for (i, conv) in CONVS.iter().enumerate() {
        let (function, arguments) = conv.function(DType::F64).expect("well formed");
        let run = |target| {
            let program = Program::compile_as(device(), &function, 0, target).expect("compiles");
            program.call(device(), &arguments).expect("runs")
        };
        for (part, (cpu, gpu)) in run(Target::Cpu).iter().zip(run(Target::Gpu)).enumerate() {
            let off = difference(&cpu.to_f64(), &gpu.to_f64());
            assert!(off < 1e-12, "convolution {i}, result {part}: the forms differ by {off:e}");
        }
    }
}

/// Random graphs and their gradients: in the form for a CPU, in the form for a GPU, for which loops are rewritten, and
/// with the kernels of src/kernels, which are for f32.
#[test]
fn forms_of_random_graphs_agree() {
    let arguments = graphs::arguments(3);
    graphs::for_random_graphs(5, |steps| {
        let function = |dtype| {
            let graph = Graph::new();
            let x = graphs::parameters(&graph, dtype);
            let mut outputs = graphs::results(&x, steps);
            let loss = graphs::loss(&outputs).expect("a scalar");
            outputs.extend(gradients(&loss, &x.iter().collect::<Vec<_>>()).expect("has gradients"));
            Function::new(&graph, outputs)
        };
        let run = |dtype, target| {
            let program = Program::compile_as(device(), &function(dtype), 0, target).expect("compiles");
            let arguments: Vec<_> = arguments.iter().map(|array| array.cast(dtype)).collect();
            program.call(device(), &arguments).expect("runs")
        };
        let expected = run(DType::F64, Target::Cpu);
        for (dtype, target, tolerance) in [(DType::F64, Target::Gpu, 1e-12), (DType::F32, Target::Cpu, 1e-4)]
        {
            for (i, (got, expected)) in run(dtype, target).iter().zip(&expected).enumerate() {
                let off = difference(&got.to_f64(), &expected.to_f64());
                assert!(off < tolerance, "result {i} in {dtype}: off by {off:e}");
            }
        }
    });
}

#[test]
fn random_bits_are_the_same_in_both_forms() {
    // Also numbers of words that blocks of four do not divide.
    let states: [[u64; 2]; 4] = [[0, 0], [0x1234_5678_9abc_def0, 42], [u64::MAX, 5], [1, u64::MAX]];
    for shape in [&[1][..], &[7], &[16], &[3, 5, 2], &[129, 33]] {
        for state in states {
            let graph = Graph::new();
            let [seed, step] = state.map(|word| graph.scalar(word));
            let bits = Random::new(seed, step).bits(shape).expect("well formed");
            let function = Function::new(&graph, vec![bits]);
            let run = |target| {
                let program = Program::compile_as(device(), &function, 0, target).expect("compiles");
                program.call(device(), &[]).expect("runs")
            };
            assert_eq!(run(Target::Cpu), run(Target::Gpu), "{shape:?} from {state:x?}");
        }
    }
}

/// Convolutions with fewer multiplications than a product has: windows of each size, results that the tiles do not divide,
/// padding, and channels that registers do not.
#[rustfmt::skip]
const WINOGRAD: &[Conv] = &[
    Conv { input: &[3, 13, 13, 32], kernel: &[3, 3, 32, 64], stride: &[1, 1], padding: &[(0, 0), (0, 0)], dilation: &[1, 1], groups: 1 },
    Conv { input: &[5, 10, 11, 17], kernel: &[3, 3, 17, 21], stride: &[1, 1], padding: &[(1, 1), (1, 1)], dilation: &[1, 1], groups: 1 },
    Conv { input: &[2, 12, 9, 40], kernel: &[5, 5, 40, 33], stride: &[1, 1], padding: &[(2, 1), (0, 3)], dilation: &[1, 1], groups: 1 },
    Conv { input: &[1, 21, 16, 24], kernel: &[4, 3, 24, 24], stride: &[1, 1], padding: &[(0, 2), (3, 0)], dilation: &[1, 1], groups: 1 },
    Conv { input: &[2, 15, 20, 48], kernel: &[2, 5, 48, 50], stride: &[1, 1], padding: &[(1, 0), (2, 2)], dilation: &[1, 1], groups: 1 },
];

/// Direct convolutions, without patches: few channels, strides, dilation, long windows, rows, groups.
#[rustfmt::skip]
const DIRECT: &[Conv] = &[
    Conv { input: &[3, 14, 13, 1], kernel: &[3, 3, 1, 16], stride: &[1, 1], padding: &[(0, 0), (0, 0)], dilation: &[1, 1], groups: 1 },
    Conv { input: &[2, 20, 19, 3], kernel: &[5, 5, 3, 21], stride: &[1, 1], padding: &[(2, 2), (1, 3)], dilation: &[1, 1], groups: 1 },
    Conv { input: &[2, 15, 16, 9], kernel: &[3, 3, 9, 40], stride: &[2, 2], padding: &[(1, 1), (0, 1)], dilation: &[1, 1], groups: 1 },
    Conv { input: &[2, 40, 17, 4], kernel: &[7, 2, 4, 7], stride: &[1, 3], padding: &[(4, 0), (0, 0)], dilation: &[1, 1], groups: 1 },
    Conv { input: &[2, 12, 14, 5], kernel: &[3, 2, 5, 18], stride: &[1, 1], padding: &[(6, 1), (0, 5)], dilation: &[2, 4], groups: 1 },
    Conv { input: &[3, 50, 6], kernel: &[9, 6, 12], stride: &[1], padding: &[(8, 0)], dilation: &[1], groups: 1 },
    Conv { input: &[3, 50, 2], kernel: &[2, 2, 3], stride: &[4], padding: &[(0, 0)], dilation: &[1], groups: 1 },
    // Padding wider than all that is read, kernels larger than the image, strides larger than the kernel.
    Conv { input: &[3, 1, 1, 2], kernel: &[2, 2, 2, 4], stride: &[3, 3], padding: &[(1, 0), (3, 0)], dilation: &[1, 1], groups: 1 },
    Conv { input: &[2, 3, 2, 3], kernel: &[5, 7, 3, 2], stride: &[4, 9], padding: &[(6, 9), (12, 0)], dilation: &[1, 1], groups: 1 },
    Conv { input: &[2, 2, 3], kernel: &[4, 3, 2], stride: &[1], padding: &[(9, 0)], dilation: &[3], groups: 1 },
    // Windows of one cell that skip some of the image, or see padding.
    Conv { input: &[2, 9, 8, 20], kernel: &[1, 1, 20, 33], stride: &[2, 2], padding: &[(0, 0), (0, 0)], dilation: &[1, 1], groups: 1 },
    Conv { input: &[2, 5, 4, 6], kernel: &[1, 1, 6, 7], stride: &[1, 1], padding: &[(1, 0), (0, 2)], dilation: &[1, 1], groups: 1 },
    // Small images with many filters, which are worked on together.
    Conv { input: &[5, 4, 4, 40], kernel: &[3, 3, 40, 72], stride: &[2, 2], padding: &[(1, 1), (1, 1)], dilation: &[1, 1], groups: 1 },
    // Every channel separately, to one and to three filters, and in rows.
    Conv { input: &[2, 12, 11, 37], kernel: &[3, 3, 1, 37], stride: &[1, 1], padding: &[(1, 1), (1, 1)], dilation: &[1, 1], groups: 37 },
    Conv { input: &[3, 10, 13, 16], kernel: &[5, 4, 1, 48], stride: &[2, 3], padding: &[(2, 2), (0, 4)], dilation: &[2, 1], groups: 16 },
    Conv { input: &[2, 33, 20], kernel: &[7, 1, 20], stride: &[2], padding: &[(6, 0)], dilation: &[3], groups: 20 },
    // Large enough to be worked on in bands.
    Conv { input: &[1, 90, 70, 3], kernel: &[3, 3, 1, 3], stride: &[2, 1], padding: &[(1, 1), (1, 1)], dilation: &[1, 1], groups: 3 },
    // Groups that fill a register and groups that do not, in both directions.
    Conv { input: &[3, 9, 10, 32], kernel: &[3, 3, 8, 64], stride: &[1, 1], padding: &[(1, 1), (1, 1)], dilation: &[1, 1], groups: 4 },
    Conv { input: &[2, 11, 8, 64], kernel: &[3, 3, 16, 64], stride: &[2, 2], padding: &[(1, 1), (1, 1)], dilation: &[1, 1], groups: 4 },
    Conv { input: &[2, 9, 7, 24], kernel: &[3, 3, 4, 24], stride: &[1, 2], padding: &[(0, 1), (1, 1)], dilation: &[1, 1], groups: 6 },
    Conv { input: &[2, 7, 7, 12], kernel: &[1, 1, 6, 70], stride: &[1, 1], padding: &[(0, 0), (0, 0)], dilation: &[1, 1], groups: 2 },
];

/// The errors of the CPU's lowering in f32 against XLA's own convolutions in f64, and the number of calls of `name`.
fn off_from_f64(conv: &Conv, name: &str) -> (Vec<f64>, usize) {
    let (function, arguments) = conv.function(DType::F64).expect("well formed");
    let expected = {
        let program = Program::compile_as(device(), &function, 0, Target::Gpu).expect("compiles");
        program.call(device(), &arguments).expect("runs")
    };
    let (function, _) = conv.function(DType::F32).expect("well formed");
    let calls = hlo_text(&function, Target::Cpu).expect("lowers").matches(name).count();
    let singles: Vec<_> = arguments.iter().map(|array| array.cast(DType::F32)).collect();
    let got = Program::compile(device(), &function, 0).expect("compiles").call(device(), &singles);
    let got = got.expect("runs");
    let off = got.iter().zip(&expected).map(|(a, b)| difference(&a.to_f64(), &b.to_f64()));
    (off.collect(), calls)
}

#[test]
fn winograds_convolution_is_that_of_f64() {
    for (i, conv) in WINOGRAD.iter().enumerate() {
        let (off, calls) = off_from_f64(conv, "\"neural.winograd");
        assert_eq!(calls, 3, "convolution {i}");
        assert!(off.iter().all(|off| *off < 1e-5), "convolution {i}: off by {off:?}");
    }
}

#[test]
fn direct_convolution_is_that_of_f64() {
    for (i, conv) in DIRECT.iter().enumerate() {
        let (off, calls) = off_from_f64(conv, "\"neural.conv");
        assert_eq!(calls, 3, "convolution {i}");
        assert!(off.iter().all(|off| *off < 1e-6), "convolution {i}: off by {off:?}");
    }
}

/// The sum of `values` of `shape` over its `axes`, one after the other.
fn plain_sum(values: &[f64], shape: &[usize], axes: &[usize]) -> Vec<f64> {
    let kept = |axis: &usize| !axes.contains(axis);
    let mut sums = vec![0.0; (0..shape.len()).filter(kept).map(|axis| shape[axis]).product()];
    for (i, value) in values.iter().enumerate() {
        let (mut place, mut stride, mut rest) = (0, 1, i);
        for axis in (0..shape.len()).rev() {
            if kept(&axis) {
                place += rest % shape[axis] * stride;
                stride *= shape[axis];
            }
            rest /= shape[axis];
        }
        sums[place] += value;
    }
    sums
}

#[test]
fn sums_are_those_of_f64_in_few_kernels() {
    // The last three are long enough for several threads.
    let sums: [(&[usize], &[usize], bool); 13] = [
        (&[32], &[0], true),
        (&[100_003], &[0], true),
        (&[3, 70_001], &[1], true),
        (&[50_021, 3], &[0], true),
        (&[257, 130], &[0], true),
        (&[200, 1000], &[1], true),
        (&[7, 65, 5], &[1], true),
        (&[9, 40, 33, 10], &[0, 1, 2], true),
        (&[31, 5], &[0], false),
        (&[40, 3, 40], &[0, 2], false),
        (&[1_100_003], &[0], true),
        (&[350_021, 3], &[0], true),
        (&[1100, 1000], &[1], true),
    ];
    for (shape, axes, called) in sums {
        let values: Vec<f64> =
            numbers(shape.iter().product(), 3).iter().map(|x| f64::from(*x as f32)).collect();
        let expected = plain_sum(&values, shape, axes);
        let size: f64 = plain_sum(&values.iter().map(|x| x.abs()).collect::<Vec<_>>(), shape, axes)
            .iter()
            .fold(0.0, |most, x| most.max(*x));
        for (dtype, error) in [(DType::F64, 1e-15), (DType::F32, 3e-7)] {
            let graph = Graph::new();
            let sum = graph.parameter(dtype, shape).sum(axes).expect("well formed");
            let function = Function::new(&graph, vec![sum]);
            let text = hlo_text(&function, Target::Cpu).expect("lowers");
            assert_eq!(text.contains("neural.sum"), called, "{shape:?} over {axes:?}");
            let program = Program::compile(device(), &function, 0).expect("compiles");
            let got = program.call(device(), &[array(shape, &values).cast(dtype)]).expect("runs");
            let off = got[0].to_f64().iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(off <= error * size, "{shape:?} over {axes:?}, {dtype}: off by {off:e} of {size}");
        }
    }
}

#[test]
fn centred_sums_are_those_of_f64_without_their_products() {
    for (shape, axes) in [
        (&[9, 40, 3, 10][..], &[0, 1, 2][..]),
        (&[5, 33, 4, 7], &[1, 2]),
        (&[2000, 70], &[0]),
        (&[70_001, 5], &[0]),
    ] {
        let row = &shape[shape.len() - 1..];
        let outputs = |dtype| {
            let graph = Graph::new();
            let [a, b, c] = [shape, shape, row].map(|shape| graph.parameter(dtype, shape));
            let centred = (&b - &c)?;
            let outputs = vec![centred.square()?.sum(axes)?, (a * centred)?.sum(axes)?];
            Ok::<_, neural::Error>(Function::new(&graph, outputs))
        };
        let arguments = [values(shape, 1), values(shape, 2), values(row, 3)];
        let single = outputs(DType::F32).expect("well formed");
        let text = hlo_text(&single, Target::Cpu).expect("lowers");
        assert_eq!(text.matches("\"neural.centred_").count(), 2, "{shape:?} over {axes:?}");
        let run = |function: &Function, dtype| {
            let arguments = arguments.iter().map(|array| array.cast(dtype)).collect::<Vec<_>>();
            let program = Program::compile(device(), function, 0).expect("compiles");
            program.call(device(), &arguments).expect("runs")
        };
        let expected = run(&outputs(DType::F64).expect("well formed"), DType::F64);
        for (got, expected) in run(&single, DType::F32).iter().zip(&expected) {
            let off = difference(&got.to_f64(), &expected.to_f64());
            assert!(off < 2e-6, "{shape:?} over {axes:?}: off by {off:e}");
        }
    }
}

/// The shapes of two operands, the axes of each that are summed, and whether this crate has the product of f32.
type Product = ([&'static [usize]; 2], [&'static [usize]; 2], bool);

/// In each layout of the operands, cut between rows, between columns and not at all; the third from the end is too
/// small.
const PRODUCTS: &[Product] = &[
    ([&[30, 40], &[40, 50]], [&[1], &[0]], true),
    ([&[40, 30], &[50, 40]], [&[0], &[1]], true),
    ([&[4, 9, 40], &[40, 50]], [&[2], &[0]], true),
    ([&[4, 9, 6, 7], &[6, 7, 5]], [&[2, 3], &[0, 1]], true),
    ([&[600, 200], &[200, 310]], [&[1], &[0]], true),
    ([&[200, 600], &[310, 200]], [&[0], &[1]], true),
    ([&[5000], &[5000]], [&[0], &[0]], true),
    ([&[3, 4], &[4, 5]], [&[1], &[0]], false),
    ([&[30, 40, 8], &[40, 50]], [&[1], &[0]], true),
    ([&[6, 30, 7], &[7, 50, 6]], [&[0, 2], &[2, 0]], true),
];

#[test]
fn large_products_are_calls() {
    for &([a_shape, b_shape], [a_axes, b_axes], called) in PRODUCTS {
        let values = [numbers(a_shape.iter().product(), 8), numbers(b_shape.iter().product(), 9)];
        let run = |dtype| {
            let graph = Graph::new();
            let (a, b) = (graph.parameter(dtype, a_shape), graph.parameter(dtype, b_shape));
            let axes = DotDims {
                lhs_contract: a_axes.to_vec(),
                rhs_contract: b_axes.to_vec(),
                ..DotDims::default()
            };
            let function = Function::new(&graph, vec![a.dot(&b, axes).expect("well formed")]);
            let text = hlo_text(&function, Target::Cpu).expect("lowers");
            assert_eq!(
                text.contains("neural.matmul"),
                called && dtype == DType::F32,
                "{a_shape:?}, {dtype}: {text}"
            );
            let program = Program::compile(device(), &function, 0).expect("compiles");
            let given = [array(a_shape, &values[0]).cast(dtype), array(b_shape, &values[1]).cast(dtype)];
            program.call(device(), &given).expect("runs")[0].to_f64()
        };
        let (expected, got) = (run(DType::F64), run(DType::F32));
        let largest = expected.iter().fold(0f64, |most, x| most.max(x.abs()));
        for (got, expected) in got.iter().zip(&expected) {
            assert!((got - expected).abs() <= 1e-5 * largest, "{a_shape:?}: {got} for {expected}");
        }
    }
}

/// A network of two layers on sequences with its gradients, and how many of its products are calls with an epilogue.
type Network = (fn([&Tensor; 5]) -> Result<Tensor>, usize);

/// Layers with an activation and without, then those whose products or sums are read elsewhere too, and a sum with more
/// than a row.
#[rustfmt::skip]
const NETWORKS: &[Network] = &[
    (|[x, w, b, v, c]| ((x.linear(w)? + b)?.relu()?.linear(v)? + c)?.logistic(), 3),
    (|[x, w, b, v, c]| ((b + x.linear(w)?)?.tanh()?.linear(v)? + c)?.relu(), 3),
    (|[x, w, b, v, c]| (x.linear(w)? + b)?.logistic()?.linear(v)? + c, 3),
    (|[x, w, _, v, _]| { let y = x.linear(w)?.logistic()?; (&y * (y.neg()? + 1.0)?)?.linear(v) }, 0),
    (|[x, w, b, v, c]| { let z = (x.linear(w)? + b)?; (z.relu()? * z)?.linear(v)? + c }, 2),
    (|[x, w, b, v, c]| { let p = x.linear(w)?; ((p.clone() + b)?.relu()? * p)?.linear(v)?.sub(c) }, 0),
    (|[x, w, b, v, c]| ((x.linear(w)? + x.linear(w)?)? + b)?.relu()?.linear(v)? + c, 2),
    (|[x, w, _, v, _]| x.linear(w)?.relu()?.linear(v), 1),
];

#[test]
fn products_with_epilogues_are_those_of_f64() {
    let shapes: [&[usize]; 5] = [&[7, 30, 40], &[24, 40], &[24], &[13, 24], &[13]];
    for (i, (network, expected_calls)) in NETWORKS.iter().enumerate() {
        let run = |dtype| {
            let graph = Graph::new();
            let parameters = shapes.map(|shape| graph.parameter(dtype, shape));
            let y = network(parameters.each_ref())?;
            let mut outputs = gradients(&y.square()?.sum_all()?, &parameters.each_ref())?;
            outputs.push(y);
            let function = Function::new(&graph, outputs);
            let calls = |target| {
                hlo_text(&function, target).map(|text| text.matches("\"neural.matmul_epilogue\"").count())
            };
            let expected_calls = if dtype == DType::F32 { *expected_calls } else { 0 };
            assert_eq!(
                (calls(Target::Cpu)?, calls(Target::Gpu)?),
                (expected_calls, 0),
                "network {i}, {dtype}"
            );
            let arguments: Vec<_> = (1..)
                .zip(shapes)
                .map(|(seed, shape)| array(shape, &numbers(shape.iter().product(), seed)).cast(dtype))
                .collect();
            Program::compile(device(), &function, 0)?.call(device(), &arguments)
        };
        let (expected, got) = (run(DType::F64).expect("runs"), run(DType::F32).expect("runs"));
        for (part, (got, expected)) in got.iter().zip(&expected).enumerate() {
            let off = difference(&got.to_f64(), &expected.to_f64());
            assert!(off < 3e-6, "network {i}, result {part}: off by {off:e}");
        }
    }
}

/// Results of square matrices `x` and `w` and a vector `b`, and how many products are calls with an epilogue.
type Results = (fn(&Graph, [&Tensor; 3]) -> Result<Vec<Tensor>>, usize);

/// Parts of an epilogue that are results themselves, a comparison that is read before its relu, a bias for each row, a choice
/// by whole numbers, a product with several axes, and a loop.
const RESULTS: &[Results] = &[
    (
        |_, [x, w, b]| {
            let z = (x.linear(w)? + b)?;
            Ok(vec![z.relu()?, z])
        },
        1,
    ),
    (
        |_, [x, w, b]| {
            let product = x.linear(w)?;
            Ok(vec![(product.clone() + b)?.tanh()?, product])
        },
        0,
    ),
    (
        |_, [x, w, b]| {
            let z = (x.linear(w)? + b)?;
            let (zero, flags) = (z.scalar_like(0.0), z.gt(&z.scalar_like(0.0))?);
            Ok(vec![flags.select(&z, &zero)?, flags.convert(x.dtype())?])
        },
        1,
    ),
    (
        |_, [x, w, b]| {
            let z = (x.linear(w)? + b)?;
            let (zero, flags) = (z.scalar_like(0.0), z.gt(&z.scalar_like(0.0))?);
            let before = flags.select(x, w)?;
            Ok(vec![flags.select(&z, &zero)?, before])
        },
        1,
    ),
    (|_, [x, w, b]| Ok(vec![(x.linear(w)? + b.broadcast_in(&[24, 24], vec![0])?)?.relu()?]), 0),
    (
        |_, [x, w, b]| {
            let flags = x.convert(DType::I32)?.gt(&x.graph().scalar(0i32))?;
            Ok(vec![(flags.select(&w.linear(x)?, &x.scalar_like(0.0))? + b)?])
        },
        0,
    ),
    (
        |_, [x, w, b]| {
            let axes = DotDims { lhs_contract: vec![1], rhs_contract: vec![1], ..DotDims::default() };
            let apart = w.reshape(&[4, 24, 6])?;
            Ok(vec![(x.dot(&apart, axes)?.reshape(&[24, 24])? + b)?.relu()?])
        },
        0,
    ),
    (
        |graph, [x, w, b]| {
            let inputs =
                ScanInputs { constants: &[w.clone(), b.clone()], carries: std::slice::from_ref(x), xs: &[] };
            let (after, _) = graph.repeat(inputs, 3, |_, constants, carries, _| {
                let y = (carries[0].linear(&constants[0])? + &constants[1])?.relu()?;
                Ok(StepOutputs { carries: vec![y.linear(&constants[0])?], ys: Vec::new() })
            })?;
            Ok(after)
        },
        1,
    ),
];

#[test]
fn epilogues_leave_what_is_read_elsewhere() {
    let shapes: [&[usize]; 3] = [&[24, 24], &[24, 24], &[24]];
    for (i, (results, expected_calls)) in RESULTS.iter().enumerate() {
        let run = |dtype| {
            let graph = Graph::new();
            let parameters = shapes.map(|shape| graph.parameter(dtype, shape));
            let function = Function::new(&graph, results(&graph, parameters.each_ref())?);
            if dtype == DType::F32 {
                let text = hlo_text(&function, Target::Cpu)?;
                let calls = text.matches("\"neural.matmul_epilogue\"").count();
                assert_eq!(calls, *expected_calls, "results {i}: {text}");
            }
            let argument = |(seed, shape): (u64, &[usize])| {
                array(shape, &numbers(shape.iter().product(), seed)).cast(dtype)
            };
            let arguments: Vec<_> = (1..).zip(shapes).map(argument).collect();
            Program::compile(device(), &function, 0)?.call(device(), &arguments)
        };
        let (expected, got) = (run(DType::F64).expect("runs"), run(DType::F32).expect("runs"));
        for (part, (got, expected)) in got.iter().zip(&expected).enumerate() {
            let off = difference(&got.to_f64(), &expected.to_f64());
            assert!(off < 3e-6, "results {i}, part {part}: off by {off:e}");
        }
    }
}

/// A function of a table `[9, 6, 8]`, 40 row numbers, and numbers `[6, 8]` and `[8]`; how many calls for rows it has, and how
/// many divisions are left to XLA.
type OfRows = (fn(&Tensor, &Tensor, [&Tensor; 2]) -> Result<Tensor>, [usize; 2]);

/// `(x - mean) / (deviation + 2)`, of the type of the two.
fn scaled(x: &Tensor, mean: &Tensor, deviation: &Tensor) -> Result<Tensor> {
    (x.convert(mean.dtype())? - mean)? / (deviation + 2.0)?
}

/// Rows that are converted, scaled or both, for numbers of one axis and of two; then with a mean for other axes than the
/// deviation's, with u32 numbers, for one row alone, with a mean for each row, and with rows that are also read before they are
/// scaled or converted.
#[rustfmt::skip]
const OF_ROWS: &[OfRows] = &[
    (|t, i, [all, _]| t.take(i)?.convert(all.dtype()), [1, 0]),
    (|t, i, [all, _]| scaled(&t.take(i)?, all, all), [1, 0]),
    (|t, i, [_, last]| scaled(&t.take(i)?, last, last), [1, 0]),
    (|t, i, [all, _]| scaled(&t.convert(all.dtype())?.take(i)?, all, all), [1, 0]),
    (|t, i, [_, last]| scaled(&t.take(&i.reshape(&[5, 8])?)?, last, last), [1, 0]),
    (|t, i, [all, _]| scaled(&t.take(i)?, &all.scalar_like(100.0), &all.scalar_like(50.0)), [1, 0]),
    (|t, i, [all, last]| scaled(&t.take(i)?, all, last), [1, 1]),
    (|t, i, [all, _]| scaled(&t.take(&i.convert(DType::U32)?)?, all, all), [0, 1]),
    (|t, i, [all, _]| scaled(&t.take(&i.slice(&[0], &[1], &[1])?.reshape(&[])?)?, all, all), [0, 1]),
    (|t, i, [all, _]| scaled(&t.take(i)?, &all.broadcast_to(&[40, 6, 8])?.exp()?, all), [1, 1]),
    (|t, i, [all, _]| { let x = t.take(i)?.convert(all.dtype())?; scaled(&x, all, all)? + x }, [1, 1]),
    (|t, i, [all, _]| { let x = t.take(i)?; scaled(&x, all, all)? + x.convert(DType::I32)?.convert(all.dtype())? }, [0, 1]),
];

#[test]
fn rows_that_are_scaled_are_those_of_f64() {
    let shapes: [&[usize]; 4] = [&[9, 6, 8], &[40], &[6, 8], &[8]];
    let table = numbers(9 * 6 * 8, 1).iter().map(|x| (x * 127.0 + 128.0) as u8).collect::<Vec<_>>();
    // Some are beyond the table, and stand for its first row or its last.
    let rows: Vec<i32> = (0..40).map(|i| i * 7 % 13 - 2).collect();
    for (i, (build, expected_counts)) in OF_ROWS.iter().enumerate() {
        let function = |dtype| {
            let graph = Graph::new();
            let types = [DType::U8, DType::I32, dtype, dtype];
            let [table, rows, all, last] = [0, 1, 2, 3].map(|i| graph.parameter(types[i], shapes[i]));
            Ok::<_, neural::Error>(Function::new(&graph, vec![build(&table, &rows, [&all, &last])?]))
        };
        let run = |dtype| {
            let arguments = [
                Array::new(shapes[0], table.clone())?,
                Array::new(shapes[1], rows.clone())?,
                values(shapes[2], 2).cast(dtype),
                values(shapes[3], 3).cast(dtype),
            ];
            Program::compile(device(), &function(dtype)?, 0)?.call(device(), &arguments)
        };
        // Every function but the first divides once.
        for (target, expected) in [(Target::Cpu, *expected_counts), (Target::Gpu, [0, usize::from(i > 0)])] {
            let text = hlo_text(&function(DType::F32).unwrap(), target).expect("lowers");
            let count = |part: &str| text.matches(part).count();
            assert_eq!([count("\"neural.rows_"), count(" divide(")], expected, "rows {i}, {target:?}");
        }
        let (expected, got) = (run(DType::F64).expect("runs"), run(DType::F32).expect("runs"));
        let off = difference(&got[0].to_f64(), &expected[0].to_f64());
        assert!(off < 1e-6, "rows {i}: off by {off:e}");
    }
}

struct Pool {
    input: &'static [usize],
    size: &'static [usize],
    stride: &'static [usize],
    padding: &'static [(usize, usize)],
    dilation: &'static [usize],
}

/// Windows that overlap, that leave cells out and that reach beyond the image, over rows and images, of channels that
/// registers do not divide.
#[rustfmt::skip]
const POOLS: &[Pool] = &[
    Pool { input: &[3, 8, 8, 32], size: &[2, 2], stride: &[2, 2], padding: &[(0, 0), (0, 0)], dilation: &[1, 1] },
    Pool { input: &[2, 9, 7, 17], size: &[3, 3], stride: &[2, 1], padding: &[(1, 1), (1, 0)], dilation: &[1, 1] },
    Pool { input: &[2, 9, 10, 1], size: &[2, 3], stride: &[1, 3], padding: &[(0, 0), (2, 1)], dilation: &[3, 2] },
    Pool { input: &[4, 11, 5], size: &[3], stride: &[2], padding: &[(1, 1)], dilation: &[1] },
];

#[test]
fn pools_are_those_of_f64() {
    for (i, pool) in POOLS.iter().enumerate() {
        let shape = pool.input;
        let window = Window {
            size: pool.size.to_vec(),
            stride: pool.stride.to_vec(),
            padding: pool.padding.to_vec(),
            dilation: pool.dilation.to_vec(),
        };
        // Pools, and their gradients with a separate weight for each result.
        let function = |dtype: DType| -> Result<Function> {
            let graph = Graph::new();
            let x = graph.parameter(dtype, shape);
            let mut outputs = Vec::new();
            for y in [x.max_pool(window.clone())?, x.sum_pool(window.clone())?] {
                let weights = y.graph().iota(DType::F32, y.shape(), 1)?.convert(dtype)?;
                outputs.extend(gradients(&(&y * (weights + 1.0)?)?.sum_all()?, &[&x])?);
                outputs.push(y);
            }
            Ok(Function::new(&graph, outputs))
        };
        // Few different numbers, so that many maxima have equals.
        let values: Vec<f64> = numbers(shape.iter().product(), 4).iter().map(|x| (x * 4.0).round()).collect();
        let expected = {
            let function = function(DType::F64).expect("well formed");
            let program = Program::compile_as(device(), &function, 0, Target::Gpu).expect("compiles");
            program.call(device(), &[array(shape, &values)]).expect("runs")
        };
        let function = function(DType::F32).expect("well formed");
        assert_eq!(hlo_text(&function, Target::Cpu).expect("lowers").matches("_pool").count(), 4);
        let program = Program::compile(device(), &function, 0).expect("compiles");
        let got = program.call(device(), &[array(shape, &values).cast(DType::F32)]).expect("runs");
        for (part, (got, expected)) in got.iter().zip(&expected).enumerate() {
            assert_eq!(got.to_f64(), expected.to_f64(), "pool {i}, result {part}");
        }
    }
}

#[test]
fn a_largest_that_is_not_a_number_stays_that() {
    let graph = Graph::new();
    let window = Window { size: vec![3], stride: vec![3], padding: vec![(0, 0)], dilation: vec![1] };
    let y = graph.parameter(DType::F32, &[1, 9, 1]).max_pool(window).expect("well formed");
    let program = Program::compile(device(), &Function::new(&graph, vec![y]), 0).expect("compiles");
    let x = [f64::NAN, 1.0, 2.0, 1.0, f64::NAN, 2.0, 1.0, 3.0, f64::NAN];
    let got = program.call(device(), &[array(&[1, 9, 1], &x).cast(DType::F32)]).expect("runs");
    assert!(got[0].to_f64().iter().all(|y| y.is_nan()), "{:?}", got[0]);
}

#[test]
fn log_softmax_and_classes_are_those_of_f64() {
    // Rows shorter and longer than registers and blocks, and enough of them for several threads.
    let shapes: [&[usize]; 6] = [&[7], &[256, 10], &[3, 5, 17], &[2, 6000], &[18_001, 16], &[1, 70_001]];
    for shape in shapes {
        // From numbers close to each other to some whose powers of e do not fit into f32.
        for spread in [1.0, 30.0, 200.0] {
            let given: Vec<f64> =
                numbers(shape.iter().product(), 5).iter().map(|x| f64::from((x * spread) as f32)).collect();
            let length = shape[shape.len() - 1];
            let (mut expected, mut gradient, mut classes) = (Vec::new(), Vec::new(), Vec::new());
            for row in given.chunks_exact(length) {
                let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let total: f64 = row.iter().map(|x| (x - largest).exp()).sum();
                let y = row.iter().map(|x| x - largest - total.ln());
                // Gradients of the sum of the results, each weighted by its place on the axis.
                let weights: f64 = (0..length).map(|i| i as f64).sum();
                gradient.extend(y.clone().enumerate().map(|(i, y)| i as f64 - y.exp() * weights));
                expected.extend(y);
                classes.push(row.iter().position(|x| *x == largest).expect("there") as f64);
            }
            let graph = Graph::new();
            let x = graph.parameter(DType::F32, shape);
            let build = || -> Result<Vec<Tensor>> {
                let (y, last) = (x.log_softmax()?, shape.len() - 1);
                let weights = graph.iota(DType::F32, shape, last)?;
                let dx = gradients(&(&y * weights)?.sum_all()?, &[&x])?.remove(0);
                Ok(vec![y, dx, x.argmax(last)?])
            };
            let function = Function::new(&graph, build().expect("well formed"));
            let text = hlo_text(&function, Target::Cpu).expect("lowers");
            assert!(["log_softmax\"", "log_softmax_grad", "arg_max"].iter().all(|name| text.contains(name)));
            let program = Program::compile(device(), &function, 0).expect("compiles");
            let got = program.call(device(), &[array(shape, &given).cast(DType::F32)]).expect("runs");
            let off = |got: &Array, expected: &[f64]| {
                got.to_f64().iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
            };
            let (largest, steep) = (spread * 2.0 + 12.0, length as f64 * length as f64);
            let (y, dx) = (off(&got[0], &expected), off(&got[1], &gradient));
            assert!(y <= 2e-7 * largest, "{shape:?} times {spread}: off by {y:e}");
            assert!(dx <= 4e-7 * largest * steep, "{shape:?} times {spread}: the gradient is off by {dx:e}");
            assert_eq!(got[2].to_f64(), classes, "{shape:?} times {spread}");
        }
    }
}

#[test]
fn log_softmax_of_what_is_not_a_number_is_none() {
    let graph = Graph::new();
    let y = graph.parameter(DType::F32, &[2, 20]).log_softmax().expect("well formed");
    let program = Program::compile(device(), &Function::new(&graph, vec![y]), 0).expect("compiles");
    let mut x = numbers(40, 6);
    x[25] = f64::NAN;
    let got = program.call(device(), &[array(&[2, 20], &x).cast(DType::F32)]).expect("runs")[0].to_f64();
    assert!(got[..20].iter().all(|y| y.is_finite()) && got[20..].iter().all(|y| y.is_nan()), "{got:?}");
}

/// The result wanted of a recurrent sequence: its last state, all states, all and their gradients, or the gradient of a
/// gradient.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Asked {
    Last,
    All,
    Gradients,
    Second,
}

/// A sequence of 5 steps of 7 rows, some of them padding.
fn sequence(cell: Cell, dtype: DType, back: bool, asked: Asked) -> Result<(Function, Vec<Array>)> {
    const UNITS: usize = 6;
    let width = cell.gates() * UNITS;
    let shapes: [&[usize]; 4] = [&[5, 7, width], &[width, UNITS], &[4 * UNITS], &[5, 7, 1]];
    let graph = Graph::new();
    let [x, weight, bias, mask] = shapes.map(|shape| graph.parameter(dtype, shape));
    let real = mask.gt(&mask.scalar_like(-0.4))?;
    let inputs = RecurrentInputs { x: &x, weight: &weight, bias: &bias, real: Some(&real) };
    let (last, states) = graph.recurrent(cell, inputs, back)?;
    let wanted = [&x, &weight, &bias];
    let first = |of: &Tensor| gradients(&of.square()?.sum_all()?, &wanted);
    let outputs = match asked {
        Asked::Last => vec![last],
        Asked::All => vec![last, states],
        Asked::Gradients => [vec![states.clone()], first(&last)?, first(&states)?].concat(),
        Asked::Second => first(&first(&states)?[1])?,
    };
    let arguments = shapes.iter().zip(1..).map(|(shape, seed)| values(shape, seed));
    Ok((Function::new(&graph, outputs), arguments.collect()))
}

#[test]
fn recurrent_sequences_are_those_of_f64_in_one_call() {
    for cell in [Cell::Lstm, Cell::Gru] {
        for (back, asked, calls) in [
            (true, Asked::Last, 1),
            (false, Asked::All, 1),
            (false, Asked::Gradients, 5),
            (true, Asked::Gradients, 5),
            // The steps of the first gradient, which the second needs, are a separate loop.
            (true, Asked::Second, 3),
        ] {
            let build = |dtype| sequence(cell, dtype, back, asked).expect("well formed");
            let (function, arguments) = build(DType::F64);
            let program = Program::compile_as(device(), &function, 0, Target::Gpu).expect("compiles");
            let expected = program.call(device(), &arguments).expect("runs");
            let (function, _) = build(DType::F32);
            let text = hlo_text(&function, Target::Cpu).expect("lowers");
            assert_eq!(text.matches("\"neural.recurrent").count(), calls, "{cell:?} {asked:?}");
            assert!(!hlo_text(&function, Target::Gpu).expect("lowers").contains("\"neural."));
            let singles: Vec<_> = arguments.iter().map(|array| array.cast(DType::F32)).collect();
            let program = Program::compile(device(), &function, 0).expect("compiles");
            let got = program.call(device(), &singles).expect("runs");
            for (part, (got, expected)) in got.iter().zip(&expected).enumerate() {
                let off = difference(&got.to_f64(), &expected.to_f64());
                assert!(off < 1e-5, "{cell:?} {asked:?}, back: {back}, result {part}: off by {off:e}");
            }
        }
    }
}

/// The result of an attention to the sequence itself or to another one of `others`, its gradients, and a gradient of those.
fn attention(
    dtype: DType,
    [causal, masked]: [bool; 2],
    others: Option<usize>,
) -> Result<(Function, Vec<Array>)> {
    let graph = Graph::new();
    let x = graph.parameter(dtype, &[2, 70, 12]);
    let memory = others.map(|length| graph.parameter(dtype, &[2, length, 12]));
    let seen = graph.parameter(dtype, &memory.as_ref().unwrap_or(&x).shape()[..2]);
    let mut variables = Variables::declare(&graph, dtype);
    let mut cx = Context::evaluation(&mut variables);
    if masked {
        cx = cx.with_positions(&seen.gt(&seen.scalar_like(-0.3))?)?;
    }
    let layer = Attention { causal, ..Attention::new(3) };
    let y = match &memory {
        Some(memory) => layer.forward_with(&x, memory, &mut cx)?,
        None => layer.forward(&x, &mut cx)?,
    };
    let parameters = graph.parameters();
    let arguments = parameters.iter().zip(1..).map(|(t, seed)| values(t.shape(), seed)).collect();
    let first = gradients(&y.square()?.sum_all()?, &parameters.iter().collect::<Vec<_>>())?;
    let second = gradients(&first[0].square()?.sum_all()?, &[&x])?;
    Ok((Function::new(&graph, [vec![y], first, second].concat()), arguments))
}

#[test]
fn attention_is_that_of_f64_in_a_call_for_each_direction() {
    for (flags, others) in [([true, true], None), ([false, true], Some(11)), ([true, false], Some(90))] {
        let build = |dtype| attention(dtype, flags, others).expect("well formed");
        let (function, arguments) = build(DType::F64);
        let program = Program::compile_as(device(), &function, 0, Target::Gpu).expect("compiles");
        let expected = program.call(device(), &arguments).expect("runs");
        let (function, _) = build(DType::F32);
        let calls =
            |target| hlo_text(&function, target).expect("lowers").matches("\"neural.attention").count();
        // The gradient of the gradient has a call for the part that passes through the result.
        assert_eq!((calls(Target::Cpu), calls(Target::Gpu)), (3, 0), "{flags:?} {others:?}");
        let singles: Vec<_> = arguments.iter().map(|array| array.cast(DType::F32)).collect();
        let program = Program::compile(device(), &function, 0).expect("compiles");
        let got = program.call(device(), &singles).expect("runs");
        for (part, (got, expected)) in got.iter().zip(&expected).enumerate() {
            let off = difference(&got.to_f64(), &expected.to_f64());
            assert!(off < 1e-5, "{flags:?} {others:?}, result {part}: off by {off:e}");
        }
    }
}

#[test]
fn sums_of_whole_numbers_wrap_around() {
    let graph = Graph::new();
    let sum = graph.parameter(DType::I32, &[50, 3]).sum(&[0]).expect("well formed");
    let program = Program::compile(device(), &Function::new(&graph, vec![sum]), 0).expect("compiles");
    let values: Vec<i32> = (0..150).map(|i| i32::MAX / 7 - i).collect();
    let expected: Vec<i32> =
        (0..3).map(|j| values[j..].iter().step_by(3).fold(0, |sum: i32, x| sum.wrapping_add(*x))).collect();
    let got = program.call(device(), &[Array::new(&[50, 3], values).expect("fits")]).expect("runs");
    assert_eq!(got[0].to_vec::<i32>().expect("i32"), expected);
}

/// XLA's CPU backend runs convolutions inside a loop naively unless they have one particular form, so the CPU's
/// lowering must hold none at all; the GPU's holds them all.
#[test]
fn a_cpu_gets_products_and_a_gpu_convolutions() {
    for conv in CONVS {
        let (function, _) = conv.function(DType::F64).expect("well formed");
        let count = |target| hlo_text(&function, target).expect("lowers").matches(" convolution(").count();
        assert_eq!((count(Target::Cpu), count(Target::Gpu)), (0, 3));
        // The convolution itself may be a written-out sum.
        assert!(hlo_text(&function, Target::Cpu).expect("lowers").matches(" dot(").count() >= 2);
    }
}

/// An optimizer counts its updates, which would be an extra launch in each step.
#[test]
fn a_gpu_carries_no_count() {
    let graph = Graph::new();
    let (count, x) = (graph.parameter(DType::F64, &[]), graph.parameter(DType::F64, &[3]));
    let carries = [count, x];
    let inputs = ScanInputs { carries: &carries, ..ScanInputs::default() };
    let step = |_: &Graph, _: &[Tensor], carries: &[Tensor], _: &[Tensor]| {
        let count = (&carries[0] + 1.0)?;
        Ok(StepOutputs { carries: vec![count.clone(), (&carries[1] * count)?], ys: vec![carries[0].clone()] })
    };
    let (last, counts) = graph.repeat(inputs, 6, step).expect("well formed");
    let function = Function::new(&graph, [last, counts].concat());
    let arguments = [Array::scalar(2f64), Array::vector(&[1f64, -1.0, 0.5])];
    for (target, is_carried) in [(Target::Cpu, true), (Target::Gpu, false)] {
        let text = hlo_text(&function, target).expect("lowers");
        let state = text.lines().find(|line| line.contains(" while(")).expect("a loop");
        assert_eq!(state.contains("f64[]"), is_carried, "{state}");
        let program = Program::compile_as(device(), &function, 0, target).expect("compiles");
        let results = program.call(device(), &arguments).expect("runs");
        let got: Vec<Vec<f64>> = results.iter().map(|array| array.to_vec().expect("f64")).collect();
        // 3 · 4 · … · 8
        let product = 20160.0;
        let expected =
            [vec![8.0], vec![product, -product, product / 2.0], vec![2.0, 3.0, 4.0, 5.0, 6.0, 7.0]];
        assert_eq!(got, expected);
    }
}

/// Training runs in a loop on the device, so a convolution in a loop, with its gradients, must have the device's form
/// too.
#[test]
fn a_loop_takes_the_form_of_its_device() {
    let build = || -> Result<Function> {
        let graph = Graph::new();
        let (x, k) = (graph.parameter(DType::F64, &[1, 6, 5, 2]), graph.parameter(DType::F64, &[3, 3, 2, 2]));
        let (constants, carries) = ([k.clone()], [x.clone()]);
        let inputs = ScanInputs { constants: &constants, carries: &carries, xs: &[] };
        // Four steps, of which a GPU takes two in a turn.
        let (last, _) = graph.scan(inputs, 4, |_, k, x, _| {
            let window = Window {
                size: vec![3, 3],
                stride: vec![1, 1],
                padding: vec![(1, 1), (1, 1)],
                dilation: vec![1, 1],
            };
            Ok(StepOutputs { carries: vec![x[0].conv(&k[0], window, 1)?.tanh()?], ys: Vec::new() })
        })?;
        let mut outputs = gradients(&last[0].square()?.sum_all()?, &[&x, &k])?;
        outputs.push(last[0].clone());
        Ok(Function::new(&graph, outputs))
    };
    let function = build().expect("well formed");
    let count = |target| hlo_text(&function, target).expect("lowers").matches(" convolution(").count();
    // The convolution and its two gradients; the backward loop may compute it again.
    assert_eq!(count(Target::Cpu), 0);
    assert!(count(Target::Gpu) >= 3);
    let arguments = [values(&[1, 6, 5, 2], 1), values(&[3, 3, 2, 2], 2)];
    let run = |target| {
        let program = Program::compile_as(device(), &function, 0, target).expect("compiles");
        program.call(device(), &arguments).expect("runs")
    };
    for (part, (cpu, gpu)) in run(Target::Cpu).iter().zip(run(Target::Gpu)).enumerate() {
        let off = difference(&cpu.to_f64(), &gpu.to_f64());
        assert!(off < 1e-12, "result {part}: the forms differ by {off:e}");
    }
}

/// Operations that sum, with the shapes of their arguments; the axes of a pool are those of an image.
type Build = fn(&[Tensor]) -> Result<Tensor>;

fn window(size: usize, stride: usize) -> Window {
    Window { size: vec![size; 2], stride: vec![stride; 2], padding: vec![(0, 0); 2], dilation: vec![1; 2] }
}

fn gradient(of: &Tensor, for_one: &Tensor) -> Result<Tensor> {
    Ok(gradients(&of.sum_all()?, &[for_one])?.remove(0))
}

/// 0, 1, 2, 0, 1, 2, and so on.
fn tokens(graph: &Graph, count: i32) -> Tensor {
    graph.constant(Array::vector(&(0..count).map(|i| i % 3).collect::<Vec<_>>()))
}

#[rustfmt::skip]
const SUMS: &[(&str, &[&[usize]], Build)] = &[
    ("sum", &[&[3, 5000]], |x| x[0].sum(&[1])),
    ("sum of the first axis", &[&[5000, 3]], |x| x[0].sum(&[0])),
    ("sum of all", &[&[70, 70]], |x| x[0].sum_all()),
    ("mean", &[&[2, 64, 64, 3]], |x| x[0].mean(&[1, 2])),
    ("cumulative sum", &[&[2, 3000]], |x| x[0].cumulative_sum(1)),
    ("softmax", &[&[3, 1000]], |x| x[0].softmax()),
    ("log-softmax", &[&[3, 1000]], |x| x[0].log_softmax()),
    ("gradient of a broadcast", &[&[4], &[3000, 4]], |x| gradient(&(x[0].broadcast_to(&[3000, 4])? * &x[1])?, &x[0])),
    ("sum pool", &[&[1, 40, 40, 2]], |x| x[0].sum_pool(window(20, 20))),
    ("gradient of a sum pool", &[&[1, 30, 30, 1], &[1, 11, 11, 1]], |x| gradient(&(x[0].sum_pool(window(20, 1))? * &x[1])?, &x[0])),
    ("gradient of a max pool", &[&[1, 12, 12, 1], &[1, 5, 5, 1]], |x| gradient(&(x[0].max_pool(window(8, 1))? * &x[1])?, &x[0])),
    ("product", &[&[3, 3000], &[3000, 2]], |x| x[0].matmul(&x[1])),
    ("convolution", &[&[1, 20, 20, 5], &[15, 15, 5, 3]], |x| x[0].conv(&x[1], window(15, 1), 1)),
    ("convolution of few cells", &[&[1, 9, 9, 2], &[3, 3, 2, 3]], |x| x[0].conv(&x[1], window(3, 1), 1)),
    ("convolution in groups", &[&[1, 20, 20, 4], &[15, 15, 2, 6]], |x| x[0].conv(&x[1], window(15, 1), 2)),
    ("gradient for an input", &[&[1, 24, 24, 2], &[9, 9, 2, 8], &[1, 16, 16, 8]], |x| gradient(&(x[0].conv(&x[1], window(9, 1), 1)? * &x[2])?, &x[0])),
    ("gradient for a kernel", &[&[2, 40, 40, 1], &[3, 3, 1, 2], &[2, 38, 38, 2]], |x| gradient(&(x[0].conv(&x[1], window(3, 1), 1)? * &x[2])?, &x[1])),
    ("gradient of rows of a table", &[&[3, 2], &[2000, 2]], |x| gradient(&(x[0].take(&tokens(x[0].graph(), 2000))? * &x[1])?, &x[0])),
    ("gradient of a loop", &[&[2], &[600, 2]], |x| {
        let inputs = ScanInputs { constants: &x[..1], carries: &[x[0].clone()], xs: &x[1..] };
        let (_, ys) = x[0].graph().scan(inputs, 600, |_, constants, carries, xs| {
            Ok(StepOutputs { carries: carries.to_vec(), ys: vec![(&constants[0] * &xs[0])?] })
        })?;
        gradient(&ys[0], &x[0])
    }),
];

/// bf16 has 8 bits: a running sum of ones stays at 256. Every sum of bf16, on devices of every kind, must equal the sum
/// in f64, rounded once.
#[test]
fn sums_of_bf16_are_rounded_once() {
    for (name, shapes, build) in SUMS {
        let function = |dtype: DType| -> Result<Function> {
            let graph = Graph::new();
            let arguments: Vec<_> = shapes.iter().map(|shape| graph.parameter(dtype, shape)).collect();
            Ok(Function::new(&graph, vec![build(&arguments)?]))
        };
        // Most are positive, so that the sum leaves the range in which bf16 can count; all are bf16.
        let arguments: Vec<Array> = shapes
            .iter()
            .zip(1..)
            .map(|(shape, seed)| {
                let values: Vec<f64> =
                    numbers(shape.iter().product(), seed).iter().map(|x| x + 0.5).collect();
                array(shape, &values).cast(DType::BF16)
            })
            .collect();
        let run = |dtype: DType, target: Target| {
            let function = function(dtype).unwrap_or_else(|error| panic!("{name}: {error}"));
            let program = Program::compile_as(device(), &function, 0, target).expect("compiles");
            let arguments: Vec<_> = arguments.iter().map(|argument| argument.cast(dtype)).collect();
            program.call(device(), &arguments).expect("runs").remove(0).to_f64()
        };
        let expected = run(DType::F64, Target::Gpu);
        for target in [Target::Cpu, Target::CpuPlugin, Target::Gpu] {
            for (got, expected) in run(DType::BF16, target).iter().zip(&expected) {
                // Half of the last bit, and a little for the sum in f32.
                let off = (got - expected).abs() / expected.abs().max(1e-2);
                assert!(off <= 1.02 / 256.0, "{name} on {target:?}: {got}, not {expected}");
            }
        }
    }
}

/// Some steps of training a recurrent network with layers behind it by Adam, which leave its variables; then the losses.
fn training_of_a_recurrent_network(steps: usize, dtype: DType) -> Result<(Function, Vec<Array>)> {
    const SHAPES: &[&[usize]] = &[&[12, 3], &[12, 4], &[12], &[5, 4], &[5], &[2, 5], &[2]];
    let graph = Graph::new();
    let parameters: Vec<_> = SHAPES.iter().map(|shape| graph.parameter(dtype, shape)).collect();
    let moments: Vec<_> = [parameters.clone(), parameters.clone()].concat();
    let moments = moments.iter().map(|t| t.full_like(0.0)).collect::<Result<Vec<_>>>()?;
    let batches = graph.parameter(dtype, &[steps, 6, 7, 3]);
    let (rates, count) = (graph.parameter(dtype, &[steps]), graph.full(dtype, &[], 0.0)?);
    let carries = [parameters, moments, vec![count]].concat();
    let inputs = ScanInputs { constants: &[], carries: &carries, xs: &[batches, rates] };
    let (state, losses) = graph.repeat(inputs, steps, |graph, _, carries, xs| {
        let (x, rate) = (xs[0].transpose(&[1, 0, 2])?, &xs[1]);
        let (parameters, moments) = carries.split_at(SHAPES.len());
        let [wx, wh, b, w1, b1, w2, b2] = parameters else { unreachable!("seven parameters") };
        let start = graph.full(dtype, &[6, 4], 0.0)?;
        let gates = (x.matmul(&wx.t()?)? + b)?;
        let inputs = ScanInputs {
            constants: &[wh.clone(), b.clone()],
            carries: &[start.clone(), start],
            xs: &[gates],
        };
        let (last, hidden) = graph.scan(inputs, 7, |_, constants, carries, xs| {
            let gates = ((&xs[0] + carries[0].matmul(&constants[0].t()?)?)? + &constants[1])?;
            let part = |i: usize| gates.narrow(1, 4 * i, 4 * i + 4);
            let cell = ((&carries[1] * part(0)?.logistic()?)? + part(1)?.tanh()?)?;
            let hidden = (part(2)?.logistic()? * cell.tanh()?)?;
            Ok(StepOutputs { carries: vec![hidden.clone(), cell], ys: vec![hidden] })
        })?;
        let of_all = hidden[0].square()?.mean_all()?;
        let x = (last[0].matmul(&w1.t()?)? + b1)?.tanh()?;
        let y = (x.matmul(&w2.t()?)? + b2)?;
        let loss = ((y.log_softmax()?.narrow(1, 0, 1)?.mean_all()?.neg()?) + of_all)?;
        let grads = gradients(&loss, &parameters.iter().collect::<Vec<_>>())?;
        let count = (&carries[3 * SHAPES.len()] + 1.0)?;
        let mut next = vec![Vec::new(); 3];
        for (i, g) in grads.iter().enumerate() {
            let m = ((&moments[i] * 0.9)? + (g * 0.1)?)?;
            let v = ((&moments[SHAPES.len() + i] * 0.99)? + (g.square()? * 0.01)?)?;
            let unbiased = |t: &Tensor, beta: f64| t / (&count * beta.ln())?.expm1()?.neg()?;
            let step = (unbiased(&m, 0.9)? / (unbiased(&v, 0.99)?.sqrt()? + 1e-8)?)?;
            next[0].push((&parameters[i] - (step * rate)?)?);
            next[1].push(m);
            next[2].push(v);
        }
        Ok(StepOutputs { carries: [next.concat(), vec![count]].concat(), ys: vec![loss] })
    })?;
    let mut arguments: Vec<_> = (1..).zip(SHAPES).map(|(seed, shape)| values(shape, seed)).collect();
    arguments.push(values(&[steps, 6, 7, 3], 9));
    arguments.push(array(&[steps], &vec![0.05; steps]));
    Ok((Function::new(&graph, [state, losses].concat()), arguments))
}

#[test]
fn training_with_products_outside_of_its_loops_comes_to_the_same() {
    let (function, arguments) = training_of_a_recurrent_network(4, DType::F64).expect("well formed");
    let run = |target| {
        let program = Program::compile_as(device(), &function, 0, target).expect("compiles");
        program.call(device(), &arguments).expect("runs")
    };
    let (cpu, gpu) = (run(Target::Cpu), run(Target::Gpu));
    assert_eq!(cpu.len(), 23);
    for (part, (cpu, gpu)) in cpu.iter().zip(gpu).enumerate() {
        assert_eq!(cpu.shape(), gpu.shape(), "result {part}");
        let off = difference(&cpu.to_f64(), &gpu.to_f64());
        assert!(off < 1e-11, "result {part}: the forms differ by {off:e}");
    }
}

#[test]
fn a_gpu_multiplies_and_sums_outside_of_loops_what_waits_for_no_step() {
    let (function, _) = training_of_a_recurrent_network(4, DType::F32).expect("well formed");
    let text = hlo_text(&function, Target::Gpu).expect("lowers");
    let loops: Vec<&str> = text.split("\n\n").filter(|part| part.starts_with("step")).collect();
    let [forth, back, ..] = loops[..] else { panic!("{} loops: {text}", loops.len()) };
    // The backward loop recomputes no gates, which are one product in front of it, and sums no gradient of a bias.
    let count = |body: &str, operation: &str| body.matches(operation).count();
    assert_eq!((count(forth, " dot("), count(back, " dot(")), (1, 2), "{text}");
    assert_eq!(count(back, " reduce("), 0, "{back}");
}

#[test]
fn a_gpu_looks_up_the_numbers_of_all_steps_before_a_loop() {
    let graph = Graph::new();
    let [table, state] = [[10], [3]].map(|shape| graph.parameter(DType::F64, &shape));
    let places = graph.parameter(DType::I32, &[4, 3]);
    let (constants, carries, xs) = ([table], [state], [places]);
    let inputs = ScanInputs { constants: &constants, carries: &carries, xs: &xs };
    let step = |_: &Graph, table: &[Tensor], state: &[Tensor], places: &[Tensor]| {
        let after = (state[0].tanh()? + table[0].take(&places[0])?)?;
        Ok(StepOutputs { ys: vec![after.square()?], carries: vec![after] })
    };
    let (last, squares) = graph.repeat(inputs, 4, step).expect("well formed");
    let function = Function::new(&graph, vec![last[0].clone(), squares[0].clone()]);
    let text = hlo_text(&function, Target::Gpu).expect("lowers");
    let body = text.split("\n\n").find(|part| part.starts_with("step")).expect("a loop");
    assert_eq!(body.matches(" gather(").count(), 0, "{body}");
    let places = Array::new(&[4, 3], vec![7i32, 0, 9, 3, 3, 1, 0, 8, 2, 9, 9, 5]).expect("twelve");
    let arguments = [values(&[10], 1), values(&[3], 2), places];
    let run = |target| {
        let program = Program::compile_as(device(), &function, 0, target).expect("compiles");
        program.call(device(), &arguments).expect("runs")
    };
    for (cpu, gpu) in run(Target::Cpu).iter().zip(run(Target::Gpu)) {
        assert_eq!(difference(&cpu.to_f64(), &gpu.to_f64()), 0.0);
    }
}

/// Some steps of an optimizer, whose gradients are made of the parameters and of numbers of the step.
fn optimization(optimizer: &Optimizer, dtype: DType) -> Result<(Function, Vec<Array>)> {
    const STEPS: usize = 4;
    let step = |variables: &mut Variables, xs: &[Tensor]| {
        let [rate, weight, is_last, xs @ ..] = xs else { unreachable!("three scalars") };
        let shapes: [(&str, &[usize]); 3] =
            [("a.weight", &[5, 7]), ("a.bias", &[7]), ("b.weight", &[3, 300])];
        let mut grads = Vec::new();
        for ((name, shape), x) in shapes.iter().zip(xs) {
            let w = variables.get(Role::Parameter, name, shape, &Init::Zeros, (1, 1))?;
            grads.push(((w * 0.3)? + x)?);
        }
        let is_last = is_last.gt(&is_last.scalar_like(0.0))?;
        let share = (optimizer.accumulate > 1).then_some(Share { weight, is_last: &is_last });
        optimizer.update(
            variables,
            &grads,
            Inputs { learning_rate: rate, average_rate: Some(weight), share, is_thawed: None },
        )
    };
    let shapes: [&[usize]; 6] = [&[], &[], &[], &[5, 7], &[7], &[3, 300]];
    let list: Vec<_> = {
        let graph = Graph::new();
        let mut variables = Variables::declare(&graph, dtype);
        step(&mut variables, &shapes.map(|shape| graph.parameter(dtype, shape)))?;
        variables.variables().cloned().collect()
    };
    let graph = Graph::new();
    let carries: Vec<_> = list.iter().map(|v| graph.parameter(dtype, &v.shape)).collect();
    let xs = shapes.map(|shape| graph.parameter(dtype, &[&[STEPS], shape].concat()));
    let inputs = ScanInputs { constants: &[], carries: &carries, xs: &xs };
    let (after, _) = graph.repeat(inputs, STEPS, |graph, _, carries, xs| {
        let mut variables = Variables::given(graph, dtype, &list, carries);
        step(&mut variables, xs)?;
        Ok(StepOutputs { carries: variables.after(), ys: Vec::new() })
    })?;
    let mut arguments: Vec<_> = (1..)
        .zip(&list)
        .map(|(seed, v)| match v.role {
            Role::Parameter | Role::Average => array(&v.shape, &numbers(v.len(), seed)),
            _ => array(&v.shape, &vec![0.0; v.len()]),
        })
        .collect();
    arguments.push(array(&[STEPS], &[0.1, 0.05, 0.2, 0.02]));
    arguments.push(array(&[STEPS], &[0.5, 1.0, 0.25, 1.0]));
    arguments.push(array(&[STEPS], &[-1.0, 1.0, -1.0, 1.0]));
    for (shape, seed) in shapes[3..].iter().zip(70..) {
        let values = numbers(STEPS * shape.iter().product::<usize>(), seed);
        arguments.push(array(&[&[STEPS], *shape].concat(), &values));
    }
    Ok((Function::new(&graph, after), arguments))
}

#[test]
fn optimizers_are_those_of_f64_in_one_call_a_step() {
    let slow = Group { name: "b".into(), learning_rate: 0.5, weight_decay: 2.0 };
    let adam = Adam { epsilon: 1e-3, weight_decay: 0.01, ..Adam::default() };
    let optimizers: [(Optimizer, usize); 8] = [
        (Sgd { momentum: 0.9, nesterov: true, weight_decay: 0.1, ..Sgd::default() }.into(), 6),
        (Optimizer::from(adam).average(0.9.into()), 13),
        (Optimizer { groups: vec![slow], ..adamw(0.1, 0.2) }.clip_norm(0.5), 10),
        (Optimizer::from(RmsProp { epsilon: 1e-3, momentum: 0.5, ..RmsProp::default() }).clip_value(0.4), 9),
        (Adagrad::default().into(), 6),
        (Optimizer::from(Lion { weight_decay: 0.3, ..Lion::default() }).freeze(["b"]), 5),
        (Optimizer::from(Sgd { momentum: 0.5, ..Sgd::default() }).accumulate(2).l1(0.01), 10),
        (Sgd::default().into(), 3),
    ];
    for (i, (optimizer, variables)) in optimizers.iter().enumerate() {
        let (function, arguments) = optimization(optimizer, DType::F64).expect("well formed");
        let program = Program::compile_as(device(), &function, 0, Target::Gpu).expect("compiles");
        let expected = program.call(device(), &arguments).expect("runs");
        assert_eq!(expected.len(), *variables, "optimizer {i}");
        let (function, _) = optimization(optimizer, DType::F32).expect("well formed");
        let calls =
            |target| hlo_text(&function, target).expect("lowers").matches("\"neural.update\"").count();
        assert_eq!((calls(Target::Cpu), calls(Target::Gpu)), (1, 0), "optimizer {i}");
        let singles: Vec<_> = arguments.iter().map(|array| array.cast(DType::F32)).collect();
        let program = Program::compile(device(), &function, 0).expect("compiles");
        let got = program.call(device(), &singles).expect("runs");
        for (part, (got, expected)) in got.iter().zip(&expected).enumerate() {
            let off = difference(&got.to_f64(), &expected.to_f64());
            assert!(off < 1e-5, "optimizer {i}, result {part}: off by {off:e}");
        }
    }
}
