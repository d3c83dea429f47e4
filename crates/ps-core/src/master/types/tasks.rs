//! What is to be done, and what was.

use super::{Caller, JobProgress};
use crate::ids::{Clock, Life};
use crate::keeping::Kept;
use crate::learning::Losses;
use crate::scores::{EvaluationSet, Scores};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A report of work done, and the wish for more.
#[derive(Clone, Debug)]
pub struct TaskRequest {
    /// Who asks.
    pub caller: Caller,
    /// Grows by one per new request; a repeated number gets the same answer.
    pub number: u64,
    /// The lease that was finished.
    pub finished: Option<LeaseResult>,
    /// The evaluation that was finished.
    pub evaluated: Option<EvaluationResult>,
}

/// A finished lease.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LeaseResult {
    /// Which lease.
    pub lease: u64,
    /// Samples that it had: nobody knows how many a stream has until it was read.
    pub samples: u64,
    /// The losses of its steps.
    pub losses: Losses,
}

/// A finished evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct EvaluationResult {
    /// Of the task.
    pub number: u64,
    /// On the test set; `None` where it was not looked at.
    pub test: Option<Scores>,
    /// On the validation set; `None` where there is none.
    pub validation: Option<Scores>,
    /// CRC-32 of the weights that were evaluated.
    pub weights_digest: u32,
    /// Whether they were the best so far, and are written.
    pub is_kept: bool,
    /// Why they were the best so far, and could not be written.
    pub keep_error: Option<String>,
    /// Why there is no result.
    pub error: Option<String>,
}

impl EvaluationResult {
    /// What was found on one set.
    pub fn of(set: EvaluationSet, scores: Scores) -> Self {
        let (test, validation) = match set {
            EvaluationSet::Test => (Some(scores), None),
            EvaluationSet::Validation => (None, Some(scores)),
        };
        Self {
            number: 0,
            test,
            validation,
            weights_digest: 0,
            is_kept: false,
            keep_error: None,
            error: None,
        }
    }

    /// What weights are chosen by: the validation set, or else the test set.
    pub fn chosen_by(&self) -> Option<(EvaluationSet, &Scores)> {
        let validation = self.validation.as_ref().map(|scores| (EvaluationSet::Validation, scores));
        validation.or(self.test.as_ref().map(|scores| (EvaluationSet::Test, scores)))
    }
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Task {
    /// Train on a lease.
    Train(TrainTask),
    /// Measure.
    Evaluate(EvaluateTask),
    /// Ask again after this time.
    Wait(Duration),
}

/// A lease on places in a pass's order of one source's samples.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrainTask {
    /// Its number, never used twice.
    pub lease: u64,
    /// From 0; of a program that takes its samples from the master, the one that is open.
    pub pass: u64,
    /// First position.
    pub start: u64,
    /// One after the last position.
    pub end: u64,
    /// How far the job is.
    pub progress: JobProgress,
    /// The checkpoint that the job goes on from, if it does.
    pub checkpoint: Option<u64>,
    /// Smallest clock of the active workers that the master knows.
    pub start_clock: Clock,
    /// Whose samples: 0 is for every worker, `1 + rank` is that worker's own.
    pub source: u32,
    /// Samples of the source; 0 where nobody knows.
    pub source_samples: u64,
    /// Who serves the samples, when the worker does not have them itself.
    pub served_at: Option<String>,
    /// A whole pass of a stream, or a program: positions mean nothing.
    pub whole: bool,
}

/// What to measure.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EvaluateTask {
    /// Grows; never used twice in a life of the job.
    pub number: u64,
    /// The pass that ended, or is going on, from 0.
    pub pass: u64,
    /// Steps of all workers together so far.
    pub step: u64,
    /// The last one, of the weights that were written: on every set that there is.
    pub is_final: bool,
    /// With `is_final`: those of the model's file, which are not those of the servers.
    pub of_file: bool,
    /// The life in which the job began: what is kept is of this job.
    pub job: Life,
    /// The best so far, where the best are kept: better ones are to be written.
    pub best: Option<Kept>,
}

impl EvaluateTask {
    /// What is said of its weights, before anything was measured.
    pub fn weights(&self, digest: u32) -> Kept {
        let (job, step, pass) = (self.job, self.step, self.pass.saturating_add(1));
        Kept { job, pass, step, digest, ..Kept::default() }
    }
}
