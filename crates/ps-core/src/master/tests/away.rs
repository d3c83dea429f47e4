//! Servers that are silent, come back, or move.

use super::super::*;
use super::harness::*;

/// The workers, and the servers but shard 1's.
fn but_one(job: &Job, workers: &[Caller]) -> Vec<Caller> {
    job.servers(1).into_iter().chain(workers.iter().copied()).collect()
}

fn said(job: &Job, words: &str) -> usize {
    job.logs.iter().filter(|line| line.contains(words)).count()
}

fn reason(job: &Job) -> String {
    job.reports[0].outcome.reason.clone().unwrap()
}

/// The registration of shard 1's process, which holds weights of this life, from this address.
fn shard_1_at(job: &Job, address: &str) -> Registration {
    Registration {
        address: address.into(),
        life: job.machine.registry.life(),
        highest: job.memberships.last().map_or(0, Membership::highest),
        holds_weights: true,
        ..registration(Role::Server, 1, Some(1))
    }
}

#[test]
fn a_server_that_is_silent_is_away_and_comes_back() {
    let (mut job, workers) = Job::started(2, 1, 3);
    job.lease(workers[0], 1);
    let (others, server) = (but_one(&job, &workers), job.servers(2)[1]);
    let before = job.beat(workers[0]).unwrap().shard_map.unwrap();
    assert_eq!(before.away, []);
    let known = |job: &mut Job, revision| {
        job.beat_with(workers[0], |beat| beat.map_revision = revision).unwrap().shard_map
    };
    assert_eq!(known(&mut job, before.revision), None, "it knows the map");
    job.pass_time(12, &others);
    assert_eq!(said(&job, "server shard 1 at host1:2223 is away"), 1, "{:?}", job.logs);
    assert_eq!(job.machine.snapshot().away, [1]);
    let away = known(&mut job, before.revision).unwrap();
    let second = Duration::from_secs;
    let expected = AwayServer { shard: 1, silent: second(12), left: second(18) };
    assert_eq!((away.away, &away.map), (vec![expected], &before.map));
    assert_eq!(known(&mut job, away.revision), None);

    job.beat(server).unwrap();
    assert_eq!(said(&job, "server shard 1 is back after 12"), 1, "{:?}", job.logs);
    let back = known(&mut job, away.revision).unwrap();
    assert_eq!((back.away, &back.map), (vec![], &before.map));
    let all: Vec<_> = job.servers(2).into_iter().chain(workers).collect();
    job.work(&all, 1);
    assert_eq!(job.finished, Some((0, None)));
    assert!(job.reports[0].lost.is_empty());
}

#[test]
fn a_server_that_stays_away_fails_the_job() {
    let (mut job, workers) = Job::started(2, 1, 1);
    job.lease(workers[0], 1);
    let others = but_one(&job, &workers);
    job.pass_time(29, &others);
    assert!(job.reports.is_empty() && job.machine.snapshot().away == [1]);
    job.pass_time(1, &others);
    for part in ["server shard 1 at host1:2223", "silent for 30s", "weights are lost"] {
        assert!(reason(&job).contains(part), "{}", reason(&job));
    }
    assert_eq!(job.beat(workers[0]).unwrap().leave.unwrap().exit_code, 1);
}

#[test]
fn where_no_server_may_be_away_its_lease_is_all_it_has() {
    let config = Config { server_away: Duration::ZERO, ..config(2, 1, 1) };
    let (mut job, workers) = Job::new(config).start(2, 1);
    let others = but_one(&job, &workers);
    job.pass_time(9, &others);
    assert!(job.reports.is_empty());
    job.pass_time(1, &others);
    assert!(reason(&job).contains("silent for 10s"), "{}", reason(&job));
}

