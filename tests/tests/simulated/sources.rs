//! Jobs whose members have samples of their own: each is trained on once a pass, or is skipped
//! because its owner is away, counted, and holds nobody.
use ps_core::settings::Wire;
use ps_core::shard::Guards;
use ps_tests::sim::cluster::Scenario;
use ps_tests::sim::faults::{Event, Weather};
use ps_tests::sim::ledger::Shape;
use ps_tests::sim::managed::{Ran, run_with};
use ps_tests::sim::shares::Data;
use std::time::Duration;

const SHARES: [u64; 3] = [40, 0, 100];
const SERVED: u64 = 30;

fn sharded() -> Data {
    Data::Sharded { shares: SHARES.to_vec(), served: SERVED }
}

fn scenario(seed: u64, passes: u64, script: Vec<(Duration, Event)>) -> Scenario {
    Scenario {
        seed,
        servers: 2,
        shape: Shape { hosts: 3, pushes_max: 1500, stride: 4, samples: 0, state: 0 },
        passes,
        batch_size: 4,
        bound: [None, Some(3)][(seed % 2) as usize],
        depth: seed % 3,
        weather: Weather {
            storm: Duration::ZERO,
            network_every: Duration::from_secs(1),
            network_longest: Duration::from_millis(1),
            deaths: 0,
        },
        script,
        guards: Guards::ALL,
        lives: true,
        wire: Wire::default(),
        journal: None,
        state_lags_by: 0,
        servers_go_back: false,
        longest: Duration::from_secs(240),
    }
}

fn skipped(ran: &Ran, member: &str) -> u64 {
    let shares = ran.report["skipped"].as_array().unwrap();
    let share = shares.iter().find(|share| share["member"] == member);
    share.map_or(0, |share| share["samples"].as_u64().unwrap())
}

fn assert_well(ran: &Ran) {
    assert_eq!(ran.outcome.violation, None);
    assert_eq!(*ran.outcome.result("master"), Ok(0), "{}", ran.outcome.trace.join("\n"));
}

