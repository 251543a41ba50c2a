//! Matrices that lie in a core's cache, and their products.

use crate::product::{Line, NARROW, REGISTERS, ROWS, Strided, lines, product, unrolled};
use pulp::{NullaryFnOnce, Simd};
use std::ops::Range;

/// Rows and columns are rounded up to multiples of these, so that neither products nor loops over rows have a remainder. The
/// padding may hold any numbers.
pub(super) const ROWS_OF: usize = 4 * ROWS;
const COLUMNS_OF: usize = 16;
const _: () = assert!(ROWS_OF.is_multiple_of(NARROW));

pub(super) struct Matrix {
    lines: Vec<Line>,
    columns: usize,
    /// The distance of rows: an odd number of cache lines, as rows at a power of two would share few sets of a cache.
    stride: usize,
}

/// A matrix that is multiplied from the right.
#[derive(Clone, Copy)]
pub(super) struct Right<'a> {
    values: &'a [f32],
    stride: usize,
    columns: usize,
}

impl Matrix {
    /// Zeros.
    pub fn new([rows, columns]: [usize; 2]) -> Self {
        let stride = (columns.div_ceil(COLUMNS_OF) | 1) * COLUMNS_OF;
        // The last row of a transpose is read up to the rows of a product.
        Self { lines: lines(rows.next_multiple_of(ROWS_OF) * stride + ROWS_OF), columns, stride }
    }

    /// A matrix of some rows.
    pub fn of<'a>(rows: impl Iterator<Item = &'a [f32]>, shape: [usize; 2]) -> Self {
        let mut matrix = Self::new(shape);
        matrix.copy(rows, 1.0);
        matrix
    }

    /// A matrix of some columns.
    pub fn transposed<'a>(columns: impl Iterator<Item = &'a [f32]>, shape: [usize; 2]) -> Self {
        let mut matrix = Self::new(shape);
        let stride = matrix.stride;
        let numbers = matrix.numbers_mut();
        for (i, column) in columns.enumerate() {
            for j in 0..column.len() {
                numbers[j * stride + i] = column[j];
            }
        }
        matrix
    }

    /// Writes rows from the first on, times a factor.
    #[inline(always)]
    pub fn copy<'a>(&mut self, rows: impl Iterator<Item = &'a [f32]>, factor: f32) {
        for (to, from) in self.rows_mut().zip(rows) {
            let to = &mut to[..from.len()];
            for i in 0..from.len() {
                to[i] = from[i] * factor;
            }
        }
    }

    pub fn fill(&mut self, value: f32) {
        self.numbers_mut().fill(value);
    }

    /// Sets the columns in use, at most the current stride.
    pub fn set_columns(&mut self, columns: usize) {
        self.columns = columns.min(self.stride);
    }

    fn numbers_mut(&mut self) -> &mut [f32] {
        bytemuck::cast_slice_mut(&mut self.lines)
    }

    fn numbers(&self) -> &[f32] {
        bytemuck::cast_slice(&self.lines)
    }

    /// All rows, as long as the columns in use fill blocks of 16.
    #[inline(always)]
    pub fn rows(&self) -> impl Iterator<Item = &[f32]> {
        let width = self.columns.next_multiple_of(COLUMNS_OF);
        self.numbers().chunks_exact(self.stride).map(move |row| &row[..width])
    }

    #[inline(always)]
    pub fn rows_mut(&mut self) -> impl Iterator<Item = &mut [f32]> {
        let (width, stride) = (self.columns.next_multiple_of(COLUMNS_OF), self.stride);
        self.numbers_mut().chunks_exact_mut(stride).map(move |row| &mut row[..width])
    }

    /// The matrix as a left operand.
    pub fn left(&self) -> Strided<'_> {
        Strided { values: self.numbers(), row: self.stride, column: 1 }
    }

    /// Its transpose, to be multiplied from the left.
    pub fn left_transposed(&self) -> Strided<'_> {
        Strided { values: self.numbers(), row: 1, column: self.stride }
    }

    /// The matrix from a row on as a right operand.
    pub fn right(&self, row: usize) -> Right<'_> {
        Right { values: &self.numbers()[row * self.stride..], stride: self.stride, columns: self.columns }
    }

    /// Some of its columns, to be multiplied from the right.
    pub fn right_columns(&self, columns: Range<usize>) -> Right<'_> {
        let values = &self.numbers()[columns.start..];
        Right { values, stride: self.stride, columns: columns.len() }
    }

    /// Writes the product of a matrix `[rows, summed]` with another one, or adds it if `ADD`, from row `first` on; rows up to
    /// the next multiple of [`ROWS_OF`] are overwritten too.
    #[inline(always)]
    pub fn multiply<S: Simd, const ADD: bool>(
        &mut self,
        simd: S,
        first: usize,
        [rows, summed]: [usize; 2],
        a: Strided,
        b: Right,
    ) {
        let (from, width) = (first * self.stride, self.stride / S::F32_LANES);
        let result = S::as_mut_simd_f32s(&mut self.numbers_mut()[from..]).0;
        simd.vectorize(Product::<S, ADD> { simd, rows, summed, a, b, result, width });
    }
}

/// A product that is written, or added.
struct Product<'a, S: Simd, const ADD: bool> {
    simd: S,
    rows: usize,
    summed: usize,
    a: Strided<'a>,
    b: Right<'a>,
    result: &'a mut [S::f32s],
    /// The registers from row to row of the result.
    width: usize,
}

impl<S: Simd, const ADD: bool> NullaryFnOnce for Product<'_, S, ADD> {
    type Output = ();

    #[inline(always)]
    fn call(mut self) {
        let registers = self.b.columns.div_ceil(S::F32_LANES);
        let whole = registers / REGISTERS * REGISTERS;
        (0..whole).step_by(REGISTERS).for_each(|register| self.column::<ROWS, REGISTERS>(register));
        (whole..registers).for_each(|register| self.column::<NARROW, 1>(register));
    }
}

impl<S: Simd, const ADD: bool> Product<'_, S, ADD> {
    /// `R` registers of all rows.
    #[inline(always)]
    fn column<const N: usize, const R: usize>(&mut self, register: usize) {
        let &mut Self { simd, rows, summed, a, b, ref mut result, width } = self;
        let columns = &S::as_simd_f32s(b.values).0[register..];
        for row in (0..rows).step_by(N) {
            let a = Strided { values: &a.values[row * a.row..], ..a };
            let sums = product::<S, N, R>(simd, summed, a, columns, b.stride / S::F32_LANES);
            unrolled!(i < N, {
                let place = &mut result[(row + i) * width + register..][..R];
                unrolled!(j < R, {
                    place[j] = if ADD { simd.add_f32s(place[j], sums[i][j]) } else { sums[i][j] };
                });
            });
        }
    }
}
