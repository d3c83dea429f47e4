//! The job in words and numbers: metric lines, progress, the report.

use crate::data_description::DataKind;
use crate::digits::digits;
use crate::learning::LearningStatus;
use crate::master::Machine;
use crate::master::leases::owner_of;
use crate::master::lifecycle::StopReason;
use crate::master::types::{Action, EvaluateTask, EvaluationResult, JobProgress, Level, Role};
use crate::progress::ProgressSnapshot;
use crate::report::{CameBack, Outcome, Report, SkippedShare};
use std::time::Duration;

impl Machine {
    /// Writes down an evaluation during training, for people and machines.
    pub(in crate::master) fn record_evaluation(
        &mut self,
        task: &EvaluateTask,
        result: &EvaluationResult,
        is_best: bool,
    ) {
        let is_program = self.programs.samples().is_used();
        let done =
            if is_program { self.programs.samples().done() } else { self.leases.samples_done() };
        let is_of_pass =
            self.config.settings.evaluation.every.is_none() && self.record.has_pass(task.pass);
        let line = self.record.evaluated_once(task, result, is_of_pass, is_best, done);
        self.actions.extend(line.map(Action::Metric));
    }

    /// Says once how many evaluations were due and not done.
    pub(in crate::master) fn tell_skipped(&mut self) {
        let skipped = self.evaluations.skipped();
        if skipped > 0 {
            let done = self.record.evaluations.len();
            let line = format!(
                "{skipped} evaluations were skipped, {done} done: the evaluator was still at an earlier one, and \
                 goes on with the newest"
            );
            self.log(Level::Info, line);
        }
    }

    /// Writes down the evaluation of the written weights.
    pub(in crate::master) fn record_final(
        &mut self,
        task: &EvaluateTask,
        result: &EvaluationResult,
        weights_match: bool,
    ) {
        let samples_done = self.leases.samples_done();
        let lines = self.record.finally_evaluated(task, result, weights_match, samples_done);
        self.actions.extend(lines.into_iter().map(Action::Metric));
        if result.test.as_ref().is_none_or(|scores| scores.samples == 0) {
            let message = "no test data: loss and accuracy of the model on unseen samples are not \
                           known; give --test or put a test set into --data";
            self.log(Level::Warn, message);
        }
    }

    /// What a program measured is what is known of its model: of the best weights, where they are kept, or else what it reported
    /// last.
    pub(in crate::master) fn record_reported(&mut self) {
        let lines = self.record.finally_reported();
        self.actions.extend(lines.into_iter().map(Action::Metric));
    }

    /// The report as things stand.
    pub(in crate::master) fn report(&mut self, outcome: Outcome, now: Duration) -> Report {
        let record = &self.record;
        // What comes in after the verdict does not change it.
        let learning = match self.lifecycle.stop_reason() {
            Some(StopReason::Diverged(_)) => LearningStatus::Diverged,
            _ => record.monitor.status(),
        };
        let skipped: Vec<SkippedShare> = self
            .leases
            .skipped()
            .map(|(source, samples)| SkippedShare { member: owner_of(source).to_string(), samples })
            .collect();
        let came_back =
            |(member, times): (&String, &u64)| CameBack { member: member.clone(), times: *times };
        let report = Report {
            outcome,
            settings: record.held.as_ref().unwrap_or(&self.config.settings).clone(),
            resumed: self.checkpoints.resumed(),
            checkpoint: self.checkpoints.newest(),
            train_samples: self
                .leases
                .samples()
                .max(self.programs.samples().samples().unwrap_or(0)),
            passes: record.passes(),
            evaluations: record.evaluations.clone(),
            evaluations_skipped: self.evaluations.skipped(),
            final_metrics: record.final_metrics.clone(),
            kept: record.kept.clone(),
            early_stop: match self.lifecycle.stop_reason() {
                Some(StopReason::EarlyStopped(line)) => Some(line.clone()),
                _ => None,
            },
            learning,
            start_loss: record.monitor.start_loss(),
            loss_curve: record.losses.points(),
            rise: record.monitor.rise(),
            workers: record.workers(),
            imbalance: Report::imbalance_of(&record.servers),
            servers: record.servers.clone(),
            samples_skipped: skipped.iter().map(|share| share.samples).sum(),
            skipped,
            lost: record.lost.clone(),
            servers_went_back: record.went_back.clone(),
            came_back: record.came_back.iter().map(came_back).collect(),
            timings: record.timings(self.lifecycle.started(), now),
        };
        if learning == LearningStatus::DidNotImprove {
            let loss = |loss: Option<f64>| loss.map_or("-".to_owned(), digits);
            let start = loss(report.start_loss);
            let last = loss(report.passes.last().and_then(|pass| pass.train_loss));
            let line = format!(
                "the loss did not fall: {start} in the first steps, {last} in the last pass; this \
                 run did not learn"
            );
            self.log(Level::Warn, line);
        }
        report
    }

    /// How far the job is.
    pub(in crate::master) fn progress(&self) -> JobProgress {
        let (samples_done, samples_total) = self.leases.progress();
        JobProgress { samples_done, samples_total }
    }

    /// Steps that the servers have applied: each step is on every one of them.
    pub(in crate::master) fn steps_of_servers(&self) -> u64 {
        let servers = self.registry.live(Role::Server);
        let heard_of = servers.map(|(_, server)| server.clock).max().unwrap_or(0);
        // Programs that take their samples from here say earlier how far they are.
        heard_of.max(self.programs.steps())
    }

    fn phase_name(&self) -> &'static str {
        match self.lifecycle.is_measuring_late() && self.measures_elsewhere() {
            true => "waiting for the evaluator to load its data",
            false => self.lifecycle.name(),
        }
    }

    /// How far the job is, for people.
    pub fn snapshot(&self) -> ProgressSnapshot {
        let JobProgress { samples_done, samples_total } = self.progress();
        let counters = self.record.counters();
        let is_program = self.agreement.kind() == Some(DataKind::Program);
        ProgressSnapshot {
            phase: self.phase_name(),
            pass: self.agreement.agreed().map_or(0, |_| self.leases.pass() + 1),
            program_pass: self
                .programs
                .samples()
                .is_used()
                .then(|| self.programs.samples().pass() + 1),
            passes: self.leases.passes(),
            samples_done,
            samples_total,
            samples_leased: self.leases.samples_out(),
            samples_trained: counters.samples,
            is_program,
            steps: if is_program { self.steps_of_servers() } else { counters.steps },
            loss: self.record.last_losses.mean(),
            staleness_p50: counters.staleness.p50(),
            staleness_max: counters.staleness.max(),
            workers: self.registry.live(Role::Worker).count(),
            away: self.away.shards(),
        }
    }
}
