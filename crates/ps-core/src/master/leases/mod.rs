//! Who works on which samples: leases on each pass of each source, until every pass is done.
//!
//! A source is a set of samples: one that every worker has, one that a single worker has, or one
//! that the evaluator serves. There is no barrier between passes: the next one's leases go out while
//! this one's last are in work. A lease that comes back goes out first. Who asks gets, of what it
//! may work on, the source that is least advanced.

mod ending;
mod resume;
mod source;
#[cfg(test)]
mod tests;

pub(super) use ending::PassEnd;
pub(super) use source::{SHARED, SourceId, owner_of, source_of};

use crate::checkpoint::cursor::{Mismatch, Positions, SourceCursor};
use crate::data_description::DataKind;
use crate::ids::WorkerId;
use crate::learning::Losses;
use serde::{Deserialize, Serialize};
use source::{Source, own, owner};
use std::collections::BTreeMap;

/// Leases that a worker gets in a pass, about: enough to even out unequal workers.
const LEASES_PER_WORKER: u64 = 8;

/// Served leases that come back in a row, per worker, until nobody is taken to reach the evaluator.
const NOT_REACHED_MAX: u32 = 3;

/// A lease that is out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lease {
    pub(super) id: u64,
    pub(super) source: SourceId,
    pub(super) positions: Positions,
    /// A whole pass of a stream or program; its positions mean nothing to the worker.
    pub(super) is_whole: bool,
    /// Samples of the source; 0 where nobody knows.
    pub(super) source_samples: u64,
}

/// All samples of all passes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Leases {
    kind: DataKind,
    passes: u64,
    batch: u64,
    workers: u32,
    sources: BTreeMap<SourceId, Source>,
    /// Of a checkpoint, and not there yet.
    absent: BTreeMap<SourceId, SourceCursor>,
    next_id: u64,
    /// A worker holds at most one.
    out: BTreeMap<WorkerId, Lease>,
    /// The oldest pass that is not over.
    open: u64,
    /// Of passes that are not over.
    losses: BTreeMap<u64, Losses>,
    /// Passes that are over and were not yet taken notice of.
    ended: Vec<PassEnd>,
    /// Served leases that came back in a row, because the evaluator was not reached.
    not_reached: u32,
    /// Grows whenever a lease goes out or comes in.
    generation: u64,
}

impl Leases {
    /// Leases for so many passes and workers, on sources that are yet to come.
    pub(super) fn new(kind: DataKind, passes: u64, batch: u64, workers: u32) -> Self {
        Self {
            kind,
            passes: if kind == DataKind::Program { passes.min(1) } else { passes },
            batch: batch.max(1),
            workers: workers.max(1),
            next_id: 1,
            ..Self::default()
        }
    }

    /// Adds a source that begins with the oldest open pass, or where a checkpoint says, unless it is
    /// there already.
    ///
    /// # Errors
    /// The checkpoint knows other samples there.
    pub(super) fn add(&mut self, id: SourceId, samples: u64) -> Result<(), Mismatch> {
        if self.sources.contains_key(&id) {
            return Ok(());
        }
        let size = self.lease_size(id, samples);
        let is_whole = self.kind.is_whole();
        let samples = (!is_whole).then_some(samples);
        let mut source = Source::new(samples, is_whole, size, self.open);
        if let Some(saved) = self.absent.get(&id) {
            source.resume(saved, owner(id))?;
            // Passes that ended without it.
            if let Some(over) = self.open.checked_sub(1) {
                source.skip(over);
            }
            self.absent.remove(&id);
        }
        self.sources.insert(id, source);
        Ok(())
    }

    /// Positions of a lease: whole batches.
    fn lease_size(&self, source: SourceId, samples: u64) -> u64 {
        if self.kind.is_whole() {
            return 1;
        }
        let sharers = if source == SHARED { u64::from(self.workers) } else { 1 };
        let share = samples.div_ceil(sharers * LEASES_PER_WORKER);
        share.max(1).div_ceil(self.batch).saturating_mul(self.batch)
    }

    /// Grows whenever a lease goes out or comes in.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Passes that there will be.
    pub(super) fn passes(&self) -> u64 {
        self.passes
    }

    /// Samples of one pass, as far as is known.
    pub(super) fn samples(&self) -> u64 {
        let samples = self.sources.values().map(|source| source.samples.unwrap_or(0));
        samples.fold(0, u64::saturating_add)
    }

    /// Samples that a source has, or had when the checkpoint was written.
    pub(super) fn expects(&self, source: SourceId) -> Option<u64> {
        match self.sources.get(&source) {
            Some(source) => source.samples,
            None => self.absent.get(&source)?.samples,
        }
    }

    pub(super) fn samples_done(&self) -> u64 {
        self.sources.values().fold(0, |sum, source| sum.saturating_add(source.samples_done))
    }

