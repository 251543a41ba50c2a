//! Operands of f32 as tiles of bf16: each number is the sum of three, which have 8 of its 24 bits each.

use crate::product::Line;
use crate::threads::{Threads, each};
use std::arch::x86_64::{
    __m512, __m512i, __mmask16, _mm512_add_epi32, _mm512_and_si512, _mm512_castpd_ps, _mm512_castps_pd,
    _mm512_castps_si512, _mm512_castsi512_ps, _mm512_mask_i32gather_ps, _mm512_maskz_loadu_ps,
    _mm512_max_epu32, _mm512_permutex2var_epi16, _mm512_reduce_max_epu32, _mm512_set1_epi32,
    _mm512_setzero_ps, _mm512_setzero_si512, _mm512_shuffle_f32x4, _mm512_storeu_si512, _mm512_sub_ps,
    _mm512_unpackhi_pd, _mm512_unpackhi_ps, _mm512_unpacklo_pd, _mm512_unpacklo_ps,
};
use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

/// The rows of a tile, and the f32s in each.
pub const TILE: usize = 16;
/// The rows of `a`, or columns of `b`, in a panel: two tiles side by side.
pub const PANEL: usize = 2 * TILE;
/// How many numbers are summed at a time: those in a row of a tile of bf16.
pub const STEP: usize = 2 * TILE;
/// The numbers of bf16 that one of f32 is the sum of.
pub const PARTS: usize = 3;
/// The cache lines of a step of a panel: for each part, two tiles.
pub const STEP_LINES: usize = PARTS * PANEL;

/// The bits of 2^127: parts of larger numbers may be infinite.
const TOO_LARGE: u32 = 0x7f00_0000;

/// The side of the product: rows of `a`, or columns of `b`.
#[derive(Clone, Copy, PartialEq)]
pub enum Side {
    A,
    B,
}

/// Where the numbers of a matrix lie.
#[derive(Clone, Copy)]
pub enum Places<'a> {
    /// Row by row, `0` rows of `1` numbers.
    Dense(usize, usize),
    /// At the sum of a place for the row and a place for the column.
    Sums { rows: &'a [i32], columns: &'a [i32] },
}

/// An operand of a product, of which `kept` numbers stay apart and `summed` are added up.
#[derive(Clone, Copy)]
pub struct Operand<'a> {
    numbers: &'a [f32],
    places: Places<'a>,
    kept: usize,
    summed: usize,
    /// Whether the columns of the matrix are added up, not the rows.
    summed_last: bool,
    side: Side,
}

/// 16 rows of 16 numbers.
type Square = [__m512; TILE];

impl<'a> Operand<'a> {
    /// An operand that is a matrix within `numbers`.
    pub fn new(numbers: &'a [f32], places: Places<'a>, summed_last: bool, side: Side) -> Self {
        let [rows, columns] = match places {
            Places::Dense(rows, columns) => {
                assert!(rows * columns <= numbers.len());
                [rows, columns]
            }
            Places::Sums { rows, columns } => {
                let largest = |of: &[i32]| of.iter().max().map_or(0, |&largest| largest as usize);
                assert!(rows.iter().chain(columns).all(|&place| place >= 0));
                assert!(largest(rows) + largest(columns) < numbers.len());
                [rows.len(), columns.len()]
            }
        };
        let (kept, summed) = if summed_last { (rows, columns) } else { (columns, rows) };
        Self { numbers, places, kept, summed, summed_last, side }
    }

    pub fn panels(&self) -> usize {
        self.kept.div_ceil(PANEL)
    }

    pub fn steps(&self) -> usize {
        self.summed.div_ceil(STEP)
    }

    pub fn side(&self) -> Side {
        self.side
    }

    /// All panels, which all threads pack; `None` where [`pack`](Self::pack) fails.
    pub fn packed(&self, threads: &dyn Threads) -> Option<Box<[MaybeUninit<Line>]>> {
        let lines = self.steps() * STEP_LINES;
        let mut packed = Box::new_uninit_slice(self.panels() * lines);
        let is_regular = AtomicBool::new(true);
        let panels = packed.chunks_exact_mut(lines.max(1)).enumerate();
        each(threads, panels, |(panel, to)| {
            // SAFETY: the tiles' processor has AVX-512.
            if !unsafe { self.pack(panel, 0..self.steps(), to) } {
                is_regular.store(false, Ordering::Relaxed);
            }
        });
        is_regular.into_inner().then_some(packed)
    }

