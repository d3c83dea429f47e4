//! Plain optimizers over plain slices, as anybody would write them.

use std::iter::zip;

pub(crate) const RATE: f32 = 0.01;

/// One step: weights, two state vectors (empty where it has none), gradient.
pub(crate) type Loop = fn(&mut [f32], &mut [f32], &mut [f32], &[f32]);

pub(crate) fn sgd(weights: &mut [f32], _: &mut [f32], _: &mut [f32], gradient: &[f32]) {
    for (weight, gradient) in zip(weights, gradient) {
        *weight -= RATE * gradient;
    }
}

pub(crate) fn momentum(weights: &mut [f32], first: &mut [f32], _: &mut [f32], gradient: &[f32]) {
    for ((weight, velocity), gradient) in zip(zip(weights, first), gradient) {
        *velocity = 0.9 * *velocity + gradient;
        *weight -= RATE * *velocity;
    }
}

pub(crate) fn adam(weights: &mut [f32], first: &mut [f32], second: &mut [f32], gradient: &[f32]) {
    for ((weight, (first, second)), gradient) in zip(zip(weights, zip(first, second)), gradient) {
        *first = 0.9 * *first + 0.1 * gradient;
        *second = 0.999 * *second + 0.001 * gradient * gradient;
        *weight -= RATE * *first / (second.sqrt() + 1e-8);
    }
}
