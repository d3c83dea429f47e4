//! Jobs that end before they are done, and who comes when they are over.

use super::super::*;
use super::ending::almost_done;
use super::harness::*;

/// Found by a breaker: a server that was killed when the model was written, and came back from its journal, was refused, and its
/// part of the weights was said to be lost.
#[test]
fn regression_a_server_that_comes_back_when_the_job_is_over_may_leave() {
    let (mut job, workers) = almost_done();
    let everybody: Vec<_> = job.servers(1).into_iter().chain(workers.clone()).collect();
    job.machine.signal(130, job.now);
    job.obey();
    job.pass_time(4, &everybody);
    while job.machine.lifecycle.outcome().is_none() {
        job.pass_time(1, &workers[..1]);
    }
    let life = job.machine.registry.life();
    let back = registration(Role::Server, 999, Some(0));
    let stranger = Registration { life, ..back.clone() };
    assert!(matches!(job.register(stranger), Err(Rejection::JobOver { .. })));
    let back = Registration { life, holds_weights: true, recovered: true, ..back };
    let epoch = job.machine.membership.epoch();
    let server = job.register(back).unwrap();
    let leave = job.beat(server).unwrap().leave.unwrap();
    assert_eq!((leave.exit_code, leave.goes_on), (130, false));
    assert_eq!(job.machine.membership.epoch(), epoch, "nobody is told of it");
}

/// A job with journals that is told to end can go on; one that has checkpoints has its last one, and one that is done is done.
#[test]
fn a_job_that_is_cut_short_goes_on_where_its_state_is_kept() {
    for (keeps_state, checkpoints, goes_on) in
        [(true, false, true), (true, true, false), (false, false, false)]
    {
        let config = Config { keeps_state, checkpoints, ..config(1, 1, 2) };
        let (mut job, workers) = Job::of_life(1, config).start(1, 1);
        let everybody: Vec<_> = job.servers(1).into_iter().chain(workers.clone()).collect();
        let task = job.lease(workers[0], 1);
        job.ask(workers[0], 2, Some(done(&task))).unwrap();
        assert!(!job.machine.goes_on_later());
        let second = job.lease(workers[0], 3);
        job.machine.signal(143, job.now);
        job.obey();
        assert!(!job.machine.ends_undone(), "the last lease is to be in it");
        job.ask(workers[0], 4, Some(done(&second))).unwrap();
        job.pass_time(20, &everybody);
        assert_eq!(job.machine.ends_undone(), keeps_state);
        assert_eq!(job.machine.goes_on_later(), goes_on);
        assert_eq!(job.finished, Some((143, None)));
    }
    let (mut job, workers) =
        Job::of_life(1, Config { keeps_state: true, ..config(1, 1, 1) }).start(1, 1);
    job.work(&workers, 1);
    assert!(!job.machine.goes_on_later());
}

/// Found by a breaker: a job that went on after Ctrl-C waited for the workers that had left, called them lost, and its clock of training
/// stood still.
#[test]
fn regression_a_job_that_goes_on_after_its_end_trains_on_and_has_lost_nobody() {
    let config = Config { keeps_state: true, ..config(1, 1, 2) };
    let (mut job, workers) = Job::of_life(1, config).start(1, 1);
    let _ = job.lease(workers[0], 1);
    job.machine.signal(143, job.now);
    job.shards_answer = false;
    job.obey();
    job.ask(workers[0], 2, None).unwrap();
    job.pass_time(1, &workers);
    assert!(
        !job.machine.ends_undone() && job.machine.lifecycle.is_over(),
        "as it is written down last"
    );
    job.machine.take_back_end();
    job.machine.come_back(|_| true, Duration::ZERO, job.now);
    job.obey();
    let seconds = |job: &Job| job.machine.record.seconds(job.now);
    let before = seconds(&job);
    job.now += Duration::from_secs(5);
    assert!((seconds(&job) - before - 5.0).abs() < 1e-9);
    let rank = job.join(Role::Worker, 200, None).unwrap().member;
    assert_eq!(rank, workers[0].member, "its place is free at once");
    assert!(!job.logs.iter().any(|line| line.contains("is lost")), "{:?}", job.logs);
}
