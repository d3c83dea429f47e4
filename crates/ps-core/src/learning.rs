//! Whether a run learns: the loss watched from the first step, so that a run that does not says so.
//!
//! A verdict needs evidence (docs/adr/0019): what could be chance is a warning.

mod divergence;
mod jump;
mod losses;
mod rise;
#[cfg(test)]
mod tests;

pub use divergence::{DivergenceAction, DivergenceSign, UnknownDivergenceAction, Verdict};
pub use jump::{JumpWatch, LossJump};
pub use losses::Losses;
pub use rise::Rise;

use divergence::{FAR_REPORTS, FAR_STEPS, NOT_FINITE_STEPS, far_above, risen_above};
use serde::{Deserialize, Serialize};

/// Steps whose mean is the loss at the start: enough to even out single batches.
const START_STEPS: u64 = 5;

/// How far the mean of the first steps is above the very first one, as a multiple of it, where they exploded: what is better
/// than that mean has not learnt.
const EXPLODED: f64 = 2.0;

/// The share of a pass that signs of divergence must make up, besides their own number of steps.
const SHARE_OF_PASS: u64 = 4;

/// How far below the start, as a share of it, the last pass must end to count as learning.
const IMPROVEMENT: f64 = 0.01;

/// Steps from which on it is said of a run that it did not learn.
const JUDGED_STEPS: u64 = 50;

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
    /// There is evidence that it diverged.
    Diverged,
}

/// Consecutive reports that all show the same sign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Streak {
    reports: u64,
    losses: Losses,
}

impl Streak {
    fn add(&mut self, losses: &Losses) {
        self.reports = self.reports.saturating_add(1);
        self.losses.add(losses);
    }
}

/// Watches the losses of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LearningMonitor {
    steps_per_pass: u64,
    start: Losses,
    /// The first finite loss of a step.
    first: Option<f64>,
    /// Steps that were observed.
    observed: u64,
    rise: Option<Rise>,
    not_finite: Streak,
    far: Streak,
    /// Steps of the passes that ended.
    steps: u64,
    /// The newest pass that ended, and its mean loss.
    last: Option<(u64, Option<f64>)>,
    /// The last pass gave a sign, which was told.
    pass_warned: bool,
    diverged: bool,
}

impl LearningMonitor {
    /// A watch for a run with so many steps per pass over all workers.
    pub fn new(steps_per_pass: u64) -> Self {
        Self { steps_per_pass, ..Self::default() }
    }

    /// The loss of the first steps: of the very first one where those after it exploded.
    pub fn start_loss(&self) -> Option<f64> {
        let mean = self.start.mean()?;
        let has_exploded = |first: &f64| mean > first + EXPLODED * first.abs();
        Some(self.first.filter(has_exploded).unwrap_or(mean))
    }

    /// How far the loss rose above its start, if it did.
    pub fn rise(&self) -> Option<Rise> {
        self.rise
    }

    fn observe_start(&mut self, losses: &Losses) {
        self.start.add(losses);
        self.first = self.first.or(losses.first).or(losses.mean());
    }

    /// Takes notice of losses far above the start, and of their end.
    fn observe_rise(&mut self, losses: &Losses) {
        let limit = self.start_loss().map(far_above);
        let is_above = |loss: f64| limit.is_some_and(|limit| loss > limit);
        let highest = losses.highest.or(losses.mean());
        if highest.is_some_and(is_above) || losses.steps_not_finite > 0 {
            self.rise = Some(Rise::with(self.rise, losses, self.observed));
        }
        if let Some(rise) = &mut self.rise {
            rise.lasts = losses.mean().is_none_or(is_above);
        }
    }

