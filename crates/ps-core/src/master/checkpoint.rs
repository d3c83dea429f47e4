//! Checkpoints: when one is written.
//!
//! What the driver is asked for carries the master's knowledge of that moment. It is taken before
//! any shard is told: the pushes of samples that it calls done are acknowledged, so that they are in
//! the weights that the shards copy afterwards.

use super::Machine;
use super::finish::{Phase, Stop};
use super::types::{Action, Checkpoint, Level, Seat};
use crate::checkpoint::JobState;
use crate::ids::{Epoch, Incarnation, WorkerId};
use crate::report::Resumed;
use std::collections::BTreeMap;
use std::time::Duration;

/// Complete checkpoints that are kept: the newest, and one for when the newest is damaged.
pub(super) const KEPT: usize = 2;

/// Where the job is on its way from the checkpoint of another life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Restore {
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
#[derive(Clone, Debug, Default)]
pub(super) struct Checkpoints {
    pub(super) next_number: u64,
    /// The newest first.
    pub(super) complete: Vec<u64>,
    pub(super) writing: Option<u64>,
    /// A pass ended since the last one.
    is_due: bool,
    /// The one after the last push: whether it was asked for, or given up.
    is_last_asked: bool,
    /// Whether this life changed anything.
    has_trained: bool,
    pub(super) restore: Restore,
    /// When the shards held what was saved: nobody could begin before.
    pub(super) restored_at: Duration,
    /// What to go on from, until a worker has said what data there is.
    pub(super) pending: Option<(u64, JobState)>,
    /// What this life went on from.
    pub(super) resumed: Option<Resumed>,
    /// The newest incarnation of each rank in earlier lives.
    pub(super) incarnations: BTreeMap<WorkerId, Incarnation>,
}

impl Checkpoints {
    /// The newest complete one.
    pub(super) fn newest(&self) -> Option<u64> {
        self.complete.first().copied()
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

    pub(super) fn pass_ended(&mut self) {
        self.is_due = true;
    }

    pub(super) fn lease_granted(&mut self) {
        self.has_trained = true;
    }

    /// The last checkpoint is not waited for any more.
    pub(super) fn give_up(&mut self) {
        self.is_last_asked = true;
        self.writing = None;
    }
}

impl Machine {
    /// After a pass, unless one is still being written.
    pub(super) fn checkpoint_pass(&mut self, now: Duration) {
        let is_due = std::mem::take(&mut self.checkpoints.is_due);
        if is_due && self.phase == Phase::Running && self.checkpoints.writing.is_none() {
            self.ask_checkpoint(now);
        }
    }

    /// After the last push. Not when the run diverged: what was saved before is worth more.
    pub(super) fn checkpoint_last(&mut self, stop: &Stop, now: Duration) {
        let known = &mut self.checkpoints;
        if known.is_last_asked || known.writing.is_some() {
            return;
        }
        known.is_last_asked = true;
        // What is leased as a whole is counted when it is done, and is in the weights before.
        let is_whole = self.kind().is_some_and(|kind| kind.is_whole());
        let has_news = self.checkpoints.has_trained && (is_whole || self.samples_done() > 0);
        if has_news && !matches!(stop, Stop::Diverged(_)) {
            self.ask_checkpoint(now);
        }
    }

    /// Whether nothing more is written after the last push.
    pub(super) fn are_checkpoints_over(&self) -> bool {
        self.checkpoints.is_last_asked && self.checkpoints.writing.is_none()
    }

    fn ask_checkpoint(&mut self, now: Duration) {
        if !self.config.checkpoints {
            return;
        }
        let Some(state) = self.job_state(now) else {
            return;
        };
        let known = &mut self.checkpoints;
        let number = known.next_number;
        known.next_number += 1;
        known.writing = Some(number);
        let keep = known.complete.clone();
        self.actions.push(Action::Checkpoint(Box::new(Checkpoint { number, keep, state })));
    }

    fn job_state(&self, now: Duration) -> Option<JobState> {
        let mut incarnations = self.checkpoints.incarnations.clone();
        for member in self.members() {
            incarnations.insert(member.worker, member.incarnation);
        }
        Some(JobState {
            epoch: self.epoch,
            incarnations,
            settings: self.config.settings.clone(),
            cursor: self.leases.as_ref()?.cursor(),
            samples_done: self.samples_done(),
            passes: self.record.passes(),
            learning: self.watch.clone(),
            seconds: self.record.seconds(now),
        })
    }

    /// A checkpoint is complete, or could not be written.
    pub fn checkpoint_written(&mut self, number: u64, written: Result<(), String>, now: Duration) {
        let known = &mut self.checkpoints;
        if known.writing.take_if(|writing| *writing == number).is_none() {
            return;
        }
        match written {
            Ok(()) => {
                known.complete.insert(0, number);
                known.complete.truncate(KEPT);
                self.log(Level::Info, format!("checkpoint {number} is written"));
            }
            Err(reason) => {
                let kept = match known.newest() {
                    Some(newest) => format!("the newest is checkpoint {newest}"),
                    None => "there is none yet".to_owned(),
                };
                let line = format!("checkpoint {number} could not be written: {reason}; {kept}");
                self.log(Level::Error, line);
            }
        }
        self.advance(now);
    }

    /// A server is gone while only the last checkpoint was waited for: the model is written.
    pub(super) fn checkpoint_is_lost(&mut self, server: Seat) -> bool {
        let is_lost = matches!(self.phase, Phase::Saving { .. })
            && self.written.as_ref().is_some_and(Result::is_ok);
        if is_lost {
            self.checkpoints.give_up();
            let line = format!("{server} is gone before the last checkpoint was complete");
            self.log(Level::Error, line);
        }
        is_lost
    }
}
