//! Checkpoints: when one is written.
//!
//! What the driver is asked for carries the master's knowledge of that moment. It is taken before
//! any shard is told: the pushes of samples that it calls done are acknowledged, so that they are in
//! the weights that the shards copy afterwards.

mod due;
mod request;
mod restore;

pub use due::CheckpointEvery;

use super::Machine;
use super::lifecycle::{Phase, StopReason};
use super::types::{Action, CheckpointRequest, CompleteCheckpoint, Level};
use crate::checkpoint::{JobState, Retention};
use crate::data_description::DataKind;
use crate::ids::Epoch;
use crate::report::Resumed;
use due::Since;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Complete checkpoints that are kept: the newest, and one for when the newest is damaged. If the run went wrong in
/// both, the newest from before is kept, too.
const COMPLETE_MAX: usize = 2;

/// Checkpoints that could not be written of which the reason is kept, for who has asked for them.
const FAILED_MAX: usize = 8;

/// Those that are kept of complete checkpoints, the newest first.
fn kept(complete: impl Iterator<Item = CompleteCheckpoint>) -> Vec<CompleteCheckpoint> {
    let mut retention = Retention::newest(COMPLETE_MAX);
    complete.filter(|checkpoint| retention.take(checkpoint.is_sound)).collect()
}

/// Where the job is on its way from the checkpoint of another life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Restore {
    /// There is none to go on from.
    #[default]
    Nothing,
    /// The servers are to be told, once all are there.
    Wanted,
    /// The driver has them restore it, in this epoch.
    Asked(Epoch),
    /// They hold what was saved.
    Done,
}

/// What is known of the job's checkpoints.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Checkpoints {
    next_number: u64,
    /// The newest first.
    complete: Vec<CompleteCheckpoint>,
    writing: Option<CompleteCheckpoint>,
    since: Since,
    /// The last that could not be written, and why.
    failed: BTreeMap<u64, String>,
    /// The one after the last push: whether it was asked for, or given up.
    is_last_asked: bool,
    /// Whether that one is complete.
    has_last: bool,
    /// Whether this life changed anything.
    has_trained: bool,
    restore: Restore,
    /// When the shards held what was saved: nobody could begin before.
    restored_at: Duration,
    /// What to go on from, until a worker has said what data there is.
    pending: Option<(u64, JobState)>,
    /// What this life went on from.
    resumed: Option<Resumed>,
}

impl Checkpoints {
    /// The newest complete one.
    pub(super) fn newest(&self) -> Option<u64> {
        self.complete.first().map(|newest| newest.number)
    }

    /// The complete ones, the newest first.
    pub(super) fn complete(&self) -> Vec<u64> {
        self.complete.iter().map(|it| it.number).collect()
    }

    /// Whether all that was trained is in a complete one.
    pub(super) fn has_last(&self) -> bool {
        self.has_last
    }

    /// What this life went on from.
    pub(super) fn resumed(&self) -> Option<Resumed> {
        self.resumed
    }

    /// Whether workers may know where the shards are.
    pub(super) fn are_shards_ready(&self) -> bool {
        matches!(self.restore, Restore::Nothing | Restore::Done)
    }

    /// Other servers hold the shards now: what was restored is gone.
    pub(super) fn shards_changed(&mut self) {
        if self.restore != Restore::Nothing {
            self.restore = Restore::Wanted;
        }
    }

    /// When the shards held what was saved: nobody could begin before.
    pub(super) fn restored_at(&self) -> Duration {
        self.restored_at
    }

    pub(super) fn pass_ended(&mut self) {
        self.since.pass_ended();
    }

    pub(super) fn lease_granted(&mut self) {
        self.has_trained = true;
    }

    /// Another process leads the job: what was asked of the driver of the one before is asked for again, unless it is done.
    pub(super) fn come_back(
        &mut self,
        is_complete: impl Fn(u64) -> bool,
    ) -> Option<(Level, String)> {
        if matches!(self.restore, Restore::Asked(_)) {
            self.restore = Restore::Wanted;
        }
        let number = self.writing?.number;
        if is_complete(number) {
            return self.written(number, Ok(()));
        }
        self.is_last_asked = false;
        self.written(number, Err("the master died meanwhile".to_owned()))
    }

    /// The last checkpoint is not waited for any more.
    pub(super) fn give_up(&mut self) {
        self.is_last_asked = true;
        self.writing = None;
    }

    /// Whether nothing more is written after the last push.
    pub(super) fn are_over(&self) -> bool {
        self.is_last_asked && self.writing.is_none()
    }

    /// What to say of a checkpoint that is complete, or could not be written; nothing of one that
    /// nobody waits for.
    fn written(&mut self, number: u64, written: Result<(), String>) -> Option<(Level, String)> {
        let written_now = self.writing.take_if(|writing| writing.number == number)?;
        if let Err(reason) = &written {
            self.failed.insert(number, reason.clone());
            while self.failed.len() > FAILED_MAX {
                self.failed.pop_first();
            }
        }
        let Err(reason) = written else {
            let older = std::mem::take(&mut self.complete);
            self.complete = kept(std::iter::once(written_now).chain(older));
            self.has_last = self.is_last_asked;
            return Some((Level::Info, format!("checkpoint {number} is written")));
        };
        let kept = match self.newest() {
            Some(newest) => format!("the newest is checkpoint {newest}"),
            None => "there is none yet".to_owned(),
        };
        let line = format!("checkpoint {number} could not be written: {reason}; {kept}");
        Some((Level::Error, line))
    }
}

