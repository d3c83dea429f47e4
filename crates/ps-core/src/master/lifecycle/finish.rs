//! How the job goes from phase to phase, and how it ends.

use super::{Phase, StopReason};
use crate::master::Machine;
use crate::master::departures::PARENT_GONE;
use crate::master::types::{Action, Level, MemberId, Role};
use crate::report::Outcome;
use std::time::Duration;

/// How long a master whose job failed before it began is there for who has not come yet.
const LATECOMERS: Duration = Duration::from_secs(3);

/// How long who has learnt the columns of its table without others may take to read it and to register.
const REGISTERING: Duration = Duration::from_secs(60);

impl Machine {
    /// Whether everybody was told, or is not waited for.
    pub fn is_finished(&self) -> bool {
        self.lifecycle.phase == Phase::Finished
    }

    /// Whether the job ends before all is done, and goes on when it is started again: from the state that its last lease left,
    /// and from its servers' journals. One whose last checkpoint is complete goes on from there.
    pub fn goes_on_later(&self) -> bool {
        self.is_undone() && !self.checkpoints.has_last()
    }

    /// Whether the job ends before all is done, and what lasts of it is written down. One that diverged would do so again.
    fn is_undone(&self) -> bool {
        let is_undone = match self.lifecycle.stop_reason() {
            Some(StopReason::Signal(_) | StopReason::HostLost(_) | StopReason::Abandoned(_)) => {
                true
            }
            Some(StopReason::Completed | StopReason::EarlyStopped(_) | StopReason::Diverged(_)) => {
                false
            }
            None => self.lifecycle.outcome.is_some(),
        };
        is_undone && !self.lifecycle.is_final && self.config.keeps_state && self.is_trained()
    }

    /// Whether the job was told to end before all was done.
    pub fn is_cut_short(&self) -> bool {
        self.lifecycle.is_cut_short()
    }

    /// Whether the job ends before it is done, and the last lease is in: whoever starts it again goes on from before that.
    pub fn ends_undone(&self) -> bool {
        let is_ending = self.lifecycle.is_committed() && self.lifecycle.phase != Phase::Fencing;
        is_ending && self.is_undone()
    }

    /// Somebody has started the job again: it is to go on, whatever it was about to do. Who was told to leave then is gone, and
    /// not lost.
    pub fn take_back_end(&mut self) {
        self.lifecycle.take_back_end();
        self.record.training_goes_on();
        let others = [Role::Worker, Role::Evaluator].into_iter();
        let members = others.flat_map(|role| self.registry.live(role).map(|(member, _)| member));
        for member in members.collect::<Vec<MemberId>>() {
            self.registry.remove(member);
            self.evaluations.give_back(member);
            if member.role == Role::Worker {
                self.leases.give_back(member.index);
                self.programs.give_back(member.index);
            }
        }
    }

    /// The process received a signal: save what there is and end soon.
    pub fn signal(&mut self, exit_code: u8, now: Duration) {
        self.event(now, |machine| {
            // A job that is ending anyhow has a reason of its own.
            let why = StopReason::Signal(exit_code);
            if !machine.lifecycle.signal(&why, now) {
                return;
            }
            if !machine.lifecycle.is_over() {
                machine.log(Level::Info, "a signal: saving the model and ending");
                machine.stop(why, now);
            } else if !machine.lifecycle.is_leaving() {
                let line = "a signal: the final evaluation has little time left, or none";
                machine.log(Level::Info, line);
            }
        });
    }

    /// Who started this process is gone: save what there is and end soon, for nobody wished it.
    pub fn parent_gone(&mut self, now: Duration) {
        self.event(now, |machine| {
            let why = StopReason::HostLost(format!("the master: {PARENT_GONE}"));
            if machine.lifecycle.signal(&why, now) && !machine.lifecycle.is_over() {
                machine.stop(why, now);
            }
        });
    }

