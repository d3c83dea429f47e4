//! Stochastic gradient descent with momentum, classic and Nesterov's.

use super::bounds::Bounds;
use super::kernel::{FLOOR, Factor, Rule, keep};
use super::sgd::moved;

/// `buffer = momentum * buffer + gradient`, and the weight moves along the buffer.
///
/// The buffer starts at zero, so the first step moves along the gradient, as without dampening.
#[derive(Clone, Copy, Debug)]
pub struct Momentum {
    pub(super) rate: Factor,
    pub(super) decay: Factor,
    pub(super) momentum: Factor,
}

impl Rule<1> for Momentum {
    #[inline(always)]
    fn step(self, weight: f32, [buffer]: [f32; 1], gradient: f32) -> (f32, [f32; 1]) {
        let buffer = self.momentum.times(buffer) + keep(gradient, FLOOR);
        (self.decay.times(weight) - self.rate.times(buffer), [buffer])
    }
}

impl Momentum {
    fn buffer_bound(self, held: Bounds, gradient: f64) -> f64 {
        f64::from(self.momentum.value()) * held.slots[0] + gradient
    }

    pub(super) fn bounds(self, held: Bounds, gradient: f64) -> Bounds {
        let buffer = self.buffer_bound(held, gradient);
        Bounds { weights: moved(held, self.decay, self.rate, buffer), slots: [buffer, 0.0] }
    }
}

/// As [`Momentum`], but the weight moves along `gradient + momentum * buffer`: one step ahead.
#[derive(Clone, Copy, Debug)]
pub struct Nesterov(pub(super) Momentum);

impl Rule<1> for Nesterov {
    #[inline(always)]
    fn step(self, weight: f32, [buffer]: [f32; 1], gradient: f32) -> (f32, [f32; 1]) {
        let Momentum { rate, decay, momentum } = self.0;
        let gradient = keep(gradient, FLOOR);
        let buffer = momentum.times(buffer) + gradient;
        let direction = gradient + momentum.times(buffer);
        (decay.times(weight) - rate.times(direction), [buffer])
    }
}

impl Nesterov {
    pub(super) fn bounds(self, held: Bounds, gradient: f64) -> Bounds {
        let Momentum { rate, decay, momentum } = self.0;
        let buffer = self.0.buffer_bound(held, gradient);
        let direction = gradient + f64::from(momentum.value()) * buffer;
        Bounds { weights: moved(held, decay, rate, direction), slots: [buffer, 0.0] }
    }
}
