//! Guarantee 2: a pull is never older than the bound; and without a bound nobody waits for anybody.
//!
//! In virtual time: a slow link or a cut one makes a worker slow or stuck to the microsecond.

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
        shape: Shape { hosts: WORKERS, pushes_max: 80, stride: 8, samples: STEPS * WORKERS as u64 },
        passes: 1,
        batch_size: 1,
        bound,
        depth: 0,
        weather: Weather::FAIR,
        script,
        dedup: true,
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
    for worker in 0..2 {
        let (alone, beside) =
            (fair.ended(&format!("worker{}", worker)), slowed.ended(&format!("worker{}", worker)));
        assert!(beside < alone * 3 / 2, "worker {worker}: {alone:?}, beside a slow one {beside:?}");
    }
    assert!(
        slowed.ended(&format!("worker{}", 2)) > slowed.ended(&format!("worker{}", 0)) * 3,
        "worker 2 was not slow"
    );
    assert!(slowed.gap > 20, "the others ran ahead by {} steps only", slowed.gap);
}

#[test]
fn nobody_is_further_ahead_of_a_slow_worker_than_the_bound() {
    for bound in [0, 1, 4] {
        let outcome = run(Some(bound), slow());
        // Steps are counted when their acknowledgement arrives: one for the step that the gate let
        // through, and one for the slow worker's push that is applied but not yet told.
        assert!(outcome.gap <= bound + 2, "bound {bound}: ahead by {}", outcome.gap);
        assert!(
            outcome.ended(&format!("worker{}", 0)) > Duration::from_secs(10),
            "the others did not wait"
        );
    }
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
