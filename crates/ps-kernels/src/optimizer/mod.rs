//! The optimizers that servers apply to pushed gradients.
//!
//! Each follows PyTorch's definition and defaults, with one difference: weight decay is decoupled
//! for all of them. Weights shrink by `1 - learning_rate * weight_decay` once per push, before the
//! step, and the decay never enters the gradient's running means.

mod adagrad;
mod adam;
mod error;
pub mod kernel;
mod momentum;
mod rmsprop;
mod sgd;
mod step;

use serde::{Deserialize, Serialize};

pub use adagrad::Adagrad;
pub use adam::Adam;
pub use error::Error;
pub use momentum::{Momentum, Nesterov};
pub use rmsprop::RmsProp;
pub use sgd::Sgd;
pub use step::Step;

/// The names that [`Optimizer::parse`] knows.
pub const NAMES: [&str; 7] = ["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"];

/// State vectors that an optimizer keeps at most, each as long as the weights.
pub const SLOTS_MAX: usize = 2;

/// Which rule turns gradients into steps, with its constants.
// Constants near 0 or 1 are `f64`: 1 - 0.999 rounded to `f32` first would be off by 5e-5.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase", deny_unknown_fields)]
pub enum OptimizerKind {
    /// Plain gradient descent; keeps no state.
    Sgd,
    /// Gradient descent along a decaying sum of gradients.
    Momentum {
        /// Share of the sum kept from push to push, in [0, 1).
        momentum: f32,
    },
    /// Momentum that looks one step ahead.
    Nesterov {
        /// Share of the sum kept from push to push, in (0, 1).
        momentum: f32,
    },
    /// Rates that fall with the sum of squared gradients; good for sparse features.
    Adagrad {
        /// Added to the root of the sum, at least 1e-12.
        epsilon: f64,
    },
    /// Rates that fall with the running mean of squared gradients.
    RmsProp {
        /// Share of the mean kept from push to push, in [0, 1).
        alpha: f64,
        /// Added to the root of the mean, at least 1e-12.
        epsilon: f64,
    },
    /// Running means of gradients over the root of running means of their squares.
    Adam {
        /// Share of the first mean kept from push to push, in [0, 1).
        beta1: f64,
        /// Share of the second mean kept from push to push, in [0, 1).
        beta2: f64,
        /// Added to the root of the second mean, at least 1e-12.
        epsilon: f64,
    },
    /// Adam with a weight decay of 0.01 by default.
    AdamW {
        /// Share of the first mean kept from push to push, in [0, 1).
        beta1: f64,
        /// Share of the second mean kept from push to push, in [0, 1).
        beta2: f64,
        /// Added to the root of the second mean, at least 1e-12.
        epsilon: f64,
    },
}

/// An optimizer: a rule and the weight decay applied before it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Optimizer {
    /// The rule.
    pub kind: OptimizerKind,
    /// Decoupled decay: a push first multiplies weights by `1 - learning_rate * weight_decay`.
    pub weight_decay: f32,
}

impl Optimizer {
    /// An optimizer by name, with PyTorch's defaults for what is not given (momentum: 0.9).
    ///
    /// # Errors
    /// An unknown name, a momentum for a rule that has none, or a number out of range.
    pub fn parse(
        name: &str,
        momentum: Option<f32>,
        weight_decay: Option<f32>,
    ) -> Result<Self, Error> {
        let kind = match name {
            "sgd" => OptimizerKind::Sgd,
            "momentum" => OptimizerKind::Momentum { momentum: momentum.unwrap_or(0.9) },
            "nesterov" => OptimizerKind::Nesterov { momentum: momentum.unwrap_or(0.9) },
            "adagrad" => OptimizerKind::Adagrad { epsilon: 1e-10 },
            "rmsprop" => OptimizerKind::RmsProp { alpha: 0.99, epsilon: 1e-8 },
            "adam" => OptimizerKind::Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
            "adamw" => OptimizerKind::AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
            _ => return Err(Error::UnknownName(name.to_owned())),
        };
        let takes_momentum =
            matches!(kind, OptimizerKind::Momentum { .. } | OptimizerKind::Nesterov { .. });
        if momentum.is_some() && !takes_momentum {
            return Err(Error::NoMomentum(kind.name()));
        }
        let usual_decay = if matches!(kind, OptimizerKind::AdamW { .. }) { 0.01 } else { 0.0 };
        let optimizer = Self { kind, weight_decay: weight_decay.unwrap_or(usual_decay) };
        optimizer.validate()?;
        Ok(optimizer)
    }

    /// The name that [`Optimizer::parse`] takes.
    pub fn name(&self) -> &'static str {
        self.kind.name()
    }

    /// State vectors kept, each as long as the weights.
    pub fn slots(&self) -> usize {
        match self.kind {
            OptimizerKind::Sgd => 0,
            OptimizerKind::Momentum { .. }
            | OptimizerKind::Nesterov { .. }
            | OptimizerKind::Adagrad { .. }
            | OptimizerKind::RmsProp { .. } => 1,
            OptimizerKind::Adam { .. } | OptimizerKind::AdamW { .. } => 2,
        }
    }

    /// A learning rate to begin with where the user names none.
    pub fn default_learning_rate(&self) -> f32 {
        match self.kind {
            OptimizerKind::Sgd => 0.1,
            OptimizerKind::Momentum { .. }
            | OptimizerKind::Nesterov { .. }
            | OptimizerKind::Adagrad { .. } => 0.01,
            OptimizerKind::RmsProp { .. }
            | OptimizerKind::Adam { .. }
            | OptimizerKind::AdamW { .. } => 0.001,
        }
    }
}

impl OptimizerKind {
    /// The name that [`Optimizer::parse`] takes.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sgd => "sgd",
            Self::Momentum { .. } => "momentum",
            Self::Nesterov { .. } => "nesterov",
            Self::Adagrad { .. } => "adagrad",
            Self::RmsProp { .. } => "rmsprop",
            Self::Adam { .. } => "adam",
            Self::AdamW { .. } => "adamw",
        }
    }
}

#[cfg(test)]
mod tests;
