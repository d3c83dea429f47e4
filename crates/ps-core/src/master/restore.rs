//! How a job goes on from a checkpoint of an earlier life.

use super::Machine;
use super::lifecycle::Phase;
use super::types::{Action, CheckpointHistory, JobProgress, Level, RestoredCheckpoint};
use crate::ids::Epoch;
use crate::report::Resumed;
use std::time::Duration;

impl Machine {
    /// Whether the shards are about to hold what was saved, which may take long.
    pub(super) fn is_restoring(&self) -> bool {
        let shard_map = self.membership.shard_map();
        shard_map.is_some_and(|shard_map| self.checkpoints.is_restoring(shard_map.epoch))
    }

    /// Goes on after what earlier lives left; said once, before anybody registers.
    pub fn start_after(&mut self, history: CheckpointHistory) {
        self.membership.saw_epoch(history.epoch);
        if history.has_any {
            self.registry.start_above(&history.incarnations);
        }
        self.checkpoints.start_after(history);
    }

    /// Has the shards restored once they know of the epoch.
    pub(super) fn ask_restore(&mut self) {
        if self.lifecycle.phase() == Phase::Starting
            && let Some(shard_map) = self.membership.shard_map()
            && self.checkpoints.ask_restore(shard_map.epoch)
        {
            self.actions.push(Action::Restore(shard_map.clone()));
        }
    }

    /// The shards of this epoch hold what a checkpoint saved, or no checkpoint can be used.
    pub fn restored(
        &mut self,
        epoch: Epoch,
        restored: Result<Box<RestoredCheckpoint>, String>,
        now: Duration,
    ) {
        self.event(now, |machine| {
            let is_awaited = machine.checkpoints.is_restoring(epoch);
            if !is_awaited || machine.lifecycle.phase() != Phase::Starting {
                return;
            }
            match restored {
                Ok(restored) => machine.go_on_from(*restored, now),
                Err(reason) => machine.fail(reason, now),
            }
        });
    }

    fn go_on_from(&mut self, restored: RestoredCheckpoint, now: Duration) {
        let (number, cursor) = (restored.number, restored.state.cursor.clone());
        match self.checkpoints.restored(restored, now) {
            // The same once more.
            Some(before) if before == number => return,
            Some(before) => {
                let reason = format!(
                    "the servers restored checkpoint {before}, and with another server {number}; \
                     start the job again"
                );
                return self.fail(reason, now);
            }
            None => (),
        }
        match self.resume(cursor) {
            Ok(()) => self.take_up(),
            Err(mismatch) => self.fail(format!("checkpoint {number}: {mismatch}"), now),
        }
    }

    /// Takes up what was written down, as soon as the data is known as well.
    pub(super) fn take_up(&mut self) {
        if self.agreement.agreed().is_none() {
            return;
        }
        let Some((number, state)) = self.checkpoints.take_pending() else {
            return;
        };
        let passes = state.passes.len() as u64;
        let JobProgress { samples_done: done, samples_total: total } = self.progress();
        self.checkpoints.set_resumed(Resumed { checkpoint: number, passes, samples_done: done });
        if let Some(last) = state.passes.last()
            && last.samples_done_at_evaluation.is_none()
        {
            self.evaluations.want(last.pass.saturating_sub(1));
        }
        self.record.resume(state);
        let wanted = self.config.settings.passes;
        let line = format!(
            "resumed from checkpoint {number}: {passes} of {wanted} passes done, {done} of \
             {total} samples"
        );
        self.log(Level::Info, line);
    }
}
