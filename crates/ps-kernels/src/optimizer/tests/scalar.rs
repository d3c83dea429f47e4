//! Every rule once more, one element at a time, with each intermediate result checked.

use super::super::kernel::FLOOR;
use super::super::{Optimizer, OptimizerKind};

/// Passes a result on unless it is denormal, which no operation may yield.
fn normal(value: f32) -> f32 {
    assert!(!value.is_subnormal(), "denormal intermediate {value:e}");
    value
}

fn scaled(constant: f64, value: f32) -> f32 {
    let constant = constant as f32;
    let constant = if constant.is_subnormal() { 0.0 } else { constant };
    let floor = FLOOR / constant.abs().min(1.0);
    normal(if value.abs() < floor { 0.0 * constant } else { value * constant })
}

fn floored(value: f32) -> f32 {
    if value.abs() < FLOOR { 0.0 } else { value }
}

/// A product with state that was floored when it was stored.
fn state_scaled(constant: f64, state: f32) -> f32 {
    let constant = constant as f32;
    let constant = if constant.abs() < 2.0_f32.powi(-40) { 0.0 } else { constant };
    constant * state
}

/// The buffer of momentum after a gradient; what it was may be any number, as it may be restored.
fn moved(momentum: f32, buffer: f32, gradient: f32) -> f32 {
    let sum = state_scaled(momentum.into(), buffer) + gradient;
    if sum.abs() < 2.0_f32.powi(-60) { 0.0 } else { sum }
}

fn squared(value: f32) -> f32 {
    if value.abs() < 2.0_f32.powi(-50) { 0.0 } else { normal(value * value) }
}

fn scaled_square(constant: f64, value: f32) -> f32 {
    let constant = constant as f32;
    if value.abs() < (FLOOR / constant).sqrt() {
        return 0.0;
    }
    normal(normal(constant * value) * value)
}

fn divided(rate: f64, numerator: f32, denominator: f32) -> f32 {
    let rate = rate as f32;
    let rate = if rate.is_subnormal() { 0.0 } else { rate };
    let floor = (FLOOR / rate.abs().min(1.0)).max(2.0_f32.powi(-60));
    if numerator.abs() < normal(denominator * floor) {
        return (0.0 / denominator) * rate;
    }
    normal(normal(numerator / denominator) * rate)
}

/// The weight and state after one gradient.
#[inline(never)]
pub(super) fn step(
    optimizer: &Optimizer,
    learning_rate: f32,
    count: u64,
    (weight, slots): (f32, [f32; 2]),
    gradient: f32,
) -> (f32, [f32; 2]) {
    let rate = f64::from(learning_rate);
    let left = 1.0 - rate * f64::from(optimizer.weight_decay);
    let weight = if left == 1.0 { weight } else { scaled(left, weight) };
    let (step, slots) = match optimizer.kind {
        OptimizerKind::Sgd => (scaled(rate, gradient), slots),
        OptimizerKind::Momentum { momentum } => {
            let buffer = moved(momentum, slots[0], gradient);
            (normal(state_scaled(rate, buffer)), [buffer, slots[1]])
        }
        OptimizerKind::Nesterov { momentum } => {
            let buffer = moved(momentum, slots[0], gradient);
            let further = normal(state_scaled(momentum.into(), buffer));
            let direction = gradient + further;
            (scaled(rate, direction), [buffer, slots[1]])
        }
        OptimizerKind::Adagrad { epsilon } => {
            let sum = normal(floored(slots[0]) + squared(gradient));
            (divided(rate, gradient, sum.sqrt() + epsilon as f32), [sum, slots[1]])
        }
        OptimizerKind::RmsProp { alpha, epsilon } => {
            let mean = scaled(alpha, slots[0]) + scaled_square(1.0 - alpha, gradient);
            let mean = normal(mean);
            (divided(rate, gradient, mean.sqrt() + epsilon as f32), [mean, slots[1]])
        }
        OptimizerKind::Adam { beta1, beta2, epsilon }
        | OptimizerKind::AdamW { beta1, beta2, epsilon } => {
            let first = normal(scaled(beta1, slots[0]) + scaled(1.0 - beta1, gradient));
            let second = scaled(beta2, slots[1]) + scaled_square(1.0 - beta2, gradient);
            let second = normal(second);
            // The tests count at most to 2, where repeated squaring is a plain product.
            let power = |beta: f64| if count == 1 { beta } else { beta * beta };
            let scale = (1.0 - power(beta2)).sqrt().recip() as f32;
            let denominator = normal(second.sqrt() * scale) + epsilon as f32;
            (divided(rate / (1.0 - power(beta1)), first, denominator), [first, second])
        }
    };
    // A weight that is denormal from the start stays so where it does not move.
    let after = if weight.is_subnormal() { weight - step } else { normal(weight - step) };
    (after, slots)
}
