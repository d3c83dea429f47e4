//! The end barrier and the commit: the last leases come in, every shard is fenced, the model is
//! written. What is measured of it: see `measuring`.

use super::{Phase, StopReason};
use crate::data_description::DataKind;
use crate::master::Machine;
use crate::master::types::{Action, Level, MemberId, ModelWritten};
use crate::report::Outcome;
use std::time::Duration;

/// A server that was silent for this long, or half its lease, may be what kept the driver from reading the
/// model: heartbeats come more often.
const SILENCE_SUSPICIOUS: Duration = Duration::from_secs(2);

impl Machine {
    /// Every live worker must have finished or given back its lease; at the deadline those that
    /// have not are expired, and the model is committed without them.
    pub(super) fn advance_barrier(&mut self, deadline: Duration, now: Duration) -> bool {
        if self.leases.holders().next().is_some() && now < deadline {
            return false;
        }
        let holders: Vec<u32> = self.leases.holders().collect();
        for rank in holders {
            self.expire(MemberId::worker(rank), "missed the end barrier", now);
        }
        self.record.training_ended(now);
        self.lifecycle.phase = Phase::Fencing;
        true
    }

    /// Once every shard knows that no push is taken any more, the weights are final.
    pub(super) fn advance_fence(&mut self, now: Duration) -> bool {
        self.publish();
        if self.membership.is_acknowledged(self.config.servers) {
            self.lifecycle.phase = Phase::Saving;
            let is_completed = self.lifecycle.stop_reason() == Some(&StopReason::Completed);
            let is_in_time = is_completed && self.lifecycle.signalled.is_none();
            // A program has measured the last weights already, or does not want them measured.
            let is_program = self.agreement.kind() == Some(DataKind::Program);
            if is_in_time && !is_program && self.config.settings.evaluation.keeps_best() {
                self.evaluations.want_last(self.leases.pass(), self.steps_done());
                let deadline = now + self.config.evaluation_timeout;
                self.lifecycle.phase = Phase::Choosing { deadline };
            }
            return true;
        }
        self.fail_if_late(now)
    }

    /// The last weights may be the best: they are measured before one of them is written.
    pub(super) fn advance_choice(&mut self, deadline: Duration, now: Duration) -> bool {
        if !self.evaluations.is_idle() {
            let is_anybody_left = self.keeper().is_some();
            if is_anybody_left && now < deadline {
                return false;
            }
            let why = if is_anybody_left { "there is no time" } else { "nobody is left to do it" };
            self.log(Level::Warn, format!("the last weights were not measured: {why}"));
            self.evaluations.give_up();
        }
        self.lifecycle.phase = Phase::Saving;
        true
    }

    /// Whether a server may be silent, so that its weights cannot be read.
    fn is_any_server_quiet(&self, now: Duration) -> bool {
        let limit = SILENCE_SUSPICIOUS.min(self.config.lease / 2);
        self.registry.is_any_server_silent(limit, now)
    }

    /// Has the driver write the model, once every server is there to be read.
    fn ask_model(&mut self, now: Duration) {
        if self.lifecycle.saving_in.is_none() && !self.is_any_server_quiet(now) {
            self.lifecycle.saving_in = Some(self.membership.epoch());
            let within = self.lifecycle.saving_time(now);
            let is_abandoned =
                matches!(self.lifecycle.stop_reason(), Some(StopReason::Abandoned(_)));
            let kept = self.chosen().map(Box::new);
            self.actions.push(Action::SaveModel { within, if_trained: is_abandoned, kept });
        }
    }

    fn fail_if_late(&mut self, now: Duration) -> bool {
        let is_late = self.lifecycle.is_saving_late(now);
        if is_late {
            let reason = "the model could not be saved within the time that a signal leaves";
            self.fail_saving(reason.into(), now);
        }
        is_late
    }

