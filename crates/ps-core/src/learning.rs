//! Whether a run learns: the loss watched from the first step, so that a run that does not says so.

use serde::{Deserialize, Serialize};

/// Steps whose mean is the loss at the start: enough to even out single batches.
const START_STEPS: u64 = 5;

/// Consecutive steps without a finite loss that are never a mishap, and the share of a pass that
/// they must make up as well.
const NOT_FINITE_STEPS: u64 = 50;
const NOT_FINITE_SHARE: u64 = 4;

/// How far above the start, as a share of it, a pass's mean loss shows divergence. The first pass
/// has more room: momentum and warm-up may lift the loss for a while before it falls.
const RISE: f64 = 0.1;
const RISE_FIRST_PASS: f64 = 1.0;

/// How far below the start, as a share of it, the last pass must end to count as learning.
const IMPROVEMENT: f64 = 0.01;

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
        }
    }

    /// Adds other steps.
    pub fn add(&mut self, other: &Self) {
        self.steps = self.steps.saturating_add(other.steps);
        self.steps_not_finite = self.steps_not_finite.saturating_add(other.steps_not_finite);
        self.loss_sum += other.loss_sum;
        self.loss_samples = self.loss_samples.saturating_add(other.loss_samples);
    }

    /// Mean loss over the samples of the finite steps; `None` without any.
    pub fn mean(&self) -> Option<f64> {
        let mean = self.loss_sum / self.loss_samples as f64;
        (self.loss_samples > 0 && mean.is_finite()).then_some(mean)
    }
}

/// How a run diverged. The message says what to try.
#[allow(missing_docs)]
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Divergence {
    /// Nothing but NaN or infinity for a while.
    #[error("the loss of the last {steps} steps was NaN or infinite: {ADVICE}")]
    NotFinite { steps: u64 },
    /// Most of a pass had no finite loss.
    #[error("{not_finite} of {steps} steps of pass {} had a NaN or infinite loss: {ADVICE}", pass + 1)]
    MostlyNotFinite { pass: u64, not_finite: u64, steps: u64 },
    /// A whole pass was worse than the start.
    #[error(
        "the mean loss of pass {} is {mean:.4}, above the {start:.4} of the first steps: {ADVICE}",
        pass + 1
    )]
    Rose { pass: u64, mean: f64, start: f64 },
}

const ADVICE: &str = "the run diverges; try a lower --lr, --clip-norm 1, a lower --staleness-bound \
                      or --staleness-correction auto";

/// What a run's losses say at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LearningStatus {
    /// Too few losses to tell.
    #[default]
    Unknown,
    /// The last pass is better than the start.
    Learned,
    /// The last pass is hardly better than the start, or worse.
    DidNotImprove,
    /// It was stopped because it diverged.
    Diverged,
}

/// Watches the losses of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LearningMonitor {
    steps_per_pass: u64,
    start: Losses,
    not_finite_in_a_row: u64,
    /// The newest pass that ended, and its mean loss.
    last: Option<(u64, Option<f64>)>,
    diverged: bool,
}

impl LearningMonitor {
    /// A watch for a run with so many steps per pass over all workers.
    pub fn new(steps_per_pass: u64) -> Self {
        Self { steps_per_pass, ..Self::default() }
    }

    /// The loss of the first steps.
    pub fn start_loss(&self) -> Option<f64> {
        self.start.mean()
    }

    /// Takes the losses of a step, or of a lease's steps, in the order in which they are known.
    ///
    /// # Errors
    /// The run diverged.
    pub fn observe(&mut self, losses: &Losses) -> Result<(), Divergence> {
        if self.start.steps - self.start.steps_not_finite < START_STEPS {
            self.start.add(losses);
        }
        if losses.steps_not_finite < losses.steps {
            // The order within a lease is not known: one finite loss is given the benefit.
            self.not_finite_in_a_row = 0;
            return Ok(());
        }
        self.not_finite_in_a_row = self.not_finite_in_a_row.saturating_add(losses.steps);
        let limit = NOT_FINITE_STEPS.max(self.steps_per_pass / NOT_FINITE_SHARE);
        if self.not_finite_in_a_row < limit {
            return Ok(());
        }
        self.diverged = true;
        Err(Divergence::NotFinite { steps: self.not_finite_in_a_row })
    }

