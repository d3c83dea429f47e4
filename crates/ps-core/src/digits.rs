//! Numbers in metric lines and for people: enough digits to compare with, none to drown in.

/// Below this a number has four digits that count instead of four decimals.
const SMALL: f64 = 0.01;
/// Decimals beyond which a small number is written with an exponent, and the size from which a large one is.
const DECIMALS_MAX: i32 = 12;
const LARGE: f64 = 1e9;

/// Four decimals, of a number near 0 four digits that count: an error of 0.0000 says nothing.
pub fn digits(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() || size == 0.0 || (SMALL..LARGE).contains(&size) {
        return format!("{value:.4}");
    }
    let decimals = 3 - size.log10().floor() as i32;
    match usize::try_from(decimals) {
        Ok(places) if decimals <= DECIMALS_MAX => format!("{value:.places$}"),
        _ => format!("{value:.3e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Found by newcomers: the error of small numbers was 0.0000, whatever one changed.
    #[test]
    fn regression_small_numbers_keep_digits_that_count() {
        for (value, expected) in [
            (0.977_12, "0.9771"),
            (2.0, "2.0000"),
            (0.01, "0.0100"),
            (0.001_234_56, "0.001235"),
            (-0.000_012_345, "-0.00001234"),
            (1.234_5e-20, "1.234e-20"),
            (123_456.789, "123456.7890"),
            (1.5e300, "1.500e300"),
            (0.0, "0.0000"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(digits(value), expected);
        }
    }
}
