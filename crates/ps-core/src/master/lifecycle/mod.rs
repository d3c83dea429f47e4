//! Where the job is on its way from its start to its end.
//!
//! Starting -> Running -> Stopping (barrier) -> Fencing -> Choosing -> Saving -> Evaluating -> Leaving ->
//! Finished. A failure goes straight to Leaving.

mod commit;
mod finish;
mod measuring;

use super::types::ModelWritten;
use crate::ids::Epoch;
use crate::report::Outcome;
use crate::stop::StopTimes;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Why no more leases are given out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum StopReason {
    /// Every sample of every pass is done.
    Completed,
    /// Evaluations have not become better for a while.
    EarlyStopped(String),
    /// A signal; with the exit code.
    Signal(u8),
    /// The run diverged.
    Diverged(String),
    /// A host is lost, and what it has of the model with it, soon.
    HostLost(String),
    /// No worker is left.
    Abandoned(String),
}

impl StopReason {
    /// How the job ends for this reason.
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Completed | Self::EarlyStopped(_) => Outcome::default(),
            Self::Signal(exit_code) => Outcome { exit_code: *exit_code, reason: None },
            Self::Diverged(reason) | Self::HostLost(reason) | Self::Abandoned(reason) => {
                Outcome { exit_code: 1, reason: Some(reason.clone()) }
            }
        }
    }
}

/// Where the job is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) enum Phase {
    /// Servers and workers register.
    #[default]
    Starting,
    /// Leases go out.
    Running,
    /// The barrier: leases come in.
    Stopping { deadline: Duration },
    /// Every shard learns that no push is taken any more.
    Fencing,
    /// The last weights are measured, as they may be the best.
    Choosing { deadline: Duration },
    /// The driver writes the model.
    Saving,
    /// The written weights are measured.
    Evaluating { digest: u32, is_second: bool, deadline: Duration },
    /// Everybody is told to leave.
    Leaving { deadline: Duration },
    /// Everybody was told, or is not waited for.
    Finished,
}

/// The phase, and what brought the job there.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Lifecycle {
    started: Duration,
    /// What of the time after a signal is for what.
    stop_times: StopTimes,
    /// When somebody who is no member yet said last that it loads its data.
    loading: Option<Duration>,
    /// The same of an evaluator, and where it is.
    evaluator_loading: Option<(Duration, String)>,
    /// Until when who has not come is waited for, to be told that the job failed.
    latecomers_until: Option<Duration>,
    phase: Phase,
    /// From the barrier on.
    stop: Option<StopReason>,
    /// When the first signal came.
    signalled: Option<Duration>,
    /// What that was, where it came while the job was ending: it may keep the model from being measured.
    interrupted: Option<StopReason>,
    /// In which epoch the driver was asked to write the model; `None` when it is to be asked, again.
    saving_in: Option<Epoch>,
    /// Whether the driver could write the model.
    written: Option<Result<ModelWritten, String>>,
    /// How the job ended, once everybody is told.
    outcome: Option<Outcome>,
    /// Whether it has lost what nobody can bring back.
    is_final: bool,
}

impl Lifecycle {
    /// A job that starts now.
    pub(super) fn new(stop_times: StopTimes, now: Duration) -> Self {
        Self { started: now, stop_times, ..Self::default() }
    }

    pub(super) fn started(&self) -> Duration {
        self.started
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    /// The phase, for people.
    pub(super) fn name(&self) -> &'static str {
        match self.phase {
            Phase::Starting => "waiting for servers and workers",
            Phase::Running => "training",
            Phase::Stopping { .. } | Phase::Fencing => "waiting for workers to finish",
            Phase::Choosing { .. } => "evaluating the last weights",
            Phase::Saving => "saving",
            Phase::Evaluating { .. } => "evaluating the saved model",
            Phase::Leaving { .. } | Phase::Finished => "leaving",
        }
    }

    /// Whether the model is to be measured by who loads its data still.
    pub(super) fn is_measuring_late(&self) -> bool {
        self.evaluator_loading.is_some() && matches!(self.phase, Phase::Evaluating { .. })
    }

    /// Whether leases go out.
    pub(super) fn is_training(&self) -> bool {
        self.phase == Phase::Running
    }

    /// Whether no new step is wanted.
    pub(super) fn is_over(&self) -> bool {
        !matches!(self.phase, Phase::Starting | Phase::Running)
    }

    /// Whether the weights may not change any more.
    pub(super) fn is_committed(&self) -> bool {
        self.is_over() && !matches!(self.phase, Phase::Stopping { .. })
    }

    /// Whether the weights are on the disk, so that nobody needs the servers but to measure them.
    pub(super) fn is_model_written(&self) -> bool {
        matches!(self.written, Some(Ok(_))) || matches!(self.phase, Phase::Evaluating { .. })
    }