    /// Fills `to` with some steps of a panel, with zeros beyond the last numbers. Returns whether all of them are sums
    /// of three numbers of bf16, which infinite, undefined and the very largest ones are not.
    ///
    /// # Safety
    /// The processor has AVX-512, and `to` has [`STEP_LINES`] for each step.
    #[target_feature(enable = "avx512f,avx512bw")]
    pub unsafe fn pack(&self, panel: usize, steps: Range<usize>, to: &mut [MaybeUninit<Line>]) -> bool {
        assert!(to.len() == steps.len() * STEP_LINES);
        let mut largest = _mm512_setzero_si512();
        for (step, to) in steps.zip(to.chunks_exact_mut(STEP_LINES)) {
            for half in 0..2 {
                let (kept, summed) = (panel * PANEL + half * TILE, step * STEP);
                let mut squares = [[_mm512_setzero_ps(); TILE]; 2];
                for i in 0..2 {
                    let square = &mut squares[i];
                    *square = self.square(kept, summed + i * TILE);
                    for row in 0..TILE {
                        let bits = _mm512_castps_si512(square[row]);
                        let magnitude = _mm512_and_si512(bits, _mm512_set1_epi32(i32::MAX));
                        largest = _mm512_max_epu32(largest, magnitude);
                    }
                    // Rows of `a` have the summed numbers side by side, rows of `b` the columns.
                    if self.summed_last != (self.side == Side::A) {
                        *square = transposed(square);
                    }
                }
                let start = to[half * TILE..].as_mut_ptr().cast::<__m512i>();
                for row in 0..TILE {
                    let pair = match self.side {
                        Side::A => [squares[0][row], squares[1][row]],
                        Side::B => [squares[row / 8][2 * (row % 8)], squares[row / 8][2 * (row % 8) + 1]],
                    };
                    let parts = parts(pair, self.side);
                    for part in 0..PARTS {
                        // SAFETY: the step has two tiles for each part.
                        unsafe { _mm512_storeu_si512(start.add(part * PANEL + row), parts[part]) };
                    }
                }
            }
        }
        _mm512_reduce_max_epu32(largest) < TOO_LARGE
    }

    /// 16 by 16 numbers as they lie in memory, zeros beyond the last.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn square(&self, kept: usize, summed: usize) -> Square {
        let [row, column] = if self.summed_last { [kept, summed] } else { [summed, kept] };
        let mut square = [_mm512_setzero_ps(); TILE];
        let numbers = self.numbers.as_ptr();
        let mask = |columns: usize| ((1u32 << columns.saturating_sub(column).min(TILE)) - 1) as __mmask16;
        match self.places {
            Places::Dense(rows, columns) => {
                for i in 0..TILE.min(rows.saturating_sub(row)) {
                    let start = numbers.wrapping_add((row + i) * columns + column);
                    // SAFETY: the mask ends with the row; where it has no bit, nothing is read.
                    square[i] = unsafe { _mm512_maskz_loadu_ps(mask(columns), start) };
                }
            }
            Places::Sums { rows, columns } => {
                let (rows, mask) = (&rows[row.min(rows.len())..], mask(columns.len()));
                let columns = &columns[column.min(columns.len())..];
                let columns = &columns[..columns.len().min(TILE)];
                let Some(&first) = columns.first() else { return square };
                let is_run = columns.iter().zip(first..).all(|(&column, next)| column == next);
                let mut places = [0; TILE];
                places[..columns.len()].copy_from_slice(columns);
                // SAFETY: 64 bytes without padding; the sums of all places were checked to be within the numbers.
                unsafe {
                    let places: __m512i = std::mem::transmute(places);
                    for i in 0..TILE.min(rows.len()) {
                        let start = numbers.wrapping_add(rows[i] as usize);
                        square[i] = match is_run {
                            true => _mm512_maskz_loadu_ps(mask, start.wrapping_add(first as usize)),
                            false => {
                                _mm512_mask_i32gather_ps::<4>(_mm512_setzero_ps(), mask, places, start.cast())
                            }
                        };
                    }
                }
            }
        }
        square
    }
}

