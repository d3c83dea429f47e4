//! The barrier, the commit, signals.

use super::super::*;
use super::harness::*;
use crate::report::WorkerCounters;

/// One worker has finished all it can, the other holds the last lease and stays silent on it.
pub(super) fn almost_done() -> (Job, Vec<Caller>) {
    let (mut job, workers) = Job::started(1, 2, 1);
    job.lease(workers[1], 1);
    let mut result = None;
    for number in 1..50 {
        match job.ask(workers[0], number, result).unwrap() {
            Task::Train(task) => result = Some(done(&task)),
            Task::Wait(_) | Task::Evaluate(_) => break,
        }
    }
    (job, workers)
}

#[test]
fn a_signal_saves_what_there_is_without_the_missing() {
    let (mut job, workers) = almost_done();
    let everybody: Vec<_> = job.servers(1).into_iter().chain(workers.clone()).collect();
    job.machine.signal(130, job.now);
    job.obey();
    assert!(job.beat(workers[1]).unwrap().stop);
    assert_eq!(job.saves, 0, "the barrier waits for the lease");
    job.pass_time(4, &everybody);
    assert_eq!(job.saves, 1);
    assert!(job.beat(workers[1]).is_err(), "it missed the barrier");
    let fenced = &job.memberships.last().unwrap().workers;
    assert!(fenced.iter().all(|worker| worker.incarnation == 2 && !worker.active));
    job.pass_time(4, &everybody);
    assert_eq!(job.finished, Some((130, None)));
    assert!(job.now < Duration::from_secs(9));
}

/// Found with a container that was killed: its psrun and its server were gone in one instant, and all that the others said was
/// that the model was not saved.
#[test]
fn regression_a_host_that_is_lost_is_the_cause_also_where_nothing_can_be_saved() {
    let (mut job, workers) = almost_done();
    let server = job.servers(1)[0];
    job.shards_answer = false;
    job.beat_with(server, |beat| (beat.leaving, beat.parent_gone) = (true, true)).unwrap();
    job.pass_time(15, &workers);
    let (code, reason) = job.finished.clone().unwrap();
    let reason = reason.unwrap();
    assert_eq!(code, 1);
    assert!(reason.starts_with("server shard 0") && reason.contains("is gone"), "{reason}");
    assert!(
        reason.ends_with("could not be saved within the time that a signal leaves"),
        "{reason}"
    );
}

/// A master that was paused while the model was measured found that it took too long.
#[test]
fn regression_a_master_that_was_away_in_the_last_evaluation_waits_for_it() {
    let (mut job, workers) = Job::started(1, 1, 1);
    let mut request =
        TaskRequest { caller: workers[0], number: 0, finished: None, evaluated: None };
    let mut is_final = false;
    while !is_final {
        request.number += 1;
        let task = job.request(request.clone()).unwrap();
        (request.finished, request.evaluated) = (None, None);
        match task {
            Task::Train(task) => request.finished = Some(done(&task)),
            Task::Evaluate(task) => {
                is_final = task.is_final;
                request.evaluated = Some(measured(task));
            }
            Task::Wait(_) => (),
        }
    }
    job.now += 2 * config(1, 1, 1).evaluation_timeout;
    job.machine.tick(job.now);
    job.obey();
    assert!(job.reports.is_empty(), "it was given up: {:?}", job.logs);
    request.number += 1;
    job.request(request).unwrap();
    assert!(job.reports[0].final_metrics.is_some());
}

#[test]
fn a_lease_that_is_given_up_after_a_signal_opens_the_barrier() {
    let (mut job, workers) = almost_done();
    job.machine.signal(143, job.now);
    assert!(matches!(job.ask(workers[1], 2, None), Ok(Task::Wait(_))));
    assert_eq!(job.saves, 1);
    let leave = job.beat(workers[1]).unwrap().leave.unwrap();
    assert_eq!(leave.exit_code, 143);
}

#[test]
fn the_code_is_that_of_the_signal_even_when_a_server_tells_of_it_first() {
    let (mut job, workers) = almost_done();
    let server = job.servers(1)[0];
    job.beat_with(server, |beat| beat.leaving = true).unwrap();
    job.machine.signal(130, job.now);
    job.ask(workers[1], 2, None).unwrap();
    let leave = job.beat(workers[1]).unwrap().leave.unwrap();
    assert_eq!(leave.exit_code, 130);
}

#[test]
fn nothing_is_saved_before_every_shard_is_fenced() {
    let (mut job, workers) = almost_done();
    job.shards_answer = false;
    job.machine.signal(143, job.now);
    job.ask(workers[1], 2, None).unwrap();
    assert_eq!(job.saves, 0);
    let revision = job.memberships.last().unwrap().revision;
    job.machine.membership_acknowledged(0, revision - 1, 0, job.now);
    job.obey();
    assert_eq!(job.saves, 0);
    job.machine.membership_acknowledged(0, revision, 0, job.now);
    job.obey();
    assert_eq!(job.saves, 1);
}

