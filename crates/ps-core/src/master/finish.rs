//! The job's way from its start to its end.
//!
//! Starting -> Running -> Stopping (barrier) -> Fencing -> Saving -> Evaluating -> Leaving ->
//! Finished. A failure goes straight to Leaving.

use super::Machine;
use super::expire::EXIT_TERMINATED;
use super::types::{Action, Leave, Level, Role, Seat};
use std::time::Duration;

/// After a signal everything must be over within 8 s: the barrier, and telling everybody.
const BARRIER_AFTER_SIGNAL: Duration = Duration::from_millis(3500);
const LEFT_AFTER_SIGNAL: Duration = Duration::from_millis(7500);

/// A member that alone was signalled is let go after this long: a signal to the whole job reaches
/// the master, too, within it, and then it is the job that ends.
const LEAVE_ALONE_AFTER: Duration = Duration::from_millis(1500);

/// Why no more leases are given out.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Stop {
    /// Every sample of every pass is done.
    Completed,
    /// A signal; with the exit code.
    Signal(u8),
    /// The run diverged.
    Diverged(String),
    /// No worker is left.
    Abandoned(String),
}

impl Stop {
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Completed => 0,
            Self::Signal(code) => *code,
            Self::Diverged(_) | Self::Abandoned(_) => 1,
        }
    }

    pub(super) fn reason(&self) -> Option<String> {
        match self {
            Self::Diverged(reason) | Self::Abandoned(reason) => Some(reason.clone()),
            Self::Completed | Self::Signal(_) => None,
        }
    }
}

/// Where the job is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Phase {
    /// Servers and workers register.
    Starting,
    /// Leases go out.
    Running,
    /// The barrier: leases come in.
    Stopping { stop: Stop, deadline: Duration },
    /// Every shard learns that no push is taken any more.
    Fencing { stop: Stop },
    /// The driver writes the model.
    Saving { stop: Stop },
    /// The written weights are measured.
    Evaluating { stop: Stop, digest: u32, is_second: bool, deadline: Duration },
    /// Everybody is told to leave.
    Leaving { exit_code: u8, reason: Option<String>, deadline: Duration },
    /// Everybody was told, or is not waited for.
    Finished { leave: Leave },
}

impl Phase {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Starting => "waiting for servers and workers",
            Self::Running => "training",
            Self::Stopping { .. } | Self::Fencing { .. } => "waiting for workers to finish",
            Self::Saving { .. } => "saving",
            Self::Evaluating { .. } => "evaluating the saved model",
            Self::Leaving { .. } | Self::Finished { .. } => "leaving",
        }
    }

    /// Why the job ends, until everybody is told so.
    fn stop_mut(&mut self) -> Option<&mut Stop> {
        match self {
            Self::Stopping { stop, .. } | Self::Evaluating { stop, .. } => Some(stop),
            Self::Fencing { stop } | Self::Saving { stop } => Some(stop),
            Self::Starting | Self::Running | Self::Leaving { .. } | Self::Finished { .. } => None,
        }
    }

    /// Whether no new step is wanted.
    pub(super) fn is_over(&self) -> bool {
        !matches!(self, Self::Starting | Self::Running)
    }

    /// Whether the weights may not change any more.
    pub(super) fn is_committed(&self) -> bool {
        self.is_over() && !matches!(self, Self::Stopping { .. })
    }

    /// Why nobody can join any more. During the barrier and the commit a worker that was expired
    /// may come back, to be told that it may leave.
    pub(super) fn closed(&self) -> Option<String> {
        match self {
            Self::Leaving { reason, .. } => {
                Some(reason.clone().unwrap_or_else(|| "it is finished".to_owned()))
            }
            Self::Finished { .. } => Some("it is finished".to_owned()),
            _ => None,
        }
    }
}

impl Machine {
    /// Whether everybody was told, or is not waited for.
    pub fn is_finished(&self) -> bool {
        matches!(self.phase, Phase::Finished { .. })
    }

    /// The process received a signal: save what there is and end soon.
    pub fn signal(&mut self, exit_code: u8, now: Duration) {
        // A server may tell of a signal to the whole job before it comes here, and says not which.
        if let Some(Stop::Signal(told)) = self.phase.stop_mut() {
            *told = exit_code;
        }
        if self.signalled.is_none() {
            self.signalled = Some(now);
            self.log(Level::Info, "a signal: saving the model and ending");
            match &mut self.phase {
                Phase::Starting | Phase::Running => self.stop(Stop::Signal(exit_code), now),
                Phase::Stopping { deadline, .. } => {
                    *deadline = (*deadline).min(now + BARRIER_AFTER_SIGNAL);
                }
                Phase::Evaluating { deadline, .. } => {
                    *deadline = (*deadline).min(now + BARRIER_AFTER_SIGNAL);
                }
                Phase::Leaving { deadline, .. } => {
                    *deadline = (*deadline).min(now + LEFT_AFTER_SIGNAL);
                }
                Phase::Fencing { .. } | Phase::Saving { .. } | Phase::Finished { .. } => (),
            }
        }
        self.advance(now);
    }

