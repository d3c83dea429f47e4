//! Members that are silent, stuck or leaving; of servers that are silent see `away`.

use super::Machine;
use super::leases::{Lease, SHARED};
use super::lifecycle::{Phase, StopReason};
use super::types::{Leave, Level, MemberId, Role};
use crate::data_description::DataKind;
use crate::ids::WorkerId;
use std::time::Duration;

/// What a member that leaves because it alone was signalled exits with: 128 + SIGTERM.
const EXIT_TERMINATED: u8 = 143;

/// Why a host is lost, though some of its processes still live.
pub(super) const PARENT_GONE: &str = "the process that started it is gone, and said not why: it was \
                                      killed, or its host is ending";

/// A member that alone was signalled is let go after this long: a signal to the whole job reaches
/// the master, too, within it, and then it is the job that ends.
pub(super) const LEAVE_ALONE_AFTER: Duration = Duration::from_millis(1500);

impl Machine {
    /// A master that was suspended must not take everybody else for dead.
    pub(super) fn notice_own_absence(&mut self, now: Duration) {
        let Some(gap) = self.registry.take_absence(now) else {
            return;
        };
        self.membership.extend(gap);
        self.away.extend(gap);
        self.lifecycle.extend(gap);
        self.log(Level::Warn, format!("the master was away for {gap:.1?}; leases are extended"));
    }

    pub(super) fn expire_silent(&mut self, now: Duration) {
        for member in self.registry.silent(now) {
            // Once everybody is told to leave nobody needs its weights any more.
            let holds_weights = member.role == Role::Server
                && self.membership.has_begun()
                && !self.lifecycle.is_leaving();
            if holds_weights {
                self.server_is_silent(member, now);
            } else {
                self.expire(member, "was silent for its lease", now);
            }
        }
    }

    /// A worker that beats and holds samples but finishes no step is as good as dead.
    pub(super) fn expire_stuck(&mut self, now: Duration) {
        // What a program does between its start and its end is its own affair.
        if self.agreement.kind() == Some(DataKind::Program) {
            return;
        }
        // Who waits for a server that is away finishes no step for that.
        if !self.away.is_empty() {
            self.registry.excuse(now);
        }
        let limit = self.config.step_timeout;
        let is_stuck = |rank: &u32| {
            let process = self.registry.process(MemberId::worker(*rank));
            process.is_some_and(|process| now.saturating_sub(process.progressed) >= limit)
        };
        let stuck: Vec<u32> = self.leases.holders().filter(is_stuck).collect();
        for rank in stuck {
            let reason = format!("finished no step in {limit:.0?}");
            self.expire(MemberId::worker(rank), &reason, now);
        }
    }

    /// Ends a member's hold on its place; what it had in work is done by others.
    pub(super) fn expire(&mut self, member: MemberId, reason: &str, now: Duration) {
        let Some(process) = self.registry.remove(member) else {
            return;
        };
        self.evaluations.give_back(member);
        if member.role == Role::Worker {
            self.give_back_lease(member.index);
            self.take_samples_back(member.index);
            self.forget_program(member.index);
        }
        self.suspend_source(member);
        if process.has_left {
            return;
        }
        let address = &process.address;
        self.log(Level::Warn, format!("{member} at {address} is lost: it {reason}"));
        self.record.lost(member, address, reason, now.saturating_sub(self.lifecycle.started()));
        let description = format!("{member} at {address} {reason}");
        match member.role {
            Role::Server => self.server_is_lost(member, &description, now),
            Role::Worker => self.registry.note_workers(description, now),
            Role::Evaluator => (),
        }
    }

    pub(super) fn give_back_lease(&mut self, rank: u32) -> Option<Lease> {
        let lease = self.leases.give_back(rank)?;
        if lease.source == SHARED {
            let (pass, samples) = (lease.positions.pass + 1, lease.positions.count());
            let worker = self.registry.describe(MemberId::worker(rank));
            let line = format!("{samples} samples of pass {pass} go from {worker} to others");
            self.log(Level::Info, line);
        }
        Some(lease)
    }

    fn server_is_lost(&mut self, server: MemberId, description: &str, now: Duration) {
        if self.commit_without(server, now) {
            return;
        }
        if self.membership.has_begun() {
            // Its process may be gone; what it has written down is not.
            let what = match self.config.keeps_state {
                true => "what it had acknowledged is in its journal",
                false => "its weights are lost",
            };
            self.fail(format!("{description}; {what}"), now);
        } else {
            self.membership.unset_shards();
        }
    }

