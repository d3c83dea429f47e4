//! Who may join, and what they are told.

use super::super::*;
use super::harness::*;
use crate::data_description::DataDescription;
use crate::ids::LIFE_DISTANCE;

#[test]
fn a_repeated_registration_gets_the_same_answer() {
    let mut job = Job::new(config(1, 2, 1));
    let first = job.join(Role::Worker, 1, None).unwrap();
    assert_eq!(job.join(Role::Worker, 1, None).unwrap(), first);
    assert_eq!(job.join(Role::Worker, 2, None).unwrap().member.index, 1);
}

#[test]
fn a_taken_place_is_refused_with_both_addresses() {
    let mut job = Job::new(config(2, 2, 1));
    job.join(Role::Server, 1, Some(1)).unwrap();
    let refusal = job.join(Role::Server, 2, Some(1)).unwrap_err().to_string();
    for part in ["shard 1", "host1:2223", "host2:2223"] {
        assert!(refusal.contains(part), "{refusal}");
    }
    job.join(Role::Worker, 5, Some(1)).unwrap();
    assert!(matches!(job.join(Role::Worker, 6, Some(1)), Err(Rejection::Taken { .. })));
    job.join(Role::Worker, 6, None).unwrap();
    let refusal = job.join(Role::Worker, 7, None).unwrap_err().to_string();
    assert!(refusal.contains("all 2") && refusal.contains("host5:2223"), "{refusal}");
}

#[test]
fn places_that_do_not_exist_and_other_data_are_refused() {
    let mut job = Job::new(config(2, 2, 1));
    assert!(matches!(job.join(Role::Server, 1, Some(2)), Err(Rejection::NoSuchMember { .. })));
    assert!(matches!(job.join(Role::Server, 1, None), Err(Rejection::NoIndex { .. })));
    assert!(matches!(job.join(Role::Worker, 1, Some(2)), Err(Rejection::NoSuchMember { .. })));
    job.join(Role::Worker, 1, None).unwrap();
    let other = Registration {
        data: DataDescription::replicated(99),
        ..registration(Role::Worker, 2, None)
    };
    let refusal = job.register(other).unwrap_err().to_string();
    assert!(refusal.contains("99") && refusal.contains("100"), "{refusal}");
    let none = Registration {
        data: DataDescription::replicated(0),
        ..registration(Role::Worker, 2, None)
    };
    assert!(matches!(job.register(none), Err(Rejection::NoSamples { .. })));
}

#[test]
fn a_life_is_above_all_that_servers_have_heard_of() {
    let mut job = Job::new(config(2, 1, 1));
    let early = job.join(Role::Worker, 9, None).unwrap();
    for shard in 0..2 {
        let seen = Registration {
            highest: 6 + u64::from(shard),
            ..registration(Role::Server, shard.into(), Some(shard))
        };
        job.register(seen).unwrap();
    }
    let life = 6 + LIFE_DISTANCE;
    assert!(matches!(job.beat(early), Err(Rejection::Stale { current, .. }) if current == life));
    let worker = job.join(Role::Worker, 9, None).unwrap();
    assert_eq!(worker.incarnation, life);
    let map = job.beat(worker).unwrap().shard_map.unwrap().map;
    assert_eq!(map.epoch, life);
    assert_eq!(map.addresses, vec!["host0:2223", "host1:2223"]);
}

#[test]
fn nobody_gets_the_map_or_a_lease_before_all_servers_are_there() {
    let mut job = Job::new(config(2, 1, 1));
    let worker = job.join(Role::Worker, 9, None).unwrap();
    job.join(Role::Server, 1, Some(0)).unwrap();
    assert_eq!(job.beat(worker).unwrap().shard_map, None);
    assert!(matches!(job.ask(worker, 1, None), Ok(Task::Wait(_))));
    job.join(Role::Server, 2, Some(1)).unwrap();
    assert!(job.beat(worker).unwrap().shard_map.is_some());
    job.lease(worker, 2);
}

#[test]
fn a_late_start_names_who_is_missing() {
    let mut job = Job::new(config(2, 1, 1));
    let server = job.join(Role::Server, 1, Some(0)).unwrap();
    job.pass_time(101, &[server]);
    let (code, reason) = job.finished.clone().unwrap();
    let reason = reason.unwrap();
    assert_eq!(code, 1);
    assert!(reason.contains("server shard 1") && reason.contains("any worker"), "{reason}");
}

#[test]
fn a_server_that_restarts_before_work_is_replaced_when_its_lease_is_over() {
    let mut job = Job::new(config(1, 1, 1));
    job.join(Role::Server, 1, Some(0)).unwrap();
    let again =
        Registration { address: "host1:2223".into(), ..registration(Role::Server, 2, Some(0)) };
    assert!(matches!(job.register(again.clone()), Err(Rejection::Taken { .. })));
    job.pass_time(11, &[]);
    let server = job.register(again).unwrap();
    assert_eq!(server.incarnation, 2);
    let worker = job.join(Role::Worker, 9, None).unwrap();
    assert_eq!(job.beat(worker).unwrap().shard_map.unwrap().map.epoch, 2);
}

