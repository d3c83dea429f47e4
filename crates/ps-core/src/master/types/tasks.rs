//! What is to be done, and what was.

use super::{Caller, JobProgress};
use crate::ids::Clock;
use crate::learning::Losses;
use crate::measures::Measure;
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
    /// What was to be evaluated.
    pub task: EvaluateTask,
    /// Mean loss.
    pub loss: f64,
    /// Share of the samples that were classified rightly.
    pub accuracy: Option<f64>,
    /// What else was measured.
    pub measures: Vec<Measure>,
    /// Test samples.
    pub samples: u64,
    /// CRC-32 of the weights that were evaluated.
    pub weights_digest: u32,
    /// Why there is no result.
    pub error: Option<String>,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Train on a lease.
    Train(TrainTask),
    /// Measure.
    Evaluate(EvaluateTask),
    /// Ask again after this time.
    Wait(Duration),
}

/// A lease on positions of a pass's permutation of one source's samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainTask {
    /// Its number, never used twice.
    pub lease: u64,
    /// From 0.
    pub pass: u64,
    /// First position.
    pub start: u64,
    /// One after the last position.
    pub end: u64,
    /// How far the job is.
    pub progress: JobProgress,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvaluateTask {
    /// After which pass, from 0.
    pub pass: u64,
    /// On the weights that were written.
    pub is_final: bool,
}
