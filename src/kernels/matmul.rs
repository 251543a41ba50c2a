//! The product of two matrices, which XLA's CPU backend computes at half to three quarters of the cores' peak speed.

use super::product::Strided;
use super::threads::{Address, Threads};
use super::{Kernel, Pieces, amx, few_columns, length};
use bytemuck::{Pod, Zeroable};
use gemm_common::Parallelism;
use gemm_f32::gemm::f32::get_gemm_fn;
use std::ops::Range;
use std::slice;

/// The sizes of products `a b`, as a program passes them.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct Product {
    /// How many there are: their operands lie one after another, and so do their results.
    products: i64,
    rows: i64,
    /// How many numbers are summed for each element of the result.
    summed: i64,
    columns: i64,
    /// Whether `a` is `[summed, rows]`.
    a_transposed: i64,
    /// Whether `b` is `[columns, summed]`.
    b_transposed: i64,
}

/// Additions and multiplications: less than `LEAST` is not worth a second thread, and pieces of `PIECE` keep the cost of
/// packing small.
const LEAST: f64 = 2e6;
const PIECE: f64 = 25e6;
/// At most this many pieces of less than `PIECE`, and this many in all.
const FEW: usize = 2;
const MANY: usize = 16;
/// Fewer columns than `NARROW` are too few for a kernel to pack the other operand: a piece takes a fifth longer, with half of
/// them twice as long. From `WIDE` on a cut between columns costs nothing.
const NARROW: usize = 32;
const WIDE: usize = 64;
/// With at most 128 columns `gemm_f32` does not pack `a`. Where `a` is transposed it then reads a few numbers of each
/// of its rows, which halves the speed if these are a power of two apart.
const PACKED: usize = 256;
/// A piece has whole multiples of the rows and columns that `gemm_f32` works on at a time.
const UNIT_ROWS: usize = if cfg!(target_arch = "aarch64") { 4 } else { 6 };
const UNIT_COLUMNS: usize = 16;

/// An operand: element (i, j) is at `i * row + j * column`.
#[derive(Clone, Copy)]
struct Strides {
    row: usize,
    column: usize,
}

impl Strides {
    fn transposed(self) -> Self {
        Self { row: self.column, column: self.row }
    }
}

/// The part of an operand that a piece reads.
#[derive(Clone, Copy)]
struct Part {
    start: *const f32,
    strides: Strides,
}

impl Part {
    fn of(operand: &[f32], start: usize, strides: Strides) -> Self {
        Self { start: operand.as_ptr().wrapping_add(start), strides }
    }

    fn transposed(self) -> Self {
        Self { strides: self.strides.transposed(), ..self }
    }
}

impl Product {
    /// A product of operands `[rows, summed]` and `[summed, columns]`, each of which may be transposed.
    pub fn new([rows, summed, columns]: [usize; 3], [a_transposed, b_transposed]: [bool; 2]) -> Self {
        let [rows, summed, columns] = [rows, summed, columns].map(|n| n as i64);
        let [a_transposed, b_transposed] = [a_transposed, b_transposed].map(i64::from);
        Self { products: 1, rows, summed, columns, a_transposed, b_transposed }
    }

    /// A batch of products of these sizes.
    #[must_use]
    pub fn times(self, products: usize) -> Self {
        Self { products: products as i64, ..self }
    }

    fn sizes(&self) -> [usize; 3] {
        [self.rows, self.summed, self.columns].map(|n| n as usize)
    }

    fn strides(&self) -> [Strides; 2] {
        let [rows, summed, columns] = self.sizes();
        let of = |transposed: i64, rows, columns| match transposed {
            0 => Strides { row: columns, column: 1 },
            _ => Strides { row: 1, column: rows },
        };
        [of(self.a_transposed, rows, summed), of(self.b_transposed, summed, columns)]
    }

    /// Whether a result is cut between its rows, and into how many pieces. Sizes alone decide, never the number of
    /// threads: in which order the numbers of an element are added may depend on the size of its piece.
    fn cut(&self) -> (bool, usize) {
        let [rows, summed, columns] = self.sizes();
        let operations = 2.0 * rows as f64 * columns as f64 * summed as f64;
        let few = (operations / LEAST).clamp(1.0, FEW as f64) as usize;
        let wanted = (operations / PIECE).clamp(1.0, MANY as f64) as usize;
        // A power of two keeps 2, 4 and 8 threads busy to the end.
        let wanted = (1 << wanted.ilog2()).max(few);
        // Pieces of rows each pack all of `b`, pieces of columns all of `a`, which takes less time. It takes far less where
        // the rows of `b` are not whole in memory.
        let too_narrow = self.b_transposed == 0 && columns < wanted * WIDE && rows >= wanted * UNIT_ROWS;
        let by_rows = rows >= 4 * columns || too_narrow;
        let least_columns = if self.a_transposed != 0 && columns >= 2 * PACKED { PACKED } else { NARROW };
        let (length, least) = if by_rows { (rows, UNIT_ROWS) } else { (columns, least_columns) };
        (by_rows, wanted.clamp(1, (length / least).max(1)))
    }

    /// How many products there are, and the columns of each result.
    pub(super) fn layout(&self) -> [usize; 2] {
        [self.products, self.columns].map(|n| n as usize)
    }

