//! The evaluation of the model that was written, and what it means for the end.

use super::super::*;
use super::harness::*;
use crate::data_description::{DataDescription, DataKind};
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

/// A job of one pass over a stream, whose only worker is done; an evaluator has been heard of.
fn streamed_and_done() -> (Job, Caller) {
    let mut job = Job::new(config(1, 1, 1));
    job.join(Role::Server, 0, Some(0)).unwrap();
    let stream = DataDescription {
        kind: DataKind::Streamed,
        samples: 0,
        outputs: 10,
        ..DataDescription::replicated(0)
    };
    let registration = Registration { data: stream, ..registration(Role::Worker, 100, None) };
    let worker = job.register(registration).unwrap();
    job.beat(worker).unwrap();
    let task = job.lease(worker, 1);
    job.machine.loading("vm (pid 7)", true, job.now);
    job.ask(worker, 2, Some(LeaseResult { samples: 70, ..done(&task) })).unwrap();
    (job, worker)
}

/// Found by newcomers: of a stream only the evaluator has test data, and a job that was done sooner than it had read them
/// was measured by a worker, on nothing.
#[test]
fn regression_an_evaluator_that_still_loads_its_data_is_waited_for() {
    let (mut job, worker) = streamed_and_done();
    assert_eq!(job.saves, 1);
    assert_eq!(job.machine.snapshot().phase, "waiting for the evaluator to load its data");
    let said = "the evaluator at vm (pid 7) has not loaded its data yet: the final evaluation waits for it";
    assert!(job.logs.iter().any(|line| line == said), "{:?}", job.logs);
    let everybody = [job.servers(1)[0], worker];
    for number in 3..403 {
        job.machine.loading("vm (pid 7)", true, job.now);
        assert!(matches!(job.ask(worker, number, None), Ok(Task::Wait(_))));
        job.pass_time(2, &everybody);
    }
    assert!(job.reports.is_empty(), "longer than an evaluation may take: {:?}", job.logs);
    let test = DataDescription { outputs: 10, ..DataDescription::default() };
    let evaluator = Registration { data: test, ..registration(Role::Evaluator, 7, None) };
    let evaluator = job.register(evaluator).unwrap();
    // It has not asked yet, and nobody else has what to measure on.
    assert!(matches!(job.ask(worker, 500, None), Ok(Task::Wait(_))));
    let Ok(Task::Evaluate(task)) = job.ask(evaluator, 1, None) else { panic!() };
    let evaluated = Some(measured(task));
    let request = TaskRequest { caller: evaluator, number: 2, finished: None, evaluated };
    job.request(request).unwrap();
    assert!(job.reports[0].final_metrics.is_some());
}

#[test]
fn an_evaluator_that_loads_no_more_is_not_waited_for() {
    let gone: [fn(&mut Job); 2] = [
        |job| job.machine.members_ended(&[MemberId::EVALUATOR], "was killed by signal 9", job.now),
        |job| job.now += Duration::from_secs(11),
    ];
    for gone in gone {
        let (mut job, worker) = streamed_and_done();
        gone(&mut job);
        job.obey();
        let task = job.ask(worker, 3, None);
        assert!(matches!(task, Ok(Task::Evaluate(_))), "{task:?}");
    }
}

#[test]
fn who_has_the_same_data_measures_instead_of_a_late_evaluator() {
    let mut job = Job::new(config(1, 1, 1));
    job.machine.loading("vm (pid 7)", true, job.now);
    let (job, ..) = in_final_evaluation(job, || None);
    assert!(job.logs.iter().any(|line| line.ends_with("yet: a worker measures the model")));
}
