//! A matrix that is multiplied from the right again and again, laid out once in the order in which registers take it.

use super::product::{Line, REGISTERS, ROWS, Rows, lines, product};
use super::threads::{Threads, each};
use pulp::{Arch, Simd, WithSimd};

/// A matrix `[summed, columns]` in panels of as many columns as [`REGISTERS`] registers hold, the last one filled up with
/// zeros.
pub(super) struct Panels {
    packed: Vec<Line>,
    summed: usize,
    /// The columns of a panel.
    width: usize,
    count: usize,
}

/// The columns of a panel on this processor.
struct Width;

impl WithSimd for Width {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        REGISTERS * S::F32_LANES
    }
}

impl Panels {
    /// Of a matrix.
    pub fn new(matrix: Matrix, [summed, columns]: [usize; 2], threads: &dyn Threads) -> Self {
        Self::pack([summed, columns], threads, |panel, first, width| {
            for (row, to) in panel.chunks_exact_mut(width).enumerate() {
                let from = &matrix.row(row)[first..columns.min(first + width)];
                to[..from.len()].copy_from_slice(from);
            }
        })
    }

    /// Of the transpose of a matrix `[columns, summed]`.
    pub fn transposed(matrix: Matrix, [columns, summed]: [usize; 2], threads: &dyn Threads) -> Self {
        Self::pack([summed, columns], threads, |panel, first, width| {
            for column in first..columns.min(first + width) {
                let to = panel[column - first..].iter_mut().step_by(width);
                to.zip(&matrix.row(column)[..summed]).for_each(|(to, from)| *to = *from);
            }
        })
    }

    /// Has `fill` write each panel, from its first column on.
    fn pack(
        [summed, columns]: [usize; 2],
        threads: &dyn Threads,
        fill: impl Fn(&mut [f32], usize, usize) + Sync,
    ) -> Self {
        let width = Arch::new().dispatch(Width);
        let count = columns.div_ceil(width);
        let mut packed = lines(count * summed * width);
        let room: &mut [f32] = bytemuck::cast_slice_mut(&mut packed);
        if summed > 0 {
            let panels = room.chunks_exact_mut(summed * width).take(count).enumerate();
            each(threads, panels, |(i, panel)| fill(panel, i * width, width));
        }
        Self { packed, summed, width, count }
    }

    /// The numbers in a row of a product: whole panels.
    pub fn row(&self) -> usize {
        self.count * self.width
    }

    /// Room for as many rows as [`multiply`](Self::multiply) writes for `rows`, and for reading [`ROWS`] of its columns from
    /// any on.
    pub fn room(&self, rows: usize) -> Vec<Line> {
        lines(rows.next_multiple_of(ROWS) * self.row() + ROWS)
    }

    /// The product of a matrix `[rows, summed]` with the first `summed` rows and at least `columns` columns of this one.
    /// `a` gives [`ROWS`] of its rows from any on, and may give anything beyond the last. The rows of the result have
    /// [`row`](Self::row) numbers, and what is there is added to if `ADD`. A row of the result does not depend on those
    /// beside it.
    #[inline(always)]
    pub fn multiply<const ADD: bool, S: Simd, R: Rows<ROWS>>(
        &self,
        simd: S,
        a: impl Fn(usize) -> R,
        [rows, summed, columns]: [usize; 3],
        result: &mut [f32],
    ) {
        let (width, row) = (REGISTERS * S::F32_LANES, self.row());
        assert!(width == self.width && summed <= self.summed && columns <= row);
        let panels: &[f32] = bytemuck::cast_slice(&self.packed);
        for panel in 0..columns.div_ceil(width) {
            let b = S::as_simd_f32s(&panels[panel * self.summed * width..][..summed * width]).0;
            for first in (0..rows).step_by(ROWS) {
                let sums = product::<S, ROWS, REGISTERS>(simd, summed, a(first), b, REGISTERS);
                for (i, sums) in sums.iter().enumerate() {
                    let place = &mut result[(first + i) * row + panel * width..][..width];
                    for (place, &sum) in S::as_mut_simd_f32s(place).0.iter_mut().zip(sums) {
                        *place = if ADD { simd.add_f32s(*place, sum) } else { sum };
                    }
                }
            }
        }
    }
}

/// A matrix whose rows begin `stride` numbers one after the other.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    pub values: &'a [f32],
    pub stride: usize,
}

impl<'a> Matrix<'a> {
    /// From a row's first number on.
    #[inline(always)]
    pub fn row(self, row: usize) -> &'a [f32] {
        &self.values[row * self.stride..]
    }

    /// Some of `count` rows, from `first` on; what is beyond the last is like the last.
    #[inline(always)]
    pub fn rows(self, first: usize, count: usize) -> [&'a [f32]; ROWS] {
        std::array::from_fn(|i| self.row((first + i).min(count - 1)))
    }
}
