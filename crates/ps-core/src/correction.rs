//! Smaller steps for stale gradients.

use serde::{Deserialize, Serialize};
use strum::{Display, EnumMessage, EnumString, IntoStaticStr, VariantArray};

use ps_kernels::optimizer::OptimizerKind;

/// For which optimizers a stale push's learning rate is divided by its staleness.
///
/// Rules with a memory amplify stale gradients: at a delay of 7 pushes momentum 0.9 stops learning
/// without this, while plain gradient descent and Adagrad do not need it.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    Display,
    EnumMessage,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "lowercase")]
#[strum(
    serialize_all = "lowercase",
    parse_err_ty = UnknownCorrection,
    parse_err_fn = UnknownCorrection::of
)]
pub enum Correction {
    /// For none.
    None,
    /// For momentum, Nesterov, RMSProp, Adam and AdamW.
    #[default]
    Auto,
    /// For every optimizer.
    #[serde(rename = "lr")]
    #[strum(serialize = "lr")]
    LearningRate,
}

/// A word that names no staleness correction.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("staleness correction `{0}` is not known; choose one of none, auto, lr")]
pub struct UnknownCorrection(pub String);

impl UnknownCorrection {
    fn of(word: &str) -> Self {
        Self(word.to_owned())
    }
}

impl Correction {
    /// The rate for a gradient of this staleness, weight decay included.
    pub fn rate(self, kind: &OptimizerKind, learning_rate: f32, staleness: u64) -> f32 {
        let applies = match self {
            Self::None => false,
            Self::Auto => !matches!(kind, OptimizerKind::Sgd | OptimizerKind::Adagrad { .. }),
            Self::LearningRate => true,
        };
        if !applies || staleness <= 1 {
            return learning_rate;
        }
        (f64::from(learning_rate) / staleness as f64) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip() {
        for correction in [Correction::None, Correction::Auto, Correction::LearningRate] {
            let word = correction.to_string();
            assert_eq!(word.parse(), Ok(correction));
            assert_eq!(serde_json::to_string(&correction).unwrap(), format!("\"{word}\""));
        }
        let error = "off".parse::<Correction>().unwrap_err().to_string();
        assert!(error.contains("`off`") && error.contains("none, auto, lr"));
    }

    #[test]
    fn only_rules_with_a_memory_are_corrected_by_default() {
        let momentum = OptimizerKind::Momentum { momentum: 0.9 };
        assert_eq!(Correction::Auto.rate(&momentum, 1.0, 0), 1.0);
        assert_eq!(Correction::Auto.rate(&momentum, 1.0, 4), 0.25);
        assert_eq!(Correction::Auto.rate(&OptimizerKind::Sgd, 1.0, 4), 1.0);
        assert_eq!(Correction::LearningRate.rate(&OptimizerKind::Sgd, 1.0, 4), 0.25);
        assert_eq!(Correction::None.rate(&momentum, 1.0, 4), 1.0);
    }
}
