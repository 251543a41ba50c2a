//! Numbers of memory in registers, and back.

use pulp::{Arch, Simd, WithSimd};

/// Loads up to a register of numbers, the rest filled with zeros.
#[inline(always)]
pub(super) fn load<S: Simd>(simd: S, numbers: &[f32]) -> S::f32s {
    match S::as_simd_f32s(numbers).0 {
        [whole] => *whole,
        _ => simd.partial_load_f32s(numbers),
    }
}

/// Stores as many numbers of a register as `place` has room for.
#[inline(always)]
pub(super) fn store<S: Simd>(simd: S, place: &mut [f32], value: S::f32s) {
    match S::as_mut_simd_f32s(place).0 {
        [whole] => *whole = value,
        _ => simd.partial_store_f32s(place, value),
    }
}

/// Calls `f`, compiled for this machine's instruction set. `Arch::dispatch` calls a closure through a function that is compiled
/// without it unless inlined.
#[inline(always)]
pub(super) fn vectorized<R>(f: impl FnMut() -> R) -> R {
    struct Call<F>(F);
    impl<R, F: FnMut() -> R> WithSimd for Call<F> {
        type Output = R;

        #[inline(always)]
        fn with_simd<S: Simd>(mut self, _: S) -> R {
            (self.0)()
        }
    }
    Arch::new().dispatch(Call(f))
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
