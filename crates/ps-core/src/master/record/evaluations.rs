//! What evaluations found, for metric lines and the report.

use super::Record;
use crate::digits::digits;
use crate::learning::DivergenceSign;
use crate::master::types::{EvaluateTask, EvaluationResult};
use crate::measures::Measure;
use crate::report::{EvaluationReport, FinalReport, ServerReport};
use crate::scores::{EvaluationSet, Scores, ScoresReport};
use std::time::Duration;

/// Evaluations that are remembered one by one; a job that measures after every step must not grow
/// this for ever.
const EVALUATIONS_MAX: usize = 10_000;

impl Record {
    /// Whether a pass is over.
    pub(in crate::master) fn has_pass(&self, pass: u64) -> bool {
        self.passes.contains_key(&pass)
    }

    /// Takes an evaluation during training; the line for machines. `is_of_pass`: it was due because a
    /// pass had ended.
    pub(super) fn evaluated_once(
        &mut self,
        task: &EvaluateTask,
        result: &EvaluationResult,
        is_of_pass: bool,
        is_best: bool,
        samples_done: u64,
    ) -> Option<String> {
        let (set, scores) = result.chosen_by()?;
        if self.evaluations.len() < EVALUATIONS_MAX {
            self.evaluations.push(EvaluationReport {
                pass: task.pass + 1,
                step: task.step,
                samples_done,
                set,
                scores: scores.report(),
                is_best,
            });
        }
        if is_of_pass {
            return self.pass_evaluated(task.pass, result, samples_done);
        }
        let line = scores.line(set, "");
        Some(format!("step={}; pass={};{line}", task.step, task.pass + 1))
    }

    /// The line for machines of a pass whose evaluation was skipped: what training itself says.
    pub(in crate::master) fn unmeasured(&self, pass: u64) -> Option<String> {
        let pass = self.passes.get(&pass)?;
        let loss = pass.train_loss?;
        Some(format!("pass={}; train_loss={};", pass.pass, digits(loss)))
    }

    fn pass_evaluated(
        &mut self,
        pass: u64,
        result: &EvaluationResult,
        samples_done: u64,
    ) -> Option<String> {
        let pass = self.passes.get_mut(&pass)?;
        let (set, scores) = result.chosen_by()?;
        let report = scores.report();
        match set {
            EvaluationSet::Validation => pass.validation = Some(report),
            EvaluationSet::Test => {
                (pass.test_loss, pass.test_accuracy) = (report.loss, report.accuracy);
                pass.measures = report.measures;
            }
        }
        pass.samples_done_at_evaluation = Some(samples_done);
        let train_loss = pass.train_loss.map(|loss| format!(" train_loss={};", digits(loss)));
        let line = scores.line(set, &train_loss.unwrap_or_default());
        Some(format!("pass={};{line}", pass.pass))
    }

    /// Takes the evaluation of the written weights; the lines for machines.
    pub(super) fn finally_evaluated(
        &mut self,
        task: &EvaluateTask,
        result: &EvaluationResult,
        weights_match: bool,
        samples_done: u64,
    ) -> Vec<String> {
        // No push came after the last pass: these are its weights, too.
        let last = self.passes.get(&task.pass).filter(|_| !task.of_file);
        let is_new = last.is_some_and(|pass| pass.samples_done_at_evaluation.is_none());
        let line = is_new.then(|| self.pass_evaluated(task.pass, result, samples_done)).flatten();
        let mut lines = Vec::from_iter(line);
        let test = result.test.as_ref().map(|scores| scores.report()).unwrap_or_default();
        self.final_metrics = Some(FinalReport {
            test_loss: test.loss,
            test_accuracy: test.accuracy,
            measures: test.measures,
            samples: test.samples,
            validation: result.validation.as_ref().map(|scores| scores.report()),
            weights_match,
        });
        let sets =
            [(EvaluationSet::Validation, &result.validation), (EvaluationSet::Test, &result.test)];
        for (set, scores) in sets {
            lines.extend(scores.iter().flat_map(|scores| scores.final_lines(set)));
        }
        lines
    }

    /// Takes what a program reported for what is known of the model in the end; the lines for machines.
    pub(super) fn finally_reported(&mut self) -> Vec<String> {
        let is_of_model = |it: &&EvaluationReport| self.kept.is_none() || it.is_best;
        let Some(found) = self.evaluations.iter().rev().find(is_of_model) else {
            return Vec::new();
        };
        let (set, weights_match) = (found.set, self.kept.is_some());
        let ScoresReport { accuracy, measures, .. } = found.scores.clone();
        let measure =
            |(name, value): (&String, &f64)| Measure { name: name.clone(), value: *value };
        let scores = Scores::of_program(accuracy, measures.iter().map(measure).collect());
        let lines = scores.final_lines(set);
        self.final_metrics = Some(match set {
            EvaluationSet::Test => FinalReport {
                test_loss: measures.get("loss").copied(),
                test_accuracy: accuracy,
                measures,
                weights_match,
                ..FinalReport::default()
            },
            EvaluationSet::Validation => FinalReport {
                validation: Some(found.scores.clone()),
                weights_match,
                ..FinalReport::default()
            },
        });
        lines
    }

    /// Whether servers refused most of what was pushed.
    pub(in crate::master) fn sign_of_refusals(&self) -> Option<DivergenceSign> {
        let sum = |count: fn(&ServerReport) -> u64| self.servers.values().map(count).sum::<u64>();
        let (refused, applied) = (sum(|it| it.chunks_refused), sum(|it| it.chunks_applied));
        let all = refused.saturating_add(applied);
        (refused > all / 2).then_some(DivergenceSign::MostlyRefused { refused, all })
    }

    pub(in crate::master) fn evaluated(&mut self, now: Duration) {
        self.evaluated = Some(now);
    }
}