    /// Takes the losses of a whole pass, counted from 0.
    ///
    /// # Errors
    /// The run diverged.
    pub fn pass_ended(&mut self, pass: u64, losses: &Losses) -> Result<(), Divergence> {
        if self.last.is_none_or(|(last, _)| pass >= last) {
            self.last = Some((pass, losses.mean()));
        }
        let judged = self.judge(pass, losses);
        self.diverged |= judged.is_err();
        judged
    }

    fn judge(&self, pass: u64, losses: &Losses) -> Result<(), Divergence> {
        let (not_finite, steps) = (losses.steps_not_finite, losses.steps);
        if not_finite > steps / 2 {
            return Err(Divergence::MostlyNotFinite { pass, not_finite, steps });
        }
        let (Some(mean), Some(start)) = (losses.mean(), self.start_loss()) else {
            return Ok(());
        };
        let rise = if pass == 0 { RISE_FIRST_PASS } else { RISE };
        if mean > start + rise * start.abs() {
            return Err(Divergence::Rose { pass, mean, start });
        }
        Ok(())
    }

    /// What the losses say so far.
    pub fn status(&self) -> LearningStatus {
        if self.diverged {
            return LearningStatus::Diverged;
        }
        match (self.last.and_then(|(_, mean)| mean), self.start_loss()) {
            (Some(mean), Some(start)) if mean < start - IMPROVEMENT * start.abs() => {
                LearningStatus::Learned
            }
            (Some(_), Some(_)) => LearningStatus::DidNotImprove,
            _ => LearningStatus::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn losses(mean: f64, steps: u64) -> Losses {
        let mut all = Losses::default();
        (0..steps).for_each(|_| all.add(&Losses::of_step(mean, 32)));
        all
    }

    fn started(at: f64) -> LearningMonitor {
        let mut watch = LearningMonitor::new(100);
        watch.observe(&losses(at, 10)).unwrap();
        watch
    }

    #[test]
    fn a_falling_loss_is_learning() {
        let mut watch = started(2.3);
        assert_eq!(watch.status(), LearningStatus::Unknown);
        watch.pass_ended(0, &losses(1.5, 100)).unwrap();
        watch.pass_ended(1, &losses(0.5, 100)).unwrap();
        assert_eq!(watch.status(), LearningStatus::Learned);
    }

    #[test]
    fn a_flat_loss_is_said_and_not_stopped() {
        let mut watch = started(2.3);
        for pass in 0..5 {
            watch.pass_ended(pass, &losses(2.31, 100)).unwrap();
        }
        assert_eq!(watch.status(), LearningStatus::DidNotImprove);
    }

    #[test]
    fn a_pass_above_the_start_is_divergence() {
        let mut watch = started(2.3);
        watch.pass_ended(0, &losses(3.0, 100)).unwrap();
        let divergence = watch.pass_ended(1, &losses(3.0, 100)).unwrap_err().to_string();
        assert!(divergence.contains("pass 2") && divergence.contains("--lr"), "{divergence}");
        assert_eq!(watch.status(), LearningStatus::Diverged);
        assert!(started(2.3).pass_ended(0, &losses(7.0, 100)).is_err());
        // A negative loss (log-likelihood) may rise a little, too.
        assert!(started(-10.0).pass_ended(1, &losses(-9.5, 100)).is_ok());
        assert!(started(-10.0).pass_ended(1, &losses(-2.0, 100)).is_err());
    }

    #[test]
    fn nothing_finite_for_long_is_divergence() {
        let mut watch = started(2.3);
        for _ in 0..49 {
            watch.observe(&Losses::of_step(f64::NAN, 32)).unwrap();
        }
        watch.observe(&Losses::of_step(1.0, 32)).unwrap();
        for _ in 0..49 {
            watch.observe(&Losses::of_step(f64::INFINITY, 32)).unwrap();
        }
        let divergence = watch.observe(&Losses::of_step(f64::NAN, 32)).unwrap_err();
        assert_eq!(divergence, Divergence::NotFinite { steps: 50 });
    }

    #[test]
    fn most_of_a_pass_without_a_finite_loss_is_divergence() {
        let mut pass = losses(2.0, 40);
        pass.add(&losses(f64::NAN, 60));
        assert!(started(2.3).pass_ended(0, &pass).is_err());
        let mut pass = losses(2.0, 60);
        pass.add(&losses(f64::NAN, 40));
        assert!(started(2.3).pass_ended(0, &pass).is_ok());
    }
}