#[test]
fn a_server_that_moves_is_the_same_in_a_new_epoch() {
    let (mut job, workers) = Job::started(2, 1, 3);
    job.lease(workers[0], 1);
    let (others, server) = (but_one(&job, &workers), job.servers(2)[1]);
    let before = job.beat(workers[0]).unwrap().shard_map.unwrap();
    job.pass_time(12, &others);
    let registration = shard_1_at(&job, "elsewhere:7");
    assert_eq!(job.register(registration.clone()).unwrap(), server, "it is no other member");
    assert_eq!(said(&job, "moved from host1:2223 to elsewhere:7"), 1, "{:?}", job.logs);
    let after = job.beat(workers[0]).unwrap().shard_map.unwrap();
    assert_eq!(after.map.epoch, before.map.epoch + 1);
    assert_eq!(after.map.addresses, ["host0:2223", "elsewhere:7"]);
    assert!(after.away.is_empty() && after.revision > before.revision);
    assert_eq!(job.memberships.last().unwrap().shard_map, after.map, "the shards are told, too");
    // Who repeats it changes nothing.
    job.register(registration).unwrap();
    assert_eq!(job.beat(workers[0]).unwrap().shard_map.unwrap(), after);
    let all: Vec<_> = job.servers(2).into_iter().chain(workers).collect();
    job.work(&all, 1);
    assert_eq!(job.finished, Some((0, None)));
}

#[test]
fn another_process_in_the_place_of_one_that_is_away_ends_the_job_at_once() {
    let (mut job, workers) = Job::started(2, 1, 1);
    let others = but_one(&job, &workers);
    job.pass_time(9, &others);
    let stray = || registration(Role::Server, 50, Some(1));
    assert!(matches!(job.register(stray()), Err(Rejection::Taken { .. })), "it is not away yet");
    job.pass_time(2, &others);
    assert!(matches!(job.register(stray()), Err(Rejection::JobOver { .. })));
    for part in ["shard 1", "host1:2223", "host50:2223", "weights are lost"] {
        assert!(reason(&job).contains(part), "{}", reason(&job));
    }
}

#[test]
fn who_waits_for_a_server_that_is_away_is_not_stuck() {
    let away = Duration::from_secs(120);
    let config =
        Config { server_away: away, step_timeout: Duration::from_secs(20), ..config(2, 1, 1) };
    let (mut job, workers) = Job::new(config).start(2, 1);
    job.lease(workers[0], 1);
    let (others, server) = (but_one(&job, &workers), job.servers(2)[1]);
    job.pass_time(100, &others);
    assert_eq!(said(&job, "is lost"), 0, "{:?}", job.logs);
    // From now on it has no excuse.
    let all = [&others[..], &[server]].concat();
    job.pass_time(19, &all);
    assert_eq!(said(&job, "is lost"), 0, "{:?}", job.logs);
    job.pass_time(2, &all);
    assert_eq!(said(&job, "worker 0 at host100:2223 is lost: it finished no step"), 1);
}

#[test]
fn a_server_that_is_away_answers_nothing_and_is_not_out_of_reach_for_that() {
    let config = Config { server_away: Duration::from_secs(120), ..config(1, 2, 1) };
    let (mut job, workers) = Job::new(config).start(1, 1);
    job.shards_answer = false;
    let second = job.join(Role::Worker, 101, None).unwrap();
    let alive = [workers[0], second];
    job.pass_time(100, &alive);
    assert!(job.reports.is_empty(), "{}", reason(&job));
    // Heard of, it has to answer.
    let server = job.servers(1)[0];
    job.pass_time(31, &[alive[0], alive[1], server]);
    assert!(reason(&job).contains("has not reached it"), "{}", reason(&job));
}

/// Works through the job until the driver is asked for the model, and does not write it.
fn saving() -> (Job, Caller, Vec<Caller>) {
    let (mut job, workers) = Job::started(2, 1, 1);
    job.writes_model = false;
    let (server, mut number, mut finished) = (job.servers(2)[1], 0, None);
    while job.saves == 0 {
        number += 1;
        finished = match job.ask(workers[0], number, finished).unwrap() {
            Task::Train(task) => Some(done(&task)),
            Task::Wait(_) | Task::Evaluate(_) => None,
        };
    }
    let others = but_one(&job, &workers);
    (job, server, others)
}