impl Machine {
    /// When it is time, unless one is still being written.
    pub(super) fn checkpoint_when_due(&mut self, now: Duration) {
        let is_training = self.lifecycle.phase() == Phase::Running && self.checkpoints.has_trained;
        // What goes back holds nothing yet.
        if !is_training || self.going_back.is_any() {
            return;
        }
        let step = self.steps_done();
        // What a program trains only the servers know.
        let counts = self.agreement.kind() != Some(DataKind::Program);
        let checkpoints = &mut self.checkpoints;
        if !checkpoints.since.is_due(self.config.checkpoint_every, (step, counts), now) {
            return;
        }
        if checkpoints.writing.is_some() {
            checkpoints.since.skip(step, now);
        } else {
            checkpoints.since.begin(step, now);
            self.ask_checkpoint(now);
        }
    }

    /// After the last push. Not when the run diverged: what was saved before is worth more.
    pub(super) fn checkpoint_last(&mut self, now: Duration) {
        let checkpoints = &mut self.checkpoints;
        if checkpoints.is_last_asked || checkpoints.writing.is_some() {
            return;
        }
        checkpoints.is_last_asked = true;
        // What is leased as a whole is counted when it is done, and is in the weights before.
        let is_whole = self.agreement.kind().is_some_and(|kind| kind.is_whole());
        let has_news = self.checkpoints.has_trained && (is_whole || self.leases.samples_done() > 0);
        let has_diverged = matches!(self.lifecycle.stop_reason(), Some(StopReason::Diverged(_)));
        if has_news && !has_diverged {
            self.ask_checkpoint(now);
        }
    }

    fn ask_checkpoint(&mut self, now: Duration) {
        if self.config.checkpoints
            && let Some(state) = self.job_state(now)
        {
            let checkpoints = &mut self.checkpoints;
            let number = checkpoints.next_number;
            let keep = checkpoints.complete.iter().map(|it| it.number).collect();
            checkpoints.next_number += 1;
            let next = CompleteCheckpoint { number, is_sound: !state.learning.is_in_doubt() };
            checkpoints.writing = Some(next);
            let afterwards =
                kept(std::iter::once(next).chain(checkpoints.complete.iter().copied()));
            let keep_afterwards = afterwards.iter().skip(1).map(|it| it.number).collect();
            let request = CheckpointRequest { number, keep, keep_afterwards, state };
            self.actions.push(Action::WriteCheckpoint(Box::new(request)));
        }
    }

    fn job_state(&self, now: Duration) -> Option<JobState> {
        let fenced = self.members().into_iter().map(|member| member.incarnation).max();
        let highest = self.registry.highest().max(fenced.unwrap_or(0));
        Some(JobState {
            highest: highest.max(self.membership.epoch()),
            settings: self.config.settings.clone(),
            cursor: self.cursor()?,
            samples_done: self.leases.samples_done(),
            passes: self.record.passes(),
            learning: self.record.monitor().clone(),
            seconds: self.record.seconds(now),
            began: self.selection.job(),
            keeping: self.selection.keeping().clone(),
            objective: self.data().objective,
            servers_went_back: self.record.went_back_alone().to_vec(),
            programs: self.programs.samples().saved(),
        })
    }

    /// A checkpoint is complete, or could not be written.
    pub fn checkpoint_written(&mut self, number: u64, written: Result<(), String>, now: Duration) {
        self.event(now, |machine| {
            if let Some((level, line)) = machine.checkpoints.written(number, written) {
                machine.log(level, line);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(number: u64, is_sound: bool) -> CompleteCheckpoint {
        CompleteCheckpoint { number, is_sound }
    }

    /// Found by a user: after two passes that went wrong no checkpoint was worth anything.
    #[test]
    fn regression_a_run_that_goes_wrong_does_not_push_out_the_last_sound_checkpoint() {
        let mut checkpoints = Checkpoints::default();
        let mut write = |number: u64, is_sound: bool| {
            checkpoints.writing = Some(checkpoint(number, is_sound));
            checkpoints.written(number, Ok(())).unwrap();
            checkpoints.complete.iter().map(|it| it.number).collect::<Vec<_>>()
        };
        write(1, true);
        write(2, true);
        assert_eq!(write(3, false), [3, 2]);
        assert_eq!(write(4, false), [4, 3, 2]);
        assert_eq!(write(5, false), [5, 4, 2]);
        // It has recovered.
        assert_eq!(write(6, true), [6, 5]);
        assert_eq!(write(7, true), [7, 6]);
    }

    #[test]
    fn of_those_that_are_all_wrong_the_newest_are_kept() {
        let all = (1..=5).rev().map(|number| checkpoint(number, false));
        assert_eq!(kept(all).iter().map(|it| it.number).collect::<Vec<_>>(), [5, 4]);
    }
}
