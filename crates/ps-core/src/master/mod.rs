//! The master's logic: who is in the job, who works on what, when it ends.
//!
//! [`Machine`] is told what happened and when, answers, and collects [`Action`]s for its driver. It
//! reads no clock and draws no random numbers: the same calls give the same answers.
//!
//! Its parts own their state and know nothing of each other but what they are given:
//! - `away`: servers that are silent, and waited for.
//! - `going_back`: servers that died and go back to a checkpoint, alone.
//! - `registry`: who holds which shard and rank; leases of members, incarnations, clocks.
//! - `columns`: what members count in their shares of a table, before they register.
//! - `agreement`: what training data the members have, each and together.
//! - `leases`: who works on which samples.
//! - `program`: the same of programs that do the workers' work, and what they measured.
//! - `evaluation`: what is to be measured, and by whom.
//! - `selection`: which weights are kept, and whether training ends for want of better ones.
//! - `membership`: where the shards are, and what every shard must know of the workers.
//! - `checkpoints`: what is saved, and what the job goes on from.
//! - `lifecycle`: where the job is on its way from its start to its end.
//! - `record`: what is remembered for metric lines and the report.
//! - `saved`: all of it as bytes, for a process that goes on where another one died (`comes_back`).
//!
//! The machine's calls bring the parts together: `register`, `tasks`, `departures`, and what stands
//! beside a part in its folder. Each call is one event: it is taken in, the job goes on as far as
//! that allows, and the shards are told what changed for them.

mod agreement;
mod away;
mod checkpoints;
mod columns;
mod comes_back;
mod departures;
mod evaluation;
mod going_back;
mod leases;
mod lifecycle;
mod membership;
mod program;
mod record;
mod register;
mod registry;
mod saved;
mod selection;
mod tasks;
#[cfg(test)]
mod tests;
mod types;

pub use checkpoints::CheckpointEvery;
pub use going_back::NO_WAY_BACK;
pub use saved::{SavedError, SavedJob};
pub use types::*;

use crate::data_description::DataKind;
use crate::ids::Life;
use crate::model_config::About;
use crate::settings::TrainingSettings;
use agreement::DataAgreement;
use away::AwayServers;
use checkpoints::Checkpoints;
use columns::Columns;
use evaluation::Evaluations;
use going_back::GoingBack;
use leases::Leases;
use lifecycle::Lifecycle;
use membership::MembershipPublisher;
use program::Programs;
use record::Record;
use registry::Registry;
use selection::Selection;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The state of one job.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Machine {
    config: Config,
    lifecycle: Lifecycle,
    registry: Registry,
    away: AwayServers,
    going_back: GoingBack,
    /// What members count before they register.
    columns: Columns,
    agreement: DataAgreement,
    /// Of the samples, once it is settled what samples there are.
    leases: Leases,
    programs: Programs,
    evaluations: Evaluations,
    selection: Selection,
    membership: MembershipPublisher,
    checkpoints: Checkpoints,
    record: Record,
    /// What members say of the model.
    about: Option<Box<About>>,
    /// A sign of life said what must be known to whoever goes on from here.
    #[serde(skip)]
    has_news: bool,
    /// Asked for and not taken yet.
    #[serde(skip)]
    actions: Vec<Action>,
}

impl Machine {
    /// A life of a job that starts now; its number is above all that earlier lives have used.
    pub fn new(config: Config, life: Life, now: Duration) -> Self {
        Self {
            lifecycle: Lifecycle::new(config.stop_times, now),
            registry: Registry::new(config.lease, life, now),
            away: AwayServers::default(),
            going_back: GoingBack::default(),
            columns: Columns::default(),
            agreement: DataAgreement::default(),
            leases: Leases::new(DataKind::default(), config.settings.passes, 1, 1),
            programs: Programs::default(),
            evaluations: Evaluations::default(),
            selection: Selection::new(life),
            membership: MembershipPublisher::new(life),
            checkpoints: Checkpoints::default(),
            record: Record::default(),
            about: None,
            has_news: false,
            actions: Vec::new(),
            config,
        }
    }

    /// What members say of the model.
    pub fn about(&self) -> Option<&About> {
        self.about.as_deref()
    }

    /// What the job was told to train with; programs may do otherwise.
    pub fn settings(&self) -> &TrainingSettings {
        &self.config.settings
    }

