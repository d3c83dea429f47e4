//! Which weights are kept, and when training ends early.

mod lives;

use super::super::*;
use super::harness::*;
use crate::keeping::{EvaluationSettings, Keep};
use crate::report::Report;
use crate::scores::{EvaluationSet, Scores};

/// An evaluator that finds these losses on its validation set, one after the other, and the last of them
/// from then on.
struct Evaluator {
    caller: Caller,
    losses: Vec<f64>,
    number: u64,
    report: Option<EvaluationResult>,
    keep_error: Option<String>,
    finals: Vec<EvaluateTask>,
    settings: EvaluationSettings,
}

fn scores(loss: f64) -> Scores {
    Scores { loss, accuracy: Some(0.5), measures: Vec::new(), samples: 20 }
}

fn best(early_stop_after: Option<u64>) -> EvaluationSettings {
    EvaluationSettings { keep: Keep::Best, early_stop_after, ..EvaluationSettings::default() }
}

fn configured(passes: u64, evaluation: EvaluationSettings) -> Config {
    let mut config = Config { checkpoints: true, ..config(1, 1, passes) };
    config.settings.evaluation = evaluation;
    config
}

impl Evaluator {
    fn join(job: &mut Job, losses: &[f64]) -> Self {
        let registration = registration(Role::Evaluator, 300, None);
        let registration = Registration { keeps_best: true, ..registration };
        Self {
            caller: job.register(registration).unwrap(),
            losses: losses.iter().rev().copied().collect(),
            number: 0,
            report: None,
            keep_error: None,
            finals: Vec::new(),
            settings: job.machine.config.settings.evaluation.clone(),
        }
    }

    /// Asks, and does what it is told at once; whether it had something to do.
    fn work(&mut self, job: &mut Job) -> bool {
        self.number += 1;
        let (caller, number, evaluated) = (self.caller, self.number, self.report.take());
        let request = TaskRequest { caller, number, finished: None, evaluated };
        let Ok(Task::Evaluate(task)) = job.request(request) else {
            return false;
        };
        self.report = Some(self.measure(&task, job));
        true
    }

    fn measure(&mut self, task: &EvaluateTask, job: &mut Job) -> EvaluationResult {
        let mut result = measured(task.clone());
        if task.is_final {
            self.finals.push(task.clone());
            result.validation = Some(scores(0.25));
            if let Some(kept) = job.kept_file.as_ref().filter(|_| task.of_file) {
                result.weights_digest = kept.digest;
            }
            return result;
        }
        let loss = if self.losses.len() > 1 { self.losses.pop().unwrap() } else { self.losses[0] };
        let digest = task.number as u32 * 100;
        result.weights_digest = digest;
        (result.test, result.validation) = (None, Some(scores(loss)));
        let found = task.weights(digest).with_scores(
            &self.settings,
            EvaluationSet::Validation,
            result.validation.as_ref().unwrap(),
        );
        let better = found.ok().flatten().filter(|it| it.is_better_than(task.best.as_ref()));
        if self.settings.keeps_best() && better.is_some() {
            result.keep_error = self.keep_error.clone();
            result.is_kept = self.keep_error.is_none();
            if result.is_kept {
                job.kept_file = better;
            }
        }
        result
    }
}

/// Servers and a worker, and an evaluator with these losses.
fn started(config: Config, losses: &[f64]) -> (Job, Caller, Evaluator) {
    let mut job = Job::new(config);
    job.machine.start_after(CheckpointHistory { has_any: false, next_number: 1 });
    job.join(Role::Server, 0, Some(0)).unwrap();
    let evaluator = Evaluator::join(&mut job, losses);
    let worker = job.join(Role::Worker, 100, None).unwrap();
    assert!(job.beat(worker).unwrap().shard_map.is_some());
    (job, worker, evaluator)
}

/// Lease after lease, each evaluation done before the next lease, to the job's end.
fn run(job: &mut Job, worker: Caller, evaluator: &mut Evaluator) -> Report {
    let everybody = [job.servers(1)[0], worker, evaluator.caller];
    let mut finished = None;
    for number in 1..2000 {
        match job.ask(worker, number, finished.take()) {
            Ok(Task::Train(task)) => finished = Some(done(&task)),
            _ => job.pass_time(1, &everybody),
        }
        while evaluator.work(job) {}
        if let Some(report) = job.reports.first() {
            return report.clone();
        }
    }
    panic!("the job never ends: {:?}", job.machine.lifecycle.phase());
}