    /// Whether everybody is told to leave. Until then a worker that was expired may come back, to be
    /// told so.
    pub(super) fn is_leaving(&self) -> bool {
        self.outcome.is_some()
    }

    /// How the job ended, once everybody is told.
    pub(super) fn outcome(&self) -> Option<&Outcome> {
        self.outcome.as_ref()
    }

    /// Whether the time that a signal leaves for saving is over.
    fn is_saving_late(&self, now: Duration) -> bool {
        self.signalled.is_some_and(|at| now >= at + self.stop_times.saved)
    }

    /// How much of that time is left; without a signal there is no limit.
    fn saving_time(&self, now: Duration) -> Option<Duration> {
        self.signalled.map(|at| (at + self.stop_times.saved).saturating_sub(now))
    }

    /// A signal came; whether it is the first one.
    fn signal(&mut self, why: &StopReason, now: Duration) -> bool {
        // A server may tell of a signal to the whole job before it comes here, and says not which.
        if let (Some(StopReason::Signal(known)), StopReason::Signal(code)) = (&mut self.stop, why) {
            *known = *code;
        }
        if self.signalled.is_some() {
            return false;
        }
        self.signalled = Some(now);
        self.interrupted = self.stop.is_some().then(|| why.clone());
        match &mut self.phase {
            Phase::Stopping { deadline } | Phase::Evaluating { deadline, .. } => {
                *deadline = (*deadline).min(now + self.stop_times.barrier);
            }
            // The best so far is what is saved.
            Phase::Choosing { deadline } => *deadline = now,
            Phase::Leaving { deadline } => *deadline = (*deadline).min(now + self.stop_times.told),
            _ => (),
        }
        true
    }

    /// Goes to the barrier, which may take this long.
    fn stop(&mut self, stop: StopReason, timeout: Duration, now: Duration) {
        let mut deadline = now + timeout;
        // Who told of it leaves as after a signal.
        if matches!(stop, StopReason::Signal(_) | StopReason::HostLost(_)) {
            self.signalled.get_or_insert(now);
            deadline = deadline.min(now + self.stop_times.barrier);
        }
        self.stop = Some(stop);
        self.phase = Phase::Stopping { deadline };
    }

    /// The master was away itself: nobody could do in that time what it waits for. What a signal leaves of time goes on.
    pub(super) fn extend(&mut self, by: Duration) {
        if self.signalled.is_some() {
            return;
        }
        if let Phase::Stopping { deadline }
        | Phase::Choosing { deadline }
        | Phase::Evaluating { deadline, .. }
        | Phase::Leaving { deadline } = &mut self.phase
        {
            *deadline += by;
        }
    }

    /// Another process leads the job: the model that the driver of the one before was writing is written once more, when
    /// every shard knows the one that leads now. A job that was ending because its host was lost goes on: it has one again.
    pub(super) fn come_back(&mut self) {
        let is_unsaved = match self.phase {
            Phase::Stopping { .. } | Phase::Fencing => true,
            Phase::Saving => self.written.is_none(),
            _ => false,
        };
        // Whoever started that one was gone, and has started this one.
        if is_unsaved && matches!(self.stop, Some(StopReason::HostLost(_))) {
            self.take_back_end();
        } else if is_unsaved && self.phase == Phase::Saving {
            (self.saving_in, self.phase) = (None, Phase::Fencing);
        }
    }

    /// What was acknowledged is lost: who started the job again would go on without it.
    pub(super) fn has_lost_for_good(&mut self) {
        self.is_final = true;
    }

    /// The job goes on training, whatever it was about to do.
    pub(super) fn take_back_end(&mut self) {
        if self.is_over() {
            (self.stop, self.signalled, self.saving_in) = (None, None, None);
            (self.interrupted, self.written, self.outcome) = (None, None, None);
            self.phase = Phase::Running;
        }
    }

    /// Whether the job was told to end before all was done.
    fn is_cut_short(&self) -> bool {
        matches!(self.stop, Some(StopReason::Signal(_) | StopReason::HostLost(_)))
    }

    /// Why the job stops, once it does.
    pub(super) fn stop_reason(&self) -> Option<&StopReason> {
        self.stop.as_ref()
    }

    /// The job came to its end, and its model is none.
    fn diverged_at_end(&mut self, reason: String) {
        self.stop = Some(StopReason::Diverged(reason));
    }

    /// The driver wrote the model, or could not.
    fn model_written(&mut self, written: Result<ModelWritten, String>) {
        if self.phase == Phase::Saving {
            self.written = Some(written);
        }
    }

    /// Tells everybody to leave; who has not heard it by then is not waited for.
    fn leave(&mut self, outcome: Outcome, timeout: Duration, now: Duration) {
        let deadline =
            self.signalled.map_or(now + timeout, |at| now.max(at + self.stop_times.told));
        self.phase = Phase::Leaving { deadline };
        self.outcome = Some(outcome);
    }
}
