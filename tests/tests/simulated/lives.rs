//! Guarantee 3 across lives of a job: whoever survives its master, or its servers, changes nothing in the
//! next life, and is taken for nobody there.
//!
//! The whole cluster over a simulated network. In the middle of the run the master dies and is started
//! again, servers with it or soon after; workers and the evaluator live on. What lives that are over have
//! left in the final weights must be exactly what was restored, and everything else as it always must.

use ps_core::settings::Wire;
use ps_core::shard::Guards;
use ps_runtime::files::SimulatedDisk;
use ps_tests::sim::cluster::{LEASE, Scenario};
use ps_tests::sim::faults::{Event, Weather};
use ps_tests::sim::ledger::{Ledger, Shape};
use ps_tests::sim::managed::{Ran, live};
use ps_tests::sim::seeds;
use ps_tests::sim::shares::Data;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const SEEDS: u64 = 500;
const PASSES: u64 = 4;

fn scenario(seed: u64) -> Scenario {
    let servers = 1 + (seed % 3) as u32;
    Scenario {
        seed,
        servers,
        shape: Shape { hosts: 3, pushes_max: 400, stride: 16, samples: 96, state: 5 },
        passes: PASSES,
        batch_size: 4,
        bound: [None, Some(0), Some(3)][(seed / 3 % 3) as usize],
        depth: [1, 0, 0, 2][(seed / 3 % 4) as usize].min([2, 0, 2][(seed / 3 % 3) as usize]),
        weather: Weather {
            storm: Duration::from_secs(2),
            network_every: Duration::from_millis(200),
            network_longest: Duration::from_millis(400),
            deaths: (seed % 4 == 3).into(),
        },
        script: script(seed, servers),
        guards: Guards::ALL,
        lives: true,
        wire: Wire::default(),
        journal: None,
        state_lags_by: 0,
        servers_go_back: false,
        longest: Duration::from_secs(240),
    }
}

/// The master dies in the middle of the job, and is back before anybody gives it up.
fn script(seed: u64, servers: u32) -> Vec<(Duration, Event)> {
    let mut random = ChaCha8Rng::seed_from_u64(seed ^ 0x11fe);
    let mut events = Vec::new();
    let at = Duration::from_millis(random.random_range(600..2600));
    let back = at + LEASE.mul_f64(random.random_range(0.02..0.4));
    events.push((at, Event::LifeEnds));
    events.push((at, Event::Crash("master".into())));
    events.push((back, Event::Restart("master".into())));
    // A worker may not hear of it for a while, and goes on with what it had begun.
    if random.random_bool(0.7) {
        let worker = format!("worker{}", random.random_range(0..3));
        let link = (worker, "master".to_owned());
        let whole = back + LEASE.mul_f64(random.random_range(0.1..0.5));
        events.push((at, Event::Partition(link.0.clone(), link.1.clone())));
        events.push((whole, Event::Repair(link.0, link.1)));
    }
    // Its servers die with it, or leave when they hear that their life is over, and are started again. One
    // that this life never heard of enters the next one, and stays.
    let together = random.random_bool(0.6);
    for server in (0..servers).map(|shard| format!("server{shard}")) {
        if together {
            let back = back.mul_f64(random.random_range(0.99..1.05)).max(at);
            events.push((at, Event::Crash(server.clone())));
            events.push((back, Event::Restart(server)));
        } else {
            let from = back + LEASE.mul_f64(random.random_range(0.0..1.3));
            events.push((from, Event::Supervise(server)));
        }
    }
    events
}

/// One run; what is wrong with it.
fn run(scenario: &Scenario) -> (Ran, Option<String>) {
    let ledger = Ledger::new(scenario.shape);
    // Every other job keeps checkpoints, and goes on from the newest.
    let folder = SimulatedDisk::default();
    let folder = scenario.seed.is_multiple_of(2).then_some(&folder);
    let ran = live(scenario, &Data::Replicated, &ledger, folder, Duration::MAX);
    if was_over(scenario, &ran) {
        return (ran, None);
    }
    let wrong = match ran.outcome.result("master") {
        Ok(0) => ran.outcome.violation.clone().or(ran.over(&ledger)).or_else(|| {
            let missing = ledger.missing(&ran.weights, PASSES);
            (!missing.is_empty()).then(|| format!("samples that are not in the model: {missing:?}"))
        }),
        other => Some(format!("the master ended with {other:?}")),
    };
    (ran, wrong)
}

