//! Plain stochastic gradient descent.

use super::bounds::Bounds;
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

impl Sgd {
    pub(super) fn bounds(self, held: Bounds, gradient: f64) -> Bounds {
        Bounds { weights: moved(held, self.decay, self.rate, gradient), slots: held.slots }
    }
}

/// Bound on a decayed weight after a step of `rate` along a direction of at most `direction`.
pub(super) fn moved(held: Bounds, decay: Factor, rate: Factor, direction: f64) -> f64 {
    let decay = f64::from(decay.value()).abs();
    // At least the direction itself, which is computed before it is multiplied by the rate.
    held.weights * decay + direction * f64::from(rate.value()).max(1.0)
}
