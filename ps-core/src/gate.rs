//! The staleness gate: stale synchronous parallel (Ho et al., NIPS 2013) on clocks.
//!
//! A pull for step `t` opens once every active worker's pushes up to step `t - 1 - bound` are
//! applied on this shard. A worker that is dead, finished, idle or paused past its lease is not
//! active and holds nobody.

use crate::ids::{Clock, Incarnation, WorkerId};
use std::collections::BTreeMap;
use std::time::Duration;

/// What the gate says to a pull.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go; the caller's clock as the shard has it, at least the step asked for when it was lifted.
    Open {
        /// The step the weights are for: the caller's own, or the smallest active clock for a joiner.
        clock: Clock,
    },
    /// Wait for a change, at most this long: then a silent worker may have stopped being active.
    Wait {
        /// Until when at the latest the verdict stays the same without a change.
        until: Option<Duration>,
    },
}

#[derive(Clone, Debug)]
struct Worker {
    incarnation: Incarnation,
    clock: Clock,
    active: bool,
    last_heard: Duration,
}

/// One worker in the master's word about who is in the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its rank.
    pub worker: WorkerId,
    /// Anything below is fenced.
    pub incarnation: Incarnation,
    /// Whether it holds a data lease.
    pub active: bool,
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
}

impl Gate {
    /// A gate with a master, who says who is active.
    pub fn managed() -> Self {
        Self { lease: None, bound: None, workers: BTreeMap::new() }
    }

    /// A gate without a master: active is who was heard of within the lease.
    pub fn unmanaged(lease: Duration) -> Self {
        Self { lease: Some(lease), bound: None, workers: BTreeMap::new() }
    }

    /// Sets the bound: how many steps a worker may be ahead of the slowest; `None` for no bound.
    pub fn set_bound(&mut self, bound: Option<u64>) {
        self.bound = bound;
    }

