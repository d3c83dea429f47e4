//! What programs ask and tell.

use super::Caller;
use crate::keeping::Kept;
use crate::scores::Scores;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Which of a worker's programs asks, and which time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asking {
    /// Drawn once per program.
    pub process: u64,
    /// Grows by one per new request; a repeated number gets the same answer.
    pub number: u64,
}

/// A program's report of what it trained, and its wish for more.
#[derive(Clone, Debug)]
pub struct SamplesRequest {
    /// In whose name.
    pub caller: Caller,
    /// Which request it is.
    pub asking: Asking,
    /// How many samples there are, at least 1.
    pub samples: u64,
    /// Of a step, at least 1.
    pub batch: u64,
    /// The pass that it is in, from 0.
    pub pass: u64,
    /// Leases that it has trained.
    pub finished: Vec<u64>,
    /// Whether it gives back what it holds beside these.
    pub gives_back: bool,
    /// Whether it wants a lease.
    pub wants_lease: bool,
}

/// What there is for a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SamplesAnswer {
    /// Places of the open pass's order.
    Lease {
        /// Its number, never used twice.
        lease: u64,
        /// Which pass, from 0.
        pass: u64,
        /// The first place.
        start: u64,
        /// One after the last.
        end: u64,
    },
    /// All that is left of the pass is with others, who may die: ask again after this time.
    Wait(Duration),
    /// The program's pass is over.
    Over,
    /// The job wants no more steps.
    Ended,
}

/// What a program has measured.
#[derive(Clone, Debug)]
pub struct MeasuresReport {
    /// In whose name.
    pub caller: Caller,
    /// Which report it is.
    pub asking: Asking,
    /// The pass that ended, or is going on, from 0; the open one, or the one before where none of it is done, if it does not say.
    pub pass: Option<u64>,
    /// On which samples: a validation set's, or else the test set's.
    pub is_validation: bool,
    /// What it found.
    pub scores: Scores,
}

/// What follows from it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MeasuresAnswer {
    /// Whether they are the best so far, where the job compares them.
    pub is_best: bool,
    /// Whether the job wants no more steps.
    pub is_ended: bool,
    /// They are the best so far, and the job keeps the best: the weights are to be sent with this beside them, and what follows
    /// is said when they are written.
    pub keep: Option<Kept>,
}

/// What the master says to a program that sends its weights.
#[derive(Clone, Debug, PartialEq)]
pub enum WeightsWanted {
    /// They are to be written with this beside them.
    Yes(Kept),
    /// They were written; this was answered.
    Before(MeasuresAnswer),
}
