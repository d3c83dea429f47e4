//! Guarantee 5, in virtual time: whoever dies, everybody else ends, soon, and says why.

use ps_core::settings::Wire;
use ps_core::shard::Guards;
use ps_tests::sim::cluster::{LEASE, Outcome, Scenario};
use ps_tests::sim::faults::{Event, Weather};
use ps_tests::sim::ledger::Shape;
use ps_tests::sim::managed;
use std::time::Duration;

const DEATH: Duration = Duration::from_millis(1500);

/// Everybody must have ended this long after the death that ends the job.
const SOON: Duration = LEASE.saturating_mul(5);

fn run(script: Vec<(Duration, Event)>) -> Outcome {
    let outcome = managed::run(&Scenario {
        seed: 5,
        servers: 2,
        shape: Shape { hosts: 3, pushes_max: 800, stride: 8, samples: 600, state: 0 },
        passes: 2,
        batch_size: 2,
        bound: Some(4),
        depth: 1,
        weather: Weather::FAIR,
        script,
        guards: Guards::ALL,
        lives: true,
        wire: Wire::default(),
        journal: None,
        state_lags_by: 0,
        servers_go_back: false,
        longest: Duration::from_secs(120),
    });
    assert_eq!(outcome.violation, None);
    outcome
}

fn deaths(names: &[&str]) -> Vec<(Duration, Event)> {
    names.iter().map(|name| (DEATH, Event::Crash((*name).into()))).collect()
}

/// The job failed with this in its reason, and these ended with an error, soon.
fn assert_failed(outcome: &Outcome, reason: &str, members: &[&str]) {
    for name in members {
        let Err(error) = outcome.result(name) else { panic!("{name} ended well") };
        assert!(error.contains(reason), "{name}: {error}");
        let ended = outcome.ended(name);
        assert!(ended > DEATH && ended < DEATH + SOON, "{name} ended at {ended:?}");
    }
}

#[test]
fn without_deaths_everybody_ends_well_and_together() {
    let outcome = run(vec![]);
    let names = ["master", "server0", "server1", "worker0", "worker1", "worker2", "evaluator"];
    let ends: Vec<Duration> = names.iter().map(|name| outcome.ended(name)).collect();
    for name in names {
        assert_eq!(outcome.result(name), &Ok(0), "{name}");
    }
    let (first, last) = (ends.iter().min().unwrap(), ends.iter().max().unwrap());
    assert!(*last - *first < Duration::from_secs(2), "from {first:?} to {last:?}");
    assert!(*first > DEATH * 2, "the job is too short for the deaths below: {first:?}");
    assert_eq!((outcome.pushes, outcome.acknowledged), (600, 600));
}

#[test]
fn a_dead_workers_samples_are_done_by_the_others() {
    let outcome = run(deaths(&["worker2"]));
    assert_eq!(outcome.result("master"), &Ok(0));
    // Every sample of every pass is in an acknowledged push, and few are in two.
    assert!((600..700).contains(&outcome.acknowledged), "{}", outcome.acknowledged);
    let held = outcome.ended("master");
    assert!(held > DEATH + LEASE, "nobody waited for the dead worker's lease: {held:?}");
}

#[test]
fn without_workers_the_job_fails_and_names_the_last() {
    let outcome = run(deaths(&["worker0", "worker1", "worker2"]));
    assert_failed(&outcome, "no worker is left", &["master", "server0", "server1", "evaluator"]);
}

#[test]
fn a_dead_server_fails_the_job_and_is_named() {
    let outcome = run(deaths(&["server1"]));
    let reason = "server shard 1 at server1:2223";
    let members = ["master", "server0", "worker0", "worker1", "worker2"];
    assert_failed(&outcome, reason, &members);
}

#[test]
fn without_its_master_everybody_leaves() {
    let outcome = run(deaths(&["master"]));
    let members = ["server0", "server1", "worker0", "worker1", "worker2", "evaluator"];
    assert_failed(&outcome, "master at master:2222", &members);
}
