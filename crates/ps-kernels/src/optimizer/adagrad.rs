//! Adagrad: each weight's rate falls with the sum of its squared gradients.

use super::kernel::{Decay, FLOOR, Factor, Rule, keep, square};

/// `sum = sum + gradient^2`, and the weight moves by `rate * gradient / (sqrt(sum) + epsilon)`.
#[derive(Clone, Copy, Debug)]
pub struct Adagrad {
    pub(super) rate: Factor,
    pub(super) decay: Decay,
    pub(super) epsilon: f32,
}

impl Rule<1> for Adagrad {
    const SHOWN_BY_WEIGHT: usize = 0;

    #[inline(always)]
    fn step(self, weight: f32, [sum]: [f32; 1], gradient: f32) -> (f32, [f32; 1]) {
        let sum = keep(sum, FLOOR) + square(gradient);
        let step = self.rate.times_quotient(gradient, sum.sqrt() + self.epsilon);
        (self.decay.of(weight) - step, [sum])
    }
}
