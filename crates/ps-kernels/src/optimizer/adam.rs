//! Adam; AdamW is the same step with another default decay, since decay is always decoupled here.

use super::kernel::{Decay, Factor, Rule};

/// Running means of the gradient and of its square, both corrected for their start at zero.
#[derive(Clone, Copy, Debug)]
pub struct Adam {
    /// The learning rate over the first mean's bias correction.
    rate: Factor,
    decay: Decay,
    beta1: Factor,
    one_minus_beta1: Factor,
    beta2: Factor,
    one_minus_beta2: Factor,
    /// One over the square root of the second mean's bias correction.
    second_scale: f32,
    epsilon: f32,
}

/// Adam's constants as the user gave them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Constants {
    pub(super) beta1: f64,
    pub(super) beta2: f64,
    pub(super) epsilon: f64,
}

impl Adam {
    /// The step number `count` (from 1) at a learning rate.
    pub(super) fn new(constants: Constants, rate: f64, decay: Decay, count: u64) -> Self {
        let Constants { beta1, beta2, epsilon } = constants;
        let second_correction = 1.0 - power(beta2, count);
        Self {
            rate: Factor::new(rate / (1.0 - power(beta1, count))),
            decay,
            beta1: Factor::new(beta1),
            one_minus_beta1: Factor::new(1.0 - beta1),
            beta2: Factor::new(beta2),
            one_minus_beta2: Factor::new(1.0 - beta2),
            second_scale: second_correction.sqrt().recip() as f32,
            epsilon: epsilon as f32,
        }
    }
}

impl Rule<2> for Adam {
    const SHOWN_BY_WEIGHT: usize = 1;

    #[inline(always)]
    fn step(self, weight: f32, [first, second]: [f32; 2], gradient: f32) -> (f32, [f32; 2]) {
        let first = self.beta1.times(first) + self.one_minus_beta1.times(gradient);
        let second = self.beta2.times(second) + self.one_minus_beta2.times_square(gradient);
        let denominator = second.sqrt() * self.second_scale + self.epsilon;
        let step = self.rate.times_quotient(first, denominator);
        (self.decay.of(weight) - step, [first, second])
    }
}

/// `base` to a whole power by repeated squaring.
// Not `powi` or `powf`, whose last bit depends on the platform: replicas and replays must agree.
fn power(mut base: f64, mut exponent: u64) -> f64 {
    let mut product = 1.0;
    while exponent > 0 {
        if exponent & 1 == 1 {
            product *= base;
        }
        base *= base;
        exponent >>= 1;
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers() {
        assert_eq!(power(0.5, 10), 0.5_f64.powi(10));
        assert_eq!(power(0.0, 1), 0.0);
        assert_eq!(power(0.9, u64::MAX), 0.0);
        assert!((power(0.999, 12_345) / 0.999_f64.powf(12_345.0) - 1.0).abs() < 1e-12);
    }
}
