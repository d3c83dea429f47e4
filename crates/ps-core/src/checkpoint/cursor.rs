//! Which samples of which pass are done, so that a job that goes on neither loses nor repeats more
//! than it must.

use crate::data_description::DataKind;
use crate::learning::Losses;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How far a job is in its data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cursor {
    /// Whose the samples are.
    pub kind: DataKind,
    /// Passes that are over; the next one is the oldest with samples to do.
    pub passes_over: u64,
    /// Losses so far of passes that are not over, by pass.
    pub losses: BTreeMap<u64, Losses>,
    /// By number of the source.
    pub sources: BTreeMap<u32, SourceCursor>,
}

/// How far a job is in one source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceCursor {
    /// Its samples; `None` for a stream of which no pass was finished, and for a program.
    pub samples: Option<u64>,
    /// The pass of the next lease that nobody ever held.
    pub next_pass: u64,
    /// Where in it that lease begins.
    pub next_position: u64,
    /// What lies before that place and is not finished: leases that were out or had come back.
    /// Everything else before it, of passes that are not over, is finished.
    pub unfinished: Vec<Positions>,
    /// Samples that were finished, over all passes.
    pub samples_done: u64,
    /// Samples that were skipped because their owner was away.
    pub samples_skipped: u64,
}

/// Consecutive positions in a pass of one source; a stream or program has the one position 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Positions {
    /// From 0.
    pub pass: u64,
    /// The first one.
    pub start: u64,
    /// One after the last.
    pub end: u64,
}

impl Positions {
    /// How many there are.
    pub fn count(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}

/// Why a job cannot go on with the data that it finds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum Mismatch {
    /// The data were of another kind.
    #[error(
        "the checkpoint is of a job in which each worker has {saved}, now each has {found}: start \
         it with the same kind of data, or with another checkpoint folder"
    )]
    Kind { saved: DataKind, found: DataKind },
    /// Somebody has other samples than before.
    #[error(
        "the checkpoint knows {saved} training samples of {owner}, now there are {found}: the \
         data changed; give the same data, or another checkpoint folder"
    )]
    Samples { owner: String, saved: u64, found: u64 },
    /// A place in the cursor is outside of the data.
    #[error("the checkpoint's place in the data of {owner} does not exist: it is damaged")]
    Place { owner: String },
}
