//! One push's optimizer step with all its constants worked out, ready for any number of spans.

use std::ops::Range;

use super::adagrad::Adagrad;
use super::adam::{Adam, Constants};
use super::bounds::Bounds;
use super::kernel::{self, Factor};
use super::momentum::{Momentum, Nesterov};
use super::rmsprop::RmsProp;
use super::sgd::Sgd;
use super::{Optimizer, OptimizerKind};

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

impl Step {
    /// The step of a valid optimizer at a learning rate; `count` is its number, from 1.
    pub(super) fn new(optimizer: &Optimizer, learning_rate: f32, count: u64) -> Self {
        let exact = f64::from(learning_rate);
        let rate = Factor::new(exact);
        let decay = Factor::new(1.0 - exact * f64::from(optimizer.weight_decay));
        match optimizer.kind {
            OptimizerKind::Sgd => Self::Sgd(Sgd { rate, decay }),
            OptimizerKind::Momentum { momentum } => {
                let momentum = Factor::new(momentum.into());
                Self::Momentum(Momentum { rate, decay, momentum })
            }
            OptimizerKind::Nesterov { momentum } => {
                let momentum = Factor::new(momentum.into());
                Self::Nesterov(Nesterov(Momentum { rate, decay, momentum }))
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

    /// Changes `weights[range]` and the same range of every slot by a gradient: little-endian
    /// `f32`, one for each element of the range.
    ///
    /// # Panics
    /// If a slot is missing or shorter than the range; [`Optimizer::slots`] says how many to keep.
    pub fn apply(
        &self,
        weights: &mut [f32],
        slots: &mut [Vec<f32>],
        range: Range<usize>,
        gradient: &[u8],
    ) {
        let weights = &mut weights[range.clone()];
        if let Self::Sgd(rule) = *self {
            return kernel::without_slots(rule, weights, gradient);
        }
        let (first, rest) = slots.split_at_mut(1);
        let first = &mut first[0][range.clone()];
        match *self {
            Self::Sgd(_) => {}
            Self::Momentum(rule) => kernel::one_slot(rule, weights, first, gradient),
            Self::Nesterov(rule) => kernel::one_slot(rule, weights, first, gradient),
            Self::Adagrad(rule) => kernel::one_slot(rule, weights, first, gradient),
            Self::RmsProp(rule) => kernel::one_slot(rule, weights, first, gradient),
            Self::Adam(rule) => {
                kernel::two_slots(rule, weights, first, &mut rest[0][range], gradient);
            }
        }
    }

    /// Bounds that hold after this step, for elements that it covers and for those it does not.
    pub fn bounds(&self, held: Bounds, largest_gradient: f32) -> Bounds {
        let gradient = f64::from(largest_gradient);
        let after = match *self {
            Self::Sgd(rule) => rule.bounds(held, gradient),
            Self::Momentum(rule) => rule.bounds(held, gradient),
            Self::Nesterov(rule) => rule.bounds(held, gradient),
            Self::Adagrad(rule) => rule.bounds(held, gradient),
            Self::RmsProp(rule) => rule.bounds(held, gradient),
            Self::Adam(rule) => rule.bounds(held, gradient),
        };
        held.join(after)
    }
}