/// Whether the job had ended, and its workers left, before its master died: nobody was there to go on.
fn was_over(scenario: &Scenario, ran: &Ran) -> bool {
    let died = scenario.script.iter().find(|(_, event)| *event == Event::LifeEnds).unwrap().0;
    let ended = |name: &String| ran.outcome.hosts[name].ended.is_some_and(|ended| ended <= died);
    scenario.worker_names().iter().all(ended)
}

#[test]
fn whoever_survives_a_life_of_the_job_changes_nothing_in_the_next() {
    let (resumed, over) = (AtomicU64::new(0), AtomicU64::new(0));
    let outcomes = seeds::run_all(seeds::wanted(SEEDS), |seed| {
        let scenario = scenario(seed);
        let (ran, wrong) = run(&scenario);
        let replay = "cargo test --release -p ps-tests --test simulated lives:: -- --nocapture";
        assert_eq!(wrong, None, "seed {seed}; replay with: PS_SIM_SEED={seed} {replay}");
        resumed.fetch_add(ran.report["resumed"].is_object().into(), Ordering::Relaxed);
        over.fetch_add(was_over(&scenario, &ran).into(), Ordering::Relaxed);
        ran.outcome
    });
    let over = over.into_inner();
    let (runs, resumed) = (outcomes.len() as u64, resumed.into_inner());
    let fenced: u64 = outcomes.iter().map(|outcome| outcome.fenced).sum();
    println!("{runs} jobs ({over} over before), {resumed} resumed, {fenced} calls fenced");
    if runs >= SEEDS {
        assert!(resumed > runs / 8 && over < runs / 20 && fenced > 0);
    }
}

/// The same run, but no worker hears of the new life until long after its servers hold what was restored.
fn unheard(mut scenario: Scenario) -> Scenario {
    let died = scenario.script.iter().find(|(_, event)| *event == Event::LifeEnds).unwrap().0;
    let is_heard = |event: &Event| matches!(event, Event::Partition(..) | Event::Repair(..));
    scenario.script.retain(|(_, event)| !is_heard(event));
    for worker in scenario.worker_names() {
        let (worker, master) = (worker, "master".to_owned());
        scenario.script.push((died, Event::Partition(worker.clone(), master.clone())));
        // Before it gives its master up.
        scenario.script.push((died + LEASE.mul_f64(0.9), Event::Repair(worker, master)));
    }
    scenario
}

/// Whether a run is wrong; one that hangs panics.
fn is_wrong(scenario: &Scenario) -> bool {
    let wrong = catch_unwind(AssertUnwindSafe(|| run(scenario).1));
    if !matches!(wrong, Ok(None)) {
        println!("seed {}: {wrong:?}", scenario.seed);
    }
    !matches!(wrong, Ok(None))
}

/// Whether runs are wrong only because something is switched off; else the ones above could not fail.
fn is_caught(
    prepare: impl Fn(Scenario) -> Scenario + Sync,
    switch_off: impl Fn(Scenario) -> Scenario + Sync,
) -> bool {
    let (next, caught) = (AtomicU64::new(0), AtomicBool::new(false));
    let search = || {
        while !caught.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= SEEDS {
                return;
            }
            let whole = prepare(scenario(seed));
            if is_wrong(&switch_off(whole.clone())) && !is_wrong(&whole) {
                caught.store(true, Ordering::Relaxed);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(search);
        }
    });
    caught.into_inner()
}

#[test]
fn without_a_number_of_the_jobs_life_the_runs_fail() {
    assert!(is_caught(|scenario| scenario, |scenario| Scenario { lives: false, ..scenario }));
}

#[test]
fn without_the_fence_around_what_is_restored_the_runs_fail() {
    let guards = Guards { lives: false, ..Guards::ALL };
    assert!(is_caught(unheard, |scenario| Scenario { guards, ..scenario }));
}
