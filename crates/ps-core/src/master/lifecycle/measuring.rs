//! The last evaluation: exactly the weights that were written are measured, and what that says of the job's end.

use super::{Phase, StopReason};
use crate::data_description::DataKind;
use crate::learning::{DivergenceSign, Verdict};
use crate::master::Machine;
use crate::master::departures::LEAVE_ALONE_AFTER;
use crate::master::types::{EvaluateTask, EvaluationResult, Level, ModelWritten, Role};
use crate::report::Outcome;
use std::time::Duration;

/// How long an evaluator that loads its data may be silent about it: it says so every two seconds.
const LOADING_SILENT: Duration = Duration::from_secs(10);

/// What is said of a model that nobody measured, and why, where a signal came first.
const NOT_MEASURED: &str = "no final evaluation of the saved model";
const SIGNAL: &str = "a signal left no time for it";

impl Machine {
    pub(super) fn evaluate(&mut self, written: ModelWritten, now: Duration) {
        let (of_file, digest) = (written.kept.is_some(), written.digest);
        self.record.saved(written, now);
        self.tell_nothing_kept();
        let is_completed = matches!(
            self.lifecycle.stop_reason(),
            Some(StopReason::Completed | StopReason::EarlyStopped(_))
        );
        // Nobody here can compute the model of a user's program.
        if self.agreement.kind() == Some(DataKind::Program) {
            self.give_up_unwritten();
            if is_completed {
                self.record_reported();
            }
            let sign = self.record.sign_of_refusals();
            let outcome = self.judged_by(sign, self.stop_outcome());
            return self.leave(outcome, now);
        }
        if !is_completed || self.lifecycle.signalled.is_some() {
            if is_completed {
                let line = format!("{NOT_MEASURED}: {SIGNAL}");
                self.log(Level::Warn, line);
            }
            let outcome = self.unmeasured_outcome();
            return self.leave(outcome, now);
        }
        self.tell_loading(now);
        let known = self.evaluation_of(self.leases.pass());
        self.evaluations.want_final(EvaluateTask { is_final: true, of_file, ..known });
        let deadline = now + self.config.evaluation_timeout;
        self.lifecycle.phase = Phase::Evaluating { digest, is_second: false, deadline };
    }

    /// The best weights were asked for, and there are none: the model is that of the last step.
    fn tell_nothing_kept(&mut self) {
        let settings = &self.config.settings.evaluation;
        if !settings.keeps_best() || self.selection.keeping().best().is_some() {
            return;
        }
        let why = match self.selection.keeping().evaluations() {
            0 => "no evaluation was done".to_owned(),
            done => format!("none of {done} evaluations had a finite {}", settings.measure()),
        };
        let line =
            format!("--keep best: nothing could be kept, as {why}; the model has the last weights");
        self.log(Level::Warn, line);
    }

    pub(super) fn advance_evaluation(&mut self, deadline: Duration, now: Duration) -> bool {
        let is_anybody_left = self.is_anybody_left(now) || self.awaits_evaluator(now);
        if is_anybody_left && now < deadline {
            return false;
        }
        let why = match (is_anybody_left, self.lifecycle.signalled) {
            (true, Some(_)) => SIGNAL,
            (true, None) => "it took too long",
            (false, _) => "nobody is left to do it",
        };
        self.give_up_evaluation(why, now);
        true
    }

    /// An evaluator will come that loads its data still; how long that may take is for itself to say.
    pub(super) fn evaluator_is_loading(&mut self, address: &str, now: Duration) {
        self.lifecycle.evaluator_loading = Some((now, address.to_owned()));
        if let Phase::Evaluating { deadline, .. } = &mut self.lifecycle.phase
            && self.lifecycle.signalled.is_none()
        {
            *deadline = (*deadline).max(now + self.config.evaluation_timeout);
        }
    }

    /// Where workers have no test data of their own: an evaluator that is heard of and not there yet.
    pub(in crate::master) fn awaits_evaluator(&self, now: Duration) -> bool {
        let loading = self.lifecycle.evaluator_loading.as_ref();
        let is_heard = loading.is_some_and(|(at, _)| now < *at + LOADING_SILENT);
        is_heard && self.measures_elsewhere() && !self.registry.has(Role::Evaluator)
    }

    /// Whether it is the evaluator that has the test data: workers have a stream, or a share.
    pub(in crate::master) fn measures_elsewhere(&self) -> bool {
        matches!(self.agreement.kind(), Some(DataKind::Streamed | DataKind::Sharded))
    }

    /// The evaluator is there, or will not come.
    pub(in crate::master) fn forget_loading(&mut self) {
        self.lifecycle.evaluator_loading = None;
    }

