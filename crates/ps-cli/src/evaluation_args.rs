//! The options that say when weights are measured, and what follows from it.

use crate::choice;
use clap::Args;
use ps_core::keeping::{EvaluationSettings, Keep};
use serde::Serialize;

/// Evaluations during training. Options left out have the defaults that the help names.
#[derive(Args, Clone, Debug, Default, Serialize)]
#[command(next_help_heading = "Evaluation")]
pub struct EvaluationArgs {
    /// Measure the model every N steps, counted over all workers together as samples divided by the batch size
    /// [default: after each pass]. An evaluator that is slower measures the newest weights, and how many
    /// evaluations were skipped is said at the end.
    #[arg(long, env = "PS_EVALUATE_EVERY", value_name = "N")]
    pub evaluate_every: Option<u64>,
    /// Which weights become the model: those after the last step, or those of the best evaluation, which are kept
    /// beside the checkpoints and survive a restart with them. The final measures are of them [default: last].
    #[arg(long, env = "PS_KEEP", value_name = "last|best", value_parser = choice::<Keep>())]
    pub keep: Option<Keep>,
    /// What makes an evaluation the best: loss, accuracy, auc or another name of the metric lines, without `test_` or
    /// `validation_`. Losses and errors are better when they are smaller, everything else when it is larger
    /// [default: auto, the loss].
    #[arg(long, env = "PS_KEEP_MEASURE", value_name = "auto|loss|NAME")]
    pub keep_measure: Option<String>,
    /// End training, as after the last pass, when N evaluations in a row were no better than the best before them
    /// [default: never].
    #[arg(long, env = "PS_EARLY_STOP_AFTER", value_name = "N")]
    pub early_stop_after: Option<u64>,
}

impl EvaluationArgs {
    /// The settings they stand for.
    pub fn settings(&self) -> EvaluationSettings {
        let default = EvaluationSettings::default();
        EvaluationSettings {
            every: self.evaluate_every,
            keep: self.keep.unwrap_or_default(),
            keep_measure: self.keep_measure.clone().unwrap_or(default.keep_measure),
            early_stop_after: self.early_stop_after,
        }
    }
}

impl From<&EvaluationSettings> for EvaluationArgs {
    /// The options that give these settings.
    fn from(settings: &EvaluationSettings) -> Self {
        Self {
            evaluate_every: settings.every,
            keep: Some(settings.keep),
            keep_measure: Some(settings.keep_measure.clone()),
            early_stop_after: settings.early_stop_after,
        }
    }
}
