//! Servers that died without a journal, and whose parts go back to a checkpoint while the others stay where they are
//! (`docs/adr/0042-server-loss.md`).
//!
//! The process that takes the place holds nothing at first. In a new epoch it hears who is shut out, then it is told
//! which checkpoint to read, and only when it holds that are members told where it is. Every worker begins anew: of its pushes since
//! the checkpoint the part knows nothing, and nobody could tell those that are lost from those that are on their way.

use super::Machine;
use super::registry::Process;
use super::types::{
    Action, AwayServer, Level, MemberId, NotRestored, Registration, Rejection, RestoredPart, Role,
    ShardMap, ShardMapUpdate, ShardRestore,
};
use crate::ids::{Epoch, Incarnation, ShardId};
use crate::report::WentBack;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a job says that ends because a part of it cannot go back by itself: whoever started it may have all of it go back.
pub const NO_WAY_BACK: &str = "cannot go back alone";

/// Where a part is on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Step {
    /// It is to be told, once it knows who is shut out.
    #[default]
    Wanted,
    /// The driver has it restored, in this epoch.
    Asked(Epoch),
}

/// A part that goes back.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Part {
    step: Step,
    /// The newest first.
    checkpoints: Vec<u64>,
    /// The version of its most updated chunk, as the process said that died; 0: it said nothing.
    updates: u64,
    since: Duration,
}

/// The parts that go back.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct GoingBack {
    parts: BTreeMap<ShardId, Part>,
    /// Where the shards were before the first of them went: members are told that, as long as any goes back.
    before: Option<ShardMap>,
    /// How often what members are told of it changed.
    changes: u64,
}

impl GoingBack {
    pub(super) fn is_any(&self) -> bool {
        !self.parts.is_empty()
    }

    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    fn begin(&mut self, shard: ShardId, part: Part, map: Option<&ShardMap>) {
        if self.parts.is_empty() {
            self.before = map.cloned();
        }
        // One that is killed on its way is asked once more; what it had was lost with the first.
        let before = self.parts.remove(&shard);
        let (updates, since) =
            before.map_or((part.updates, part.since), |before| (before.updates, before.since));
        self.parts.insert(shard, Part { updates, since, ..part });
        self.changes += 1;
    }

    /// A part is there again, however it came.
    pub(super) fn end(&mut self, shard: ShardId) {
        if self.parts.remove(&shard).is_some() {
            self.changes += 1;
        }
        if self.parts.is_empty() {
            self.before = None;
        }
    }

    /// Another process leads the job: what was asked of the driver of the one before is asked for again.
    pub(super) fn come_back(&mut self) {
        self.parts.values_mut().for_each(|part| part.step = Step::Wanted);
    }
}

impl Machine {
    /// A process that holds nothing takes the place of a server that was seen to die.
    ///
    /// # Errors
    /// The job ends for it, or nobody needs what the server held any more.
    pub(super) fn server_goes_back(
        &mut self,
        server: MemberId,
        registration: Registration,
        now: Duration,
    ) -> Result<Incarnation, Rejection> {
        self.away.come_back(server.index);
        if !self.membership.has_begun() {
            // Nothing was on it yet.
            self.registry.remove(server);
            self.membership.unset_shards();
            return Ok(self.join(server, registration, now));
        }
        if self.lifecycle.is_model_written() {
            self.expire(server, "was killed", now);
            if self.lifecycle.is_leaving() {
                return Ok(self.let_in_to_leave(server, registration, now));
            }
        }
        let checkpoints = self.checkpoints.complete();
        let Some(newest) = checkpoints.first().copied() else {
            let description = self.registry.describe(server);
            // It is dead: the end does not wait for its lease.
            self.registry.remove(server);
            let why = "no checkpoint is complete yet";
            self.fail(format!("{description} was killed, and {NO_WAY_BACK}: {why}"), now);
            return self.check_open().map(|()| 0);
        };
        let updates = self.registry.process(server).map_or(0, |process| process.updates);
        let part = Part { step: Step::Wanted, checkpoints, updates, since: now };
        self.going_back.begin(server.index, part, self.membership.shard_map());
        let Registration { token, address, .. } = registration;
        let process = Process {
            token,
            address: address.clone(),
            last_heard: now,
            progressed: now,
            ..Process::default()
        };
        let incarnation = self.registry.insert(server, process);
        let epoch = self.membership.move_shard(server.index, address.clone());
        let epoch = epoch.map(|epoch| format!("; epoch {epoch}")).unwrap_or_default();
        let line = format!(
            "{server} was killed, and another process takes its place at {address}: it goes back alone to checkpoint {newest}, \
             and every worker begins anew{epoch}"
        );
        self.log(Level::Warn, line);
        self.begin_anew(now);
        Ok(incarnation)
    }