#[test]
fn a_server_that_restarts_after_work_began_fails_the_job() {
    let (mut job, workers) = Job::started(2, 1, 1);
    // A stray process at another address does not harm.
    assert!(matches!(job.join(Role::Server, 50, Some(1)), Err(Rejection::Taken { .. })));
    let again =
        Registration { address: "host1:2223".into(), ..registration(Role::Server, 51, Some(1)) };
    assert!(matches!(job.register(again), Err(Rejection::JobOver { .. })));
    let leave = job.beat(workers[0]).unwrap().leave.unwrap();
    assert_eq!(leave.exit_code, 1);
    for part in ["shard 1", "host1:2223", "lost its weights"] {
        assert!(leave.reason.contains(part), "{}", leave.reason);
    }
}

#[test]
fn an_expired_member_is_refused_and_returns_with_a_higher_incarnation() {
    let (mut job, workers) = Job::started(1, 2, 1);
    let others: Vec<_> = job.servers(1).into_iter().chain([workers[0]]).collect();
    job.pass_time(11, &others);
    let refusal = job.beat(workers[1]).unwrap_err();
    assert!(matches!(refusal, Rejection::Stale { found: 1, current: 2, .. }));
    assert!(job.ask(workers[1], 1, None).is_err());
    let again = job.join(Role::Worker, 200, Some(1)).unwrap();
    assert_eq!((again.member.index, again.incarnation), (1, 2));
    let lost = &job.memberships.last().unwrap().workers[1];
    assert_eq!((lost.incarnation, lost.active), (2, false));
}

/// Modelled on kubeflow/trainer#1633: the chief has an evaluator, and the job one of its own.
#[test]
fn a_second_evaluator_stands_by_and_takes_over() {
    let (mut job, workers) = Job::started(1, 1, 3);
    let first = job.join(Role::Evaluator, 300, None).unwrap();
    let second = job.join(Role::Evaluator, 301, None).unwrap();
    assert_eq!([first, second].map(|it| it.member.to_string()), ["the evaluator", "evaluator 1"]);
    for evaluator in [first, second] {
        assert!(matches!(job.ask(evaluator, 1, None), Ok(Task::Wait(_))));
    }
    let mut result = None;
    for number in 1..=6 {
        if let Task::Train(task) = job.ask(workers[0], number, result).unwrap() {
            result = Some(done(&task));
        }
    }
    assert!(matches!(job.ask(second, 2, None), Ok(Task::Wait(_))), "one of them measures");
    assert!(matches!(job.ask(first, 2, None), Ok(Task::Evaluate(_))));
    let others = [job.servers(1)[0], workers[0], second];
    job.pass_time(11, &others);
    assert!(matches!(job.ask(second, 3, None), Ok(Task::Evaluate(_))), "the first is lost");
}

/// Found by review: data that take longer to read than a start may take failed the job.
#[test]
fn regression_who_loads_its_data_is_not_missing() {
    let mut job = Job::new(config(1, 1, 1));
    let server = job.join(Role::Server, 0, Some(0)).unwrap();
    for _ in 0..400 {
        job.machine.loading("b (pid 7)", false, job.now);
        job.pass_time(1, &[server]);
    }
    assert_eq!(job.finished, None);
    assert_eq!(job.logs.iter().filter(|line| line.contains("b (pid 7)")).count(), 1);
    // Then it is silent: it has failed, or will come.
    job.pass_time(98, &[server]);
    assert_eq!(job.reports.len(), 0);
    job.pass_time(2, &[server]);
    let reason = job.reports[0].outcome.reason.clone().unwrap();
    assert!(reason.contains("any worker"), "{reason}");
}

/// Found by review: hosts that came a moment later looked for a master that was gone, for minutes.
#[test]
fn regression_who_has_not_come_is_told_why_the_job_failed() {
    let mut job = Job::new(config(2, 1, 1));
    let server = job.join(Role::Server, 0, Some(0)).unwrap();
    job.machine.others_failed("host b: its port is taken".to_owned(), job.now);
    assert!(job.beat(server).unwrap().leave.is_some());
    job.obey();
    assert_eq!(job.finished, None, "shard 1 and the worker may be on their way");
    let refused = job.join(Role::Server, 1, Some(1)).unwrap_err();
    let is_told = matches!(&refused, Rejection::JobOver { reason } if reason.contains("host b"));
    assert!(is_told, "{refused:?}");
    job.pass_time(3, &[]);
    assert_eq!(job.finished.unwrap().0, 1);
}
