//! Guarantee 1: an acknowledged push is applied exactly once while its server lives.
//!
//! Servers and workers over a simulated network that loses, delays and cuts, with workers that die
//! and come back; every push of every life is checked element by element (see `sim::ledger`).

use ps_tests::sim::cluster::{Scenario, run_alone};
use ps_tests::sim::faults::Weather;
use ps_tests::sim::ledger::Shape;
use ps_tests::sim::seeds;
use std::time::Duration;

const SEEDS: u64 = 200;

fn scenario(seed: u64) -> Scenario {
    // Every eighth run has pushes of several messages, which a death can tear between chunks.
    let stride = if seed % 8 == 3 { 6144 } else { 16 };
    Scenario {
        seed,
        servers: 1 + (seed % 3) as u32,
        shape: Shape {
            hosts: 3,
            pushes_max: 120,
            stride,
            samples: 96,
        },
        passes: 3,
        batch_size: 4,
        bound: [None, Some(0), Some(3)][(seed / 3 % 3) as usize],
        weather: Weather {
            storm: Duration::from_secs(4),
            network_every: Duration::from_millis(80),
            network_longest: Duration::from_millis(1500),
            deaths: 2,
        },
        script: Vec::new(),
        dedup: true,
        longest: Duration::from_secs(240),
    }
}

#[test]
fn acknowledged_pushes_are_applied_exactly_once() {
    let outcomes = seeds::run_all(seeds::wanted(SEEDS), |seed| run_alone(&scenario(seed)));
    seeds::assert_none_violated("exactly_once", &outcomes);
    let sum = |count: fn(&ps_tests::sim::cluster::Outcome) -> u64| {
        outcomes.iter().map(count).sum::<u64>()
    };
    let (pushes, duplicates) = (sum(|o| o.pushes as u64), sum(|o| o.duplicates));
    let (acknowledged, torn) = (sum(|o| o.acknowledged as u64), sum(|o| o.torn));
    println!(
        "{} seeds: {pushes} pushes, {acknowledged} acknowledged, {duplicates} repeated after they \
         were finished, {torn} torn by a death",
        outcomes.len()
    );
    if outcomes.len() as u64 >= SEEDS {
        // A storm that repeats nothing proves nothing.
        assert!(
            duplicates > 50 && acknowledged < pushes,
            "the weather was too fair"
        );
    }
}

/// The same runs with the dedup switched off must be caught: else the test above cannot fail.
#[test]
fn without_dedup_the_simulation_finds_doubled_pushes() {
    let outcomes = seeds::run_all(0..20, |seed| {
        run_alone(&Scenario {
            dedup: false,
            ..scenario(seed)
        })
    });
    let caught = outcomes
        .iter()
        .filter(|outcome| outcome.violation.is_some())
        .count();
    assert!(
        caught > 0,
        "20 seeds without dedup and no push was applied twice"
    );
}

#[test]
fn two_runs_of_a_seed_give_the_same_trace() {
    for seed in [3, 4, 5, 11] {
        let (one, two) = (run_alone(&scenario(seed)), run_alone(&scenario(seed)));
        let differs = one.trace.iter().zip(&two.trace).find(|(a, b)| a != b);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(one, two, "seed {seed}");
    }
}
