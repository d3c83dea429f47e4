//! Running many seeds, on all cores, and one of them again.

use super::cluster::Outcome;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The seeds to run: `PS_SIM_SEED=n` replays one, `PS_SIM_SEEDS=n` runs so many.
pub fn wanted(default: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    match number("PS_SIM_SEED") {
        Some(seed) => {
            show_logs();
            seed..seed + 1
        }
        None => 0..number("PS_SIM_SEEDS").unwrap_or(default),
    }
}

/// Runs a simulation for each seed on all cores; the outcomes in the order of the seeds.
///
/// # Panics
/// A run hangs or panics.
pub fn run_all(seeds: std::ops::Range<u64>, run: impl Fn(u64) -> Outcome + Sync) -> Vec<Outcome> {
    let next = AtomicU64::new(seeds.start);
    let outcomes = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let outcome = run(seed);
                    super::lock::lock(&outcomes).push((seed, outcome));
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    outcomes.sort_by_key(|(seed, _)| *seed);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

/// Real time within which a run is the same whenever it is run.
///
/// h2 remembers for a second of the real clock, which no simulation can move, that it has reset a
/// stream; what comes for that stream later is answered, and everything after might be different.
const REPEATABLE: Duration = Duration::from_millis(900);

/// The outcomes of two equal runs. Two that differ are run again, a few times, if one of them took
/// longer than `REPEATABLE`, as each does on a slow machine: only then may a difference be h2's.
pub fn twice<T: PartialEq>(run: impl Fn() -> T) -> (T, T) {
    const TRIES: u32 = 10;
    let timed = || {
        align_task_ids();
        let start = Instant::now();
        let outcome = run();
        (outcome, start.elapsed() > REPEATABLE)
    };
    let mut tries = 1;
    loop {
        let ((one, one_slow), (two, two_slow)) = (timed(), timed());
        if one == two || tries == TRIES || !(one_slow || two_slow) {
            return (one, two);
        }
        tries += 1;
    }
}

/// Begins a run with the same task ids, as far as they matter: a host that dies drops its tasks, and
/// so its connections, in an order that tokio takes from the ids, which are counted in the whole
/// process. No other test may run beside.
fn align_task_ids() {
    const ALIKE: u64 = 1024;
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.unwrap_or_else(|error| panic!("a runtime: {error}"));
    runtime.block_on(async {
        while tokio::spawn(async {}).id().to_string().parse::<u64>().is_ok_and(|id| id % ALIKE > 0)
        {
        }
    });
}

/// Fails with the command that replays the first seed whose outcome is wrong.
///
/// # Panics
/// An outcome is wrong.
pub fn assert_none_violated(test: &str, outcomes: &[Outcome]) {
    for outcome in outcomes {
        if let Some(violation) = &outcome.violation {
            let seed = outcome.seed;
            panic!(
                "seed {seed}: {violation}\nreplay with: PS_SIM_SEED={seed} cargo test --release \
                 -p ps-tests --test simulated {test}:: -- --nocapture"
            );
        }
    }
}

fn show_logs() {
    let level = tracing_subscriber::filter::LevelFilter::DEBUG;
    let format = tracing_subscriber::fmt().with_max_level(level).without_time().with_ansi(false);
    let _ = format.with_writer(std::io::stderr).try_init();
}