#[test]
fn a_model_that_a_silent_server_kept_from_being_read_is_read_when_it_is_back() {
    let (mut job, server, others) = saving();
    job.pass_time(6, &others);
    job.machine.model_written(Err("no answer from shard 1".into()), job.now);
    job.pass_time(6, &others);
    assert_eq!((job.saves, said(&job, "is away"), job.reports.len()), (1, 1, 0));
    job.writes_model = true;
    job.beat(server).unwrap();
    assert_eq!(job.saves, 2);
    // Where everybody answers, what cannot be written is the end.
    let (mut job, server, others) = saving();
    job.beat(server).unwrap();
    job.pass_time(6, &[&others[..], &[server]].concat());
    job.machine.model_written(Err("disk full".into()), job.now);
    assert_eq!(job.beat(server).unwrap().leave.unwrap().reason, "disk full");
}

#[test]
fn a_model_is_read_again_from_where_a_server_moved() {
    let (mut job, _, _) = saving();
    let registration = shard_1_at(&job, "elsewhere:7");
    job.register(registration).unwrap();
    job.writes_model = true;
    job.machine.model_written(Err("no answer from shard 1".into()), job.now);
    job.obey();
    assert_eq!((job.saves, job.reports.len()), (2, 0));
}

#[test]
fn a_server_that_was_given_up_before_the_start_comes_back_in_the_same_life() {
    let mut job = Job::new(config(2, 1, 1));
    let first = job.join(Role::Server, 1, Some(0)).unwrap();
    let worker = job.join(Role::Worker, 9, None).unwrap();
    job.pass_time(11, &[worker]);
    assert!(job.beat(first).is_err());
    let life = job.machine.registry.life();
    let again = Registration { highest: life + 5, life, ..registration(Role::Server, 1, Some(0)) };
    job.register(again).unwrap();
    assert_eq!(job.machine.registry.life(), life);
    job.join(Role::Server, 2, Some(1)).unwrap();
    assert!(job.beat(worker).unwrap().shard_map.is_some(), "nobody had to register anew");
}

#[test]
fn weights_of_another_life_are_refused() {
    let mut job = Job::of_life(70, config(1, 1, 1));
    let left_over = Registration {
        highest: 69,
        life: 60,
        holds_weights: true,
        ..registration(Role::Server, 1, Some(0))
    };
    let refusal = job.register(left_over).unwrap_err().to_string();
    for part in ["shard 0", "host1:2223", "life 60", "life 70", "start it anew"] {
        assert!(refusal.contains(part), "{refusal}");
    }
}

/// A process that goes on with what another one had on its disk takes that one's place at once, whether or not its silence was
/// noticed; who still speaks for the one before is refused, and a second one with the same folder does not take the place back.
#[test]
fn a_server_that_was_started_again_takes_its_place_back() {
    for (silence, address) in [(0, "host1:2223"), (1, "host1:9"), (12, "host1:2223")] {
        let (mut job, workers) = Job::started(2, 1, 3);
        job.lease(workers[0], 1);
        let (others, before) = (but_one(&job, &workers), job.servers(2)[1]);
        let map = job.beat(workers[0]).unwrap().shard_map.unwrap().map;
        job.pass_time(silence, &others);
        let recovered = Registration { recovered: true, token: 77, ..shard_1_at(&job, address) };
        let back = job.register(recovered.clone()).unwrap();
        assert!(back.incarnation > before.incarnation);
        let after = job.beat(workers[0]).unwrap().shard_map.unwrap();
        assert!(after.map.epoch > map.epoch && after.away.is_empty());
        assert_eq!(after.map.addresses[1], address);
        assert!(job.beat(before).is_err(), "it is another process");
        assert_eq!(job.register(recovered).unwrap(), back, "asked again");
        let old = Registration { token: 78, ..shard_1_at(&job, "host9:1") };
        assert!(job.register(old).is_err(), "whoever was here before is no newcomer");
        let all: Vec<_> = [job.servers(1)[0], back].into_iter().chain(workers).collect();
        job.work(&all, 1);
        assert_eq!(job.finished, Some((0, None)), "{:?}", job.logs);
    }
}

