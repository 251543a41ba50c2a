//! Random matrices with orthonormal columns.

use gemm_common::Parallelism;
use gemm_f64::gemm::f64::get_gemm_fn;
use rayon::prelude::*;

/// Reflections that are applied at once, as products of matrices.
const BLOCK: usize = 64;
/// Columns of a task, whatever the number of threads.
const COLUMNS: usize = 128;

/// A matrix stored by columns.
struct Matrix {
    rows: usize,
    columns: usize,
    values: Vec<f64>,
}

impl Matrix {
    fn zeros(rows: usize, columns: usize) -> Self {
        Self { rows, columns, values: vec![0.0; rows * columns] }
    }
}

/// `c = scale c + factor a b` of matrices stored by columns, of which `a` may be transposed. The slices begin at the
/// first element, and `strides` are the distances of their columns.
#[rustfmt::skip]
fn multiply(
    [m, n, k]: [usize; 3],
    (c, scale): (&mut [f64], f64),
    (a, transposed, factor): (&[f64], bool, f64),
    b: &[f64],
    strides: [usize; 3],
) {
    let [c_column, a_column, b_column] = strides;
    if m * n * k == 0 {
        return;
    }
    let (a_rows, a_columns) = if transposed { (k, m) } else { (m, k) };
    assert!(c_column >= m && a_column >= a_rows && b_column >= k, "columns do not overlap");
    assert!(c.len() >= (n - 1) * c_column + m && a.len() >= (a_columns - 1) * a_column + a_rows);
    assert!(b.len() >= (n - 1) * b_column + k);
    let [c_column, a_column, b_column] = [c_column, a_column, b_column].map(|stride| stride as isize);
    let (a_column, a_row) = if transposed { (1, a_column) } else { (a_column, 1) };
    // SAFETY: the elements that the sizes and strides name are in the slices, as was checked above.
    unsafe {
        get_gemm_fn()(
            m, n, k,
            c.as_mut_ptr(), c_column, 1, scale != 0.0,
            a.as_ptr(), a_column, a_row,
            b.as_ptr(), b_column, 1,
            scale, factor,
            false, false, false,
            Parallelism::None,
        );
    }
}

/// A matrix of `rows` by `columns`, no more than rows, whose columns are orthonormal, stored by columns. If `normal` holds
/// `rows * columns` independent normal numbers, it is uniform among all such matrices: the product of reflections that take
/// random vectors of ever fewer numbers to an axis, which is the Q of a QR decomposition with a positive diagonal (Stewart,
/// "The efficient generation of random orthogonal matrices", 1980).
pub(super) fn orthonormal(normal: &[f64], rows: usize, columns: usize) -> Vec<f64> {
    let mut q = Matrix::zeros(rows, columns);
    let starts: Vec<usize> = (0..columns).step_by(BLOCK).collect();
    for &start in starts.iter().rev() {
        let count = BLOCK.min(columns - start);
        let (vectors, signs) = reflectors(normal, rows, start, count);
        for (k, sign) in (start..).zip(signs) {
            q.values[k * rows + k] = sign;
        }
        reflect(&vectors, &triangle(&vectors), &mut q, start);
    }
    q.values
}

/// The vectors v of the reflections `1 - 2 v v' / v'v` from `start` on, scaled so that `v'v` is 2, as columns of which the
/// first `start` rows are left out; and the signs that make the diagonal positive.
fn reflectors(normal: &[f64], rows: usize, start: usize, count: usize) -> (Matrix, Vec<f64>) {
    let mut vectors = Matrix::zeros(rows - start, count);
    let mut signs = Vec::with_capacity(count);
    for i in 0..count {
        let (from, height) = ((start + i) * rows, rows - start - i);
        let vector = &mut vectors.values[i * (rows - start) + i..(i + 1) * (rows - start)];
        vector.copy_from_slice(&normal[from..from + height]);
        let norm = vector.iter().map(|x| x * x).sum::<f64>().sqrt();
        let sign = if vector[0] < 0.0 { 1.0 } else { -1.0 };
        // The reflection takes the vector to `sign * norm` on the axis; of the two, the one further away is exact.
        vector[0] -= sign * norm;
        let squares = vector.iter().map(|x| x * x).sum::<f64>();
        let scale = if squares > 0.0 { (2.0 / squares).sqrt() } else { 0.0 };
        vector.iter_mut().for_each(|x| *x *= scale);
        signs.push(sign);
    }
    (vectors, signs)
}

/// T of the product of the reflections, `1 - V T V'` (Schreiber and Van Loan, 1989).
fn triangle(vectors: &Matrix) -> Matrix {
    let Matrix { rows, columns: count, values } = vectors;
    let mut products = Matrix::zeros(*count, *count);
    multiply(
        [*count, *count, *rows],
        (&mut products.values, 0.0),
        (values, true, 1.0),
        values,
        [*count, *rows, *rows],
    );
    let mut t = Matrix::zeros(*count, *count);
    for j in 0..*count {
        t.values[j * count + j] = 1.0;
        for i in 0..j {
            let along: f64 = (i..j).map(|l| t.values[l * count + i] * products.values[j * count + l]).sum();
            t.values[j * count + i] = -along;
        }
    }
    t
}

/// `q = (1 - V T V') q`, from row and column `start` on; the columns before are of an axis that V does not touch.
fn reflect(vectors: &Matrix, t: &Matrix, q: &mut Matrix, start: usize) {
    let (rows, count) = (q.rows, vectors.columns);
    let height = rows - start;
    debug_assert!(q.columns > start);
    q.values[start * rows..].par_chunks_mut(COLUMNS * rows).for_each(|q| {
        let n = q.len() / rows;
        let q = &mut q[start..];
        let (mut along, mut turned) = (vec![0.0; count * n], vec![0.0; count * n]);
        let v = &vectors.values;
        multiply([count, n, height], (&mut along, 0.0), (v, true, 1.0), q, [count, height, rows]);
        multiply([count, n, count], (&mut turned, 0.0), (&t.values, false, 1.0), &along, [count; 3]);
        multiply([height, n, count], (q, 1.0), (v, false, -1.0), &turned, [rows, height, count]);
    });
}
