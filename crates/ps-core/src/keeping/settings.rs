//! What a job says about evaluations and the weights that are kept.

use crate::limits::MEASURE_NAME_MAX;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumMessage, EnumString, IntoStaticStr, VariantArray};

/// The word for a measure that goes with every model.
const AUTO: &str = "auto";

/// Which weights are written at the end.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    Display,
    EnumMessage,
    EnumString,
    IntoStaticStr,
    PartialEq,
    Eq,
    VariantArray,
    Serialize,
    Deserialize,
)]
#[strum(serialize_all = "lowercase")]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    /// Those after the last step.
    #[default]
    Last,
    /// Those of the best evaluation.
    Best,
}

/// A setting that is out of range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("--{option}: found {found}, expected {expected}")]
pub struct InvalidEvaluation {
    option: &'static str,
    found: String,
    expected: &'static str,
}

/// When weights are measured, and what follows from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EvaluationSettings {
    /// Steps, of all workers together, from one evaluation to the next; `None` for one after each
    /// pass.
    pub every: Option<u64>,
    /// Which weights are written.
    pub keep: Keep,
    /// By which measure an evaluation is better: a name as in metric lines, or `auto`.
    pub keep_measure: String,
    /// Evaluations in a row without an improvement after which training ends; `None` for never.
    pub early_stop_after: Option<u64>,
}

impl Default for EvaluationSettings {
    fn default() -> Self {
        let keep_measure = AUTO.to_owned();
        Self { every: None, keep: Keep::Last, keep_measure, early_stop_after: None }
    }
}

impl EvaluationSettings {
    /// Checks every setting.
    ///
    /// # Errors
    /// The first that is out of range.
    pub fn validate(&self) -> Result<(), InvalidEvaluation> {
        let counts = [("evaluate-every", self.every), ("early-stop-after", self.early_stop_after)];
        for (option, count) in counts {
            if count == Some(0) {
                let (found, expected) = ("0".to_owned(), "at least 1");
                return Err(InvalidEvaluation { option, found, expected });
            }
        }
        if self.keep_measure != AUTO && !self.is_selecting() {
            return Err(InvalidEvaluation {
                option: "keep-measure",
                found: format!("`{}` without --keep best or --early-stop-after", self.keep_measure),
                expected: "one of them, too: else nothing follows from the measure",
            });
        }
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let name = &self.keep_measure;
        if (1..=MEASURE_NAME_MAX).contains(&name.len()) && name.bytes().all(is_name) {
            return Ok(());
        }
        Err(InvalidEvaluation {
            option: "keep-measure",
            found: format!("`{name}`"),
            expected: "auto, loss, accuracy or another name of metric lines, without `test_` or \
                       `validation_`",
        })
    }

    /// The measure by which an evaluation is better.
    pub fn measure(&self) -> &str {
        if self.keep_measure == AUTO { "loss" } else { &self.keep_measure }
    }

    /// Whether the best weights are kept.
    pub fn keeps_best(&self) -> bool {
        self.keep == Keep::Best
    }

    /// Whether anything follows from an evaluation.
    pub fn is_selecting(&self) -> bool {
        self.keeps_best() || self.early_stop_after.is_some()
    }

    /// The options about evaluations that are given, in words; none for what every job has.
    pub fn options(&self) -> Vec<String> {
        let count = |count: u64| format!("--early-stop-after {count}");
        let early_stop = self.early_stop_after.map(count);
        let keep = self.keeps_best().then(|| "--keep best".to_owned());
        keep.into_iter().chain(self.option_about_models()).chain(early_stop).collect()
    }

    /// The one that needs a model which an evaluator can measure, and a program's is none.
    pub fn option_about_models(&self) -> Option<String> {
        self.every.map(|every| format!("--evaluate-every {every}"))
    }
}
