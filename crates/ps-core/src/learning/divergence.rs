//! Signs that a run diverges, which of them are evidence, and what is done about them.

use crate::digits::digits;
use crate::scores::EvaluationSet;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumMessage, EnumString, IntoStaticStr, VariantArray};

/// Steps without a finite loss that are never a mishap.
pub(super) const NOT_FINITE_STEPS: u64 = 50;

/// Consecutive steps far above the start that are never chance, and the reports that they must come
/// in: heavy tails lift one mean, not one after the other.
pub(super) const FAR_STEPS: u64 = 200;
pub(super) const FAR_REPORTS: u64 = 4;

/// How far above the start is far, as a multiple of it, and of 1 where the start is smaller: a model
/// that begins at its optimum has a loss near 0, of which any multiple is still a good model's.
const FAR: f64 = 9.0;

/// How far above the start, as a share of it, a pass's mean loss is worth a warning. The first pass
/// has more room: momentum and warm-up may lift the loss for a while before it falls.
const RISE: f64 = 0.1;
const RISE_FIRST_PASS: f64 = 1.0;

/// The loss above which a step is far above this start.
pub(super) fn far_above(start: f64) -> f64 {
    start + FAR * start.abs().max(1.0)
}

/// The loss above which a pass's mean is worth a warning.
pub(super) fn risen_above(start: f64, pass: u64) -> f64 {
    let rise = if pass == 0 { RISE_FIRST_PASS } else { RISE };
    start + rise * start.abs()
}

/// A sign that a run diverges. The message says what to try.
#[allow(missing_docs)]
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DivergenceSign {
    /// Nothing but NaN or infinity for a while.
    #[error("the loss of the last {steps} steps was NaN or infinite: {ADVICE}")]
    NotFinite { steps: u64 },
    /// Most of a pass had no finite loss.
    #[error("{not_finite} of {steps} steps of pass {} had a NaN or infinite loss: {ADVICE}", pass + 1)]
    MostlyNotFinite { pass: u64, not_finite: u64, steps: u64 },
    /// Nothing but losses far above the start for a while.
    #[error(
        "the loss of the last {steps} steps was never below {}, its mean is {}, and the first steps had {}: \
         {ADVICE}",
        digits(*limit), digits(*mean), digits(*start)
    )]
    FarAbove { steps: u64, limit: f64, mean: f64, start: f64 },
    /// A pass was worse than the start.
    #[error(
        "the mean loss of pass {}, {steps} steps, is {}, above the {} of the first steps: {ADVICE}",
        pass + 1, digits(*mean), digits(*start)
    )]
    Rose { pass: u64, steps: u64, mean: f64, start: f64 },
    /// The model that was written has no finite loss.
    #[error("the {} loss of the model that was written is NaN or infinite: {ADVICE}", set.name())]
    ModelNotFinite { set: EvaluationSet },
    /// Servers refused most of what programs pushed.
    #[error(
        "the servers refused {refused} of {all} updates of chunks, for values that are NaN or infinite: little of what was computed is in \
         the model; {ADVICE}, and look for such values in the data"
    )]
    MostlyRefused { refused: u64, all: u64 },
    /// The last steps had no finite loss, and training was over before they were fifty.
    #[error("training ended with a NaN or infinite loss, that of its last {steps} steps: {ADVICE}")]
    EndedNotFinite { steps: u64 },
}

const ADVICE: &str =
    "the run seems to diverge; try a lower --lr, --clip-norm 1 or a lower --staleness-bound";

impl DivergenceSign {
    /// Whether training is over.
    fn is_last(&self) -> bool {
        let at_end = matches!(self, Self::ModelNotFinite { .. } | Self::EndedNotFinite { .. });
        at_end || matches!(self, Self::MostlyRefused { .. })
    }

    /// Whether this cannot be chance, nor the noise of a model that was good at the start.
    pub fn is_evidence(&self) -> bool {
        match self {
            Self::NotFinite { .. } | Self::FarAbove { .. } => true,
            Self::ModelNotFinite { .. } | Self::EndedNotFinite { .. } => true,
            Self::MostlyRefused { .. } => true,
            Self::MostlyNotFinite { not_finite, .. } => *not_finite >= NOT_FINITE_STEPS,
            Self::Rose { .. } => false,
        }
    }
}

/// What is done when a run seems to diverge.
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
    parse_err_ty = UnknownDivergenceAction,
    parse_err_fn = UnknownDivergenceAction::of
)]
pub enum DivergenceAction {
    /// Ends the job on evidence, and warns of the other signs.
    #[default]
    Stop,
    /// Warns of every sign.
    Warn,
    /// Nothing.
    Off,
}

/// A word that names nothing that is done about divergence.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("--divergence `{0}` is not known; choose one of stop, warn, off")]
pub struct UnknownDivergenceAction(pub String);

impl UnknownDivergenceAction {
    fn of(word: &str) -> Self {
        Self(word.to_owned())
    }
}

/// What follows from a sign of divergence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The run is to end, for this reason.
    Stop(String),
    /// People should know this.
    Warn(String),
}

impl DivergenceAction {
    /// What follows from a sign.
    pub fn verdict(self, sign: &DivergenceSign) -> Option<Verdict> {
        match self {
            Self::Off => None,
            Self::Stop if sign.is_evidence() => Some(Verdict::Stop(sign.to_string())),
            Self::Stop | Self::Warn if sign.is_last() => Some(Verdict::Warn(sign.to_string())),
            Self::Stop | Self::Warn => Some(Verdict::Warn(format!("{sign} (training goes on)"))),
        }
    }
}
