//! What every simulated run has: a scenario, books that the hosts write to, and an outcome.

use super::faults::{self, Event, Weather};
use super::ledger::{Ledger, Shape};
use super::lock::lock;
use ps_core::correction::Correction;
use ps_core::schedule::LearningRate;
use ps_core::settings::TrainingSettings;
use ps_core::settings::Wire;
use ps_core::shard::Guards;
use ps_kernels::optimizer::Optimizer;
use ps_runtime::files::SimulatedDisk;
use ps_server::WriterSettings;
use ps_server::config::{Bounds, Config as ServerConfig};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

/// Port of every simulated server.
pub const SERVER_PORT: u16 = 2223;

/// How long a silent member is waited for, if it is no server that may be away.
pub const LEASE: Duration = Duration::from_secs(3);

/// How long a silent server is waited for.
pub const SERVER_AWAY: Duration = LEASE.saturating_mul(3);

/// What to simulate.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Decides everything.
    pub seed: u64,
    /// Number of servers.
    pub servers: u32,
    /// The job's size.
    pub shape: Shape,
    /// Passes over the samples.
    pub passes: u64,
    /// Samples of a step.
    pub batch_size: u64,
    /// Steps a worker may be ahead.
    pub bound: Option<u64>,
    /// Exchanges under way while a worker computes.
    pub depth: u64,
    /// What goes wrong.
    pub weather: Weather,
    /// What goes wrong at a time of its own, beside the weather.
    pub script: Vec<(Duration, Event)>,
    /// What the servers check.
    pub guards: Guards,
    /// Whether lives of the job are told apart.
    pub lives: bool,
    /// How gradients and weights travel.
    pub wire: Wire,
    /// How servers write their journals, if they have any: on disks that lose what is not synced when they die.
    pub journal: Option<WriterSettings>,
    /// Virtual time after which a run that has not ended is a hang.
    pub longest: Duration,
}

/// How one simulated process fared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Host {
    running: bool,
    /// When its last life ended by itself.
    pub ended: Option<Duration>,
    /// What that life ended with.
    pub result: Option<Result<u8, String>>,
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Of which run.
    pub seed: u64,
    /// The first element of the final weights that is wrong.
    pub violation: Option<String>,
    /// Pushes computed.
    pub pushes: usize,
    /// Pushes known to be acknowledged.
    pub acknowledged: usize,
    /// Pushes that reached a server again after they were finished.
    pub duplicates: u64,
    /// Pushes left unfinished by a superseded worker.
    pub torn: u64,
    /// Calls turned away because their epoch or incarnation was over.
    pub fenced: u64,
    /// Largest number of steps that the weights of a step were behind an acknowledged push.
    pub lag: u64,
    /// Largest number of steps that a worker was ahead of another that had not ended.
    pub gap: u64,
    /// The processes that end by themselves, by name.
    pub hosts: BTreeMap<String, Host>,
    /// Everything that happened, in order, with its virtual time.
    pub trace: Vec<String>,
}

impl Outcome {
    /// When a process ended by itself.
    ///
    /// # Panics
    /// It did not.
    pub fn ended(&self, name: &str) -> Duration {
        let ended = self.hosts.get(name).and_then(|host| host.ended);
        ended.unwrap_or_else(|| panic!("{name} did not end"))
    }

    /// What a process ended with.
    ///
    /// # Panics
    /// It did not end.
    pub fn result(&self, name: &str) -> &Result<u8, String> {
        let result = self.hosts.get(name).and_then(|host| host.result.as_ref());
        result.unwrap_or_else(|| panic!("{name} did not end"))
    }
}

/// What is read from the servers, or the model file, at the end.
#[derive(Clone, Debug, Default)]
pub struct Final {
    /// In layout order; empty when there is no model.
    pub weights: Vec<f32>,
    /// Of all servers.
    pub duplicates: u64,
    /// Of all servers.
    pub torn: u64,
    /// Of all servers.
    pub fenced: u64,
}

/// The books that simulated hosts write to.
#[derive(Clone, Default)]
pub struct Books {
    trace: Arc<Mutex<Vec<String>>>,
    hosts: Arc<Mutex<BTreeMap<String, Host>>>,
    steps: Arc<Mutex<BTreeMap<String, u64>>>,
    gap: Arc<Mutex<u64>>,
    /// Where servers are, by the names of their hosts.
    addresses: Arc<Mutex<BTreeMap<String, watch::Sender<String>>>>,
    /// The disks of hosts that have any, by their names.
    disks: Arc<Mutex<BTreeMap<String, SimulatedDisk>>>,
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

    /// A process ended by itself.
    pub fn ended(&self, name: &str, result: Result<u8, String>) {
        self.note(format!("{name} ended: {result:?}"));
        let ended = turmoil::sim_elapsed();
        let host = Host { running: false, ended, result: Some(result) };
        lock(&self.hosts).insert(name.to_owned(), host);
    }

