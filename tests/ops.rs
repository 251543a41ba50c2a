//! Operations against plain arithmetic, and the random numbers against the published generator.

mod common;

use common::{array, device, evaluate, numbers};
use neural::graph::{DotDims, Function, Graph, Random, Tensor, gradients};
use neural::nn::{Context, Layer, Module, Padding, Pool};
use neural::runtime::Program;
use neural::variables::Variables;
use neural::{Array, DType, Result};

/// Elementwise functions against the same function of std.
#[test]
fn elementwise_functions_are_those_of_std() {
    type Function1 = (&'static str, fn(&Tensor) -> Result<Tensor>, fn(f64) -> f64);
    let functions: &[Function1] = &[
        ("neg", |x| x.neg(), |x| -x),
        ("abs", |x| x.abs(), f64::abs),
        ("sign", |x| x.sign(), |x| if x == 0.0 { 0.0 } else { x.signum() }),
        ("exp", |x| x.exp(), f64::exp),
        ("expm1", |x| x.expm1(), f64::exp_m1),
        ("log", |x| x.abs()?.log(), |x| x.abs().ln()),
        ("log1p", |x| x.abs()?.log1p(), |x| x.abs().ln_1p()),
        ("sqrt", |x| x.abs()?.sqrt(), |x| x.abs().sqrt()),
        ("rsqrt", |x| x.square()?.rsqrt(), |x| 1.0 / x.abs()),
        ("tanh", |x| x.tanh(), f64::tanh),
        ("logistic", |x| x.logistic(), |x| 1.0 / (1.0 + (-x).exp())),
        ("sin", |x| x.sin(), f64::sin),
        ("cos", |x| x.cos(), f64::cos),
        ("floor", |x| x.floor(), f64::floor),
        ("ceil", |x| x.ceil(), f64::ceil),
        ("round", |x| x.round(), f64::round),
        ("clamp", |x| x.clamp(-0.5, 1.0), |x| x.clamp(-0.5, 1.0)),
    ];
    let values: Vec<f64> = numbers(40, 1).iter().map(|x| x * 4.0).chain([0.5, -1.5, 2.5]).collect();
    for (name, f, expected) in functions {
        let got = evaluate(&[Array::vector(&values)], |_, x| Ok(vec![f(&x[0])?]));
        for (x, got) in values.iter().zip(got[0].to_f64()) {
            let want = expected(*x);
            assert!((got - want).abs() <= 1e-14 * want.abs().max(1.0), "{name} of {x}: {got}, not {want}");
        }
    }
    // The error function at points from the tables of Abramowitz and Stegun, 7.1.
    let got = evaluate(&[Array::vector(&[0.5f64, 1.0, -2.0])], |_, x| Ok(vec![x[0].erf()?]));
    for (got, want) in got[0].to_f64().iter().zip([0.520_499_877_8, 0.842_700_792_9, -0.995_322_265_0]) {
        assert!((got - want).abs() < 1e-10, "erf: {got}, not {want}");
    }
}

#[test]
fn pairs_broadcast_and_compute_as_std_does() {
    type Function2 = (&'static str, fn(&Tensor, &Tensor) -> Result<Tensor>, fn(f64, f64) -> f64);
    let functions: &[Function2] = &[
        ("add", |a, b| a + b, |a, b| a + b),
        ("sub", |a, b| a - b, |a, b| a - b),
        ("mul", |a, b| a * b, |a, b| a * b),
        ("div", |a, b| a / b, |a, b| a / b),
        ("rem", |a, b| a.rem(b), |a, b| a % b),
        ("maximum", |a, b| a.maximum(b), f64::max),
        ("minimum", |a, b| a.minimum(b), f64::min),
        ("pow", |a, b| a.abs()?.pow(b), |a, b| a.abs().powf(b)),
        ("lt", |a, b| a.lt(b)?.convert(DType::F64), |a, b| f64::from(a < b)),
        ("ge", |a, b| a.ge(b)?.convert(DType::F64), |a, b| f64::from(a >= b)),
    ];
    let (a, b) = (numbers(3, 2), numbers(2, 3));
    for (name, f, expected) in functions {
        let got = evaluate(&[array(&[3], &a), array(&[2, 1], &b)], |_, x| Ok(vec![f(&x[0], &x[1])?]));
        assert_eq!(got[0].shape(), [2, 3], "{name}");
        for (i, got) in got[0].to_f64().iter().enumerate() {
            let want = expected(a[i % 3], b[i / 3]);
            assert!((got - want).abs() < 1e-14, "{name} of {} and {}: {got}, not {want}", a[i % 3], b[i / 3]);
        }
    }
}

#[test]
fn elements_are_moved_where_they_belong() {
    let x = Array::new(&[2, 3], vec![1i32, 2, 3, 4, 5, 6]).expect("six numbers");
    let check = |name: &str, f: fn(&Tensor) -> Result<Tensor>, shape: &[usize], expected: &[f64]| {
        let got = evaluate(std::slice::from_ref(&x), |_, x| Ok(vec![f(&x[0])?]));
        assert_eq!((got[0].shape(), &got[0].to_f64()[..]), (shape, expected), "{name}");
    };
    check("transpose", Tensor::t, &[3, 2], &[1., 4., 2., 5., 3., 6.]);
    check("reverse", |x| x.reverse(&[1]), &[2, 3], &[3., 2., 1., 6., 5., 4.]);
    check("slice", |x| x.slice(&[0, 0], &[2, 3], &[1, 2]), &[2, 2], &[1., 3., 4., 6.]);
    check(
        "pad",
        |x| x.pad(&[0, 1], &[1, 0], &[0, 1]),
        &[3, 6],
        &[0., 1., 0., 2., 0., 3., 0., 4., 0., 5., 0., 6., 0., 0., 0., 0., 0., 0.],
    );
    check(
        "concatenate",
        |x| Tensor::concatenate(&[x, x], 0),
        &[4, 3],
        &[1., 2., 3., 4., 5., 6., 1., 2., 3., 4., 5., 6.],
    );
    check("cumulative sum", |x| x.cumulative_sum(1), &[2, 3], &[1., 3., 6., 4., 9., 15.]);
    check("sum", |x| x.sum(&[0]), &[3], &[5., 7., 9.]);
    check("max", |x| x.max(&[1]), &[2], &[3., 6.]);
    check("min", |x| x.min(&[0, 1]), &[], &[1.]);
    check("argmax", |x| x.reverse(&[1])?.argmax(1), &[2], &[0., 0.]);
    check(
        "take",
        |x| x.take(&x.graph().constant(Array::vector(&[1i32, 1, 0]))),
        &[3, 3],
        &[4., 5., 6., 4., 5., 6., 1., 2., 3.],
    );
    check(
        "one-hot",
        |x| x.narrow(0, 0, 1)?.reshape(&[3])?.one_hot(4, DType::I32),
        &[3, 4],
        &[0., 1., 0., 0., 0., 0., 1., 0., 0., 0., 0., 1.],
    );
    check(
        "dynamic slice",
        |x| x.dynamic_slice(&[x.graph().scalar(1i32), x.graph().scalar(1i32)], &[1, 2]),
        &[1, 2],
        &[5., 6.],
    );
}

#[test]
fn types_convert_by_rounding_and_truncating() {
    let got = evaluate(&[Array::vector(&[1.75f64, -1.75, 300.0, 1.001])], |_, x| {
        Ok(vec![x[0].convert(DType::I32)?, x[0].convert(DType::BF16)?, x[0].convert(DType::F32)?])
    });
    assert_eq!(got[0].to_f64(), [1.0, -1.0, 300.0, 1.0]);
    // bf16 keeps 8 bits: 1.001 is nearest to 1.
    assert_eq!(got[1].to_f64(), [1.75, -1.75, 300.0, 1.0]);
    assert_eq!(got[2].to_f64()[3], f64::from(1.001f32));
}

/// Whole numbers so small that their sums are exact in f32, so that every element must be correct to the last bit,
/// wherever a backend cuts a product and in whatever order it adds.
#[test]
fn products_of_whole_numbers_are_exact() {
    #[rustfmt::skip]
    let sizes = [
        (1, 1, 1), (7, 3, 5), (1, 300, 1), (3, 40, 2000), (64, 16, 6), (65, 129, 7), (130, 96, 257), (256, 784, 10),
        (784, 256, 128), (128, 257, 784), (257, 784, 131), (5, 3000, 700), (3001, 40, 70), (4, 0, 3),
    ];
    let whole =
        |count: usize, seed: usize| (0..count).map(move |i| ((i * 7 + i / 11 + seed) % 17) as f32 - 8.0);
    for (m, k, n) in sizes {
        let (a, b): (Vec<f32>, Vec<f32>) = (whole(m * k, 3).collect(), whole(k * n, 5).collect());
        let mut expected = vec![0.0; m * n];
        for (row, sums) in expected.chunks_mut(n).enumerate() {
            for (i, numbers) in b.chunks(n).enumerate() {
                let x = f64::from(a[row * k + i]);
                sums.iter_mut().zip(numbers).for_each(|(sum, y)| *sum += x * f64::from(*y));
            }
        }
        let turned = |values: &[f32], rows: usize, columns: usize| -> Vec<f32> {
            (0..rows * columns).map(|i| values[i % rows * columns + i / rows]).collect()
        };
        let matrix = |shape: [usize; 2], values: Vec<f32>| Array::new(&shape, values).expect("a matrix");
        let arguments = [
            matrix([m, k], a.clone()),
            matrix([k, m], turned(&a, m, k)),
            matrix([k, n], b.clone()),
            matrix([n, k], turned(&b, k, n)),
        ];
        let products = evaluate(&arguments, |_, x| {
            let product = |a: usize, b: usize| {
                let (lhs_contract, rhs_contract) = (vec![1 - a], vec![b]);
                x[a].dot(&x[2 + b], DotDims { lhs_contract, rhs_contract, ..DotDims::default() })
            };
            let paired = {
                let [a, b] = [0, 2].map(|i| x[i].reshape(&[&[1], x[i].shape()].concat()));
                let one = || vec![0];
                let (lhs_contract, rhs_contract) = (vec![2], vec![1]);
                a?.dot(&b?, DotDims { lhs_contract, rhs_contract, lhs_batch: one(), rhs_batch: one() })?
            };
            Ok(vec![product(0, 0)?, product(0, 1)?, product(1, 0)?, product(1, 1)?, paired])
        });
        for (form, product) in products.iter().enumerate() {
            assert!(product.to_f64() == expected, "form {form} of {m}x{k} by {k}x{n}");
        }
    }
}

#[test]
fn softmax_survives_extremes() {
    let got = evaluate(&[Array::vector(&[1e4f64, 0.0, -1e4])], |_, x| {
        Ok(vec![x[0].softmax()?, x[0].log_softmax()?])
    });
    assert_eq!(got[0].to_f64(), [1.0, 0.0, 0.0]);
    assert_eq!(got[1].to_f64(), [0.0, -1e4, -2e4]);
}

/// A maximum is taken before the relu and the bias that it stands behind, and that changes no bit, ties included.
#[test]
fn a_pool_commutes_with_what_rises() {
    let shape = [2, 6, 5, 3];
    let values: Vec<f64> = numbers(180, 3).iter().map(|x| (x * 4.0).round() / 2.0).collect();
    let inputs = [array(&shape, &values), array(&[3], &[-0.5, 0.0, 0.5])];
    let results = evaluate(&inputs, |graph, x| {
        let y = (&x[0] + &x[1])?.relu()?;
        let padding = Padding::Explicit(vec![(1, 1), (0, 1)]);
        let pool = Layer::MaxPool(Pool { size: vec![2, 3], stride: vec![2, 1], padding });
        let mut variables = Variables::declare(graph, DType::F64);
        let mut cx = Context::evaluation(&mut variables);
        let mut results = Vec::new();
        // A product need not be increasing, so the second pool stays in its place.
        for y in [y.clone(), (y * 1.0)?] {
            let pooled = pool.forward(&y, &mut cx)?;
            results.extend(gradients(&(&pooled * &pooled)?.sum_all()?, &[&x[0], &x[1]])?);
            results.push(pooled);
        }
        Ok(results)
    });
    let (before, after) = results.split_at(3);
    for (before, after) in before.iter().zip(after) {
        assert_eq!(before.to_f64(), after.to_f64());
    }
}

/// Runs `draw` with a seed and a step.
fn random(seed: u64, step: u64, draw: fn(&mut Random) -> Result<Tensor>) -> Array {
    let graph = Graph::new();
    let (s, t) = (graph.parameter(DType::U64, &[]), graph.parameter(DType::U64, &[]));
    let drawn = draw(&mut Random::new(s, t)).expect("well formed");
    let program = Program::compile(device(), &Function::new(&graph, vec![drawn]), 0).expect("compiles");
    program.call(device(), &[Array::scalar(seed), Array::scalar(step)]).expect("runs").remove(0)
}

#[test]
fn random_bits_are_philox() {
    // The first draw adds this to the seed, so that this seed makes a key of 0.
    let seed = 0u64.wrapping_sub(0x9e37_79b9_7f4a_7c15);
    let got = random(seed, 0, |random| random.bits(&[4])).to_vec::<u32>().expect("u32");
    // The known answer of Random123 for philox4x32-10 with key 0 and counter 0.
    assert_eq!(got, [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
}

#[test]
fn random_numbers_depend_on_seed_step_and_place_alone() {
    let uniform = |seed, step| random(seed, step, |random| random.uniform(DType::F64, &[20_000])).to_f64();
    let first = uniform(1, 0);
    assert_eq!(first, uniform(1, 0));
    assert_ne!(first, uniform(2, 0));
    assert_ne!(first, uniform(1, 1));
    let second = random(1, 0, |random| {
        random.uniform(DType::F64, &[20_000])?;
        random.uniform(DType::F64, &[20_000])
    });
    assert_ne!(first, second.to_f64());

    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    assert!(first.iter().all(|x| (0.0..1.0).contains(x)));
    // Four standard errors.
    assert!((mean(&first) - 0.5).abs() < 4.0 * (1.0f64 / 12.0 / 20_000.0).sqrt());
    let normal = random(1, 0, |random| random.normal(DType::F64, &[20_000])).to_f64();
    let squares: Vec<f64> = normal.iter().map(|x| x * x).collect();
    assert!(mean(&normal).abs() < 4.0 / 20_000f64.sqrt());
    assert!((mean(&squares) - 1.0).abs() < 4.0 * (2.0f64 / 20_000.0).sqrt());
}

#[test]
fn shapes_that_do_not_fit_are_refused_with_both_sides_named() {
    let graph = Graph::new();
    let a = graph.parameter(DType::F32, &[2, 3]);
    let b = graph.parameter(DType::F32, &[4, 5]);
    let message = |result: Result<Tensor>| result.expect_err("shapes that do not fit").to_string();
    assert_eq!(message(&a + &b), "add: expected a shape that broadcasts with [2, 3], got [4, 5]");
    assert!(message(a.matmul(&b)).contains("f32[2, 3] and f32[4, 5]"));
    assert!(message(a.reshape(&[7])).contains("6 elements"));
    assert!(message(a.sum(&[2])).contains("an axis of [2, 3]"));
    assert!(message(&a + &graph.parameter(DType::I32, &[2, 3])).contains("i32[2, 3]"));
}
