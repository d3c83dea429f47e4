//! Guarantee 2: a pull is never older than the bound; and without a bound nobody waits for anybody.
//!
//! In virtual time: a slow link or a cut one makes a worker slow or stuck to the microsecond.

use ps_core::settings::Wire;
use ps_core::shard::Guards;
use ps_tests::sim::alone;
use ps_tests::sim::cluster::{Outcome, Scenario};
use ps_tests::sim::faults::{Event, Weather};
use ps_tests::sim::ledger::Shape;
use std::time::Duration;

const WORKERS: usize = 3;
const STEPS: u64 = 60;

fn scenario(bound: Option<u64>, script: Vec<(Duration, Event)>) -> Scenario {
    Scenario {
        seed: 1,
        servers: 2,
        shape: Shape {
            hosts: WORKERS,
            pushes_max: 80,
            stride: 8,
            samples: STEPS * WORKERS as u64,
            state: 0,
        },
        passes: 1,
        batch_size: 1,
        bound,
        depth: 0,
        weather: Weather::FAIR,
        script,
        guards: Guards::ALL,
        lives: true,
        wire: Wire::default(),
        journal: None,
        state_lags_by: 0,
        servers_go_back: false,
        longest: Duration::from_secs(600),
    }
}

/// Worker 2 needs 150 ms for everything it says, the others some milliseconds.
fn slow() -> Vec<(Duration, Event)> {
    let latency = Duration::from_millis(150);
    let link = |server: &str| Event::Slow("worker2".into(), server.into(), latency);
    let at = Duration::from_millis(400);
    vec![(at, link("server0")), (at, link("server1"))]
}

/// Worker 2 is cut off for good.
fn stuck() -> Vec<(Duration, Event)> {
    let cut = |server: &str| Event::Partition("worker2".into(), server.into());
    let at = Duration::from_millis(400);
    vec![(at, cut("server0")), (at, cut("server1")), (at, Event::Crash("worker2".into()))]
}

fn run(bound: Option<u64>, script: Vec<(Duration, Event)>) -> Outcome {
    let outcome = alone::run(&scenario(bound, script));
    assert_eq!(outcome.violation, None);
    outcome
}

#[test]
fn without_a_bound_a_slow_worker_slows_nobody() {
    let (fair, slowed) = (run(None, vec![]), run(None, slow()));
    // Worker 0 waits for the others before it writes the model.
    let (alone, beside) = (fair.ended("worker1"), slowed.ended("worker1"));
    assert!(beside < alone * 3 / 2, "{alone:?}, beside a slow one {beside:?}");
    assert!(slowed.ended("worker2") > beside * 3, "worker 2 was not slow");
    assert!(slowed.gap > 20, "the others ran ahead by {} steps only", slowed.gap);
}

#[test]
fn nobody_is_further_ahead_of_a_slow_worker_than_the_bound() {
    for bound in [0, 1, 4] {
        let outcome = run(Some(bound), slow());
        // Steps are counted when their acknowledgement arrives: one for the step that the gate let
        // through, one for the slow worker's push that is applied but not yet told, and one for a
        // worker that joins when another has made a step, and so never makes that one.
        assert!(outcome.gap <= bound + 3, "bound {bound}: ahead by {}", outcome.gap);
        assert!(
            outcome.ended(&format!("worker{}", 0)) > Duration::from_secs(10),
            "the others did not wait"
        );
    }
}

/// What is under way counts: a worker that computes beside its exchanges has no older weights.
#[test]
fn weights_are_never_behind_by_more_than_the_bound_whatever_is_under_way() {
    for (bound, depth) in [(0, 0), (1, 0), (1, 1), (2, 2), (4, 1), (4, 4)] {
        let outcome = alone::run(&Scenario { depth, ..scenario(Some(bound), slow()) });
        assert_eq!(outcome.violation, None);
        let lag = outcome.lag;
        assert!(lag <= bound, "bound {bound}, depth {depth}: weights {lag} steps behind");
        assert!(
            lag >= depth,
            "depth {depth}: weights {lag} steps behind, so nothing was under way"
        );
    }
    let lag = alone::run(&Scenario { depth: 2, ..scenario(None, slow()) }).lag;
    assert!(lag > 4, "without a bound weights were {lag} steps behind only");
}

/// Over a link of 150 ms a step takes one round trip; with more under way a part of it.
#[test]
fn what_is_under_way_hides_a_slow_link() {
    let ends = |depth| {
        let far = |worker: &str| {
            ["server0", "server1"].map(|server| {
                let latency = Duration::from_millis(150);
                (Duration::ZERO, Event::Slow(worker.into(), server.into(), latency))
            })
        };
        let script = ["worker0", "worker1", "worker2"].iter().flat_map(|worker| far(worker));
        let script = script.collect();
        let outcome = alone::run(&Scenario { depth, ..scenario(Some(4), script) });
        assert_eq!(outcome.violation, None);
        outcome.ended("worker1").as_secs_f64()
    };
    let (none, one, three) = (ends(0), ends(1), ends(3));
    println!("{none:.1} s, with one exchange under way {one:.1} s, with three {three:.1} s");
    assert!(one < none * 0.6, "{none:.1} s, with one exchange under way {one:.1} s");
    assert!(three < none * 0.35, "{none:.1} s, with three exchanges under way {three:.1} s");
}

#[test]
fn a_stuck_worker_holds_the_others_only_until_its_lease_expires() {
    let outcome = run(Some(2), stuck());
    let lease = Duration::from_secs(3);
    for worker in 0..2 {
        let ended = outcome.ended(&format!("worker{}", worker));
        assert!(ended > lease, "worker {worker} ended at {ended:?}, before the lease of {lease:?}");
        assert!(ended < lease * 3, "worker {worker} ended at {ended:?}, long after {lease:?}");
    }
}

/// Were the gate open always, the tests above would notice.
#[test]
fn the_gap_is_measured() {
    assert!(run(None, slow()).gap > run(Some(4), slow()).gap);
}