    /// Without workers the job goes on only if one comes within a lease.
    pub(super) fn check_workers(&mut self, now: Duration) {
        if self.lifecycle.phase() != Phase::Running {
            return;
        }
        if let Some((waited, last)) = self.registry.without_workers(now) {
            let reason = format!("no worker is left and none came for {waited:.1?}: {last}");
            self.abandon(reason, now);
        }
    }

    /// The servers still hold what was trained: it is saved, and the job fails all the same.
    fn abandon(&mut self, reason: String, now: Duration) {
        match self.is_trained() {
            true => self.stop(StopReason::Abandoned(reason), now),
            false => self.fail(reason, now),
        }
    }

    /// Whether the servers hold more than the job began with, as far as anybody knows.
    pub(super) fn is_trained(&self) -> bool {
        // What a program pushed only the servers know.
        let is_program = self.agreement.kind() == Some(DataKind::Program);
        is_program || self.leases.samples_done() > 0 || self.record.has_steps()
    }

    /// Whoever started these members knows that they have ended, and how: what they had in work is done by others at
    /// once, not after their leases.
    pub fn members_ended(&mut self, ended: &[MemberId], how: &str, now: Duration) {
        self.event(now, |machine| {
            for member in ended {
                if member.role == Role::Evaluator {
                    machine.forget_loading();
                }
                machine.expire(*member, how, now);
            }
        });
    }

    /// Whoever started these workers knows that they have ended, and that the job cannot go on: they are not
    /// waited for.
    pub fn workers_ended(&mut self, ended: &[WorkerId], reason: String, now: Duration) {
        if self.lifecycle.phase() == Phase::Starting {
            return self.others_failed(reason, now);
        }
        self.event(now, |machine| {
            for rank in ended {
                machine.expire(MemberId::worker(*rank), "has ended", now);
            }
            // Unless the last lease came in just before, or it is ending for the first of them.
            if machine.lifecycle.phase() == Phase::Running {
                machine.abandon(reason, now);
            }
        });
    }

    /// One member received a signal, which the master may not have; or who started it is gone.
    pub(super) fn member_is_leaving(&mut self, member: MemberId, parent_gone: bool, now: Duration) {
        let who = self.registry.describe(member);
        let line = match parent_gone {
            true => format!("{who}: {PARENT_GONE}"),
            false => format!("{who} was told to end by a signal"),
        };
        self.log(if parent_gone { Level::Warn } else { Level::Info }, line.clone());
        match member.role {
            // Its weights go with it: save them while it still serves.
            Role::Server if !self.lifecycle.is_over() => {
                let stop = match parent_gone {
                    true => StopReason::HostLost(line),
                    false => StopReason::Signal(EXIT_TERMINATED),
                };
                self.stop(stop, now);
            }
            Role::Evaluator => self.evaluations.give_back(member),
            Role::Server | Role::Worker => (),
        }
    }

    /// Whether a member may leave, and with what. Who may is not waited for any more.
    pub(super) fn let_go(&mut self, member: MemberId, now: Duration) -> Option<Leave> {
        let leave = self.leave_for(member, now)?;
        if let Some(process) = self.registry.mark_left(member) {
            let last = format!("{member} at {} left", process.address);
            self.log(Level::Info, last.clone());
            self.suspend_source(member);
            if member.role == Role::Worker {
                self.registry.note_workers(last, now);
            }
        }
        Some(leave)
    }

    fn leave_for(&self, member: MemberId, now: Duration) -> Option<Leave> {
        if let Some(outcome) = self.lifecycle.outcome() {
            let reason = outcome.reason.clone().unwrap_or_default();
            let goes_on = self.goes_on_later();
            return Some(Leave { exit_code: outcome.exit_code, reason, goes_on });
        }
        let since = self.registry.process(member)?.leaving?;
        let holds_work = member.role == Role::Worker && self.leases.held_by(member.index).is_some();
        let may_leave = member.role != Role::Server
            && !self.lifecycle.is_over()
            && !holds_work
            && now.saturating_sub(since) >= LEAVE_ALONE_AFTER;
        may_leave.then(|| Leave {
            exit_code: EXIT_TERMINATED,
            reason: String::new(),
            goes_on: false,
        })
    }

    /// A member is gone: what only it has does not hold the job.
    pub(super) fn suspend_source(&mut self, member: MemberId) {
        let source = self.agreement.source_of(member);
        let source = source.filter(|_| !self.lifecycle.is_over());
        if source.is_some_and(|source| self.leases.suspend(source)) {
            let member = self.registry.describe(member);
            let line =
                format!("the rest of the samples of {member} waits for it, and holds no pass");
            self.log(Level::Info, line);
        }
    }
}
