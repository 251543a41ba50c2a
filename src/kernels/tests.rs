//! The functions against the sums that they stand for, in f64, over odd sizes.

mod epilogue;
mod large;
mod rows;

use super::*;
use std::num::Wrapping;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Numbers that are the same each time, between -1 and 1.
pub(super) fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(next).collect()
}

/// As many threads as one wants, on any number of cores.
pub(super) struct Scoped(pub usize);

impl Threads for Scoped {
    fn count(&self) -> usize {
        self.0
    }

    fn share(&self, pieces: usize, work: &(dyn Fn(usize) + Sync)) {
        let next = AtomicUsize::new(0);
        let some =
            || std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed)).take_while(|&i| i < pieces);
        std::thread::scope(|scope| (0..self.0).for_each(|_| drop(scope.spawn(|| some().for_each(work)))));
    }
}

fn run<const N: usize, K: Kernel<N, Operand = f32>>(sizes: &K::Sizes, operands: [&[f32]; N]) -> Vec<K::Result>
where
    K::Result: Default + Clone,
{
    run_on::<N, K>(&Scoped(2), sizes, operands)
}

pub(super) fn run_on<const N: usize, K: Kernel<N, Operand = f32>>(
    threads: &dyn Threads,
    sizes: &K::Sizes,
    operands: [&[f32]; N],
) -> Vec<K::Result>
where
    K::Result: Default + Clone,
{
    let mut result = vec![K::Result::default(); K::lengths(sizes).unwrap().1];
    K::run(sizes, operands, &mut result, threads).unwrap();
    result
}

/// The number of positions of a window along an axis, as NumPy and PyTorch count them.
fn positions(size: i64, window: i64, stride: i64, dilation: i64, padding: [i64; 2]) -> Option<i64> {
    let reach = (window - 1) * dilation + 1;
    let padded = size + padding[0] + padding[1];
    (padded >= reach).then(|| (padded - reach) / stride + 1)
}

/// A convolution that is large enough for AMX whichever way it goes, with channels that end within a register.
const LARGE: Sliding = Sliding {
    images: 5,
    image: [9, 15, 56],
    result: [9, 15, 110],
    window: [3, 3],
    stride: [1, 1],
    dilation: [1, 1],
    padding: [1, 1],
    groups: 1,
};

/// Sizes of convolutions: windows larger than the image, strides larger than the window, padding wider than both, no
/// images, one channel, and channels that fill no register.
fn shapes() -> Vec<Sliding> {
    let mut shapes = Vec::new();
    for (n, &images) in [1, 2, 3, 0].iter().cycle().take(if cfg!(miri) { 6 } else { 90 }).enumerate() {
        let pick = |of: &[i64], salt: usize| of[(n * 7 + salt * 5 + n / 3) % of.len()];
        let along = |axis: usize| {
            let salt = axis * 11;
            let (size, window) = (pick(&[1, 2, 5, 8, 3], salt), pick(&[2, 3, 1, 5, 4, 7], salt + 1));
            let (stride, dilation) = match n % 2 {
                0 => (1, 1),
                _ => (pick(&[1, 3, 2, 6], salt + 2), pick(&[1, 2], salt + 3)),
            };
            let padding = [pick(&[0, 1, 3, 7, 2], salt + 4), pick(&[0, 2, 1, 9, 5], salt + 5)];
            positions(size, window, stride, dilation, padding)
                .map(|result| (size, window, stride, dilation, padding[0], result))
        };
        let (Some(y), Some(x)) = (along(0), along(1)) else { continue };
        // Every third in groups: of one channel each, of a few, and of enough to fill a register.
        let (groups, channels, filters) = match n % 3 {
            0 => {
                let groups = pick(&[2, 5, 33, 3], 33);
                (groups, groups * pick(&[1, 2, 4], 31), groups * pick(&[1, 3, 17, 4, 16], 32))
            }
            _ => (1, pick(&[1, 3, 4, 9], 31), pick(&[1, 2, 5, 17, 33], 32)),
        };
        shapes.push(Sliding {
            images,
            image: [y.0, x.0, channels],
            result: [y.5, x.5, filters],
            window: [y.1, x.1],
            stride: [y.2, x.2],
            dilation: [y.3, x.3],
            padding: [y.4, x.4],
            groups,
        });
    }
    if !cfg!(miri) {
        // So many filters that what their gradient reads is gathered, and a kernel that several images share.
        shapes.push(Sliding {
            images: 3,
            image: [3, 3, 160],
            result: [2, 2, 520],
            window: [2, 2],
            stride: [2, 1],
            dilation: [1; 2],
            padding: [1, 0],
            groups: 1,
        });
        shapes.push(LARGE);
        // As large, with strides.
        shapes.push(Sliding {
            images: 3,
            image: [1, 601, 64],
            result: [1, 301, 60],
            window: [1, 5],
            stride: [1, 2],
            dilation: [1, 3],
            padding: [0, 6],
            groups: 1,
        });
        // So many channels that Winograd's way makes the filters' gradient in pieces.
        shapes.push(Sliding {
            images: 2,
            image: [2, 2, 460],
            result: [2, 2, 520],
            window: [2, 2],
            stride: [1, 1],
            dilation: [1; 2],
            padding: [1, 1],
            groups: 1,
        });
    }
    shapes
}

