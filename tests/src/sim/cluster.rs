//! What every simulated run has: a scenario, books that the hosts write to, and an outcome.

use super::books::{Books, Host, SERVER_PORT};
use super::faults::{self, Event, Weather};
use super::ledger::{Ledger, Shape, Violation};
use super::lock::lock;
use ps_core::correction::Correction;
use ps_core::schedule::LearningRate;
use ps_core::settings::TrainingSettings;
use ps_core::settings::Wire;
use ps_core::shard::Guards;
use ps_kernels::optimizer::Optimizer;
use ps_server::WriterSettings;
use ps_server::config::{Bounds, Config as ServerConfig};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// How long a silent member is waited for, if it is no server that may be away.
pub const LEASE: Duration = Duration::from_secs(3);

/// How long a silent server is waited for.
pub const SERVER_AWAY: Duration = LEASE.saturating_mul(3);

/// How often the hosts have their turns. In between nothing reaches one and none dies; what dies in the middle of its turn is for
/// fail points. Most of what a job of 10 virtual seconds costs are the turns of hosts that have nothing to do.
const TICK: Duration = Duration::from_millis(5);

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
    /// How many states the one on the master's disk is behind, where there are journals: none, but where a test shows what
    /// that is good for.
    pub state_lags_by: usize,
    /// Whether a server that died without a journal goes back to a checkpoint, alone, when it is started again.
    pub servers_go_back: bool,
    /// Virtual time after which a run that has not ended is a hang.
    pub longest: Duration,
}

/// What came of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Of which run.
    pub seed: u64,
    /// The first element of the final weights that is wrong.
    pub violation: Option<String>,
    /// What it is, where it is a push.
    pub push: Option<Violation>,
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

impl Books {
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
            push: checked.as_ref().err().cloned(),
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
            .tick_duration(TICK)
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

    /// Steps of the job, where nobody has to do again what another one did.
    pub fn steps(&self) -> usize {
        (self.passes * self.shape.samples / self.batch_size) as usize
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
            goes_back: false,
            lease: LEASE,
            // So that pushes wait for it.
            bounds: Bounds { cut_memory_bytes_min: 0, ..Bounds::default() },
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
        let mut events = VecDeque::from(events);
        let mut supervised = BTreeSet::new();
        loop {
            for restart in books.bury(sim, self.seed) {
                let place = events.partition_point(|(at, _)| *at <= restart.0);
                events.insert(place, restart);
            }
            while let Some(event) = next_event(&mut events, sim.elapsed()) {
                if books.is_too_late(&event) {
                    continue;
                }
                lock(&books.trace).push(format!("{} {event:?}", sim.elapsed().as_micros()));
                match &event {
                    Event::LifeEnds => life_ends(),
                    Event::Supervise(name) => {
                        let hosts = lock(&books.hosts);
                        let has_ended = hosts.get(name).is_some_and(|host| host.ended.is_some());
                        supervised.insert((name.clone(), has_ended));
                    }
                    _ => books.hear(&event),
                }
                faults::apply(sim, &event);
                if let Event::Crash(name) = &event {
                    books.lose_power(name, self.seed ^ sim.elapsed().as_micros() as u64);
                }
            }
            supervised.retain(|(name, however)| !books.revive(sim, name, *however));
            let running = lock(&books.hosts).values().any(|host| host.running);
            if (events.is_empty() && !running) || sim.elapsed() >= end {
                return;
            }
            let seed = self.seed;
            assert!(sim.elapsed() < self.longest, "seed {seed} hangs; last:\n{}", tail(books));
            sim.step().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        }
    }
}

/// What happens next, if it has happened by now.
fn next_event(events: &mut VecDeque<(Duration, Event)>, now: Duration) -> Option<Event> {
    let (at, _) = events.front()?;
    if *at <= now { events.pop_front().map(|(_, event)| event) } else { None }
}

fn tail(books: &Books) -> String {
    let trace = lock(&books.trace);
    trace[trace.len().saturating_sub(60)..].join("\n")
}
