//! The softmax of a row that comes in blocks.

use crate::functions::exp;

/// The largest number so far, and the sum of all `e^(x - largest)`.
#[derive(Clone, Copy)]
pub(super) struct Softmax {
    largest: f32,
    pub total: f32,
}

impl Softmax {
    /// The state of a row that has not begun.
    pub const EMPTY: Self = Self { largest: f32::NEG_INFINITY, total: 0.0 };

    /// Puts `e^(x - largest)` in the place of every number of the next block, a multiple of 16 numbers. Returns the
    /// factor by which to multiply sums over earlier blocks.
    #[inline(always)]
    pub fn add(&mut self, block: &mut [f32]) -> f32 {
        // A NaN is skipped here, and makes the sum NaN.
        let larger = |a: f32, b: f32| if b > a { b } else { a };
        let mut lanes = [self.largest; 16];
        for chunk in block.as_chunks::<16>().0 {
            for i in 0..16 {
                lanes[i] = larger(lanes[i], chunk[i]);
            }
        }
        let mut largest = self.largest;
        for lane in lanes {
            largest = larger(largest, lane);
        }
        for i in 0..block.len() {
            block[i] = exp(block[i] - largest);
        }
        let mut totals = [0f32; 16];
        for chunk in block.as_chunks::<16>().0 {
            for i in 0..16 {
                totals[i] += chunk[i];
            }
        }
        let factor = exp(self.largest - largest);
        let mut total = self.total * factor;
        for of_lane in totals {
            total += of_lane;
        }
        *self = Self { largest, total };
        factor
    }

    /// The same, once `largest` is the max of the whole row.
    #[inline(always)]
    pub fn exps(self, block: &mut [f32]) {
        for i in 0..block.len() {
            block[i] = exp(block[i] - self.largest);
        }
    }
}
