//! Numbers of memory in registers, and back.

use pulp::{Arch, Simd, WithSimd};

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

/// How many numbers a register of this machine has.
pub(super) fn lanes() -> usize {
    struct Lanes;
    impl WithSimd for Lanes {
        type Output = usize;

        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }
    Arch::new().dispatch(Lanes)
}
