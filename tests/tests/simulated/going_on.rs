//! Guarantee 4: a checkpoint is all or nothing, and a job that is started again goes on from the
//! newest complete one, on any number of servers.
//!
//! The whole cluster over a simulated network, killed at a random time with everything in it, and
//! started again with the files that it left. Every push of both lives is checked in the final
//! weights: none is there twice, and every sample is there at least once for each pass. Each checkpoint that it left is of
//! one moment on all shards.

use ps_core::checkpoint::names;
use ps_core::settings::Wire;
use ps_core::shard::Guards;
use ps_runtime::files::{FileStore, SimulatedDisk};
use ps_tests::sim::cluster::{Outcome, Scenario};
use ps_tests::sim::faults::Weather;
use ps_tests::sim::ledger::{Ledger, Shape};
use ps_tests::sim::managed::{Ran, complete_checkpoints, live};
use ps_tests::sim::seeds;
use ps_tests::sim::shares::Data;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const SEEDS: u64 = 90;
const PASSES: u64 = 4;

fn scenario(seed: u64, servers: u64) -> Scenario {
    Scenario {
        seed,
        servers: 1 + (servers % 3) as u32,
        shape: Shape { hosts: 2, pushes_max: 300, stride: 16, samples: 96, state: 0 },
        passes: PASSES,
        batch_size: 4,
        bound: [None, Some(0), Some(3)][(seed / 3 % 3) as usize],
        depth: [2, 0, 1][(seed / 3 % 3) as usize],
        weather: Weather {
            storm: Duration::from_secs(2),
            network_every: Duration::from_millis(150),
            network_longest: Duration::from_millis(500),
            deaths: (seed % 2) as u32,
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

/// A first life that was killed, and what it left.
struct Killed {
    seed: u64,
    ledger: Ledger,
    folder: SimulatedDisk,
}

impl Killed {
    /// Kills the cluster some time between its start and after its end.
    fn at_random(seed: u64) -> Self {
        let end = Duration::from_millis(1000 + seed * 7919 % 4500);
        Self::at(scenario(seed, seed), end)
    }

    fn at(scenario: Scenario, end: Duration) -> Self {
        Self::on(SimulatedDisk::default(), scenario, end)
    }

    fn on(folder: SimulatedDisk, scenario: Scenario, end: Duration) -> Self {
        let seed = scenario.seed;
        let ledger = Ledger::new(scenario.shape);
        folder.write("notes.txt", b"not ours").unwrap();
        let first = live(&scenario, &Data::Replicated, &ledger, Some(&folder), end);
        assert_eq!(first.outcome.violation, None, "seed {seed}");
        for (number, chunks) in complete_checkpoints(&folder) {
            let checked = ledger.check_moment(&chunks, scenario.weather.deaths > 0);
            checked.unwrap_or_else(|error| panic!("seed {seed}: checkpoint {number}: {error}"));
        }
        ledger.next_life();
        Self { seed, ledger, folder }
    }

    /// Numbers of the manifests, in order.
    fn manifests(&self) -> Vec<u64> {
        let names = self.folder.list().unwrap();
        names.iter().filter_map(|name| names::parse_manifest_file(name)).collect()
    }

    fn shard_files(&self, number: u64) -> Vec<String> {
        let is_of =
            |name: &String| names::parse_shard_file(name).is_some_and(|file| file.number == number);
        self.folder.list().unwrap().into_iter().filter(is_of).collect()
    }

    /// One of the things that may happen to a checkpoint's files.
    fn damage(&self, number: u64, how: u64) {
        let files = self.shard_files(number);
        let file = &files[(how / 3) as usize % files.len()];
        match how % 3 {
            0 => self.folder.remove(file).unwrap(),
            1 => self.change(file, |bytes| {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 4;
            }),
            _ => self.change(&names::manifest_file(number), |bytes| {
                bytes.truncate(bytes.len() - 30);
            }),
        }
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = self.folder.read(name).unwrap();
        change(&mut bytes);
        self.folder.write(name, &bytes).unwrap();
    }

    /// Starts it again, on as many servers.
    fn again(&self, servers: u64) -> Ran {
        let scenario = scenario(self.seed, servers);
        live(&scenario, &Data::Replicated, &self.ledger, Some(&self.folder), Duration::MAX)
    }

    /// What must be true of a second life that ended well.
    fn check(&self, ran: Ran, from: Option<u64>) -> Outcome {
        let seed = self.seed;
        assert_eq!(ran.outcome.result("master"), &Ok(0), "seed {seed}: {:?}", ran.outcome.hosts);
        assert_eq!(ran.outcome.violation, None, "seed {seed}");
        assert_eq!(ran.report["resumed"]["checkpoint"].as_u64(), from, "seed {seed}");
        let missing = self.ledger.missing(&ran.weights, PASSES);
        assert_eq!(missing, [], "seed {seed}: samples that are not in the model often enough");
        let passes = ran.report["passes"].as_array().unwrap().len() as u64;
        assert_eq!(passes, PASSES, "seed {seed}");
        let notes = self.folder.read("notes.txt").unwrap();
        assert_eq!(notes, b"not ours", "seed {seed}");
        ran.outcome
    }
}

/// Found by kills on a full disk: the job did not start, though there was a checkpoint to go on from.
#[test]
fn regression_a_full_disk_that_holds_a_checkpoint_is_gone_on_from() {
    let killed = Killed::at(scenario(4, 2), Duration::from_millis(6500));
    let newest = killed.manifests().last().copied();
    assert!(newest.is_some(), "no checkpoint was taken in time");
    let names = killed.folder.list().unwrap();
    let used: usize = names.iter().map(|name| killed.folder.read(name).unwrap().len()).sum();
    killed.folder.set_room(Some(used as u64));
    let ran = killed.again(2);
    killed.check(ran, newest);
}

#[test]
fn a_cluster_that_dies_goes_on_from_its_newest_checkpoint() {
    let (resumed, unfinished) = (AtomicU64::new(0), AtomicU64::new(0));
    let outcomes = seeds::run_all(seeds::wanted(SEEDS), |seed| {
        let killed = Killed::at_random(seed);
        let newest = killed.manifests().last().copied();
        // As many servers as before, or another number.
        let ran = killed.again(seed + seed / 3 % 3);
        if let Some(done) = ran.report["resumed"]["samples_done"].as_u64() {
            resumed.fetch_add(1, Ordering::Relaxed);
            unfinished.fetch_add(u64::from(done < 96 * PASSES), Ordering::Relaxed);
        }
        killed.check(ran, newest)
    });
    let (resumed, unfinished) = (resumed.into_inner(), unfinished.into_inner());
    println!(
        "{} second lives, {resumed} went on from a checkpoint, {unfinished} of these had something \
         left to train",
        outcomes.len()
    );
    let runs = outcomes.len() as u64;
    if runs >= SEEDS {
        assert!(unfinished > runs / 5, "hardly any was killed in the middle");
        assert!(resumed < runs, "none was killed before the first checkpoint");
    }
}

#[test]
fn a_manifest_that_is_there_before_its_shards_is_caught() {
    let caught = (0..20).filter(|seed| {
        let folder = SimulatedDisk::default();
        folder.rename_late(|name| names::parse_shard_file(name).is_some());
        let run = || Killed::on(folder, scenario(*seed, *seed), Duration::from_millis(4000));
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err()
    });
    assert!(caught.count() > 0);
}

/// Killed late enough to have two checkpoints.
fn with_two(seed: u64) -> Killed {
    let fair = Scenario { weather: Weather::FAIR, ..scenario(seed, seed) };
    let killed = Killed::at(fair, Duration::from_secs(60));
    assert_eq!(killed.manifests().len(), 2, "seed {seed}");
    killed
}

#[test]
fn a_torn_checkpoint_leads_to_the_one_before() {
    seeds::run_all(0..18, |seed| {
        let killed = with_two(seed);
        let numbers = killed.manifests();
        killed.damage(numbers[1], seed);
        let ran = killed.again(seed / 2);
        killed.check(ran, Some(numbers[0]))
    });
}

#[test]
fn when_all_are_torn_the_job_stops_with_the_reason() {
    seeds::run_all(0..9, |seed| {
        let killed = with_two(seed);
        let before = killed.manifests();
        before.iter().for_each(|number| killed.damage(*number, seed));
        let ran = killed.again(seed);
        let error = ran.outcome.result("master").clone().unwrap_err();
        let newest = format!("checkpoint {}", before[1]);
        for words in ["none of the 2", &newest, "--checkpoints"] {
            assert!(error.contains(words), "seed {seed}: {words} in {error}");
        }
        assert_eq!(killed.manifests(), before, "seed {seed}: nothing is thrown away");
        ran.outcome
    });
}
