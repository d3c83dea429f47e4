//! How the job goes from phase to phase, and how it ends.

use super::{Phase, StopReason};
use crate::master::Machine;
use crate::master::types::{Action, Level, MemberId, Role};
use crate::report::Outcome;
use std::time::Duration;

impl Machine {
    /// Whether everybody was told, or is not waited for.
    pub fn is_finished(&self) -> bool {
        self.lifecycle.phase == Phase::Finished
    }

    /// The process received a signal: save what there is and end soon.
    pub fn signal(&mut self, exit_code: u8, now: Duration) {
        self.event(now, |machine| {
            if machine.lifecycle.signal(exit_code, now) {
                machine.log(Level::Info, "a signal: saving the model and ending");
                if !machine.lifecycle.is_over() {
                    machine.stop(StopReason::Signal(exit_code), now);
                }
            }
        });
    }

    /// Gives out no more leases and waits for those that are out.
    pub(in crate::master) fn stop(&mut self, stop: StopReason, now: Duration) {
        let outcome = stop.outcome();
        if self.lifecycle.phase == Phase::Starting {
            return self.leave(outcome, now);
        }
        if let Some(reason) = outcome.reason {
            self.log(Level::Error, reason);
        }
        self.lifecycle.stop(stop, self.config.barrier_timeout, now);
    }

    /// Ends the job because it cannot go on.
    pub(in crate::master) fn fail(&mut self, reason: String, now: Duration) {
        if !self.lifecycle.is_leaving() {
            self.log(Level::Error, format!("the job fails: {reason}"));
            self.leave(Outcome { exit_code: 1, reason: Some(reason) }, now);
        }
    }

    /// Ends the job because somebody beside its members, the driver or a host, cannot do its part.
    pub fn others_failed(&mut self, reason: String, now: Duration) {
        self.event(now, |machine| machine.fail(reason, now));
    }

    pub(in crate::master) fn leave(&mut self, outcome: Outcome, now: Duration) {
        let report = self.report(outcome.clone(), now);
        self.actions.push(Action::WriteReport(Box::new(report)));
        self.lifecycle.leave(outcome, self.config.lease, now);
    }

    /// Goes on as far as what happened allows.
    pub(in crate::master) fn advance(&mut self, now: Duration) {
        self.take_ended_passes(now);
        while self.advance_once(now) {}
    }

    fn advance_once(&mut self, now: Duration) -> bool {
        match self.lifecycle.phase {
            Phase::Starting => self.advance_start(now),
            Phase::Running => self.advance_training(now),
            Phase::Stopping { deadline } => self.advance_barrier(deadline, now),
            Phase::Fencing => self.advance_fence(now),
            Phase::Saving => self.advance_save(now),
            Phase::Evaluating { deadline, .. } => self.advance_evaluation(deadline, now),
            Phase::Leaving { deadline } => self.advance_leaving(deadline, now),
            Phase::Finished => false,
        }
    }

    fn advance_start(&mut self, now: Duration) -> bool {
        if self.agree(false, now) {
            return true;
        }
        let has_shards = self.membership.shard_map().is_some();
        if has_shards && self.membership.has_begun() {
            self.record.training_began(now);
            self.lifecycle.phase = Phase::Running;
            return true;
        }
        let since = self.agreement.settled_late().unwrap_or(self.lifecycle.started);
        let waited = now.saturating_sub(since.max(self.checkpoints.restored_at()));
        if self.is_restoring() || waited < self.config.start_timeout {
            return false;
        }
        if has_shards && self.agree(true, now) {
            return true;
        }
        let reason = format!(
            "not everybody came within {:.0?}: {}; start them, or check that they reach this \
             address",
            self.config.start_timeout,
            self.missing()
        );
        self.fail(reason, now);
        true
    }

    /// Who is needed for the start and not there.
    fn missing(&self) -> String {
        let servers = (0..self.config.servers).map(MemberId::server);
        let missing = servers.filter(|server| self.registry.process(*server).is_none());
        let mut missing: Vec<String> = missing.map(|server| server.to_string()).collect();
        if !self.registry.has(Role::Worker) {
            missing.push("any worker".to_owned());
        }
        if missing.is_empty() {
            return "no worker asked for the servers".to_owned();
        }
        format!("missing {}", missing.join(", "))
    }

    fn advance_training(&mut self, now: Duration) -> bool {
        let is_done = self.leases.are_done();
        if is_done {
            self.stop(StopReason::Completed, now);
        }
        is_done
    }

    fn advance_leaving(&mut self, deadline: Duration, now: Duration) -> bool {
        let mut roles = [Role::Server, Role::Worker, Role::Evaluator].into_iter();
        let is_over = now >= deadline || !roles.any(|role| self.registry.has(role));
        if is_over && let Some(Outcome { exit_code, reason }) = self.lifecycle.outcome.clone() {
            self.actions.push(Action::Finished { exit_code, reason });
            self.lifecycle.phase = Phase::Finished;
        }
        is_over
    }
}
