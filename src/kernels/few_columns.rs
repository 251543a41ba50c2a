//! Products with no more columns than a register has numbers, such as a last layer's. `gemm_f32` spends twice the time
//! on them.

use super::lanes::{lanes, store};
use super::product::{Line, NARROW, Strided, lines, product, unrolled};
use pulp::{Arch, Simd, WithSimd};

/// With more terms the packed operand does not stay in a core's cache from one block of rows to the next.
const MOST_SUMMED: usize = 1 << 11;

/// Whether a product of `[rows, summed, columns]` is computed here.
pub(super) fn fit([rows, summed, columns]: [usize; 3]) -> bool {
    rows >= NARROW && (1..=MOST_SUMMED).contains(&summed) && columns > 1 && columns <= lanes()
}

/// Writes `a b` of `[rows, summed, columns]` that [`fit`], row by row.
pub(super) fn multiply([rows, summed, columns]: [usize; 3], a: Strided, b: Strided, result: &mut [f32]) {
    let lanes = lanes();
    let mut packed = lines(summed * lanes);
    let numbers: &mut [f32] = bytemuck::cast_slice_mut(&mut packed);
    for (i, row) in numbers.chunks_exact_mut(lanes).take(summed).enumerate() {
        for column in 0..columns {
            row[column] = b.values[i * b.row + column * b.column];
        }
    }
    Arch::new().dispatch(Multiply { rows, summed, columns, a, b: &packed, result });
}

struct Multiply<'a> {
    rows: usize,
    summed: usize,
    columns: usize,
    a: Strided<'a>,
    /// A register for each number that is summed.
    b: &'a [Line],
    result: &'a mut [f32],
}

impl WithSimd for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { rows, summed, columns, a, b, result } = self;
        let b = S::as_simd_f32s(bytemuck::cast_slice(b)).0;
        for first in (0..rows).step_by(NARROW) {
            // The last rows are computed with some of those before them.
            let first = first.min(rows - NARROW);
            let a = Strided { values: &a.values[first * a.row..], ..a };
            let sums = product::<S, NARROW, 1>(simd, summed, a, b, 1);
            let rows = &mut result[first * columns..][..NARROW * columns];
            unrolled!(i < NARROW, { store(simd, &mut rows[i * columns..][..columns], sums[i][0]) });
        }
    }
}
