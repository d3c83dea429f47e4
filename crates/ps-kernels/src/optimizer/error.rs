//! The ranges of the optimizers' constants, and what is said when one is left.

use super::{NAMES, Optimizer, OptimizerKind};

/// Why an optimizer cannot be made.
#[derive(Clone, Debug, thiserror::Error, PartialEq)]
#[allow(missing_docs)]
pub enum Error {
    /// No optimizer has this name.
    #[error("optimizer `{0}` is not known; choose one of {names}", names = NAMES.join(", "))]
    UnknownName(String),
    /// A momentum was given to a rule that has none.
    #[error("optimizer `{0}` takes no momentum; choose `momentum` or `nesterov`, or leave it out")]
    NoMomentum(&'static str),
    /// A constant is outside its range.
    #[error("optimizer `{optimizer}`: {constant} is {found}; it must be {expected}")]
    OutOfRange {
        optimizer: &'static str,
        constant: &'static str,
        found: f64,
        expected: &'static str,
    },
}

const SHARE: &str = "at least 0 and below 1";
const POSITIVE_SHARE: &str = "above 0 and below 1";
const EPSILON: &str = "at least 1e-12 and at most 1";
const DECAY: &str = "finite and not negative";

/// The smallest epsilon; quotients stay in the range of `f32` above it.
const EPSILON_MIN: f64 = 1e-12;

impl Optimizer {
    /// Checks that every constant is in its range.
    ///
    /// # Errors
    /// The first constant out of range, with the range.
    pub fn validate(&self) -> Result<(), Error> {
        let require = |valid: bool, constant, found, expected| {
            let error = Error::OutOfRange { optimizer: self.name(), constant, found, expected };
            if valid { Ok(()) } else { Err(error) }
        };
        let share = |constant, found| require((0.0..1.0).contains(&found), constant, found, SHARE);
        let epsilon =
            |found| require((EPSILON_MIN..=1.0).contains(&found), "epsilon", found, EPSILON);
        let decay = f64::from(self.weight_decay);
        require(decay.is_finite() && decay >= 0.0, "weight decay", decay, DECAY)?;
        match self.kind {
            OptimizerKind::Sgd => Ok(()),
            OptimizerKind::Momentum { momentum } => share("momentum", momentum.into()),
            OptimizerKind::Nesterov { momentum } => {
                let momentum = f64::from(momentum);
                require(0.0 < momentum && momentum < 1.0, "momentum", momentum, POSITIVE_SHARE)
            }
            OptimizerKind::Adagrad { epsilon: value } => epsilon(value),
            OptimizerKind::RmsProp { alpha, epsilon: value } => {
                share("alpha", alpha)?;
                epsilon(value)
            }
            OptimizerKind::Adam { beta1, beta2, epsilon: value }
            | OptimizerKind::AdamW { beta1, beta2, epsilon: value } => {
                share("beta1", beta1)?;
                share("beta2", beta2)?;
                epsilon(value)
            }
        }
    }
}
