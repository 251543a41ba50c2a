//! Numbers of memory in registers, and back.

use pulp::Simd;

/// At most as many numbers as a register has, and zeros for the others.
#[inline(always)]
pub(super) fn load<S: Simd>(simd: S, numbers: &[f32]) -> S::f32s {
    match S::as_simd_f32s(numbers).0 {
        [whole] => *whole,
        _ => simd.partial_load_f32s(numbers),
    }
}

/// As many numbers of a register as `place` has room for.
#[inline(always)]
pub(super) fn store<S: Simd>(simd: S, place: &mut [f32], value: S::f32s) {
    match S::as_mut_simd_f32s(place).0 {
        [whole] => *whole = value,
        _ => simd.partial_store_f32s(place, value),
    }
}
