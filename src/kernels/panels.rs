//! A matrix that is multiplied from the right repeatedly, packed once in the order in which registers load it.

use super::lanes::lanes;
use super::product::{Line, REGISTERS, ROWS, lines, product, unrolled};
use super::threads::{Threads, each};
use pulp::Simd;

/// A matrix `[summed, columns]` in panels of as many columns as [`REGISTERS`] registers hold, the last one filled up with
/// zeros.
pub(super) struct Panels {
    packed: Vec<Line>,
    summed: usize,
    /// The columns of a panel.
    width: usize,
    count: usize,
}

impl Panels {
    /// Packs a matrix.
    pub fn new(matrix: &[f32], [summed, columns]: [usize; 2], threads: &dyn Threads) -> Self {
        Self::pack([summed, columns], threads, |panel, first, width| {
            for (row, to) in matrix.chunks_exact(columns).zip(panel.chunks_exact_mut(width)) {
                let from = &row[first..columns.min(first + width)];
                to[..from.len()].copy_from_slice(from);
            }
        })
    }

    /// Packs the transpose of a matrix `[columns, summed]`.
    pub fn transposed(matrix: &[f32], [columns, summed]: [usize; 2], threads: &dyn Threads) -> Self {
        Self::pack([summed, columns], threads, |panel, first, width| {
            for (i, column) in matrix.chunks_exact(summed).skip(first).take(width).enumerate() {
                let to = panel[i..].iter_mut().step_by(width);
                to.zip(column).for_each(|(to, from)| *to = *from);
            }
        })
    }

    /// Has `fill` write each panel, from its first column on.
    fn pack(
        [summed, columns]: [usize; 2],
        threads: &dyn Threads,
        fill: impl Fn(&mut [f32], usize, usize) + Sync,
    ) -> Self {
        let width = REGISTERS * lanes();
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

    /// Room for the rows that [`multiply`](Self::multiply) writes for `rows`.
    pub fn room(&self, rows: usize) -> Vec<Line> {
        lines(rows.next_multiple_of(ROWS) * self.row())
    }

    /// The product of a matrix `[rows, summed]` with this one. The rows of the result have [`row`](Self::row) numbers, and
    /// none depends on its neighbours.
    #[inline(always)]
    pub fn multiply<S: Simd>(&self, simd: S, a: &[f32], rows: usize, result: &mut [f32]) {
        let (width, row, summed) = (REGISTERS * S::F32_LANES, self.row(), self.summed);
        assert!(width == self.width);
        let panels: &[f32] = bytemuck::cast_slice(&self.packed);
        for panel in 0..self.count {
            let b = S::as_simd_f32s(&panels[panel * summed * width..][..summed * width]).0;
            for first in (0..rows).step_by(ROWS) {
                // Rows beyond the last repeat it.
                let a: [&[f32]; ROWS] = std::array::from_fn(|i| &a[(first + i).min(rows - 1) * summed..]);
                let sums = product::<S, ROWS, REGISTERS>(simd, summed, a, b, REGISTERS);
                unrolled!(i < ROWS, {
                    let place = &mut result[(first + i) * row + panel * width..][..width];
                    let place = S::as_mut_simd_f32s(place).0;
                    unrolled!(j < REGISTERS, { place[j] = sums[i][j] });
                });
            }
        }
    }
}
