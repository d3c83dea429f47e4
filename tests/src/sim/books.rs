//! What simulated hosts write down, and what outlives them.

use super::faults::{self, Event};
use super::lock::lock;
use ps_runtime::files::{FailPoint, SimulatedDisk};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

/// Port of every simulated server.
pub const SERVER_PORT: u16 = 2223;

/// How one simulated process fared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Host {
    pub(super) running: bool,
    /// When its last life ended by itself.
    pub ended: Option<Duration>,
    /// What that life ended with.
    pub result: Option<Result<u8, String>>,
}

/// Where the processes of hosts die, and who is dead and still there.
#[derive(Default)]
pub(super) struct FailPoints {
    /// Of each host the point of its next process first.
    pub(super) points: BTreeMap<String, VecDeque<FailPoint>>,
    pub(super) dead: BTreeSet<String>,
    /// Hosts that had a process whose place others knew.
    pub(super) known: BTreeSet<String>,
}

/// The books that simulated hosts write to.
#[derive(Clone, Default)]
pub struct Books {
    pub(super) trace: Arc<Mutex<Vec<String>>>,
    pub(super) hosts: Arc<Mutex<BTreeMap<String, Host>>>,
    steps: Arc<Mutex<BTreeMap<String, u64>>>,
    pub(super) gap: Arc<Mutex<u64>>,
    /// Where servers are, by the names of their hosts.
    addresses: Arc<Mutex<BTreeMap<String, watch::Sender<String>>>>,
    /// The disks of hosts that have any, by their names.
    disks: Arc<Mutex<BTreeMap<String, SimulatedDisk>>>,
    pub(super) fail_points: Arc<Mutex<FailPoints>>,
}

impl Books {
    /// Writes down that something happened now.
    pub fn note(&self, what: impl Into<String>) {
        let now = turmoil::sim_elapsed().unwrap_or_default().as_micros();
        lock(&self.trace).push(format!("{now} {}", what.into()));
    }

    /// A process is about to run, and ends by itself.
    pub fn expect(&self, name: &str) {
        lock(&self.hosts).entry(name.to_owned()).or_default().running = true;
    }

    /// A process ended by itself; one that is dead did not.
    pub fn ended(&self, name: &str, result: Result<u8, String>) {
        if self.is_dead(name) {
            return;
        }
        self.note(format!("{name} ended: {result:?}"));
        let ended = turmoil::sim_elapsed();
        let host = Host { running: false, ended, result: Some(result) };
        lock(&self.hosts).insert(name.to_owned(), host);
    }

    /// What happens to a host, as far as it is written down here.
    pub(super) fn hear(&self, event: &Event) {
        let running = |name: &String, is: bool| {
            lock(&self.hosts).entry(name.clone()).or_default().running = is;
        };
        match event {
            Event::Crash(name) => running(name, false),
            Event::Restart(name) => running(name, true),
            Event::Move(name, port) => self.move_to(name, *port),
            Event::FailAt(name, points) => self.fail_at(name, points),
            _ => (),
        }
    }

    /// Starts a process again that ended by itself, however or not well; whether it did.
    pub(super) fn revive(&self, sim: &mut turmoil::Sim<'_>, name: &str, however: bool) -> bool {
        let has_ended = |host: &&mut Host| {
            host.result.as_ref().is_some_and(|result| however || *result != Ok(0))
        };
        let mut hosts = lock(&self.hosts);
        let Some(host) = hosts.get_mut(name).filter(has_ended) else { return false };
        *host = Host { running: true, ..Host::default() };
        drop(hosts);
        lock(&self.trace).push(format!("{} {name} again", sim.elapsed().as_micros()));
        faults::apply(sim, &Event::Restart(name.to_owned()));
        true
    }

    /// Counts a step, and how far it is ahead of the slowest worker that has not ended.
    pub fn stepped(&self, name: &str) {
        let mut steps = lock(&self.steps);
        *steps.entry(name.to_owned()).or_default() += 1;
        let hosts = lock(&self.hosts);
        let runs = |name: &str| hosts.get(name).is_some_and(|host| host.ended.is_none());
        let others = steps.iter().filter(|(name, _)| runs(name.as_str()));
        let slowest = others.map(|(_, steps)| *steps).min().unwrap_or(0);
        let mut gap = lock(&self.gap);
        *gap = (*gap).max(steps[name].saturating_sub(slowest));
    }

    /// Where a server is, which may change.
    pub fn address(&self, host: &str) -> watch::Receiver<String> {
        let mut addresses = lock(&self.addresses);
        let first = || watch::Sender::new(format!("{host}:{SERVER_PORT}"));
        addresses.entry(host.to_owned()).or_insert_with(first).subscribe()
    }

    /// A host's disk, which outlives what runs there.
    pub fn disk(&self, host: &str) -> SimulatedDisk {
        lock(&self.disks).entry(host.to_owned()).or_default().clone()
    }

    /// The power of a host fails.
    pub(super) fn lose_power(&self, host: &str, seed: u64) {
        if let Some(disk) = lock(&self.disks).get(host) {
            disk.crash(seed);
        }
    }

    /// Whether this is about a server or master whose job is over: nobody starts one for it any more.
    pub(super) fn is_too_late(&self, event: &Event) -> bool {
        let (Event::Crash(name) | Event::Restart(name)) = event else { return false };
        let is_over = || lock(&self.hosts).get("master").is_some_and(|host| host.ended.is_some());
        (name.starts_with("server") || name == "master") && is_over()
    }

    pub(super) fn move_to(&self, host: &str, port: u16) {
        if let Some(address) = lock(&self.addresses).get(host) {
            address.send_replace(format!("{host}:{port}"));
        }
    }
}
