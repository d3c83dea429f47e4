//! One push's optimizer step with all its constants worked out, ready for any number of spans.

use std::ops::Range;

use super::adagrad::Adagrad;
use super::adam::{Adam, Constants};
use super::kernel::{self, Decay, Factor, StateFactor};
use super::momentum::{Momentum, Nesterov};
use super::rmsprop::RmsProp;
use super::sgd::Sgd;
use super::{Optimizer, OptimizerKind, SLOTS_MAX};

/// What one push does to every element that it covers.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Plain gradient descent.
    Sgd(Sgd),
    /// With momentum.
    Momentum(Momentum),
    /// With Nesterov's momentum.
    Nesterov(Nesterov),
    /// Adagrad.
    Adagrad(Adagrad),
    /// RMSProp.
    RmsProp(RmsProp),
    /// Adam and AdamW.
    Adam(Adam),
}

impl Optimizer {
    /// The step of the gradient update number `count` (from 1) at a learning rate.
    pub fn step(&self, learning_rate: f32, count: u64) -> Step {
        Step::new(self, learning_rate, count)
    }
}

impl Step {
    fn new(optimizer: &Optimizer, learning_rate: f32, count: u64) -> Self {
        let exact = f64::from(learning_rate);
        let rate = Factor::new(exact);
        let decay = Decay::new(1.0 - exact * f64::from(optimizer.weight_decay));
        match optimizer.kind {
            OptimizerKind::Sgd => Self::Sgd(Sgd { rate, decay }),
            OptimizerKind::Momentum { momentum } => {
                let [rate, momentum] = [exact, momentum.into()].map(StateFactor::new);
                Self::Momentum(Momentum { rate, decay, momentum })
            }
            OptimizerKind::Nesterov { momentum } => {
                let momentum = StateFactor::new(momentum.into());
                Self::Nesterov(Nesterov { rate, decay, momentum })
            }
            OptimizerKind::Adagrad { epsilon } => {
                Self::Adagrad(Adagrad { rate, decay, epsilon: epsilon as f32 })
            }
            OptimizerKind::RmsProp { alpha, epsilon } => Self::RmsProp(RmsProp {
                rate,
                decay,
                alpha: Factor::new(alpha),
                one_minus_alpha: Factor::new(1.0 - alpha),
                epsilon: epsilon as f32,
            }),
            OptimizerKind::Adam { beta1, beta2, epsilon }
            | OptimizerKind::AdamW { beta1, beta2, epsilon } => {
                let constants = Constants { beta1, beta2, epsilon };
                Self::Adam(Adam::new(constants, exact, decay, count))
            }
        }
    }

    /// Works out what a gradient makes of `weights[range]` and the same range of every slot, and
    /// whether all of it is finite; a gradient that is not never leaves all of it finite.
    ///
    /// The gradient is little-endian `f32`, one for each element of the range. The results go to
    /// `after`, the weights' first and then each slot's, all as long as the range: writing them
    /// elsewhere is what lets one pass over memory both compute and check.
    ///
    /// # Panics
    /// If a slot is missing or shorter than the range; [`Optimizer::slots`] says how many to keep.
    #[inline]
    pub fn compute(
        &self,
        weights: &[f32],
        slots: &[Vec<f32>],
        range: Range<usize>,
        gradient: &[u8],
        after: [&mut [f32]; 1 + SLOTS_MAX],
    ) -> bool {
        let [weight, first, second] = after;
        let slot = |number: usize| &slots[number][range.clone()];
        let weights = &weights[range.clone()];
        match *self {
            Self::Sgd(rule) => kernel::without_slots(rule, weights, gradient, weight),
            Self::Momentum(rule) => {
                kernel::one_slot(rule, [weights, slot(0)], gradient, [weight, first])
            }
            Self::Nesterov(rule) => {
                kernel::one_slot(rule, [weights, slot(0)], gradient, [weight, first])
            }
            Self::Adagrad(rule) => {
                kernel::one_slot(rule, [weights, slot(0)], gradient, [weight, first])
            }
            Self::RmsProp(rule) => {
                kernel::one_slot(rule, [weights, slot(0)], gradient, [weight, first])
            }
            Self::Adam(rule) => {
                let before = [weights, slot(0), slot(1)];
                kernel::two_slots(rule, before, gradient, [weight, first, second])
            }
        }
    }
}
