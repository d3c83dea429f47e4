//! What a shard counts, for the report.

use std::sync::atomic::{AtomicU64, Ordering};

/// One count that many calls add to. Relaxed: counts order nothing.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds to the count.
    pub fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    /// The count so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counts of a shard since it started.
#[derive(Debug, Default)]
#[allow(missing_docs)] // The names are those of the wire, documented there.
pub struct Counters {
    pub pushes_applied: Count,
    pub pushes_duplicate: Count,
    pub chunks_applied: Count,
    pub chunks_refused: Count,
    pub pushes_torn: Count,
    pub calls_fenced: Count,
    pub bytes_received: Count,
    pub bytes_sent: Count,
}

/// What one worker has done on a shard since that started, whoever computed it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerCounts {
    /// Steps whose pushes are all applied here; each step is on every shard.
    pub steps: u64,
    /// Chunks that were refused.
    pub chunks_refused: u64,
}
