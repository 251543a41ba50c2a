//! The products of f32 matrices on the CPU that is built in, where XLA is that of `scripts/setup`.

use gemm::{Parallelism, gemm};
use std::panic::catch_unwind;

/// A matrix in memory, as `scripts/xla/product_glue.cc` has it: element (i, j) is at `data[i * row + j * column]`.
#[repr(C)]
struct Matrix<T> {
    data: T,
    row: isize,
    column: isize,
}

type Multiply =
    unsafe extern "C" fn(isize, isize, isize, Matrix<*const f32>, Matrix<*const f32>, Matrix<*mut f32>);

unsafe extern "C" {
    /// That of `scripts/xla/product_glue.cc`. The linker leaves out a library to which nothing refers, and with it all
    /// that the other files of the glue take the place of.
    fn xla_glue_multiply_with(multiply: Multiply);
}

/// Has XLA call [`multiply`] for its products.
pub(super) fn multiply_with_gemm() {
    // SAFETY: `multiply` is of the type that the function takes.
    unsafe { xla_glue_multiply_with(multiply) };
}

/// `c = a b`, summing `k` numbers for each of the `m` x `n` elements, on the thread that calls.
///
/// # Safety
/// The elements of the matrices are in memory, and nothing else uses those of `c`.
#[rustfmt::skip]
unsafe extern "C" fn multiply(
    m: isize,
    n: isize,
    k: isize,
    a: Matrix<*const f32>,
    b: Matrix<*const f32>,
    c: Matrix<*mut f32>,
) {
    let [m, n, k] = [m, n, k].map(|size| size as usize);
    // SAFETY: the caller's.
    let multiplied = catch_unwind(|| unsafe {
        gemm(
            m, n, k,
            c.data, c.column, c.row, false,
            a.data, a.column, a.row,
            b.data, b.column, b.row,
            // 0 c + 1 a b, and nothing is conjugated.
            0.0, 1.0,
            false, false, false,
            Parallelism::None,
        );
    });
    if multiplied.is_err() {
        // XLA's frames cannot be unwound, and this function has no way to report a failure but numbers that are none.
        for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i as isize, j as isize))) {
            // SAFETY: the caller's.
            unsafe { *c.data.offset(i * c.row + j * c.column) = f32::NAN };
        }
    }
}
