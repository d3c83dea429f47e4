//! Guarantee 1, through deaths of servers: with a journal an acknowledged push outlives its server's process, once and
//! only once, and training goes on by itself.
//!
//! The whole cluster over a simulated network, on simulated disks that lose and tear what was not synced. Servers die at
//! any time and are started again with what their disks kept; every push is checked element by element (`sim::ledger`).
//! With any part of the promise left out, the same runs find it.

#![allow(clippy::unwrap_used)] // A test fails by panicking, its helpers too.

use ps_core::settings::Wire;
use ps_core::shard::Guards;
use ps_server::WriterSettings;
use ps_tests::sim::cluster::{Outcome, Scenario};
use ps_tests::sim::faults::{Event, Weather};
use ps_tests::sim::ledger::Shape;
use ps_tests::sim::{managed, seeds};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::Duration;

/// Seeds of jobs, and of those in which a part of the promise is left out.
const SEEDS: u64 = 100;
const SEEDS_MUTATED: u64 = 100;

const SERVERS: u32 = 2;

fn scenario(seed: u64) -> Scenario {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let is_large = seed % 8 == 3;
    Scenario {
        seed,
        servers: SERVERS,
        shape: Shape {
            hosts: 3,
            pushes_max: 400,
            stride: if is_large { 4096 } else { 16 },
            samples: 192,
            state: 0,
        },
        passes: 3,
        batch_size: 4,
        bound: [None, Some(0), Some(3)][(seed / 3 % 3) as usize],
        depth: [0, 0, 2][(seed / 3 % 3) as usize],
        weather: Weather {
            storm: Duration::from_secs(3),
            network_every: Duration::from_millis(150),
            network_longest: Duration::from_millis(500),
            deaths: (seed % 3) as u32,
        },
        script: deaths(&mut random),
        guards: Guards::ALL,
        lives: true,
        wire: Wire::default(),
        // So long that a process dies between what it applied and what is on its disk.
        journal: Some(WriterSettings {
            linger: Duration::from_millis(random.random_range(0..40)),
            ..WriterSettings::default()
        }),
        longest: Duration::from_secs(240),
    }
}

/// Servers die, one after another or together, and are started again.
fn deaths(random: &mut ChaCha8Rng) -> Vec<(Duration, Event)> {
    let mut script = Vec::new();
    for shard in 0..SERVERS {
        let name = format!("server{shard}");
        let mut at = Duration::from_millis(random.random_range(600..1500));
        for _ in 0..random.random_range(1..5) {
            script.push((at, Event::Crash(name.clone())));
            at += Duration::from_millis(random.random_range(20..900));
            script.push((at, Event::Restart(name.clone())));
            at += Duration::from_millis(random.random_range(150..1200));
        }
    }
    script
}

fn died(outcome: &Outcome) -> usize {
    outcome.trace.iter().filter(|line| line.contains("Crash(\"server")).count()
}

#[test]
fn acknowledged_pushes_outlive_their_servers_once_and_only_once() {
    let outcomes = seeds::run_all(seeds::wanted(SEEDS), |seed| managed::run(&scenario(seed)));
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
        let mut scenario = scenario(seed);
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
