//! Servers without journals that die and go back to a checkpoint alone (`--on-server-loss continue`): no push is applied twice anywhere,
//! other shards lose nothing that was acknowledged, the part that went back has all that was pushed since, and nobody waits for ever.
//!
//! The whole cluster over a simulated network; every push is checked element by element (`sim::ledger`). Servers come back at the address
//! that they had, so that whoever still calls there meets a process that holds nothing.

use ps_core::master::NO_WAY_BACK;
use ps_core::shard::Guards;
use ps_runtime::files::SimulatedDisk;
use ps_tests::sim::cluster::{Outcome, Scenario};
use ps_tests::sim::ledger::{Ledger, Violation};
use ps_tests::sim::scenarios::going_back;
use ps_tests::sim::shares::Data;
use ps_tests::sim::{managed, seeds};
use std::time::Duration;

const SEEDS: u64 = 60;
const SEEDS_MUTATED: u64 = 100;

/// How a job fared, and how often a part of it went back.
fn run(scenario: &Scenario, ledger: &Ledger) -> (Outcome, usize) {
    let folder = SimulatedDisk::default();
    let ran = managed::live(scenario, &Data::Replicated, ledger, Some(&folder), Duration::MAX);
    let times = ran.report["servers_went_back"].as_array().map_or(0, Vec::len);
    (ran.outcome, times)
}

#[test]
fn only_what_went_back_loses_pushes_and_only_those_of_before() {
    let went_back = std::sync::Mutex::new(Vec::new());
    let outcomes = seeds::run_all(seeds::wanted(SEEDS), |seed| {
        let scenario = going_back(seed);
        let (outcome, times) = run(&scenario, &Ledger::new(scenario.shape));
        went_back.lock().unwrap().push(times);
        outcome
    });
    let went_back = went_back.into_inner().unwrap();
    let all: usize = went_back.iter().sum();
    let mut too_early = 0;
    for outcome in &outcomes {
        match outcome.result("master") {
            Ok(0) => (),
            // Before the first checkpoint there is nothing to go back to.
            Err(reason) if reason.contains(NO_WAY_BACK) => too_early += 1,
            other => panic!("seed {}: {other:?}\n{}", outcome.seed, outcome.trace.join("\n")),
        }
    }
    println!("{} seeds, parts went back {all} times, {too_early} too early", outcomes.len());
    let ended: Vec<Outcome> =
        outcomes.into_iter().filter(|it| *it.result("master") == Ok(0)).collect();
    seeds::assert_none_violated("going_back_alone", &ended);
    assert!(ended.len() > SEEDS as usize / 2 && all > ended.len(), "nobody went back");
}

/// The seeds of which a run goes wrong.
fn caught(ledger: fn(Ledger) -> Ledger, guards: Guards) -> Vec<Outcome> {
    let outcomes = seeds::run_all(seeds::wanted(SEEDS_MUTATED), |seed| {
        let scenario = Scenario { guards, ..going_back(seed) };
        run(&scenario, &ledger(Ledger::new(scenario.shape))).0
    });
    let wrong: Vec<Outcome> = outcomes.into_iter().filter(|it| it.violation.is_some()).collect();
    println!("{} of {SEEDS_MUTATED} go wrong", wrong.len());
    wrong
}

/// Something is lost in these runs, and the books see it: nothing else is wrong with them.
#[test]
fn what_is_lost_is_seen() {
    let wrong = caught(Ledger::forgiving_nothing, Guards::ALL);
    assert!(!wrong.is_empty());
    let is_other = |it: &&Outcome| !it.push.as_ref().is_some_and(Violation::is_lost);
    assert_eq!(wrong.iter().filter(is_other).count(), 0);
}

#[test]
fn pushes_that_are_taken_twice_are_caught() {
    assert!(!caught(|ledger| ledger, Guards { dedup: false, ..Guards::ALL }).is_empty());
}
