//! The jobs that are simulated over and over, a seed each.

use super::cluster::Scenario;
use super::faults::{Event, Weather};
use super::ledger::Shape;
use ps_core::settings::Wire;
use ps_core::shard::Guards;
use ps_server::WriterSettings;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::Duration;

/// A network that loses, delays and cuts, and workers that die and come back.
pub fn storm(seed: u64) -> Scenario {
    // Every eighth run has pushes of several messages, which a death can tear between chunks.
    let is_large = seed % 8 == 3;
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
    // Two messages a shard, so that a death can tear a push; they take ten times as long as the others.
    let is_large = seed % 16 == 3;
    Scenario {
        seed,
        servers: SERVERS,
        shape: Shape {
            hosts: 3,
            pushes_max: 400,
            stride: if is_large { 1536 } else { 16 },
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
        state_lags_by: 0,
        servers_go_back: false,
        longest: Duration::from_secs(240),
    }
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