    /// Takes the master's word; a worker that becomes active starts no lower than the others are.
    pub fn set_members(&mut self, members: &[Member], now: Duration) {
        for member in members {
            let known = self.workers.get(&member.worker);
            let stays = known.is_some_and(|w| w.active && w.incarnation == member.incarnation);
            if stays && member.active {
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
            let worker = Worker { incarnation, clock, active: member.active, last_heard: now };
            self.workers.insert(member.worker, worker);
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
        self.workers.insert(id, Worker { incarnation, clock, active: true, last_heard: now });
        true
    }

    /// A worker leaves: it holds nobody from now on.
    pub fn leave(&mut self, id: WorkerId, incarnation: Incarnation) {
        if let Some(worker) = self.workers.get_mut(&id).filter(|w| w.incarnation == incarnation) {
            worker.active = false;
        }
    }

    /// The worker's pushes of all steps below `clock` are applied here. Whether that is news.
    pub fn advance(&mut self, id: WorkerId, incarnation: Incarnation, clock: Clock) -> bool {
        match self.workers.get_mut(&id) {
            Some(worker) if worker.incarnation == incarnation && worker.clock < clock => {
                worker.clock = clock;
                true
            }
            _ => false,
        }
    }

    /// May this worker, whose next step is this one, have weights for the steps up to so many after
    /// it?
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
    ) -> Verdict {
        if !self.is_active(id, incarnation, now) {
            // With a master: its word that this worker is active is still on its way.
            return Verdict::Wait { until: None };
        }
        let own = self.workers.get(&id).map_or(0, |worker| worker.clock);
        let last = step.saturating_add(ahead);
        let behind: Vec<&Worker> =
            self.active(now).filter(|worker| !self.lets_pass(worker, last)).collect();
        if behind.is_empty() {
            return Verdict::Open { clock: step.max(own) };
        }
        let until = self
            .lease
            .and_then(|lease| behind.iter().map(|worker| worker.last_heard + lease).min());
        Verdict::Wait { until }
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

    fn lets_pass(&self, worker: &Worker, step: Clock) -> bool {
        self.bound.is_none_or(|bound| worker.clock.saturating_add(bound) >= step)
    }

    fn is_fresh(&self, worker: &Worker, now: Duration) -> bool {
        self.lease.is_none_or(|lease| now < worker.last_heard + lease)
    }

    fn active(&self, now: Duration) -> impl Iterator<Item = &Worker> {
        self.workers.values().filter(move |w| w.active && self.is_fresh(w, now))
    }

    fn smallest_active(&self, now: Duration) -> Option<Clock> {
        self.active(now).map(|worker| worker.clock).min()
    }

    fn retire(&mut self, id: WorkerId) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.active = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const T0: Duration = Duration::ZERO;

    fn member(worker: WorkerId, active: bool, start_clock: Clock) -> Member {
        Member { worker, incarnation: 1, active, start_clock }
    }

    fn managed(bound: Option<u64>, workers: u32) -> Gate {
        let mut gate = Gate::managed();
        gate.set_bound(bound);
        let members: Vec<_> = (0..workers).map(|w| member(w, true, 0)).collect();
        gate.set_members(&members, T0);
        gate
    }

    fn opens(gate: &Gate, worker: WorkerId, step: Clock) -> bool {
        matches!(gate.check(worker, 1, step, 0, T0), Verdict::Open { .. })
    }

    #[test]
    fn bound_0_is_lockstep() {
        let mut gate = managed(Some(0), 2);
        assert!(opens(&gate, 0, 0));
        gate.advance(0, 1, 1);
        assert!(!opens(&gate, 0, 1));
        gate.advance(1, 1, 1);
        assert!(opens(&gate, 0, 1) && opens(&gate, 1, 1));
    }

    #[test]
    fn without_a_bound_nobody_waits() {
        let mut gate = managed(None, 2);
        gate.advance(0, 1, 1_000_000);
        assert!(opens(&gate, 0, 1_000_000));
    }

    #[test]
    fn an_idle_or_fenced_worker_holds_nobody() {
        let mut gate = managed(Some(1), 2);
        gate.advance(0, 1, 5);
        assert!(!opens(&gate, 0, 5));
        gate.set_members(&[member(1, false, 0)], T0);
        assert!(opens(&gate, 0, 5));
    }

    #[test]
    fn a_joiner_starts_at_the_smallest_active_clock() {
        let mut gate = managed(Some(1), 2);
        gate.advance(0, 1, 40);
        gate.advance(1, 1, 41);
        assert_eq!(gate.check(2, 1, 0, 0, T0), Verdict::Wait { until: None });
        gate.set_members(&[member(2, true, 12)], T0);
        assert_eq!(gate.check(2, 1, 12, 0, T0), Verdict::Open { clock: 40 });
        assert!(opens(&gate, 1, 41), "the joiner does not hold the others back");
    }

    /// Found by the simulation (seed 7): shards lift a joiner to different clocks, it takes the
    /// largest, and at bound 0 waited for itself on the shard that had lifted it less.
    #[test]
    fn regression_a_lifted_joiner_does_not_wait_for_itself() {
        let mut gate = managed(Some(0), 1);
        gate.advance(0, 1, 7);
        gate.set_members(&[member(1, true, 0)], T0);
        gate.advance(0, 1, 8);
        assert!(!opens(&gate, 1, 8), "this shard has the joiner at 7");
        gate.advance(1, 1, 8); // it says that it has no push below 8
        assert!(opens(&gate, 1, 8) && opens(&gate, 0, 8));
    }

    #[test]
    fn without_a_master_silence_ends_activity() {
        let mut gate = Gate::unmanaged(Duration::from_secs(10));
        gate.set_bound(Some(0));
        gate.heard(0, 1, T0);
        gate.heard(1, 1, T0);
        gate.advance(0, 1, 1);
        let wait = Verdict::Wait { until: Some(Duration::from_secs(10)) };
        assert_eq!(gate.check(0, 1, 1, 0, T0), wait);
        gate.heard(0, 1, Duration::from_secs(9));
        let later = Duration::from_secs(10);
        assert_eq!(gate.check(0, 1, 1, 0, later), Verdict::Open { clock: 1 });
        gate.advance(0, 1, 7);
        gate.heard(1, 1, Duration::from_secs(11));
        let back = gate.check(1, 1, 0, 0, Duration::from_secs(11));
        assert_eq!(back, Verdict::Open { clock: 7 }, "a returner is lifted to the others");
    }

    proptest! {
        /// However workers join, leave and step, whoever passes is within the bound of every
        /// active worker.
        #[test]
        fn whoever_passes_is_within_the_bound(
            bound in 0_u64..4,
            events in prop::collection::vec((0_u32..4, 0_u8..8), 1..300),
        ) {
            let mut gate = managed(Some(bound), 0);
            let mut steps = [0_u64; 4];
            let mut active = [false; 4];
            for (id, event) in events {
                let at = id as usize;
                match event {
                    0 => {
                        gate.set_members(&[member(id, !active[at], 0)], T0);
                        active[at] = !active[at];
                    }
                    _ => {
                        let Verdict::Open { clock } = gate.check(id, 1, steps[at], 0, T0) else {
                            continue;
                        };
                        if clock > steps[at] {
                            steps[at] = clock; // lifted: it asks again for that step
                            continue;
                        }
                        for other in (0..4).filter(|&o| active[o]) {
                            let done = gate.workers[&(other as u32)].clock;
                            prop_assert!(done + bound >= clock, "{other} at {done}, {id} at {clock}");
                        }
                        gate.advance(id, 1, clock + 1);
                        steps[at] = clock + 1;
                    }
                }
            }
        }
    }
}
