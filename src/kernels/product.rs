//! A product of matrices small enough for registers, with operands in a core's cache.

use super::lanes::lanes;
use bytemuck::{Pod, Zeroable};
use pulp::Simd;

/// A block for each `$i` below a constant `$n` of at most nine, written out. The compiler keeps arrays in registers only
/// where it knows every index; it does so in a loop if it unrolls that early enough, which it need not.
macro_rules! unrolled {
    ($i:ident < $n:expr, $block:block) => {
        unrolled!(@ $i < $n, $block, 0 1 2 3 4 5 6 7 8)
    };
    (@ $i:ident < $n:expr, $block:block, $($number:literal)*) => {{
        const { assert!($n <= 9) };
        $({
            let $i: usize = $number;
            if $i < $n $block
        })*
    }};
}
pub(super) use unrolled;

/// Rows and registers of a product that are computed at once. Twelve sums, two registers of one operand and one of the other
/// fit into the 16 registers of AVX2. NEON has 32 of half the width: 24 sums, four registers and one.
pub(super) const ROWS: usize = 6;
pub(super) const REGISTERS: usize = if cfg!(target_arch = "aarch64") { 4 } else { 2 };

/// Rows of a product whose columns fill only one register: the number of sums that keeps a core's pipeline full.
pub(super) const NARROW: usize = 8;

/// The rows and registers of products of `columns`.
pub(super) fn shape(columns: usize) -> [usize; 2] {
    if columns <= lanes() { [NARROW, 1] } else { [ROWS, REGISTERS] }
}

/// A cache line: memory of these begins where registers are best loaded from.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
pub(super) struct Line([f32; 16]);

pub(super) fn lines(numbers: usize) -> Vec<Line> {
    vec![Line::zeroed(); numbers.div_ceil(16)]
}

/// The first operand of a product.
pub(super) trait Rows<const N: usize>: Copy {
    /// Whether it holds `N` rows of `k` numbers, at least one.
    fn hold(&self, k: usize) -> bool;

    /// # Safety
    /// The rows hold more than `column` numbers.
    unsafe fn at(&self, row: usize, column: usize) -> f32;
}

impl<const N: usize> Rows<N> for [&[f32]; N] {
    #[inline(always)]
    fn hold(&self, k: usize) -> bool {
        self.iter().all(|row| row.len() >= k)
    }

    #[inline(always)]
    unsafe fn at(&self, row: usize, column: usize) -> f32 {
        // SAFETY: the caller's.
        unsafe { *self[row].get_unchecked(column) }
    }
}

/// A matrix whose element `(i, k)` is `values[i * row + k * column]`.
#[derive(Clone, Copy)]
pub(super) struct Strided<'a> {
    pub values: &'a [f32],
    pub row: usize,
    pub column: usize,
}

impl<const N: usize> Rows<N> for Strided<'_> {
    #[inline(always)]
    fn hold(&self, k: usize) -> bool {
        self.values.len() > (N - 1) * self.row + (k - 1) * self.column
    }

    #[inline(always)]
    unsafe fn at(&self, row: usize, column: usize) -> f32 {
        // SAFETY: the caller's.
        unsafe { *self.values.get_unchecked(row * self.row + column * self.column) }
    }
}

/// Where the columns of a matrix begin.
#[derive(Clone, Copy)]
pub(super) struct Columns<'a> {
    starts: &'a [usize],
    largest: usize,
}

impl<'a> Columns<'a> {
    pub fn new(starts: &'a [usize]) -> Self {
        Self { starts, largest: starts.iter().max().copied().unwrap_or_default() }
    }
}

/// A matrix whose element `(i, k)` is `rows[i][columns[k]]`.
#[derive(Clone, Copy)]
pub(super) struct Scattered<'a, const N: usize> {
    pub rows: [&'a [f32]; N],
    pub columns: Columns<'a>,
}

impl<const N: usize> Rows<N> for Scattered<'_, N> {
    #[inline(always)]
    fn hold(&self, k: usize) -> bool {
        let Self { rows, columns } = self;
        k <= columns.starts.len() && rows.iter().all(|row| columns.largest < row.len())
    }

    #[inline(always)]
    unsafe fn at(&self, row: usize, column: usize) -> f32 {
        // SAFETY: the caller's.
        unsafe { *self.rows[row].get_unchecked(*self.columns.starts.get_unchecked(column)) }
    }
}

/// `a b`, of `N` rows and `R` registers with `k` numbers summed; the rows of `b` are `b_row` registers apart.
#[inline(always)]
pub(super) fn product<S: Simd, const N: usize, const R: usize>(
    simd: S,
    k: usize,
    a: impl Rows<N>,
    b: &[S::f32s],
    b_row: usize,
) -> [[S::f32s; R]; N] {
    let mut sums = [[simd.splat_f32s(0.0); R]; N];
    assert!(k == 0 || a.hold(k) && b.len() >= (k - 1) * b_row + R);
    for i in 0..k {
        // SAFETY: the largest indices were checked above.
        unsafe {
            let mut columns = [simd.splat_f32s(0.0); R];
            unrolled!(j < R, { columns[j] = *b.get_unchecked(i * b_row + j) });
            unrolled!(row < N, {
                let x = simd.splat_f32s(a.at(row, i));
                unrolled!(j < R, { sums[row][j] = simd.mul_add_f32s(x, columns[j], sums[row][j]) });
            });
        }
    }
    sums
}
