//! How far each worker is, as far as it told.

use crate::ids::{Clock, WorkerId};
use std::collections::BTreeMap;
use std::time::Duration;

/// Served leases that come back in a row, per worker, until nobody is taken to reach the evaluator.
const UNREACHED_MAX: u32 = 3;

/// What is known of a worker's present life.
#[derive(Clone, Debug, Default)]
struct Worker {
    clock: Clock,
    /// Where its clock started when it became active.
    start_clock: Clock,
    /// When it last finished a step, waited for others, or was given a lease.
    moved: Duration,
    /// Until then it gets no served samples, because it did not reach the evaluator.
    avoids_evaluator_until: Duration,
}

/// The workers of the job, by rank.
#[derive(Clone, Debug, Default)]
pub(super) struct Workers {
    workers: BTreeMap<WorkerId, Worker>,
    /// Leases on served samples that came back in a row, because the evaluator was not reached.
    evaluator_unreached: u32,
}

impl Workers {
    /// Another process has the rank.
    pub(super) fn joined(&mut self, rank: WorkerId, now: Duration) {
        self.workers.insert(rank, Worker { moved: now, ..Worker::default() });
    }

    /// A worker told its clock, and whether it is held by others.
    pub(super) fn heard(&mut self, rank: WorkerId, clock: Clock, is_waiting: bool, now: Duration) {
        let worker = self.workers.entry(rank).or_default();
        if clock > worker.clock || is_waiting {
            worker.moved = now;
        }
        worker.clock = worker.clock.max(clock);
    }

    /// A worker was given a lease; it starts at this clock, or where it is, unless it was active.
    pub(super) fn lease_granted(
        &mut self,
        rank: WorkerId,
        was_active: bool,
        start: Option<Clock>,
        now: Duration,
    ) -> Clock {
        let worker = self.workers.entry(rank).or_default();
        worker.moved = now;
        if !was_active {
            worker.start_clock = start.unwrap_or(worker.clock);
        }
        worker.start_clock
    }

    pub(super) fn start_clock(&self, rank: WorkerId) -> Clock {
        self.workers.get(&rank).map_or(0, |worker| worker.start_clock)
    }

    /// The smallest clock of these workers.
    pub(super) fn smallest_clock(&self, ranks: impl Iterator<Item = WorkerId>) -> Option<Clock> {
        let workers = ranks.filter_map(|rank| self.workers.get(&rank));
        workers.map(|worker| worker.clock.max(worker.start_clock)).min()
    }

    /// Whether a worker has not moved for this long.
    pub(super) fn is_stuck(&self, rank: WorkerId, limit: Duration, now: Duration) -> bool {
        let worker = self.workers.get(&rank);
        worker.is_some_and(|worker| now.saturating_sub(worker.moved) >= limit)
    }

    /// The master was away itself: nobody could tell it anything.
    pub(super) fn extend(&mut self, by: Duration) {
        self.workers.values_mut().for_each(|worker| worker.moved += by);
    }

    pub(super) fn avoids_evaluator(&self, rank: WorkerId, now: Duration) -> bool {
        self.workers.get(&rank).is_some_and(|worker| now < worker.avoids_evaluator_until)
    }

    pub(super) fn evaluator_was_reached(&mut self) {
        self.evaluator_unreached = 0;
    }

    /// A worker did not reach the evaluator and does something else for a while. Whether that
    /// happened so often that nobody seems to reach it.
    pub(super) fn evaluator_was_not_reached(
        &mut self,
        rank: WorkerId,
        until: Duration,
        workers: u32,
    ) -> bool {
        if let Some(worker) = self.workers.get_mut(&rank) {
            worker.avoids_evaluator_until = until;
        }
        self.evaluator_unreached += 1;
        let is_unreachable = self.evaluator_unreached >= UNREACHED_MAX.saturating_mul(workers);
        if is_unreachable {
            self.evaluator_unreached = 0;
        }
        is_unreachable
    }
}
