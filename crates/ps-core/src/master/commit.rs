//! The end barrier and the commit: the last leases come in, every shard is fenced, the model is
//! written and exactly those weights are measured.

use super::Machine;
use super::finish::{Phase, Stop};
use super::types::{Action, EvaluationResult, Level, ModelWritten, Role, Seat};
use crate::data_description::DataKind;
use std::time::Duration;

/// After a signal the model must be written this soon: everything must be over within 8 s.
const SAVED_AFTER_SIGNAL: Duration = Duration::from_millis(6500);

impl Machine {
    /// Every live worker must have finished or given back its lease; at the deadline those that
    /// have not are expired, and the model is committed without them.
    pub(super) fn advance_barrier(
        &mut self,
        stop: Stop,
        deadline: Duration,
        now: Duration,
    ) -> bool {
        let holders: Vec<u32> = self.leases.iter().flat_map(|leases| leases.holders()).collect();
        if !holders.is_empty() && now < deadline {
            return false;
        }
        for index in holders {
            self.expire(Seat { role: Role::Worker, index }, "missed the end barrier", now);
        }
        self.record.training_ended(now);
        self.phase = Phase::Fencing { stop };
        true
    }

    /// Once every shard knows that no push is taken any more, the weights are final.
    pub(super) fn advance_fence(&mut self, stop: Stop, now: Duration) -> bool {
        self.publish();
        if self.memberships.are_acknowledged(self.config.servers) {
            self.actions.push(Action::SaveModel);
            self.phase = Phase::Saving { stop };
            return true;
        }
        let is_late = self.is_late(now);
        if is_late {
            self.fail_late(now);
        }
        is_late
    }

    fn is_late(&self, now: Duration) -> bool {
        self.signalled.is_some_and(|at| now >= at + SAVED_AFTER_SIGNAL)
    }

    fn fail_late(&mut self, now: Duration) {
        self.fail("the model could not be saved within the time that a signal leaves".into(), now);
    }

    /// The model and the last checkpoint are written side by side. A checkpoint that is late or
    /// fails does not cost the model.
    pub(super) fn advance_save(&mut self, stop: Stop, now: Duration) -> bool {
        self.checkpoint_last(&stop, now);
        let is_late = self.is_late(now);
        if self.written.is_none() {
            if is_late {
                self.fail_late(now);
            }
            return is_late;
        }
        if !self.are_checkpoints_over() && !is_late {
            return false;
        }
        if !self.are_checkpoints_over() {
            self.log(Level::Error, "the last checkpoint was not complete in time");
            self.checkpoints.give_up();
        }
        match self.written.take() {
            Some(Ok(written)) => self.saved(stop, written, now),
            // The signal came before there was anything to save.
            Some(Err(reason)) if self.samples_done() == 0 && stop.exit_code() > 1 => {
                self.log(Level::Warn, format!("nothing was saved: {reason}"));
                self.leave(stop.exit_code(), None, now);
            }
            Some(Err(reason)) => self.fail(reason, now),
            None => return false,
        }
        true
    }

    /// The driver wrote the model, or could not.
    pub fn model_written(&mut self, written: Result<ModelWritten, String>, now: Duration) {
        if matches!(self.phase, Phase::Saving { .. }) {
            self.written = Some(written);
        }
        self.advance(now);
    }

    /// The servers hold no model.
    pub fn no_model(&mut self, now: Duration) {
        if let Phase::Saving { stop } = self.phase.clone()
            && self.kind() == Some(DataKind::Program)
        {
            let line = "the programs left no model on the servers: none is written";
            self.log(Level::Warn, line);
            self.leave(stop.exit_code(), stop.reason(), now);
            return self.advance(now);
        }
        let reason = "the servers hold no model: no worker has created it";
        self.model_written(Err(reason.to_owned()), now);
    }

    fn saved(&mut self, stop: Stop, written: ModelWritten, now: Duration) {
        self.record.saved(written.servers, now);
        // Nobody here can compute the model of a user's program.
        let is_foreign = self.kind() == Some(DataKind::Program);
        if stop != Stop::Completed || self.signalled.is_some() || is_foreign {
            let exit_code = stop.exit_code();
            return self.leave(exit_code, stop.reason(), now);
        }
        let last = self.config.settings.passes.saturating_sub(1);
        for pass in self.evaluations.want_final(last) {
            if pass != last {
                let line = format!("pass {} was not evaluated: the evaluator was behind", pass + 1);
                self.log(Level::Warn, line);
            }
        }
        let (digest, deadline) = (written.digest, now + self.config.evaluation_timeout);
        self.phase = Phase::Evaluating { stop, digest, is_second: false, deadline };
    }

    pub(super) fn advance_evaluation(&mut self, deadline: Duration, now: Duration) -> bool {
        let can = |(seat, process): (Seat, &super::Process)| {
            seat.role != Role::Server && process.leaving.is_none()
        };
        let nobody = !self.places.all_live().any(can);
        if !nobody && now < deadline {
            return false;
        }
        let why = if nobody { "nobody is left to do it" } else { "it took too long" };
        self.log(Level::Warn, format!("no final evaluation of the saved model: {why}"));
        self.conclude(now);
        true
    }

    /// Takes the evaluation of the written weights.
    pub(super) fn final_evaluation(&mut self, result: &EvaluationResult, now: Duration) {
        let Phase::Evaluating { stop, digest, is_second, deadline } = self.phase.clone() else {
            return;
        };
        let is_match = result.weights_digest == digest;
        if let Some(error) = &result.error {
            self.log(Level::Warn, format!("the final evaluation failed: {error}"));
        } else if !is_match && !is_second {
            self.log(Level::Warn, "other weights than the written ones were evaluated; once more");
            self.evaluations.want_final(result.task.pass);
            self.phase = Phase::Evaluating { stop, digest, is_second: true, deadline };
            return;
        } else {
            if !is_match {
                let line = "the final metrics are of other weights than the written ones: something \
                            changes the servers' weights that the master does not know of";
                self.log(Level::Warn, line);
            }
            self.record_final(result, is_match);
        }
        self.conclude(now);
    }

    pub(super) fn conclude(&mut self, now: Duration) {
        self.record.evaluated(now);
        self.leave(0, None, now);
    }
}
