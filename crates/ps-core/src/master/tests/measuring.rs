//! The evaluation of the model that was written, and what it means for the end.

use super::super::*;
use super::harness::*;
use crate::keeping::{EvaluationSettings, Keep};
use crate::learning::{DivergenceAction, LearningStatus, Losses};
use crate::report::Report;

/// One worker's job of one pass up to the moment when its last evaluation is given out.
fn in_final_evaluation(
    mut job: Job,
    losses: impl Fn() -> Option<f64>,
) -> (Job, Caller, EvaluateTask) {
    let server = job.join(Role::Server, 0, Some(0)).unwrap();
    let worker = job.join(Role::Worker, 100, None).unwrap();
    job.beat(worker).unwrap();
    let (mut finished, mut evaluated) = (None, None);
    for number in 1..1000 {
        let request = TaskRequest {
            caller: worker,
            number,
            finished: finished.take(),
            evaluated: evaluated.take(),
        };
        match job.request(request).unwrap() {
            Task::Train(task) => {
                let mut result = done(&task);
                if let Some(loss) = losses() {
                    result.losses = Losses::of_step(loss, 10);
                }
                finished = Some(result);
            }
            Task::Evaluate(task) if task.is_final => return (job, worker, task),
            Task::Evaluate(task) => evaluated = Some(measured(task)),
            Task::Wait(_) => job.pass_time(1, &[server, worker]),
        }
    }
    panic!("no final evaluation: {:?}", job.machine.lifecycle.phase());
}

fn asked(job: &mut Job, worker: Caller, result: EvaluationResult) -> Report {
    let request =
        TaskRequest { caller: worker, number: 2000, finished: None, evaluated: Some(result) };
    job.request(request).unwrap();
    let everybody = [job.servers(1)[0], worker];
    job.pass_time(3, &everybody);
    job.reports[0].clone()
}

/// Found by breakers: the job said 0 to who had interrupted it, without any of its final measures.
#[test]
fn regression_a_signal_in_the_final_evaluation_is_what_the_job_ends_with() {
    for code in [130, 143] {
        let (mut job, worker, _) = in_final_evaluation(Job::new(config(1, 1, 1)), || None);
        assert_eq!(job.saves, 1);
        let everybody = [job.servers(1)[0], worker];
        // Who computes hears of the signal, too, and may be heard first.
        job.beat_with(worker, |beat| beat.leaving = true).unwrap();
        job.machine.tick(job.now + Duration::from_millis(500));
        job.obey();
        assert!(job.reports.is_empty(), "the master may be signalled, too");
        job.machine.signal(code, job.now);
        job.pass_time(8, &everybody);
        assert_eq!(job.finished, Some((code, None)));
        assert!(job.reports[0].final_metrics.is_none());
        assert_eq!(job.reports[0].outcome.exit_code, code);
    }
}

#[test]
fn who_is_interrupted_and_measures_in_time_exits_0() {
    let (mut job, worker, task) = in_final_evaluation(Job::new(config(1, 1, 1)), || None);
    job.machine.signal(143, job.now);
    let report = asked(&mut job, worker, measured(task));
    assert_eq!(job.finished, Some((0, None)));
    assert!(report.final_metrics.is_some());
}

#[test]
fn regression_a_signal_while_the_model_is_written_is_what_the_job_ends_with() {
    let (mut job, workers) = Job::started(1, 1, 1);
    job.writes_model = false;
    let mut finished = None;
    for number in 1.. {
        match job.ask(workers[0], number, finished.take()).unwrap() {
            Task::Train(task) => finished = Some(done(&task)),
            _ => break,
        }
    }
    assert_eq!(job.saves, 1);
    job.machine.signal(143, job.now);
    job.machine
        .model_written(Ok(ModelWritten { digest: DIGEST, ..ModelWritten::default() }), job.now);
    job.obey();
    let everybody = [job.servers(1)[0], workers[0]];
    job.pass_time(3, &everybody);
    assert_eq!(job.finished, Some((143, None)));
}

#[test]
fn a_parent_that_is_gone_in_the_final_evaluation_is_the_reason() {
    let (mut job, worker, _) = in_final_evaluation(Job::new(config(1, 1, 1)), || None);
    job.machine.parent_gone(job.now);
    let everybody = [job.servers(1)[0], worker];
    job.pass_time(8, &everybody);
    let (code, reason) = job.finished.unwrap();
    assert_eq!(code, 1);
    assert!(reason.unwrap().contains("is gone"));
}