    /// Every worker registers anew: whatever it has under way is shut out on every shard, and what it had in work is done
    /// again, or by others.
    fn begin_anew(&mut self, now: Duration) {
        let workers: Vec<MemberId> =
            self.registry.live(Role::Worker).map(|(member, _)| member).collect();
        for worker in workers {
            let description = self.registry.describe(worker);
            self.evaluations.give_back(worker);
            self.registry.remove(worker);
            self.give_back_lease(worker.index);
            self.suspend_source(worker);
            self.registry.note_workers(format!("{description} was to begin anew"), now);
        }
    }

    /// Has parts restored that know who is shut out in this epoch: before that, somebody of an earlier incarnation could push.
    pub(super) fn ask_part_restore(&mut self) {
        let (epoch, life) = (self.membership.epoch(), self.registry.life());
        if self.lifecycle.outcome().is_some() {
            return;
        }
        for (shard, part) in &mut self.going_back.parts {
            if part.step != Step::Asked(epoch) && self.membership.has_newest(*shard) {
                part.step = Step::Asked(epoch);
                let numbers = part.checkpoints.clone();
                let restore = ShardRestore { shard: *shard, epoch, life, numbers };
                self.actions.push(Action::RestoreShard(restore));
            }
        }
    }

    /// The shard holds what a checkpoint saved, or why it does not.
    pub fn shard_restored(
        &mut self,
        asked: (ShardId, Epoch),
        restored: Result<RestoredPart, NotRestored>,
        now: Duration,
    ) {
        self.event(now, |machine| machine.take_restored(asked, restored, now));
    }

    fn take_restored(
        &mut self,
        (shard, epoch): (ShardId, Epoch),
        restored: Result<RestoredPart, NotRestored>,
        now: Duration,
    ) {
        let Some(part) = self.going_back.parts.get_mut(&shard) else { return };
        // In another epoch it is asked for again: it may be another process.
        if part.step != Step::Asked(epoch) {
            return;
        }
        let server = MemberId::server(shard);
        let restored = match restored {
            Ok(restored) => restored,
            Err(NotRestored::Unreached(reason)) => {
                part.step = Step::Wanted;
                return self.log(Level::Warn, format!("{reason}; once more"));
            }
            Err(NotRestored::Unusable(reason)) => {
                let server = self.registry.describe(server);
                let reason = format!("{server} was killed, and {NO_WAY_BACK}: {reason}");
                return self.fail(reason, now);
            }
        };
        let lost = part.updates.saturating_sub(restored.updates);
        let went_back = WentBack {
            shard,
            checkpoint: restored.checkpoint,
            updates_lost_min: lost,
            model_share: restored.model_share,
            seconds: now.saturating_sub(self.lifecycle.started()).as_secs_f64(),
            seconds_away: now.saturating_sub(part.since).as_secs_f64(),
        };
        self.going_back.end(shard);
        if let Some(process) = self.registry.process_mut(server) {
            process.holds_weights = true;
            process.updates = restored.updates;
        }
        self.has_news = true;
        self.log(Level::Warn, went_back.words());
        self.record.went_back(went_back);
    }

    /// What members are told while a part goes back: where the shards were, and that those are waited for. Whoever knows
    /// nothing yet waits: it would make the part anew from its start.
    pub(super) fn map_meanwhile(&self, known: u64, now: Duration) -> Option<ShardMapUpdate> {
        let map = self.going_back.before.as_ref()?;
        let revision = self.map_revision();
        if known == 0 || known == revision {
            return None;
        }
        let away = self.going_back.parts.iter().map(|(shard, part)| AwayServer {
            shard: *shard,
            silent: now.saturating_sub(part.since),
            left: self.config.server_away,
        });
        Some(ShardMapUpdate { revision, map: map.clone(), away: away.collect() })
    }
}