    /// Somebody who will be a member is loading its data: the start waits for it.
    pub fn loading(&mut self, address: &str, is_evaluator: bool, now: Duration) {
        self.event(now, |machine| {
            if is_evaluator {
                machine.evaluator_is_loading(address, now);
            }
            // Who waits for the others' columns has read its data.
            if machine.columns.has_all_of(address) {
                return;
            }
            if machine.lifecycle.loading.replace(now).is_none()
                && machine.lifecycle.phase == Phase::Starting
            {
                let line = format!("the start waits for data that are being loaded, at {address}");
                machine.log(Level::Info, line);
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
        self.event(now, |machine| machine.fail_start(reason, now));
    }

    /// Ends the job; at its start others may be on their way.
    pub(in crate::master) fn fail_start(&mut self, reason: String, now: Duration) {
        if self.lifecycle.phase == Phase::Starting {
            self.lifecycle.latecomers_until = Some(now + LATECOMERS);
        }
        self.fail(reason, now);
    }

    /// Hosts start within seconds of each other: whoever has not come is told why the job failed, and
    /// would look for a master for minutes.
    fn awaits_latecomers(&self, now: Duration) -> bool {
        let is_time = self.lifecycle.latecomers_until.is_some_and(|until| now < until);
        let (servers, workers) = (self.config.servers, self.config.workers);
        let mut missing = (0..servers)
            .map(MemberId::server)
            .chain((0..workers).map(MemberId::worker))
            .filter(|member| self.registry.process(*member).is_none());
        is_time && missing.next().is_some()
    }

    pub(in crate::master) fn leave(&mut self, outcome: Outcome, now: Duration) {
        self.tell_skipped();
        let report = self.report(outcome.clone(), now);
        self.actions.push(Action::WriteReport(Box::new(report)));
        self.lifecycle.leave(outcome, self.config.lease, now);
    }

    /// Another process leads the job: what was said at the end may not have been heard.
    pub(in crate::master) fn end_again(&mut self, now: Duration) {
        let Some(outcome) = self.lifecycle.outcome.clone() else { return };
        let report = self.report(outcome.clone(), now);
        self.actions.push(Action::WriteReport(Box::new(report)));
        if self.is_finished() {
            let Outcome { exit_code, reason } = outcome;
            self.actions.push(Action::Finished { exit_code, reason });
        }
    }

    /// Goes on as far as what happened allows.
    pub(in crate::master) fn advance(&mut self, now: Duration) {
        self.take_ended_passes(now);
        self.take_due_steps();
        while self.advance_once(now) {}
    }

    fn advance_once(&mut self, now: Duration) -> bool {
        match self.lifecycle.phase {
            Phase::Starting => self.advance_start(now),
            Phase::Running => self.advance_training(now),
            Phase::Stopping { deadline } => self.advance_barrier(deadline, now),
            Phase::Fencing => self.advance_fence(now),
            Phase::Choosing { deadline } => self.advance_choice(deadline, now),
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
        // Who loads its data is not missing; how long that may take is for itself to say.
        let since = since
            .max(self.checkpoints.restored_at())
            .max(self.lifecycle.loading.unwrap_or_default());
        // Who waited for columns registers in a moment.
        let moment = REGISTERING.min(self.config.start_timeout);
        let until = self.columns.settled_late().map(|at| at + moment);
        let waited = now.saturating_sub(since);
        let is_early = waited < self.config.start_timeout || until.is_some_and(|until| now < until);
        if self.is_restoring() || is_early {
            return false;
        }
        if self.columns.is_awaited(self.config.lease, now) {
            self.settle_columns_late(now);
            return true;
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
        let early_stop = self.early_stop().filter(|_| !is_done);
        if is_done {
            self.stop(StopReason::Completed, now);
        } else if let Some(line) = &early_stop {
            self.log(Level::Info, format!("training ends early: {line}"));
            if !self.config.settings.evaluation.keeps_best() {
                let line = "the model has the last weights, not those of the best evaluation; --keep best writes these";
                self.log(Level::Warn, line);
            }
            self.stop(StopReason::EarlyStopped(line.clone()), now);
        }
        is_done || early_stop.is_some()
    }

    fn advance_leaving(&mut self, deadline: Duration, now: Duration) -> bool {
        let mut roles = [Role::Server, Role::Worker, Role::Evaluator].into_iter();
        let is_anybody_here = roles.any(|role| self.registry.has(role));
        let is_over = now >= deadline || !(is_anybody_here || self.awaits_latecomers(now));
        if is_over && let Some(Outcome { exit_code, reason }) = self.lifecycle.outcome.clone() {
            self.actions.push(Action::Finished { exit_code, reason });
            self.lifecycle.phase = Phase::Finished;
        }
        is_over
    }
}
