//! Rows of tables, converted and scaled.

use super::*;

/// The rows of a table of rows of `width` numbers, one number at a time.
fn expected(table: &[f32], width: usize, rows: &[usize], scaling: Option<[&[f32]; 2]>) -> Vec<f32> {
    let scaled = |i: usize, x: f32| match scaling {
        Some([mean, deviation]) => (x - mean[i % mean.len()]) / deviation[i % mean.len()],
        None => x,
    };
    let numbers = rows.iter().flat_map(|row| table[row * width..][..width].iter().enumerate());
    numbers.map(|(i, x)| scaled(i, *x)).collect()
}

#[test]
fn rows_are_those_of_the_table_on_any_number_of_threads() {
    // A column, a few, more than a piece, pictures of three channels, rows of several stretches.
    for (width, period) in
        [(1, 1), (30, 30), (30, 1), (17_000, 17_000), (5 * 7 * 3, 3), (700, 1), (5 * 70 * 3, 3), (600, 100)]
    {
        let bytes: Vec<u8> = numbers(9 * width, 1).iter().map(|x| ((x + 1.0) * 127.0) as u8).collect();
        let table: Vec<f32> = bytes.iter().map(|x| f32::from(*x)).collect();
        let (mean, deviation) = (&numbers(period, 2)[..], &numbers(period, 3)[..]);
        let wanted: Vec<usize> = (0..if width > 1000 { 5 } else { 700 }).map(|i| i * 5 % 9).collect();
        let rows: Vec<i32> = wanted.iter().map(|row| *row as i32).collect();
        for scaling in [None, Some([mean, deviation])] {
            for threads in [1, 5] {
                let mut results = [(); 2].map(|()| vec![f32::NAN; rows.len() * width]);
                let [of_bytes, of_floats] = &mut results;
                take_rows(&bytes, &rows, scaling, of_bytes, &Scoped(threads)).unwrap();
                take_rows(&table, &rows, scaling, of_floats, &Scoped(threads)).unwrap();
                let expected = expected(&table, width, &wanted, scaling);
                assert!(results.iter().all(|result| *result == expected), "{width}, {period}, {threads}");
            }
        }
    }
}

#[test]
fn row_numbers_outside_the_table_are_clamped() {
    let mut result = [0.0; 6];
    take_rows(&[1u8, 2, 3, 4], &[-7, i32::MAX, 1], None, &mut result, &Scoped(1)).unwrap();
    assert_eq!(result, [1.0, 2.0, 3.0, 4.0, 3.0, 4.0]);
}

#[test]
fn arrays_that_are_no_rows_are_refused() {
    let [one, two, three] = [&[1.0][..], &[1.0; 2], &[1.0; 3]];
    for (table, rows, scaling, result) in [
        (5, 2, None, 4),
        (0, 2, None, 4),
        (4, 0, None, 4),
        (4, 3, None, 4),
        (4, 2, Some([three, three]), 4),
        (4, 2, Some([one, two]), 4),
        (4, 2, Some([&[], &[]]), 4),
    ] {
        let mut result = vec![7.0; result];
        let taken = take_rows(&vec![1f32; table], &vec![0; rows], scaling, &mut result, &Scoped(1));
        assert!(taken.is_err() && result.iter().all(|x| *x == 7.0), "{table}, {rows}, {scaling:?}");
    }
    assert!(take_rows::<u8>(&[], &[], None, &mut [], &Scoped(1)).is_ok());
}