    /// Takes the losses of a step, or of a lease's steps, in the order in which they are known. A
    /// sign of divergence is given once, until it is over.
    pub fn observe(&mut self, losses: &Losses) -> Option<DivergenceSign> {
        // What a program trained, whose losses nobody knows, says nothing.
        if losses.steps == 0 {
            return None;
        }
        let is_started = self.start.steps - self.start.steps_not_finite >= START_STEPS;
        if !is_started {
            self.observe_start(losses);
        }
        self.observed = self.observed.saturating_add(losses.steps);
        // The order within a lease is not known: one finite loss is given the benefit.
        let is_finite = losses.steps_not_finite < losses.steps;
        let limit = self.start_loss().map(far_above).filter(|_| is_started);
        // A mean that is too large for a number is above every limit.
        let is_far = limit.is_some_and(|limit| losses.mean().is_none_or(|mean| mean > limit));
        self.observe_rise(losses);
        // A loss that is not a number is no way down from a high one.
        if is_finite {
            self.not_finite = Streak::default();
            if !is_far {
                self.far = Streak::default();
                self.diverged = false;
                return None;
            }
            self.far.add(losses);
        } else {
            self.not_finite.add(losses);
        }
        let sign = self.sign(limit).filter(|_| !self.diverged)?;
        self.diverged = true;
        Some(sign)
    }

    /// What the reports in a row show, once they are enough.
    fn sign(&self, limit: Option<f64>) -> Option<DivergenceSign> {
        let least = self.steps_per_pass / SHARE_OF_PASS;
        let steps = self.not_finite.losses.steps;
        if steps >= NOT_FINITE_STEPS.max(least) {
            return Some(DivergenceSign::NotFinite { steps });
        }
        let Streak { reports, losses } = &self.far;
        let (limit, start) = (limit?, self.start_loss()?);
        let mean = losses.mean().unwrap_or(f64::INFINITY);
        let is_enough = *reports >= FAR_REPORTS && losses.steps >= FAR_STEPS.max(least);
        let steps = losses.steps;
        is_enough.then_some(DivergenceSign::FarAbove { steps, limit, mean, start })
    }

    /// Takes the losses of a whole pass, counted from 0. Of passes in a row that give a sign of
    /// divergence, the first one's is told.
    pub fn pass_ended(&mut self, pass: u64, losses: &Losses) -> Option<DivergenceSign> {
        if self.last.is_none_or(|(last, _)| pass >= last) {
            self.last = Some((pass, losses.mean()));
        }
        self.steps = self.steps.saturating_add(losses.steps);
        let sign = self.judge(pass, losses);
        let is_evidence = sign.as_ref().is_some_and(DivergenceSign::is_evidence);
        let is_news = !self.pass_warned || (is_evidence && !self.diverged);
        self.pass_warned = sign.is_some();
        self.diverged |= is_evidence;
        sign.filter(|_| is_news)
    }

    fn judge(&self, pass: u64, losses: &Losses) -> Option<DivergenceSign> {
        let (not_finite, steps) = (losses.steps_not_finite, losses.steps);
        if not_finite > steps / 2 {
            return Some(DivergenceSign::MostlyNotFinite { pass, not_finite, steps });
        }
        let (mean, start) = (losses.mean()?, self.start_loss()?);
        let is_risen = mean > risen_above(start, pass);
        is_risen.then_some(DivergenceSign::Rose { pass, steps, mean, start })
    }

    /// What speaks against a run whose training is over and whose model nobody has measured.
    pub fn sign_at_end(&self) -> Option<DivergenceSign> {
        let steps = self.not_finite.losses.steps;
        (self.not_finite.reports > 0).then_some(DivergenceSign::EndedNotFinite { steps })
    }

    /// Whether anything speaks for it that the run goes wrong just now, be it only a first sign.
    pub fn is_in_doubt(&self) -> bool {
        let has_signs = self.not_finite.reports > 0 || self.far.reports > 0;
        has_signs || self.pass_warned || self.diverged
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
            (Some(_), Some(_)) if self.steps >= JUDGED_STEPS => LearningStatus::DidNotImprove,
            _ => LearningStatus::Unknown,
        }
    }
}
