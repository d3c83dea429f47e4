//! Tasks: what a worker or the evaluator does next, and what it did.

use super::Machine;
use super::finish::{Phase, Stop};
use super::types::{
    EvaluationResult, JobProgress, LeaseResult, Level, Refusal, Role, Seat, Task, TaskRequest,
    TrainTask,
};
use std::time::Duration;

/// How long a member without work waits before it asks again: short, because a lease may come
/// back at any time, and longer with many workers, so that asking is never what the master does.
const WAIT: Duration = Duration::from_millis(50);
const WAIT_PER_WORKER: Duration = Duration::from_millis(2);
const WAIT_LONGEST: Duration = Duration::from_secs(1);

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
            self.give_back_lease(seat.index);
        }
    }

    fn take_lease_result(&mut self, rank: u32, result: &LeaseResult, now: Duration) {
        let LeaseResult { lease, losses } = result;
        let leases = self.leases.as_mut();
        let Some(ended) = leases.and_then(|leases| leases.finish(rank, *lease, losses)) else {
            return;
        };
        self.record.lease_done(losses);
        let mut diverged = self.watch.observe(losses).err();
        if let Some((pass, losses)) = ended {
            self.record.pass_ended(pass, &losses, now);
            self.evaluations.want(pass);
            diverged = diverged.or(self.watch.pass_ended(pass, &losses).err());
        }
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
        let JobProgress { samples_done, .. } = self.progress();
        self.record_pass(result, samples_done);
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
        let lease = self.leases.as_mut()?.grant(rank)?;
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
            start: positions.start,
            end: positions.end,
            progress,
            start_clock: worker.start_clock,
        }))
    }

    fn wait(&self) -> Task {
        let wait = WAIT.max(WAIT_PER_WORKER.saturating_mul(self.config.workers));
        Task::Wait(wait.min(WAIT_LONGEST))
    }
}
