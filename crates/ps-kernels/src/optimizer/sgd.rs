//! Plain stochastic gradient descent.

use super::kernel::{Factor, Rule};

/// `weight = decay * weight - rate * gradient`
#[derive(Clone, Copy, Debug)]
pub struct Sgd {
    pub(super) rate: Factor,
    pub(super) decay: Factor,
}

impl Rule<0> for Sgd {
    #[inline(always)]
    fn step(self, weight: f32, _: [f32; 0], gradient: f32) -> (f32, [f32; 0]) {
        (self.decay.times(weight) - self.rate.times(gradient), [])
    }
}
