//! Which weights a job keeps, and when it ends because nothing better comes.
//!
//! - `settings`: what the job says about it.
//! - `kept`: what is said of weights that were measured and written.
//! - `file`: the file that they are written to, which says it too.
//! - here: what was best so far. Pure: the master counts with it, the evaluator decides by the same rule.

mod file;
mod kept;
mod settings;
#[cfg(test)]
mod tests;

pub use file::{HEADER_LENGTH_BYTES, KeptFile, header_bytes, kept_header};
pub use kept::{KEPT_FILE, Kept, UnknownMeasure};
pub use settings::{EvaluationSettings, InvalidEvaluation, Keep};

use serde::{Deserialize, Serialize};

/// Whether a measure of this name is better when it is smaller: losses and errors are, shares of what
/// is right are not.
pub fn is_smaller_better(measure: &str) -> bool {
    const SMALLER: [&str; 4] = ["loss", "rmse", "mae", "mse"];
    SMALLER.contains(&measure) || measure.ends_with("_loss") || measure.ends_with("_error")
}

/// Whether one value of a measure is better than another; the same is not better.
pub fn is_better(measure: &str, value: f64, than: f64) -> bool {
    if is_smaller_better(measure) { value < than } else { value > than }
}

/// What the evaluations of a job have found so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Keeping {
    best: Option<Kept>,
    evaluations: u64,
    since_best: u64,
}

impl Keeping {
    /// The best so far.
    pub fn best(&self) -> Option<&Kept> {
        self.best.as_ref()
    }

    /// Evaluations so far, in all lives of the job.
    pub fn evaluations(&self) -> u64 {
        self.evaluations
    }

    /// Takes an evaluation: `None` is one whose measure is not a number. Whether it is the best so far.
    pub fn observe(&mut self, found: Option<Kept>) -> bool {
        self.evaluations = self.evaluations.saturating_add(1);
        let improved = found.filter(|found| found.is_better_than(self.best.as_ref()));
        if improved.is_none() {
            self.since_best = self.since_best.saturating_add(1);
            return false;
        }
        self.best = improved;
        self.since_best = 0;
        true
    }

    /// An evaluation was better, and its weights could not be written: it is as if it had not been.
    pub fn observe_lost(&mut self) {
        self.evaluations = self.evaluations.saturating_add(1);
    }

    /// Whether so many evaluations in a row were not better, so that training ends.
    pub fn is_exhausted(&self, after: Option<u64>) -> bool {
        after.is_some_and(|after| self.since_best >= after)
    }

    /// Goes on with what an earlier life of the job has kept. Without that, the
    /// search begins anew; newer than what the checkpoint knows, it has just been found.
    pub fn take_up(&mut self, found: Option<Kept>) {
        if self.best != found {
            self.since_best = 0;
        }
        self.best = found;
    }
}
