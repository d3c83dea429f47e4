//! Guarantee 1, through deaths of servers and masters: with a journal an acknowledged push outlives its server's process,
//! once and only once, and training goes on by itself.
//!
//! The whole cluster over a simulated network, on simulated disks that lose and tear what was not synced. Servers and the master die at
//! any time and are started again with what their disks kept; every push is checked element by element (`sim::ledger`).
//! With any part of the promise left out, the same runs find it.

use ps_core::shard::Guards;
use ps_server::WriterSettings;
use ps_tests::sim::cluster::{Outcome, Scenario};
use ps_tests::sim::scenarios::durable;
use ps_tests::sim::{managed, seeds};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Seeds of jobs, and of those in which a part of the promise is left out.
const SEEDS: u64 = 100;
const SEEDS_MUTATED: u64 = 100;

fn died(outcome: &Outcome, role: &str) -> usize {
    let crash = format!("Crash(\"{role}");
    outcome.trace.iter().filter(|line| line.contains(&crash)).count()
}

#[test]
fn acknowledged_pushes_outlive_their_servers_once_and_only_once() {
    let outcomes = seeds::run_all(seeds::wanted(SEEDS), |seed| managed::run(&durable(seed)));
    seeds::assert_none_violated("durable", &outcomes);
    let sum = |count: fn(&Outcome) -> u64| outcomes.iter().map(count).sum::<u64>();
    let deaths = |role| outcomes.iter().map(|outcome| died(outcome, role)).sum::<usize>();
    let (deaths, of_masters) = (deaths("server"), deaths("master"));
    println!(
        "{} seeds, {deaths} deaths of servers, {of_masters} of masters, {} pushes, {} acknowledged, {} repeated after they were finished",
        outcomes.len(),
        sum(|outcome| outcome.pushes as u64),
        sum(|outcome| outcome.acknowledged as u64),
        sum(|outcome| outcome.duplicates),
    );
    for outcome in &outcomes {
        assert_eq!(outcome.result("master"), &Ok(0), "seed {}", outcome.seed);
    }
    let steps = |outcome: &&Outcome| {
        died(outcome, "worker") == 0 && outcome.pushes != durable(outcome.seed).steps()
    };
    let redone: Vec<u64> = outcomes.iter().filter(steps).map(|outcome| outcome.seed).collect();
    assert!(redone.is_empty(), "no worker died, and steps were done again: {redone:?}");
    assert!(deaths > outcomes.len() && of_masters > outcomes.len() / 2, "nobody died");
}

/// A run without a part of the promise: one that does not end is a wrong one.
fn run_mutated(change: impl Fn(&mut Scenario), seed: u64) -> Outcome {
    let mut scenario = durable(seed);
    change(&mut scenario);
    catch_unwind(AssertUnwindSafe(|| managed::run(&scenario))).unwrap_or_else(|_| Outcome {
        seed,
        violation: Some("it does not end".to_owned()),
        ..Outcome::default()
    })
}

/// The seeds of which a run goes wrong, or does not end well.
fn caught(change: impl Fn(&mut Scenario) + Sync) -> usize {
    let run = |seed| run_mutated(&change, seed);
    let outcomes = seeds::run_all(seeds::wanted(SEEDS_MUTATED), run);
    let goes_wrong = |it: &&Outcome| it.violation.is_some() || *it.result("master") != Ok(0);
    let wrong: Vec<&Outcome> = outcomes.iter().filter(goes_wrong).collect();
    let violated = wrong.iter().filter(|it| it.violation.is_some()).count();
    println!("{} of {} go wrong, {violated} of them silently", wrong.len(), outcomes.len());
    wrong.len()
}

#[test]
fn a_disk_that_is_not_synced_is_caught() {
    let unsynced = |scenario: &mut Scenario| {
        let journal = scenario.journal.unwrap_or_default();
        scenario.journal = Some(WriterSettings { is_synced: false, ..journal });
    };
    assert!(caught(unsynced) > 0); // A journal that was changed is refused, which ends the job.
}

/// It forgets what it has given away and what is done, so that it is done again.
#[test]
fn a_master_that_speaks_before_it_writes_is_caught() {
    let run = |seed| run_mutated(|scenario| scenario.state_lags_by = 1, seed);
    let outcomes = seeds::run_all(seeds::wanted(SEEDS_MUTATED), run);
    let is_again = |outcome: &&Outcome| {
        let has_ended = outcome.violation.is_none();
        let is_undisturbed = has_ended && died(outcome, "worker") == 0;
        is_undisturbed && outcome.pushes != durable(outcome.seed).steps()
    };
    let again = outcomes.iter().filter(is_again).count();
    println!("{again} of {} do steps again", outcomes.len());
    assert!(again > 0);
}

#[test]
fn pushes_that_are_taken_twice_are_caught() {
    let twice = |scenario: &mut Scenario| scenario.guards = Guards { dedup: false, ..Guards::ALL };
    assert!(caught(twice) > 0);
}

#[test]
fn windows_that_are_forgotten_are_caught() {
    let forgotten = |scenario: &mut Scenario| {
        scenario.guards = Guards { windows: false, ..Guards::ALL };
    };
    assert!(caught(forgotten) > 0);
}

#[test]
fn fences_that_are_not_written_down_are_caught() {
    let forgotten = |scenario: &mut Scenario| {
        scenario.guards = Guards { fences: false, ..Guards::ALL };
    };
    assert!(caught(forgotten) > 0);
}