#[test]
fn the_best_is_written_and_measured_again() {
    let (mut job, worker, mut evaluator) =
        started(configured(4, best(None)), &[0.5, 0.3, 0.4, 0.6]);
    let report = run(&mut job, worker, &mut evaluator);
    let kept = report.kept.clone().unwrap();
    assert_eq!((kept.value, kept.pass, kept.measure.as_str()), (0.3, 2, "loss"));
    assert_eq!((kept.set, kept.digest), (EvaluationSet::Validation, 200));
    assert!(evaluator.finals.iter().all(|task| task.of_file) && evaluator.finals.len() == 1);
    let last = report.final_metrics.clone().unwrap();
    assert!(last.weights_match, "{last:?}");
    assert_eq!(last.validation.unwrap().loss, Some(0.25));
    assert_eq!(report.passes.len(), 4, "training went on to its end");
    let best: Vec<bool> = report.evaluations.iter().map(|it| it.is_best).collect();
    assert_eq!(best, [true, true, false, false]);
    assert_eq!(report.passes[1].validation.as_ref().unwrap().loss, Some(0.3));
    assert_eq!(report.passes[1].test_loss, None, "the test set waits for the end");
    let lines = job.metrics.join("\n");
    assert!(lines.contains("pass=2; validation_accuracy=0.5000; validation_loss=0.3000; train_"));
    assert!(
        lines.contains("final_validation_loss=0.2500;\nfinal_test_accuracy=0.9771;"),
        "{lines}"
    );
    assert!(report.summary().iter().any(|line| line.contains("validation_loss 0.3000")));
}

/// The last pass ends with the job: its weights are measured before one of them is written.
#[test]
fn the_last_weights_may_be_the_best() {
    let (mut job, worker, mut evaluator) = started(configured(2, best(None)), &[0.5, 0.1]);
    let report = run(&mut job, worker, &mut evaluator);
    let kept = report.kept.unwrap();
    assert_eq!((kept.value, kept.pass, kept.step), (0.1, 2, 20));
    assert_eq!(report.evaluations.len(), 2);
}

#[test]
fn an_evaluator_that_is_gone_does_not_hold_the_best() {
    let (mut job, worker, mut evaluator) = started(configured(2, best(None)), &[0.5]);
    let mut finished = None;
    let mut number = 0;
    while job.machine.leases.samples_done() < 200 {
        number += 1;
        if let Ok(Task::Train(task)) = job.ask(worker, number, finished.take()) {
            finished = Some(done(&task));
        }
        if job.machine.leases.samples_done() <= 100 {
            while evaluator.work(&mut job) {}
        }
    }
    let server = job.servers(1)[0];
    job.pass_time(20, &[server, worker]);
    assert_eq!(job.saves, 1);
    assert!(
        job.logs.iter().any(|line| line.contains("the last weights were not measured: nobody"))
    );
    let report = &job.reports[0];
    assert_eq!(report.kept.as_ref().unwrap().pass, 1);
    assert_eq!(report.outcome.exit_code, 0);
}

#[test]
fn a_signal_saves_the_best_so_far() {
    let (mut job, worker, mut evaluator) = started(configured(9, best(None)), &[0.3, 0.5]);
    let mut finished = None;
    for number in 1.. {
        if let Ok(Task::Train(task)) = job.ask(worker, number, finished.take()) {
            finished = Some(done(&task));
        }
        while evaluator.work(&mut job) {}
        if job.machine.leases.samples_done() >= 250 {
            break;
        }
    }
    job.machine.signal(143, job.now);
    job.obey();
    let everybody = [job.servers(1)[0], worker, evaluator.caller];
    job.pass_time(8, &everybody);
    assert_eq!(job.finished, Some((143, None)));
    assert_eq!(job.reports[0].kept.as_ref().unwrap().value, 0.3);
}

#[test]
fn training_ends_after_so_many_evaluations_without_an_improvement() {
    let stop = EvaluationSettings { early_stop_after: Some(2), ..EvaluationSettings::default() };
    for (evaluation, keeps_best) in [(stop, false), (best(Some(2)), true)] {
        let (mut job, worker, mut evaluator) =
            started(configured(50, evaluation), &[0.5, 0.3, 0.4, 0.3, 0.2]);
        let report = run(&mut job, worker, &mut evaluator);
        assert_eq!(report.outcome.exit_code, 0);
        assert_eq!(report.passes.len(), 4, "two better ones, two that are not");
        let why = report.early_stop.clone().unwrap();
        assert!(why.contains("2 evaluations in a row") && why.contains("0.3000"), "{why}");
        assert!(job.logs.iter().any(|line| line.starts_with("training ends early: ")));
        assert_eq!(report.kept.is_some(), keeps_best);
        assert!(report.final_metrics.unwrap().weights_match);
        let everybody = [job.servers(1)[0], worker, evaluator.caller];
        job.pass_time(2, &everybody);
        assert_eq!(job.finished, Some((0, None)));
    }
}

#[test]
fn evaluations_may_be_counted_in_steps() {
    let every = EvaluationSettings { every: Some(4), ..EvaluationSettings::default() };
    let (mut job, worker, mut evaluator) = started(configured(2, every), &[0.5]);
    let report = run(&mut job, worker, &mut evaluator);
    // A lease is two steps of ten samples, a pass ten steps; the last steps have the final evaluation.
    let steps: Vec<(u64, u64)> = report.evaluations.iter().map(|it| (it.step, it.pass)).collect();
    assert_eq!(steps, [(4, 1), (8, 1), (12, 2), (16, 2)]);
    assert!(job.metrics.iter().any(|line| line.starts_with("step=12; pass=2; validation_acc")));
    assert_eq!(report.evaluations_skipped, 0, "the one at step 20 has the last weights");
}

