//! The staleness gate: stale synchronous parallel (Ho et al., NIPS 2013) on clocks.
//!
//! A pull for step `t` opens once every active worker's pushes up to step `t - 1 - bound` are
//! applied on this shard. A worker that is dead, finished, idle or paused past its lease is not
//! active and holds nobody.

use crate::ids::{Clock, Incarnation, WorkerId};
use crate::limits::UNACKNOWLEDGED_PUSHES_MAX;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// What the gate says to a pull.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GateDecision {
    /// Go; the caller's clock as the shard has it, at least the step asked for when it was lifted.
    Open {
        /// The step the weights are for: the caller's own, or the smallest active clock for a joiner.
        clock: Clock,
    },
    /// Wait for a change, at most this long: then a silent worker may have stopped being active.
    Wait {
        /// Until when at the latest the decision stays the same without a change.
        until: Option<Duration>,
    },
}

#[derive(Clone, Debug)]
struct Worker {
    incarnation: Incarnation,
    /// As its pushes and the master have it.
    clock: Clock,
    /// As its pulls say, which may be beyond what came here: for who was lifted by another shard.
    told: Clock,
    /// The clock that it will have when the push is applied which its weights came with.
    expected: Clock,
    active: bool,
    holds_nobody: bool,
    last_heard: Duration,
}

impl Worker {
    /// Up to which step it waits for nothing here, and nobody for it.
    fn reached(&self) -> Clock {
        self.clock.max(self.told)
    }
}

/// One worker in the master's word about who is in the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its rank.
    pub worker: WorkerId,
    /// Anything below is fenced.
    pub incarnation: Incarnation,
    /// Whether it holds a data lease.
    pub active: bool,
    /// Though it is active, nobody waits for it: a program that waits for samples which others have, or does
    /// something else between two passes. It may push and pull all the same.
    pub holds_nobody: bool,
    /// Where its clock starts when it becomes active, unless others are further.
    pub start_clock: Clock,
}

/// The clocks of the workers on one shard.
#[derive(Clone, Debug)]
pub struct Gate {
    /// Without a master: how long after its last sign of life a worker counts as active.
    lease: Option<Duration>,
    bound: Option<u64>,
    workers: BTreeMap<WorkerId, Worker>,
    /// The highest clock that a push or the master's word has brought anybody here.
    seen: Clock,
}

impl Gate {
    /// A gate with a master, who says who is active.
    pub fn managed() -> Self {
        Self { lease: None, bound: None, workers: BTreeMap::new(), seen: 0 }
    }

    /// A gate without a master: active is who was heard of within the lease.
    pub fn unmanaged(lease: Duration) -> Self {
        Self { lease: Some(lease), bound: None, workers: BTreeMap::new(), seen: 0 }
    }

    /// Sets the bound: how many steps a worker may be ahead of the slowest; `None` for no bound.
    pub fn set_bound(&mut self, bound: Option<u64>) {
        self.bound = bound;
    }

    /// Takes the master's word; a worker that becomes active starts no lower than the others are.
    pub fn set_members(&mut self, members: &[Member], now: Duration) {
        for member in members {
            self.seen = self.seen.max(member.start_clock);
            let known = self.workers.get(&member.worker);
            let stays = known.is_some_and(|w| w.active && w.incarnation == member.incarnation);
            if stays && member.active {
                self.set_holding(member, now);
                continue;
            }
            // An idle worker keeps its clock, so that it never counts a step twice.
            let own = known.filter(|w| w.incarnation == member.incarnation).map_or(0, |w| w.clock);
            let mut clock = own;
            if member.active {
                self.retire(member.worker);
                clock = own.max(member.start_clock).max(self.smallest_active(now).unwrap_or(0));
            }
            let incarnation = member.incarnation;
            self.insert(member.worker, incarnation, clock, member.active, now);
            self.set_holding(member, now);
        }
    }

    /// Whether others wait for an active worker; when they do so again it starts no lower than they are.
    fn set_holding(&mut self, member: &Member, now: Duration) {
        let others = self.smallest_active(now).unwrap_or(0);
        if let Some(worker) = self.workers.get_mut(&member.worker) {
            if worker.holds_nobody && !member.holds_nobody {
                worker.clock = worker.clock.max(others);
                worker.expected = worker.expected.max(others);
            }
            worker.holds_nobody = member.holds_nobody;
        }
    }

    /// Without a master: a sign of life, which also makes a joiner or a returner active. Whether
    /// it became active by it.
    pub fn heard(&mut self, id: WorkerId, incarnation: Incarnation, now: Duration) -> bool {
        if self.lease.is_none() {
            return false;
        }
        if self.is_active(id, incarnation, now) {
            if let Some(worker) = self.workers.get_mut(&id) {
                worker.last_heard = now;
            }
            return false;
        }
        let own = self.workers.get(&id).filter(|w| w.incarnation == incarnation);
        let own = own.map_or(0, |w| w.clock);
        self.retire(id);
        let clock = own.max(self.smallest_active(now).unwrap_or(0));
        self.insert(id, incarnation, clock, true, now);
        true
    }

    /// A worker that pushed to this shard before its process was another one: its clock is known again, and it holds nobody
    /// until somebody says that it is active.
    pub fn restore(&mut self, id: WorkerId, incarnation: Incarnation, clock: Clock, now: Duration) {
        self.seen = self.seen.max(clock);
        self.insert(id, incarnation, clock, false, now);
    }

    /// A worker leaves: it holds nobody from now on.
    pub fn leave(&mut self, id: WorkerId, incarnation: Incarnation) {
        if let Some(worker) = self.workers.get_mut(&id).filter(|w| w.incarnation == incarnation) {
            worker.active = false;
        }
    }

