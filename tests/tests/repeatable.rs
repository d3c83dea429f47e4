//! Two runs of a seed are the same run, event by event; by itself, because of the task ids (see
//! `sim::seeds::twice`).

// Needs tokio's random numbers to be seeded: see .cargo/config.toml.
#![cfg(tokio_unstable)]

use ps_core::settings::Wire;
use ps_core::shard::Guards;
use ps_tests::sim::cluster::{Outcome, Scenario};
use ps_tests::sim::faults::Weather;
use ps_tests::sim::ledger::Shape;
use ps_tests::sim::shares::Data;
use ps_tests::sim::{alone, managed, seeds};
use std::time::Duration;

fn scenario(seed: u64) -> Scenario {
    // One has pushes of several messages.
    let stride = if seed == 3 { 4096 } else { 16 };
    Scenario {
        seed,
        servers: 1 + (seed % 3) as u32,
        shape: Shape { hosts: 3, pushes_max: 100, stride, samples: 96, state: 0 },
        passes: 1,
        batch_size: 4,
        bound: [None, Some(0), Some(3)][(seed % 3) as usize],
        depth: [2, 0, 1][(seed % 3) as usize],
        weather: Weather {
            storm: Duration::from_secs(4),
            network_every: Duration::from_millis(60),
            network_longest: Duration::from_millis(1200),
            deaths: 3,
        },
        script: Vec::new(),
        guards: Guards::ALL,
        lives: true,
        wire: Wire::default(),
        journal: None,
        state_lags_by: 0,
        servers_go_back: false,
        longest: Duration::from_secs(240),
    }
}

fn same(what: &str, run: impl Fn() -> Outcome) {
    let (one, two) = seeds::twice(run);
    let differs = one.trace.iter().zip(&two.trace).find(|(a, b)| a != b);
    assert_eq!(differs, None, "{what}");
    assert_eq!(one, two, "{what}");
}

#[test]
fn two_runs_of_a_seed_give_the_same_trace() {
    for seed in [3, 4, 5, 6, 11] {
        let scenario = scenario(seed);
        same(&format!("seed {seed} without a master"), || alone::run(&scenario));
        for data in [Data::Replicated, Data::Streamed { lengths: vec![30, 0, 45] }] {
            let what = format!("seed {seed}, {data:?}");
            same(&what, || managed::run_with(&scenario, &data).outcome);
        }
    }
}
