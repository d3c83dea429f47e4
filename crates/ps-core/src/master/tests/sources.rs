//! Jobs whose members have data of their own.

use super::super::*;
use super::harness::*;
use crate::data_description::{DataDescription, DataKind};
use crate::task::Task as ModelTask;

fn share(samples: u64) -> DataDescription {
    let (shape, outputs) = if samples == 0 { (Vec::new(), 0) } else { (vec![8, 8], 10) };
    DataDescription { kind: DataKind::Sharded, samples, shape, outputs, ..Default::default() }
}

fn whole(kind: DataKind) -> DataDescription {
    DataDescription { kind, ..DataDescription::default() }
}

fn with(role: Role, token: u64, data: DataDescription) -> Registration {
    Registration { data, ..registration(role, token, None) }
}

fn served(samples: u64) -> Registration {
    let data = DataDescription { served_at: Some("host7:2224".into()), ..share(samples) };
    with(Role::Evaluator, 7, data)
}

/// A job with one server, whose members are yet to come.
fn with_server(workers: u32, passes: u64) -> Job {
    let mut job = Job::new(config(1, workers, passes));
    job.join(Role::Server, 0, Some(0)).unwrap();
    job
}

/// A sharded job that has begun: its workers, then its evaluator.
fn sharded(shares: &[u64], of_evaluator: u64, passes: u64) -> (Job, Vec<Caller>) {
    let mut job = with_server(shares.len() as u32, passes);
    let mut members = Vec::new();
    for (token, samples) in (100..).zip(shares) {
        members.push(job.register(with(Role::Worker, token, share(*samples))).unwrap());
        assert_eq!(job.beat(members[0]).unwrap().data, None);
    }
    members.push(job.register(served(of_evaluator)).unwrap());
    for member in &members {
        let word = job.beat(*member).unwrap();
        assert!(word.shard_map.is_some());
        let data = word.data.unwrap();
        let samples = shares.iter().sum::<u64>() + of_evaluator;
        assert_eq!((data.samples, data.shape, data.outputs), (samples, vec![8, 8], 10));
    }
    (job, members)
}

#[test]
fn a_sharded_job_starts_when_everybody_is_there_and_does_all_shares() {
    let (mut job, members) = sharded(&[40, 0, 100], 30, 2);
    let task = job.lease(members[0], 1);
    assert_eq!((task.source, task.source_samples, task.served_at), (1, 40, None));
    let task = job.lease(members[1], 1);
    assert_eq!((task.source, task.source_samples), (0, 30));
    assert_eq!(task.served_at.as_deref(), Some("host7:2224"));
    let all: Vec<_> = job.servers(1).into_iter().chain(members).collect();
    job.work(&all, 1);
    assert_eq!(job.finished, Some((0, None)));
    let report = &job.reports[0];
    assert_eq!((report.train_samples, report.samples_skipped), (170, 0));
    assert_eq!(report.passes.len(), 2);
}

#[test]
fn what_a_lost_worker_leaves_is_skipped_and_reported() {
    let (mut job, members) = sharded(&[40, 60], 0, 2);
    job.lease(members[1], 1);
    let others = [job.servers(1)[0], members[0], members[2]];
    job.pass_time(11, &others);
    job.work(&others, 0);
    assert_eq!(job.finished, Some((0, None)));
    let report = &job.reports[0];
    assert_eq!(report.samples_skipped, 120);
    assert_eq!(report.skipped[0].member, "worker 1");
    assert!(report.passes.iter().all(|pass| pass.samples_skipped == 60), "{:?}", report.passes);
    let summary = report.summary().join("\n");
    assert!(summary.contains("120 samples were skipped"), "{summary}");
}

#[test]
fn a_worker_that_comes_back_goes_on_and_gets_its_own_rank() {
    let (mut job, members) = sharded(&[40, 60], 0, 3);
    let lost = job.lease(members[1], 1);
    let others = [job.servers(1)[0], members[0], members[2]];
    job.pass_time(11, &others);
    let refused = job.register(with(Role::Worker, 900, share(61))).unwrap_err().to_string();
    assert!(refused.contains("61") && refused.contains("60"), "{refused}");
    let again = job.register(with(Role::Worker, 901, share(60))).unwrap();
    assert_eq!((again.member.index, again.incarnation), (1, 2));
    let task = job.lease(again, 1);
    assert_eq!((task.pass, task.start, task.source), (lost.pass, lost.start, 2));
    let all = [others[0], members[0], members[2], again];
    job.work(&all, 1);
    assert_eq!(job.reports[0].samples_skipped, 0);
}

#[test]
fn a_process_without_an_index_gets_the_place_whose_share_it_has() {
    let (mut job, members) = sharded(&[40, 60], 0, 3);
    job.lease(members[0], 1);
    let others = [job.servers(1)[0], members[2]];
    job.pass_time(11, &others);
    let second = job.register(with(Role::Worker, 901, share(60))).unwrap();
    assert_eq!(second.member.index, 1);
}

