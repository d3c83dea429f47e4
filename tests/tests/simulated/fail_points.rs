//! Guarantee 10 at every step that outlives a process: servers and the master die before, after or in the middle of one, on
//! simulated disks that lose and tear what was not synced, and what was acknowledged is there once and only once.
//!
//! Steps are drawn by kind, so that those that a job does once have their turn beside the thousands of batches of a journal
//! (docs/adr/0041-fail-points.md).

use ps_runtime::files::{FailPoint, Moment};
use ps_server::WriterSettings;
use ps_tests::sim::cluster::{Outcome, Scenario};
use ps_tests::sim::faults::{Event, Weather};
use ps_tests::sim::scenarios::fail_points;
use ps_tests::sim::{managed, seeds};
use std::collections::BTreeSet;
use std::time::Duration;

const SEEDS: u64 = 60;

/// Where processes of this role died: `before sync journal-000001.log`, without the numbers of files.
fn deaths(outcome: &Outcome, role: &str) -> Vec<String> {
    let words = format!(" {role}");
    let died = outcome.trace.iter().filter(|line| line.contains(&words));
    let places = died.filter_map(|line| Some(line.split_once(" dies ")?.1));
    places.map(|place| place.chars().filter(|it| !it.is_ascii_digit()).collect()).collect()
}

fn worker_died(outcome: &Outcome) -> bool {
    outcome.trace.iter().any(|line| line.contains("Crash(\"worker"))
}

#[test]
fn what_is_acknowledged_outlives_a_death_at_any_durable_step() {
    let outcomes = seeds::run_all(seeds::wanted(SEEDS), |seed| {
        managed::run_with_checkpoints(&fail_points(seed))
    });
    seeds::assert_none_violated("fail_points", &outcomes);
    let died = |role: &str| outcomes.iter().flat_map(|it| deaths(it, role)).collect::<Vec<_>>();
    let (servers, masters) = (died("server"), died("master"));
    let places: BTreeSet<&String> = servers.iter().chain(&masters).collect();
    println!(
        "{} seeds, {} deaths of servers, {} of masters, at {} different places: {places:#?}",
        outcomes.len(),
        servers.len(),
        masters.len(),
        places.len()
    );
    for outcome in &outcomes {
        assert_eq!(outcome.result("master"), &Ok(0), "seed {}", outcome.seed);
        let is_again = !worker_died(outcome) && outcome.pushes != fail_points(outcome.seed).steps();
        assert!(!is_again, "seed {}: no worker died, and {} pushes", outcome.seed, outcome.pushes);
    }
    if outcomes.len() as u64 >= SEEDS {
        assert!(
            servers.len() > outcomes.len() && masters.len() > outcomes.len() / 2,
            "hardly any death"
        );
        let kinds = ["create", "write", "sync", "rename", "sync-names", "remove"];
        for (died, moment) in
            [(&servers, "before"), (&servers, "after"), (&masters, "before"), (&masters, "after")]
        {
            let words = kinds.map(|kind| format!("{moment} {kind} "));
            let missing =
                words.iter().filter(|words| !died.iter().any(|it| it.starts_with(*words)));
            assert_eq!(missing.collect::<Vec<_>>(), Vec::<&String>::new(), "nobody died there");
        }
    }
}

/// A job in which nothing else goes wrong than that this process dies before or after one of its steps.
fn with_point(host: &str, moment: Moment, count: u64) -> Outcome {
    let point = FailPoint { moment, step: None, count };
    let script = vec![(Duration::ZERO, Event::FailAt(host.to_owned(), vec![point]))];
    managed::run_with_checkpoints(&Scenario { script, weather: Weather::FAIR, ..fail_points(1) })
}

/// How many steps the process does in such a job: it does not die at one that it does not come to.
fn steps_of(host: &str) -> u64 {
    let (mut reached, mut beyond) = (0, 1);
    let dies = |count| !deaths(&with_point(host, Moment::After, count), host).is_empty();
    while dies(beyond) {
        (reached, beyond) = (beyond, beyond * 2);
    }
    while beyond - reached > 1 {
        let middle = (reached + beyond) / 2;
        *(if dies(middle) { &mut reached } else { &mut beyond }) = middle;
    }
    reached
}

/// Found while fail points were made: a master that was killed between its first sign of life and its first state, or after it had removed its
/// state at the end, ended the job with a failure; so did a server that was killed while it removed its journal.
#[test]
fn regression_who_dies_at_its_first_or_last_steps_does_not_end_the_job() {
    for host in ["master", "server0"] {
        let steps = steps_of(host);
        assert!(steps > 30, "{host} did {steps} steps");
        for count in (1..12).chain(steps - 11..=steps) {
            for moment in [Moment::Before, Moment::After] {
                let outcome = with_point(host, moment, count);
                let place = deaths(&outcome, host);
                assert_eq!(place.len(), 1, "{host}, {moment:?} {count} of {steps}");
                assert_eq!(
                    outcome.result("master"),
                    &Ok(0),
                    "{host}, {count} of {steps}: {place:?}"
                );
                assert_eq!(outcome.violation, None, "{host}, {count} of {steps}: {place:?}");
                assert_eq!(
                    outcome.pushes,
                    fail_points(1).steps(),
                    "{host}, {count} of {steps}: {place:?}"
                );
            }
        }
    }
}

/// The seeds of which a run goes wrong, or does not end well.
fn caught(change: impl Fn(&mut Scenario) + Sync) -> usize {
    let outcomes = seeds::run_all(seeds::wanted(SEEDS), |seed| {
        let mut scenario = fail_points(seed);
        change(&mut scenario);
        managed::run_with_checkpoints(&scenario)
    });
    let goes_wrong = |it: &&Outcome| it.violation.is_some() || *it.result("master") != Ok(0);
    let wrong = outcomes.iter().filter(goes_wrong).count();
    println!("{wrong} of {} go wrong", outcomes.len());
    wrong
}

/// What fail points are good for: a step that is left out is found.
#[test]
fn a_journal_that_is_not_synced_is_caught() {
    let unsynced = |scenario: &mut Scenario| {
        let journal = scenario.journal.unwrap_or_default();
        scenario.journal = Some(WriterSettings { is_synced: false, ..journal });
    };
    assert!(caught(unsynced) > 0);
}
