//! What is said of weights that were measured, beside them and in the report.

use super::{EvaluationSettings, is_better};
use crate::digits::digits;
use crate::ids::Life;
use crate::scores::{EvaluationSet, Scores};
use serde::{Deserialize, Serialize};

/// The best weights so far, beside the checkpoints of a job that keeps them, or without these in its
/// output folder. At the end they become the model.
pub const KEPT_FILE: &str = "best.safetensors";

/// An evaluation and the weights that it measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// The job: the life in which it began, which later lives that go on from its checkpoints know.
    pub job: Life,
    /// The measure that made it the best, by its name.
    pub measure: String,
    /// On which samples.
    pub set: EvaluationSet,
    /// The measure's value; finite.
    pub value: f64,
    /// The pass that had ended, or was going on; from 1.
    pub pass: u64,
    /// Steps of all workers together when it began.
    pub step: u64,
    /// CRC-32 of the weights.
    pub digest: u32,
}

/// A measure that no evaluation of the job has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "--keep-measure {measure}: the evaluation on the {set} set has no such measure; it has {known}",
    set = set.name()
)]
pub struct UnknownMeasure {
    /// What was asked for.
    pub measure: String,
    /// Where it was looked for.
    pub set: EvaluationSet,
    /// What there is, in words.
    pub known: String,
}

impl Kept {
    /// The same with what an evaluation found; `None` where that is not a number.
    ///
    /// # Errors
    /// It has no such measure.
    pub fn with_scores(
        self,
        settings: &EvaluationSettings,
        set: EvaluationSet,
        scores: &Scores,
    ) -> Result<Option<Self>, UnknownMeasure> {
        let measure = settings.measure().to_owned();
        match scores.get(&measure) {
            Some(value) => Ok(Some(Self { measure, set, value, ..self })),
            // Every model has a loss.
            None if measure == "loss" => Ok(None),
            None => {
                let names: Vec<&str> = scores.by_name().map(|(name, _)| name).collect();
                let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
                Err(UnknownMeasure { measure, set, known })
            }
        }
    }

    /// Whether it is better than the best so far; what was measured otherwise is no best any more.
    pub fn is_better_than(&self, best: Option<&Self>) -> bool {
        let is_comparable = |best: &&Self| best.measure == self.measure && best.set == self.set;
        let best = best.filter(is_comparable);
        best.is_none_or(|best| is_better(&self.measure, self.value, best.value))
    }

    /// In words: `validation_loss 0.0812 after pass 3, step 135`.
    pub fn words(&self) -> String {
        let Self { measure, value, pass, step, .. } = self;
        format!(
            "{}_{measure} {}, measured in pass {pass} after {step} steps",
            self.set.name(),
            digits(*value)
        )
    }
}
