//! The jobs that are simulated over and over, a seed each.

use super::cluster::Scenario;
use super::faults::{Event, Weather};
use super::ledger::Shape;
use ps_core::settings::Wire;
use ps_core::shard::Guards;
use ps_runtime::files::{DurableStep, FailPoint, Moment};
use ps_server::WriterSettings;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::Duration;

/// A network that loses, delays and cuts, and workers that die and come back.
pub fn storm(seed: u64) -> Scenario {
    // A few runs have pushes of several messages, which a death can tear between chunks.
    let is_large = seed % 32 == 3;
    let stride = if is_large { 4096 } else { 16 };
    Scenario {
        seed,
        servers: 1 + (seed % 3) as u32,
        shape: Shape { hosts: 3, pushes_max: 200, stride, samples: 192, state: 0 },
        passes: 3,
        batch_size: 4,
        bound: [None, Some(0), Some(3)][(seed / 3 % 3) as usize],
        depth: 0,
        weather: Weather {
            storm: Duration::from_secs(4),
            network_every: Duration::from_millis(60),
            network_longest: Duration::from_millis(1200),
            deaths: if is_large { 8 } else { 2 },
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

/// Servers of a durable job.
const SERVERS: u32 = 2;

/// The same, and servers and the master die, too: what they had on their disks comes back, but for what was not synced.
pub fn durable(seed: u64) -> Scenario {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    // Two messages a shard, so that a death can tear a push: a quarter of the pushes, for they take ten times as long to simulate.
    let is_large = seed % 32 == 3;
    Scenario {
        seed,
        servers: SERVERS,
        shape: Shape {
            hosts: 3,
            pushes_max: if is_large { 160 } else { 400 },
            stride: if is_large { 4096 } else { 16 },
            samples: 192,
            state: 0,
        },
        passes: if is_large { 1 } else { 3 },
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
        state_lags_by: 0,
        servers_go_back: false,
        longest: Duration::from_secs(240),
    }
}

/// The same, but each server and the master die at steps of theirs that outlive them: before, after or in the middle of one that
/// is drawn. Shards are written whole all the time, so that each kind of step is among them.
pub fn fail_points(seed: u64) -> Scenario {
    let mut random = ChaCha8Rng::seed_from_u64(seed ^ 0xFA11);
    let durable = durable(seed);
    let servers = (0..SERVERS).map(|shard| format!("server{shard}"));
    let script = servers.chain(["master".to_owned()]).map(|name| {
        let count = random.random_range(1..6);
        let points = (0..count).map(|_| fail_point(&mut random)).collect();
        (Duration::ZERO, Event::FailAt(name, points))
    });
    let script = script.collect();
    let journal = durable.journal.map(|journal| WriterSettings {
        whole_every_bytes: random.random_range(500..20_000),
        ..journal
    });
    Scenario { script, journal, ..durable }
}

/// A step of any kind: of all of them, most would be those of the batches of a journal.
fn fail_point(random: &mut ChaCha8Rng) -> FailPoint {
    let step = DurableStep::ALL.choose(random).copied();
    let moments = [Moment::Before, Moment::After, Moment::Half];
    let moments = if step == Some(DurableStep::Write) { &moments[..] } else { &moments[..2] };
    let moment = moments.choose(random).copied().unwrap_or(Moment::Before);
    // A process has a few of some kinds, and of others hundreds.
    let most = if random.random_bool(0.5) { 4 } else { 60 };
    FailPoint { moment, step, count: random.random_range(1..=most) }
}

/// A job in memory with checkpoints, whose servers die one after another, or together, and go back alone.
pub fn going_back(seed: u64) -> Scenario {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut script = deaths(&mut random);
    script.retain(|(_, event)| !matches!(event, Event::Crash(name) | Event::Restart(name) if name == "master"));
    let later = Duration::from_millis(random.random_range(300..1200));
    script.iter_mut().for_each(|(at, _)| *at += later);
    Scenario { journal: None, servers_go_back: true, script, ..durable(seed) }
}

/// Servers and the master die, one after another or together, and are started again.
fn deaths(random: &mut ChaCha8Rng) -> Vec<(Duration, Event)> {
    let mut script = Vec::new();
    let servers = (0..SERVERS).map(|shard| format!("server{shard}"));
    for name in servers.chain(["master".to_owned()]) {
        // Some before the first push has come.
        let mut at = Duration::from_millis(random.random_range(50..1500));
        for _ in 0..random.random_range(1..5) {
            script.push((at, Event::Crash(name.clone())));
            at += Duration::from_millis(random.random_range(20..900));
            script.push((at, Event::Restart(name.clone())));
            at += Duration::from_millis(random.random_range(150..1200));
        }
    }
    script
}