#[test]
fn what_nobody_came_to_measure_is_counted_once() {
    let (mut job, worker, mut evaluator) = started(configured(5, best(None)), &[0.5]);
    let mut finished = None;
    for number in 1..100 {
        match job.ask(worker, number, finished.take()) {
            Ok(Task::Train(task)) => finished = Some(done(&task)),
            _ => break,
        }
    }
    let report = run(&mut job, worker, &mut evaluator);
    assert_eq!(report.evaluations_skipped, 4);
    let lines = job.logs.iter().filter(|line| line.contains("skipped"));
    let lines: Vec<&String> = lines.collect();
    assert!(lines.len() == 1 && lines[0].starts_with("4 evaluations were skipped"), "{lines:?}");
}

#[test]
fn weights_that_could_not_be_written_are_not_the_best() {
    let (mut job, worker, mut evaluator) = started(configured(3, best(None)), &[0.5, 0.3, 0.2]);
    evaluator.keep_error = Some("no space left".to_owned());
    let report = run(&mut job, worker, &mut evaluator);
    assert_eq!(report.kept, None);
    assert!(job.logs.iter().any(|line| line.contains("could not be written: no space left")));
    assert!(report.final_metrics.unwrap().weights_match, "the last ones are written");
}

#[test]
fn weights_that_the_master_does_not_find_fail_the_job_at_once() {
    let (mut job, worker, mut evaluator) = started(configured(9, best(None)), &[0.5]);
    let mut finished = None;
    for number in 1..100 {
        if let Ok(Task::Train(task)) = job.ask(worker, number, finished.take()) {
            finished = Some(done(&task));
        }
        evaluator.work(&mut job);
        // It is on another machine.
        job.kept_file = None;
    }
    let report = &job.reports[0];
    let reason = report.outcome.reason.clone().unwrap();
    assert!(reason.contains("--keep-in") && reason.contains("host300"), "{reason}");
    assert!(report.passes.len() < 3);
}

#[test]
fn a_measure_that_is_not_there_fails_the_job_with_those_that_are() {
    let auc = EvaluationSettings { keep_measure: "auc".to_owned(), ..best(None) };
    let (mut job, worker, mut evaluator) = started(configured(9, auc), &[0.5]);
    let report = run(&mut job, worker, &mut evaluator);
    let reason = report.outcome.reason.unwrap();
    assert!(reason.contains("--keep-measure auc") && reason.contains("loss, accuracy"), "{reason}");
    assert_eq!(report.outcome.exit_code, 1);
}

#[test]
fn nothing_to_choose_by_fails_the_job_and_the_test_set_is_warned_of_once() {
    let stop = EvaluationSettings { early_stop_after: Some(1), ..EvaluationSettings::default() };
    for samples in [0, 50] {
        let (mut job, workers) = Job::new(configured(3, stop.clone())).start(1, 1);
        let mut request =
            TaskRequest { caller: workers[0], number: 0, finished: None, evaluated: None };
        while job.reports.is_empty() {
            request.number += 1;
            let task = job.request(request.clone());
            (request.finished, request.evaluated) = (None, None);
            match task {
                Ok(Task::Train(task)) => request.finished = Some(done(&task)),
                Ok(Task::Evaluate(task)) => {
                    let mut result = measured(task);
                    result.test.as_mut().unwrap().samples = samples;
                    request.evaluated = Some(result);
                }
                _ => job.pass_time(1, &[workers[0]]),
            }
        }
        let warned = job.logs.iter().filter(|line| line.contains("chosen by the test set"));
        assert_eq!(warned.count(), usize::from(samples > 0));
        let reason = job.reports[0].outcome.reason.clone().unwrap_or_default();
        assert_eq!(reason.contains("neither a validation set nor a test set"), samples == 0);
    }
}

/// Without somebody who can write them the best weights would be lost at the end of a long job.
#[test]
fn keeping_the_best_needs_an_evaluator_that_can() {
    let mut job = Job::new(configured(3, best(None)));
    job.join(Role::Server, 0, Some(0)).unwrap();
    let worker = job.join(Role::Worker, 100, None).unwrap();
    assert!(job.beat(worker).unwrap().shard_map.is_none(), "the start waits for the evaluator");
    let everybody = [job.servers(1)[0], worker];
    let mut late = job;
    late.pass_time(101, &everybody);
    let reason = late.reports[0].outcome.reason.clone().unwrap();
    assert!(reason.contains("needs an evaluator on the master's machine"), "{reason}");

    let mut job = Job::new(configured(3, best(None)));
    job.join(Role::Server, 0, Some(0)).unwrap();
    job.join(Role::Evaluator, 300, None).unwrap();
    job.join(Role::Worker, 100, None).unwrap();
    let reason = job.reports[0].outcome.reason.clone().unwrap();
    assert!(reason.contains("host300") && reason.contains("--keep-in DIR"), "{reason}");
}
