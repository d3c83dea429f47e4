//! What goes wrong in a run, and when: drawn from the seed before anything else.

use ps_runtime::files::FailPoint;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::Duration;

/// One thing that happens to the cluster.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Nothing passes between two hosts: what is sent is lost.
    Partition(String, String),
    /// Nothing passes from the first to the second.
    PartitionOneWay(String, String),
    /// What is sent between two hosts is kept and delivered later.
    Hold(String, String),
    /// The network between two hosts is whole again.
    Repair(String, String),
    /// What was kept is delivered.
    Release(String, String),
    /// A process dies.
    Crash(String),
    /// It is started again.
    Restart(String),
    /// It is started again, once, if it has ended by itself, or ends later and not well.
    Supervise(String),
    /// Everything between two hosts takes this long from now on.
    Slow(String, String, Duration),
    /// A server goes to another port of its host, alive, with what it holds.
    Move(String, u16),
    /// The processes of a host die at these durable steps, one after another, and are started again.
    FailAt(String, Vec<FailPoint>),
    /// A life of the job is over: its master dies now, maybe its servers, too; others may survive them.
    LifeEnds,
}

/// What may go wrong in a run.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Until when faults begin.
    pub storm: Duration,
    /// Mean time between two faults of the network.
    pub network_every: Duration,
    /// Longest fault of the network.
    pub network_longest: Duration,
    /// Deaths of workers, each restarted after a while with even odds.
    pub deaths: u32,
}

impl Weather {
    /// Nothing goes wrong by itself.
    pub const FAIR: Self = Self {
        storm: Duration::ZERO,
        network_every: Duration::from_secs(1),
        network_longest: Duration::ZERO,
        deaths: 0,
    };
}

/// The events of a run in the order of their times.
///
/// Links are drawn from `links`, deaths from `mortals`; the first mortal never dies for good, so that
/// somebody is left to finish.
pub fn plan(
    seed: u64,
    weather: &Weather,
    links: &[(String, String)],
    mortals: &[String],
) -> Vec<(Duration, Event)> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut events = Vec::new();
    let mut at = Duration::ZERO;
    loop {
        at += weather.network_every.mul_f64(random.random_range(0.2..2.0));
        if at >= weather.storm {
            break;
        }
        let Some((a, b)) = links.choose(&mut random).cloned() else {
            break;
        };
        let end = at + weather.network_longest.mul_f64(random.random_range(0.05..1.0));
        match random.random_range(0..4) {
            0 => {
                events.push((at, Event::Partition(a.clone(), b.clone())));
                events.push((end, Event::Repair(a, b)));
            }
            1 => {
                events.push((at, Event::PartitionOneWay(a.clone(), b.clone())));
                events.push((end, Event::Repair(a, b)));
            }
            2 => {
                events.push((at, Event::PartitionOneWay(b.clone(), a.clone())));
                events.push((end, Event::Repair(a, b)));
            }
            _ => {
                events.push((at, Event::Hold(a.clone(), b.clone())));
                events.push((end, Event::Release(a, b)));
            }
        }
    }
    let mut dead_until: Vec<Duration> = vec![Duration::ZERO; mortals.len()];
    for _ in 0..weather.deaths {
        let at = weather.storm.mul_f64(random.random_range(0.0..1.0));
        let who = random.random_range(0..mortals.len().max(1));
        let Some(name) = mortals.get(who).filter(|_| dead_until[who] <= at) else {
            continue;
        };
        events.push((at, Event::Crash(name.clone())));
        if who == 0 || random.random_bool(0.5) {
            let back = at + weather.storm.mul_f64(random.random_range(0.01..0.3));
            events.push((back, Event::Restart(name.clone())));
            dead_until[who] = back;
        } else {
            dead_until[who] = Duration::MAX;
        }
    }
    events.sort_by(|a, b| (a.0, format!("{:?}", a.1)).cmp(&(b.0, format!("{:?}", b.1))));
    events
}

/// Makes one event happen.
pub fn apply(sim: &mut turmoil::Sim<'_>, event: &Event) {
    match event {
        Event::Partition(a, b) => sim.partition(a.as_str(), b.as_str()),
        Event::PartitionOneWay(a, b) => sim.partition_oneway(a.as_str(), b.as_str()),
        Event::Hold(a, b) => sim.hold(a.as_str(), b.as_str()),
        Event::Repair(a, b) => sim.repair(a.as_str(), b.as_str()),
        Event::Release(a, b) => sim.release(a.as_str(), b.as_str()),
        Event::Crash(host) => sim.crash(host.as_str()),
        Event::Restart(host) => sim.bounce(host.as_str()),
        Event::LifeEnds | Event::Move(..) | Event::Supervise(_) | Event::FailAt(..) => (),
        Event::Slow(a, b, latency) => sim.set_link_latency(a.as_str(), b.as_str(), *latency),
    }
}