/// Found by a simulated death between the map and the start: a server that had acknowledged nothing may come back with nothing, as
/// long as it never said that it holds a model.
#[test]
fn regression_a_server_that_died_before_it_held_anything_comes_back_empty() {
    for told in [false, true] {
        let (mut job, workers) = Job::started(2, 1, 3);
        job.beat(workers[0]).unwrap();
        if told {
            job.beat(job.servers(2)[1]).unwrap();
        }
        let empty = Registration { recovered: true, token: 77, ..shard_1_at(&job, "host1:2223") };
        let empty = Registration { holds_weights: false, life: 0, ..empty };
        assert_eq!(job.register(empty).is_ok(), !told);
    }
}

/// Found by a breaker: master and server died, the server's journal was gone, and the job went on from nothing, with exit code 0. A
/// master that comes back may not know that the server ever had weights; it knows what was trained.
#[test]
fn regression_a_server_does_not_come_back_empty_where_anything_was_trained() {
    let (mut job, workers) = Job::started(2, 1, 3);
    let Task::Train(task) = job.ask(workers[0], 1, None).unwrap() else { panic!("no lease") };
    job.ask(workers[0], 2, Some(done(&task))).unwrap();
    let empty = Registration { recovered: true, token: 77, ..shard_1_at(&job, "host1:2223") };
    let empty = Registration { holds_weights: false, life: 0, ..empty };
    assert!(job.register(empty).is_err());
    // And what a heartbeat says of it is written down, as is that a worker knows where the shards are.
    let (mut job, workers) = Job::started(2, 1, 3);
    assert!(job.machine.take_news());
    job.beat(workers[0]).unwrap();
    assert!(!job.machine.take_news());
    job.beat(job.servers(2)[1]).unwrap();
    assert!(job.machine.take_news() && !job.machine.take_news());
}

/// Whoever it had shut out could change its weights again, and pushes that it had acknowledged may be missing, too.
#[test]
fn a_server_that_has_forgotten_whom_it_had_shut_out_ends_the_job() {
    for forgotten in [0, 1] {
        let (mut job, workers) = Job::started(2, 1, 3);
        job.lease(workers[0], 1);
        let known = shard_1_at(&job, "host1:2223");
        let highest = known.highest - forgotten;
        let registered =
            job.register(Registration { recovered: true, token: 77, highest, ..known });
        assert_eq!(registered.is_ok(), forgotten == 0);
        if forgotten > 0 {
            assert!(reason(&job).contains("has forgotten what it had acknowledged"));
        }
    }
}

/// Found by a simulated death of the master: it came back, in a new epoch, before a server that was started again had registered. What
/// that one was told at its old address, it had not said when it wrote its registration.
#[test]
fn regression_what_a_server_hears_before_it_registers_is_no_reason_to_refuse_it() {
    let (mut job, workers) = Job::started(2, 1, 3);
    job.lease(workers[0], 1);
    let known = Registration { recovered: true, token: 77, ..shard_1_at(&job, "host1:2223") };
    job.shards_answer = false;
    job.machine.come_back(|_| false, Duration::ZERO, job.now);
    job.obey();
    let told = job.memberships.last().unwrap();
    assert!(told.highest() > known.highest);
    job.machine.membership_acknowledged(1, told.revision, known.token, job.now);
    job.register(known).unwrap();
}

/// Without what was acknowledged nobody takes the place of a server.
#[test]
fn a_server_that_has_not_all_is_no_server_that_is_back() {
    let change: [fn(&mut Registration); 3] =
        [|it| it.recovered = false, |it| it.holds_weights = false, |it| it.life -= 1];
    for change in change {
        let (mut job, workers) = Job::started(2, 1, 3);
        job.lease(workers[0], 1);
        job.beat(job.servers(2)[1]).unwrap();
        let mut recovered =
            Registration { recovered: true, token: 77, ..shard_1_at(&job, "host5:5") };
        change(&mut recovered);
        assert!(job.register(recovered).is_err());
    }
}