    /// Starts a process again that ended by itself, however or not well; whether it did.
    fn revive(&self, sim: &mut turmoil::Sim<'_>, name: &str, however: bool) -> bool {
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
    fn lose_power(&self, host: &str, seed: u64) {
        if let Some(disk) = lock(&self.disks).get(host) {
            disk.crash(seed);
        }
    }

    /// Whether this is about a server whose job is over: nobody starts one for it any more.
    fn is_too_late(&self, event: &Event) -> bool {
        let (Event::Crash(name) | Event::Restart(name)) = event else { return false };
        let is_over = || lock(&self.hosts).get("master").is_some_and(|host| host.ended.is_some());
        name.starts_with("server") && is_over()
    }

    fn move_to(&self, host: &str, port: u16) {
        if let Some(address) = lock(&self.addresses).get(host) {
            address.send_replace(format!("{host}:{port}"));
        }
    }

    /// The outcome of a run, given what its servers held at the end.
    pub fn outcome(&self, scenario: &Scenario, ledger: &Ledger, last: &Final) -> Outcome {
        let (pushes, acknowledged) = ledger.pushes();
        let Final { weights, duplicates, torn, fenced } = last;
        let checked = if weights.is_empty() { Ok(()) } else { ledger.check(weights) };
        let mut trace = lock(&self.trace).clone();
        trace.push(format!("{duplicates} duplicates, {torn} torn, {fenced} fenced"));
        trace.push(format!("weights {:?}", weights.iter().map(|w| w.to_bits()).max()));
        Outcome {
            seed: scenario.seed,
            violation: checked.err().map(|wrong| format!("{wrong:?}")).or(ledger.outdated()),
            pushes,
            acknowledged,
            duplicates: *duplicates,
            torn: *torn,
            fenced: *fenced,
            lag: ledger.lag(),
            gap: *lock(&self.gap),
            hosts: lock(&self.hosts).clone(),
            trace,
        }
    }
}

impl Scenario {
    /// An empty simulated network.
    pub fn network(&self) -> turmoil::Sim<'static> {
        turmoil::Builder::new()
            .rng_seed(self.seed)
            .simulation_duration(self.longest * 2)
            .tick_duration(Duration::from_millis(1))
            .min_message_latency(Duration::from_micros(200))
            .max_message_latency(Duration::from_millis(20))
            .tcp_capacity(4096)
            .build()
    }

    /// How the job trains: at rate 1, so that weights count pushes.
    pub fn settings(&self) -> TrainingSettings {
        TrainingSettings {
            optimizer: Optimizer::parse("sgd", None, None).unwrap_or_else(|e| panic!("{e}")),
            learning_rate: LearningRate::constant(1.0),
            staleness_correction: Correction::None,
            staleness_bound: self.bound,
            clip_norm: None,
            passes: self.passes,
            batch_size: self.batch_size,
            seed: self.seed,
            wire: self.wire,
            pipeline_depth: self.depth,
            ..TrainingSettings::default()
        }
    }

    /// Where the servers are, by shard.
    pub fn server_addresses(&self) -> Vec<String> {
        self.server_names().map(|name| format!("{name}:{SERVER_PORT}")).collect()
    }

    /// Names of the servers' hosts.
    pub fn server_names(&self) -> impl Iterator<Item = String> + use<> {
        (0..self.servers).map(|shard| format!("server{shard}"))
    }

    /// Names of the workers' hosts.
    pub fn worker_names(&self) -> Vec<String> {
        (0..self.shape.hosts).map(|host| format!("worker{host}")).collect()
    }

    /// The configuration of one server.
    pub fn server_config(&self, shard: u32, master: Option<String>) -> ServerConfig {
        ServerConfig {
            job: "sim".into(),
            shard,
            listen: String::new(),
            advertise: None,
            master,
            lease: LEASE,
            bounds: Bounds::default(),
            serve_after_signal: ps_core::stop::StopTimes::default().left,
            journal: self.journal.unwrap_or_default(),
            guards: self.guards,
        }
    }

    /// Steps the simulation through its faults until every expected process has ended or is dead
    /// for good.
    ///
    /// # Panics
    /// The run does not end in its time.
    pub fn play(&self, sim: &mut turmoil::Sim<'_>, books: &Books, links: &[(String, String)]) {
        self.play_until(sim, books, links, Duration::MAX, || ());
    }

    /// The same, and the whole cluster dies at this time if it is still there. `life_ends` is called
    /// when a life of the job ends before.
    ///
    /// # Panics
    /// The run does not end in its time.
    pub fn play_until(
        &self,
        sim: &mut turmoil::Sim<'_>,
        books: &Books,
        links: &[(String, String)],
        end: Duration,
        mut life_ends: impl FnMut(),
    ) {
        let mut events = faults::plan(self.seed, &self.weather, links, &self.worker_names());
        events.extend(self.script.iter().cloned());
        events.sort_by_key(|(at, _)| *at);
        let mut events = events.iter().peekable();
        let mut supervised = BTreeSet::new();
        loop {
            while let Some((_, event)) = events.next_if(|(at, _)| *at <= sim.elapsed()) {
                if books.is_too_late(event) {
                    continue;
                }
                lock(&books.trace).push(format!("{} {event:?}", sim.elapsed().as_micros()));
                let mut hosts = lock(&books.hosts);
                match event {
                    Event::Crash(name) => hosts.entry(name.clone()).or_default().running = false,
                    Event::Restart(name) => hosts.entry(name.clone()).or_default().running = true,
                    Event::LifeEnds => life_ends(),
                    Event::Move(name, port) => books.move_to(name, *port),
                    Event::Supervise(name) => {
                        let has_ended = hosts.get(name).is_some_and(|host| host.ended.is_some());
                        supervised.insert((name.clone(), has_ended));
                    }
                    _ => (),
                }
                drop(hosts);
                faults::apply(sim, event);
                if let Event::Crash(name) = event {
                    books.lose_power(name, self.seed ^ sim.elapsed().as_micros() as u64);
                }
            }
            supervised.retain(|(name, however)| !books.revive(sim, name, *however));
            let running = lock(&books.hosts).values().any(|host| host.running);
            if (events.peek().is_none() && !running) || sim.elapsed() >= end {
                return;
            }
            let seed = self.seed;
            assert!(sim.elapsed() < self.longest, "seed {seed} hangs; last:\n{}", tail(books));
            sim.step().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        }
    }
}

fn tail(books: &Books) -> String {
    let trace = lock(&books.trace);
    trace[trace.len().saturating_sub(60)..].join("\n")
}
