//! Members that are silent, stuck or leaving.

use super::finish::{Phase, Stop};
use super::leases::{Lease, SHARED};
use super::types::{Level, Role, Seat};
use super::{Machine, Process};
use crate::data_description::DataKind;
use std::time::Duration;

/// What a member that leaves because it alone was signalled exits with: 128 + SIGTERM.
pub(super) const EXIT_TERMINATED: u8 = 143;

impl Machine {
    /// A master that was suspended must not take everybody else for dead.
    pub(super) fn notice_own_absence(&mut self, now: Duration) {
        let gap = now.saturating_sub(self.ticked);
        self.ticked = self.ticked.max(now);
        if gap < self.config.lease / 2 {
            return;
        }
        self.places.extend(gap);
        self.memberships.extend(gap);
        for worker in self.workers.values_mut() {
            worker.moved += gap;
        }
        self.log(Level::Warn, format!("the master was away for {gap:.1?}; leases are extended"));
    }

    pub(super) fn expire_silent(&mut self, now: Duration) {
        for seat in self.places.silent(now) {
            self.expire(seat, "was silent for its lease", now);
        }
    }

    /// A worker that beats and holds samples but finishes no step is as good as dead.
    pub(super) fn expire_stuck(&mut self, now: Duration) {
        // What a program does between its start and its end is its own affair.
        if self.kind() == Some(DataKind::Program) {
            return;
        }
        let limit = self.config.step_timeout;
        let stuck = |rank: &u32| {
            let moved = self.workers.get(rank).map_or(now, |worker| worker.moved);
            now.saturating_sub(moved) >= limit
        };
        let Some(leases) = &self.leases else {
            return;
        };
        let stuck: Vec<u32> = leases.holders().filter(stuck).collect();
        for index in stuck {
            let reason = format!("finished no step in {limit:.0?}");
            self.expire(Seat { role: Role::Worker, index }, &reason, now);
        }
    }

    /// Ends a member's hold on its place; what it had in work is done by others.
    pub(super) fn expire(&mut self, seat: Seat, reason: &str, now: Duration) {
        let Some(process) = self.places.vacate(seat) else {
            return;
        };
        self.answers.remove(&seat);
        self.evaluations.give_back(seat);
        if seat.role == Role::Worker {
            self.give_back_lease(seat.index);
        }
        self.data_went(seat);
        if process.has_left {
            return;
        }
        let address = &process.address;
        self.log(Level::Warn, format!("{seat} at {address} is lost: it {reason}"));
        self.record.lost(seat, address, reason, now.saturating_sub(self.started));
        match seat.role {
            Role::Server => self.server_is_lost(seat, &process, reason, now),
            Role::Worker => self.note_alone(&format!("{seat} at {address} {reason}"), now),
            Role::Evaluator => (),
        }
    }

    pub(super) fn give_back_lease(&mut self, rank: u32) -> Option<Lease> {
        let lease = self.leases.as_mut()?.give_back(rank)?;
        if lease.source == SHARED {
            let (pass, samples) = (lease.positions.pass + 1, lease.positions.count());
            let line = format!("{samples} samples of pass {pass} go from worker {rank} to others");
            self.log(Level::Info, line);
        }
        Some(lease)
    }

    fn server_is_lost(&mut self, seat: Seat, process: &Process, reason: &str, now: Duration) {
        let address = &process.address;
        if self.checkpoint_is_lost(seat) {
            self.advance_phase(now);
        }
        if matches!(self.phase, Phase::Leaving { .. } | Phase::Finished { .. }) {
            return;
        }
        if matches!(self.phase, Phase::Evaluating { .. }) {
            self.log(Level::Warn, "the model is written; its final evaluation is given up");
            self.conclude(now);
        } else if self.has_begun {
            self.fail(format!("{seat} at {address} {reason}; its weights are lost"), now);
        } else {
            self.shard_map = None;
        }
    }

    /// Remembers since when nobody trains.
    fn note_alone(&mut self, last: &str, now: Duration) {
        if self.places.live(Role::Worker).next().is_none() && self.alone.is_none() {
            self.alone = Some((now, last.to_owned()));
        }
    }

    /// Without workers the job goes on only if one comes within a lease.
    pub(super) fn check_alone(&mut self, now: Duration) {
        let Some((since, last)) = &self.alone else {
            return;
        };
        let waited = now.saturating_sub(*since);
        if self.phase == Phase::Running && waited >= self.config.lease {
            let reason = format!("no worker is left and none came for {waited:.1?}: {last}");
            // The servers still hold what was trained: it is saved, and the job fails all the same.
            match self.samples_done() {
                0 => self.fail(reason, now),
                _ => self.stop(Stop::Abandoned(reason), now),
            }
        }
    }

    /// One member received a signal, which the master may not have.
    pub(super) fn member_is_leaving(&mut self, seat: Seat, now: Duration) {
        self.log(Level::Info, format!("{seat} was told to end by a signal"));
        match (seat.role, &self.phase) {
            // Its weights go with it: save them while it still serves.
            (Role::Server, Phase::Starting | Phase::Running) => {
                self.stop(Stop::Signal(EXIT_TERMINATED), now);
            }
            (Role::Evaluator, _) => self.evaluations.give_back(seat),
            _ => (),
        }
    }

    /// A member was told that it may leave: it is not waited for any more.
    pub(super) fn let_go(&mut self, seat: Seat, now: Duration) {
        let Some(process) = self.places.process_mut(seat).filter(|process| !process.has_left)
        else {
            return;
        };
        process.has_left = true;
        let last = format!("{seat} at {} left", process.address);
        self.log(Level::Info, last.clone());
        self.data_went(seat);
        if seat.role == Role::Worker {
            self.note_alone(&last, now);
        }
    }
}
