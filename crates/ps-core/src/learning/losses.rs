//! The losses of some steps, added up.

use serde::{Deserialize, Serialize};

/// The losses of some steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Losses {
    /// Steps, finite or not.
    pub steps: u64,
    /// Steps whose loss was NaN or infinite.
    pub steps_not_finite: u64,
    /// Sum over the finite steps of mean loss times samples.
    pub loss_sum: f64,
    /// Samples of the finite steps.
    pub loss_samples: u64,
    /// The finite loss that came first, if anybody says.
    #[serde(default)]
    pub first: Option<f64>,
    /// The highest finite loss of a step, if anybody says: a mean hides a single one.
    #[serde(default)]
    pub highest: Option<f64>,
}

impl Losses {
    /// The loss of one step.
    pub fn of_step(loss: f64, samples: u64) -> Self {
        let is_finite = loss.is_finite();
        Self {
            steps: 1,
            steps_not_finite: u64::from(!is_finite),
            loss_sum: if is_finite { loss * samples as f64 } else { 0.0 },
            loss_samples: if is_finite { samples } else { 0 },
            first: is_finite.then_some(loss),
            highest: is_finite.then_some(loss),
        }
    }

    /// Adds other steps.
    pub fn add(&mut self, other: &Self) {
        self.steps = self.steps.saturating_add(other.steps);
        self.steps_not_finite = self.steps_not_finite.saturating_add(other.steps_not_finite);
        self.loss_sum += other.loss_sum;
        self.loss_samples = self.loss_samples.saturating_add(other.loss_samples);
        self.first = self.first.or(other.first);
        self.highest = match (self.highest, other.highest) {
            (Some(one), Some(other)) => Some(one.max(other)),
            (one, other) => one.or(other),
        };
    }

    /// Mean loss over the samples of the finite steps; `None` without any.
    pub fn mean(&self) -> Option<f64> {
        let mean = self.loss_sum / self.loss_samples as f64;
        (self.loss_samples > 0 && mean.is_finite()).then_some(mean)
    }
}
