//! What a life of a job that keeps the best finds of earlier ones.

use super::super::super::*;
use super::super::harness::*;
use super::{Evaluator, best, configured, run, started};
use crate::checkpoint::JobState;
use crate::ids::LIFE_DISTANCE;
use crate::keeping::Kept;
use crate::report::Report;

/// What a first life leaves in its checkpoint and its folder: the best was found in pass 2.
fn first_life(losses: &[f64]) -> (JobState, Option<Kept>) {
    let (mut job, worker, mut evaluator) = started(configured(9, best(Some(3))), losses);
    let mut finished = None;
    for number in 1.. {
        if let Ok(Task::Train(task)) = job.ask(worker, number, finished.take()) {
            finished = Some(done(&task));
        }
        while evaluator.work(&mut job) {}
        if job.machine.leases.samples_done() >= 350 {
            break;
        }
    }
    (job.checkpoints.last().unwrap().state.clone(), job.kept_file)
}

/// The job again, from its last checkpoint, with what is kept.
fn second_life(state: &JobState, kept_file: Option<Kept>, losses: &[f64]) -> (Job, Report) {
    let config = configured(9, best(Some(3)));
    let mut job = Job::of_life(state.highest + LIFE_DISTANCE, config);
    job.kept_file = kept_file;
    job.machine.start_after(CheckpointHistory { has_any: true, next_number: 8 });
    job.join(Role::Server, 0, Some(0)).unwrap();
    let mut evaluator = Evaluator::join(&mut job, losses);
    let worker = job.join(Role::Worker, 100, None).unwrap();
    let restored = RestoredCheckpoint {
        number: 7,
        state: state.clone(),
        chunk_elements: 64,
        older: Vec::new(),
    };
    let epoch = job.restores.last().unwrap().epoch;
    job.machine.restored(epoch, Ok(Box::new(restored)), job.now);
    job.obey();
    assert!(job.beat(worker).unwrap().shard_map.is_some());
    let report = run(&mut job, worker, &mut evaluator);
    (job, report)
}

#[test]
fn the_best_of_an_earlier_life_is_taken_up() {
    let (state, kept) = first_life(&[0.5, 0.3, 0.4]);
    assert_eq!(kept.as_ref().unwrap().pass, 2);
    let (job, report) = second_life(&state, kept.clone(), &[0.6]);
    assert_eq!(report.kept, kept, "{:?}", job.logs);
    assert!(job.logs.iter().any(|line| line.starts_with("the best weights so far are there")));
    assert!(report.early_stop.is_some(), "what was counted before counts");
    assert!(report.passes.len() < 9);
}

#[test]
fn the_best_of_another_job_is_not() {
    let (state, kept) = first_life(&[0.5, 0.3, 0.4]);
    let stale = kept.map(|kept| Kept { job: kept.job + 1, value: 0.001, ..kept });
    let (job, report) = second_life(&state, stale, &[0.6, 0.7]);
    assert_eq!(report.kept.unwrap().value, 0.6);
    assert!(job.logs.iter().any(|line| line.contains("cannot be taken up: they are not there")));
}

/// The evaluation after the last checkpoint found something better.
#[test]
fn what_the_folder_has_newer_than_the_checkpoint_is_taken_up() {
    let (state, kept) = first_life(&[0.5, 0.3, 0.4]);
    let newer = kept.map(|kept| Kept { pass: 4, value: 0.1, digest: 999, ..kept });
    let (_, report) = second_life(&state, newer.clone(), &[0.6]);
    assert_eq!(report.kept, newer);
}
