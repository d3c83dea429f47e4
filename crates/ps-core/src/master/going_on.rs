//! How a job goes on from a checkpoint of an earlier life.

use super::Machine;
use super::checkpoint::{KEPT, Restore};
use super::finish::Phase;
use super::types::{Action, Found, JobProgress, Level, Restored};
use crate::ids::Epoch;
use crate::report::Resumed;
use std::time::Duration;

impl Machine {
    /// Whether the shards are about to hold what was saved, which may take long.
    pub(super) fn is_restoring(&self) -> bool {
        let epoch = self.shard_map.as_ref().map(|map| map.epoch);
        epoch.is_some_and(|epoch| self.checkpoints.restore == Restore::Asked(epoch))
    }

    /// What the folder for checkpoints holds; said once, before anybody registers.
    pub fn found(&mut self, found: Found) {
        self.epoch = self.epoch.max(found.epoch);
        if found.has_any {
            self.places.start_above(&found.incarnations);
        }
        self.checkpoints.incarnations = found.incarnations;
        self.checkpoints.next_number = found.next_number;
        if found.has_any {
            self.checkpoints.restore = Restore::Wanted;
        }
    }

    /// Has the shards restored once they know of the epoch.
    pub(super) fn ask_restore(&mut self) {
        if self.checkpoints.restore == Restore::Wanted
            && self.phase == Phase::Starting
            && let Some(shard_map) = self.shard_map.clone()
        {
            self.checkpoints.restore = Restore::Asked(shard_map.epoch);
            self.actions.push(Action::Restore(shard_map));
        }
    }

    /// The shards of this epoch hold what a checkpoint saved, or no checkpoint can be used.
    pub fn restored(
        &mut self,
        epoch: Epoch,
        restored: Result<Box<Restored>, String>,
        now: Duration,
    ) {
        if self.checkpoints.restore != Restore::Asked(epoch) || self.phase != Phase::Starting {
            return;
        }
        match restored {
            Ok(restored) => self.go_on_from(*restored, now),
            Err(reason) => self.fail(reason, now),
        }
        self.advance(now);
    }

    fn go_on_from(&mut self, restored: Restored, now: Duration) {
        let Restored { number, state, older } = restored;
        let known = &mut self.checkpoints;
        known.restore = Restore::Done;
        known.restored_at = now;
        known.complete = [number].into_iter().chain(older).take(KEPT).collect();
        match known.resumed {
            // A server was replaced before anybody trained: the same once more.
            Some(resumed) if resumed.checkpoint == number => return,
            Some(resumed) => {
                let first = resumed.checkpoint;
                let reason = format!(
                    "the servers restored checkpoint {first}, and with another server {number}; \
                     start the job again"
                );
                return self.fail(reason, now);
            }
            None => (),
        }
        if let Err(mismatch) = self.resume(state.cursor.clone()) {
            return self.fail(format!("checkpoint {number}: {mismatch}"), now);
        }
        self.checkpoints.pending = Some((number, state));
        self.take_up();
    }

    /// Takes up what was written down, as soon as the data is known as well.
    pub(super) fn take_up(&mut self) {
        if self.leases.is_none() {
            return;
        }
        let Some((number, state)) = self.checkpoints.pending.take() else {
            return;
        };
        let passes = state.passes.len() as u64;
        let JobProgress { samples_done: done, samples_total: total } = self.progress();
        let resumed = Resumed { checkpoint: number, passes, samples_done: done };
        self.checkpoints.resumed = Some(resumed);
        self.watch = state.learning;
        if let Some(last) = state.passes.last()
            && last.samples_done_at_evaluation.is_none()
        {
            self.evaluations.want(last.pass.saturating_sub(1));
        }
        self.record.resume(state.passes, state.seconds);
        let wanted = self.config.settings.passes;
        let line = format!(
            "resumed from checkpoint {number}: {passes} of {wanted} passes done, {done} of \
             {total} samples"
        );
        self.log(Level::Info, line);
    }
}