#[test]
fn without_the_missing_a_job_starts_at_the_deadline_and_says_so() {
    let mut job = with_server(3, 1);
    let worker = job.register(with(Role::Worker, 100, share(50))).unwrap();
    let all = [job.servers(1)[0], worker];
    job.pass_time(99, &all);
    assert_eq!(job.beat(worker).unwrap().shard_map, None);
    job.pass_time(3, &all);
    assert!(job.beat(worker).unwrap().shard_map.is_some());
    let warned = job.logs.iter().find(|line| line.contains("going on without")).unwrap();
    for missing in ["worker 1", "worker 2", "the evaluator"] {
        assert!(warned.contains(missing), "{warned}");
    }
    // One of them comes late, with classes that the model has; one with more is refused.
    let more = DataDescription { outputs: 11, ..share(20) };
    let refused = job.register(with(Role::Worker, 101, more)).unwrap_err().to_string();
    assert!(refused.contains("11") && refused.contains("--classes"), "{refused}");
    let late = job.register(with(Role::Worker, 102, share(20))).unwrap();
    job.work(&[all[0], worker, late], 0);
    assert_eq!(job.finished, Some((0, None)));
    assert_eq!(job.reports[0].train_samples, 70);
}

#[test]
fn data_that_do_not_go_together_are_refused_by_both_names() {
    let mut job = with_server(3, 1);
    job.register(with(Role::Worker, 100, share(50))).unwrap();
    let numbers = DataDescription { task: ModelTask::Regression, outputs: 1, ..share(5) };
    let other_shape = DataDescription { shape: vec![64], ..share(5) };
    let cases = [
        (with(Role::Worker, 101, other_shape), "[64]"),
        (with(Role::Worker, 101, numbers), "regression (1)"),
        (with(Role::Worker, 101, DataDescription::replicated(50)), "(replicated)"),
        (with(Role::Worker, 101, whole(DataKind::Streamed)), "(streamed)"),
        (with(Role::Evaluator, 7, share(3)), "--serve-samples"),
    ];
    for (registration, part) in cases {
        let is_alone = part.starts_with("--");
        let refused = job.register(registration).unwrap_err().to_string();
        assert!(refused.contains(part), "{refused}");
        assert!(is_alone || refused.contains("host100") && refused.contains("host101"));
    }
    // An evaluator without a share of its own has any kind, and so has one that serves it.
    assert!(job.register(with(Role::Evaluator, 7, DataDescription::default())).is_ok());
}

#[test]
fn shares_without_any_sample_fail_the_job() {
    let mut job = with_server(1, 1);
    job.register(with(Role::Worker, 100, share(0))).unwrap();
    let refused = job.register(served(0));
    let reason = job.reports[0].outcome.reason.clone().unwrap();
    assert!(refused.is_ok() && reason.contains("no member has training samples"), "{reason}");
}

#[test]
fn a_lost_evaluators_share_is_skipped_and_it_may_come_back() {
    let (mut job, members) = sharded(&[40], 40, 1);
    let served_lease = job.lease(members[0], 1);
    let others = [job.servers(1)[0], members[0]];
    job.pass_time(11, &others);
    let next = job.ask(members[0], 2, Some(done(&served_lease))).unwrap();
    let Task::Train(next) = next else { panic!("{next:?}") };
    assert_eq!(next.source, 1);
    let again = job.register(Registration { token: 8, ..served(40) }).unwrap();
    job.work(&[others[0], members[0], again], 2);
    assert_eq!(job.finished, Some((0, None)));
    assert_eq!(job.reports[0].samples_skipped, 0);
}

#[test]
fn samples_that_no_worker_can_reach_are_skipped() {
    let (mut job, members) = sharded(&[0], 40, 1);
    let all: Vec<_> = job.servers(1).into_iter().chain(members.clone()).collect();
    let mut number = 0;
    for _ in 0..60 {
        number += 1;
        // It asks again without a result: it did not reach the evaluator.
        let _ = job.ask(members[0], number, None);
        job.pass_time(1, &all);
    }
    assert!(job.logs.iter().any(|line| line.contains("no worker reaches")), "{:?}", job.logs);
    job.work(&all, number);
    assert_eq!(job.finished, Some((0, None)));
    assert_eq!(job.reports[0].skipped[0].member, "the evaluator");
    assert_eq!(job.reports[0].samples_skipped, 40);
}

#[test]
fn while_every_worker_is_away_the_job_waits_and_then_fails() {
    let (mut job, members) = sharded(&[40, 60], 0, 1);
    job.lease(members[0], 1);
    let others = [job.servers(1)[0], members[2]];
    job.pass_time(12, &others);
    assert_eq!(job.finished, None);
    job.pass_time(20, &others);
    let (code, reason) = job.finished.clone().unwrap();
    assert_eq!(code, 1);
    assert!(reason.unwrap().contains("no worker is left"));
    assert_eq!(job.reports[0].passes.len(), 0);
}

