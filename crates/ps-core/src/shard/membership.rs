//! Who may push to a shard and pull from it, and who waits.

use super::{Puller, Session, Shard};
use crate::fence::{self, Fence};
use crate::gate::{GateDecision, Member};
use crate::ids::{Epoch, Incarnation, Life, WorkerId};
use crate::window::Window;
use std::time::Duration;

impl Shard {
    /// The epoch it is in.
    pub fn epoch(&self) -> Epoch {
        self.fence.read().epoch()
    }

    /// Whether a master says who may work with this shard.
    pub fn is_managed(&self) -> bool {
        self.fence.read().is_managed()
    }

    /// Takes the master's word that this is its epoch, and the job's life. Whoever is of an earlier life
    /// can change nothing from now on.
    ///
    /// # Errors
    /// The epoch is over.
    pub fn enter(&self, epoch: Epoch, life: Life) -> Result<(), fence::Error> {
        self.enter_life(&mut self.fence.write(), epoch, life)
    }

    pub(super) fn enter_life(
        &self,
        fence: &mut Fence,
        epoch: Epoch,
        life: Life,
    ) -> Result<(), fence::Error> {
        let life = if self.guards.lives { life } else { 0 };
        let before = (fence.epoch(), fence.life());
        let begins = fence.enter(epoch, life)?;
        if before != (fence.epoch(), fence.life()) {
            self.note_fence(fence, Vec::new());
        }
        if begins {
            let workers: Vec<_> = self.sessions.iter().map(|entry| *entry.key()).collect();
            workers.into_iter().for_each(|worker| self.forget(fence, worker, life));
        }
        Ok(())
    }

    /// The job's life; 0 before a master told it.
    pub fn life(&self) -> Life {
        self.fence.read().life()
    }

    /// The highest life, epoch or incarnation that it has heard of.
    pub fn highest(&self) -> Life {
        self.fence.read().highest()
    }

    /// Whether this worker may create the model.
    ///
    /// # Errors
    /// It is fenced, or the master has not told the shard of it yet.
    pub fn check_start(
        &self,
        epoch: Epoch,
        worker: WorkerId,
        incarnation: Incarnation,
    ) -> Result<(), fence::Error> {
        self.fence.read().check_start(epoch, worker, incarnation)
    }

    /// Takes the master's word about epoch, life, incarnations and who is active.
    ///
    /// # Errors
    /// The epoch is over.
    pub fn set_members(
        &self,
        epoch: Epoch,
        life: Life,
        revision: u64,
        members: &[Member],
        now: Duration,
    ) -> Result<(), fence::Error> {
        let mut newest = self.revision.lock();
        let mut fence = self.fence.write();
        self.enter_life(&mut fence, epoch, life)?;
        if (epoch, revision) <= *newest {
            return Ok(());
        }
        *newest = (epoch, revision);
        let mut raised = Vec::new();
        for member in members {
            if fence.raise(member.worker, member.incarnation) {
                self.forget(&mut fence, member.worker, member.incarnation);
                raised.push((member.worker, member.incarnation));
            }
        }
        if !raised.is_empty() {
            self.note_fence(&fence, raised);
        }
        self.gate.lock().set_members(members, now);
        drop(fence);
        (self.notify_gate)();
        Ok(())
    }

    /// Without a master: a worker's sign of life. It also admits a newer incarnation.
    pub fn heard(&self, epoch: Epoch, worker: WorkerId, incarnation: Incarnation, now: Duration) {
        let would_admit = self.fence.read().would_admit(epoch, worker, incarnation);
        if would_admit {
            let mut fence = self.fence.write();
            fence.admit(epoch, worker, incarnation);
            self.forget(&mut fence, worker, incarnation);
            self.note_fence(&fence, vec![(worker, incarnation)]);
        }
        let fence = self.fence.read();
        let is_current = fence.check(fence.epoch(), worker, incarnation).is_ok();
        let mut changed = would_admit;
        if !fence.is_managed() && is_current {
            changed |= self.gate.lock().heard(worker, incarnation, now);
        }
        drop(fence);
        // Whoever waits at the gate must hear that it is active again, or was superseded.
        if changed {
            (self.notify_gate)();
        }
    }

    /// Without a master: a worker says goodbye. With one, the master says who is active.
    pub fn leave(&self, worker: WorkerId, incarnation: Incarnation) {
        if self.is_managed() {
            return;
        }
        self.gate.lock().leave(worker, incarnation);
        (self.notify_gate)();
    }

    /// Whether any worker is active.
    pub fn has_active_workers(&self, now: Duration) -> bool {
        self.gate.lock().has_active(now)
    }

    /// May this worker pull now?
    ///
    /// # Errors
    /// It is fenced. A worker that the master has not vouched for yet waits.
    pub fn check_gate(
        &self,
        epoch: Epoch,
        puller: &Puller,
        now: Duration,
    ) -> Result<GateDecision, fence::Error> {
        let &Puller { worker, incarnation, clock, finished_clock, ahead } = puller;
        match self.fence.read().check(epoch, worker, incarnation) {
            Ok(()) => (),
            Err(fence::Error::NotYetKnown { .. }) => return Ok(GateDecision::Wait { until: None }),
            Err(stale) => {
                self.counters.calls_fenced.add(1);
                return Err(stale);
            }
        }
        let mut gate = self.gate.lock();
        let moved = gate.finished(worker, incarnation, finished_clock);
        let decision = gate.check(worker, incarnation, clock, u64::from(ahead), now);
        drop(gate);
        if moved {
            (self.notify_gate)();
        }
        Ok(decision)
    }

    /// Drops what is remembered of a superseded incarnation; its unfinished pushes are torn. Only
    /// whoever has the fence for writing may: else the new incarnation could push in between, and
    /// what it replaces would not be counted.
    pub(super) fn forget(&self, _: &mut Fence, worker: WorkerId, incarnation: Incarnation) {
        let Some(session) = self.sessions.get(&worker).map(|entry| entry.value().clone()) else {
            return;
        };
        let mut session = session.lock();
        if session.incarnation < incarnation {
            self.counters.pushes_torn.add(session.window.unfinished());
            let counts = session.counts;
            *session = Session { incarnation, window: Window::default(), counts };
        }
    }
}
