//! Guarantee 1: an acknowledged push is applied exactly once while its server lives.
//!
//! The whole cluster over a simulated network that loses, delays and cuts, with workers that die and
//! come back; every push of every life is checked element by element (see `sim::ledger`).

use ps_core::settings::Wire;
use ps_core::shard::Guards;
use ps_kernels::encoding::Encoding;
use ps_tests::sim::cluster::{Outcome, Scenario};
use ps_tests::sim::ledger::Shape;
use ps_tests::sim::scenarios::storm;
use ps_tests::sim::{alone, managed, seeds};

/// Seeds of whole jobs, and of servers and workers without a master.
const SEEDS: u64 = 200;
const SEEDS_ALONE: u64 = 100;

/// Seeds of each way that values travel in.
const SEEDS_ENCODED: u64 = 20;

/// The same with exchanges that go on while a worker computes: leases are long enough to have them,
/// and bounds as tight as they can be.
fn pipelined(seed: u64) -> Scenario {
    let depth = 1 + seed % 2;
    let fair = storm(seed);
    Scenario {
        shape: Shape { pushes_max: 300, samples: 288, ..fair.shape },
        passes: 1,
        batch_size: 1,
        bound: [None, Some(depth), Some(depth + 2)][(seed / 3 % 3) as usize],
        depth,
        ..fair
    }
}

/// Prints what the runs met, and fails if it was nothing: fair weather proves nothing.
fn judge(what: &str, outcomes: &[Outcome]) {
    seeds::assert_none_violated("exactly_once", outcomes);
    let sum = |count: fn(&Outcome) -> u64| outcomes.iter().map(count).sum::<u64>();
    let (pushes, acknowledged) = (sum(|o| o.pushes as u64), sum(|o| o.acknowledged as u64));
    let (duplicates, torn) = (sum(|o| o.duplicates), sum(|o| o.torn));
    println!(
        "{what}: {} seeds, {pushes} pushes, {acknowledged} acknowledged, {duplicates} repeated \
         after they were finished, {torn} torn by a death, {} calls fenced",
        outcomes.len(),
        sum(|o| o.fenced)
    );
    if outcomes.len() as u64 >= SEEDS_ALONE {
        assert!(duplicates > 20 && acknowledged < pushes, "{what}: the weather was too fair");
    }
}

#[test]
fn whole_jobs_apply_acknowledged_pushes_exactly_once() {
    let outcomes = seeds::run_all(seeds::wanted(SEEDS), |seed| managed::run(&storm(seed)));
    judge("with a master", &outcomes);
    let failed: Vec<_> = outcomes.iter().filter(|o| *o.result("master") != Ok(0)).collect();
    for outcome in &failed {
        println!("seed {}: {:?}", outcome.seed, outcome.result("master"));
    }
    // Storms are shorter than a server may be away.
    assert!(failed.len() * 10 <= outcomes.len(), "{} jobs failed", failed.len());
}

#[test]
fn pipelined_jobs_apply_acknowledged_pushes_exactly_once_and_keep_the_bound() {
    let outcomes =
        seeds::run_all(seeds::wanted(SEEDS_ALONE), |seed| managed::run(&pipelined(seed)));
    judge("pipelined, with a master", &outcomes);
    let failed = outcomes.iter().filter(|o| *o.result("master") != Ok(0)).count();
    assert!(failed * 10 <= outcomes.len(), "{failed} jobs failed");
    for outcome in &outcomes {
        if let Some(bound) = pipelined(outcome.seed).bound {
            let (seed, lag) = (outcome.seed, outcome.lag);
            assert!(lag <= bound, "seed {seed}: weights {lag} steps behind, the bound is {bound}");
        }
    }
    let lag = outcomes.iter().map(|outcome| outcome.lag).max();
    println!("pipelined, with a master: weights were {lag:?} steps behind at the most");
}

#[test]
fn pipelined_without_a_master_acknowledged_pushes_are_applied_exactly_once() {
    let outcomes = seeds::run_all(seeds::wanted(SEEDS_ALONE), |seed| alone::run(&pipelined(seed)));
    judge("pipelined, without a master", &outcomes);
}

#[test]
fn without_a_master_acknowledged_pushes_are_applied_exactly_once() {
    let outcomes = seeds::run_all(seeds::wanted(SEEDS_ALONE), |seed| alone::run(&storm(seed)));
    judge("without a master", &outcomes);
}

/// Retries send the same bytes and are recognised, however the values are written; every value here
/// is exact in bf16.
#[test]
fn encoded_pushes_are_applied_exactly_once() {
    let wire = Wire { push: Encoding::Bf16, pull: Encoding::Bf16, top_k: None };
    // As much as a push has of what it covers in a chunk, so that no part of it has to wait for the next,
    // which a worker that dies never makes: where a tensor begins near the end of a chunk, that is 0.8.
    let top_k = Wire { push: Encoding::F32, pull: Encoding::F32, top_k: Some(0.85) };
    for wire in [wire, top_k] {
        let encoded = |seed| Scenario { wire, ..storm(seed) };
        let seeds = || seeds::wanted(SEEDS_ENCODED);
        let outcomes = seeds::run_all(seeds(), |seed| managed::run(&encoded(seed)));
        judge(&format!("with a master, {wire:?}"), &outcomes);
        let outcomes = seeds::run_all(seeds(), |seed| alone::run(&encoded(seed)));
        judge(&format!("without a master, {wire:?}"), &outcomes);
        let duplicates: u64 = outcomes.iter().map(|outcome| outcome.duplicates).sum();
        assert!(duplicates > 0 || outcomes.len() < 10, "the weather was too fair");
    }
}

/// The same runs with the dedup switched off must be caught: else the tests above cannot fail.
#[test]
fn without_dedup_the_simulation_finds_doubled_pushes() {
    let off = |scenario: Scenario| Scenario {
        guards: Guards { dedup: false, ..Guards::ALL },
        ..scenario
    };
    for scenario in [storm, pipelined] {
        for run in [|s: &Scenario| alone::run(s), |s: &Scenario| managed::run(s)] {
            let outcomes = seeds::run_all(0..20, |seed| run(&off(scenario(seed))));
            let caught = outcomes.iter().filter(|outcome| outcome.violation.is_some()).count();
            assert!(caught > 0, "20 seeds without dedup and no push was applied twice");
        }
    }
}

/// Jobs whose workers replace running statistics in each step, and read their own.
fn with_statistics(seed: u64) -> Scenario {
    let bare = storm(seed);
    Scenario { shape: Shape { state: 5, ..bare.shape }, ..bare }
}

/// A step's statistics are pushed ahead of its gradient, and the step ends when both are applied. With that
/// switched off, weights that lack them are found.
#[test]
fn without_the_order_of_a_steps_pushes_the_simulation_finds_weights_without_its_statistics() {
    const AT_ONCE: u64 = 10;
    let guards = Guards { steps: false, ..Guards::ALL };
    let off = |seed| managed::run(&Scenario { guards, ..with_statistics(seed) });
    let is_caught = |first: &u64| {
        let outcomes = seeds::run_all(*first..*first + AT_ONCE, off);
        let caught = outcomes.iter().find_map(|outcome| outcome.violation.as_ref());
        caught.inspect(|violation| println!("seeds from {first}: {violation}")).is_some()
    };
    let caught = (0..500).step_by(AT_ONCE as usize).find(is_caught).expect("it was not caught");
    let whole = |seed| managed::run(&with_statistics(seed));
    seeds::assert_none_violated("exactly_once", &seeds::run_all(caught..caught + AT_ONCE, whole));
}