#[test]
fn a_stream_is_leased_pass_by_pass_and_counted_when_it_was_read() {
    let mut job = with_server(2, 2);
    let stream = || DataDescription { outputs: 10, ..whole(DataKind::Streamed) };
    let one = job.register(with(Role::Worker, 100, stream())).unwrap();
    assert_eq!(job.beat(one).unwrap().shard_map, None);
    let two = job.register(with(Role::Worker, 101, stream())).unwrap();
    assert!(job.beat(one).unwrap().shard_map.is_some());
    job.beat(two).unwrap();
    let task = job.lease(one, 1);
    assert!(task.whole && (task.start, task.end, task.progress.samples_total) == (0, 0, 4));
    let other = job.lease(two, 1);
    let result = |task: &TrainTask, samples| Some(LeaseResult { samples, ..done(task) });
    let Task::Train(task) = job.ask(one, 2, result(&task, 70)).unwrap() else { panic!() };
    assert_eq!((task.pass, task.progress.samples_done), (1, 1));
    let Task::Train(other) = job.ask(two, 2, result(&other, 30)).unwrap() else { panic!() };
    assert_eq!((other.progress.samples_done, other.progress.samples_total), (100, 200));
    job.ask(one, 3, result(&task, 70)).unwrap();
    job.ask(two, 3, result(&other, 30)).unwrap();
    job.work(&[job.servers(1)[0], one, two], 3);
    assert_eq!(job.finished, Some((0, None)));
    assert_eq!(job.reports[0].train_samples, 100);
}

#[test]
fn classes_that_streams_do_not_tell_are_waited_for() {
    let mut job = with_server(1, 2);
    let worker = job.register(with(Role::Worker, 100, whole(DataKind::Streamed))).unwrap();
    assert_eq!(job.beat(worker).unwrap().shard_map, None);
    let test = DataDescription { outputs: 10, ..DataDescription::default() };
    job.register(with(Role::Evaluator, 7, test)).unwrap();
    let reply = job.beat(worker).unwrap();
    assert_eq!(reply.data.map(|data| data.outputs), Some(10));
}

#[test]
fn a_program_is_one_lease_a_worker_without_evaluation_and_maybe_without_a_model() {
    for has_model in [true, false] {
        let mut job = with_server(2, 5);
        job.has_model = has_model;
        let join = |job: &mut Job, token| {
            job.register(with(Role::Worker, token, whole(DataKind::Program))).unwrap()
        };
        let workers = [join(&mut job, 100), join(&mut job, 101)];
        job.beat(workers[0]).unwrap();
        let tasks = workers.map(|worker| job.lease(worker, 1));
        // Its clock stands still as far as the master sees.
        job.pass_time(200, &[job.servers(1)[0], workers[0], workers[1]]);
        for (worker, task) in workers.iter().zip(&tasks) {
            let next = job.ask(*worker, 2, Some(done(task))).unwrap();
            assert!(task.whole && matches!(next, Task::Wait(_)));
        }
        job.work(&[job.servers(1)[0], workers[0], workers[1]], 2);
        assert_eq!(job.finished, Some((0, None)));
        assert_eq!(job.saves, 1);
        assert_eq!(job.logs.iter().any(|line| line.contains("no model")), !has_model);
        assert!(job.metrics.is_empty(), "{:?}", job.metrics);
    }
}

#[test]
fn a_job_goes_on_from_its_cursor_whoever_comes_first() {
    let (mut job, members) = sharded(&[40, 60], 0, 2);
    let task = job.lease(members[0], 1);
    let _ = job.lease(members[1], 1);
    job.ask(members[0], 2, Some(done(&task))).unwrap();
    let cursor = job.machine.cursor().unwrap();
    for is_before in [true, false] {
        let mut again = with_server(2, 2);
        if is_before {
            again.machine.resume(cursor.clone()).unwrap();
        }
        for (token, samples) in [(100, 40), (101, 60)] {
            again.register(with(Role::Worker, token, share(samples))).unwrap();
        }
        again.register(served(0)).unwrap();
        if !is_before {
            again.machine.resume(cursor.clone()).unwrap();
        }
        assert_eq!(again.machine.cursor(), Some(cursor.clone()));
        assert_eq!(again.machine.snapshot().samples_done, task.end - task.start);
    }
    let mut other = with_server(1, 2);
    other.machine.resume(cursor).unwrap();
    let _ = other.join(Role::Worker, 100, None);
    let reason = other.reports[0].outcome.reason.clone().unwrap();
    assert!(reason.contains("checkpoint"), "{reason}");
}
