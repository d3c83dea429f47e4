//! RMSProp: each weight's rate falls with the running mean of its squared gradients.

use super::kernel::{Decay, Factor, Rule};

/// `mean = alpha * mean + (1 - alpha) * gradient^2`, and the weight moves by
/// `rate * gradient / (sqrt(mean) + epsilon)`.
#[derive(Clone, Copy, Debug)]
pub struct RmsProp {
    pub(super) rate: Factor,
    pub(super) decay: Decay,
    pub(super) alpha: Factor,
    pub(super) one_minus_alpha: Factor,
    pub(super) epsilon: f32,
}

impl Rule<1> for RmsProp {
    const SHOWN_BY_WEIGHT: usize = 0;

    #[inline(always)]
    fn step(self, weight: f32, [mean]: [f32; 1], gradient: f32) -> (f32, [f32; 1]) {
        let mean = self.alpha.times(mean) + self.one_minus_alpha.times_square(gradient);
        let step = self.rate.times_quotient(gradient, mean.sqrt() + self.epsilon);
        (self.decay.of(weight) - step, [mean])
    }
}
