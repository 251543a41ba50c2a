//! Functions of one number, in a form that compilers turn into instructions over whole registers: without iterators, whose
//! functions are not inlined into callers compiled for more CPU features.

/// A polynomial with these coefficients, the highest power's first.
#[inline(always)]
fn horner<const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    let mut sum = coefficients[0];
    let mut i = 1;
    while i < N {
        sum = sum * x + coefficients[i];
        i += 1;
    }
    sum
}

/// eˣ for x up to 0, within 2 units of the last digit: 2ⁿ eʳ with r = x - n ln 2 and a polynomial for eʳ (Cephes, `expf`).
/// Below -87, where eˣ is nearly 0, it is 0.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    /// Added to a number, it leaves the nearest whole number in the last bits.
    const WHOLE: f32 = 12_582_912.0;
    /// ln 2 in two parts; the products of the first with whole numbers are exact.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    const LEAST: f32 = -87.0;
    let shifted = x * std::f32::consts::LOG2_E + WHOLE;
    let n = shifted - WHOLE;
    let r = x - n * LN_2[0] - n * LN_2[1];
    let polynomial =
        horner(r, [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5]);
    let scale = f32::from_bits((shifted.to_bits() << 23).wrapping_add(1f32.to_bits()));
    let result = (polynomial * r * r + r + 1.0) * scale;
    if x < LEAST { 0.0 } else { result }
}

/// 1 / (1 + e⁻ˣ), within 3 units of the last digit.
#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    let small = exp(-x.abs());
    let above = if x < 0.0 { small } else { 1.0 };
    above / (1.0 + small)
}

/// tanh x, within 3 units of the last digit: a polynomial near 0, where 1 - 2 / (e²ˣ + 1) would cancel (Cephes, `tanhf`).
#[inline(always)]
pub(super) fn tanh(x: f32) -> f32 {
    const NEAR: f32 = 0.625;
    let square = x * x;
    let polynomial =
        horner(square, [-5.704_988_7e-3, 2.063_909e-2, -5.373_971_6e-2, 0.133_314_42, -0.333_332_8]);
    let near = x + x * square * polynomial;
    let small = exp(-2.0 * x.abs());
    let far = ((1.0 - small) / (1.0 + small)).copysign(x);
    if x.abs() < NEAR { near } else { far }
}

#[cfg(test)]
mod tests {
    use super::{exp, sigmoid, tanh};

    /// The max distance of `f` from `exact`, in units of the last digit, over numbers from `from` to `to`.
    fn units_off(f: fn(f32) -> f32, exact: fn(f64) -> f64, [from, to]: [i32; 2]) -> f64 {
        let off = |x: f32| {
            let exact = exact(f64::from(x));
            let unit = f64::from((exact as f32).abs().next_up()) - f64::from((exact as f32).abs());
            (f64::from(f(x)) - exact).abs() / unit
        };
        let step = if cfg!(miri) { 9973 } else { 1 };
        (from..=to).step_by(step).map(|i| off(i as f32 * 1e-4)).fold(0.0, f64::max)
    }

    #[test]
    fn functions_are_within_units_of_the_last_digit() {
        assert!(units_off(exp, f64::exp, [-870_000, 0]) <= 2.0);
        assert!(units_off(sigmoid, |x| 1.0 / (1.0 + (-x).exp()), [-800_000, 800_000]) <= 3.0);
        assert!(units_off(tanh, f64::tanh, [-200_000, 200_000]) <= 3.0);
    }

    #[test]
    fn functions_reach_their_limits() {
        let infinity = f32::INFINITY;
        assert_eq!((exp(-1e3), exp(-infinity)), (0.0, 0.0));
        assert_eq!((sigmoid(-infinity), sigmoid(infinity)), (0.0, 1.0));
        assert_eq!((tanh(-infinity), tanh(infinity), tanh(0.0)), (-1.0, 1.0, 0.0));
        assert!([exp, sigmoid, tanh].iter().all(|f| f(f32::NAN).is_nan()));
    }
}