#[test]
fn who_alone_is_told_to_end_does_not_hold_the_job() {
    let (mut job, worker, _) = in_final_evaluation(Job::new(config(1, 1, 1)), || None);
    job.beat_with(worker, |beat| beat.leaving = true).unwrap();
    let everybody = [job.servers(1)[0], worker];
    job.pass_time(3, &everybody);
    assert_eq!(job.finished, Some((0, None)));
    assert!(job.logs.iter().any(|line| line.contains("nobody is left to do it")), "{:?}", job.logs);
}

fn with_divergence(action: DivergenceAction) -> Job {
    let mut config = config(1, 1, 1);
    config.settings.divergence = action;
    Job::new(config)
}

/// Found by breakers: jobs of less than fifty steps ended with 0 and a loss that is no number.
#[test]
fn regression_a_model_without_a_finite_loss_fails_its_job() {
    for (action, code) in
        [(DivergenceAction::Stop, 1), (DivergenceAction::Warn, 0), (DivergenceAction::Off, 0)]
    {
        let (mut job, worker, task) = in_final_evaluation(with_divergence(action), || None);
        let mut result = measured(task);
        result.test.as_mut().unwrap().loss = f64::NAN;
        let report = asked(&mut job, worker, result);
        let (found, reason) = job.finished.clone().unwrap();
        assert_eq!((found, job.saves), (code, 1), "{action}: the model is there");
        let words = "the test loss of the model that was written is NaN or infinite";
        assert_eq!(reason.is_some_and(|reason| reason.starts_with(words)), code == 1);
        let said = job.logs.iter().any(|line| line.starts_with(words));
        assert_eq!(said, action != DivergenceAction::Off, "{:?}", job.logs);
        assert_eq!(report.learning == LearningStatus::Diverged, code == 1);
    }
}

#[test]
fn regression_a_run_that_nobody_measures_fails_by_its_last_steps() {
    for (loss, code) in [(f64::NAN, 1), (f64::INFINITY, 1), (0.5, 0)] {
        let (mut job, worker, task) =
            in_final_evaluation(with_divergence(DivergenceAction::Stop), || Some(loss));
        let mut result = measured(task);
        result.test.as_mut().unwrap().samples = 0;
        asked(&mut job, worker, result);
        let (found, reason) = job.finished.clone().unwrap();
        assert_eq!(found, code, "{reason:?}");
        let is_said =
            reason.is_some_and(|it| it.contains("training ended with a NaN or infinite loss"));
        assert_eq!(is_said, code == 1);
    }
}

/// Found by breakers: `--keep best` said nothing when there was no best.
#[test]
fn regression_nothing_that_could_be_kept_is_said() {
    let mut config = config(1, 1, 1);
    config.settings.evaluation =
        EvaluationSettings { keep: Keep::Best, ..EvaluationSettings::default() };
    let mut job = Job::new(config);
    let evaluator = registration(Role::Evaluator, 300, None);
    let evaluator = job.register(Registration { keeps_best: true, ..evaluator }).unwrap();
    let server = job.join(Role::Server, 0, Some(0)).unwrap();
    let worker = job.join(Role::Worker, 100, None).unwrap();
    job.beat(worker).unwrap();
    let (mut finished, mut evaluated) = (None, None);
    for number in 1..1000 {
        if let Ok(Task::Train(task)) = job.ask(worker, number, finished.take()) {
            finished = Some(done(&task));
        }
        let request = TaskRequest { caller: evaluator, number, finished: None, evaluated };
        evaluated = match job.request(request) {
            Ok(Task::Evaluate(task)) => {
                let mut result = measured(task);
                result.test.as_mut().unwrap().loss = f64::NAN;
                Some(result)
            }
            _ => None,
        };
        job.pass_time(1, &[server, worker, evaluator]);
        if job.machine.is_finished() {
            break;
        }
    }
    let line = job.logs.iter().find(|line| line.starts_with("--keep best: nothing could be kept"));
    let line = line.unwrap_or_else(|| panic!("{:?}", job.logs));
    assert!(line.contains("evaluations had a finite loss"), "{line}");
    assert_eq!(job.finished.unwrap().0, 1);
}