    /// The part of a result that the `i`-th piece computes.
    pub(super) fn block(&self, i: usize) -> Block {
        let ([rows, _, columns], (by_rows, pieces)) = (self.sizes(), self.cut());
        let (product, i) = (i / pieces, i % pieces);
        let range = |length: usize, unit: usize| {
            let units = length.div_ceil(unit);
            let start = units * i / pieces * unit;
            (start, length.min(units * (i + 1) / pieces * unit) - start)
        };
        let (row, rows) = if by_rows { range(rows, UNIT_ROWS) } else { (0, rows) };
        let (column, columns) = if by_rows { (0, columns) } else { range(columns, UNIT_COLUMNS) };
        Block { product, row, rows, column, columns }
    }
}

/// `rows` rows from `row` on, and `columns` columns from `column` on, of the result of one product.
pub(super) struct Block {
    product: usize,
    pub row: usize,
    pub rows: usize,
    pub column: usize,
    pub columns: usize,
}

/// `(a, b) -> a b`
#[derive(Debug)]
pub struct Matmul;

impl Kernel<2> for Matmul {
    type Sizes = Product;
    type Operand = f32;
    type Result = f32;

    fn lengths(&Product { products, rows, summed, columns, .. }: &Product) -> Option<([usize; 2], usize)> {
        let operands = [length(&[products, rows, summed])?, length(&[products, summed, columns])?];
        Some((operands, length(&[products, rows, columns])?))
    }

    fn compute(sizes: &Product, operands: [&[f32]; 2], result: &mut [f32], threads: &dyn Threads) {
        let share = |result: &mut [f32], pieces: Range<usize>| {
            let result = Address::of(result);
            // SAFETY: the result is this call's alone, and every piece is computed once.
            threads.share(pieces.len(), &|i| unsafe {
                Self::piece(sizes, operands, result.get(), pieces.start + i);
            });
        };
        if !Self::at_once(sizes) {
            return share(result, 0..Self::pieces(sizes));
        }
        let [rows, summed, columns] = sizes.sizes();
        let transposed = [sizes.a_transposed, sizes.b_transposed].map(|transposed| transposed != 0);
        let (pieces, [a, b]) = (sizes.cut().1, operands);
        for product in 0..sizes.products as usize {
            let a = &a[product * rows * summed..][..rows * summed];
            let b = &b[product * summed * columns..][..summed * columns];
            let own = &mut result[product * rows * columns..][..rows * columns];
            if !amx::multiply(sizes.sizes(), transposed, [a, b], own, threads) {
                share(result, product * pieces..(product + 1) * pieces);
            }
        }
    }
}

impl Pieces<2> for Matmul {
    fn pieces(sizes: &Product) -> usize {
        sizes.products as usize * sizes.cut().1
    }

    fn at_once(sizes: &Product) -> bool {
        amx::pays(sizes.sizes())
    }

    unsafe fn piece(sizes: &Product, [a, b]: [&[f32]; 2], result: *mut f32, i: usize) {
        let ([_, summed, _], [a_strides, b_strides]) = (sizes.sizes(), sizes.strides());
        let Block { product, row, rows, column, columns } = sizes.block(i);
        let [all_rows, all_columns] = [sizes.rows, sizes.columns].map(|n| n as usize);
        let [a, b] = [&a[product * all_rows * summed..], &b[product * summed * all_columns..]];
        // SAFETY: the results lie one after another, and the block begins within its own.
        let result = unsafe { result.add((product * all_rows + row) * all_columns + column) };
        let [first_a, first_b] = [row * a_strides.row, column * b_strides.column];
        if columns == all_columns && few_columns::fit([rows, summed, columns]) {
            // SAFETY: the block's rows are whole and lie one after another, and no other call writes them.
            let result = unsafe { slice::from_raw_parts_mut(result, rows * columns) };
            let a = Strided { values: &a[first_a..], row: a_strides.row, column: a_strides.column };
            let b = Strided { values: b, row: b_strides.row, column: b_strides.column };
            return few_columns::multiply([rows, summed, columns], a, b, result);
        }
        let [a, b] = [Part::of(a, first_a, a_strides), Part::of(b, first_b, b_strides)];
        let of_result = Strides { row: all_columns, column: 1 };
        // The rows of a result of several columns are contiguous, and `gemm_f32` wants contiguous columns: it then
        // computes the transpose, b' a'.
        let ([rows, columns], [left, right], of_result) = match of_result.row {
            1 => ([rows, columns], [a, b], of_result),
            _ => ([columns, rows], [b.transposed(), a.transposed()], of_result.transposed()),
        };
        // SAFETY: the operands and the result have the `lengths`, so that all elements of the piece are within them,
        // and no other call writes its elements of the result.
        unsafe {
            get_gemm_fn()(
                rows,
                columns,
                summed,
                result,
                of_result.column as isize,
                of_result.row as isize,
                false,
                left.start,
                left.strides.column as isize,
                left.strides.row as isize,
                right.start,
                right.strides.column as isize,
                right.strides.row as isize,
                // 0 c + 1 a b, and nothing is conjugated.
                0.0,
                1.0,
                false,
                false,
                false,
                Parallelism::None,
            );
        }
    }
}