    /// What the driver has to do, in order; each is given once.
    pub fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// Whether a sign of life said, since this was asked last, what must be known to whoever goes on from here.
    pub fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.has_news)
    }

    /// One event: it is taken in, the job goes on as far as that allows, the caller is answered, and
    /// the driver is asked for what follows from it all.
    fn handle<T, R>(
        &mut self,
        now: Duration,
        take: impl FnOnce(&mut Self) -> T,
        answer: impl FnOnce(&mut Self, T) -> R,
    ) -> R {
        self.notice_own_absence(now);
        let taken = take(self);
        self.advance(now);
        let answer = answer(self, taken);
        self.checkpoint_when_due(now);
        self.publish();
        self.ask_restore();
        self.ask_part_restore();
        answer
    }

    /// An event that nobody waits for an answer to.
    fn event(&mut self, now: Duration, take: impl FnOnce(&mut Self)) {
        self.handle(now, take, |_, ()| ());
    }

    /// Time passed: expires silent members, ends what took too long.
    pub fn tick(&mut self, now: Duration) {
        self.event(now, |machine| {
            machine.registry.tick(now);
            machine.expire_silent(now);
            machine.expire_stuck(now);
            machine.tell_awaited(now);
            machine.check_workers(now);
            machine.check_shards(now);
        });
    }

    /// A sign of life of a member.
    ///
    /// # Errors
    /// Its lease is over, or it never registered.
    pub fn heartbeat(
        &mut self,
        heartbeat: Heartbeat,
        now: Duration,
    ) -> Result<HeartbeatReply, Rejection> {
        let member = heartbeat.caller.member;
        let answer = |machine: &mut Self, taken: Result<_, Rejection>| {
            let (leave, shard_map) = taken?;
            let process = machine.registry.process(member);
            let is_leaving = process.is_some_and(|process| process.leaving.is_some());
            Ok(HeartbeatReply {
                shard_map,
                progress: machine.progress(),
                leave,
                stop: is_leaving || machine.lifecycle.is_over(),
                data: machine.agreement.agreed().cloned(),
            })
        };
        self.handle(now, |machine| machine.take_heartbeat(heartbeat, now), answer)
    }

    /// Whether the member may leave, and where the shards are.
    fn take_heartbeat(
        &mut self,
        heartbeat: Heartbeat,
        now: Duration,
    ) -> Result<(Option<Leave>, Option<ShardMapUpdate>), Rejection> {
        let Heartbeat {
            caller, clock, waiting, counters, leaving, parent_gone, map_revision, ..
        } = heartbeat;
        let process = self.registry.admit(caller, now)?;
        if clock > process.clock || waiting {
            process.progressed = process.progressed.max(now);
        }
        process.clock = process.clock.max(clock);
        // A server that has none any more would be taken for one that never had any.
        self.has_news |= heartbeat.holds_weights && !process.holds_weights;
        process.holds_weights |= heartbeat.holds_weights;
        process.updates = process.updates.max(heartbeat.updates);
        let begins_leaving = leaving && process.leaving.is_none();
        if begins_leaving {
            process.leaving = Some(now);
        }
        if caller.member.role == Role::Server {
            self.server_is_heard(caller.member, now);
        }
        if begins_leaving {
            self.member_is_leaving(caller.member, parent_gone, now);
        }
        if caller.member.role == Role::Worker
            && let Some(counters) = counters
        {
            self.record.count(caller.member.index, counters);
        }
        let shard_map = self.shard_map_for(caller.member, map_revision, now);
        Ok((self.let_go(caller.member, now), shard_map))
    }

    /// Where the shards are, for who calls them and does not know. Nobody begins before the shards hold what
    /// a checkpoint saved; and who has no model without knowing what data there are needs no servers before.
    fn shard_map_for(
        &mut self,
        member: MemberId,
        known: u64,
        now: Duration,
    ) -> Option<ShardMapUpdate> {
        let is_settled = member.role != Role::Server && self.agreement.agreed().is_some();
        if !is_settled || !self.checkpoints.are_shards_ready() {
            return None;
        }
        if self.going_back.is_any() {
            return self.map_meanwhile(known, now);
        }
        if member.role == Role::Worker {
            // Whoever leads the job after this process must know it, too.
            self.has_news |= self.membership.begin();
        }
        self.shard_map_update(known, now)
    }

    fn log(&mut self, level: Level, line: impl Into<String>) {
        self.actions.push(Action::Log(level, line.into()));
    }
}
