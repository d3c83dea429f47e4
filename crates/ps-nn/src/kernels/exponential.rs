//! `exp` and `tanh` that a vector unit computes many of at once: the standard library's are calls.

/// The base-2 logarithm of e, and the natural logarithm of 2 in two parts, of which the first has so
/// few bits that its product with a small whole number is exact (Cody and Waite, 1980).
const LOG2_E: f32 = std::f32::consts::LOG2_E;
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// Adding it rounds to a whole number, which then are the lowest bits.
const ROUNDING: f32 = 12_582_912.0;

/// Beyond these the result would not be a normal number.
const LOWEST: f32 = -87.0;
const HIGHEST: f32 = 88.0;

/// e to this power, with a relative error below 2e-7; powers beyond the range of normal numbers
/// count as its ends. NaN stays.
#[inline(always)]
pub(crate) fn exp(power: f32) -> f32 {
    let power = if power < LOWEST { LOWEST } else { power };
    let power = if power > HIGHEST { HIGHEST } else { power };
    let shifted = power * LOG2_E + ROUNDING;
    let whole = shifted - ROUNDING;
    let rest = power - whole * LN_2_HIGH - whole * LN_2_LOW;
    // Taylor's series: the rest is at most ln(2)/2, so that the next term is below 2e-8.
    let mut series = 1.0 / 5040.0;
    for divisor in [720.0_f32, 120.0, 24.0, 6.0, 2.0, 1.0, 1.0] {
        series = series * rest + 1.0 / divisor;
    }
    // The whole part goes to where a float has its exponent.
    let exponent = shifted.to_bits().wrapping_sub(ROUNDING.to_bits()).wrapping_add(127);
    series * f32::from_bits(exponent << 23)
}

/// The hyperbolic tangent, with an absolute error below 3e-7.
#[inline(always)]
pub(crate) fn tanh(value: f32) -> f32 {
    1.0 - 2.0 / (1.0 + exp(2.0 * value))
}

/// `1 / (1 + exp(-value))`.
#[inline(always)]
pub(crate) fn sigmoid(value: f32) -> f32 {
    1.0 / (1.0 + exp(-value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_agree_with_the_standard_library() {
        for step in -8_700..8_800 {
            let power = step as f32 / 100.0;
            let exact = f64::from(power).exp();
            let error = (f64::from(exp(power)) - exact).abs() / exact;
            assert!(error < 2e-7, "exp({power}): relative error {error}");
            let small = power / 10.0;
            let error = (f64::from(tanh(small)) - f64::from(small).tanh()).abs();
            assert!(error < 3e-7, "tanh({small}): error {error}");
        }
        assert!(exp(f32::NAN).is_nan() && tanh(f32::NAN).is_nan());
        assert!(exp(f32::NEG_INFINITY) < 1e-37 && exp(1e9).is_finite());
        assert!(sigmoid(-1e9) < 1e-30);
        assert_eq!((sigmoid(1e9), tanh(-1e9)), (1.0, -1.0));
    }
}
