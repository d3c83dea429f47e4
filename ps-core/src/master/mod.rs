//! The master's logic: who is in the job, who works on what, when it ends.
//!
//! [`Machine`] is told what happened and when, answers, and collects [`Action`]s for its driver. It
//! reads no clock and draws no random numbers: the same calls give the same answers.
//!
//! - `places`: who holds which shard and rank; leases of members, incarnations.
//! - `leases`: who works on which samples.
//! - `evaluation`: what is to be measured, and by whom.
//! - `membership`: what every shard must know of the workers.
//! - `register`, `tasks`, `finish`, `commit`: the machine's calls and its way through the job.
//! - `record`: metric lines and the report.

mod commit;
mod evaluation;
mod expire;
mod finish;
mod leases;
mod membership;
mod places;
mod record;
mod register;
mod tasks;
#[cfg(test)]
mod tests;
mod types;

pub use types::*;

use crate::ids::{Clock, WorkerId};
use crate::learning::Watch;
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
}

/// The state of one job.
#[derive(Clone, Debug)]
pub struct Machine {
    config: Config,
    phase: Phase,
    places: Places,
    workers: BTreeMap<WorkerId, Worker>,
    answers: BTreeMap<Seat, Answer>,
    /// Once the first worker has said how many samples there are.
    leases: Option<Leases>,
    watch: Watch,
    evaluations: Evaluations,
    shard_map: Option<ShardMap>,
    /// The newest epoch that any server has seen.
    epoch: u64,
    /// Whether a worker knows the shard map: from then on a server that is gone took weights along.
    has_begun: bool,
    memberships: Memberships,
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
            leases: None,
            watch: Watch::new(0),
            evaluations: Evaluations::default(),
            shard_map: None,
            epoch: 0,
            has_begun: false,
            memberships: Memberships::default(),
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
        // A server does not create its shard; a worker may do so as soon as it knows the map.
        self.has_begun |= self.shard_map.is_some() && seat.role == Role::Worker;
        self.advance(now);
        let process = self.places.process(seat);
        let is_leaving = process.is_some_and(|process| process.leaving.is_some());
        Word {
            shard_map: self.shard_map.clone(),
            progress: self.progress(),
            leave,
            stop: is_leaving || self.phase.is_over(),
        }
    }

    /// A shard has taken over a membership.
    pub fn membership_acknowledged(&mut self, shard: u32, revision: u64, now: Duration) {
        self.memberships.acknowledged(shard, revision, now);
        self.advance(now);
    }

    fn progress(&self) -> JobProgress {
        self.leases.as_ref().map_or(JobProgress::default(), |leases| JobProgress {
            samples_done: leases.samples_done(),
            samples_total: leases.samples_total(),
        })
    }

    fn log(&mut self, level: Level, line: impl Into<String>) {
        self.actions.push(Action::Log(level, line.into()));
    }
}
