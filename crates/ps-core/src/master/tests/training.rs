//! Leases, activity, members that are lost in the middle.

use super::super::*;
use super::harness::*;

#[test]
fn a_job_runs_to_its_end() {
    let (mut job, workers) = Job::started(2, 2, 3);
    let evaluator = job.join(Role::Evaluator, 300, None).unwrap();
    let all: Vec<_> = job.servers(2).into_iter().chain(workers).chain([evaluator]).collect();
    job.work(&all, 0);
    assert_eq!(job.finished, Some((0, None)));
    assert_eq!(job.saves, 1);
    assert!(job.metrics.iter().any(|line| {
        line == "pass=3; test_accuracy=0.9771; test_loss=0.0812; train_loss=0.6667; test_auc=0.5000;"
    }));
    let last: Vec<_> = job.metrics.iter().rev().take(3).rev().cloned().collect();
    let expected =
        ["final_test_accuracy=0.9771;", "final_test_loss=0.0812;", "final_test_auc=0.5000;"];
    assert_eq!(last, expected);
    let report = &job.reports[0];
    assert_eq!(report.passes.len(), 3);
    assert_eq!(report.learning, crate::learning::LearningStatus::Learned);
    assert!(report.final_metrics.as_ref().unwrap().weights_match);
}

#[test]
fn without_an_evaluator_the_lowest_ranked_worker_measures() {
    let (mut job, workers) = Job::started(1, 2, 2);
    let all: Vec<_> = job.servers(1).into_iter().chain(workers).collect();
    job.work(&all, 0);
    assert_eq!(job.finished, Some((0, None)));
    assert_eq!(job.metrics.iter().filter(|line| line.starts_with("pass=")).count(), 2);
}

#[test]
fn asking_again_with_the_same_number_changes_nothing() {
    let (mut job, workers) = Job::started(1, 1, 1);
    let task = job.lease(workers[0], 1);
    assert_eq!(job.lease(workers[0], 1), task);
    let result = Some(done(&task));
    let next = job.ask(workers[0], 2, result).unwrap();
    assert_eq!(job.ask(workers[0], 2, result).unwrap(), next);
    assert_eq!(job.beat(workers[0]).unwrap().progress.samples_done, task.end - task.start);
    // An echo of an older request neither counts nor takes.
    assert!(matches!(job.ask(workers[0], 1, result), Ok(Task::Wait(_))));
    assert_eq!(job.ask(workers[0], 2, result).unwrap(), next);
}

#[test]
fn a_lease_that_is_not_reported_is_given_to_others() {
    let (mut job, workers) = Job::started(1, 2, 1);
    let task = job.lease(workers[0], 1);
    assert!(matches!(job.ask(workers[0], 2, None), Ok(Task::Train(_))));
    let _ = job.lease(workers[1], 1);
    assert_eq!(job.beat(workers[0]).unwrap().progress.samples_done, 0);
    assert_eq!(task.start, 0);
}

#[test]
fn an_expired_workers_lease_is_done_by_another() {
    let (mut job, workers) = Job::started(1, 2, 1);
    let lost = job.lease(workers[1], 1);
    let others: Vec<_> = job.servers(1).into_iter().chain([workers[0]]).collect();
    job.pass_time(11, &others);
    let again = job.lease(workers[0], 1);
    assert_eq!((again.start, again.end), (lost.start, lost.end));
    assert!(job.ask(workers[1], 2, Some(done(&lost))).is_err());
    let mut callers = others;
    callers.rotate_left(1);
    job.work(&callers, 1);
    let report = &job.reports[0];
    assert!(report.lost[0].member.contains("worker 1"), "{:?}", report.lost);
}

#[test]
fn membership_follows_who_holds_leases_and_joiners_start_with_the_others() {
    let (mut job, workers) = Job::started(1, 2, 50);
    let task = job.lease(workers[0], 1);
    let revisions = job.memberships.len();
    job.beat_with(workers[0], |beat| beat.clock = 40).unwrap();
    job.ask(workers[0], 2, Some(done(&task))).unwrap();
    assert_eq!(job.memberships.len(), revisions, "from lease to lease nothing changes");
    let task = job.lease(workers[1], 1);
    assert_eq!(task.start_clock, 40);
    let last = job.memberships.last().unwrap();
    assert_eq!(last.workers[1].start_clock, 40);
    assert!(last.workers.iter().all(|worker| worker.active));
    let revisions: Vec<_> = job.memberships.iter().map(|m| m.revision).collect();
    assert!(revisions.windows(2).all(|pair| pair[0] < pair[1]));
}