    /// The model is lost. Where that follows from what ended the job, that is the cause.
    fn fail_saving(&mut self, reason: String, now: Duration) {
        let reason = match self.stop_outcome().reason {
            Some(cause) => format!("{cause}; {reason}"),
            None => reason,
        };
        self.fail(reason, now);
    }

    /// The model and the last checkpoint are written side by side. A checkpoint that is late or
    /// fails does not cost the model.
    pub(super) fn advance_save(&mut self, now: Duration) -> bool {
        if self.going_back.is_any() && self.lifecycle.written.is_none() {
            // What goes back is part of the model.
            return self.fail_if_late(now);
        }
        self.ask_model(now);
        self.checkpoint_last(now);
        if self.lifecycle.written.is_none() {
            return self.fail_if_late(now);
        }
        if !self.checkpoints.are_over() {
            if !self.lifecycle.is_saving_late(now) {
                return false;
            }
            self.log(Level::Error, "the last checkpoint was not complete in time");
            self.checkpoints.give_up();
        }
        self.model_is_saved(now);
        true
    }

    pub(super) fn stop_outcome(&self) -> Outcome {
        self.lifecycle.stop_reason().map(StopReason::outcome).unwrap_or_default()
    }

    /// Goes on after what the driver said of the model.
    fn model_is_saved(&mut self, now: Duration) {
        let outcome = self.stop_outcome();
        match self.lifecycle.written.take() {
            Some(Ok(written)) => self.evaluate(written, now),
            // The signal came before there was anything to save.
            Some(Err(reason)) if self.leases.samples_done() == 0 && outcome.exit_code > 1 => {
                self.log(Level::Warn, format!("nothing was saved: {reason}"));
                self.leave(outcome, now);
            }
            Some(Err(reason)) => self.fail_saving(reason, now),
            None => (),
        }
    }

    /// The driver wrote the model, or could not. Where a server is silent, or moved meanwhile, it is tried
    /// again when all are there.
    pub fn model_written(&mut self, written: Result<ModelWritten, String>, now: Duration) {
        self.event(now, |machine| {
            let has_moved = machine.lifecycle.saving_in != Some(machine.membership.epoch());
            match written {
                Err(reason) if has_moved || machine.is_any_server_quiet(now) => {
                    machine.lifecycle.saving_in = None;
                    let line = format!("{reason}; once more when every server is there");
                    machine.log(Level::Warn, line);
                }
                written => machine.lifecycle.model_written(written),
            }
        });
    }

    /// The servers hold no model.
    pub fn no_model(&mut self, now: Duration) {
        self.event(now, |machine| {
            let has_moved = machine.lifecycle.saving_in != Some(machine.membership.epoch());
            if machine.going_back.is_any() || has_moved {
                // A server that takes the place of another holds nothing for a moment.
                machine.lifecycle.saving_in = None;
                return;
            }
            let is_saving = machine.lifecycle.phase == Phase::Saving;
            if is_saving && machine.agreement.kind() == Some(DataKind::Program) {
                let line = "the programs trained no model on the servers: none is written";
                machine.log(Level::Warn, line);
                return machine.leave(machine.stop_outcome(), now);
            }
            let reason = "the servers hold no model: no worker has created it";
            machine.lifecycle.model_written(Err(reason.to_owned()));
        });
    }

    /// A server is gone and took its weights along. Once the model is written nothing else needs
    /// them; whether the model is written.
    pub(in crate::master) fn commit_without(&mut self, server: MemberId, now: Duration) -> bool {
        if self.lifecycle.phase == Phase::Saving && matches!(self.lifecycle.written, Some(Ok(_))) {
            self.checkpoints.give_up();
            let server = self.registry.describe(server);
            let line = format!("{server} is gone before the last checkpoint was complete");
            self.log(Level::Error, line);
            self.model_is_saved(now);
        }
        if matches!(self.lifecycle.phase, Phase::Evaluating { .. }) {
            self.give_up_evaluation("a server is gone", now);
        }
        self.lifecycle.is_leaving()
    }
}
