//! Tasks: what a worker or the evaluator does next, and what it did.

use super::finish::{Phase, Stop};
use super::leases::{SHARED, SourceId};
use super::types::{
    EvaluationResult, LeaseResult, Level, Refusal, Role, Seat, Task, TaskRequest, TrainTask,
};
use super::{Leases, Machine};
use crate::data_description::DataKind;
use crate::learning::Divergence;
use std::time::Duration;

/// How long a member without work waits before it asks again: short, because a lease may come
/// back at any time, and longer with many workers, so that asking is never what the master does.
const WAIT: Duration = Duration::from_millis(50);
const WAIT_PER_WORKER: Duration = Duration::from_millis(2);
const WAIT_LONGEST: Duration = Duration::from_secs(1);

/// Served leases that come back in a row, per worker, until nobody is taken to reach the evaluator.
const UNSERVED_MAX: u32 = 3;

/// The last answer to a member, for when it is lost.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    number: u64,
    task: Task,
}

impl Machine {
    /// Takes a report of finished work and gives new work.
    ///
    /// # Errors
    /// The caller's lease is over, or it never registered.
    pub fn next_task(&mut self, request: TaskRequest, now: Duration) -> Result<Task, Refusal> {
        let seat = request.caller.seat;
        self.places.admit(request.caller, now)?;
        match self.answers.get(&seat) {
            Some(answer) if answer.number == request.number => return Ok(answer.task.clone()),
            // Overtaken by a newer request: nobody waits for this answer.
            Some(answer) if answer.number > request.number => return Ok(self.wait()),
            _ => (),
        }
        self.take_results(&request, now);
        // Nothing is published yet: a worker that goes from one lease to the next stays active.
        self.advance_phase(now);
        let task = self.choose(seat, now);
        self.answers.insert(seat, Answer { number: request.number, task: task.clone() });
        self.advance(now);
        Ok(task)
    }

    fn take_results(&mut self, request: &TaskRequest, now: Duration) {
        let seat = request.caller.seat;
        if let Some(result) = &request.evaluated {
            self.take_evaluation(seat, result, now);
        }
        // It asks for something else: what it had and did not report is given up.
        self.evaluations.give_back(seat);
        if seat.role == Role::Worker {
            if let Some(result) = &request.finished {
                self.take_lease_result(seat.index, result, now);
            }
            let gave_back = self.give_back_lease(seat.index);
            if gave_back.is_some_and(|lease| lease.source == SHARED) {
                self.served_lease_came_back(seat, now);
            }
        }
    }

    /// A worker that did not reach the evaluator does something else for a while; samples that
    /// nobody reaches hold the job no longer.
    fn served_lease_came_back(&mut self, seat: Seat, now: Duration) {
        let process = self.places.process(seat);
        let is_leaving = process.is_none_or(|process| process.leaving.is_some());
        if is_leaving || self.phase != Phase::Running || self.kind() != Some(DataKind::Sharded) {
            return;
        }
        if let Some(worker) = self.workers.get_mut(&seat.index) {
            worker.shuns_served = now + self.config.lease;
        }
        self.unserved += 1;
        if self.unserved >= UNSERVED_MAX.saturating_mul(self.config.workers) {
            let line = "the evaluator lives, but no worker reaches the samples that it serves: \
                        check its --advertise; they are skipped";
            self.log(Level::Warn, line);
            self.unserved = 0;
            if let Some(leases) = &mut self.leases {
                leases.suspend(SHARED);
            }
        }
    }

    fn take_lease_result(&mut self, rank: u32, result: &LeaseResult, now: Duration) {
        let LeaseResult { lease, samples, losses } = result;
        let held = self.leases.as_ref().and_then(|leases| leases.held_by(rank));
        let was_shared = held.is_some_and(|lease| lease.source == SHARED);
        let leases = self.leases.as_mut();
        if !leases.is_some_and(|leases| leases.finish(rank, *lease, *samples, losses)) {
            return;
        }
        if was_shared {
            self.unserved = 0;
        }
        self.record.lease_done(losses);
        let diverged = self.watch.observe(losses).err();
        self.stop_if_diverged(diverged, now);
    }

