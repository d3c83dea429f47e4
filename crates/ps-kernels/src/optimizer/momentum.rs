//! Stochastic gradient descent with momentum, classic and Nesterov's.

use super::kernel::{Decay, FLOOR, Factor, Rule, keep};

/// `buffer = momentum * buffer + gradient`, and the weight moves along the buffer.
///
/// The buffer starts at zero, so the first step moves along the gradient, as without dampening.
#[derive(Clone, Copy, Debug)]
pub struct Momentum {
    pub(super) rate: Factor,
    pub(super) decay: Decay,
    pub(super) momentum: Factor,
}

impl Rule<1> for Momentum {
    const SHOWN_BY_WEIGHT: usize = 1;

    #[inline(always)]
    fn step(self, weight: f32, [buffer]: [f32; 1], gradient: f32) -> (f32, [f32; 1]) {
        let buffer = self.momentum.times(buffer) + keep(gradient, FLOOR);
        (self.decay.of(weight) - self.rate.times(buffer), [buffer])
    }
}

/// As [`Momentum`], but the weight moves along `gradient + momentum * buffer`: one step ahead.
#[derive(Clone, Copy, Debug)]
pub struct Nesterov(pub(super) Momentum);

impl Rule<1> for Nesterov {
    const SHOWN_BY_WEIGHT: usize = 1;

    #[inline(always)]
    fn step(self, weight: f32, [buffer]: [f32; 1], gradient: f32) -> (f32, [f32; 1]) {
        let Momentum { rate, decay, momentum } = self.0;
        let gradient = keep(gradient, FLOOR);
        let buffer = momentum.times(buffer) + gradient;
        let direction = gradient + momentum.times(buffer);
        (decay.of(weight) - rate.times(direction), [buffer])
    }
}