    /// The worker's pushes of all steps below `clock` are applied here. Whether that is news.
    ///
    /// Of one that the gate has not heard of it is remembered, too: where a server was started again, a push may come before the
    /// master's word that its worker is active.
    pub fn advance(&mut self, id: WorkerId, incarnation: Incarnation, clock: Clock) -> bool {
        match self.workers.get_mut(&id) {
            Some(worker) if worker.incarnation == incarnation && worker.clock < clock => {
                worker.clock = clock;
                self.seen = self.seen.max(clock);
                true
            }
            Some(worker) if worker.incarnation >= incarnation => false,
            _ => {
                self.restore(id, incarnation, clock, Duration::ZERO);
                true
            }
        }
    }

    /// The worker says that nothing of the steps below `clock` is missing, as one does that another shard has lifted:
    /// it is believed as far as shards may differ in what has come to them. Whether that is news.
    ///
    /// Nobody is lifted by it. A call that claims more, in whosever name, moves no clock beyond what can be so.
    pub fn finished(&mut self, id: WorkerId, incarnation: Incarnation, clock: Clock) -> bool {
        let clock = clock.min(self.seen.saturating_add(UNACKNOWLEDGED_PUSHES_MAX));
        match self.workers.get_mut(&id) {
            Some(worker) if worker.incarnation == incarnation && worker.reached() < clock => {
                worker.told = clock;
                true
            }
            _ => false,
        }
    }

    /// May this worker, whose next step is this one, have weights for the steps up to so many after
    /// it? It always reads its own writes: its pushes of the steps below this one must be applied,
    /// whatever the bound.
    ///
    /// Nobody waits for ever: who is at the smallest clock has the weights for its next step as long
    /// as `ahead` is at most the bound, because its own pushes below `step` arrive without a gate.
    pub fn check(
        &self,
        id: WorkerId,
        incarnation: Incarnation,
        step: Clock,
        ahead: u64,
        now: Duration,
    ) -> GateDecision {
        if !self.is_active(id, incarnation, now) {
            // With a master: its word that this worker is active is still on its way.
            return GateDecision::Wait { until: None };
        }
        let (own, reached) =
            self.workers.get(&id).map_or((0, 0), |worker| (worker.clock, worker.reached()));
        if reached < step {
            return GateDecision::Wait { until: None };
        }
        let last = step.saturating_add(ahead);
        let behind: Vec<&Worker> =
            self.holding(now).filter(|worker| !self.lets_pass(worker.reached(), last)).collect();
        if behind.is_empty() {
            return GateDecision::Open { clock: step.max(own) };
        }
        let until = self
            .lease
            .and_then(|lease| behind.iter().map(|worker| worker.last_heard + lease).min());
        GateDecision::Wait { until }
    }

    /// Whether the worker is active in this incarnation.
    pub fn is_active(&self, id: WorkerId, incarnation: Incarnation, now: Duration) -> bool {
        self.workers
            .get(&id)
            .is_some_and(|w| w.incarnation == incarnation && w.active && self.is_fresh(w, now))
    }

    /// Whether any worker is active.
    pub fn has_active(&self, now: Duration) -> bool {
        self.active(now).next().is_some()
    }

    fn insert(
        &mut self,
        id: WorkerId,
        incarnation: Incarnation,
        clock: Clock,
        active: bool,
        now: Duration,
    ) {
        let worker = Worker {
            incarnation,
            clock,
            told: 0,
            expected: clock,
            active,
            holds_nobody: false,
            last_heard: now,
        };
        self.workers.insert(id, worker);
    }

    /// The decision if this worker's push of a step were applied already: what the pull that comes
    /// with it is answered while it arrives. `None` where that has to wait. Who joins from now on starts
    /// no lower than if it were.
    pub fn check_within_push(
        &mut self,
        id: WorkerId,
        incarnation: Incarnation,
        pushed: Clock,
        step: Clock,
        ahead: u64,
        now: Duration,
    ) -> Option<Clock> {
        if !self.is_active(id, incarnation, now) {
            return None;
        }
        let (own, reached) =
            self.workers.get(&id).map_or((0, 0), |worker| (worker.clock, worker.reached()));
        let after = own.max(pushed.saturating_add(1));
        if reached < pushed || after < step {
            return None;
        }
        let clock = |(other, worker): (&WorkerId, &Worker)| match *other == id {
            true => after,
            false => worker.reached(),
        };
        let last = step.saturating_add(ahead);
        let holds = |(other, w): &(&WorkerId, &Worker)| !w.holds_nobody || **other == id;
        let fresh = self.workers.iter().filter(|(_, w)| w.active && self.is_fresh(w, now));
        let fresh = fresh.filter(holds);
        if !fresh.map(clock).all(|clock| self.lets_pass(clock, last)) {
            return None;
        }
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.expected = after;
        }
        Some(step.max(own))
    }

    fn lets_pass(&self, clock: Clock, step: Clock) -> bool {
        self.bound.is_none_or(|bound| clock.saturating_add(bound) >= step)
    }

    fn is_fresh(&self, worker: &Worker, now: Duration) -> bool {
        self.lease.is_none_or(|lease| now < worker.last_heard + lease)
    }

    fn active(&self, now: Duration) -> impl Iterator<Item = &Worker> {
        self.workers.values().filter(move |w| w.active && self.is_fresh(w, now))
    }

    /// Those for whom others wait.
    fn holding(&self, now: Duration) -> impl Iterator<Item = &Worker> {
        self.active(now).filter(|worker| !worker.holds_nobody)
    }

    fn smallest_active(&self, now: Duration) -> Option<Clock> {
        self.holding(now).map(|worker| worker.clock.max(worker.expected)).min()
    }

    fn retire(&mut self, id: WorkerId) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.active = false;
        }
    }
}

#[cfg(test)]
mod tests;
