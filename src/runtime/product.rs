//! The products of f32 matrices on the CPU that is built in.

use super::library::linked;
use gemm::{Parallelism, gemm};

/// A matrix in memory, as `scripts/xla/product_glue.cc` has it: element (i, j) is at `data[i * row + j * column]`.
#[repr(C)]
struct Matrix<T> {
    data: T,
    row: isize,
    column: isize,
}

type Multiply =
    unsafe extern "C" fn(isize, isize, isize, Matrix<*const f32>, Matrix<*const f32>, Matrix<*mut f32>);

/// Has XLA call [`multiply`] for its products, if the XLA at hand can be told to: the one of scripts/setup can, another
/// multiplies in its own way, more slowly.
pub(super) fn multiply_with_gemm() {
    // SAFETY: this is the function's type in scripts/xla/product_glue.cc.
    if let Some(multiply_with) =
        unsafe { linked::<unsafe extern "C" fn(Multiply)>(c"xla_glue_multiply_with") }
    {
        // SAFETY: `multiply` is of the type that the function takes.
        unsafe { multiply_with(multiply) };
    }
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
    unsafe {
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
    }
}