/// Fills `to` with rows of `columns` numbers one by one: for each 32 columns, with zeros beyond the last, and each row a line for
/// each part. Each 32 columns have room for `rows` rows. Returns whether it could, like [`Operand::pack`].
///
/// # Safety
/// The processor has AVX-512, and `to` has room for all.
#[target_feature(enable = "avx512f,avx512bw")]
pub unsafe fn pack_rows(numbers: &[f32], columns: usize, rows: usize, to: &mut [MaybeUninit<Line>]) -> bool {
    assert!(numbers.len() / columns <= rows && to.len() >= columns.div_ceil(STEP) * rows * PARTS);
    let mut largest = _mm512_setzero_si512();
    for (i, row) in numbers.chunks_exact(columns).enumerate() {
        for (step, some) in row.chunks(STEP).enumerate() {
            let mask = ((1u64 << some.len()) - 1) as u32;
            let start = some.as_ptr();
            // SAFETY: the masks end with the row, and there is room for all.
            unsafe {
                let pair = [
                    _mm512_maskz_loadu_ps(mask as __mmask16, start),
                    _mm512_maskz_loadu_ps((mask >> TILE) as __mmask16, start.wrapping_add(TILE)),
                ];
                for j in 0..2 {
                    let bits = _mm512_castps_si512(pair[j]);
                    let magnitude = _mm512_and_si512(bits, _mm512_set1_epi32(i32::MAX));
                    largest = _mm512_max_epu32(largest, magnitude);
                }
                let parts = parts(pair, Side::A);
                let to = to.as_mut_ptr().cast::<__m512i>().add((step * rows + i) * PARTS);
                for part in 0..PARTS {
                    _mm512_storeu_si512(to.add(part), parts[part]);
                }
            }
        }
    }
    _mm512_reduce_max_epu32(largest) < TOO_LARGE
}

/// Two registers of numbers as one of pairs of bf16 for each part: with `Side::A` one register behind the other, with `Side::B`
/// number by number in pairs.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn parts(pair: [__m512; 2], side: Side) -> [__m512i; PARTS] {
    const fn order(side: Side) -> [u16; 32] {
        let mut order = [0; 32];
        let mut i = 0;
        while i < 32 {
            // The upper half of a number of the first register, or of the second.
            order[i] = match side {
                Side::A => 2 * i as u16 + 1,
                Side::B => 2 * (i as u16 / 2) + 1 + 32 * (i as u16 % 2),
            };
            i += 1;
        }
        order
    }
    const ORDERS: [[u16; 32]; 2] = [order(Side::A), order(Side::B)];
    // SAFETY: both are 64 bytes without padding.
    let order: __m512i = unsafe { std::mem::transmute(ORDERS[usize::from(side == Side::B)]) };
    let upper = _mm512_set1_epi32(0xffff_0000_u32 as i32);
    // Half of the last bit that stays, so that the upper half is the nearest bf16.
    let half = _mm512_set1_epi32(0x8000);
    let mut left = pair;
    let mut parts = [_mm512_setzero_si512(); PARTS];
    for part in 0..PARTS {
        let mut bits = [_mm512_setzero_si512(); 2];
        for i in 0..2 {
            bits[i] = _mm512_castps_si512(left[i]);
            // The last remainder has no more bits than a bf16.
            if part + 1 < PARTS {
                bits[i] = _mm512_add_epi32(bits[i], half);
                let rounded = _mm512_castsi512_ps(_mm512_and_si512(bits[i], upper));
                left[i] = _mm512_sub_ps(left[i], rounded);
            }
        }
        parts[part] = _mm512_permutex2var_epi16(bits[0], order, bits[1]);
    }
    parts
}

/// The columns of a square as its rows.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn transposed(square: &Square) -> Square {
    // Within each quarter of the registers, 4 by 4 numbers of four rows.
    let mut quarters = [_mm512_setzero_ps(); TILE];
    for i in (0..TILE).step_by(4) {
        let low = _mm512_castps_pd(_mm512_unpacklo_ps(square[i], square[i + 1]));
        let high = _mm512_castps_pd(_mm512_unpackhi_ps(square[i], square[i + 1]));
        let low2 = _mm512_castps_pd(_mm512_unpacklo_ps(square[i + 2], square[i + 3]));
        let high2 = _mm512_castps_pd(_mm512_unpackhi_ps(square[i + 2], square[i + 3]));
        quarters[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, low2));
        quarters[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, low2));
        quarters[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(high, high2));
        quarters[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(high, high2));
    }
    // Then the quarters themselves: column 4 q + j is quarter q of the registers j, 4 + j, 8 + j and 12 + j.
    let mut columns = [_mm512_setzero_ps(); TILE];
    for j in 0..4 {
        let even = _mm512_shuffle_f32x4::<0x88>(quarters[j], quarters[4 + j]);
        let odd = _mm512_shuffle_f32x4::<0xdd>(quarters[j], quarters[4 + j]);
        let even2 = _mm512_shuffle_f32x4::<0x88>(quarters[8 + j], quarters[12 + j]);
        let odd2 = _mm512_shuffle_f32x4::<0xdd>(quarters[8 + j], quarters[12 + j]);
        columns[j] = _mm512_shuffle_f32x4::<0x88>(even, even2);
        columns[4 + j] = _mm512_shuffle_f32x4::<0x88>(odd, odd2);
        columns[8 + j] = _mm512_shuffle_f32x4::<0xdd>(even, even2);
        columns[12 + j] = _mm512_shuffle_f32x4::<0xdd>(odd, odd2);
    }
    columns
}
