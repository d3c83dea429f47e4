//! Random start values that are the same on every machine.
//!
//! The logarithm of the standard library is the platform's and may differ in its last bit, so the
//! one used here is written with additions, multiplications and divisions only, which are exact to
//! the bit everywhere.

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A stream of random numbers for one tensor.
pub struct Random {
    source: ChaCha8Rng,
    /// Normal values come in pairs; the second of the last pair.
    spare: Option<f64>,
}

impl Random {
    /// The stream for this tensor of the job with this seed.
    pub fn for_tensor(seed: u64, name: &str) -> Self {
        let mut key = [0_u8; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&hash(name).to_le_bytes());
        // Keeps this stream apart from every other one that is keyed by the same seed.
        key[16..].copy_from_slice(b"ps start value 1");
        Self { source: ChaCha8Rng::from_seed(key), spare: None }
    }

    /// At least 0 and below 1, in steps of 2^-53.
    pub fn uniform(&mut self) -> f64 {
        (self.source.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Mean 0, standard deviation 1 (Marsaglia's polar method).
    pub fn normal(&mut self) -> f64 {
        if let Some(value) = self.spare.take() {
            return value;
        }
        loop {
            let (x, y) = (2.0 * self.uniform() - 1.0, 2.0 * self.uniform() - 1.0);
            let square = x * x + y * y;
            if square > 0.0 && square < 1.0 {
                let scale = (-2.0 * natural_logarithm(square) / square).sqrt();
                self.spare = Some(y * scale);
                return x * scale;
            }
        }
    }
}

/// FNV-1a, 64 bits.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The natural logarithm of a positive normal number.
fn natural_logarithm(value: f64) -> f64 {
    // value = mantissa * 2^exponent, with the mantissa between sqrt(1/2) and sqrt(2).
    let bits = value.to_bits();
    let mut exponent = ((bits >> 52) & 0x7ff) as i64 - 1023;
    let mut mantissa = f64::from_bits((bits & 0x000f_ffff_ffff_ffff) | (1023 << 52));
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa /= 2.0;
        exponent += 1;
    }
    // ln m = 2 artanh((m - 1) / (m + 1)); the argument is below 0.172, so 12 terms suffice.
    let ratio = (mantissa - 1.0) / (mantissa + 1.0);
    let square = ratio * ratio;
    let series = (0..12).rev().fold(0.0, |sum, term| sum * square + 1.0 / f64::from(2 * term + 1));
    2.0 * ratio * series + exponent as f64 * std::f64::consts::LN_2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_is_one() {
        for value in [1e-300, 1e-9, 0.3, 0.5, 0.9999, 1.0, 1.5, 2.0, 7.5, 1e20] {
            let (ours, theirs) = (natural_logarithm(value), f64::ln(value));
            assert!((ours - theirs).abs() <= 1e-15 * theirs.abs().max(0.1), "ln {value}");
        }
    }

    #[test]
    fn normal_values_have_the_moments_of_a_normal_distribution() {
        let mut random = Random::for_tensor(1, "a");
        let count = 100_000;
        let values: Vec<f64> = (0..count).map(|_| random.normal()).collect();
        let moment = |power| values.iter().map(|v| v.powi(power)).sum::<f64>() / f64::from(count);
        assert!(moment(1).abs() < 0.02, "mean {}", moment(1));
        assert!((moment(2) - 1.0).abs() < 0.03, "variance {}", moment(2));
        assert!((moment(4) - 3.0).abs() < 0.2, "fourth moment {}", moment(4));
    }
}