#[test]
fn members_are_looked_at_when_something_changed_and_not_at_every_heartbeat() {
    let (mut job, workers) = Job::started(1, 2, 50);
    job.lease(workers[0], 1);
    let everybody: Vec<_> = job.servers(1).into_iter().chain(workers.clone()).collect();
    let (rebuilds, published) = (job.machine.membership.rebuilds, job.memberships.len());
    for clock in 0..1000 {
        job.beat_with(workers[0], |beat| beat.clock = clock).unwrap();
    }
    job.pass_time(9, &everybody);
    assert_eq!(job.machine.membership.rebuilds, rebuilds);
    job.lease(workers[1], 1);
    assert_eq!(job.machine.membership.rebuilds, rebuilds + 1);
    assert_eq!(job.memberships.len(), published + 1);
}

#[test]
fn a_stuck_worker_is_expired_and_a_waiting_one_is_not() {
    let (mut job, workers) = Job::started(1, 2, 1);
    let servers = job.servers(1);
    job.lease(workers[0], 1);
    job.lease(workers[1], 1);
    for _ in 0..70 {
        job.beat_with(workers[0], |beat| beat.waiting = true).unwrap();
        job.pass_time(1, &servers);
        let _ = job.beat(workers[1]);
    }
    assert!(job.beat_with(workers[0], |beat| beat.waiting = true).is_ok());
    assert!(matches!(job.beat(workers[1]), Err(Rejection::Stale { .. })));
}

/// Found by review: heartbeats reach the master, but it does not reach the shard, at whose gate every
/// worker then waits, blamelessly and for ever.
#[test]
fn regression_a_shard_that_the_master_cannot_reach_fails_the_job() {
    let (mut job, workers) = Job::started(2, 1, 1);
    job.shards_answer = false;
    job.lease(workers[0], 1);
    let mut members = job.servers(2);
    members.push(workers[0]);
    for _ in 0..40 {
        let _ = job.beat_with(workers[0], |beat| beat.waiting = true);
        job.pass_time(1, &members);
    }
    let (code, reason) = job.finished.unwrap();
    let reason = reason.unwrap();
    assert_eq!(code, 1);
    assert!(reason.contains("shard 0") && reason.contains("--advertise"), "{reason}");
}

#[test]
fn losing_the_last_worker_fails_the_job_after_another_lease() {
    let (mut job, workers) = Job::started(1, 1, 1);
    job.lease(workers[0], 1);
    let servers = job.servers(1);
    job.pass_time(15, &servers);
    assert_eq!(job.finished, None);
    job.pass_time(10, &servers);
    let (code, reason) = job.finished.unwrap();
    let reason = reason.unwrap();
    assert_eq!(code, 1);
    assert!(reason.contains("worker 0") && reason.contains("host100:2223"), "{reason}");
}

#[test]
fn a_worker_that_returns_within_the_lease_saves_the_job() {
    let (mut job, workers) = Job::started(1, 1, 1);
    job.lease(workers[0], 1);
    let servers = job.servers(1);
    job.pass_time(15, &servers);
    let again = job.join(Role::Worker, 900, None).unwrap();
    let all: Vec<_> = servers.into_iter().chain([again]).collect();
    job.work(&all, 0);
    assert_eq!(job.finished, Some((0, None)));
}

#[test]
fn a_lost_server_fails_the_job_by_name() {
    let (mut job, workers) = Job::started(2, 1, 1);
    job.lease(workers[0], 1);
    let others = [job.servers(1)[0], workers[0]];
    job.pass_time(30, &others);
    let leave = job.beat(workers[0]).map(|word| word.leave);
    assert!(leave.is_err() || job.finished.is_some() || leave.unwrap().is_some());
    let reason = job.reports[0].outcome.reason.clone().unwrap();
    assert!(reason.contains("shard 1") && reason.contains("host1:2223"), "{reason}");
}

/// Found by review: a loaded master took the time in which calls waited for it for the members'
/// silence.
#[test]
fn regression_a_call_counts_from_its_arrival() {
    let (mut job, workers) = Job::started(1, 1, 1);
    let everybody = [job.servers(1)[0], workers[0]];
    let arrived = job.now + Duration::from_secs(3);
    job.pass_time(3, &[]);
    job.now += Duration::from_secs(4);
    job.machine.tick(job.now);
    // What arrived before is handled late, and is as old as it is.
    for caller in everybody {
        job.machine.heartbeat(heartbeat_of(caller), arrived).unwrap();
    }
    job.pass_time(5, &[]);
    assert!(job.logs.iter().all(|line| !line.contains("is lost")), "{:?}", job.logs);
    job.pass_time(1, &[]);
    assert!(job.logs.iter().any(|line| line.contains("is lost")), "{:?}", job.logs);
}

#[test]
fn a_master_that_was_away_expires_nobody() {
    let (mut job, workers) = Job::started(1, 1, 1);
    job.lease(workers[0], 1);
    job.now += Duration::from_secs(3600);
    job.machine.tick(job.now);
    job.obey();
    assert!(job.beat(workers[0]).is_ok());
}
