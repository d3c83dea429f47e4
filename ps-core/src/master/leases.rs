//! Who works on which samples: leases on positions of each pass, until every pass is done.
//!
//! There is no barrier between passes: the next one's leases go out while this one's last are in
//! work. A lease that comes back goes out first.

use crate::ids::WorkerId;
use crate::learning::Losses;
use std::collections::{BTreeMap, BTreeSet};

/// Leases that a worker gets in a pass, about: enough to even out unequal workers.
const LEASES_PER_WORKER: u64 = 8;

/// Consecutive positions of one pass; ordered by pass first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Positions {
    pub(super) pass: u64,
    pub(super) start: u64,
    pub(super) end: u64,
}

impl Positions {
    pub(super) fn samples(&self) -> u64 {
        self.end - self.start
    }
}

/// A lease that is out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lease {
    pub(super) id: u64,
    pub(super) positions: Positions,
}

/// All samples of all passes.
#[derive(Clone, Debug)]
pub(super) struct Leases {
    samples: u64,
    passes: u64,
    /// Samples of one lease, whole batches.
    size: u64,
    /// Where the next fresh lease starts.
    next: (u64, u64),
    next_id: u64,
    returned: BTreeSet<Positions>,
    /// A worker holds at most one.
    out: BTreeMap<WorkerId, Lease>,
    samples_done: u64,
    /// Passes with samples done and samples to do.
    open: BTreeMap<u64, (u64, Losses)>,
}

impl Leases {
    /// Leases on `samples` (at least one) for so many passes and workers.
    pub(super) fn new(samples: u64, passes: u64, batch: u64, workers: u32) -> Self {
        let batch = batch.max(1);
        let share = samples.div_ceil(u64::from(workers.max(1)) * LEASES_PER_WORKER);
        Self {
            samples,
            passes,
            size: share.max(1).div_ceil(batch).saturating_mul(batch),
            next: (0, 0),
            next_id: 1,
            returned: BTreeSet::new(),
            out: BTreeMap::new(),
            samples_done: 0,
            open: BTreeMap::new(),
        }
    }

    pub(super) fn samples(&self) -> u64 {
        self.samples
    }

    pub(super) fn samples_done(&self) -> u64 {
        self.samples_done
    }

    pub(super) fn samples_total(&self) -> u64 {
        self.samples.saturating_mul(self.passes)
    }

    /// Whether every lease of every pass was finished.
    pub(super) fn are_done(&self) -> bool {
        self.next.0 >= self.passes && self.returned.is_empty() && self.out.is_empty()
    }

    /// The oldest pass that is not finished.
    pub(super) fn pass(&self) -> u64 {
        let open = self.open.keys().next().copied();
        open.unwrap_or(self.next.0).min(self.passes.saturating_sub(1))
    }

    /// The lease that a worker holds.
    pub(super) fn held_by(&self, worker: WorkerId) -> Option<&Lease> {
        self.out.get(&worker)
    }

    /// Workers that hold leases.
    pub(super) fn holders(&self) -> impl Iterator<Item = WorkerId> + '_ {
        self.out.keys().copied()
    }

    /// Grants a lease to a worker that holds none; `None` when nothing is left to grant.
    pub(super) fn grant(&mut self, worker: WorkerId) -> Option<Lease> {
        let positions = self.returned.pop_first().or_else(|| self.fresh())?;
        let lease = Lease { id: self.next_id, positions };
        self.next_id += 1;
        self.out.insert(worker, lease);
        self.open.entry(positions.pass).or_default();
        Some(lease)
    }

    fn fresh(&mut self) -> Option<Positions> {
        let (pass, start) = self.next;
        if pass >= self.passes || self.samples == 0 {
            return None;
        }
        let end = start.saturating_add(self.size).min(self.samples);
        self.next = if end == self.samples { (pass + 1, 0) } else { (pass, end) };
        Some(Positions { pass, start, end })
    }

    /// Takes back what a worker holds and did not finish.
    pub(super) fn give_back(&mut self, worker: WorkerId) -> Option<Lease> {
        let lease = self.out.remove(&worker)?;
        self.returned.insert(lease.positions);
        Some(lease)
    }

    /// Counts a finished lease, if this worker holds it; the pass and its losses when it was the
    /// last one of a pass. `None` when the worker does not hold this lease.
    pub(super) fn finish(
        &mut self,
        worker: WorkerId,
        id: u64,
        losses: &Losses,
    ) -> Option<Option<(u64, Losses)>> {
        self.held_by(worker).filter(|lease| lease.id == id)?;
        let Positions { pass, .. } = self.out.get(&worker)?.positions;
        let samples = self.out.remove(&worker)?.positions.samples();
        self.samples_done = self.samples_done.saturating_add(samples);
        let (done, sum) = self.open.entry(pass).or_default();
        *done += samples;
        sum.add(losses);
        if *done < self.samples {
            return Some(None);
        }
        Some(self.open.remove(&pass).map(|(_, losses)| (pass, losses)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_are_whole_batches_and_cover_every_pass() {
        let mut leases = Leases::new(1000, 2, 32, 3);
        let mut next = (0, 0);
        while let Some(lease) = leases.grant(0) {
            let Positions { pass, start, end } = lease.positions;
            assert_eq!((pass, start), next);
            assert!((end - start) % 32 == 0 || end == 1000);
            next = if end == 1000 { (pass + 1, 0) } else { (pass, end) };
            let ended = leases.finish(0, lease.id, &Losses::default()).unwrap();
            assert_eq!(ended.is_some(), end == 1000);
        }
        assert!(leases.are_done());
        assert_eq!(leases.samples_done(), leases.samples_total());
    }

    #[test]
    fn a_returned_lease_goes_out_first_under_a_new_number() {
        let mut leases = Leases::new(100, 1, 10, 1);
        let first = leases.grant(0).unwrap();
        leases.grant(1).unwrap();
        leases.give_back(0);
        let again = leases.grant(2).unwrap();
        assert_eq!(again.positions, first.positions);
        assert_ne!(again.id, first.id);
        assert_eq!(leases.finish(0, first.id, &Losses::default()), None);
        assert_eq!(leases.finish(2, first.id, &Losses::default()), None);
        assert!(leases.finish(2, again.id, &Losses::default()).is_some());
        assert_eq!(leases.samples_done(), first.positions.samples());
    }

    #[test]
    fn the_next_pass_starts_while_this_one_is_in_work() {
        let mut leases = Leases::new(10, 2, 10, 2);
        assert_eq!(leases.grant(0).unwrap().positions.pass, 0);
        assert_eq!(leases.grant(1).unwrap().positions.pass, 1);
        assert_eq!(leases.pass(), 0);
        assert!(!leases.are_done() && leases.grant(2).is_none());
    }
}