#[test]
fn a_signal_before_work_ends_at_once() {
    let mut job = Job::new(config(1, 1, 1));
    let server = job.join(Role::Server, 1, Some(0)).unwrap();
    job.machine.signal(130, job.now);
    job.obey();
    assert_eq!(job.beat(server).unwrap().leave.unwrap().exit_code, 130);
    assert_eq!(job.finished, Some((130, None)));
    assert_eq!(job.saves, 0);
}

#[test]
fn metrics_of_other_weights_are_measured_again_and_then_marked() {
    let (mut job, workers) = Job::started(1, 1, 1);
    let mut request =
        TaskRequest { caller: workers[0], number: 0, finished: None, evaluated: None };
    let mut finals = 0;
    while finals < 2 {
        request.number += 1;
        let task = job.request(request.clone()).unwrap();
        (request.finished, request.evaluated) = (None, None);
        match task {
            Task::Train(task) => request.finished = Some(done(&task)),
            Task::Evaluate(task) => {
                finals += u32::from(task.is_final);
                let other = EvaluationResult { weights_digest: 1, ..measured(task) };
                request.evaluated = Some(other);
            }
            Task::Wait(_) => (),
        }
    }
    request.number += 1;
    job.request(request).unwrap();
    assert!(!job.reports[0].final_metrics.as_ref().unwrap().weights_match);
    assert!(job.metrics.iter().any(|line| line.starts_with("final_test_accuracy=")));
}

#[test]
fn a_worker_that_alone_is_signalled_gives_its_lease_back_and_leaves() {
    let (mut job, workers) = almost_done();
    let leaving = |job: &mut Job| job.beat_with(workers[1], |beat| beat.leaving = true).unwrap();
    assert!(leaving(&mut job).stop);
    assert!(matches!(job.ask(workers[1], 2, None), Ok(Task::Wait(_))));
    assert_eq!(leaving(&mut job).leave, None, "the master may be signalled, too");
    let others: Vec<_> = job.servers(1).into_iter().chain([workers[0]]).collect();
    job.pass_time(2, &others);
    assert_eq!(leaving(&mut job).leave.unwrap().exit_code, 143);
    job.work(&others, 100);
    assert_eq!(job.finished, Some((0, None)));
    assert!(job.reports[0].lost.is_empty());
}

#[test]
fn a_server_that_is_signalled_ends_the_job_while_it_still_serves() {
    let (mut job, workers) = Job::started(1, 1, 1);
    let server = job.servers(1)[0];
    job.beat_with(server, |beat| beat.leaving = true).unwrap();
    assert_eq!(job.saves, 1);
    assert_eq!(job.beat(workers[0]).unwrap().leave.unwrap().exit_code, 143);
}

#[test]
fn a_model_that_cannot_be_written_fails_the_job() {
    let (mut job, workers) = almost_done();
    job.machine.signal(143, job.now);
    job.machine
        .next_task(
            TaskRequest { caller: workers[1], number: 2, finished: None, evaluated: None },
            job.now,
        )
        .unwrap();
    for action in job.machine.take_actions() {
        if let Action::SetMembership(membership) = action {
            job.machine.membership_acknowledged(0, membership.revision, 0, job.now);
        }
    }
    job.machine.model_written(Err("disk full".into()), job.now);
    let leave = job.beat(workers[0]).unwrap().leave.unwrap();
    assert_eq!((leave.exit_code, leave.reason.as_str()), (1, "disk full"));
}

/// Found by review: a host that was killed ended its job as if somebody had wished it, with 143.
#[test]
fn regression_a_host_that_is_killed_fails_the_job_and_what_there_is_is_saved() {
    let (mut job, workers) = Job::started(2, 1, 5);
    let task = job.lease(workers[0], 1);
    let servers = job.servers(2);
    let gone = |beat: &mut Heartbeat| (beat.leaving, beat.parent_gone) = (true, true);
    job.beat_with(servers[1], gone).unwrap();
    job.ask(workers[0], 2, Some(done(&task))).unwrap();
    assert_eq!(job.saves, 1);
    let everybody = [servers[0], servers[1], workers[0]];
    job.pass_time(3, &everybody);
    let (code, reason) = job.finished.unwrap();
    let reason = reason.unwrap();
    assert_eq!(code, 1);
    assert!(reason.contains("server shard 1 at host1:2223") && reason.contains("gone"), "{reason}");
}