    /// Says at the end of training that an evaluator is not there yet, and what follows.
    fn tell_loading(&mut self, now: Duration) {
        if self.registry.has(Role::Evaluator) {
            return;
        }
        let Some((_, address)) = self.lifecycle.evaluator_loading.clone() else {
            return;
        };
        let what = match self.awaits_evaluator(now) {
            true => "the final evaluation waits for it",
            false => "a worker measures the model",
        };
        let line = format!("the evaluator at {address} has not loaded its data yet: {what}");
        self.log(Level::Warn, line);
    }

    /// Whether anybody can measure. Who was told to end counts for a moment: a signal to the whole job reaches
    /// the master, too, and then it is what ended the job.
    fn is_anybody_left(&self, now: Duration) -> bool {
        let keeps_best = self.config.settings.evaluation.keeps_best();
        let roles: &[Role] =
            if keeps_best { &[Role::Evaluator] } else { &[Role::Worker, Role::Evaluator] };
        roles.iter().flat_map(|role| self.registry.live(*role)).any(|(_, process)| {
            let leaves = |since: Duration| now.saturating_sub(since) >= LEAVE_ALONE_AFTER;
            let can_measure = process.keeps_best || !keeps_best;
            can_measure && !process.leaving.is_some_and(leaves)
        })
    }

    /// The model is written, and not measured.
    pub(super) fn give_up_evaluation(&mut self, why: &str, now: Duration) {
        self.log(Level::Warn, format!("{NOT_MEASURED}: {why}"));
        self.conclude(now);
    }

    /// Takes the evaluation of the written weights.
    pub(in crate::master) fn final_evaluation(
        &mut self,
        task: &EvaluateTask,
        result: &EvaluationResult,
        now: Duration,
    ) {
        let Phase::Evaluating { digest, is_second, deadline } = self.lifecycle.phase else {
            return;
        };
        let is_match = result.weights_digest == digest;
        if let Some(error) = &result.error {
            self.log(Level::Warn, format!("the final evaluation failed: {error}"));
        } else if !is_match && !is_second {
            self.log(Level::Warn, "other weights than the written ones were evaluated; once more");
            self.evaluations.want_final(task.clone());
            self.lifecycle.phase = Phase::Evaluating { digest, is_second: true, deadline };
            return;
        } else {
            if !is_match {
                let line = "the final metrics are of other weights than the written ones: something \
                            changes the servers' weights that the master does not know of";
                self.log(Level::Warn, line);
            }
            self.record_final(task, result, is_match);
        }
        self.conclude(now);
    }

    fn conclude(&mut self, now: Duration) {
        self.record.evaluated(now);
        let outcome = match self.record.final_metrics() {
            Some(_) => self.stop_outcome(),
            None => self.unmeasured_outcome(),
        };
        let outcome = self.judge_model(outcome);
        self.leave(outcome, now);
    }

    /// How a job ends whose model was not measured: by the signal that came when all else was done.
    fn unmeasured_outcome(&self) -> Outcome {
        let outcome = self.stop_outcome();
        match &self.lifecycle.interrupted {
            Some(why) if outcome.exit_code == 0 => why.outcome(),
            _ => outcome,
        }
    }

    /// A model whose loss is not a number is none: where divergence ends a job, it fails. The model stays, as it
    /// does when the job ends for that in the middle.
    fn judge_model(&mut self, outcome: Outcome) -> Outcome {
        if outcome.exit_code != 0 {
            return outcome;
        }
        // What was measured counts for more than the steps before.
        let sign = match self.record.final_metrics().filter(|metrics| metrics.has_samples()) {
            Some(metrics) => {
                metrics.set_without_loss().map(|set| DivergenceSign::ModelNotFinite { set })
            }
            None => self.record.monitor().sign_at_end(),
        };
        self.judged_by(sign, outcome)
    }

    /// The outcome of a job about whose end this sign says something.
    fn judged_by(&mut self, sign: Option<DivergenceSign>, outcome: Outcome) -> Outcome {
        if outcome.exit_code != 0 {
            return outcome;
        }
        match sign.and_then(|sign| self.config.settings.divergence.verdict(&sign)) {
            Some(Verdict::Stop(reason)) => {
                self.log(Level::Error, reason.clone());
                self.lifecycle.diverged_at_end(reason.clone());
                Outcome { exit_code: 1, reason: Some(reason) }
            }
            Some(Verdict::Warn(line)) => {
                self.log(Level::Warn, line);
                outcome
            }
            None => outcome,
        }
    }
}
