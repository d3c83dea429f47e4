//! How a job goes on from a checkpoint of an earlier life.

use super::{Restore, kept};
use crate::data_description::DataKind;
use crate::ids::Epoch;
use crate::master::Machine;
use crate::master::lifecycle::Phase;
use crate::master::types::{
    Action, CheckpointHistory, CompleteCheckpoint, JobProgress, Level, RestoredCheckpoint,
};
use crate::report::Resumed;
use std::time::Duration;

impl Machine {
    /// Whether the shards are about to hold what was saved, which may take long.
    pub(in crate::master) fn is_restoring(&self) -> bool {
        let epoch = self.membership.shard_map().map(|shard_map| shard_map.epoch);
        epoch.is_some_and(|epoch| self.checkpoints.restore == Restore::Asked(epoch))
    }

    /// Goes on after what earlier lives left; said once, before anybody registers.
    pub fn start_after(&mut self, history: CheckpointHistory) {
        if history.has_any {
            self.checkpoints.restore = Restore::Wanted;
        }
        self.checkpoints.next_number = history.next_number;
    }

    /// Has the shards restored once they know of the epoch.
    pub(in crate::master) fn ask_restore(&mut self) {
        if self.checkpoints.restore == Restore::Wanted
            && self.lifecycle.phase() == Phase::Starting
            && let Some(shard_map) = self.membership.shard_map()
        {
            self.checkpoints.restore = Restore::Asked(shard_map.epoch);
            self.actions.push(Action::Restore(shard_map.clone(), self.registry.life()));
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
            let is_asked = machine.checkpoints.restore == Restore::Asked(epoch);
            match restored {
                _ if !is_asked || machine.lifecycle.phase() != Phase::Starting => (),
                Ok(restored) => machine.go_on_from(*restored, now),
                Err(reason) => machine.fail(reason, now),
            }
        });
    }

    fn go_on_from(&mut self, restored: RestoredCheckpoint, now: Duration) {
        let RestoredCheckpoint { number, state, chunk_elements, older } = restored;
        self.membership.set_chunk_elements(chunk_elements);
        let checkpoints = &mut self.checkpoints;
        checkpoints.restore = Restore::Done;
        checkpoints.restored_at = now;
        let restored = CompleteCheckpoint { number, is_sound: !state.learning.is_in_doubt() };
        let before = older.iter().find(|older| older.is_sound).map(|older| older.number);
        checkpoints.complete = kept(std::iter::once(restored).chain(older));
        match checkpoints.resumed {
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
        if let (false, Some(sound)) = (restored.is_sound, before) {
            let line = format!(
                "checkpoint {number} was written while the run went wrong, {sound} before: to go on from \
                 that one, remove the files of {number} and start again"
            );
            self.log(Level::Warn, line);
        }
        if let Err(mismatch) = self.resume(state.cursor.clone()) {
            return self.fail(format!("checkpoint {number}: {mismatch}"), now);
        }
        if !self.programs.resume(&state.programs) {
            let words = "its place in the samples of programs does not exist: it is damaged";
            return self.fail(format!("checkpoint {number}: {words}"), now);
        }
        self.checkpoints.pending = Some((number, state));
        self.take_up(now);
    }

    /// Takes up what was written down, as soon as the data is known as well.
    pub(in crate::master) fn take_up(&mut self, now: Duration) {
        if self.agreement.agreed().is_none() {
            return;
        }
        let Some((number, state)) = self.checkpoints.pending.take() else {
            return;
        };
        let (then, now_wanted) = (&state.objective, self.data().objective);
        if !then.is_empty() && !now_wanted.is_empty() && *then != now_wanted {
            let reason = format!(
                "checkpoint {number} is of a job that learnt `{then}`, and this one is to learn `{now_wanted}`: take another \
                 --checkpoints folder, or the options of that job"
            );
            return self.fail(reason, now);
        }
        let passes = state.passes.len() as u64;
        let JobProgress { samples_done: done, samples_total: total } = self.progress();
        let done = done.max(self.programs.samples().done());
        let resumed = Resumed { checkpoint: number, passes, samples_done: done };
        self.checkpoints.resumed = Some(resumed);
        // Nobody here can compute the model of a user's program.
        let is_program = self.agreement.kind() == Some(DataKind::Program);
        let settings = &self.config.settings.evaluation;
        let (every, keeps_best) = (settings.every, settings.keeps_best());
        if let Some(last) = state.passes.last()
            && last.samples_done_at_evaluation.is_none()
            && every.is_none()
            && !is_program
        {
            self.evaluations.want(last.pass.saturating_sub(1));
        }
        self.selection.resume(state.keeping.clone(), state.began, done);
        if let Some(every) = every {
            self.evaluations.resume_at(self.steps_done(), every);
        }
        if keeps_best {
            self.find_kept();
        }
        self.record.resume(state);
        let wanted = self.config.settings.passes;
        let (programs, words) = (self.programs.samples(), "resumed from checkpoint");
        let line = match is_program {
            true if programs.is_used() => format!(
                "{words} {number}: programs go on in pass {}, {} samples were trained",
                programs.pass() + 1,
                programs.done()
            ),
            true => format!("{words} {number}: programs begin anew, with its weights"),
            false => format!(
                "{words} {number}: {passes} of {wanted} passes done, {done} of {total} samples"
            ),
        };
        self.log(Level::Info, line);
    }
}