/// It leaves a second later than the master must have saved: there is no time for a whole barrier.
#[test]
fn a_killed_hosts_server_is_read_while_it_still_serves() {
    let (mut job, workers) = Job::started(1, 1, 5);
    job.lease(workers[0], 1);
    let server = job.servers(1)[0];
    let gone = |beat: &mut Heartbeat| (beat.leaving, beat.parent_gone) = (true, true);
    job.beat_with(server, gone).unwrap();
    job.pass_time(3, &[server, workers[0]]);
    assert_eq!(job.saves, 0, "a worker still has its step to finish");
    job.pass_time(1, &[server, workers[0]]);
    assert_eq!(job.saves, 1);
}

#[test]
fn a_master_whose_psrun_is_gone_saves_and_fails() {
    let (mut job, workers) = almost_done();
    job.machine.parent_gone(job.now);
    job.ask(workers[1], 2, None).unwrap();
    assert_eq!(job.saves, 1);
    let everybody = [job.servers(1)[0], workers[0], workers[1]];
    job.pass_time(3, &everybody);
    let (code, reason) = job.finished.unwrap();
    assert!(code == 1 && reason.unwrap().contains("the master"), "{code}");
}

#[test]
fn more_time_to_stop_is_more_time_for_the_barrier() {
    let mut config = config(1, 1, 5);
    config.stop_times = crate::stop::StopTimes::of(Duration::from_secs(60));
    let (mut job, workers) = Job::new(config).start(1, 1);
    job.lease(workers[0], 1);
    job.machine.signal(143, job.now);
    let everybody = [job.servers(1)[0], workers[0]];
    job.pass_time(20, &everybody);
    assert_eq!(job.saves, 0);
    job.pass_time(4, &everybody);
    assert_eq!(job.saves, 1);
    // The model's size decides whether that is worth a try.
    assert_eq!(job.saves_within, [Some(Duration::from_millis(57_500 - 24_000))]);
}

/// Found by a newcomer: the master waited for the leases of workers that had ended, and saved what nobody had trained.
#[test]
fn regression_workers_that_have_ended_are_not_waited_for() {
    for steps in [0, 3] {
        let (mut job, workers) = Job::started(1, 2, 5);
        workers.iter().for_each(|worker| drop(job.lease(*worker, 1)));
        let counters = WorkerCounters { steps, ..WorkerCounters::default() };
        job.beat_with(workers[0], |beat| beat.counters = Some(counters)).unwrap();
        let before = job.now;
        job.machine.workers_ended(&[1], "worker 1 ended: boom".to_owned(), job.now);
        job.obey();
        // Of the second of them it hears a little later.
        job.machine.workers_ended(&[0], "worker 0 ended: boom".to_owned(), job.now);
        job.obey();
        assert_eq!(job.saves, usize::from(steps > 0), "what was trained, and nothing else");
        let server = job.servers(1)[0];
        let leave = job.beat(server).unwrap().leave.unwrap();
        assert_eq!((leave.exit_code, leave.reason.as_str()), (1, "worker 1 ended: boom"));
        job.machine.tick(job.now);
        job.obey();
        let reason = Some("worker 1 ended: boom".to_owned());
        assert_eq!((job.now, job.finished.clone()), (before, Some((1, reason))));
        assert!(!job.logs.iter().any(|line| line.contains("a signal")), "{:?}", job.logs);
    }
}

#[test]
fn a_job_that_ends_anyhow_does_not_speak_of_signals() {
    let (mut job, _) = Job::started(1, 1, 1);
    job.machine.others_failed("host b: its port is taken".to_owned(), job.now);
    job.machine.signal(143, job.now);
    job.obey();
    assert!(!job.logs.iter().any(|line| line.contains("a signal")), "{:?}", job.logs);
    assert_eq!(job.reports[0].outcome.exit_code, 1);
}

/// Found by a breaker: killed a moment after who had started it, a master that was started again ended the job for that.
#[test]
fn regression_a_master_that_comes_back_has_a_parent_again() {
    let (mut job, workers) = Job::started(1, 1, 1);
    job.ask(workers[0], 1, None).unwrap();
    job.machine.parent_gone(job.now);
    assert!(job.machine.lifecycle.is_over());
    job.machine.come_back(|_| false, Duration::ZERO, job.now);
    assert!(job.machine.lifecycle.is_training() && job.machine.lifecycle.stop_reason().is_none());
    // A wish to end stays one, until somebody starts the whole job again.
    job.machine.signal(143, job.now);
    job.machine.come_back(|_| false, Duration::ZERO, job.now);
    assert!(job.machine.lifecycle.is_over());
    job.machine.take_back_end();
    job.machine.come_back(|_| false, Duration::ZERO, job.now);
    assert!(job.machine.lifecycle.is_training() && job.machine.lifecycle.stop_reason().is_none());
}
