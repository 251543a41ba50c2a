//! Random graphs: chains of operations on a few parameters, whichever fit each other.

use crate::common::values;
use neural::graph::{Graph, ScanInputs, StepOutputs, Tensor, Window};
use neural::{Array, DType, Error, Result};
use proptest::collection::vec;
use proptest::prelude::any;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// A matrix, a square one, a vector, pictures, a kernel for them, and a sequence.
pub const SHAPES: [&[usize]; 6] = [&[4, 3], &[3, 3], &[3], &[2, 5, 4, 2], &[2, 2, 2, 2], &[5, 2, 3]];
const SQUARE: usize = 1;
const KERNEL: usize = 4;

/// The max number of elements of a result.
const LARGEST: usize = 400;

/// The operation, and its tensors or its axis.
pub type Step = (u8, u8, u8);

/// Runs `check` on the steps of some graphs, or of `PROPTEST_CASES`, the same each time. Of steps that fail, the fewest that
/// do are shown.
pub fn for_random_graphs(cases: u32, check: impl Fn(&[Step])) {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let cases = asked.unwrap_or(cases);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let steps = vec((0..OPERATIONS, any::<u8>(), any::<u8>()), 4..12);
    let result = runner.run(&steps, |steps| {
        check(&steps);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

/// Values for the parameters, in f64.
pub fn arguments(seed: u64) -> Vec<Array> {
    let of = |(shape, i): (&&[usize], u64)| values(shape, seed + i);
    SHAPES.iter().zip(0..).map(of).collect()
}

/// Parameters of a graph, for [`arguments`] of this type.
pub fn parameters(graph: &Graph, dtype: DType) -> Vec<Tensor> {
    SHAPES.iter().map(|shape| graph.parameter(dtype, shape)).collect()
}

/// The parameters and the results of the steps, without the steps that do not fit their tensors.
pub fn results(parameters: &[Tensor], steps: &[Step]) -> Vec<Tensor> {
    let mut all = parameters.to_vec();
    for &step in steps {
        if let Ok(result) = result(&all, step)
            && result.shape().iter().product::<usize>() <= LARGEST
        {
            all.push(result);
        }
    }
    all
}

/// A scalar that depends on every element of every result.
pub fn loss(results: &[Tensor]) -> Result<Tensor> {
    let mut total = results[0].scalar_like(0.0);
    for (result, i) in results.iter().zip(1..) {
        total = (total + ((result + f64::from(i).sin())?.square()?.mean_all()? * 0.3)?)?;
    }
    Ok(total)
}

const OPERATIONS: u8 = 42;

/// One more tensor. Values stay around 1, so that no chain of operations overflows.
fn result(all: &[Tensor], (operation, first, second): Step) -> Result<Tensor> {
    let [x, y] = [first, second].map(|at| &all[usize::from(at) % all.len()]);
    let (rank, odd) = (x.rank(), usize::from(second % 2));
    // Of a scalar there is none.
    let axis = usize::from(second).checked_rem(rank).ok_or_else(|| Error::shape("axis", "some", "none"));
    let window = |stride: usize, padding: usize| Window {
        size: vec![2, 2],
        stride: vec![stride; 2],
        padding: vec![(padding, 0), (0, padding)],
        dilation: vec![1; 2],
    };
    match operation {
        0 => x.neg(),
        1 => x.tanh(),
        2 => x.logistic(),
        3 => (x * 0.5)?.exp()? - 1.0,
        4 => x.sin(),
        5 => x.softplus()? - 0.5,
        6 => x.erf(),
        7 => x.relu(),
        8 => x.abs(),
        9 => (x.square()? + 0.5)?.sqrt(),
        10 => x.square()?.log1p(),
        11 => (x.square()? + 1.0)?.rsqrt(),
        12 => (x + y)? * 0.5,
        13 => (x - y)? * 0.5,
        14 => x * y,
        15 => x / (y.square()? + 1.0)?,
        16 => x.maximum(y),
        17 => x.minimum(y),
        18 => x.gt(y)?.select(x, &(y * 0.5)?),
        19 => (x.square()? + 0.5)?.pow(y),
        20 => x.mean(&[axis?]),
        21 => x.max(&[axis?]),
        22 => x.min(&[axis?]),
        23 => x.cumulative_sum(axis?)? * 0.3,
        24 => x.softmax(),
        25 => x.log_softmax()? * 0.3,
        26 => x.transpose(&(0..rank).map(|i| (i + 1 + odd) % rank).collect::<Vec<_>>()),
        27 => x.reshape(&[x.shape().iter().product()]),
        28 => x.reverse(&[axis?]),
        29 => {
            let axis = axis?;
            x.narrow(axis, odd, x.shape()[axis])
        }
        30 => {
            let (axis, mut stride) = (axis?, vec![1; rank]);
            stride[axis] = 2;
            x.slice(&vec![0; rank], x.shape(), &stride)
        }
        31 => {
            let [mut low, mut interior] = [vec![0; rank], vec![0; rank]];
            (low[axis?], interior[0]) = (1, odd);
            x.pad(&low, &vec![odd; rank], &interior)
        }
        32 => Tensor::concatenate(&[x, y], axis?),
        33 => {
            axis?;
            let rows: Vec<i32> =
                [2, 0, 2].iter().map(|&row: &i32| row.min(x.shape()[0] as i32 - 1)).collect();
            x.take(&x.graph().constant(Array::vector(&rows)))
        }
        34 => x.matmul(y)?.tanh(),
        35 => x.matmul(&x.t()?)?.tanh(),
        36 => x.linear(&all[SQUARE])?.tanh(),
        37 => x.conv(&all[KERNEL], window(1 + odd, odd), 1)?.tanh(),
        38 => x.max_pool(window(1 + odd, odd)),
        39 => x.sum_pool(window(1 + odd, odd))? * 0.25,
        40 => looped(x, &all[SQUARE], odd == 1),
        _ => x.graph().recomputed(|| x.tanh()? * x),
    }
}

/// The states of a recurrent network over the first axis of `x` `[steps, …, 3]`.
fn looped(x: &Tensor, weight: &Tensor, is_back: bool) -> Result<Tensor> {
    let [steps, rest @ .., 3] = x.shape() else {
        return Err(Error::shape("loop", "[steps, …, 3]", x.ty()));
    };
    let state = x.graph().full(x.dtype(), &[rest, &[3]].concat(), 0.0)?;
    let inputs = ScanInputs {
        constants: std::slice::from_ref(weight),
        carries: std::slice::from_ref(&state),
        xs: std::slice::from_ref(x),
    };
    let step = |_: &Graph, w: &[Tensor], h: &[Tensor], x: &[Tensor]| {
        let next = (h[0].linear(&w[0])? + x[0].linear(&w[0])?)?.tanh()?;
        Ok(StepOutputs { ys: vec![next.clone()], carries: vec![next] })
    };
    let graph = x.graph();
    let (_, ys) =
        if is_back { graph.scan_back(inputs, *steps, step)? } else { graph.scan(inputs, *steps, step)? };
    Ok(ys[0].clone())
}
