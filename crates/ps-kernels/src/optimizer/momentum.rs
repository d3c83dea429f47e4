//! Stochastic gradient descent with momentum, classic and Nesterov's.

use super::kernel::{Decay, Factor, Rule, STATE_FLOOR, StateFactor, keep};

/// `buffer = momentum * buffer + gradient`, and the weight moves along the buffer.
///
/// The buffer starts at zero, so the first step moves along the gradient, as without dampening.
#[derive(Clone, Copy, Debug)]
pub struct Momentum {
    pub(super) rate: StateFactor,
    pub(super) decay: Decay,
    pub(super) momentum: StateFactor,
}

/// What the buffer becomes. One floor for the sum: what is below it only ever is a term, and a processor adds
/// denormals as fast as other numbers. A buffer that was restored may be below the floor, for one step.
#[inline(always)]
fn moved(momentum: StateFactor, buffer: f32, gradient: f32) -> f32 {
    keep(momentum.times(buffer) + gradient, STATE_FLOOR)
}

impl Rule<1> for Momentum {
    const SHOWN_BY_WEIGHT: usize = 1;

    #[inline(always)]
    fn step(self, weight: f32, [buffer]: [f32; 1], gradient: f32) -> (f32, [f32; 1]) {
        let buffer = moved(self.momentum, buffer, gradient);
        (self.decay.of(weight) - self.rate.times(buffer), [buffer])
    }
}

/// As [`Momentum`], but the weight moves along `gradient + momentum * buffer`: one step ahead.
#[derive(Clone, Copy, Debug)]
pub struct Nesterov {
    pub(super) rate: Factor,
    pub(super) decay: Decay,
    pub(super) momentum: StateFactor,
}

impl Rule<1> for Nesterov {
    const SHOWN_BY_WEIGHT: usize = 1;

    #[inline(always)]
    fn step(self, weight: f32, [buffer]: [f32; 1], gradient: f32) -> (f32, [f32; 1]) {
        let Self { rate, decay, momentum } = self;
        let buffer = moved(momentum, buffer, gradient);
        let direction = gradient + momentum.times(buffer);
        (decay.of(weight) - rate.times(direction), [buffer])
    }
}
