//! Products with each epilogue.

use super::*;

/// Few columns, rows that are cut, columns that are cut, and a product large enough for AMX.
const SIZES: [[usize; 3]; 5] = [[0, 3, 4], [19, 30, 10], [600, 64, 70], [70, 100, 700], [200, 1100, 310]];

/// An epilogue, and the function of an element and its other number that it stands for.
type Case = (Epilogue, fn(f64, f64) -> f64);

const CASES: [Case; 7] = [
    (Epilogue::Bias, |x, b| x + b),
    (Epilogue::Relu, |x, b| (x + b).max(0.0)),
    (Epilogue::Sigmoid, |x, b| 1.0 / (1.0 + (-x - b).exp())),
    (Epilogue::Tanh, |x, b| (x + b).tanh()),
    (Epilogue::ReluGrad, |x, y| if y > 0.0 { x } else { 0.0 }),
    (Epilogue::SigmoidGrad, |x, y| x * y * (1.0 - y)),
    (Epilogue::TanhGrad, |x, y| x * (1.0 - y.powi(2))),
];

#[test]
fn epilogues_follow_the_product_on_any_number_of_threads() {
    for sizes in SIZES.into_iter().take(if cfg!(miri) { 2 } else { SIZES.len() }) {
        let [rows, summed, columns] = sizes;
        let (a, b) = (&numbers(rows * summed, 1), &numbers(summed * columns, 2));
        let product = Product::new(sizes, [rows % 2 == 0, columns % 2 == 0]);
        let plain = run::<2, Matmul>(&product, [a, b]);
        for (epilogue, f) in CASES {
            let of_elements =
                matches!(epilogue, Epilogue::ReluGrad | Epilogue::SigmoidGrad | Epilogue::TanhGrad);
            let mut others = numbers(if of_elements { rows * columns } else { columns }, 3);
            if epilogue == Epilogue::SigmoidGrad {
                // Results of a sigmoid lie between 0 and 1.
                others.iter_mut().for_each(|y| *y = f32::midpoint(*y, 1.0));
            }
            let others = &others;
            let other = |i: usize| f64::from(others[if of_elements { i } else { i % columns }]);
            let expected: Vec<_> =
                plain.iter().enumerate().map(|(i, x)| f(f64::from(*x), other(i))).collect();
            let sizes = product.with_epilogue(epilogue);
            let run = |threads| run_on::<3, MatmulEpilogue>(&Scoped(threads), &sizes, [a, b, others]);
            let one = run(1);
            // Its results reach 40, where half a unit of the last digit is 1.9e-6, and it rounds three times.
            let tolerance = if epilogue == Epilogue::TanhGrad { 4e-6 } else { 2e-6 };
            close(&one, &expected, tolerance, &sizes);
            assert!(one == run(5), "{sizes:?}");
        }
    }
}

#[test]
fn a_relu_of_what_is_not_a_number_is_0() {
    let sizes = Product::new([1, 1, 3], [false; 2]);
    let relu = |epilogue, others: &[f32]| {
        run::<3, MatmulEpilogue>(&sizes.with_epilogue(epilogue), [&[2.0], &[1.0, f32::NAN, 3.0], others])
    };
    assert_eq!(relu(Epilogue::Relu, &[0.5, 0.5, f32::NAN]), [2.5, 0.0, 0.0]);
    assert_eq!(relu(Epilogue::ReluGrad, &[1.0, 0.0, f32::NAN]), [2.0, 0.0, 0.0]);
}

#[test]
fn sizes_of_no_epilogue_are_refused() {
    let product = Product::new([2, 3, 4], [false; 2]);
    let [a, b, row, all] = [6, 12, 4, 8].map(|count| numbers(count, 1));
    let check = |sizes, others: &[f32]| MatmulEpilogue::check(&sizes, &[&a, &b, others], &all).is_ok();
    assert!(check(product.with_epilogue(Epilogue::Bias), &row));
    assert!(check(product.with_epilogue(Epilogue::ReluGrad), &all));
    assert!(!check(product.with_epilogue(Epilogue::Bias), &all));
    assert!(!check(product.with_epilogue(Epilogue::ReluGrad), &row));
    let mut words: [i64; 7] = bytemuck::cast(product.with_epilogue(Epilogue::Bias));
    for number in [-1, 7] {
        words[6] = number;
        assert!(!check(bytemuck::cast(words), &row));
    }
}
