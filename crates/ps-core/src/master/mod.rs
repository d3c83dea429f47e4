//! The master's logic: who is in the job, who works on what, when it ends.
//!
//! [`Machine`] is told what happened and when, answers, and collects [`Action`]s for its driver. It
//! reads no clock and draws no random numbers: the same calls give the same answers.
//!
//! - `places`: who holds which shard and rank; leases of members, incarnations.
//! - `agreement`, `data`: what training data the members have, each and together.
//! - `leases`: who works on which samples.
//! - `evaluation`: what is to be measured, and by whom.
//! - `membership`: what every shard must know of the workers.
//! - `register`, `tasks`, `finish`, `commit`: the machine's calls and its way through the job.
//! - `checkpoint`, `going_on`: when a checkpoint is written, and how the job goes on from one.
//! - `record`: metric lines and the report.

mod agreement;
mod checkpoint;
mod commit;
mod data;
mod evaluation;
mod expire;
mod finish;
mod going_on;
mod leases;
mod membership;
mod other_data;
mod places;
mod record;
mod register;
mod tasks;
#[cfg(test)]
mod tests;
mod types;

pub use types::*;

use crate::checkpoint::cursor::Cursor;
use crate::data_description::DataDescription;
use crate::ids::{Clock, WorkerId};
use crate::learning::Watch;
use checkpoint::Checkpoints;
use evaluation::Evaluations;
use finish::Phase;
use leases::Leases;
use membership::Memberships;
use places::{Places, Process};
use record::Record;
use std::collections::BTreeMap;
use std::time::Duration;
use tasks::Answer;

/// What is known of a worker's present life.
#[derive(Clone, Debug, Default)]
struct Worker {
    clock: Clock,
    /// Where its clock started when it became active.
    start_clock: Clock,
    /// When it last finished a step, waited for others, or was given a lease.
    moved: Duration,
    /// Until then it gets no served samples, because it did not reach the evaluator.
    shuns_served: Duration,
}

/// The state of one job.
#[derive(Clone, Debug)]
pub struct Machine {
    config: Config,
    phase: Phase,
    places: Places,
    workers: BTreeMap<WorkerId, Worker>,
    answers: BTreeMap<Seat, Answer>,
    /// What data the members have together, once those are there whose data matter.
    agreed: Option<DataDescription>,
    /// When that was settled without everybody.
    agreed_late: Option<Duration>,
    /// Since it is settled.
    leases: Option<Leases>,
    /// Leases on served samples that came back in a row, because the evaluator was not reached.
    unserved: u32,
    /// Where the job goes on, if it was stopped before.
    resumed: Option<Cursor>,
    watch: Watch,
    evaluations: Evaluations,
    shard_map: Option<ShardMap>,
    /// The newest epoch that any server has seen.
    epoch: u64,
    /// Whether a worker knows the shard map: from then on a server that is gone took weights along.
    has_begun: bool,
    memberships: Memberships,
    checkpoints: Checkpoints,
    /// Whether the driver could write the model.
    written: Option<Result<ModelWritten, String>>,
    record: Record,
    started: Duration,
    ticked: Duration,
    /// Since when there is no worker, after there was one, and who was the last.
    alone: Option<(Duration, String)>,
    signalled: Option<Duration>,
    actions: Vec<Action>,
}

impl Machine {
    /// A job that starts now.
    pub fn new(config: Config, now: Duration) -> Self {
        Self {
            phase: Phase::Starting,
            places: Places::new(config.lease),
            workers: BTreeMap::new(),
            answers: BTreeMap::new(),
            agreed: None,
            agreed_late: None,
            leases: None,
            unserved: 0,
            resumed: None,
            watch: Watch::new(0),
            evaluations: Evaluations::default(),
            shard_map: None,
            epoch: 0,
            has_begun: false,
            memberships: Memberships::default(),
            checkpoints: Checkpoints::default(),
            written: None,
            record: Record::default(),
            started: now,
            ticked: now,
            alone: None,
            signalled: None,
            actions: Vec::new(),
            config,
        }
    }

    /// What the driver has to do, in order; each is given once.
    pub fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// Time passed: expires silent members, ends what took too long.
    pub fn tick(&mut self, now: Duration) {
        self.notice_own_absence(now);
        self.expire_silent(now);
        self.expire_stuck(now);
        self.check_alone(now);
        self.check_shards(now);
        self.advance(now);
    }

    /// A sign of life of a member.
    ///
    /// # Errors
    /// Its lease is over, or it never registered.
    pub fn heartbeat(&mut self, beat: Heartbeat, now: Duration) -> Result<Word, Refusal> {
        let seat = beat.caller.seat;
        let process = self.places.admit(beat.caller, now)?;
        if beat.leaving && process.leaving.is_none() {
            process.leaving = Some(now);
            self.member_is_leaving(seat, now);
        }
        if seat.role == Role::Worker {
            self.hear_worker(&beat, now);
        }
        self.advance(now);
        Ok(self.word(seat, now))
    }

    fn hear_worker(&mut self, beat: &Heartbeat, now: Duration) {
        let rank = beat.caller.seat.index;
        let worker = self.workers.entry(rank).or_default();
        if beat.clock > worker.clock || beat.waiting {
            worker.moved = now;
        }
        worker.clock = worker.clock.max(beat.clock);
        if let Some(counters) = &beat.counters {
            self.record.count(rank, counters);
        }
    }

    /// What a member is told in reply to its sign of life.
    fn word(&mut self, seat: Seat, now: Duration) -> Word {
        let leave = self.leave_for(seat, now);
        if leave.is_some() {
            self.let_go(seat, now);
        }
        // Nobody begins before the shards hold what a checkpoint saved; and who has no model
        // without knowing what data there are needs no servers before.
        let is_settled = seat.role == Role::Server || self.agreed.is_some();
        let is_ready = is_settled && self.checkpoints.are_shards_ready();
        let shard_map = self.shard_map.clone().filter(|_| is_ready);
        // A server does not create its shard; a worker may do so as soon as it knows the map.
        self.has_begun |= shard_map.is_some() && seat.role == Role::Worker;
        self.advance(now);
        let process = self.places.process(seat);
        let is_leaving = process.is_some_and(|process| process.leaving.is_some());
        Word {
            shard_map,
            progress: self.progress(),
            leave,
            stop: is_leaving || self.phase.is_over(),
            data: self.agreed.clone(),
        }
    }

    /// A shard has taken over a membership.
    pub fn membership_acknowledged(&mut self, shard: u32, revision: u64, now: Duration) {
        self.memberships.acknowledged(shard, revision, now);
        self.advance(now);
    }

    fn progress(&self) -> JobProgress {
        let (samples_done, samples_total) = self.leases.as_ref().map_or((0, 0), Leases::progress);
        JobProgress { samples_done, samples_total }
    }

    /// Samples that were trained on, over all passes.
    fn samples_done(&self) -> u64 {
        self.leases.as_ref().map_or(0, Leases::samples_done)
    }

    fn log(&mut self, level: Level, line: impl Into<String>) {
        self.actions.push(Action::Log(level, line.into()));
    }
}