    /// Gives out no more leases and waits for those that are out.
    pub(super) fn stop(&mut self, stop: Stop, now: Duration) {
        if self.phase == Phase::Starting {
            let exit_code = stop.exit_code();
            return self.leave(exit_code, stop.reason(), now);
        }
        if matches!(stop, Stop::Signal(_)) {
            self.signalled.get_or_insert(now);
        }
        let patience = match stop {
            Stop::Signal(_) => BARRIER_AFTER_SIGNAL.min(self.config.barrier_timeout),
            Stop::Completed | Stop::Diverged(_) | Stop::Abandoned(_) => self.config.barrier_timeout,
        };
        if let Some(reason) = stop.reason() {
            self.log(Level::Error, reason);
        }
        self.phase = Phase::Stopping { stop, deadline: now + patience };
    }

    /// Ends the job because it cannot go on.
    pub(super) fn fail(&mut self, reason: String, now: Duration) {
        if matches!(self.phase, Phase::Leaving { .. } | Phase::Finished { .. }) {
            return;
        }
        self.log(Level::Error, format!("the job fails: {reason}"));
        self.leave(1, Some(reason), now);
    }

    /// Ends the job because somebody beside its members, the driver or a host, cannot do its part.
    pub fn others_failed(&mut self, reason: String, now: Duration) {
        self.fail(reason, now);
        self.advance(now);
    }

    pub(super) fn leave(&mut self, exit_code: u8, reason: Option<String>, now: Duration) {
        let patience = match self.signalled {
            Some(at) => (at + LEFT_AFTER_SIGNAL).saturating_sub(now),
            None => self.config.lease,
        };
        let report = self.report(exit_code, reason.clone(), now);
        self.actions.push(Action::WriteReport(Box::new(report)));
        self.phase = Phase::Leaving { exit_code, reason, deadline: now + patience };
    }

    /// Goes on as far as what happened allows, and tells the shards what changed for them.
    pub(super) fn advance(&mut self, now: Duration) {
        self.advance_phase(now);
        self.checkpoint_pass(now);
        self.publish();
        self.ask_restore();
    }

    pub(super) fn advance_phase(&mut self, now: Duration) {
        self.settle_passes(now);
        while self.advance_once(now) {}
    }

    fn advance_once(&mut self, now: Duration) -> bool {
        match self.phase.clone() {
            Phase::Starting => self.advance_start(now),
            Phase::Running => self.advance_training(now),
            Phase::Stopping { stop, deadline } => self.advance_barrier(stop, deadline, now),
            Phase::Fencing { stop } => self.advance_fence(stop, now),
            Phase::Saving { stop } => self.advance_save(stop, now),
            Phase::Evaluating { deadline, .. } => self.advance_evaluation(deadline, now),
            Phase::Leaving { exit_code, reason, deadline } => {
                if self.places.all_live().next().is_some() && now < deadline {
                    return false;
                }
                let told = reason.clone().unwrap_or_default();
                let leave = Leave { exit_code, reason: told };
                self.phase = Phase::Finished { leave };
                self.actions.push(Action::Finished { exit_code, reason });
                true
            }
            Phase::Finished { .. } => false,
        }
    }

    fn advance_start(&mut self, now: Duration) -> bool {
        if self.agree(false, now) {
            return true;
        }
        if self.shard_map.is_some() && self.has_begun {
            self.record.training_began(now);
            self.phase = Phase::Running;
            return true;
        }
        let since = self.agreed_late.unwrap_or(self.started).max(self.checkpoints.restored_at);
        if self.is_restoring() || now.saturating_sub(since) < self.config.start_timeout {
            return false;
        }
        if self.shard_map.is_some() && self.agree(true, now) {
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
        let has = |index| self.places.process(Seat { role: Role::Server, index }).is_some();
        let servers = (0..self.config.servers).filter(|shard| !has(*shard));
        let mut missing: Vec<String> =
            servers.map(|shard| format!("server shard {shard}")).collect();
        if self.places.live(Role::Worker).next().is_none() {
            missing.push("any worker".to_owned());
        }
        if missing.is_empty() {
            return "no worker asked for the servers".to_owned();
        }
        format!("missing {}", missing.join(", "))
    }

    fn advance_training(&mut self, now: Duration) -> bool {
        let is_done = self.leases.as_ref().is_some_and(|leases| leases.are_done());
        if is_done {
            self.stop(Stop::Completed, now);
        }
        is_done
    }

    /// Whether a member may leave, and with what.
    pub(super) fn leave_for(&self, seat: Seat, now: Duration) -> Option<Leave> {
        if let Phase::Leaving { exit_code, reason, .. } = &self.phase {
            let reason = reason.clone().unwrap_or_default();
            return Some(Leave { exit_code: *exit_code, reason });
        }
        if let Phase::Finished { leave } = &self.phase {
            return Some(leave.clone());
        }
        let since = self.places.process(seat)?.leaving?;
        let holds_work = seat.role == Role::Worker && self.is_active(seat.index);
        let may_go = seat.role != Role::Server
            && !self.phase.is_over()
            && !holds_work
            && now.saturating_sub(since) >= LEAVE_ALONE_AFTER;
        may_go.then(|| Leave { exit_code: EXIT_TERMINATED, reason: String::new() })
    }
}
