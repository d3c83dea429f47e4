//! Tasks: what a worker or the evaluator does next, and what it did.

use super::Machine;
use super::leases::{Lease, SHARED};
use super::lifecycle::{Phase, StopReason};
use super::types::{
    Action, EvaluateTask, LeaseResult, Level, MemberId, Rejection, Role, Task, TaskRequest,
    TrainTask,
};
use crate::data_description::DataKind;
use crate::learning::{DivergenceSign, Verdict};
use std::time::Duration;

/// How long a member without work waits before it asks again: short, because a lease may come
/// back at any time, and longer with many workers, so that asking is never what the master does.
const WAIT: Duration = Duration::from_millis(50);
const WAIT_PER_WORKER: Duration = Duration::from_millis(2);
const WAIT_LONGEST: Duration = Duration::from_secs(1);

/// The evaluator, where something follows from what it finds: weights that are gone cannot be kept. It is
/// one process.
const WAIT_EVALUATOR: Duration = Duration::from_millis(10);

impl Machine {
    /// Takes a report of finished work and gives new work.
    ///
    /// # Errors
    /// The caller's lease is over, or it never registered.
    pub fn next_task(&mut self, request: TaskRequest, now: Duration) -> Result<Task, Rejection> {
        self.handle(
            now,
            |machine| machine.take_request(&request, now),
            // Nothing is published yet: a worker that goes from one lease to the next stays active.
            |machine, repeated| match repeated? {
                Some(task) => Ok(task),
                None => {
                    let TaskRequest { caller, number, .. } = request;
                    let task = machine.choose(caller.member, now);
                    if let Some(process) = machine.registry.process_mut(caller.member) {
                        process.last_task = Some((number, task.clone()));
                    }
                    Ok(task)
                }
            },
        )
    }

    /// The answer to a request that came before; any other one's results are taken.
    fn take_request(
        &mut self,
        request: &TaskRequest,
        now: Duration,
    ) -> Result<Option<Task>, Rejection> {
        let process = self.registry.admit(request.caller, now)?;
        match &process.last_task {
            Some((number, task)) if *number == request.number => return Ok(Some(task.clone())),
            // Overtaken by a newer request: nobody waits for this answer.
            Some((number, _)) if *number > request.number => return Ok(Some(self.wait())),
            _ => (),
        }
        let member = request.caller.member;
        if let Some(result) = &request.evaluated {
            self.take_evaluation(member, result, now);
        }
        // It asks for something else: what it had and did not report is given up.
        self.evaluations.give_back(member);
        if member.role == Role::Worker {
            if let Some(result) = &request.finished {
                self.take_lease_result(member.index, result, now);
            }
            let gave_back = self.give_back_lease(member.index);
            self.take_samples_back(member.index);
            if gave_back.is_some_and(|lease| lease.source == SHARED) {
                self.served_lease_came_back(member, now);
            }
        }
        Ok(None)
    }

    /// A worker that did not reach the evaluator does something else for a while; samples that
    /// nobody reaches hold the job no longer.
    fn served_lease_came_back(&mut self, member: MemberId, now: Duration) {
        let is_sharded = self.agreement.kind() == Some(DataKind::Sharded);
        if self.lifecycle.phase() != Phase::Running || !is_sharded {
            return;
        }
        let process = self.registry.process_mut(member);
        let Some(process) = process.filter(|process| process.leaving.is_none()) else {
            return;
        };
        process.avoids_evaluator_until = now + self.config.lease;
        if self.leases.evaluator_not_reached() {
            let line = "the evaluator lives, but no worker reaches the samples that it serves: \
                        check its --advertise; they are skipped";
            self.log(Level::Warn, line);
        }
    }

    fn take_lease_result(&mut self, rank: u32, result: &LeaseResult, now: Duration) {
        let LeaseResult { lease, samples, losses } = result;
        if self.leases.finish(rank, *lease, *samples, losses) {
            let sign = self.record.lease_done(losses);
            self.judge(sign.as_ref(), now);
        }
    }

    /// Takes notice of passes that are over.
    pub(super) fn take_ended_passes(&mut self, now: Duration) {
        let is_program = self.agreement.kind() == Some(DataKind::Program);
        let mut ended = self.leases.take_ended();
        // A program that takes its samples from here has passes; else its run is one.
        if self.programs.samples().is_used() {
            ended = self.programs.take_ended();
        }
        for end in ended {
            self.checkpoints.pass_ended();
            // Nobody here can compute the model of a user's program.
            if !is_program && self.config.settings.evaluation.every.is_none() {
                let skipped = self.evaluations.want(end.pass);
                let line = skipped.and_then(|pass| self.record.unmeasured(pass));
                self.actions.extend(line.map(Action::Metric));
            }
            let sign = self.record.pass_ended(&end, now);
            self.judge(sign.as_ref(), now);
        }
    }