/// Calls `f` with an index of the images, of the filters and of the results for each product of a convolution.
fn products(conv: &Sliding, mut f: impl FnMut(usize, usize, usize)) {
    let [height, width, channels] = conv.image;
    let filters = conv.result[2];
    let [read, written] = [channels, filters].map(|all| all / conv.groups);
    for image in 0..conv.images {
        for (position, at) in conv.positions().enumerate() {
            for wy in 0..conv.window[0] {
                for wx in 0..conv.window[1] {
                    let y = at[0] * conv.stride[0] - conv.padding[0] + wy * conv.dilation[0];
                    let x = at[1] * conv.stride[1] - conv.padding[1] + wx * conv.dilation[1];
                    if !(0..height).contains(&y) || !(0..width).contains(&x) {
                        continue;
                    }
                    for channel in 0..read {
                        for filter in 0..filters {
                            let from = filter / written * read + channel;
                            let i = ((image * height + y) * width + x) * channels + from;
                            let k = ((wy * conv.window[1] + wx) * read + channel) * filters + filter;
                            let results = conv.result[0] * conv.result[1];
                            let r = (image * results + position as i64) * filters + filter;
                            f(i as usize, k as usize, r as usize);
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn close(got: &[f32], expected: &[f64], tolerance: f64, what: &dyn fmt::Debug) {
    assert_eq!(got.len(), expected.len());
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        let error = (f64::from(*got) - expected).abs();
        assert!(error <= tolerance, "{what:?}: {got} at {i}, expected {expected}");
    }
}

#[test]
fn convolutions_of_odd_sizes_are_sums_of_products() {
    let mut done = [0; 3];
    for conv in shapes() {
        let [images, results, filters] = conv.lengths().unwrap();
        let (x, w, dy) = (&numbers(images, 1), &numbers(filters, 2), &numbers(results, 3));
        let [mut y, mut dw, mut dx] = [results, filters, images].map(|n| vec![0f64; n]);
        products(&conv, |i, k, r| {
            y[r] += f64::from(x[i]) * f64::from(w[k]);
            dw[k] += f64::from(x[i]) * f64::from(dy[r]);
            dx[i] += f64::from(w[k]) * f64::from(dy[r]);
        });
        close(&run::<2, Direct>(&conv, [x, w]), &y, 1e-4, &conv);
        close(&run::<2, DirectFilterGrad>(&conv, [x, dy]), &dw, 1e-4, &conv);
        close(&run::<2, DirectInputGrad>(&conv, [dy, w]), &dx, 1e-4, &conv);
        done[usize::from(conv.groups > 1)] += 1;
        if Winograd::lengths(&conv).is_some() {
            close(&run::<2, Winograd>(&conv, [x, w]), &y, 2e-3, &conv);
            close(&run::<2, WinogradFilterGrad>(&conv, [x, dy]), &dw, 2e-3, &conv);
            close(&run::<2, WinogradInputGrad>(&conv, [dy, w]), &dx, 2e-3, &conv);
            done[2] += 1;
        }
    }
    assert!(cfg!(miri) || done[0] >= 15 && done[1] >= 15 && done[2] >= 3, "{done:?}");
}

#[test]
fn pools_of_odd_sizes_look_at_the_cells_on_the_image() {
    for mut pool in shapes() {
        (pool.result[2], pool.groups) = (pool.image[2], 1);
        let [images, results, _] = pool.lengths().unwrap();
        let (x, dy) = (&numbers(images, 4), &numbers(results, 5));
        let channels = pool.channels();
        let [per_image, per_result] =
            [pool.image, pool.result].map(|size| size.iter().product::<i64>() as usize);
        let (mut largest, mut total) = (vec![f64::NEG_INFINITY; results], vec![0f64; results]);
        let (mut to_largest, mut to_all) = (vec![0f64; images], vec![0f64; images]);
        for r in 0..results {
            let (image, position) = (r / per_result, r % per_result / channels);
            let cells: Vec<usize> = pool
                .cells(pool.positions().nth(position).unwrap())
                .map(|cell| image * per_image + cell + r % channels)
                .collect();
            let mut first = None;
            for &i in &cells {
                total[r] += f64::from(x[i]);
                to_all[i] += f64::from(dy[r]);
                if f64::from(x[i]) > largest[r] {
                    (largest[r], first) = (f64::from(x[i]), Some(i));
                }
            }
            if let Some(i) = first {
                to_largest[i] += f64::from(dy[r]);
            }
        }
        let y = run::<1, MaxPool>(&pool, [x]);
        assert!(y.iter().zip(&largest).all(|(y, largest)| f64::from(*y) == *largest), "{pool:?}");
        close(&run::<3, MaxPoolGrad>(&pool, [x, &y, dy]), &to_largest, 1e-5, &pool);
        close(&run::<1, SumPool>(&pool, [x]), &total, 1e-5, &pool);
        close(&run::<1, SumPoolGrad>(&pool, [dy]), &to_all, 1e-5, &pool);
    }
}

#[test]
fn sums_and_rows_of_odd_lengths() {
    for (outer, summed, inner) in
        [(1, 1, 1), (3, 17, 1), (2, 33, 5), (1, 1500, 1), (0, 4, 4), (4, 0, 4), (1, 200, 19)]
    {
        let sizes: Sum = bytemuck::cast([outer as i64, summed as i64, inner as i64]);
        let x = &numbers(outer * summed * inner, 6);
        let mut expected = vec![0f64; outer * inner];
        for (i, x) in x.iter().enumerate() {
            expected[i / (summed * inner) * inner + i % inner] += f64::from(*x);
        }
        close(&run::<1, SumOver<f32>>(&sizes, [x]), &expected, 1e-3, &sizes);
        let whole: Vec<_> = x.iter().map(|x| Wrapping((x * 2e9) as i32)).collect();
        let mut sums = vec![Wrapping(0); outer * inner];
        SumOver::<Wrapping<i32>>::run(&sizes, [&whole], &mut sums, &Scoped(2)).unwrap();
        for (i, x) in whole.iter().enumerate() {
            sums[i / (summed * inner) * inner + i % inner] -= x;
        }
        assert!(sums.iter().all(|sum| sum.0 == 0), "{sizes:?}");
    }
    for (rows, length) in [(1, 1), (5, 3), (2, 16), (3, 70), (1, 5000)] {
        let sizes: LastAxis = bytemuck::cast([rows as i64, length as i64]);
        let (x, dy) = (&numbers(rows * length, 7), &numbers(rows * length, 8));
        let (mut y, mut dx, mut places) = (Vec::new(), Vec::new(), Vec::new());
        for (x, dy) in x.chunks(length).zip(dy.chunks(length)) {
            let total: f64 = x.iter().map(|x| f64::from(*x).exp()).sum();
            let sum: f64 = dy.iter().copied().map(f64::from).sum();
            y.extend(x.iter().map(|x| f64::from(*x) - total.ln()));
            dx.extend(x.iter().zip(dy).map(|(x, dy)| f64::from(*dy) - f64::from(*x).exp() / total * sum));
            let largest = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            places.push(x.iter().position(|x| *x == largest).unwrap() as i32);
        }
        let got = run::<1, LogSoftmax>(&sizes, [x]);
        close(&got, &y, 1e-5, &sizes);
        close(&run::<2, LogSoftmaxGrad>(&sizes, [&got, dy]), &dx, 1e-4, &sizes);
        assert_eq!(run::<1, ArgMax>(&sizes, [x]), places);
    }
}

#[test]
fn sums_of_centred_rows() {
    for (outer, summed, width) in [(1, 1, 1), (1, 7, 3), (3, 200, 16), (1, 500, 70), (2, 1031, 5)] {
        let sizes: Sum = bytemuck::cast([outer as i64, summed as i64, width as i64]);
        let all = outer * summed * width;
        let (a, b, c) = (&numbers(all, 1), &numbers(all, 2), &numbers(width, 3));
        let (mut products, mut squares) = (vec![0f64; outer * width], vec![0f64; outer * width]);
        for (i, (a, b)) in a.iter().zip(b).enumerate() {
            let centred = f64::from(*b) - f64::from(c[i % width]);
            let to = i / (summed * width) * width + i % width;
            products[to] += f64::from(*a) * centred;
            squares[to] += centred * centred;
        }
        close(&run::<3, CentredProduct>(&sizes, [a, b, c]), &products, 1e-3, &sizes);
        close(&run::<2, CentredSquare>(&sizes, [b, c]), &squares, 1e-3, &sizes);
    }
}

/// Sizes of products: no numbers, one, those that fill no register, and those that are cut, in both ways.
const PRODUCTS: [[usize; 3]; 16] = [
    [1, 1, 1],
    [3, 5, 2],
    [17, 31, 19],
    [1, 64, 33],
    [64, 1, 7],
    [0, 4, 4],
    [4, 0, 4],
    [500, 70, 90],
    [70, 60, 700],
    [301, 203, 401],
    [90, 1300, 130],
    [603, 64, 5],
    [59, 700, 16],
    [16, 0, 4],
    [40, 2048, 7],
    [40, 2049, 17],
];

#[test]
fn products_of_odd_sizes_given_either_way() {
    // The larger ones take Miri hours.
    for sizes in PRODUCTS.into_iter().take(if cfg!(miri) { 7 } else { PRODUCTS.len() }) {
        let [rows, summed, columns] = sizes;
        let (a, b) = (&numbers(rows * summed, 9), &numbers(summed * columns, 10));
        for transposed in [[false, false], [false, true], [true, false], [true, true]] {
            let product = Product::new(sizes, transposed);
            let mut expected = vec![0f64; rows * columns];
            for i in 0..rows {
                for k in 0..summed {
                    let x = if transposed[0] { a[k * rows + i] } else { a[i * summed + k] };
                    for j in 0..columns {
                        let y = if transposed[1] { b[j * summed + k] } else { b[k * columns + j] };
                        expected[i * columns + j] += f64::from(x) * f64::from(y);
                    }
                }
            }
            close(&run::<2, Matmul>(&product, [a, b]), &expected, 1e-4, &product);
        }
    }
}

#[test]
fn slices_that_do_not_fit_the_sizes_are_refused() {
    let conv = shapes().into_iter().find(|conv| conv.images == 2).unwrap();
    let [images, results, filters] = conv.lengths().unwrap();
    let (x, w) = (vec![1.0; images], vec![1.0; filters]);
    for (x, w, results) in [(&x[1..], &w[..], results), (&x, &w[1..], results), (&x, &w, results + 1)] {
        let mut y = vec![7.0; results];
        let misfit = Direct::run(&conv, [x, w], &mut y, &Scoped(1)).unwrap_err().to_string();
        assert!(misfit.contains(&results.to_string()), "{misfit}");
        assert!(y.iter().all(|y| *y == 7.0));
    }
    for sizes in [[-1, 2, 3], [i64::MAX, 2, 3], [1 << 31, 1 << 31, 1 << 31]] {
        assert_eq!(SumOver::<f32>::lengths(&bytemuck::cast(sizes)), None);
        assert_eq!(Sliding { image: sizes, ..conv }.lengths(), None);
        assert_eq!(Sliding { result: sizes, ..conv }.lengths(), None);
    }
    assert_eq!(Sliding { stride: [0, 1], ..conv }.lengths(), None);
    assert_eq!(Sliding { window: [-1, 1], ..conv }.lengths(), None);
    assert_eq!(Sliding { groups: 0, ..conv }.lengths(), None);
    assert_eq!(Sliding { groups: conv.image[2] + 1, ..conv }.lengths(), None);
    assert_eq!(Sliding { padding: [i64::MIN, 1], ..conv }.lengths(), None);
}

#[test]
#[cfg_attr(miri, ignore)]
fn results_are_the_same_on_any_number_of_threads() {
    let conv = Sliding {
        images: 29,
        image: [13, 11, 5],
        result: [13, 11, 7],
        window: [3, 3],
        stride: [1, 1],
        dilation: [1, 1],
        padding: [1, 1],
        groups: 1,
    };
    let [images, results, filters] = conv.lengths().unwrap();
    let (x, w, dy) = (&numbers(images, 1), &numbers(filters, 2), &numbers(results, 3));
    let depthwise = Sliding { image: [13, 11, 7], result: [7, 6, 21], stride: [2, 2], groups: 7, ..conv };
    let [images, results, filters] = depthwise.lengths().unwrap();
    let (x7, w7, dy7) = (&numbers(images, 1), &numbers(filters, 2), &numbers(results, 3));
    let [images, results, filters] = LARGE.lengths().unwrap();
    let (x5, w5, dy5) = (&numbers(images, 1), &numbers(filters, 2), &numbers(results, 3));
    let long = &numbers(1 << 20, 4);
    let rows = |rows: i64| bytemuck::cast([rows, (1 << 20) / rows]);
    let all = |threads: &dyn Threads| {
        [
            run_on::<2, Direct>(threads, &conv, [x, w]),
            run_on::<2, DirectInputGrad>(threads, &conv, [dy, w]),
            run_on::<2, DirectFilterGrad>(threads, &conv, [x, dy]),
            run_on::<2, Direct>(threads, &depthwise, [x7, w7]),
            run_on::<2, DirectInputGrad>(threads, &depthwise, [dy7, w7]),
            run_on::<2, DirectFilterGrad>(threads, &depthwise, [x7, dy7]),
            run_on::<2, Direct>(threads, &LARGE, [x5, w5]),
            run_on::<2, DirectInputGrad>(threads, &LARGE, [dy5, w5]),
            run_on::<2, DirectFilterGrad>(threads, &LARGE, [x5, dy5]),
            run_on::<2, Winograd>(threads, &conv, [x, w]),
            run_on::<2, WinogradInputGrad>(threads, &conv, [dy, w]),
            run_on::<2, WinogradFilterGrad>(threads, &conv, [x, dy]),
            run_on::<1, SumOver<f32>>(threads, &bytemuck::cast([1i64, 1 << 20, 1]), [long]),
            run_on::<1, SumOver<f32>>(threads, &bytemuck::cast([3i64 - 1, 1 << 17, 4]), [long]),
            run_on::<3, CentredProduct>(
                threads,
                &bytemuck::cast([1i64, 1 << 15, 1 << 5]),
                [long, long, &long[..1 << 5]],
            ),
            run_on::<2, CentredSquare>(
                threads,
                &bytemuck::cast([4i64, 1 << 16, 1 << 2]),
                [long, &long[..1 << 2]],
            ),
            run_on::<1, LogSoftmax>(threads, &rows(1 << 17), [long]),
            run_on::<2, LogSoftmaxGrad>(threads, &rows(1 << 10), [long, long]),
            run_on::<2, Matmul>(
                threads,
                &Product::new([512, 300, 640], [false; 2]),
                [&long[..512 * 300], &long[..300 * 640]],
            ),
            run_on::<2, Matmul>(
                threads,
                &Product::new([512, 300, 640], [true; 2]),
                [&long[..512 * 300], &long[..300 * 640]],
            ),
        ]
    };
    let one = all(&Scoped(1));
    for threads in [2, 3, 4, 16] {
        for (i, (one, other)) in one.iter().zip(all(&Scoped(threads))).enumerate() {
            assert!(*one == other, "function {i} on {threads} threads");
        }
    }
}