    /// Takes notice of passes that are over.
    pub(super) fn settle_passes(&mut self, now: Duration) {
        let ended = self.leases.as_mut().map(Leases::take_ended).unwrap_or_default();
        for end in ended {
            self.record.pass_ended(&end, now);
            self.checkpoints.pass_ended();
            // Nobody here can compute the model of a user's program.
            if self.kind() != Some(DataKind::Program) {
                self.evaluations.want(end.pass);
            }
            let diverged = self.watch.pass_ended(end.pass, &end.losses).err();
            self.stop_if_diverged(diverged, now);
        }
    }

    fn stop_if_diverged(&mut self, diverged: Option<Divergence>, now: Duration) {
        if let Some(divergence) = diverged.filter(|_| self.phase == Phase::Running) {
            self.stop(Stop::Diverged(divergence.to_string()), now);
        }
    }

    fn take_evaluation(&mut self, seat: Seat, result: &EvaluationResult, now: Duration) {
        if !self.evaluations.accept(seat, result) {
            return;
        }
        if result.task.is_final {
            return self.final_evaluation(result, now);
        }
        if let Some(error) = &result.error {
            let pass = result.task.pass + 1;
            let line = format!("the evaluation after pass {pass} by {seat} failed: {error}");
            return self.log(Level::Warn, line);
        }
        self.record_pass(result, self.samples_done());
    }

    fn choose(&mut self, seat: Seat, now: Duration) -> Task {
        let process = self.places.process(seat);
        let is_leaving = process.is_none_or(|p| p.leaving.is_some() || p.has_left);
        let may_train = self.phase == Phase::Running && !is_leaving;
        let is_measuring = matches!(self.phase, Phase::Evaluating { .. });
        let may_evaluate = may_train || (is_measuring && !is_leaving);
        if may_evaluate
            && self.is_evaluator(seat)
            && let Some(task) = self.evaluations.assign(seat)
        {
            return Task::Evaluate(task);
        }
        if may_train && seat.role == Role::Worker {
            return self.grant(seat.index, now).unwrap_or_else(|| self.wait());
        }
        self.wait()
    }

    /// The evaluator, or without one the lowest-ranked worker. Who never asked for a task (it may
    /// still be loading its data) is not waited for.
    fn is_evaluator(&self, seat: Seat) -> bool {
        let asks = |other: Seat| other == seat || self.answers.contains_key(&other);
        let first = |role| {
            let mut live = self.places.live(role);
            live.find(|(other, process)| asks(*other) && process.leaving.is_none())
        };
        let first = first(Role::Evaluator).or_else(|| first(Role::Worker));
        first.is_some_and(|(first, _)| first == seat)
    }

    fn grant(&mut self, rank: u32, now: Duration) -> Option<Task> {
        // Before it is active itself, so that it starts where the others are.
        let others = self.smallest_active_clock();
        let progress = self.progress();
        let takes_shared = self.workers.get(&rank).is_none_or(|worker| worker.shuns_served <= now);
        let lease = self.leases.as_mut()?.grant(rank, takes_shared)?;
        self.checkpoints.lease_granted();
        let served_at = self.served_at(lease.source);
        let stays = self.memberships.has_active(rank);
        let worker = self.workers.entry(rank).or_default();
        worker.moved = now;
        if !stays {
            worker.start_clock = others.unwrap_or(worker.clock);
        }
        let positions = lease.positions;
        Some(Task::Train(TrainTask {
            lease: lease.id,
            pass: positions.pass,
            start: if lease.is_whole { 0 } else { positions.start },
            end: if lease.is_whole { 0 } else { positions.end },
            progress,
            start_clock: worker.start_clock,
            source: lease.source,
            source_samples: lease.source_samples,
            served_at,
            whole: lease.is_whole,
        }))
    }

    /// Who serves the samples of a source, when workers do not have them themselves.
    fn served_at(&self, source: SourceId) -> Option<String> {
        let is_served = source == SHARED && self.kind() == Some(DataKind::Sharded);
        let evaluator = Seat { role: Role::Evaluator, index: 0 };
        let process = self.places.process(evaluator).filter(|_| is_served)?;
        process.data.served_at.clone()
    }

    fn wait(&self) -> Task {
        let wait = WAIT.max(WAIT_PER_WORKER.saturating_mul(self.config.workers));
        Task::Wait(wait.min(WAIT_LONGEST))
    }
}