    /// Does about a sign of divergence what the job's settings say.
    fn judge(&mut self, sign: Option<&DivergenceSign>, now: Duration) {
        match sign.and_then(|sign| self.config.settings.divergence.verdict(sign)) {
            Some(Verdict::Stop(reason)) if self.lifecycle.phase() == Phase::Running => {
                self.stop(StopReason::Diverged(reason), now);
            }
            Some(Verdict::Warn(line)) => self.log(Level::Warn, line),
            _ => (),
        }
    }

    fn choose(&mut self, member: MemberId, now: Duration) -> Task {
        let process = self.registry.process(member);
        if process.is_none_or(|process| process.is_ending()) {
            return self.wait();
        }
        let may_train = self.lifecycle.phase() == Phase::Running;
        let is_measuring =
            matches!(self.lifecycle.phase(), Phase::Choosing { .. } | Phase::Evaluating { .. });
        if (may_train || is_measuring) && self.is_evaluator(member) && !self.awaits_evaluator(now) {
            let known = self.evaluation_of(0);
            let task = self.evaluations.assign(member, |pass| EvaluateTask { pass, ..known });
            if let Some(task) = task {
                return Task::Evaluate(task);
            }
            if member.role == Role::Evaluator && self.config.settings.evaluation.is_selecting() {
                return Task::Wait(WAIT_EVALUATOR);
            }
        }
        if may_train
            && member.role == Role::Worker
            && let Some(task) = self.grant(member.index, now)
        {
            return Task::Train(task);
        }
        self.wait()
    }

    /// The evaluator, or without one the lowest-ranked worker. Who never asked for a task (it may
    /// still make its model) is not waited for, unless nobody else has test data. Where the best weights are kept, it is who can write
    /// them, and nobody else.
    fn is_evaluator(&self, member: MemberId) -> bool {
        if self.config.settings.evaluation.keeps_best() {
            return self.keeper() == Some(member);
        }
        let evaluators = self.registry.live(Role::Evaluator);
        let mut members = evaluators.chain(self.registry.live(Role::Worker));
        let first = members.find(|(other, process)| {
            let has_asked = *other == member
                || process.last_task.is_some()
                || (other.role == Role::Evaluator && self.measures_elsewhere());
            has_asked && process.leaving.is_none()
        });
        first.is_some_and(|(first, _)| first == member)
    }

    /// Who measures, and writes the best weights.
    pub(super) fn keeper(&self) -> Option<MemberId> {
        let mut evaluators = self.registry.live(Role::Evaluator);
        let keeper =
            evaluators.find(|(_, process)| process.keeps_best && process.leaving.is_none());
        keeper.map(|(member, _)| member)
    }

    fn grant(&mut self, rank: u32, now: Duration) -> Option<TrainTask> {
        // Before it is active itself, so that it starts where the others are.
        let active =
            self.leases.holders().filter_map(|rank| self.registry.process(MemberId::worker(rank)));
        let smallest_clock = active.map(|process| process.clock.max(process.start_clock)).min();
        let progress = self.progress();
        let process = self.registry.process_mut(MemberId::worker(rank))?;
        let lease = self.leases.grant(rank, process.avoids_evaluator_until <= now)?;
        process.progressed = process.progressed.max(now);
        if !self.membership.has_active(rank) {
            process.start_clock = smallest_clock.unwrap_or(process.clock);
        }
        let start_clock = process.start_clock;
        self.checkpoints.lease_granted();
        // Workers do not have the samples themselves.
        let is_served = lease.source == SHARED && self.agreement.kind() == Some(DataKind::Sharded);
        let evaluator = self.registry.process(MemberId::EVALUATOR).filter(|_| is_served);
        let (start, end) = match lease.is_whole {
            true => (0, 0),
            false => (lease.positions.start, lease.positions.end),
        };
        Some(TrainTask {
            lease: lease.id,
            pass: self.pass_of(&lease),
            start,
            end,
            progress,
            checkpoint: self.checkpoints.resumed().map(|resumed| resumed.checkpoint),
            start_clock,
            source: lease.source,
            source_samples: lease.source_samples,
            served_at: evaluator.and_then(|process| process.data.served_at.clone()),
            whole: lease.is_whole,
        })
    }

    /// Of a program that takes its samples from here, the pass that is open.
    fn pass_of(&self, lease: &Lease) -> u64 {
        match self.programs.samples().is_used() {
            true => self.programs.samples().pass(),
            false => lease.positions.pass,
        }
    }

    fn wait(&self) -> Task {
        let wait = WAIT.max(WAIT_PER_WORKER.saturating_mul(self.config.workers));
        Task::Wait(wait.min(WAIT_LONGEST))
    }
}
