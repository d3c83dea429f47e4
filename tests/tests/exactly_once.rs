//! Guarantee 1: an acknowledged push is applied exactly once while its server lives.

use ps_tests::sim::cluster::{Outcome, Scenario, run_alone};
use ps_tests::sim::faults::Weather;
use ps_tests::sim::ledger::Shape;
use std::time::Duration;

fn scenario(seed: u64) -> Scenario {
    Scenario {
        seed,
        servers: 1 + (seed % 3) as u32,
        shape: Shape { hosts: 3, pushes_max: 200, stride: 16, samples: 96 },
        passes: 3,
        batch_size: 4,
        bound: [None, Some(0), Some(3)][(seed % 3) as usize],
        weather: Weather {
            storm: Duration::from_secs(10),
            network_every: Duration::from_millis(300),
            network_longest: Duration::from_secs(2),
            deaths: 2,
        },
        dedup: true,
        longest: Duration::from_secs(240),
    }
}

#[test]
fn alone_smoke() {
    let mut all: Vec<Outcome> = Vec::new();
    for seed in 0..20 {
        let outcome = run_alone(&scenario(seed));
        println!(
            "seed {seed}: {} pushes, {} acked, {} dup, {} torn, {:?}",
            outcome.pushes, outcome.acknowledged, outcome.duplicates, outcome.torn, outcome.violation
        );
        all.push(outcome);
    }
    assert!(all.iter().all(|outcome| outcome.violation.is_none()));
}