    /// Samples that were skipped because their owner was away, by source.
    pub(super) fn skipped(&self) -> impl Iterator<Item = (SourceId, u64)> + '_ {
        let skipped = self.sources.iter().map(|(id, source)| (*id, source.samples_skipped));
        skipped.filter(|(_, samples)| *samples > 0)
    }

    /// How far all passes are, done of total: in samples, or in passes of sources as long as the
    /// samples of a stream are not known.
    pub(super) fn progress(&self) -> (u64, u64) {
        let known = self.sources.values().all(|source| source.samples.is_some());
        if known {
            let total = self.samples().saturating_mul(self.passes);
            let skipped: u64 = self.skipped().map(|(_, samples)| samples).sum();
            return (self.samples_done().saturating_add(skipped).min(total), total);
        }
        let of = |source: &Source| {
            source.next.0.min(self.passes).saturating_sub(source.returned.len() as u64)
        };
        let taken: u64 = self.sources.values().map(of).sum();
        let done = taken.saturating_sub(self.out.len() as u64);
        (done, self.passes.saturating_mul(self.sources.len() as u64))
    }

    /// Samples of the leases that are out, where it is known how many they are.
    pub(super) fn samples_out(&self) -> u64 {
        let counted = self.out.values().filter(|lease| !lease.is_whole);
        counted.fold(0, |sum, lease| sum.saturating_add(lease.positions.count()))
    }

    /// The oldest pass that is not over.
    pub(super) fn pass(&self) -> u64 {
        self.open.min(self.passes.saturating_sub(1))
    }

    /// The lease that a worker holds.
    pub(super) fn held_by(&self, worker: WorkerId) -> Option<&Lease> {
        self.out.get(&worker)
    }

    /// Workers that hold leases.
    pub(super) fn holders(&self) -> impl Iterator<Item = WorkerId> + '_ {
        self.out.keys().copied()
    }

    /// Grants a lease to a worker that holds none; `None` when there is nothing for it, beside what
    /// every worker may have unless it takes that, too.
    pub(super) fn grant(&mut self, worker: WorkerId, takes_shared: bool) -> Option<Lease> {
        let id = self.least_advanced(worker, takes_shared)?;
        let source = self.sources.get_mut(&id)?;
        let lease = Lease {
            id: self.next_id,
            source: id,
            positions: source.take(self.passes)?,
            is_whole: source.is_whole,
            source_samples: source.samples.unwrap_or(0),
        };
        self.next_id += 1;
        self.generation += 1;
        self.out.insert(worker, lease);
        Some(lease)
    }

    /// Its own source comes first where both are equally far.
    fn least_advanced(&self, worker: WorkerId, takes_shared: bool) -> Option<SourceId> {
        let position = |id: SourceId| self.sources.get(&id)?.position(self.passes);
        let shared = position(SHARED).filter(|_| takes_shared);
        match (position(own(worker)), shared) {
            (Some(own), Some(shared)) if shared.is_before(&own) => Some(SHARED),
            (Some(_), _) => Some(own(worker)),
            (None, shared) => shared.map(|_| SHARED),
        }
    }

    /// Takes back what a worker holds and did not finish.
    pub(super) fn give_back(&mut self, worker: WorkerId) -> Option<Lease> {
        let lease = self.out.remove(&worker)?;
        self.generation += 1;
        if let Some(source) = self.sources.get_mut(&lease.source) {
            source.returned.insert(lease.positions);
        }
        self.end_passes();
        Some(lease)
    }

    /// A worker did not reach the evaluator. Whether that happened so often that nobody seems to: its
    /// samples then hold the job no longer.
    pub(super) fn evaluator_not_reached(&mut self) -> bool {
        self.not_reached += 1;
        let is_unreachable = self.not_reached >= NOT_REACHED_MAX.saturating_mul(self.workers);
        if is_unreachable {
            self.not_reached = 0;
            self.suspend(SHARED);
        }
        is_unreachable
    }

    /// Counts a finished lease; whether this worker held it. `samples` is what a stream had.
    pub(super) fn finish(
        &mut self,
        worker: WorkerId,
        id: u64,
        samples: u64,
        losses: &Losses,
    ) -> bool {
        let Some(lease) = self.held_by(worker).filter(|lease| lease.id == id).copied() else {
            return false;
        };
        self.out.remove(&worker);
        self.generation += 1;
        if lease.source == SHARED {
            self.not_reached = 0;
        }
        if let Some(source) = self.sources.get_mut(&lease.source) {
            if self.kind == DataKind::Streamed {
                source.samples = Some(samples);
            }
            let done = if lease.is_whole { samples } else { lease.positions.count() };
            source.samples_done = source.samples_done.saturating_add(done);
        }
        self.losses.entry(lease.positions.pass).or_default().add(losses);
        self.end_passes();
        true
    }
}
