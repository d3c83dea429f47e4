//! Guarantee 1, through deaths of servers: with a journal an acknowledged push outlives its server's process, once and
//! only once, and training goes on by itself.
//!
//! The whole cluster over a simulated network, on simulated disks that lose and tear what was not synced. Servers die at
//! any time and are started again with what their disks kept; every push is checked element by element (`sim::ledger`).
//! With any part of the promise left out, the same runs find it.

#![allow(clippy::unwrap_used)] // A test fails by panicking, its helpers too.

use ps_core::shard::Guards;
use ps_server::WriterSettings;
use ps_tests::sim::cluster::{Outcome, Scenario};
use ps_tests::sim::scenarios::durable;
use ps_tests::sim::{managed, seeds};

/// Seeds of jobs, and of those in which a part of the promise is left out.
const SEEDS: u64 = 100;
const SEEDS_MUTATED: u64 = 100;

fn died(outcome: &Outcome) -> usize {
    outcome.trace.iter().filter(|line| line.contains("Crash(\"server")).count()
}

#[test]
fn acknowledged_pushes_outlive_their_servers_once_and_only_once() {
    let outcomes = seeds::run_all(seeds::wanted(SEEDS), |seed| managed::run(&durable(seed)));
    seeds::assert_none_violated("durable", &outcomes);
    let sum = |count: fn(&Outcome) -> u64| outcomes.iter().map(count).sum::<u64>();
    let deaths: usize = outcomes.iter().map(died).sum();
    println!(
        "{} seeds, {deaths} deaths of servers, {} pushes, {} acknowledged, {} repeated after they were finished",
        outcomes.len(),
        sum(|outcome| outcome.pushes as u64),
        sum(|outcome| outcome.acknowledged as u64),
        sum(|outcome| outcome.duplicates),
    );
    for outcome in &outcomes {
        assert_eq!(outcome.result("master"), &Ok(0), "seed {}", outcome.seed);
    }
    assert!(deaths > outcomes.len(), "nobody died");
}

/// The seeds of which a run goes wrong, or does not end well.
fn caught(change: impl Fn(&mut Scenario) + Sync) -> usize {
    let outcomes = seeds::run_all(seeds::wanted(SEEDS_MUTATED), |seed| {
        let mut scenario = durable(seed);
        change(&mut scenario);
        managed::run(&scenario)
    });
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

#[test]
fn windows_that_are_forgotten_are_caught() {
    let forgotten = |scenario: &mut Scenario| {
        scenario.guards = Guards { windows: false, ..Guards::ALL };
    };
    assert!(caught(forgotten) > 0);
}
