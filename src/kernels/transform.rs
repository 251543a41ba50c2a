//! The matrices of Winograd's convolution, and their products with vectors of SIMD registers.
//!
//! Along an axis, `m` results of a filter of `r` numbers come from `n = m + r - 1` numbers `d` by `n` multiplications,
//! `y = A'((G g) * (B' d))`: polynomials are multiplied through their values at `n - 1` points and infinity. In two
//! dimensions each matrix is applied along one axis after the other. See Lavin and Gray, "Fast Algorithms for
//! Convolutional Neural Networks" (2016); the matrices are Toom and Cook's for the points below.

use super::product::unrolled;
use pulp::Simd;
use std::marker::PhantomData;

/// How many numbers a tile has along an axis, `n`. It is the same for all filters, so that `B` is too.
pub(super) const SIDE: usize = 6;
/// With a half in the place of 2 or of -2 the results are twice as exact as with both.
const POINTS: [f64; SIDE - 1] = [0.0, 1.0, -1.0, 0.5, -2.0];
/// The sizes that a filter may have.
pub(super) const SIZES: std::ops::RangeInclusive<usize> = 2..=5;

/// How many results a tile has along an axis for a filter of `size` numbers, `m`.
pub(super) const fn results(size: usize) -> usize {
    SIDE + 1 - size
}

/// Unused entries of a matrix are zero.
type Values = [[f32; SIDE]; SIDE];

/// A matrix for each size of a filter.
pub(super) trait Matrix {
    const BY_SIZE: [Values; SIDE];
}

/// `B'`: row `i` has the coefficients of the product of `x - p` over all points but the `i`-th, the last row over all.
pub(super) struct Input;
/// `G`: row `i` has the powers of the `i`-th point, divided by the value of the polynomial of `B'` there.
pub(super) struct Filter;
/// `A'`: column `j` has the powers of the `j`-th point.
pub(super) struct Output;
/// The transpose of a matrix, for the gradient of its transform.
pub(super) struct Transposed<M>(PhantomData<M>);

const fn power(x: f64, n: usize) -> f64 {
    if n == 0 { 1.0 } else { x * power(x, n - 1) }
}

impl Matrix for Input {
    const BY_SIZE: [Values; SIDE] = {
        let mut values = [[0f32; SIDE]; SIDE];
        let mut i = 0;
        while i < SIDE {
            let mut polynomial = [0f64; SIDE + 1];
            polynomial[0] = 1.0;
            let mut point = 0;
            while point < POINTS.len() {
                if point != i {
                    let mut k = SIDE;
                    while k > 0 {
                        polynomial[k] = polynomial[k - 1] - POINTS[point] * polynomial[k];
                        k -= 1;
                    }
                    polynomial[0] *= -POINTS[point];
                }
                point += 1;
            }
            let mut k = 0;
            while k < SIDE {
                values[i][k] = polynomial[k] as f32;
                k += 1;
            }
            i += 1;
        }
        [values; SIDE]
    };
}

impl Matrix for Filter {
    const BY_SIZE: [Values; SIDE] = {
        let mut all = [[[0f32; SIDE]; SIDE]; SIDE];
        let mut size = *SIZES.start();
        while size <= *SIZES.end() {
            let mut i = 0;
            while i < POINTS.len() {
                let mut divisor = 1.0;
                let mut other = 0;
                while other < POINTS.len() {
                    divisor *= if other == i { 1.0 } else { POINTS[i] - POINTS[other] };
                    other += 1;
                }
                let mut k = 0;
                while k < size {
                    all[size][i][k] = (power(POINTS[i], k) / divisor) as f32;
                    k += 1;
                }
                i += 1;
            }
            all[size][SIDE - 1][size - 1] = 1.0;
            size += 1;
        }
        all
    };
}

impl Matrix for Output {
    const BY_SIZE: [Values; SIDE] = {
        let mut all = [[[0f32; SIDE]; SIDE]; SIDE];
        let mut size = *SIZES.start();
        while size <= *SIZES.end() {
            let mut k = 0;
            while k < results(size) {
                let mut j = 0;
                while j < POINTS.len() {
                    all[size][k][j] = power(POINTS[j], k) as f32;
                    j += 1;
                }
                k += 1;
            }
            all[size][results(size) - 1][SIDE - 1] = 1.0;
            size += 1;
        }
        all
    };
}

impl<M: Matrix> Matrix for Transposed<M> {
    const BY_SIZE: [Values; SIDE] = {
        let mut all = M::BY_SIZE;
        let mut size = 0;
        while size < SIDE {
            let mut i = 0;
            while i < SIDE {
                let mut j = 0;
                while j < SIDE {
                    all[size][i][j] = M::BY_SIZE[size][j][i];
                    j += 1;
                }
                i += 1;
            }
            size += 1;
        }
        all
    };
}

/// A tile: a register for each place, each with as many channels as it has lanes.
pub(super) type Tile<S> = [[<S as Simd>::f32s; SIDE]; SIDE];

#[inline(always)]
pub(super) fn empty<S: Simd>(simd: S) -> Tile<S> {
    [[simd.splat_f32s(0.0); SIDE]; SIDE]
}

/// `M tile M'`, for a filter of the given size along each axis. Only the first `used` rows and columns of `tile` are
/// read, and only the first `wanted` of the result matter.
#[inline(always)]
pub(super) fn transform<S: Simd, M: Matrix>(
    simd: S,
    size: [usize; 2],
    used: [usize; 2],
    wanted: [usize; 2],
    tile: &mut Tile<S>,
) {
    for column in 0..used[1] {
        let mut x = [simd.splat_f32s(0.0); SIDE];
        unrolled!(row < SIDE, { x[row] = tile[row][column] });
        let y = along::<S, M>(simd, size[0], x);
        unrolled!(row < SIDE, { tile[row][column] = y[row] });
    }
    for row in &mut tile[..wanted[0]] {
        *row = along::<S, M>(simd, size[1], *row);
    }
}

#[inline(always)]
fn along<S: Simd, M: Matrix>(simd: S, size: usize, x: [S::f32s; SIDE]) -> [S::f32s; SIDE] {
    match size {
        2 => product::<S, M, 2>(simd, x),
        3 => product::<S, M, 3>(simd, x),
        4 => product::<S, M, 4>(simd, x),
        _ => product::<S, M, 5>(simd, x),
    }
}

/// The matrix is known when this is compiled, so that its zeros cost nothing.
#[inline(always)]
fn product<S: Simd, M: Matrix, const SIZE: usize>(simd: S, x: [S::f32s; SIDE]) -> [S::f32s; SIDE] {
    let matrix = const { M::BY_SIZE[SIZE] };
    let mut y = [simd.splat_f32s(0.0); SIDE];
    unrolled!(i < SIDE, {
        unrolled!(j < SIDE, {
            if matrix[i][j] != 0.0 {
                y[i] = simd.mul_add_f32s(simd.splat_f32s(matrix[i][j]), x[j], y[i]);
            }
        });
    });
    y
}
