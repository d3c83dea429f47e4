//! Plain stochastic gradient descent.

use super::kernel::{Decay, Factor, Rule};

/// `weight = decay * weight - rate * gradient`
#[derive(Clone, Copy, Debug)]
pub struct Sgd {
    pub(super) rate: Factor,
    pub(super) decay: Decay,
}

impl Rule<0> for Sgd {
    const SHOWN_BY_WEIGHT: usize = 0;

    #[inline(always)]
    fn step(self, weight: f32, _: [f32; 0], gradient: f32) -> (f32, [f32; 0]) {
        (self.decay.of(weight) - self.rate.times(gradient), [])
    }
}