fn after(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[test]
fn every_share_is_trained_on_once_a_pass_whoever_has_it() {
    for seed in 0..10 {
        let ran = run_with(&scenario(seed, 3, Vec::new()), &sharded());
        assert_well(&ran);
        for (owner, samples) in [("worker0", 40), ("worker2", 100), ("values", SERVED)] {
            for sample in 0..samples {
                assert_eq!(ran.book.times(owner, sample), 3, "seed {seed}, {owner}, {sample}");
            }
            assert_eq!(ran.book.trained(owner), 3 * samples);
        }
        assert_eq!(ran.book.trained("worker1"), 0, "it has nothing of its own");
        assert_eq!(ran.report["samples_skipped"], 0);
        assert_eq!(ran.report["train_samples"], 170);
        assert_eq!(ran.report["passes"].as_array().unwrap().len(), 3);
        // Who has nothing works on what is served.
        assert!(ran.report["workers"]["1"]["counters"]["samples"].as_u64().unwrap() > 0);
    }
}

#[test]
fn a_dead_workers_rest_is_skipped_and_counted_and_the_job_ends() {
    for seed in 0..6 {
        let death = (after(900), Event::Crash("worker2".into()));
        let ran = run_with(&scenario(seed, 6, vec![death]), &sharded());
        assert_well(&ran);
        let lost = skipped(&ran, "worker 2");
        let trained = ran.book.trained("worker2");
        // What it trained on within a lease that it did not finish is counted as skipped.
        assert!(lost > 0 && trained < 600 && lost + trained >= 600, "{lost} {trained}");
        assert_eq!(ran.report["samples_skipped"].as_u64().unwrap(), lost);
        let done = ran.report["passes"].as_array().unwrap();
        let by_pass: u64 = done.iter().map(|p| p["samples_skipped"].as_u64().unwrap()).sum();
        assert_eq!((done.len(), by_pass), (6, lost));
        for (owner, samples) in [("worker0", 40), ("values", SERVED)] {
            assert!((0..samples).all(|sample| ran.book.times(owner, sample) >= 6));
        }
    }
}

#[test]
fn a_worker_that_was_away_goes_on_with_its_own_samples() {
    let mut came_back = 0;
    for seed in 0..6 {
        let script = vec![
            (after(800), Event::Crash("worker2".into())),
            // Longer than the lease: its share was given up meanwhile.
            (after(6000), Event::Restart("worker2".into())),
        ];
        let ran = run_with(&scenario(seed, 40, script), &sharded());
        assert_well(&ran);
        assert_eq!(*ran.outcome.result("worker2"), Ok(0));
        let registrations = ran.report["workers"]["2"]["registrations"].as_u64().unwrap();
        let (lost, trained) = (skipped(&ran, "worker 2"), ran.book.trained("worker2"));
        assert!(lost + trained >= 40 * 100, "{lost} {trained}");
        came_back += u64::from(registrations == 2 && trained > 1000);
    }
    assert!(came_back >= 3, "{came_back} of 6 runs had a worker that came back in time");
}

/// Its heartbeats do not arrive for a lease, it notices, and registers anew as the same rank.
#[test]
fn a_worker_that_stood_still_registers_anew_with_its_own_samples() {
    let mut registered = 0;
    for seed in 0..6 {
        let hold = |other: &str| Event::Hold("worker2".into(), other.into());
        let release = |other: &str| Event::Release("worker2".into(), other.into());
        let script =
            vec![(after(1000), hold("master")), (after(4150 + seed * 30), release("master"))];
        let ran = run_with(&scenario(seed, 12, script), &sharded());
        assert_well(&ran);
        let times = ran.report["workers"]["2"]["registrations"].as_u64().unwrap();
        registered += u64::from(times == 2 && *ran.outcome.result("worker2") == Ok(0));
        let (lost, trained) = (skipped(&ran, "worker 2"), ran.book.trained("worker2"));
        assert!(lost + trained >= 12 * 100, "{lost} {trained}");
        assert_eq!(ran.book.trained("worker1"), 0);
    }
    assert!(registered >= 2, "{registered} of 6 runs had a worker that registered anew");
}

#[test]
fn a_lost_evaluators_share_is_skipped() {
    let death = (after(900), Event::Crash("evaluator".into()));
    let ran = run_with(&scenario(1, 8, vec![death]), &sharded());
    assert_well(&ran);
    let lost = skipped(&ran, "the evaluator");
    assert!(lost > 0 && lost + ran.book.trained("values") >= 8 * SERVED, "{lost}");
    assert!((0..100).all(|sample| ran.book.times("worker2", sample) >= 8));
}

#[test]
fn an_evaluator_that_only_the_master_reaches_holds_nobody() {
    let cut = |worker: usize| {
        let (worker, evaluator) = (format!("worker{worker}"), "evaluator".to_owned());
        (after(0), Event::Partition(worker, evaluator))
    };
    let script = (0..3).map(cut).collect();
    let ran = run_with(&scenario(2, 2, script), &sharded());
    assert_well(&ran);
    assert_eq!(skipped(&ran, "the evaluator"), 2 * SERVED);
    assert!((0..100).all(|sample| ran.book.times("worker2", sample) == 2));
}

#[test]
fn in_any_weather_a_sample_is_trained_on_or_counted_as_skipped() {
    let weather = Weather {
        storm: Duration::from_secs(4),
        network_every: Duration::from_millis(80),
        network_longest: Duration::from_millis(1500),
        deaths: 2,
    };
    let mut failed = 0;
    for seed in 0..40 {
        let scenario = Scenario { weather, ..scenario(seed, 4, Vec::new()) };
        let ran = run_with(&scenario, &sharded());
        assert_eq!(ran.outcome.violation, None, "seed {seed}");
        if *ran.outcome.result("master") != Ok(0) {
            failed += 1;
            continue;
        }
        for (owner, member, samples) in [
            ("worker0", "worker 0", 40),
            ("worker2", "worker 2", 100),
            ("values", "the evaluator", SERVED),
        ] {
            let missing: u64 = (0..samples)
                .map(|sample| 4_u64.saturating_sub(ran.book.times(owner, sample)))
                .sum();
            let lost = skipped(&ran, member);
            assert!(missing <= lost, "seed {seed}: {missing} of {member} missing, {lost} skipped");
        }
    }
    assert!(failed <= 6, "{failed} of 40 jobs failed");
}

#[test]
fn streams_are_read_pass_by_pass_and_counted() {
    for seed in 0..6 {
        let data = Data::Streamed { lengths: vec![30, 0, 45] };
        let ran = run_with(&scenario(seed, 4, Vec::new()), &data);
        assert_well(&ran);
        let times: Vec<u64> = (0..46).map(|sample| ran.book.times("values", sample)).collect();
        assert!(times[..30].iter().all(|times| *times == 8), "{times:?}");
        assert!(times[30..45].iter().all(|times| *times == 4) && times[45] == 0, "{times:?}");
        assert_eq!(ran.report["train_samples"], 75);
        assert_eq!(ran.report["passes"].as_array().unwrap().len(), 4);
    }
}

#[test]
fn a_dead_stream_holds_nobody() {
    let death = (after(500), Event::Crash("worker2".into()));
    let data = Data::Streamed { lengths: vec![30, 20, 4000] };
    let ran = run_with(&scenario(3, 3, vec![death]), &data);
    assert_well(&ran);
    assert_eq!(ran.report["passes"].as_array().unwrap().len(), 3);
    assert!((0..20).all(|sample| ran.book.times("values", sample) >= 6));
}
