//! Products and convolutions that are large enough for AMX, where the processor has it.

use super::*;

/// Products of large matrices, with numbers of many sizes: the result is no farther from the exact one than a
/// sequential sum in f32.
#[test]
#[cfg_attr(miri, ignore)]
fn large_products_are_as_exact_as_f32_is() {
    for (sizes, scale) in
        [([200, 1100, 310], [1.0, 1.0]), ([310, 600, 200], [1e15, 1e-20]), ([96, 4000, 64], [1e-12, 1e30])]
    {
        let [rows, summed, columns] = sizes;
        let of = |count, seed, scale: f32| -> Vec<f32> {
            let spread = numbers(count, seed + 7).into_iter().map(|x| (6.0 * x).exp());
            numbers(count, seed).into_iter().zip(spread).map(|(x, spread)| x * spread * scale).collect()
        };
        let (a, b) = (of(rows * summed, 9, scale[0]), of(summed * columns, 10, scale[1]));
        for transposed in [[false, false], [false, true], [true, false], [true, true]] {
            let product = run::<2, Matmul>(&Product::new(sizes, transposed), [&a, &b]);
            // Squares of the error of each way, relative to the sum of the absolute values of the terms.
            let (mut of_product, mut of_f32) = (0.0, 0.0);
            for (i, j) in (0..rows).step_by(7).flat_map(|i| (0..columns).step_by(5).map(move |j| (i, j))) {
                let (mut exact, mut absolute, mut sum) = (0f64, 0f64, 0f32);
                for k in 0..summed {
                    let x = if transposed[0] { a[k * rows + i] } else { a[i * summed + k] };
                    let y = if transposed[1] { b[j * summed + k] } else { b[k * columns + j] };
                    let term = f64::from(x) * f64::from(y);
                    (exact, absolute, sum) = (exact + term, absolute + term.abs(), x.mul_add(y, sum));
                }
                of_product += ((f64::from(product[i * columns + j]) - exact) / absolute).powi(2);
                of_f32 += ((f64::from(sum) - exact) / absolute).powi(2);
            }
            let ratio = (of_product / of_f32).sqrt();
            assert!(ratio < 1.1, "{sizes:?}, {transposed:?}: {ratio} times the error of f32");
        }
    }
}

/// Infinite and undefined numbers, and the largest ones, affect only their own rows and columns.
#[test]
#[cfg_attr(miri, ignore)]
fn large_products_keep_what_is_not_finite_apart() {
    let sizes @ [rows, summed, columns] = [150, 800, 290];
    for transposed in [[false, false], [true, true]] {
        let (mut a, mut b) = (numbers(rows * summed, 9), numbers(summed * columns, 10));
        let usual = run::<2, Matmul>(&Product::new(sizes, transposed), [&a, &b]);
        let place = |column: usize| if transposed[1] { column * summed } else { column };
        b[place(3)] = f32::INFINITY;
        b[place(200)] = f32::NAN;
        b[place(271)] = f32::MAX;
        let other = run::<2, Matmul>(&Product::new(sizes, transposed), [&a, &b]);
        let again = run_on::<2, Matmul>(&Scoped(5), &Product::new(sizes, transposed), [&a, &b]);
        assert!(again.iter().zip(&other).all(|(again, other)| again.to_bits() == other.to_bits()));
        for (i, (usual, other)) in usual.iter().zip(&other).enumerate() {
            let (row, column) = (i / columns, i % columns);
            let first = a[if transposed[0] { row } else { row * summed }];
            match column {
                3 => assert_eq!(*other, f32::INFINITY * first.signum()),
                200 => assert!(other.is_nan()),
                271 => assert!((other / f32::MAX - first).abs() < 1e-6),
                _ => assert!((usual - other).abs() < 1e-4),
            }
        }
        a[0] = f32::INFINITY;
        let other = run::<2, Matmul>(&Product::new(sizes, transposed), [&a, &b]);
        assert!(other[5].is_infinite() && other[columns + 5].is_finite());
    }
}

/// An infinite number in one of the images, and one beyond 2^127 in another.
#[test]
#[cfg_attr(miri, ignore)]
fn large_convolutions_keep_what_is_not_finite_apart() {
    let [images, results, filters] = LARGE.lengths().unwrap();
    let (mut x, w) = (numbers(images, 1), numbers(filters, 2));
    let usual = run::<2, Direct>(&LARGE, [&x, &w]);
    x[0] = f32::INFINITY;
    x[images - 1] = f32::MAX;
    let y = run::<2, Direct>(&LARGE, [&x, &w]);
    let (pixel, image) = (110, results / 5);
    assert!(y[..2 * pixel].iter().all(|y| y.is_infinite()));
    assert!(y[results - pixel..].iter().all(|y| y.abs() > 1e30));
    for i in image..results - image {
        assert!((y[i] - usual[i]).abs() < 1e-4);
    }
    let gradient = run::<2, DirectFilterGrad>(&LARGE, [&x, &usual]);
    assert!(gradient[4 * 56 * 110..][..110].iter().all(|dw| dw.is_infinite()));
    assert!(gradient[4 * 56 * 110 + 110..][..54 * 110].iter().all(|dw| dw.is_finite()));
}
