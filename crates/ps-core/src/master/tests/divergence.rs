//! Runs whose loss is not a number.

use super::super::*;
use super::harness::*;
use crate::learning::{DivergenceAction, LearningStatus, Losses};

/// One worker's job whose loss is not a number from its second pass on, up to its end.
fn without_finite_losses(action: DivergenceAction) -> Job {
    let mut config = config(1, 1, 20);
    config.settings.divergence = action;
    let (mut job, workers) = Job::new(config).start(1, 1);
    let mut request =
        TaskRequest { caller: workers[0], number: 0, finished: None, evaluated: None };
    while job.finished.is_none() && job.reports.is_empty() {
        request.number += 1;
        let task = job.request(request.clone()).unwrap();
        (request.finished, request.evaluated) = (None, None);
        match task {
            Task::Train(task) => {
                let mut losses = Losses::default();
                (task.start..task.end).step_by(10).for_each(|_| {
                    losses.add(&Losses::of_step(if task.pass == 0 { 1.0 } else { f64::NAN }, 10));
                });
                request.finished =
                    Some(LeaseResult { lease: task.lease, samples: task.end - task.start, losses });
            }
            Task::Evaluate(task) => request.evaluated = Some(measured(task)),
            Task::Wait(_) => (),
        }
    }
    let everybody = [job.servers(1)[0], workers[0]];
    everybody.iter().for_each(|member| drop(job.beat(*member)));
    job
}

#[test]
fn divergence_ends_the_job_with_advice() {
    let job = without_finite_losses(DivergenceAction::Stop);
    let (code, reason) = job.finished.unwrap();
    let reason = reason.unwrap();
    assert_eq!((code, job.saves), (1, 1));
    assert!(reason.contains("50 steps") && reason.contains("--lr"), "{reason}");
    let report = &job.reports[0];
    assert_eq!(report.learning, LearningStatus::Diverged);
    assert!(report.passes.len() < 10, "{} passes", report.passes.len());
}

#[test]
fn divergence_is_only_said_where_that_is_wanted() {
    let said = |job: &Job| job.logs.iter().filter(|line| line.contains("infinite")).count();
    let job = without_finite_losses(DivergenceAction::Warn);
    assert_eq!((job.finished.clone(), job.reports[0].passes.len()), (Some((0, None)), 20));
    // One sign of a pass, one of fifty steps: neither comes again while it lasts.
    assert_eq!(said(&job), 2, "{:?}", job.logs);
    let job = without_finite_losses(DivergenceAction::Off);
    assert_eq!((job.finished.clone(), job.reports[0].passes.len()), (Some((0, None)), 20));
    assert_eq!(said(&job), 0, "{:?}", job.logs);
}
