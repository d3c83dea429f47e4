//! Hosts whose processes die at a chosen durable step, and are started again.
//!
//! A simulated process cannot be stopped in the middle of a call. So from its fail point on it is cut off instead: no step of it
//! has an effect, nothing that it says leaves its host, and nobody notes how it ended. What it still computes is gone with it
//! when the run takes it away, a tick of virtual time (2 ms) later at the latest.

use super::books::Books;
use super::faults::{self, Event};
use super::lock::lock;
use ps_runtime::files::{AtDurableSteps, DurableStep, DurableSteps, FailPoint};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::VecDeque;
use std::io;
use std::time::Duration;

/// How long it takes until a process that died is started again, in milliseconds.
const RESTART_MS: std::ops::Range<u64> = 20..600;

impl Books {
    /// The processes of a host die at these points, one each, the next one first.
    pub(super) fn fail_at(&self, host: &str, points: &[FailPoint]) {
        lock(&self.fail_points).points.insert(host.to_owned(), points.iter().copied().collect());
    }

    /// The durable steps of a process that begins on a host.
    pub(super) fn begin_process(&self, host: &str) -> DurableSteps {
        let queue = &mut lock(&self.fail_points).points;
        let point = queue.get_mut(host).and_then(VecDeque::pop_front);
        DurableSteps::new(point, Process { host: host.to_owned(), books: self.clone() })
    }

    /// Others know where the process of this host is: the next one is told to go on from what it left.
    pub(super) fn is_known(&self, host: &str) {
        if !self.is_dead(host) {
            lock(&self.fail_points).known.insert(host.to_owned());
        }
    }

    /// Whether a process of this host was.
    pub(super) fn was_known(&self, host: &str) -> bool {
        lock(&self.fail_points).known.contains(host)
    }

    /// Whether the process of this host is dead, and does not know it.
    pub(super) fn is_dead(&self, host: &str) -> bool {
        lock(&self.fail_points).dead.contains(host)
    }

    fn others(&self, host: &str) -> Vec<String> {
        lock(&self.hosts).keys().filter(|other| *other != host).cloned().collect()
    }

    /// Takes away the processes that have died since, and says when they are started again.
    pub(super) fn bury(&self, sim: &mut turmoil::Sim<'_>, seed: u64) -> Vec<(Duration, Event)> {
        let dead = lock(&self.fail_points).dead.clone();
        let mut restarts = Vec::new();
        for host in dead {
            let seed = seed ^ sim.elapsed().as_micros() as u64;
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            lock(&self.hosts).entry(host.clone()).or_default().running = false;
            let repair = |sim: &mut turmoil::Sim<'_>| {
                let others = self.others(&host).into_iter();
                others.for_each(|it| faults::apply(sim, &Event::Repair(host.clone(), it)));
            };
            // Its system may tell the others that its connections are gone, or have died with it.
            if random.random_bool(0.5) {
                repair(sim);
            }
            faults::apply(sim, &Event::Crash(host.clone()));
            repair(sim);
            self.lose_power(&host, seed);
            lock(&self.fail_points).dead.remove(&host);
            let pause = random.random_range(RESTART_MS);
            let at = sim.elapsed() + Duration::from_millis(pause);
            restarts.push((at, Event::Restart(host)));
        }
        restarts
    }
}

/// A simulated process.
struct Process {
    host: String,
    books: Books,
}

impl AtDurableSteps for Process {
    fn begins(&self, _: DurableStep, _: &str) {}

    fn dies(&self, at: &str) -> io::Error {
        self.books.note(format!("{} dies {at}", self.host));
        // What it said in its last milliseconds is lost with it; `scenarios::durable` has deaths after which that arrives.
        for other in self.books.others(&self.host) {
            turmoil::partition_oneway(self.host.as_str(), other.as_str());
        }
        lock(&self.books.fail_points).dead.insert(self.host.clone());
        self.is_dying()
    }

    fn is_dying(&self) -> io::Error {
        io::Error::other("this process is dead")
    }
}
